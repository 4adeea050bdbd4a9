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

-- What jobs of a kind have in common: the arguments from `first` on.
local function kind_of(first, names, width)
  local kind = {list = ARGV[first], pieces = {}, fields = {'state', 'queued', 'reason', 'submitted',
    'created_s', now_s, 'queued_s', now_s, 'epoch', '0'}}
  local fields = kind.fields
  for i = 1, 7 do kind.pieces[i] = ARGV[first + i] end
  for i = 1, width do
    local name, value = ARGV[names + i], ARGV[first + 7 + i]
    kind[name] = value
    fields[#fields + 1], fields[#fields + 2] = name, value
  end
  kind.deadline_s = at(now + tonumber(kind.queue_timeout_s))
  for _, v in ipairs({'deadline_s', kind.deadline_s, 'spec', '', 'traceparent', ''}) do
    fields[#fields + 1] = v
  end
  return kind
end

-- submit(actor, number of blobs, for each: SHA-256, bytes, seconds to keep; number of fields, their
-- names; number of kinds, for each: the list of its doorbells or '', seven pieces of a doorbell, a
-- value for each field; number of specs, each as JSON; then for each job: id, number of its kind,
-- number of its spec, traceparent, body and tag of its doorbell). The fields are those of a job's
-- record (keys.lua) that the client fills in, the pieces those of doorbell.py. Returns the places of
-- the blobs that are missing, from 0; then nothing was written.
-- `ready` counts the doorbell as sent now; one that never came is found by its age.
local function submit(actor)
  local first, blobs = line('', 'queued', actor, 'submitted'), tonumber(ARGV[3])
  local missing = missing_blobs(4, blobs)
  if #missing > 0 then return missing end
  -- Arguments are read in place: Lua's stack does not hold those of a large sweep.
  local names = 4 + 3 * blobs
  local width, kinds = tonumber(ARGV[names]), {}
  local place = names + width + 2
  for i = 1, tonumber(ARGV[place - 1]) do
    kinds[i] = kind_of(place, names, width)
    place = place + 8 + width
  end
  local specs = place
  local zsets, turns, lists = {}, {}, {}
  for i = specs + tonumber(ARGV[specs]) + 1, #ARGV, 6 do
    local id, kind, trace = ARGV[i], kinds[tonumber(ARGV[i + 1])], ARGV[i + 3]
    local key, queue, fields, p = job_key(id), kind.queue, kind.fields, kind.pieces
    if call('EXISTS', key) == 0 then -- else: the same call, repeated by the client library
      fields[#fields - 2], fields[#fields] = ARGV[specs + ARGV[i + 2]], trace
      call('HSET', key, unpack(fields))
      call('RPUSH', key .. ':history', first)
      add(zsets, 'jobs', now_s, id)
      add(zsets, 'jobs:queued', now_s, id)
      add(zsets, 'deadlines', kind.deadline_s, id)
      add(zsets, 'ready:' .. queue, now_s, id)
      add(zsets, 'order:' .. queue, rank(kind.priority, next_turn(turns, kind)), id)
      if kind.list ~= '' then
        local doorbells = lists[kind.list] or {}
        lists[kind.list] = doorbells
        doorbells[#doorbells + 1] = p[1] .. ARGV[i + 4] .. p[2] .. id .. p[3] .. id .. p[4] .. trace
          .. p[5] .. id .. p[6] .. ARGV[i + 5] .. p[7]
        if #doorbells >= BATCH then
          ring(kind.list, doorbells)
          lists[kind.list] = nil
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
