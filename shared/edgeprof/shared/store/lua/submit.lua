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
local function missing_blobs(blobs)
  local missing = {}
  for i, blob in ipairs(blobs) do
    local key = P .. 'blob:' .. blob[1]
    redis.pcall('EXPIRE', key, blob[3], 'GT') -- GT: another job may need it for longer
    if redis.pcall('STRLEN', key) ~= blob[2] then table.insert(missing, i - 1) end
  end
  return missing
end

-- Send the doorbells of a list: a lost one is sent again, so an error is none of the caller's.
local function ring(list, doorbells)
  redis.pcall('LPUSH', list, unpack(doorbells))
end

-- What a record of this kind has at first; its spec and its traceparent are yet to be filled in.
local function fill_in(kind)
  kind.deadline_s = at(now + tonumber(kind.record.queue_timeout_s))
  kind.lane = lane_of(kind.record.queue, kind.record.require)
  add_lane(kind.record.queue, kind.record.require)
  local fields = {'state', 'queued', 'reason', 'submitted', 'created_s', now_s, 'queued_s', now_s,
    'epoch', '0', 'deadline_s', kind.deadline_s}
  for name, value in pairs(kind.record) do fields[#fields + 1], fields[#fields + 2] = name, value end
  for _, v in ipairs({'spec', '', 'traceparent', ''}) do fields[#fields + 1] = v end
  kind.fields = fields
end

-- submit(actor, shared, number of specs, each as JSON; then for each job: id, number of its kind,
-- number of its spec, traceparent, body and tag of its doorbell).
-- shared: JSON, what many jobs have in common: {blobs: [[SHA-256, bytes, seconds to keep]], kinds:
-- [{record: the fields (keys.lua) that the client fills in, list: of its doorbells, or '', pieces: of
-- its doorbell (doorbell.py)}]}.
-- Returns the places of the blobs that are missing, from 0; then nothing was written.
-- `ready` counts the doorbell as sent now; one that never came is found by its age.
local function submit(actor, shared)
  local first, kinds = line('', 'queued', actor, 'submitted'), shared.kinds
  local missing = missing_blobs(shared.blobs)
  if #missing > 0 then return missing end
  for _, kind in ipairs(kinds) do fill_in(kind) end
  local zsets, turns, lists, specs = {}, {}, {}, 4
  -- Arguments are read in place: Lua's stack does not hold those of a large sweep.
  for i = specs + tonumber(ARGV[specs]) + 1, #ARGV, 6 do
    local id, kind, trace = ARGV[i], kinds[tonumber(ARGV[i + 1])], ARGV[i + 3]
    local key, job, fields, p = job_key(id), kind.record, kind.fields, kind.pieces
    if call('EXISTS', key) == 0 then -- else: the same call, repeated by the client library
      fields[#fields - 2], fields[#fields] = ARGV[specs + ARGV[i + 2]], trace
      call('HSET', key, unpack(fields))
      call('RPUSH', key .. ':history', first)
      add(zsets, 'jobs', now_s, id)
      add(zsets, 'jobs:queued', now_s, id)
      add(zsets, 'deadlines', kind.deadline_s, id)
      add(zsets, 'ready:' .. kind.lane, now_s, id)
      add(zsets, 'order:' .. kind.lane, rank(job.priority, next_turn(turns, job)), id)
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
if ARGV[1] == 'submit' then return submit(ARGV[2], cjson.decode(ARGV[3])) end
