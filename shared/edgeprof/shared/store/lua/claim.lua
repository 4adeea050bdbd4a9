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
  RESERVED = 'reserved',
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
  local order, version = P .. 'order:' .. job.lane, string.format('%.0f', job.schema)
  local apart = 'newer:' .. version .. ':' .. job.queue
  call('ZADD', P .. apart, call('ZSCORE', order, id), id)
  call('ZREM', order, id)
  call('ZREM', P .. 'ready:' .. job.lane, id)
  note_aside('order:' .. job.lane, id, 'it needs a newer agent')
end

local function fetch_newer(queue, schema)
  for version = 2, math.min(schema, 100) do
    local apart = P .. 'newer:' .. version .. ':' .. queue
    local jobs = call('ZRANGE', apart, 0, -1, 'WITHSCORES')
    for i = 1, #jobs, 2 do
      local require = short(job_key(jobs[i]), 'require', REQUIRE_LIMIT) or ''
      local lane = lane_of(queue, require)
      add_lane(queue, require)
      call('ZADD', P .. 'order:' .. lane, jobs[i + 1], jobs[i])
      call('ZADD', P .. 'ready:' .. lane, now_s, jobs[i])
    end
    call('DEL', apart)
  end
end

-- The jobs of a user among the first of each priority. Users take turns, so his first job is there.
local function first_jobs_of(user, order)
  local found = {}
  for priority = 9, 0, -1 do
    local from, to = rank(priority, 0), '(' .. rank(priority - 1, 0)
    for _, id in ipairs(call('ZRANGEBYSCORE', order, from, to, 'LIMIT', 0, CANDIDATES)) do
      if get(id, 'user') == user then table.insert(found, id) end
    end
  end
  return found
end

-- The job of a lane whose turn it is on a board, or nil and why there is none; AGAIN when some
-- entries were taken out of the way and more wait, which are another call's work. A job that cannot
-- be granted to anyone is taken out of the lane: the ghosts of one caller, or the late jobs of a
-- time without custodian, would hide all others.
-- board: {device, host, platform, schema, user: the one it is reserved for, or nil}.
local function next_of_lane(lane, queue, board)
  local why, order, skipped, looked = NO_CLAIM.GONE, 'order:' .. lane, 0, 0
  local elsewhere, more = {}
  -- Whether another board could take the job. It is asked once for each user and kind of board.
  local function better(job, kind, differs)
    local key = kind .. job.user
    if elsewhere[key] == nil then elsewhere[key] = another_board(board.platform, differs, job) end
    return elsewhere[key]
  end
  if board.user and call('EXISTS', P .. order) == 1 then why = NO_CLAIM.RESERVED end
  repeat
    local ids = board.user and first_jobs_of(board.user, P .. order)
      or call('ZRANGE', P .. order, skipped, skipped + CANDIDATES - 1)
    for _, id in ipairs(ids) do
      local job, unsound = sound(id)
      if not job then
        call('ZREM', P .. 'ready:' .. lane, id)
        set_aside(order, id, unsound)
      elseif job.state ~= 'queued' or job.lane ~= lane then
        call('ZREM', P .. 'ready:' .. lane, id)
        call('ZREM', P .. order, id)
        note_aside(order, id, 'it is ' .. job.state .. ', of ' .. job.lane)
      elseif job.schema > board.schema then
        why = NO_CLAIM.NEWER_AGENT_NEEDED
        set_newer_apart(id, job)
      elseif job.deadline_s <= now then
        why = NO_CLAIM.LATE
        expire(id, job, 'store')
      elseif queue ~= board_queue(board.device) and (
          job.avoid_host == board.host and better(job, 'host', host_but(board.host))
          or job.avoid_host ~= board.host and job.avoid == board.device
            and job.avoid_until_s > now and better(job, 'board', board_but(board.device))) then
        why, skipped = NO_CLAIM.BETTER_ELSEWHERE, skipped + 1
      else
        return id, job
      end
    end
    looked, more = looked + #ids, #ids == CANDIDATES and not board.user
  until not more or looked >= MOST_CANDIDATES
  return nil, more and skipped < looked and NO_CLAIM.AGAIN or why
end

local function tags_of(device) return (entry_of('boards', device) or {}).tags end

-- The job of a queue whose turn it is on a board: the first of those of all lanes that suit it. Nil
-- and why there is none. untold_only: leave out the jobs of which the queue's own doorbells tell.
local function next_job(queue, board, untold_only)
  local id, job, rank, why = nil, nil, nil, NO_CLAIM.GONE
  for place, lane in ipairs(lanes_of(queue)) do
    if place > 1 and not board.tags then board.tags = tags_of(board.device) or {} end
    local wants = place > 1 or board.user or not untold_only
    if wants and has_tags(board.tags, lane.wanted) then
      local found, found_job = next_of_lane(lane.name, queue, board)
      local its_rank = found and score('order:' .. lane.name, found)
      if not found then
        if why == NO_CLAIM.GONE or found_job == NO_CLAIM.AGAIN then why = found_job end
      elseif not id or its_rank < rank or its_rank == rank and found < id then
        id, job, rank = found, found_job, its_rank
      end
    end
  end
  return id, id and job or why
end

-- The queues from which a board may have jobs now, its own first; why not from the others.
local function open_queues(device, platform, host)
  local own, cordon = board_queue(device), cordon_state(device)
  if cordoned(host) then return {}, NO_CLAIM.HOST_CORDONED end
  if not cordon then return {own, platform_queue(platform)} end
  local why = cordon == 'draining' and NO_CLAIM.DRAINING or NO_CLAIM.QUARANTINED
  if cordon == 'draining' or cordon_has(device, 'of_host') then return {}, why end
  return {own}, why
end

-- The job that runs on a board, while its attempt holds the lease.
local function busy_with(device)
  local id = call('HGET', P .. 'running_on', device)
  return id and get(id, 'state') == 'running' and get(id, 'device') == device
    and score('leases', id) > now and id or nil
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
  local open, refused = open_queues(device, platform, host)
  if #open == 0 then return {refused} end
  if busy_with(device) then return {NO_CLAIM.BUSY} end
  local queue, newest = get(notified_job_id, 'queue'), tonumber(schema)
  local board = {device = device, host = host, platform = platform, schema = newest,
    user = (reservation_of(device) or {}).user}
  if #open == 2 and queue ~= own then open = {shared, own} end
  local id, job, why
  for _, mine in ipairs(open) do
    fetch_newer(mine, newest)
    id, job = next_job(mine, board)
    if mine == queue or job == NO_CLAIM.AGAIN and not id then why = job end
    if id then
      queue = mine
      break
    end
  end
  if not id then
    if why == NO_CLAIM.AGAIN then return {why} end
    local newer = number(get(notified_job_id, 'schema'), 0) > newest
      and NO_CLAIM.NEWER_AGENT_NEEDED
    return {newer or why or queue == shared and refused
      or queue and NO_CLAIM.NOT_FOR_THIS_BOARD or NO_CLAIM.GONE}
  end
  local epoch = next_epoch()
  -- A lane that nobody could serve for a while is behind the others: turns never go back for it.
  local turn = math.max(turn_of(queue, job.priority), leave_queue(id, job.lane))
  call('HSET', P .. 'turns:' .. queue, job.priority, string.format('%.0f', turn))
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
