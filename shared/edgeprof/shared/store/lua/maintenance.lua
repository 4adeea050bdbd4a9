-- The commands of the custodian: overdue leases and jobs, lost doorbells, healing.

-- due(): the names of what has something to do: 'deadlines' (jobs that waited past theirs), 'notify'
-- (queues in use), 'aside', 'prunable', 'open' (jobs that have not ended). The custodian asks each
-- second, also in a lab that does nothing.
function commands.due()
  local due = {}
  local function add(name, count) if count > 0 then table.insert(due, name) end end
  add('deadlines', call('ZCOUNT', P .. 'deadlines', '-inf', now_s))
  add('notify', call('EXISTS', P .. 'queues', P .. 'delayed'))
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

-- stale_notifications(grace_s, limit, key prefix of the transport, separator, last priority): {id,
-- queue, traceparent, label, ...} of doorbells to send again. Only where the transport holds fewer
-- doorbells than there are ready jobs, or repeated doorbells would pile up behind a busy board; the
-- longest unsent first, so that each has its turn. Jobs whose backoff is over enter their queue
-- first. The doorbells of a queue without jobs are removed: they are of jobs that were cancelled or
-- expired, and where no board ever comes nobody else would remove them.
function commands.stale_notifications(grace_s, limit, prefix, separator, last)
  local reply, room = {}, tonumber(limit)
  local due = call('ZRANGEBYSCORE', P .. 'delayed', '-inf', now_s, 'LIMIT', 0, room)
  for _, found in ipairs(sound_jobs('delayed', due, is_queued)) do
    call('ZREM', P .. 'delayed', found[1])
    enter_again(found[1], found[2])
  end
  for _, queue in ipairs(some_queues()) do
    local ready, doorbells = P .. 'ready:' .. queue, {prefix .. queue}
    for step = 1, tonumber(last) do
      table.insert(doorbells, prefix .. queue .. separator .. step)
    end
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
        local traceparent = short(key, 'traceparent', LABEL_LIMIT) or ''
        local label = short(key, 'label', LABEL_LIMIT) or ''
        for _, v in ipairs({id, queue, traceparent, label}) do table.insert(reply, v) end
      end
    end
  end
  return reply
end

-- Fixed keys and their types. Each queue has keys of its own: ready:, order: (zset), turns: (hash).
local TYPES = {
  jobs = 'zset', queues = 'set', delayed = 'zset', deadlines = 'zset', leases = 'zset',
  running_on = 'hash', epoch = 'string', dead = 'zset',
  unarchived = 'zset', unreadable = 'zset', prunable = 'zset', rearchive = 'zset',
  boards = 'hash', ['boards:owner'] = 'hash', ['boards:uid'] = 'hash', ['boards:seen'] = 'hash',
  ['boards:until'] = 'zset', ['boards:cordoned'] = 'hash', ['boards:identify'] = 'hash',
  ['boards:upgrade'] = 'hash', ['boards:thorough'] = 'hash',
  ['boards:faults'] = 'hash', ['boards:lent'] = 'hash',
  hosts = 'hash', ['hosts:until'] = 'zset', ['hosts:cordoned'] = 'hash', ['hosts:faults'] = 'hash',
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
  heal('ready:' .. queue, 'zset')
  heal('order:' .. queue, 'zset')
  heal('turns:' .. queue, 'hash')
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
    local queued = call('ZSCORE', P .. 'ready:' .. job.queue, id)
        and call('ZSCORE', P .. 'order:' .. job.queue, id)
      or call('ZSCORE', P .. 'delayed', id)
      or call('ZSCORE', P .. 'newer:' .. string.format('%.0f', job.schema) .. ':' .. job.queue, id)
    if not queued then
      enter_again(id, job)
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
