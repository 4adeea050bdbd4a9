-- The job store: every change of a job or a board is one call of this script, so it happens whole or
-- not at all, on Redis' clock, and leaves a line in the job's history that says who and why.
--
-- Keys ($p is the store's prefix, "edgeprof:" unless told otherwise)
--
-- $p job:$id            hash    one job:
--                               spec (JSON, never changes), schema (its version), state, reason, queue,
--                               platform (when that is the target), priority, user, max_attempts, created_s,
--                               queued_s (last time it entered its queue), started_s, finished_s, label (what
--                               it is, for people), epoch, owner, device, host, domain, cancel
--                               ("actor\nreason" once asked), avoid, avoid_until_s, traceparent
-- $p work:$id:attempts  list    JSON, one a try; the last is open (no ended_s) while the job runs
-- $p work:$id:result    string  JSON. `work:` is what clients may read and only workers write (deploy/redis)
-- $p job:$id:history    list    JSON, one a transition: {s, from, to, actor, reason}
-- $p job:$id:events     stream  what a watcher sees: transitions and progress, capped
-- $p jobs               zset    every job -> created_s
-- $p jobs:$state        zset    the jobs in that state -> created_s
-- $p queues             set     queues that have had ready jobs
-- $p ready:$queue       zset    the queued jobs of a queue -> when their bell was last rung
-- $p order:$queue       zset    the same jobs -> their rank: the lowest is claimed first
-- $p turns:$queue       hash    priority -> turn of the job claimed last; priority:user -> the user's last turn
-- $p resting            zset    queued jobs between two attempts -> when they enter their queue again
-- $p deadlines          zset    the queued jobs -> when they expire
-- $p leases             zset    the running jobs -> when their lease runs out
-- $p holding            hash    board -> the running job that holds it
-- $p epoch              string  fencing tokens: ONE counter for the lab, so that a board too sees them grow
-- $p dead               zset    jobs given up after their last attempt -> when
-- $p unarchived         zset    finished jobs no archive holds yet -> finished_s
-- $p prunable           zset    archived jobs -> when they may be forgotten
-- $p boards             hash    board -> BoardInfo (JSON), as last announced
-- $p boards:owner       hash    board -> {owner, host, pid, domain, uid} (JSON)
-- $p boards:uid         hash    uid of the silicon -> board
-- $p boards:seen        hash    board -> when it was last announced
-- $p boards:until       zset    board -> until when the announcement holds (0: said goodbye)
-- $p boards:held       hash    board -> {state, reason, actor, s, release_port} (JSON): draining or
--                              quarantined; release_port (true or absent): its worker is to close the port
-- $p boards:identify   hash    board -> who wants it to make itself known
-- $p boards:faults     hash    board -> how many attempts in a row failed for board or link reasons
-- $p board:$b:history  list    JSON, one a change of `held`: {s, state, actor, reason}; the last 100
-- $p hosts             hash    address of a host agent's metrics -> HostInfo (JSON)
-- $p hosts:until       zset    address -> until when it is listed
-- $p blob:$sha256       string  a model file                                        (blobs.py)
-- $p heard              string  when a custodian or a working board was last heard
-- $p heard:grace        string  until when nobody is taken for dead, after a time when nobody was heard
-- $p custodian          string  who leads the custodians, with a TTL                (custodian.py)
--
-- "domain" names a set of processes that share one folder of board locks (workers/claims.py).

local P = KEYS[1]
local time = redis.call('TIME')
local now_s = time[1] .. '.' .. string.format('%06d', time[2])
local now = tonumber(now_s)

local EVENTS_KEPT = 512
local AVOID_S = 20
-- Of a job's JSON, as JobSpec.largest_bytes. A larger one was not written by us, and no worker reads it.
local SPEC_LIMIT = 512 * 1024
local LONGEST_REST_S = 60
-- Priorities are ranks apart by more turns than a queue will ever hand out.
local RANKS = 1e12
-- How many jobs a claim looks at for one that suits the board.
local CANDIDATES = 200
-- How many of a queue's longest unrung jobs are looked at for the oldest: a bound on the work of a scrape.
local AGED = 200

local function job_key(id) return P .. 'job:' .. id end
local function get(id, field) return redis.call('HGET', job_key(id), field) end
local function at(s) return string.format('%.6f', s) end

local function line(from, to, actor, reason)
  return cjson.encode({s = now, from = from, to = to, actor = actor, reason = reason})
end

local function remember(id, from, to, actor, reason)
  redis.call('RPUSH', job_key(id) .. ':history', line(from, to, actor, reason))
end

local function transition(id, from, to, actor, reason)
  local created = redis.call('ZSCORE', P .. 'jobs', id)
  redis.call('HSET', job_key(id), 'state', to, 'reason', reason)
  redis.call('ZREM', P .. 'jobs:' .. from, id)
  redis.call('ZADD', P .. 'jobs:' .. to, created, id)
  remember(id, from, to, actor, reason)
  redis.call('XADD', job_key(id) .. ':events', 'MAXLEN', '~', EVENTS_KEPT, '*',
    'kind', 'state', 'state', to, 'reason', reason)
end

-- Take a job out of its queue; returns its turn there, or nil when it rested.
local function leave_queue(id)
  local queue = get(id, 'queue')
  local rank = redis.call('ZSCORE', P .. 'order:' .. queue, id)
  redis.call('ZREM', P .. 'ready:' .. queue, id)
  redis.call('ZREM', P .. 'order:' .. queue, id)
  redis.call('ZREM', P .. 'deadlines', id)
  redis.call('ZREM', P .. 'resting', id)
  return rank and tonumber(rank) % RANKS
end

-- Put a job into its queue. The higher priority first, and within one priority users take turns (start-time
-- fair queueing: a job's turn is one after its user's last, but not before the turn served now), so that the
-- single job of one does not wait for the 10 000 of another. A job that has had an attempt goes first.
local function enter_queue(id, queue, priority, user, rung)
  local turns = P .. 'turns:' .. queue
  local turn = tonumber(redis.call('HGET', turns, priority) or 0)
  if user then
    local field = priority .. ':' .. user
    turn = math.max(turn, tonumber(redis.call('HGET', turns, field) or 0)) + 1
    redis.call('HSET', turns, field, turn)
  end
  redis.call('HSET', job_key(id), 'queued_s', now_s)
  redis.call('SADD', P .. 'queues', queue)
  redis.call('ZADD', P .. 'ready:' .. queue, rung, id)
  redis.call('ZADD', P .. 'order:' .. queue, string.format('%.0f', (9 - priority) * RANKS + turn), id)
end

-- Take a job out of its queue that nobody claimed; its user's later jobs move up.
local function withdraw(id)
  if leave_queue(id) then
    local turns, field = P .. 'turns:' .. get(id, 'queue'), get(id, 'priority') .. ':' .. get(id, 'user')
    if redis.call('HEXISTS', turns, field) == 1 then redis.call('HINCRBY', turns, field, -1) end
  end
end

local function attempts_key(id) return P .. 'work:' .. id .. ':attempts' end

local function terminate(id, from, to, actor, reason)
  redis.call('HSET', job_key(id), 'finished_s', now_s)
  redis.call('ZADD', P .. 'unarchived', now_s, id)
  transition(id, from, to, actor, reason)
end

local function close_attempt(id, fault_class, code, reason)
  local key = attempts_key(id)
  local attempt = cjson.decode(redis.call('LINDEX', key, -1))
  attempt.ended_s = now
  if fault_class ~= '' then
    attempt.fault_class, attempt.code, attempt.reason = fault_class, code, reason
  end
  redis.call('LSET', key, -1, cjson.encode(attempt))
end

local function release(id)
  local device = get(id, 'device')
  if redis.call('HGET', P .. 'holding', device) == id then
    redis.call('HDEL', P .. 'holding', device)
  end
  redis.call('ZREM', P .. 'leases', id)
  redis.call('HDEL', job_key(id), 'owner')
end

-- A board is held (no jobs, or only its own) or let go; said in its history.
local function note(device, state, actor, reason, release_port)
  local entry = cjson.encode({s = now, state = state, actor = actor, reason = reason,
    release_port = release_port})
  redis.call('RPUSH', P .. 'board:' .. device .. ':history', entry)
  redis.call('LTRIM', P .. 'board:' .. device .. ':history', -100, -1)
  return entry
end

local function hold(device, state, actor, reason, release_port)
  local entry = note(device, state, actor, reason, release_port)
  if state == 'online' then
    redis.call('HDEL', P .. 'boards:held', device)
    redis.call('HDEL', P .. 'boards:faults', device)
  else
    redis.call('HSET', P .. 'boards:held', device, entry)
  end
end

local function held_state(device)
  local held = redis.call('HGET', P .. 'boards:held', device)
  return held and cjson.decode(held).state
end

-- Whether another live board of the platform could take the job instead.
local function another_board(platform, device)
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', P .. 'boards:until', now_s, '+inf')) do
    if other ~= device and not held_state(other) then
      local info = cjson.decode(redis.call('HGET', P .. 'boards', other))
      if info.platform == platform and (info.state == 'online' or info.state == 'busy') then
        return true
      end
    end
  end
  return false
end

-- A running attempt failed. Another one, unless it was cancelled, is nobody's fault but the job's, or was
-- the last: at once where another board could do it, else after a rest that doubles from attempt to attempt.
-- No bell is rung here: `unheard` hands the job to the custodian within its interval.
local function attempt_failed(id, fault_class, code, reason, retryable, rest_s, actor)
  local cancel, device = get(id, 'cancel'), get(id, 'device')
  if cancel then fault_class = '' end -- stopped because somebody asked: nobody's fault
  close_attempt(id, fault_class, code, reason)
  release(id)
  if cancel then
    local by, why = cancel:match('^(.-)\n(.*)$')
    terminate(id, 'running', 'cancelled', by, why)
    return 'cancelled'
  end
  local tries = redis.call('LLEN', attempts_key(id))
  local most = tonumber(get(id, 'max_attempts'))
  if not retryable or tries >= most then
    if retryable then
      redis.call('ZADD', P .. 'dead', now_s, id)
      reason = 'gave up after ' .. tries .. ' attempts: ' .. reason
    end
    terminate(id, 'running', 'failed', actor, reason)
    return 'failed'
  end
  local queue, rest = get(id, 'queue'), math.min(rest_s * 2 ^ (tries - 1), LONGEST_REST_S)
  local elsewhere = queue ~= 'board.' .. device and another_board(get(id, 'platform'), device)
  -- Its time in the queue starts again: a job is not late because its board died.
  local deadline_s = at(now + tonumber(get(id, 'queue_timeout_s')))
  redis.call('HSET', job_key(id), 'avoid', device, 'avoid_until_s', at(now + AVOID_S),
    'deadline_s', deadline_s)
  redis.call('ZADD', P .. 'deadlines', deadline_s, id)
  local said = 'attempt ' .. tries .. ' of ' .. most .. ': ' .. reason
  if rest > 0 and not elsewhere then
    redis.call('ZADD', P .. 'resting', at(now + rest), id)
    said = said .. string.format(' (again in %.1f s)', rest)
  else
    enter_queue(id, queue, get(id, 'priority'), nil, 0)
  end
  transition(id, 'running', 'queued', actor, said)
  return 'queued'
end

-- Whether the writer still holds job and board: the fence before every write of an attempt. (The board is
-- another job's when the lease ran out, that job was claimed, and no custodian has come by yet.)
local function holds(id, epoch)
  return get(id, 'state') == 'running' and get(id, 'epoch') == epoch
    and redis.call('HGET', P .. 'holding', get(id, 'device')) == id
end

local function beat() redis.call('SET', P .. 'heard', now_s) end

local commands = {}

-- submit(actor, then for each job: id, spec, schema, queue, platform, priority, user, queue_timeout_s,
-- max_attempts, traceparent, label). The caller rings right after; `ready` says "rung now", and a bell that
-- never came is found by its age.
function commands.submit(actor)
  local first = line('', 'queued', actor, 'submitted')
  for i = 3, #ARGV, 11 do -- read in place: Lua's stack does not hold a large sweep's arguments
    local id, spec, schema, queue, platform = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
    local priority, user, wait, most = ARGV[i + 5], ARGV[i + 6], ARGV[i + 7], ARGV[i + 8]
    local traceparent, label = ARGV[i + 9], ARGV[i + 10]
    local key, deadline_s = job_key(id), at(now + tonumber(wait))
    if redis.call('EXISTS', key) == 0 then -- else: the same call, repeated by the client library
      redis.call('HSET', key, 'spec', spec, 'schema', schema, 'state', 'queued', 'reason', 'submitted',
        'queue', queue, 'platform', platform, 'priority', priority, 'user', user, 'queue_timeout_s', wait,
        'max_attempts', most, 'created_s', now_s, 'deadline_s', deadline_s, 'epoch', '0',
        'traceparent', traceparent, 'label', label)
      redis.call('ZADD', P .. 'jobs', now_s, id)
      redis.call('ZADD', P .. 'jobs:queued', now_s, id)
      redis.call('RPUSH', key .. ':history', first)
      redis.call('ZADD', P .. 'deadlines', deadline_s, id)
      enter_queue(id, queue, priority, user, now_s)
    end
  end
  return (#ARGV - 2) / 11
end

local function granted(id)
  local key = attempts_key(id)
  local before = redis.call('LINDEX', key, -2)
  return {'granted', id, get(id, 'epoch'), redis.call('LLEN', key), get(id, 'spec'), get(id, 'traceparent'),
    at(cjson.decode(redis.call('LINDEX', key, -1)).started_s - tonumber(get(id, 'queued_s'))),
    before and cjson.decode(before).traceparent or ''}
end

-- The job of a queue whose turn it is on a board, or nil and why none is.
local function next_job(queue, device, platform, schema)
  local why = 'gone'
  for _, id in ipairs(redis.call('ZRANGE', P .. 'order:' .. queue, 0, CANDIDATES - 1)) do
    if redis.call('HSTRLEN', job_key(id), 'spec') > SPEC_LIMIT then
      withdraw(id)
      terminate(id, 'queued', 'failed', 'store', 'its record is larger than a job can be')
    elseif (tonumber(get(id, 'schema')) or 0) > tonumber(schema) then
      why = 'needs a newer agent'
    elseif tonumber(get(id, 'deadline_s')) <= now then
      why = 'late'
    elseif get(id, 'avoid') == device and queue ~= 'board.' .. device
        and tonumber(get(id, 'avoid_until_s')) > now and another_board(platform, device) then
      why = 'better elsewhere'
    else
      return id
    end
  end
  return nil, why
end

-- claim(heard, owner, device, platform, host, domain, lease_s, schema, traceparent of the attempt or ''):
-- {'granted', id, epoch, attempt, spec, traceparent, seconds in the queue, traceparent of the attempt before},
-- or {why not}. The job whose bell was `heard` tells the queue; which of its jobs is granted, their order tells.
-- Idempotent: the same owner asking again is granted the same job and epoch.
function commands.claim(heard, owner, device, platform, host, domain, lease_s, schema, traceparent)
  local held = redis.call('HGET', P .. 'holding', device)
  if held and get(held, 'owner') == owner and holds(held, get(held, 'epoch')) then return granted(held) end
  local queue = get(heard, 'queue')
  if not queue then return {'gone'} end
  if queue ~= 'board.' .. device and queue ~= 'platform.' .. platform then return {'not for this board'} end
  local kept = held_state(device)
  if kept == 'draining' or kept and queue ~= 'board.' .. device then return {kept} end
  if held and tonumber(redis.call('ZSCORE', P .. 'leases', held) or 0) > now then return {'busy'} end
  local id, why = next_job(queue, device, platform, schema)
  if not id then return {why} end
  local epoch = tostring(redis.call('INCR', P .. 'epoch'))
  redis.call('HSET', P .. 'turns:' .. queue, get(id, 'priority'), string.format('%.0f', leave_queue(id)))
  redis.call('ZADD', P .. 'leases', at(now + tonumber(lease_s)), id)
  redis.call('HSET', P .. 'holding', device, id)
  redis.call('HSET', job_key(id), 'epoch', epoch, 'owner', owner, 'device', device, 'host', host,
    'domain', domain)
  redis.call('HSETNX', job_key(id), 'started_s', now_s)
  local attempt = redis.call('LLEN', attempts_key(id)) + 1
  redis.call('RPUSH', attempts_key(id), cjson.encode({number = attempt, epoch = tonumber(epoch),
    device_id = device, host = host, started_s = now, traceparent = traceparent}))
  transition(id, 'queued', 'running', owner, 'attempt ' .. attempt .. ' on ' .. device)
  return granted(id)
end

-- renew(id, epoch, lease_s): 'ok', 'cancel', or 'stale' when the lease is somebody else's by now. A lease
-- that ran out but was not taken yet is renewed: nobody else has started.
function commands.renew(id, epoch, lease_s)
  if not holds(id, epoch) then return 'stale' end
  beat()
  redis.call('ZADD', P .. 'leases', at(now + tonumber(lease_s)), id)
  return get(id, 'cancel') and 'cancel' or 'ok'
end

-- progress(id, epoch, field, value, ...)
function commands.progress(id, epoch, ...)
  if not holds(id, epoch) then return 'stale' end
  redis.call('XADD', job_key(id) .. ':events', 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', 'progress', ...)
  return 'ok'
end

-- succeed(id, epoch, result): the state afterwards, or 'stale'. Repeating it changes nothing.
function commands.succeed(id, epoch, result)
  if not holds(id, epoch) then
    local state = get(id, 'state')
    if state == 'succeeded' and get(id, 'epoch') == epoch then return state end
    if state then remember(id, state, state, 'store', 'late result of epoch ' .. epoch .. ' refused') end
    return 'stale'
  end
  local owner = get(id, 'owner')
  close_attempt(id, '', '', '')
  release(id)
  redis.call('SET', P .. 'work:' .. id .. ':result', result)
  redis.call('HDEL', P .. 'boards:faults', get(id, 'device'))
  terminate(id, 'running', 'succeeded', owner, 'measured')
  return 'succeeded'
end

-- fail(id, epoch, fault_class, code, reason, retryable, rest_s, most): the state afterwards, or 'stale'. The
-- board is quarantined when it is its `most`-th attempt in a row that failed for board or link reasons.
function commands.fail(id, epoch, fault_class, code, reason, retryable, rest_s, most)
  if not holds(id, epoch) then return 'stale' end
  if (fault_class == 'board' or fault_class == 'link') and not get(id, 'cancel') then
    local device = get(id, 'device')
    local faults = redis.call('HINCRBY', P .. 'boards:faults', device, 1)
    if faults >= tonumber(most) and not held_state(device) then
      hold(device, 'quarantined', 'store', faults .. ' faults in a row; the last: ' .. reason)
    end
  end
  return attempt_failed(id, fault_class, code, reason, retryable == '1', tonumber(rest_s), get(id, 'owner'))
end

-- cancel(id, actor, reason): the state afterwards; a running job stays running until its worker hears.
function commands.cancel(id, actor, reason)
  local state = get(id, 'state')
  if state == 'queued' then
    withdraw(id)
    terminate(id, 'queued', 'cancelled', actor, reason)
    return 'cancelled'
  end
  if state == 'running' then
    if redis.call('HSETNX', job_key(id), 'cancel', actor .. '\n' .. reason) == 1 then
      remember(id, 'running', 'running', actor, 'cancel asked: ' .. reason)
    end
  end
  return state
end

-- expire_leases(actor, limit, lease_s, away_s): {id, device, state afterwards, ...} of jobs whose worker went silent.
-- Called about once a second. When nobody at all was heard for away_s, Redis was away: nobody is taken
-- for dead for the length of a lease, because live workers could not renew, and still measure.
function commands.expire_leases(actor, limit, lease_s, away_s)
  local reply, heard = {}, tonumber(redis.call('GET', P .. 'heard') or now)
  beat()
  if now - heard > tonumber(away_s) then
    redis.call('SET', P .. 'heard:grace', at(now + tonumber(lease_s)))
  end
  if tonumber(redis.call('GET', P .. 'heard:grace') or 0) > now then return reply end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now_s, 'LIMIT', 0, limit)) do
    local device, host = get(id, 'device'), get(id, 'host')
    local after = attempt_failed(id, 'host', 'lease_expired',
      'the worker of ' .. device .. ' on ' .. host .. ' went silent', true, 0, actor)
    for _, v in ipairs({id, device, after}) do table.insert(reply, v) end
  end
  return reply
end

-- abandon(actor, device, domain): the new worker of a board, which holds the board's lock, tells that the
-- one before is dead; its job need not wait for the lease. Only within one lock domain is that certain.
function commands.abandon(actor, device, domain)
  local id = redis.call('HGET', P .. 'holding', device)
  if not id or get(id, 'state') ~= 'running' or get(id, 'domain') ~= domain then return '' end
  attempt_failed(id, 'host', 'worker_died', 'the worker of ' .. device .. ' died', true, 0, actor)
  return id
end

-- expire_queued(actor, limit): ids of jobs that waited past their deadline.
function commands.expire_queued(actor, limit)
  local ids = redis.call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', now_s, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    withdraw(id)
    terminate(id, 'queued', 'expired', actor,
      'no board took it within ' .. get(id, 'queue_timeout_s') .. ' s')
  end
  return ids
end

-- unheard(grace_s, limit, key prefix of the transport, separator, last priority): {id, queue, traceparent,
-- label, ...} of bells to ring again. Only where the transport holds fewer bells than there are ready jobs, or
-- re-rung bells would pile up behind a busy board; the longest unrung first, so that each has its turn. Jobs
-- that have rested enter their queue first. The bells of a queue without jobs go: they are of jobs that were
-- cancelled or expired, and where no board ever comes nobody else would take them away.
function commands.unheard(grace_s, limit, prefix, separator, last)
  local reply, room = {}, tonumber(limit)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'resting', '-inf', now_s, 'LIMIT', 0, room)) do
    redis.call('ZREM', P .. 'resting', id)
    enter_queue(id, get(id, 'queue'), get(id, 'priority'), nil, 0)
  end
  for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
    local ready, bells = P .. 'ready:' .. queue, {prefix .. queue}
    for step = 1, tonumber(last) do table.insert(bells, prefix .. queue .. separator .. step) end
    local missing = redis.call('ZCARD', ready)
    if missing == 0 then
      redis.call('SREM', P .. 'queues', queue)
      redis.call('DEL', P .. 'turns:' .. queue, unpack(bells))
    else
      for _, list in ipairs(bells) do missing = missing - redis.call('LLEN', list) end
      missing = math.min(missing, room)
    end
    if missing > 0 then
      local old = at(now - tonumber(grace_s))
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', ready, '-inf', old, 'LIMIT', 0, missing)) do
        redis.call('ZADD', ready, now_s, id)
        room = room - 1
        for _, v in ipairs({id, queue, get(id, 'traceparent'), get(id, 'label')}) do table.insert(reply, v) end
      end
    end
  end
  return reply
