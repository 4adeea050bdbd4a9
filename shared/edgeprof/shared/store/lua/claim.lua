-- claim, which gives a job to a board.

-- Why a claim is not granted: NoClaim of store/job_values.py, by its names. AGAIN: so far there was
-- nothing but entries that are no jobs, and the caller is to ask again.
local NO_CLAIM = {
  GONE = 'gone',
  LATE = 'late',
  NEWER_AGENT_NEEDED = 'needs a newer agent',
  BETTER_ELSEWHERE = 'better elsewhere',
  NOT_FOR_THIS_BOARD = 'not for this board',
  BUSY = 'busy',
  DRAINING = 'draining',
  QUARANTINED = 'quarantined',
  HOST_CORDONED = 'its host is cordoned',
  AGAIN = 'again',
}

local function granted(id)
  local key = attempts_key(id)
  local before, current = decoded(call('LINDEX', key, -2)), decoded(call('LINDEX', key, -1)) or {}
  local started_s, traceparent = number(current.started_s, now), before and before.traceparent
  return {'granted', id, get(id, 'epoch'), call('LLEN', key), get(id, 'spec') or '',
    short(job_key(id), 'traceparent', LABEL_LIMIT) or '',
    at(started_s - number(get(id, 'queued_s'), started_s)),
    type(traceparent) == 'string' and traceparent or ''}
end

-- Jobs of a newer schema wait apart, where they are in nobody's way; the first agent that can read
-- them fetches them.
local function set_newer_apart(id, job)
  local order, version = P .. 'order:' .. job.queue, string.format('%.0f', job.schema)
  local apart = 'newer:' .. version .. ':' .. job.queue
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

-- The job of a queue whose turn it is on a board, or nil and why there is none; AGAIN when some
-- entries were taken out of the way and more wait, which are another call's work. A job that cannot
-- be granted to anyone is taken out of the queue: the ghosts of one caller, or the late jobs of a
-- time without custodian, would hide all others.
local function next_job(queue, device, host, platform, schema)
  local why, order, skipped, looked = NO_CLAIM.GONE, 'order:' .. queue, 0, 0
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
        why = NO_CLAIM.NEWER_AGENT_NEEDED
        set_newer_apart(id, job)
      elseif job.deadline_s <= now then
        why = NO_CLAIM.LATE
        expire(id, job, 'store')
      else
        local better = false
        if queue ~= board_queue(device) then
          if job.avoid_host == host then
            if other_host == nil then other_host = another_board(platform, host_but(host)) end
            better = other_host
          elseif job.avoid == device and job.avoid_until_s > now then
            if other_board == nil then other_board = another_board(platform, board_but(device)) end
            better = other_board
          end
        end
        if not better then return id, job end
        why, skipped = NO_CLAIM.BETTER_ELSEWHERE, skipped + 1
      end
    end
    looked, more = looked + #ids, #ids == CANDIDATES
  until not more or looked >= MOST_CANDIDATES
  return nil, more and skipped < looked and NO_CLAIM.AGAIN or why
end

-- claim(notified_job_id, owner, device, platform, host, lock_domain, lease_s, schema, traceparent
-- of the attempt or ''): {'granted', id, epoch, attempt, spec, traceparent, seconds in the queue,
-- traceparent of the attempt before}, or {why not}. The job that the doorbell named decides which
-- queue is looked at first, the order of that queue which of its jobs is granted. The board's other
-- queue is looked at where the first has nothing, and where the doorbell was of no job of this
-- board: else a job would wait behind every doorbell that somebody sent for nothing.
-- Idempotent: the same owner asking again is granted the same job and epoch.
function commands.claim(notified_job_id, owner, device, platform, host, lock_domain, lease_s,
    schema, traceparent)
  local running_id = call('HGET', P .. 'running_on', device)
  if running_id and get(running_id, 'owner') == owner
      and holds(running_id, get(running_id, 'epoch')) then
    return granted(running_id)
  end
  local own, shared = board_queue(device), platform_queue(platform)
  local queue, cordon = get(notified_job_id, 'queue'), cordon_state(device)
  local refused = cordon == 'draining' and NO_CLAIM.DRAINING
    or cordon == 'quarantined' and NO_CLAIM.QUARANTINED
  if cordoned(host) then return {NO_CLAIM.HOST_CORDONED} end
  if cordon == 'draining' or cordon and cordon_has(device, 'of_host') then return {refused} end
  if running_id and get(running_id, 'state') == 'running' and get(running_id, 'device') == device
      and score('leases', running_id) > now then
    return {NO_CLAIM.BUSY}
  end
  local id, job, why
  for _, mine in ipairs(queue == own and {own, shared} or {shared, own}) do
    if refused and mine == shared then
      job = refused
    else
      fetch_newer(mine, tonumber(schema))
      id, job = next_job(mine, device, host, platform, tonumber(schema))
    end
    if mine == queue or job == NO_CLAIM.AGAIN and not id then why = job end
    if id then
      queue = mine
      break
    end
  end
  if not id then
    if why == NO_CLAIM.AGAIN then return {why} end
    local newer = number(get(notified_job_id, 'schema'), 0) > tonumber(schema)
      and NO_CLAIM.NEWER_AGENT_NEEDED
    return {newer or why or queue and NO_CLAIM.NOT_FOR_THIS_BOARD or NO_CLAIM.GONE}
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
