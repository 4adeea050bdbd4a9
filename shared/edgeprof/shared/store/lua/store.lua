-- The job store: every change of a job or a board is one call of this script, so it happens whole or
-- not at all, on Redis' clock, and leaves a line in the job's history that says who and why.
--
-- Keys ($p is the store's prefix, "edgeprof:" unless told otherwise)
--
-- $p job:$id            hash    one job:
--                               spec (JSON, never changes), schema (its version), state, reason, queue,
--                               platform (when that is the target), priority, user, max_attempts, created_s,
--                               queue_timeout_s (how long it may wait in its queue), deadline_s (when it expires there),
--                               queued_s (last time it entered its queue), started_s, finished_s, label (what
--                               it is, for people), epoch, owner, device, host, lock_domain, cancel
--                               ("actor\nreason" once asked), avoid, avoid_until_s, traceparent
-- $p work:$id:attempts  list    JSON, one a try; the last is open (no ended_s) while the job runs
-- $p work:$id:result    string  JSON. `work:` is what clients may read and only workers write (deploy/redis)
-- $p job:$id:history    list    JSON, one a transition: {s, from, to, actor, reason}
-- $p job:$id:events     stream  what a watcher sees: transitions and progress, capped
-- $p jobs               zset    every job -> created_s
-- $p jobs:$state        zset    the jobs in that state -> created_s
-- $p queues             set     queues that have had ready jobs
-- $p ready:$queue       zset    the queued jobs of a queue -> when their doorbell was last sent
-- $p order:$queue       zset    the same jobs -> their rank: the lowest is claimed first
-- $p turns:$queue       hash    priority -> turn of the job claimed last; priority:user -> the user's last turn
-- $p delayed            zset    queued jobs between two attempts -> when they enter their queue again
-- $p deadlines          zset    the queued jobs -> when they expire
-- $p leases             zset    the running jobs -> when their lease runs out
-- $p running_on          hash    board -> the job that runs on it
-- $p epoch              string  fencing tokens: ONE counter for the lab, so that a board too sees them grow
-- $p dead               zset    jobs given up after their last attempt -> when
-- $p newer:$v:$queue    zset    queued jobs of schema $v, which the agents that looked cannot read -> their rank
-- $p unarchived         zset    finished jobs no archive holds yet -> finished_s
-- $p unreadable         zset    finished jobs that the archive's version cannot read or keep -> finished_s
-- $p prunable           zset    archived jobs -> when they may be forgotten
-- $p rearchive          zset    jobs that an archive held which is gone -> when they might have been forgotten
-- $p boards             hash    board -> BoardInfo (JSON), as last announced
-- $p boards:owner       hash    board -> {owner, host, pid, lock_domain, uid} (JSON)
-- $p boards:uid         hash    uid of the silicon -> board
-- $p boards:seen        hash    board -> when it was last announced
-- $p boards:until       zset    board -> until when the announcement holds (0: said goodbye)
-- $p boards:cordoned    hash    board -> {state, reason, actor, s, of_host, release_port} (JSON): draining or
--                              quarantined; of_host: for what its host lacks; release_port: its port is to be free
-- $p boards:identify   hash    board -> who wants it to make itself known
-- $p boards:faults     hash    board -> how many attempts in a row failed for board or link reasons
-- $p board:$b:history  list    JSON, one a change of its cordon: {s, state, actor, reason}; the last 100
-- $p hosts             hash    address of a host agent's metrics -> HostInfo (JSON)
-- $p hosts:until       zset    address -> until when it is listed
-- $p hosts:cordoned    hash    host -> {actor, reason, s} (JSON): none of its boards gets a job
-- $p hosts:faults      hash    host -> how many attempts in a row failed for its own reasons
-- $p blob:$sha256       string  a model file                                        (blobs.py)
-- $p last_sign          string  when a custodian or a working board last gave a sign
-- $p last_sign:grace    string  until when nobody is taken for dead, after a time when nobody gave a sign
-- $p custodian          string  who leads the custodians, with a TTL                (custodian.py)
-- $p scrub              hash    zset of jobs -> how far the custodian's check of it has come
-- $p aside              list    JSON, what was set aside and nobody has logged yet: {s, where, id, why}; the last 1000
-- $p store              hash    id: random, made with the first key; emptied_s: when a store before it vanished
--
-- Whatever stands here may have been written by somebody else. An entry without a sound record, a record of a
-- newer version, a field that is no number and a key of another type cost themselves and a line in `aside`, never
-- the call that met them.
--
-- "lock_domain" names a set of processes that share one folder of board locks (workers/board/locks.py).

local P = KEYS[1]
local time = redis.call('TIME')
local now_s = time[1] .. '.' .. string.format('%06d', time[2])
local now = tonumber(now_s)

local EVENTS_KEPT = 512
local AVOID_S = 20
-- Of a job's JSON, as JobSpec.largest_bytes. A larger one was not written by us, and no worker reads it.
local SPEC_LIMIT = 512 * 1024
-- As JobResult.largest_bytes.
local RESULT_LIMIT = 8 * 1024 * 1024
-- After so much of several jobs a reply ends: whoever asked has to hold it.
local REPLY_LIMIT = 32 * 1024 * 1024
local LONGEST_BACKOFF_S = 60
-- Priorities are ranks apart by more turns than a queue will ever hand out.
local RANKS = 1e12
-- How many jobs a claim reads at once, and looks at in all, for one that suits the board.
local CANDIDATES, MOST_CANDIDATES = 200, 10000
-- How many queues one call walks through: a lab has some hundreds, and anyone may add names.
local QUEUES = 1000
-- How many attempts and lines of history of a job are read; ours have at most 20 and a few each.
local ATTEMPTS_READ, HISTORY_KEPT = 100, 1000
local MOST_ATTEMPTS = 20 -- as JobSpec.max_attempts
-- How many boards and hosts one call looks at: a lab has some hundreds, and anyone with a worker's login may add.
local BOARDS, HOSTS = 5000, 1000
-- Longest record of a board, a host or an attempt, as TolerantModel.largest_bytes of BoardInfo; of a label or a traceparent.
local ENTRY_LIMIT, LABEL_LIMIT = 64 * 1024, 512
-- No lease and no announcement of ours runs for longer: what says so was written by somebody else.
local LONGEST_UNTIL_S = 2 * 86400
-- How far a fencing token may be ahead of the time in ms: Redis' clock may be set back, but not by more.
local EPOCH_AHEAD_MS = 86400e3
-- How many of a queue's longest unsent jobs are looked at for the oldest: a bound on the work of a scrape.
local AGED = 200

local STATES = {'queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired'}
local IS_STATE, IS_TERMINAL = {}, {}
for _, state in ipairs(STATES) do
  IS_STATE[state] = true
  IS_TERMINAL[state] = state ~= 'queued' and state ~= 'running'
end

local function job_key(id) return P .. 'job:' .. id end
local function at(s) return string.format('%.6f', s) end

-- Whether a reply is an error that has this text in it.
local function failed_with(reply, text)
  return type(reply) == 'table' and reply.err and string.find(reply.err, text, 1, true) ~= nil
end

local note_aside

-- The reply of a command. A key of another type than the command's holds nothing of ours, and would stop every call
-- that comes upon it: it gives way, and its removal is noted.
local function call(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if not failed_with(reply, '') then return reply end
  if not failed_with(reply, 'WRONGTYPE') then return redis.call(command, key, ...) end
  local found = redis.call('TYPE', key).ok
  redis.call('DEL', key)
  note_aside(string.sub(key, #P + 1), '', 'a key of type ' .. found .. ' stood there')
  return redis.call(command, key, ...)
end

-- The reply of a command, or nil where the key is of another type. Any other error is raised.
local function try(...)
  local reply = redis.pcall(...)
  if failed_with(reply, 'WRONGTYPE') then return nil end
  if failed_with(reply, '') then return redis.call(...) end
  return reply
end

-- Write to a stream that nothing but reading depends on. One that was filled up to the last possible id gives way.
local function append(key, ...)
  local reply = redis.pcall('XADD', key, ...)
  if failed_with(reply, 'XADD') or failed_with(reply, 'exhausted') then redis.call('DEL', key) end
  if failed_with(reply, '') then call('XADD', key, ...) end
end

local function get(id, field) return try('HGET', job_key(id), field) or nil end

-- A finite number from a text, or the default.
local function number(text, default)
  local value = tonumber(text or nil)
  if value and value == value and math.abs(value) < 1e15 then return value end
  return default
end

-- A table from JSON that somebody wrote, or nil.
local function decoded(text)
  local ok, value = pcall(cjson.decode, text or '')
  return ok and type(value) == 'table' and value or nil
end

-- A field of a hash, or nil where there is none or it is longer than ours are.
local function short(key, field, most)
  if call('HSTRLEN', key, field) > most then return nil end
  return call('HGET', key, field) or nil
end

-- A table from JSON in a field of a hash, or nil.
local function entry_of(name, field) return decoded(short(P .. name, field, ENTRY_LIMIT)) end

-- JSON of a table that somebody else may have put a NaN into, or nil.
local function encoded(value)
  local ok, text = pcall(cjson.encode, value)
  return ok and text or nil
end

-- Whether a job's id is one that we give. Another may be no text, so that its readers do not find it again.
local function is_id(id) return #id <= 64 and string.find(id, '^%w[%w._-]*$') ~= nil end

-- Whether a queue's name is one that we give. Others are not walked: their keys may be long, or anybody's.
local function is_queue(name)
  return #name <= 128 and (string.find(name, '^board%.[%w._-]+$') or string.find(name, '^platform%.[%w._-]+$')) ~= nil
end

-- Some of the queues in use.
local function some_queues()
  local found = {}
  for _, queue in ipairs(call('SRANDMEMBER', P .. 'queues', QUEUES)) do
    if is_queue(queue) then table.insert(found, queue) end
  end
  return found
end

local function score(name, member) return number(call('ZSCORE', P .. name, member), 0) end

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

-- What every command needs of a job's record, or nil and why it is none of ours.
local function sound(id)
  local values = try('HMGET', job_key(id), 'state', 'queue', 'platform', 'priority', 'user', 'queue_timeout_s',
    'max_attempts', 'queued_s', 'deadline_s', 'schema', 'avoid', 'avoid_until_s', 'avoid_host')
  if not values then return nil, 'its record is a key of another type' end
  if not values[1] then return nil, 'it has no record' end
  if not is_id(id) then return nil, 'its id is none' end
  local job = {state = values[1], queue = values[2] or '', platform = values[3] or '', user = values[5] or '',
    priority = number(values[4]), queue_timeout_s = number(values[6]), max_attempts = number(values[7]),
    queued_s = number(values[8], now), deadline_s = number(values[9]), schema = number(values[10]),
    avoid = values[11], avoid_until_s = number(values[12], 0), avoid_host = values[13]}
  if not IS_STATE[job.state] then return nil, 'its state is none' end
  local spec_bytes = call('HSTRLEN', job_key(id), 'spec')
  if spec_bytes > SPEC_LIMIT then return nil, 'its record is larger than a job can be' end
  if spec_bytes == 0 or not (job.priority and job.queue_timeout_s and job.max_attempts and job.deadline_s and job.schema)
      or job.schema < 1 or job.priority < 0 or job.priority > 9 or job.priority % 1 ~= 0
      or job.max_attempts > MOST_ATTEMPTS or not is_queue(job.queue) then
    return nil, 'its record is malformed'
  end
  return job
end

function note_aside(where, id, why)
  call('LPUSH', P .. 'aside', cjson.encode({s = now, where = string.sub(where, 1, 200), id = string.sub(id, 1, 64), why = why}))
  call('LTRIM', P .. 'aside', 0, 999)
end

-- Take an entry that no sound record stands behind out of a zset, and say so. Where there is a record all the same,
-- its job has failed: whoever waits for it must learn that.
local function set_aside(where, id, why)
  call('ZREM', P .. where, id)
  note_aside(where, id, why)
  local state = get(id, 'state')
  if state == 'queued' or state == 'running' then
    for _, name in ipairs({'deadlines', 'delayed', 'leases'}) do call('ZREM', P .. name, id) end
    terminate(id, state, 'failed', 'store', why)
  end
end

-- The first `most` jobs of a zset, as {id, record}, whose records are sound and `fits` says belong there. Others are
-- taken out on the way: they would be met again by every later call.
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

local function attempts_key(id) return P .. 'work:' .. id .. ':attempts' end

local function close_attempt(id, fault_class, code, reason)
  local key = attempts_key(id)
  local attempt = decoded(call('LINDEX', key, -1))
  if not attempt then return end -- nobody reads what is none
  attempt.ended_s = now
  if fault_class ~= '' then
    attempt.fault_class, attempt.code, attempt.reason = fault_class, code, reason
  end
  call('LSET', key, -1, encoded(attempt) or '')
end

local function release(id)
  local device = get(id, 'device')
  if device and call('HGET', P .. 'running_on', device) == id then
    call('HDEL', P .. 'running_on', device)
  end
  call('ZREM', P .. 'leases', id)
  call('HDEL', job_key(id), 'owner')
end

-- A board is cordoned (no jobs, or only its own) or let go; said in its history.
local function note(device, state, actor, reason, flags)
  local entry = cjson.encode({s = now, state = state, actor = actor, reason = reason,
    of_host = flags.of_host, release_port = flags.release_port})
  call('RPUSH', P .. 'board:' .. device .. ':history', entry)
  call('LTRIM', P .. 'board:' .. device .. ':history', -100, -1)
  return entry
end

local function set_cordon(device, state, actor, reason, flags)
  local entry = note(device, state, actor, reason, flags)
  if state == 'online' then
    call('HDEL', P .. 'boards:cordoned', device)
    call('HDEL', P .. 'boards:faults', device)
  else
    call('HSET', P .. 'boards:cordoned', device, entry)
  end
end

local function cordon_state(device)
  local cordon = entry_of('boards:cordoned', device)
  return cordon and (cordon.state == 'draining' or cordon.state == 'quarantined') and cordon.state or nil
end

-- Whether a cordon has a flag: of_host, and the board cannot do its own jobs either; release_port.
local function cordon_has(device, flag)
  local cordon = entry_of('boards:cordoned', device)
  return cordon and cordon[flag] == true or false
end

local function cordoned(host) return call('HEXISTS', P .. 'hosts:cordoned', host) == 1 end

-- {board, what it announced} of the live ones, read once a call.
local live
local function live_boards()
  if live then return live end
  live = {}
  for _, other in ipairs(call('ZRANGEBYSCORE', P .. 'boards:until', now_s, '+inf', 'LIMIT', 0, BOARDS)) do
    local info = entry_of('boards', other)
    if info then table.insert(live, {other, info}) end
  end
  return live
end

-- Whether a live board of the platform that `differs` could take the job instead.
local function another_board(platform, differs)
  for _, found in ipairs(live_boards()) do
    local other, info = found[1], found[2]
    if info.platform == platform and differs(other, info.host) and not cordon_state(other)
        and not cordoned(tostring(info.host)) and (info.state == 'online' or info.state == 'busy') then
      return true
    end
  end
  return false
end

local function board_but(device) return function(other) return other ~= device end end
local function host_but(host) return function(_, other) return other ~= host end end

-- A running attempt failed. Another one, unless it was cancelled, is nobody's fault but the job's, or was
-- the last: at once where another board could do it, else after a backoff that doubles from attempt to attempt. A job
-- that failed for its host's own reasons goes to another host while there is one. When host or board get no jobs
-- until that is mended, this was not its last attempt: up to twice as many are granted then.
-- No doorbell is sent here: `stale_notifications` hands the job to the custodian within its interval.
local function attempt_failed(id, fault_class, code, reason, retryable, backoff_s, actor, of_host)
  local cancel, device, host = get(id, 'cancel'), get(id, 'device') or '', get(id, 'host') or ''
  if cancel then fault_class = '' end -- stopped because somebody asked: nobody's fault
  close_attempt(id, fault_class, code, reason)
  release(id)
  if cancel then
    local by, why = cancel:match('^(.-)\n(.*)$')
    terminate(id, 'running', 'cancelled', by or actor, why or 'cancelled')
    return 'cancelled'
  end
  local job, unsound = sound(id)
  if not job then
    terminate(id, 'running', 'failed', 'store', unsound)
    return 'failed'
  end
  local tries, most = call('LLEN', attempts_key(id)), job.max_attempts
  if cordoned(host) or cordon_has(device, 'of_host') then most = 2 * most end
  if not retryable or tries >= most then
    if retryable then
      call('ZADD', P .. 'dead', now_s, id)
      reason = 'gave up after ' .. tries .. ' attempts: ' .. reason
    end
    terminate(id, 'running', 'failed', actor, reason)
    return 'failed'
  end
  local backoff = math.min(backoff_s * 2 ^ math.min(tries - 1, 20), LONGEST_BACKOFF_S)
  local elsewhere = job.queue ~= 'board.' .. device
    and another_board(job.platform, of_host and host_but(host) or board_but(device))
  -- Its time in the queue starts again: a job is not late because its board died.
  local deadline_s = at(now + job.queue_timeout_s)
  call('HSET', job_key(id), 'avoid', device, 'avoid_until_s', at(now + AVOID_S),
    'avoid_host', of_host and host or '', 'deadline_s', deadline_s)
  call('ZADD', P .. 'deadlines', deadline_s, id)
  local said = 'attempt ' .. tries .. ' of ' .. most .. ': ' .. reason
  if backoff > 0 and not elsewhere then
    call('ZADD', P .. 'delayed', at(now + backoff), id)
    said = said .. string.format(' (again in %.1f s)', backoff)
  else
    enter_queue(id, job.queue, job.priority, nil, 0)
  end
  transition(id, 'running', 'queued', actor, said)
  return 'queued'
end

-- Whether the writer still holds job and board: the fence before every write of an attempt. (The board is
-- another job's when the lease ran out, that job was claimed, and no custodian has come by yet.)
local function holds(id, epoch)
  return get(id, 'state') == 'running' and get(id, 'epoch') == epoch
    and call('HGET', P .. 'running_on', get(id, 'device') or '') == id
end

-- A fencing token: at least the time in ms, for boards remember the highest they saw, and would refuse to begin anew
-- at 1, in an empty store or after somebody wrote a small one. One that is far ahead of the time is nobody's either.
local function next_epoch()
  local reply, least = redis.pcall('INCR', P .. 'epoch'), math.floor(now * 1000)
  local epoch = type(reply) == 'number' and reply or 0
  if epoch < least or epoch > least + EPOCH_AHEAD_MS then
    epoch = least
    call('SET', P .. 'epoch', string.format('%.0f', epoch))
  end
  return string.format('%.0f', epoch)
end

local function beat() call('SET', P .. 'last_sign', now_s) end

local commands = {}

-- submit(actor, then for each job: id, spec, schema, queue, platform, priority, user, queue_timeout_s,
-- max_attempts, traceparent, label). The caller notifies right after; `ready` says "sent now", and a doorbell that
-- never came is found by its age.
function commands.submit(actor)
  local first = line('', 'queued', actor, 'submitted')
  for i = 3, #ARGV, 11 do -- read in place: Lua's stack does not hold a large sweep's arguments
    local id, spec, schema, queue, platform = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
    local priority, user, wait, most = ARGV[i + 5], ARGV[i + 6], ARGV[i + 7], ARGV[i + 8]
    local traceparent, label = ARGV[i + 9], ARGV[i + 10]
    local key, deadline_s = job_key(id), at(now + tonumber(wait))
    if call('EXISTS', key) == 0 then -- else: the same call, repeated by the client library
      call('HSET', key, 'spec', spec, 'schema', schema, 'state', 'queued', 'reason', 'submitted',
        'queue', queue, 'platform', platform, 'priority', priority, 'user', user, 'queue_timeout_s', wait,
        'max_attempts', most, 'created_s', now_s, 'deadline_s', deadline_s, 'epoch', '0',
        'traceparent', traceparent, 'label', label)
      call('ZADD', P .. 'jobs', now_s, id)
      call('ZADD', P .. 'jobs:queued', now_s, id)
      call('RPUSH', key .. ':history', first)
      call('ZADD', P .. 'deadlines', deadline_s, id)
      enter_queue(id, queue, priority, user, now_s)
    end
  end
  return (#ARGV - 2) / 11
end

local function granted(id)
  local key = attempts_key(id)
  local before, current = decoded(call('LINDEX', key, -2)), decoded(call('LINDEX', key, -1)) or {}
  local started_s, traceparent = number(current.started_s, now), before and before.traceparent
  return {'granted', id, get(id, 'epoch'), call('LLEN', key), get(id, 'spec') or '',
    short(job_key(id), 'traceparent', LABEL_LIMIT) or '', at(started_s - number(get(id, 'queued_s'), started_s)),
    type(traceparent) == 'string' and traceparent or ''}
end

-- Jobs of a newer schema wait apart, where they are in nobody's way; the first agent that knows it fetches them.
local function set_newer_apart(id, job)
  local order, apart = P .. 'order:' .. job.queue, 'newer:' .. string.format('%.0f', job.schema) .. ':' .. job.queue
  call('ZADD', P .. apart, call('ZSCORE', order, id), id)
  call('ZREM', order, id)
  call('ZREM', P .. 'ready:' .. job.queue, id)
  note_aside('order:' .. job.queue, id, 'it needs a newer agent')
end

local function fetch_newer(queue, schema)
  for version = 2, math.min(schema, 100) do
    local apart = P .. 'newer:' .. version .. ':' .. queue
    local jobs = call('ZRANGE', apart, 0, -1, 'WITHSCORES')
    for i = 1, #jobs, 2 do
      call('ZADD', P .. 'order:' .. queue, jobs[i + 1], jobs[i])
      call('ZADD', P .. 'ready:' .. queue, now_s, jobs[i])
    end
    call('DEL', apart)
  end
end

-- The job of a queue whose turn it is on a board, or nil and why none is; 'again' when some were taken out of its way
-- and there are more to look at, which is another call's work. What cannot be granted to anyone is taken
-- out of the queue: the ghosts of one caller, or the late jobs of a time without custodian, would hide all others.
local function next_job(queue, device, host, platform, schema)
  local why, order, skipped, looked = 'gone', 'order:' .. queue, 0, 0
  local other_board, other_host, more
  repeat
    local ids = call('ZRANGE', P .. order, skipped, skipped + CANDIDATES - 1)
    for _, id in ipairs(ids) do
      local job, unsound = sound(id)
      if not job then
        call('ZREM', P .. 'ready:' .. queue, id)
        set_aside(order, id, unsound)
      elseif job.state ~= 'queued' or job.queue ~= queue then
        call('ZREM', P .. 'ready:' .. queue, id)
        call('ZREM', P .. order, id)
        note_aside(order, id, 'it is ' .. job.state .. ', of ' .. job.queue)
      elseif job.schema > schema then
        why = 'needs a newer agent'
        set_newer_apart(id, job)
      elseif job.deadline_s <= now then
        why = 'late'
        expire(id, job, 'store')
      else
        local better = false
        if queue ~= 'board.' .. device then
          if job.avoid_host == host then
            if other_host == nil then other_host = another_board(platform, host_but(host)) end
            better = other_host
          elseif job.avoid == device and job.avoid_until_s > now then
            if other_board == nil then other_board = another_board(platform, board_but(device)) end
            better = other_board
          end
        end
        if not better then return id, job end
        why, skipped = 'better elsewhere', skipped + 1
      end
    end
    looked, more = looked + #ids, #ids == CANDIDATES
  until not more or looked >= MOST_CANDIDATES
  return nil, more and skipped < looked and 'again' or why
end

-- claim(notified_job_id, owner, device, platform, host, lock_domain, lease_s, schema, traceparent of the attempt or ''):
-- {'granted', id, epoch, attempt, spec, traceparent, seconds in the queue, traceparent of the attempt before},
-- or {why not}. The job that the doorbell named
-- tells the queue; the order of that queue tells which of its jobs is granted.
-- {'again'}: ask again, for so far there was nothing but what stood in the way. Has that queue nothing, or was the doorbell of no job of this board, the board's other queue is
-- looked at: else a job would wait behind every doorbell that somebody sent for nothing.
-- Idempotent: the same owner asking again is granted the same job and epoch.
function commands.claim(notified_job_id, owner, device, platform, host, lock_domain, lease_s, schema, traceparent)
  local held = call('HGET', P .. 'running_on', device)
  if held and get(held, 'owner') == owner and holds(held, get(held, 'epoch')) then return granted(held) end
  local own, shared = 'board.' .. device, 'platform.' .. platform
  local queue, kept = get(notified_job_id, 'queue'), cordon_state(device)
  if cordoned(host) then return {'its host is cordoned'} end
  if kept == 'draining' or kept and cordon_has(device, 'of_host') then return {kept} end
  if held and get(held, 'state') == 'running' and get(held, 'device') == device and score('leases', held) > now then
    return {'busy'}
  end
  local id, job, why
  for _, mine in ipairs(queue == own and {own, shared} or {shared, own}) do
    if kept and mine == shared then
      job = kept
    else
      fetch_newer(mine, tonumber(schema))
      id, job = next_job(mine, device, host, platform, tonumber(schema))
    end
    if mine == queue or job == 'again' and not id then why = job end
    if id then
      queue = mine
      break
    end
  end
  if not id then
    if why == 'again' then return {why} end
    local newer = number(get(notified_job_id, 'schema'), 0) > tonumber(schema) and 'needs a newer agent'
    return {newer or why or queue and 'not for this board' or 'gone'}
  end
  local epoch = next_epoch()
  call('HSET', P .. 'turns:' .. queue, job.priority, string.format('%.0f', leave_queue(id, queue)))
  call('ZADD', P .. 'leases', at(now + tonumber(lease_s)), id)
  call('HSET', P .. 'running_on', device, id)
  call('HSET', job_key(id), 'epoch', epoch, 'owner', owner, 'device', device, 'host', host,
    'lock_domain', lock_domain)
  call('HSETNX', job_key(id), 'started_s', now_s)
  local attempt = call('LLEN', attempts_key(id)) + 1
  call('RPUSH', attempts_key(id), cjson.encode({number = attempt, epoch = tonumber(epoch),
    device_id = device, host = host, started_s = now, traceparent = traceparent}))
  transition(id, 'queued', 'running', owner, 'attempt ' .. attempt .. ' on ' .. device)
  return granted(id)
end

-- renew(id, epoch, lease_s): 'ok', 'cancel', or 'stale' when the lease is somebody else's by now. A lease
-- that ran out but was not taken yet is renewed: nobody else has started.
function commands.renew(id, epoch, lease_s)
  if not holds(id, epoch) then return 'stale' end
  beat()
  call('ZADD', P .. 'leases', at(now + tonumber(lease_s)), id)
  return get(id, 'cancel') and 'cancel' or 'ok'
end

-- progress(id, epoch, field, value, ...)
function commands.progress(id, epoch, ...)
  if not holds(id, epoch) then return 'stale' end
  append(job_key(id) .. ':events', 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', 'progress', ...)
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
  local owner, host = get(id, 'owner') or '', get(id, 'host') or ''
  close_attempt(id, '', '', '')
  release(id)
  call('SET', P .. 'work:' .. id .. ':result', result)
  call('HDEL', P .. 'boards:faults', get(id, 'device') or '')
  call('HDEL', P .. 'hosts:faults', host)
  terminate(id, 'running', 'succeeded', owner, 'measured')
  return 'succeeded'
end

local function cordon_host(host, actor, reason)
  call('HSET', P .. 'hosts:cordoned', host, cjson.encode({actor = actor, reason = reason, s = now}))
end

-- How many faults in a row a board or a host has had, with this one.
local function one_more(name, field)
  local faults = number(call('HGET', P .. name, field), 0) + 1
  call('HSET', P .. name, field, faults)
  return faults
end

-- fail(id, epoch, fault_class, code, reason, retryable, backoff_s, most, blame): the state afterwards, or 'stale'. The
-- board is quarantined when it is to blame for its `most`-th attempt in a row, its host is cordoned likewise; blame
-- is 'board', 'host' or ''.
function commands.fail(id, epoch, fault_class, code, reason, retryable, backoff_s, most, blame)
  if not holds(id, epoch) then return 'stale' end
  local device, host, owner = get(id, 'device'), get(id, 'host') or '', get(id, 'owner') or ''
  if not get(id, 'cancel') then
    if blame == 'board' then
      local faults = one_more('boards:faults', device)
      if faults >= tonumber(most) and not cordon_state(device) then
        set_cordon(device, 'quarantined', 'store', faults .. ' faults in a row; the last: ' .. reason, {})
      end
    elseif blame == 'host' then
      local faults = one_more('hosts:faults', host)
      if faults >= tonumber(most) and not cordoned(host) then
        cordon_host(host, 'store', faults .. ' faults of the host in a row; the last: ' .. reason)
      end
    end
  end
  return attempt_failed(id, fault_class, code, reason, retryable == '1', tonumber(backoff_s), owner, blame == 'host')
end

-- cancel(id, actor, reason): the state afterwards; a running job stays running until its worker hears.
function commands.cancel(id, actor, reason)
  local state = get(id, 'state')
  if state == 'queued' then
    local job = sound(id)
    if not job then return state end -- a worker or the custodian ends it as soon as they come upon it
    withdraw(id, job)
    terminate(id, 'queued', 'cancelled', actor, reason)
    return 'cancelled'
  end
  if state == 'running' then
    if call('HSETNX', job_key(id), 'cancel', actor .. '\n' .. reason) == 1 then
      remember(id, 'running', 'running', actor, 'cancel asked: ' .. reason)
    end
  end
  return state or ''
end

-- expire_leases(actor, limit, lease_s, away_s): {id, device, state afterwards, ...} of jobs whose worker went silent.
-- Called about once a second. When nobody at all gave a sign for away_s, Redis was away: nobody is taken
-- for dead for the length of a lease, because live workers could not renew, and still measure.
function commands.expire_leases(actor, limit, lease_s, away_s)
  local reply, last_sign = {}, number(call('GET', P .. 'last_sign'), now)
  beat()
  if now - last_sign > tonumber(away_s) then
    call('SET', P .. 'last_sign:grace', at(now + tonumber(lease_s)))
  end
  -- No grace of ours is longer than a lease.
  if math.min(number(call('GET', P .. 'last_sign:grace'), 0), now + tonumber(lease_s)) > now then return reply end
  local due = call('ZRANGEBYSCORE', P .. 'leases', '-inf', now_s, 'LIMIT', 0, limit)
  for _, found in ipairs(sound_jobs('leases', due, is_running)) do
    local id = found[1]
    local device, host = get(id, 'device') or 'a board', get(id, 'host') or 'a host'
    local after = attempt_failed(id, 'host', 'lease_expired',
      'the worker of ' .. device .. ' on ' .. host .. ' went silent', true, 0, actor)
    for _, v in ipairs({id, device, after}) do table.insert(reply, v) end
  end
  return reply
end

-- reclaim(actor, device, lock_domain): the new worker of a board, which holds the board's lock, tells that the
-- one before is dead; its job need not wait for the lease. Only within one lock domain is that certain.
function commands.reclaim(actor, device, lock_domain)
  local id = call('HGET', P .. 'running_on', device)
  if not id or get(id, 'state') ~= 'running' or get(id, 'lock_domain') ~= lock_domain then return '' end
  attempt_failed(id, 'host', 'worker_died', 'the worker of ' .. device .. ' died', true, 0, actor)
  return id
end

-- expire_queued(actor, limit): ids of jobs that waited past their deadline.
function commands.expire_queued(actor, limit)
  local due, expired = call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', now_s, 'LIMIT', 0, limit), {}
  for _, found in ipairs(sound_jobs('deadlines', due, is_queued)) do
    expire(found[1], found[2], actor)
    table.insert(expired, found[1])
  end
  return expired
end

-- stale_notifications(grace_s, limit, key prefix of the transport, separator, last priority): {id, queue, traceparent,
-- label, ...} of doorbells to send again. Only where the transport holds fewer doorbells than there are ready jobs, or
-- repeated doorbells would pile up behind a busy board; the longest unsent first, so that each has its turn. Jobs
-- whose backoff is over enter their queue first. The doorbells of a queue without jobs go: they are of jobs that were
-- cancelled or expired, and where no board ever comes nobody else would take them away.
function commands.stale_notifications(grace_s, limit, prefix, separator, last)
  local reply, room = {}, tonumber(limit)
  local due = call('ZRANGEBYSCORE', P .. 'delayed', '-inf', now_s, 'LIMIT', 0, room)
  for _, found in ipairs(sound_jobs('delayed', due, is_queued)) do
    call('ZREM', P .. 'delayed', found[1])
    enter_queue(found[1], found[2].queue, found[2].priority, nil, 0)
  end
  for _, queue in ipairs(some_queues()) do
    local ready, doorbells = P .. 'ready:' .. queue, {prefix .. queue}
    for step = 1, tonumber(last) do table.insert(doorbells, prefix .. queue .. separator .. step) end
    local missing = call('ZCARD', ready)
    if missing == 0 then
      call('SREM', P .. 'queues', queue)
      call('DEL', P .. 'turns:' .. queue, unpack(doorbells))
    else
      for _, list in ipairs(doorbells) do
        local waiting = try('LLEN', list)
        if not waiting then call('DEL', list) end -- no worker could pop from it
        missing = missing - (waiting or 0)
      end
      missing = math.min(missing, room)
    end
    if missing > 0 then
      local old = at(now - tonumber(grace_s))
      local ids = call('ZRANGEBYSCORE', ready, '-inf', old, 'LIMIT', 0, missing)
      local function belongs(job) return job.state == 'queued' and job.queue == queue end
      for _, found in ipairs(sound_jobs('ready:' .. queue, ids, belongs)) do
        local id = found[1]
        call('ZADD', ready, now_s, id)
        room = room - 1
        local key = job_key(id)
        local traceparent, label = short(key, 'traceparent', LABEL_LIMIT), short(key, 'label', LABEL_LIMIT)
        for _, v in ipairs({id, queue, traceparent or '', label or ''}) do
          table.insert(reply, v)
        end
      end
    end
  end
  return reply
end

-- heal(page): shared keys of another type than ours go, and a page of the queued and of the running jobs is held
-- against the sets that move them on: a job that fell out of one is put back. Called by the custodian.
function commands.heal(page)
  for name, kind in pairs(TYPES) do heal(name, kind) end
  for _, queue in ipairs(call('SRANDMEMBER', P .. 'queues', QUEUES)) do
    if is_queue(queue) then heal_queue(queue)
    else
      call('SREM', P .. 'queues', queue)
      note_aside('queues', queue, 'it is the name of no queue')
    end
  end
  -- A lease without end would keep a job from ever being tried again, an announcement without end a dead board live.
  for _, name in ipairs({'leases', 'boards:until', 'hosts:until'}) do
    local last = at(now + LONGEST_UNTIL_S)
    for _, id in ipairs(call('ZRANGEBYSCORE', P .. name, '(' .. last, '+inf', 'LIMIT', 0, page)) do
      call('ZADD', P .. name, now_s, id)
      note_aside(name, id, 'it was to last for longer than any of ours')
    end
  end
  local function next_page(where)
    local from = number(call('HGET', P .. 'scrub', where), 0)
    local ids = call('ZRANGE', P .. where, from, from + page - 1)
    call('HSET', P .. 'scrub', where, #ids < tonumber(page) and 0 or from + #ids)
    return ids
  end
  for _, found in ipairs(sound_jobs('jobs:queued', next_page('jobs:queued'), is_queued)) do
    local id, job = found[1], found[2]
    call('ZADD', P .. 'deadlines', 'NX', at(job.deadline_s), id)
    local queued = call('ZSCORE', P .. 'ready:' .. job.queue, id) and call('ZSCORE', P .. 'order:' .. job.queue, id)
      or call('ZSCORE', P .. 'delayed', id)
      or call('ZSCORE', P .. 'newer:' .. string.format('%.0f', job.schema) .. ':' .. job.queue, id)
    if not queued then
      enter_queue(id, job.queue, job.priority, nil, 0)
      note_aside('order:' .. job.queue, id, 'it was not in its queue, and is there again')
    end
  end
  for _, found in ipairs(sound_jobs('jobs:running', next_page('jobs:running'), is_running)) do
    call('ZADD', P .. 'leases', 'NX', now_s, found[1])
  end
end

-- take_aside(limit): {JSON, ...} of what was set aside, oldest first, and how many more there are.
function commands.take_aside(limit)
  local taken = call('RPOP', P .. 'aside', limit)
  return {call('LLEN', P .. 'aside'), unpack(taken or {})}
end

-- unarchived(limit, where): ids of finished jobs no archive holds yet ('unarchived') or any more ('rearchive'), oldest
-- first.
function commands.unarchived(limit, where)
  local most, ids, looked = tonumber(limit), {}, 0
  repeat
    local page = call('ZRANGE', P .. where, #ids, most - 1)
    local sure = {}
    looked = looked + #page
    for _, id in ipairs(page) do
      local state = get(id, 'state')
      if state and IS_TERMINAL[state] and is_id(id) then table.insert(sure, id)
      else
        call('ZREM', P .. where, id)
        note_aside(where, id, state and 'it is ' .. string.sub(state, 1, 64) or 'it has no record')
      end
    end
    for _, id in ipairs(sure) do table.insert(ids, id) end
  until #page == #sure or looked >= MOST_CANDIDATES
  return ids
end

-- unreadable(id...): the archive can do nothing with these; they wait apart until a newer one starts.
function commands.unreadable(...)
  for _, id in ipairs({...}) do
    for _, where in ipairs({'unarchived', 'rearchive'}) do
      local since_s = call('ZSCORE', P .. where, id)
      if since_s then
        call('ZREM', P .. where, id)
        call('ZADD', P .. 'unreadable', since_s, id)
        note_aside(where, id, 'the archive cannot keep it')
      end
    end
  end
end

-- retry_unreadable(): an archive that has just started looks at them once more; returns how many.
function commands.retry_unreadable()
  local ids = call('ZRANGE', P .. 'unreadable', 0, -1, 'WITHSCORES')
  for i = 1, #ids, 2 do call('ZADD', P .. 'unarchived', ids[i + 1], ids[i]) end
  call('DEL', P .. 'unreadable')
  return #ids / 2
end

-- read(id...): for each job {record as in HGETALL, {attempt JSON, ...}, result}, {} where there is none, or {why it
-- is not handed out}; of as many as fit into one reply. Sizes are looked at here, before anything travels. Only a job
-- that succeeded has a result.
function commands.read(...)
  local reply, room = {}, REPLY_LIMIT
  for _, id in ipairs({...}) do
    local key, job = job_key(id), {}
    local names = {'spec', 'state', 'reason', 'created_s', 'started_s', 'finished_s', 'traceparent'}
    local values = try('HMGET', key, unpack(names))
    if values and values[2] then
      local result, bytes = P .. 'work:' .. id .. ':result', call('HSTRLEN', key, 'spec')
      for i = 2, #names do bytes = math.max(bytes, #(values[i] or '')) end
      local has_result = values[2] == 'succeeded'
      local result_bytes = has_result and try('STRLEN', result) or 0
      if bytes > SPEC_LIMIT or result_bytes > RESULT_LIMIT then
        job = {'it is larger than a job can be'}
      else
        local record, attempts = {}, {}
        for i, name in ipairs(names) do
          if values[i] then for _, v in ipairs({name, values[i]}) do table.insert(record, v) end end
        end
        for _, attempt in ipairs(try('LRANGE', attempts_key(id), 0, ATTEMPTS_READ - 1) or {}) do
          if #attempt <= ENTRY_LIMIT then table.insert(attempts, attempt) end
        end
        for i = 1, #names do room = room - #(values[i] or '') end
        room = room - result_bytes
        job = {record, attempts, has_result and try('GET', result) or ''}
      end
    end
    table.insert(reply, job)
    if room <= 0 then break end
  end
  return reply
end

-- archived(ttl_s, id...): an archive holds these for good; Redis may forget them later.
function commands.archived(ttl_s, ...)
  for _, id in ipairs({...}) do
    if call('ZREM', P .. 'unarchived', id) + call('ZREM', P .. 'rearchive', id) > 0 then
      call('ZADD', P .. 'prunable', at(now + tonumber(ttl_s)), id)
    end
  end
  return 'ok'
end

-- archived_ends(): {id, finished_s, ...} of the job that was archived last, and of the one that was first, of those
-- that are still here: an archive that has both is the one that they were given to.
function commands.archived_ends()
  local reply = {}
  for _, rank in ipairs({-1, 0}) do
    local id = call('ZRANGE', P .. 'prunable', rank, rank)[1]
    local finished_s = id and is_id(id) and number(get(id, 'finished_s'))
    if finished_s then
      for _, v in ipairs({id, at(finished_s)}) do table.insert(reply, v) end
    end
  end
  return reply
end

-- archive_lost(): no archive holds what was archived any more; returns how many jobs there are to archive again. Those
-- of a loss before this one come first: then this is to be called again.
function commands.archive_lost()
  if call('EXISTS', P .. 'rearchive') == 0 and call('EXISTS', P .. 'prunable') == 1 then
    redis.call('RENAME', P .. 'prunable', P .. 'rearchive')
  end
  return call('ZCARD', P .. 'rearchive')
end

-- prune(limit): forget archived jobs whose time has come; returns how many.
function commands.prune(limit)
  local ids = call('ZRANGEBYSCORE', P .. 'prunable', '-inf', now_s, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    local key = job_key(id)
    for _, state in ipairs(STATES) do call('ZREM', P .. 'jobs:' .. state, id) end
    call('ZREM', P .. 'jobs', id)
    call('ZREM', P .. 'dead', id)
    call('ZREM', P .. 'prunable', id)
    call('DEL', key, key .. ':history', key .. ':events', attempts_key(id), P .. 'work:' .. id .. ':result')
  end
  return #ids
end

-- announce(device, owner JSON, info JSON, ttl_s): {'ok'} or {'clash', board, owner JSON of
-- the other}. A board is one owner's; and a uid is one board's, or two boards.toml name the same silicon.
-- An owner of the same lock domain replaces the one before: it holds the board's lock, so that one is dead.
function commands.announce(device, owner, info, ttl_s)
  local mine = cjson.decode(owner)
  for _, other in ipairs({device, call('HGET', P .. 'boards:uid', mine.uid) or device}) do
    local theirs = score('boards:until', other) > now and entry_of('boards:owner', other)
    if theirs and theirs.owner ~= mine.owner and theirs.lock_domain ~= mine.lock_domain then
      return {'clash', other, encoded({pid = theirs.pid, host = theirs.host}) or '{}'}
    end
  end
  call('HSET', P .. 'boards', device, info)
  call('HSET', P .. 'boards:owner', device, owner)
  call('HSET', P .. 'boards:uid', mine.uid, device)
  call('HSET', P .. 'boards:seen', device, now_s)
  call('ZADD', P .. 'boards:until', tonumber(ttl_s) > 0 and at(now + tonumber(ttl_s)) or 0, device)
  return {'ok'}
end

-- boards(): {now, info, seen, until, held or '', cordon of its host or '', ...}
function commands.boards()
  local reply, room = {now_s}, REPLY_LIMIT
  -- Those that have to announce themselves again soonest: what is to stand for long hides none of them.
  local all = call('ZRANGEBYSCORE', P .. 'boards:until', now_s, '+inf', 'WITHSCORES', 'LIMIT', 0, BOARDS)
  local silent = call('ZREVRANGEBYSCORE', P .. 'boards:until', '(' .. now_s, '-inf', 'WITHSCORES', 'LIMIT', 0, BOARDS)
  for _, v in ipairs(silent) do table.insert(all, v) end
  for i = 1, #all, 2 do
    local info = short(P .. 'boards', all[i], ENTRY_LIMIT)
    room = room - #(info or '')
    if room < 0 then break end
    if info then
      local host = (decoded(info) or {}).host
      table.insert(reply, info)
      table.insert(reply, at(number(call('HGET', P .. 'boards:seen', all[i]), 0)))
      table.insert(reply, at(number(all[i + 1], 0)))
      table.insert(reply, short(P .. 'boards:cordoned', all[i], ENTRY_LIMIT) or '')
      table.insert(reply, type(host) == 'string' and short(P .. 'hosts:cordoned', host, ENTRY_LIMIT) or '')
    end
  end
  return reply
end

-- cordon_board(device, state, actor, reason, only, flag): 'draining', 'quarantined', or 'online' to let it go again;
-- only when it is cordoned as `only` now, unless that is ''. flag: 'of_host' (for what its host lacks), 'release_port'
-- (to free the port too), or ''.
function commands.cordon_board(device, state, actor, reason, only, flag)
  if call('HEXISTS', P .. 'boards', device) == 0 then return 'unknown' end
  if only ~= '' and cordon_state(device) ~= only then return 'other' end
  set_cordon(device, state, actor, reason, {[flag] = true})
  return 'ok'
end

-- cordons(device, host): {'draining', 'quarantined' or '', '1' when for what its host lacks, '1' when its port is wanted,
-- cordon of the host as JSON or ''}.
function commands.cordons(device, host)
  return {cordon_state(device) or '', cordon_has(device, 'of_host') and '1' or '', cordon_has(device, 'release_port') and '1' or '',
    short(P .. 'hosts:cordoned', host, ENTRY_LIMIT) or ''}
end

-- cordon(host, actor, reason): none of its boards gets a job any more.
function commands.cordon(host, actor, reason)
  cordon_host(host, actor, reason)
end

-- uncordon(host): its boards take jobs again; 1 when it was cordoned.
function commands.uncordon(host)
  call('HDEL', P .. 'hosts:faults', host)
  return call('HDEL', P .. 'hosts:cordoned', host)
end

-- ask_identify(device, actor): have the board make itself known to a person; its worker takes the wish.
function commands.ask_identify(device, actor)
  if call('HEXISTS', P .. 'boards', device) == 0 then return 'unknown' end
  call('HSET', P .. 'boards:identify', device, actor)
  return 'ok'
end

-- take_identify(device): who asked, or ''.
function commands.take_identify(device)
  local actor = short(P .. 'boards:identify', device, LABEL_LIMIT)
  call('HDEL', P .. 'boards:identify', device)
  return actor or ''
end

-- identified(device, actor, answer): what became of it, in the board's history.
function commands.identified(device, actor, answer)
  note(device, cordon_state(device) or 'online', actor, answer, {})
end

-- next_epoch(): a fencing token for what is no job: a board's self-test.
function commands.next_epoch()
  return next_epoch()
end

-- forget_board(device): take a board off the list, unless somebody announces it.
function commands.forget_board(device)
  if score('boards:until', device) > now then return 0 end
  local owner = entry_of('boards:owner', device)
  if owner then call('HDEL', P .. 'boards:uid', tostring(owner.uid)) end
  call('HDEL', P .. 'boards', device)
  call('HDEL', P .. 'boards:owner', device)
  call('HDEL', P .. 'boards:seen', device)
  call('HDEL', P .. 'boards:cordoned', device)
  call('HDEL', P .. 'boards:faults', device)
  call('HDEL', P .. 'boards:identify', device)
  call('DEL', P .. 'board:' .. device .. ':history')
  return call('ZREM', P .. 'boards:until', device)
end

-- withdraw_host(address)
function commands.withdraw_host(address)
  call('HDEL', P .. 'hosts', address)
  call('ZREM', P .. 'hosts:until', address)
end

-- announce_host(address, info JSON, kept_s, fresh_s): '', or the address of another machine of the same name that was
-- announced within fresh_s; then this one is not listed. Those silent for too long are forgotten.
function commands.announce_host(address, info, kept_s, fresh_s)
  local forgotten = call('ZRANGEBYSCORE', P .. 'hosts:until', '-inf', now_s, 'LIMIT', 0, HOSTS)
  for _, silent in ipairs(forgotten) do commands.withdraw_host(silent) end
  local mine = cjson.decode(info)
  -- Those announced of late, and no later than now.
  local from, to = at(now + tonumber(kept_s) - tonumber(fresh_s)), at(now + tonumber(kept_s))
  for _, each in ipairs(call('ZRANGEBYSCORE', P .. 'hosts:until', '(' .. from, to, 'LIMIT', 0, HOSTS)) do
    local other = entry_of('hosts', each) or {}
    if other.host == mine.host and (other.machine or '') ~= mine.machine then return each end
  end
  call('HSET', P .. 'hosts', address, info)
  call('ZADD', P .. 'hosts:until', at(now + tonumber(kept_s)), address)
  return ''
end

-- hosts(): {now, info JSON, until when it is listed, ...}
function commands.hosts()
  local reply, latest = {now_s}, at(now + LONGEST_UNTIL_S)
  local listed = call('ZREVRANGEBYSCORE', P .. 'hosts:until', latest, now_s, 'WITHSCORES', 'LIMIT', 0, HOSTS)
  for i = 1, #listed, 2 do
    local info = short(P .. 'hosts', listed[i], ENTRY_LIMIT)
    if info then
      table.insert(reply, info)
      table.insert(reply, at(number(listed[i + 1], 0)))
    end
  end
  return reply
end

-- identify(known, fresh): {now, the store's id, when it was found emptied or ''}. An empty store is called `fresh`; one
-- that is not the `known` one (unless that is '') was emptied, or is another.
function commands.identify(known, fresh)
  call('HSETNX', P .. 'store', 'id', fresh)
  local id = call('HGET', P .. 'store', 'id')
  if known ~= '' and id ~= known then call('HSETNX', P .. 'store', 'emptied_s', now_s) end
  local emptied_s = number(call('HGET', P .. 'store', 'emptied_s'))
  return {now_s, id, emptied_s and at(emptied_s) or ''}
end

-- queue_depths(): {queue, queued jobs, age of the oldest in seconds, ...} of queues that have had jobs.
function commands.queue_depths()
  local reply = {}
  for _, queue in ipairs(some_queues()) do
    local oldest, ready = 0, P .. 'ready:' .. queue
    for _, id in ipairs(try('ZRANGE', ready, 0, AGED - 1) or {}) do
      oldest = math.max(oldest, now - number(get(id, 'queued_s'), now))
    end
    for _, v in ipairs({queue, try('ZCARD', ready) or 0, at(oldest)}) do table.insert(reply, v) end
  end
  return reply
end

if ARGV[1] == 'submit' then return commands.submit(ARGV[2]) end
return commands[ARGV[1]](unpack(ARGV, 2))
