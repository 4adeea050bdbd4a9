-- The commands of the custodian: overdue leases and jobs, lost doorbells, healing.

-- due(): the names of what has something to do: 'deadlines' (jobs that waited past theirs), 'notify'
-- (queues in use), 'reservations', 'aside', 'prunable', 'open' (jobs that have not ended). The
-- custodian asks each second, also in a lab that does nothing.
function commands.due()
  local due = {}
  local function add(name, count) if count > 0 then table.insert(due, name) end end
  add('deadlines', call('ZCOUNT', P .. 'deadlines', '-inf', now_s))
  add('notify', call('EXISTS', P .. 'queues', P .. 'delayed'))
  add('reservations', call('ZCOUNT', P .. 'reservations:until', '-inf', now_s))
  add('aside', call('LLEN', P .. 'aside'))
  add('prunable', call('ZCOUNT', P .. 'prunable', '-inf', now_s))
  add('open', call('EXISTS', P .. 'jobs:queued', P .. 'jobs:running'))
  return due
end

-- expire_leases(actor, limit, lease_s, away_s): {id, device, state afterwards, ...} of jobs whose
-- worker went silent. Called about once a second. When nobody at all gave a sign for away_s, Redis
-- was away: nobody is taken for dead for the length of a lease, because live workers could not
-- renew, and still measure.
function commands.expire_leases(actor, limit, lease_s, away_s)
  local reply, last_sign = {}, number(call('GET', P .. 'last_sign'), now)
  beat()
  if now - last_sign > tonumber(away_s) then
    call('SET', P .. 'last_sign:grace', at(now + tonumber(lease_s)))
  end
  -- No grace of ours is longer than a lease.
  local grace = number(call('GET', P .. 'last_sign:grace'), 0)
  if math.min(grace, now + tonumber(lease_s)) > now then return reply end
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

-- reclaim(actor, device, lock_domain): give back the job of a board's dead worker before its lease
-- runs out. The board's new worker calls it: it has the board's lock, so the one before is dead,
-- which is certain only within one lock domain.
function commands.reclaim(actor, device, lock_domain)
  local id = call('HGET', P .. 'running_on', device)
  if not id or get(id, 'state') ~= 'running' or get(id, 'lock_domain') ~= lock_domain then
    return ''
  end
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

-- end_reservations(): forget those whose time is over, and have their workers look.
function commands.end_reservations()
  local key = P .. 'reservations:until'
  for _, device in ipairs(call('ZRANGEBYSCORE', key, '-inf', now_s, 'LIMIT', 0, BOARDS)) do
    if not reservation_of(device) then call('HDEL', P .. 'reservations', device) end
    call('ZREM', key, device)
  end
  give_orders()
end

-- board -> a job that it could have, and of which no doorbell of the job's queue tells it: the job
-- wants tags, which not all who are notified there have, or the board is reserved and does not
-- listen there.
local function untold_jobs(queues)
  local found, any = {}, call('EXISTS', P .. 'reservations') == 1
  for _, queue in ipairs(queues) do any = any or call('EXISTS', P .. 'lanes:' .. queue) == 1 end
  for _, each in ipairs(any and live_boards() or {}) do
    local device, info = each[1], each[2]
    local host, platform = tostring(info.host), tostring(info.platform)
    local named = is_queue(board_queue(device)) and is_queue(platform_queue(platform))
    local board = {device = device, host = host, platform = platform, schema = math.huge,
      tags = info.tags, user = (reservation_of(device) or {}).user}
    for _, queue in ipairs(named and open_queues(device, platform, host) or {}) do
      local id, job = next_job(queue, board, true)
      if id then
        local idle = info.state == 'online' and not busy_with(device)
        found[device] = {id = id, job = job, idle = idle}
        break
      end
    end
  end
  return found
end

-- The lists of a queue's doorbells, one a priority; and how many wait in them.
local function doorbell_lists(queue, prefix, separator, last)
  local lists, waiting = {prefix .. queue}, 0
  for step = 1, tonumber(last) do table.insert(lists, prefix .. queue .. separator .. step) end
  for _, list in ipairs(lists) do
    local length = try('LLEN', list)
    if not length then call('DEL', list) end -- no worker could pop from it
    waiting = waiting + (length or 0)
  end
  return lists, waiting
end

-- Forget the lanes of a queue without jobs; whether one with a job is left.
local function has_lanes(queue)
  local key = P .. 'lanes:' .. queue
  for _, require in ipairs(call('SRANDMEMBER', key, LANES)) do
    local jobs = call('ZCARD', P .. 'order:' .. lane_of(queue, require))
    if jobs == 0 then call('SREM', key, require) end
  end
  return call('EXISTS', key) == 1
end