end

-- archived(ttl_s, id...): an archive holds these for good; Redis may forget them later.
function commands.archived(ttl_s, ...)
  for _, id in ipairs({...}) do
    if redis.call('ZREM', P .. 'unarchived', id) == 1 then
      redis.call('ZADD', P .. 'prunable', at(now + tonumber(ttl_s)), id)
    end
  end
  return 'ok'
end

-- prune(limit): forget archived jobs whose time has come; returns how many.
function commands.prune(limit)
  local ids = redis.call('ZRANGEBYSCORE', P .. 'prunable', '-inf', now_s, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    local key = job_key(id)
    redis.call('ZREM', P .. 'jobs:' .. get(id, 'state'), id)
    redis.call('ZREM', P .. 'jobs', id)
    redis.call('ZREM', P .. 'dead', id)
    redis.call('ZREM', P .. 'prunable', id)
    redis.call('DEL', key, key .. ':history', key .. ':events', attempts_key(id), P .. 'work:' .. id .. ':result')
  end
  return #ids
end

-- announce(device, owner JSON, info JSON, ttl_s): {'ok'} or {'clash', board, owner JSON of
-- the other}. A board is one owner's; and a uid is one board's, or two boards.toml name the same silicon.
-- An owner of the same lock domain replaces the one before: it holds the board's lock, so that one is dead.
function commands.announce(device, owner, info, ttl_s)
  local mine = cjson.decode(owner)
  for _, other in ipairs({device, redis.call('HGET', P .. 'boards:uid', mine.uid) or device}) do
    if tonumber(redis.call('ZSCORE', P .. 'boards:until', other) or 0) > now then
      local text = redis.call('HGET', P .. 'boards:owner', other)
      local theirs = cjson.decode(text)
      if theirs.owner ~= mine.owner and theirs.domain ~= mine.domain then return {'clash', other, text} end
    end
  end
  redis.call('HSET', P .. 'boards', device, info)
  redis.call('HSET', P .. 'boards:owner', device, owner)
  redis.call('HSET', P .. 'boards:uid', mine.uid, device)
  redis.call('HSET', P .. 'boards:seen', device, now_s)
  redis.call('ZADD', P .. 'boards:until', tonumber(ttl_s) > 0 and at(now + tonumber(ttl_s)) or 0, device)
  return {'ok'}
end

-- boards(): {now, info, seen, until, held or '', ...}
function commands.boards()
  local reply = {now_s}
  local all = redis.call('ZRANGE', P .. 'boards:until', 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    table.insert(reply, redis.call('HGET', P .. 'boards', all[i]))
    table.insert(reply, redis.call('HGET', P .. 'boards:seen', all[i]))
    table.insert(reply, all[i + 1])
    table.insert(reply, redis.call('HGET', P .. 'boards:held', all[i]) or '')
  end
  return reply
end

-- hold_board(device, state, actor, reason, only, release_port): 'draining', 'quarantined', or 'online' to let
-- it go again; only when it is held as `only` now, unless that is ''. release_port: '1' to free the port too.
function commands.hold_board(device, state, actor, reason, only, release_port)
  if redis.call('HEXISTS', P .. 'boards', device) == 0 then return 'unknown' end
  if only ~= '' and held_state(device) ~= only then return 'other' end
  hold(device, state, actor, reason, release_port == '1' or nil)
  return 'ok'
end

-- held(device): 'draining', 'quarantined' or ''.
function commands.held(device)
  return held_state(device) or ''
end

-- ask_identify(device, actor): have the board make itself known to a person; its worker takes the wish.
function commands.ask_identify(device, actor)
  if redis.call('HEXISTS', P .. 'boards', device) == 0 then return 'unknown' end
  redis.call('HSET', P .. 'boards:identify', device, actor)
  return 'ok'
end

-- take_identify(device): who asked, or ''.
function commands.take_identify(device)
  local actor = redis.call('HGET', P .. 'boards:identify', device)
  redis.call('HDEL', P .. 'boards:identify', device)
  return actor or ''
end

-- identified(device, actor, answer): what became of it, in the board's history.
function commands.identified(device, actor, answer)
  note(device, held_state(device) or 'online', actor, answer)
end

-- next_epoch(): a fencing token for what is no job: a board's self-test.
function commands.next_epoch()
  return redis.call('INCR', P .. 'epoch')
end

-- forget_board(device): take a board off the list, unless somebody announces it.
function commands.forget_board(device)
  if tonumber(redis.call('ZSCORE', P .. 'boards:until', device) or 0) > now then return 0 end
  local owner = redis.call('HGET', P .. 'boards:owner', device)
  if owner then redis.call('HDEL', P .. 'boards:uid', cjson.decode(owner).uid) end
  redis.call('HDEL', P .. 'boards', device)
  redis.call('HDEL', P .. 'boards:owner', device)
  redis.call('HDEL', P .. 'boards:seen', device)
  redis.call('HDEL', P .. 'boards:held', device)
  redis.call('HDEL', P .. 'boards:faults', device)
  redis.call('HDEL', P .. 'boards:identify', device)
  redis.call('DEL', P .. 'board:' .. device .. ':history')
  return redis.call('ZREM', P .. 'boards:until', device)
end

-- announce_host(address, info JSON, kept_s, fresh_s): '', or the address of another machine of the same name that was
-- announced within fresh_s; then this one is not listed.
function commands.announce_host(address, info, kept_s, fresh_s)
  local mine, listed = cjson.decode(info), redis.call('HGETALL', P .. 'hosts')
  for i = 1, #listed, 2 do
    local other, till = cjson.decode(listed[i + 1]), redis.call('ZSCORE', P .. 'hosts:until', listed[i])
    if other.host == mine.host and (other.machine or '') ~= mine.machine
        and tonumber(till or 0) > now + tonumber(kept_s) - tonumber(fresh_s) then
      return listed[i]
    end
  end
  redis.call('HSET', P .. 'hosts', address, info)
  redis.call('ZADD', P .. 'hosts:until', at(now + tonumber(kept_s)), address)
  return ''
end

-- withdraw_host(address)
function commands.withdraw_host(address)
  redis.call('HDEL', P .. 'hosts', address)
  redis.call('ZREM', P .. 'hosts:until', address)
end

-- hosts(): {info JSON, ...}; those silent for too long are forgotten.
function commands.hosts()
  for _, address in ipairs(redis.call('ZRANGEBYSCORE', P .. 'hosts:until', '-inf', now_s)) do
    commands.withdraw_host(address)
  end
  return redis.call('HVALS', P .. 'hosts')
end

-- queue_depths(): {queue, queued jobs, age of the oldest in seconds, ...} of queues that have had jobs.
function commands.queue_depths()
  local reply = {}
  for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
    local oldest, ids = 0, redis.call('ZRANGE', P .. 'ready:' .. queue, 0, AGED - 1)
    for _, id in ipairs(ids) do oldest = math.max(oldest, now - tonumber(get(id, 'queued_s'))) end
    for _, v in ipairs({queue, redis.call('ZCARD', P .. 'ready:' .. queue), at(oldest)}) do
      table.insert(reply, v)
    end
  end
  return reply
end

if ARGV[1] == 'submit' then return commands.submit(ARGV[2]) end
return commands[ARGV[1]](unpack(ARGV, 2))
