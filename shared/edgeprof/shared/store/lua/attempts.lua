-- Attempts: what follows a failed one, the fence before each write, and fencing tokens.

local function attempts_key(id) return P .. 'work:' .. id .. ':attempts' end
local function packed_key(id) return P .. 'work:' .. id .. ':packed' end

local function close_attempt(id, fault_class, code, reason)
  local key = attempts_key(id)
  local attempt = decoded(call('LINDEX', key, -1))
  if not attempt then return end -- it is not one of ours, and nobody reads it
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

-- A running attempt failed. The job has another one, unless it was cancelled, the fault is its own,
-- or this was its last attempt: at once where another board could run it, else after a backoff that
-- doubles from attempt to attempt. A job that failed for its host's own reasons goes to another
-- host while there is one. Where the host or board gets no jobs until it is mended, this was not
-- the job's last attempt: up to twice as many are granted then. No doorbell is sent here:
-- `stale_notifications` returns the job to the custodian within its interval.
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
  local elsewhere = job.queue ~= board_queue(device)
    and another_board(job.platform, of_host and host_but(host) or board_but(device), job)
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
    enter_again(id, job)
  end
  transition(id, 'running', 'queued', actor, said)
  return 'queued'
end

-- Whether the writer still has job and board: the fence before every write of an attempt. (The
-- board runs another job when the lease ran out, that job was claimed, and no custodian has come by
-- yet.)
local function holds(id, epoch)
  return get(id, 'state') == 'running' and get(id, 'epoch') == epoch
    and call('HGET', P .. 'running_on', get(id, 'device') or '') == id
end

-- A fencing token: at least the time in ms, because boards remember the highest they saw and would
-- refuse a count that begins at 1 again, in an empty store or after somebody wrote a small one. One
-- that is far ahead of the time was not counted here either.
local function next_epoch()
  local reply, least = redis.pcall('INCR', P .. 'epoch'), math.floor(now * 1000)
  local epoch = type(reply) == 'number' and reply or 0
  if epoch < least or epoch > least + EPOCH_AHEAD_MS then
    epoch = least
    call('SET', P .. 'epoch', string.format('%.0f', epoch))
  end
  return string.format('%.0f', epoch)
end

-- next_epoch(): a fencing token for a board's self-test, which is not a job.
function commands.next_epoch()
  return next_epoch()
end

local function beat() call('SET', P .. 'last_sign', now_s) end
