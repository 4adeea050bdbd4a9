-- The commands that bring a job in and give it to a board: submit and claim.

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
