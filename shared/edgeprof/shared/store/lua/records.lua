-- A job's record: its transitions, its check, and setting aside what is not a job of ours.

local function line(from, to, actor, reason)
  return cjson.encode({s = now, from = from, to = to, actor = actor, reason = reason})
end

local function remember(id, from, to, actor, reason)
  local key = job_key(id) .. ':history'
  call('RPUSH', key, line(from, to, actor, reason))
  call('LTRIM', key, -HISTORY_KEPT, -1)
end

local function transition(id, from, to, actor, reason)
  local created = call('ZSCORE', P .. 'jobs', id) or now_s
  call('HSET', job_key(id), 'state', to, 'reason', reason)
  call('ZREM', P .. 'jobs:' .. from, id)
  call('ZADD', P .. 'jobs:' .. to, created, id)
  remember(id, from, to, actor, reason)
  append(job_key(id) .. ':events', 'MAXLEN', '~', EVENTS_KEPT, '*',
    'kind', 'state', 'state', to, 'reason', reason)
end

local function terminate(id, from, to, actor, reason)
  call('HSET', job_key(id), 'finished_s', now_s)
  call('ZADD', P .. 'unarchived', now_s, id)
  transition(id, from, to, actor, reason)
end

-- The fields of a job's record that commands need, or nil and why it is not a sound record.
local function sound(id)
  local values = try('HMGET', job_key(id), 'state', 'queue', 'platform', 'priority', 'user',
    'queue_timeout_s', 'max_attempts', 'queued_s', 'deadline_s', 'schema', 'avoid', 'avoid_until_s',
    'avoid_host', 'require')
  if not values then return nil, 'its record is a key of another type' end
  if not values[1] then return nil, 'it has no record' end
  if not is_id(id) then return nil, 'its id is not a valid job id' end
  local job = {state = values[1], queue = values[2] or '', platform = values[3] or '',
    priority = number(values[4]), user = values[5] or '', queue_timeout_s = number(values[6]),
    max_attempts = number(values[7]), queued_s = number(values[8], now),
    deadline_s = number(values[9]), schema = number(values[10]),
    avoid = values[11], avoid_until_s = number(values[12], 0), avoid_host = values[13],
    require = values[14] or ''}
  if not IS_STATE[job.state] then return nil, 'its state is not a known state' end
  local spec_bytes = call('HSTRLEN', job_key(id), 'spec')
  if spec_bytes > SPEC_LIMIT then return nil, 'its record is larger than a job can be' end
  if spec_bytes == 0 or not (job.priority and job.queue_timeout_s and job.max_attempts)
      or not (job.deadline_s and job.schema) or job.schema < 1
      or job.priority < 0 or job.priority > 9 or job.priority % 1 ~= 0
      or job.max_attempts > MOST_ATTEMPTS or not is_queue(job.queue)
      or #job.require > REQUIRE_LIMIT or job.require ~= '' and not decoded(job.require) then
    return nil, 'its record is malformed'
  end
  job.lane = lane_of(job.queue, job.require)
  return job
end

-- Take an entry without a sound record out of a zset, and note it. If there is a record all the
-- same, its job has failed: people who wait for it must learn that.
local function set_aside(where, id, why)
  call('ZREM', P .. where, id)
  note_aside(where, id, why)
  local state = get(id, 'state')
  if state == 'queued' or state == 'running' then
    for _, name in ipairs({'deadlines', 'delayed', 'leases'}) do call('ZREM', P .. name, id) end
    terminate(id, state, 'failed', 'store', why)
  end
end

-- Returns, as {id, record}, the jobs of a zset that have a sound record and that `fits` accepts.
-- The others are taken out of it: every later call would meet them again.
local function sound_jobs(where, ids, fits)
  local found = {}
  for _, id in ipairs(ids) do
    local job, why = sound(id)
    if not job then set_aside(where, id, why)
    elseif fits(job) then table.insert(found, {id, job})
    else
      call('ZREM', P .. where, id)
      note_aside(where, id, 'it is ' .. job.state)
    end
  end
  return found
end

local function is_queued(job) return job.state == 'queued' end
local function is_running(job) return job.state == 'running' end
