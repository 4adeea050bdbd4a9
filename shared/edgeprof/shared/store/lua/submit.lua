-- The command that brings jobs in. A sweep has thousands, so all that goes into one zset or one
-- queue is collected and written at once: a call costs Redis more than the entries in it.

-- Adds an entry to a batch: name of a zset -> {score, member, ...}.
local function add(batch, name, score, member)
  local entries = batch[name]
  if not entries then
    batch[name] = {score, member}
    return
  end
  local n = #entries
  entries[n + 1], entries[n + 2] = score, member
  if n >= BATCH then
    call('ZADD', P .. name, unpack(entries))
    batch[name] = nil
  end
end

-- The turn of a user's next job. `turns` has those that this call has given: queue ->
-- {priority:user -> turn}.
local function next_turn(turns, job)
  local queue, field = job.queue, job.priority .. ':' .. job.user
  turns[queue] = turns[queue] or {}
  local last = turns[queue][field] or math.max(turn_of(queue, job.priority), turn_of(queue, field))
  turns[queue][field] = last + 1
  return last + 1
end

local function save_turns(turns)
  for queue, given in pairs(turns) do
    call('SADD', P .. 'queues', queue)
    for field, turn in pairs(given) do
      call('HSET', P .. 'turns:' .. queue, field, string.format('%.0f', turn))
    end
  end
end

-- The blobs that are not there whole, by their places in the list; those that are there are kept for
-- as long as the jobs may need them.
local function missing_blobs(first, count)
  local missing = {}
  for i = 0, count - 1 do
    local sha256, bytes, keep_s = ARGV[first + 3 * i], ARGV[first + 3 * i + 1], ARGV[first + 3 * i + 2]
    local key = P .. 'blob:' .. sha256
    redis.pcall('EXPIRE', key, keep_s, 'GT') -- GT: another job may need it for longer
    if redis.pcall('STRLEN', key) ~= tonumber(bytes) then table.insert(missing, i) end
  end
  return missing
end

-- Send the doorbells of a list: a lost one is sent again, so an error is none of the caller's.
local function ring(list, doorbells)
  redis.pcall('LPUSH', list, unpack(doorbells))
end

-- submit(actor, number of blobs, for each: SHA-256, bytes, seconds to keep; number of fields, their
-- names, number of records, for each: the list of its doorbells or '', seven pieces of a doorbell, a
-- value for each field; then for each job: id, number of its record, traceparent, body and tag of its
-- doorbell). The fields are those of a job's record (keys.lua) that the client fills in; jobs that
-- differ in nothing else share one. The pieces are those of doorbell.py. Returns the places of the
-- blobs that are missing: then nothing was written.
-- `ready` counts the doorbell as sent now; one that never came is found by its age.
local function submit(actor)
  local first, blobs = line('', 'queued', actor, 'submitted'), tonumber(ARGV[3])
  local missing = missing_blobs(4, blobs)
  if #missing > 0 then return missing end
  local place = 4 + 3 * blobs
  local width, names = tonumber(ARGV[place]), place
  local count = tonumber(ARGV[names + width + 1])
  -- Arguments are read in place: Lua's stack does not hold those of a large sweep.
  local records, jobs = {}, names + width + 2 + count * (width + 8)
  for i = 0, count - 1 do
    local at_value = names + width + 2 + i * (width + 8)
    local job, fields = {}, {'state', 'queued', 'reason', 'submitted', 'created_s', now_s, 'queued_s',
      now_s, 'epoch', '0'}
    for k = 1, width do
      local value = ARGV[at_value + 7 + k]
      job[ARGV[names + k]] = value
      fields[#fields + 1], fields[#fields + 2] = ARGV[names + k], value
    end
    job.deadline_s = at(now + tonumber(job.queue_timeout_s))
    for _, v in ipairs({'deadline_s', job.deadline_s, 'traceparent', ''}) do fields[#fields + 1] = v end
    local pieces = {}
    for k = 1, 7 do pieces[k] = ARGV[at_value + k] end
    records[i + 1] = {job, fields, ARGV[at_value], pieces}
  end
  local zsets, turns, lists = {}, {}, {}
  for i = jobs, #ARGV, 5 do
    local id, record = ARGV[i], records[tonumber(ARGV[i + 1])]
    local job, fields, list, p = record[1], record[2], record[3], record[4]
    local key, queue = job_key(id), job.queue
    if call('EXISTS', key) == 0 then -- else: the same call, repeated by the client library
      fields[#fields] = ARGV[i + 2]
      call('HSET', key, unpack(fields))
      call('RPUSH', key .. ':history', first)
      add(zsets, 'jobs', now_s, id)
      add(zsets, 'jobs:queued', now_s, id)
      add(zsets, 'deadlines', job.deadline_s, id)
      add(zsets, 'ready:' .. queue, now_s, id)
      add(zsets, 'order:' .. queue, rank(job.priority, next_turn(turns, job)), id)
      if list ~= '' then
        local doorbells = lists[list] or {}
        lists[list] = doorbells
        doorbells[#doorbells + 1] = p[1] .. ARGV[i + 3] .. p[2] .. id .. p[3] .. id .. p[4]
          .. ARGV[i + 2] .. p[5] .. id .. p[6] .. ARGV[i + 4] .. p[7]
        if #doorbells >= BATCH then
          ring(list, doorbells)
          lists[list] = nil
        end
      end
    end
  end
  for name, entries in pairs(zsets) do call('ZADD', P .. name, unpack(entries)) end
  save_turns(turns)
  for list, doorbells in pairs(lists) do ring(list, doorbells) end
  return {}
end

-- It reads its arguments in place, so it is not one of the commands.
if ARGV[1] == 'submit' then return submit(ARGV[2]) end
