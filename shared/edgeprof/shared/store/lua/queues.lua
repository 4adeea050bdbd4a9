-- The queues: entering and leaving them, the users' turns, and expiry.

-- The lanes of a queue, the one without tags first: {name, wanted: its tags}. Read once a call.
local lanes_read = {}
local function lanes_of(queue)
  if lanes_read[queue] then return lanes_read[queue] end
  local lanes = {{name = queue, wanted = {}}}
  for _, require in ipairs(call('SRANDMEMBER', P .. 'lanes:' .. queue, LANES)) do
    local wanted = #require <= REQUIRE_LIMIT and decoded(require)
    if wanted then table.insert(lanes, {name = lane_of(queue, require), wanted = wanted}) end
  end
  lanes_read[queue] = lanes
  return lanes
end

local function add_lane(queue, require)
  if require == '' then return end
  call('SADD', P .. 'lanes:' .. queue, require)
  lanes_read[queue] = nil
end

-- Take a job out of its lane; returns its turn there, or nil when it was delayed.
local function leave_queue(id, lane)
  local rank = call('ZSCORE', P .. 'order:' .. lane, id)
  call('ZREM', P .. 'ready:' .. lane, id)
  call('ZREM', P .. 'order:' .. lane, id)
  call('ZREM', P .. 'deadlines', id)
  call('ZREM', P .. 'delayed', id)
  return rank and number(rank, 0) % RANKS
end

-- A user's or a priority's turn; 0 where none is stored, or something that is none.
local function turn_of(queue, field)
  local turn = number(call('HGET', P .. 'turns:' .. queue, field), 0)
  return turn >= 0 and turn < RANKS - 1 and math.floor(turn) or 0
end

-- The order of a queue: the higher priority first, and within one priority users take turns
-- (start-time fair queueing: a job's turn is one after its user's last, but not before the turn
-- served now), so that the single job of one user does not wait for the 10 000 of another.
local function rank(priority, turn) return string.format('%.0f', (9 - priority) * RANKS + turn) end

-- Put a job back into its queue, before those that had no attempt yet. Its doorbell is yet to be
-- sent.
local function enter_again(id, job)
  call('HSET', job_key(id), 'queued_s', now_s)
  call('SADD', P .. 'queues', job.queue)
  add_lane(job.queue, job.require)
  call('ZADD', P .. 'ready:' .. job.lane, 0, id)
  call('ZADD', P .. 'order:' .. job.lane, rank(job.priority, turn_of(job.queue, job.priority)), id)
end

-- Take a job that nobody claimed out of its queue; its user's later jobs move up.
local function withdraw(id, job)
  if leave_queue(id, job.lane) then
    local field = job.priority .. ':' .. job.user
    local turn = turn_of(job.queue, field)
    if turn > 0 then
      call('HSET', P .. 'turns:' .. job.queue, field, string.format('%.0f', turn - 1))
    end
  end
end

-- No board took it in time.
local function expire(id, job, actor)
  withdraw(id, job)
  local why = 'no board took it within ' .. get(id, 'queue_timeout_s') .. ' s'
  terminate(id, 'queued', 'expired', actor, why)
end