-- stale_notifications(grace_s, limit, key prefix of the transport, separator, last priority): {id,
-- queue, traceparent, label, ...} of doorbells to send again. Only where the transport holds fewer
-- doorbells than there are ready jobs, or repeated doorbells would pile up behind a busy board; the
-- longest unsent first, so that each has its turn. Jobs whose backoff is over enter their queue
-- first. An idle board is told by its own queue of a job that its queues' doorbells do not tell it
-- of. The doorbells of a queue without jobs are removed: they are of jobs that were cancelled or
-- expired, and where no board ever comes nobody else would remove them.
function commands.stale_notifications(grace_s, limit, prefix, separator, last)
  local reply, room = {}, tonumber(limit)
  local due = call('ZRANGEBYSCORE', P .. 'delayed', '-inf', now_s, 'LIMIT', 0, room)
  for _, found in ipairs(sound_jobs('delayed', due, is_queued)) do
    call('ZREM', P .. 'delayed', found[1])
    enter_again(found[1], found[2])
  end
  local function tell(id, queue)
    local key = job_key(id)
    local traceparent = short(key, 'traceparent', LABEL_LIMIT) or ''
    local label = short(key, 'label', LABEL_LIMIT) or ''
    for _, v in ipairs({id, queue, traceparent, label}) do table.insert(reply, v) end
    room = room - 1
  end
  local queues = some_queues()
  local untold = untold_jobs(queues)
  for _, queue in ipairs(queues) do
    local ready = P .. 'ready:' .. queue
    local lists, doorbells = doorbell_lists(queue, prefix, separator, last)
    local device = string.match(queue, '^' .. BOARD_QUEUE .. '(.+)$') or ''
    local jobs = call('ZCARD', ready)
    local missing = math.min(jobs - doorbells, room)
    if not has_lanes(queue) and jobs == 0 and not untold[device] then
      call('SREM', P .. 'queues', queue)
      call('DEL', P .. 'turns:' .. queue, unpack(lists))
    elseif missing > 0 and not reservation_of(device) then
      local old = at(now - tonumber(grace_s))
      local ids = call('ZRANGEBYSCORE', ready, '-inf', old, 'LIMIT', 0, missing)
      local function belongs(job) return job.state == 'queued' and job.lane == queue end
      for _, found in ipairs(sound_jobs('ready:' .. queue, ids, belongs)) do
        call('ZADD', ready, now_s, found[1])
        tell(found[1], queue)
      end
    end
  end
  for device, found in pairs(untold) do
    local queue = board_queue(device)
    local _, doorbells = doorbell_lists(queue, prefix, separator, last)
    if found.idle and doorbells == 0 and room > 0 then
      call('ZADD', P .. 'ready:' .. found.job.lane, now_s, found.id)
      call('SADD', P .. 'queues', queue)
      tell(found.id, queue)
    end
  end
  return reply
end

-- Fixed keys and their types. Each queue has keys of its own: turns: (hash), lanes: (set), and for
-- each of its lanes ready: and order: (zset).
local TYPES = {
  jobs = 'zset', queues = 'set', delayed = 'zset', deadlines = 'zset', leases = 'zset',
  running_on = 'hash', epoch = 'string', dead = 'zset',
  unarchived = 'zset', unreadable = 'zset', prunable = 'zset', rearchive = 'zset',
  boards = 'hash', ['boards:owner'] = 'hash', ['boards:uid'] = 'hash', ['boards:seen'] = 'hash',
  ['boards:until'] = 'zset', ['boards:cordoned'] = 'hash', ['boards:identify'] = 'hash',
  ['boards:upgrade'] = 'hash', ['boards:thorough'] = 'hash',
  ['boards:faults'] = 'hash', ['boards:lent'] = 'hash',
  hosts = 'hash', ['hosts:until'] = 'zset', ['hosts:cordoned'] = 'hash', ['hosts:faults'] = 'hash',
  reservations = 'hash', ['reservations:until'] = 'zset',
  orders = 'string', last_sign = 'string', ['last_sign:grace'] = 'string',
  scrub = 'hash', aside = 'list', store = 'hash',
}
for _, state in ipairs(STATES) do TYPES['jobs:' .. state] = 'zset' end

-- A shared key of another type than ours stops everybody, and holds nothing of ours.
local function heal(name, kind)
  local found = call('TYPE', P .. name).ok
  if found == 'none' or found == kind then return end
  call('DEL', P .. name)
  note_aside(name, '', 'a key of type ' .. found .. ' stood there')
end

local function heal_queue(queue)
  heal('turns:' .. queue, 'hash')
  heal('lanes:' .. queue, 'set')
  for _, lane in ipairs(lanes_of(queue)) do
    heal('ready:' .. lane.name, 'zset')
    heal('order:' .. lane.name, 'zset')
  end
end

-- heal(page): remove shared keys of another type than ours, and compare a page of the queued and of
-- the running jobs with the sets that move them on: a job that fell out of one is put back.
function commands.heal(page)
  for name, kind in pairs(TYPES) do heal(name, kind) end
  for _, queue in ipairs(call('SRANDMEMBER', P .. 'queues', QUEUES)) do
    if is_queue(queue) then heal_queue(queue)
    else
      call('SREM', P .. 'queues', queue)
      note_aside('queues', queue, 'it is the name of no queue')
    end
  end
  -- A lease without end would keep a job from ever being tried again; an announcement without end
  -- would keep a dead board live.
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
    local queued = call('ZSCORE', P .. 'ready:' .. job.lane, id)
        and call('ZSCORE', P .. 'order:' .. job.lane, id)
      or call('ZSCORE', P .. 'delayed', id)
      or call('ZSCORE', P .. 'newer:' .. string.format('%.0f', job.schema) .. ':' .. job.queue, id)
    if not queued then
      enter_again(id, job)
      note_aside('order:' .. job.lane, id, 'it was not in its queue, and is there again')
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
