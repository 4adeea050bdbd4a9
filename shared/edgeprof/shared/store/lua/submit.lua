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

-- submit(actor, number of fields, their names, then for each job: id, a value for each field). They
-- are the fields of a record (keys.lua) that the client fills in. The caller notifies right after,
-- so `ready` counts the doorbell as sent now; one that never came is found by its age.
local function submit(actor)
  local first, width, job = line('', 'queued', actor, 'submitted'), tonumber(ARGV[3]), {}
  local record = {'state', 'queued', 'reason', 'submitted', 'created_s', now_s, 'queued_s', now_s,
    'epoch', '0'}
  local deadline_at = #record + 2
  record[deadline_at - 1] = 'deadline_s'
  for i = 1, width do record[deadline_at + 2 * i - 1] = ARGV[3 + i] end
  local zsets, turns = {}, {}
  -- Arguments are read in place: Lua's stack does not hold those of a large sweep.
  for start = 4 + width, #ARGV, width + 1 do
    for i = 1, width do
      job[ARGV[3 + i]] = ARGV[start + i]
      record[deadline_at + 2 * i] = ARGV[start + i]
    end
    local id = ARGV[start]
    local key, queue = job_key(id), job.queue
    if call('EXISTS', key) == 0 then -- else: the same call, repeated by the client library
      record[deadline_at] = at(now + tonumber(job.queue_timeout_s))
      call('HSET', key, unpack(record))
      call('RPUSH', key .. ':history', first)
      add(zsets, 'jobs', now_s, id)
      add(zsets, 'jobs:queued', now_s, id)
      add(zsets, 'deadlines', record[deadline_at], id)
      add(zsets, 'ready:' .. queue, now_s, id)
      add(zsets, 'order:' .. queue, rank(job.priority, next_turn(turns, job)), id)
    end
  end
  for name, entries in pairs(zsets) do call('ZADD', P .. name, unpack(entries)) end
  save_turns(turns)
end

-- Called before the other commands are made, which takes as long as writing a job.
if ARGV[1] == 'submit' then return submit(ARGV[2]) end
