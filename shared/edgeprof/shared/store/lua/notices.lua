-- Notifications (notifications.py). Clients can write what they ask for, and cannot read it.

local NOTIFY = string.gsub(P, ':$', '') .. '-notify:'
-- How many ended jobs one call counts off: it bounds its work.
local JOBS_COUNTED = 5000

local function note_down(subject, n, notice, keep_s)
  local key = P .. 'notices:' .. subject
  call('HSET', key, n, notice)
  call('EXPIRE', key, keep_s)
end

-- ask_notice(n, asked, jobs as a JSON array, subject, notice, keep_s): one that waits is replaced.
function commands.ask_notice(n, asked, jobs, subject, notice, keep_s)
  call('DEL', NOTIFY .. 'jobs:' .. n)
  for _, id in ipairs(decoded(jobs) or {}) do call('RPUSH', NOTIFY .. 'jobs:' .. n, id) end
  call('SET', NOTIFY .. 'asked:' .. n, asked)
  call('ZADD', NOTIFY .. 'waiting', now_s, n)
  note_down(subject, n, notice, keep_s)
  return 'ok'
end

-- ended_notices(offset, limit): how many were looked at, then {n, asked, ...} of those whose jobs
-- have all ended. Only the last of a list is looked at, and taken off once it has ended: all must
-- end, so their order does not matter.
function commands.ended_notices(offset, limit)
  local names = call('ZRANGE', NOTIFY .. 'waiting', offset, offset + limit - 1)
  local reply, room = {#names}, JOBS_COUNTED
  for _, n in ipairs(names) do
    local jobs, open = NOTIFY .. 'jobs:' .. n, false
    repeat
      local id = call('LINDEX', jobs, -1)
      if not id then break end
      local state = get(id, 'state')
      open = state == 'queued' or state == 'running'
      if not open then call('RPOP', jobs) end
      room = room - 1
    until open or room <= 0
    if not open and call('EXISTS', jobs) == 0 then
      for _, v in ipairs({n, try('GET', NOTIFY .. 'asked:' .. n) or ''}) do
        table.insert(reply, v)
      end
    end
    if room <= 0 then break end
  end
  return reply
end

-- settle_notice(n, asked, id, body, at_s, subject, notice, keep_s): its jobs have ended. The body is
-- sent from at_s on; without a body there is nothing to send. Nothing happens when it was asked for
-- anew meanwhile.
function commands.settle_notice(n, asked, id, body, at_s, subject, notice, keep_s)
  if (try('GET', NOTIFY .. 'asked:' .. n) or '') ~= asked then return 'stale' end
  call('ZREM', NOTIFY .. 'waiting', n)
  call('DEL', NOTIFY .. 'asked:' .. n, NOTIFY .. 'jobs:' .. n)
  if body ~= '' then
    call('HSET', NOTIFY .. 'message:' .. id, 'n', n, 'asked', asked, 'body', body, 'attempts', '0')
    call('ZADD', NOTIFY .. 'due', at_s, id)
  end
  if subject ~= '' then note_down(subject, n, notice, keep_s) end
  return 'ok'
end

-- due_notices(at_s, limit): {id, n, asked, body, attempts, ...} of messages that are to be sent.
function commands.due_notices(at_s, limit)
  local reply = {}
  for _, id in ipairs(call('ZRANGEBYSCORE', NOTIFY .. 'due', '-inf', at_s, 'LIMIT', 0, limit)) do
    local found = try('HMGET', NOTIFY .. 'message:' .. id, 'n', 'asked', 'body', 'attempts') or {}
    table.insert(reply, id)
    for i = 1, 4 do table.insert(reply, found[i] or '') end
  end
  return reply
end

-- tried_notice(id, next_s, n, subject, notice, keep_s): a message was sent, or given up, when next_s
-- is '': then it is forgotten. Else it is tried again then.
function commands.tried_notice(id, next_s, n, subject, notice, keep_s)
  if next_s == '' then
    call('ZREM', NOTIFY .. 'due', id)
    call('DEL', NOTIFY .. 'message:' .. id)
  elseif call('ZADD', NOTIFY .. 'due', 'XX', 'CH', next_s, id) == 1 then
    call('HSET', NOTIFY .. 'message:' .. id, 'attempts',
      number(call('HGET', NOTIFY .. 'message:' .. id, 'attempts'), 0) + 1)
  end
  if subject ~= '' then note_down(subject, n, notice, keep_s) end
  return 'ok'
end
