-- The queues: entering and leaving them, the users' turns, and expiry.

-- Fixed keys and their types; $p queues' own are ready:, order: (zset) and turns: (hash).
local TYPES = {jobs = 'zset', queues = 'set', delayed = 'zset', deadlines = 'zset', leases = 'zset', running_on = 'hash',
  dead = 'zset', unarchived = 'zset', unreadable = 'zset', prunable = 'zset', rearchive = 'zset', boards = 'hash', hosts = 'hash',
  scrub = 'hash', aside = 'list', store = 'hash', last_sign = 'string', ['last_sign:grace'] = 'string', epoch = 'string',
  ['boards:owner'] = 'hash', ['boards:uid'] = 'hash', ['boards:seen'] = 'hash', ['boards:until'] = 'zset',
  ['boards:cordoned'] = 'hash', ['boards:identify'] = 'hash', ['boards:faults'] = 'hash', ['hosts:until'] = 'zset',
  ['hosts:cordoned'] = 'hash', ['hosts:faults'] = 'hash'}
for _, state in ipairs(STATES) do TYPES['jobs:' .. state] = 'zset' end

-- A shared key of another type than ours stops everybody; there is nothing of ours in it.
local function heal(name, kind)
  local found = call('TYPE', P .. name).ok
  if found == 'none' or found == kind then return end
  call('DEL', P .. name)
  note_aside(name, '', 'a key of type ' .. found .. ' stood there')
end

local function heal_queue(queue)
  heal('ready:' .. queue, 'zset')
  heal('order:' .. queue, 'zset')
  heal('turns:' .. queue, 'hash')
end

-- Take a job out of its queue; returns its turn there, or nil when it was delayed.
local function leave_queue(id, queue)
  local rank = call('ZSCORE', P .. 'order:' .. queue, id)
  call('ZREM', P .. 'ready:' .. queue, id)
  call('ZREM', P .. 'order:' .. queue, id)
  call('ZREM', P .. 'deadlines', id)
  call('ZREM', P .. 'delayed', id)
  return rank and number(rank, 0) % RANKS
end

-- A user's or a priority's turn; what nobody of ours wrote counts as none.
local function turn_of(queue, field)
  local turn = number(call('HGET', P .. 'turns:' .. queue, field), 0)
  return turn >= 0 and turn < RANKS - 1 and math.floor(turn) or 0
end

-- Put a job into its queue. The higher priority first, and within one priority users take turns (start-time
-- fair queueing: a job's turn is one after its user's last, but not before the turn served now), so that the
-- single job of one does not wait for the 10 000 of another. A job that has had an attempt goes first.
local function enter_queue(id, queue, priority, user, sent)
  local turn = turn_of(queue, priority)
  if user then
    local field = priority .. ':' .. user
    turn = math.max(turn, turn_of(queue, field)) + 1
    call('HSET', P .. 'turns:' .. queue, field, string.format('%.0f', turn))
  end
  call('HSET', job_key(id), 'queued_s', now_s)
  call('SADD', P .. 'queues', queue)
  call('ZADD', P .. 'ready:' .. queue, sent, id)
  call('ZADD', P .. 'order:' .. queue, string.format('%.0f', (9 - priority) * RANKS + turn), id)
end

-- Take a job out of its queue that nobody claimed; its user's later jobs move up.
local function withdraw(id, job)
  if leave_queue(id, job.queue) then
    local field = job.priority .. ':' .. job.user
    local turn = turn_of(job.queue, field)
    if turn > 0 then call('HSET', P .. 'turns:' .. job.queue, field, string.format('%.0f', turn - 1)) end
  end
end

-- No board took it in time.
local function expire(id, job, actor)
  withdraw(id, job)
  terminate(id, 'queued', 'expired', actor, 'no board took it within ' .. get(id, 'queue_timeout_s') .. ' s')
end
