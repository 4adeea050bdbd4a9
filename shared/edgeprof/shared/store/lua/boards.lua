-- The commands about boards: announcements, cordons, requests.

-- announce(device, owner JSON, info JSON, ttl_s): {'ok'} or {'clash', board, owner JSON of the
-- other}. A board has one owner, and a uid belongs to one board: else two boards.toml name the same
-- silicon. An owner of the same lock domain replaces the one before: it has the board's lock, so
-- that one is dead.
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

-- beat(device, owner JSON, ttl_s): when something was last wanted of boards; nil when the board has
-- to be announced, because it is not, or by another owner. It is what a board costs while nothing
-- happens, so it runs few commands.
function commands.beat(device, owner, ttl_s)
  if call('HGET', P .. 'boards:owner', device) ~= owner then return false end
  call('HSET', P .. 'boards:seen', device, now_s)
  call('ZADD', P .. 'boards:until', at(now + tonumber(ttl_s)), device)
  return call('GET', P .. 'orders') or ''
end

-- boards(): {now, info, seen, until, its cordon or '', cordon of its host or '', its reservation or
-- '', ...}
function commands.boards()
  local reply, room = {now_s}, REPLY_LIMIT
  -- Those that have to announce themselves again soonest: an endless announcement hides none of
  -- them.
  local all = call('ZRANGEBYSCORE', P .. 'boards:until', now_s, '+inf', 'WITHSCORES',
    'LIMIT', 0, BOARDS)
  local silent = call('ZREVRANGEBYSCORE', P .. 'boards:until', '(' .. now_s, '-inf', 'WITHSCORES',
    'LIMIT', 0, BOARDS)
  for _, v in ipairs(silent) do table.insert(all, v) end
  for i = 1, #all, 2 do
    local info = short(P .. 'boards', all[i], ENTRY_LIMIT)
    room = room - #(info or '')
    if room < 0 then break end
    if info then
      local host = (decoded(info) or {}).host
      local host_cordon = type(host) == 'string' and short(P .. 'hosts:cordoned', host, ENTRY_LIMIT)
      table.insert(reply, info)
      table.insert(reply, at(number(call('HGET', P .. 'boards:seen', all[i]), 0)))
      table.insert(reply, at(number(all[i + 1], 0)))
      local cordons = loan_of(all[i]) and 'boards:lent' or 'boards:cordoned'
      table.insert(reply, short(P .. cordons, all[i], ENTRY_LIMIT) or '')
      table.insert(reply, host_cordon or '')
      local reserved = reservation_of(all[i])
      table.insert(reply, reserved and encoded(reserved) or '')
    end
  end
  return reply
end

-- cordon_board(device, state, actor, reason, only, flag): 'draining', 'quarantined', or 'online' to
-- end the cordon; only when it is cordoned as `only` now, unless that is ''. flag: 'of_host' (for
-- what its host lacks), 'release_port' (to free the port too), or ''.
function commands.cordon_board(device, state, actor, reason, only, flag)
  if call('HEXISTS', P .. 'boards', device) == 0 then return 'unknown' end
  if only ~= '' and cordon_state(device) ~= only then return 'other' end
  set_cordon(device, state, actor, reason, {[flag] = true})
  return 'ok'
end

-- cordons(device, host): {'draining', 'quarantined' or '', '1' when for what its host lacks, '1'
-- when its port is wanted, cordon of the host as JSON or '', the user it is reserved for or '', '1'
-- when its port is lent}. A loan whose borrower is silent ends here.
function commands.cordons(device, host)
  if not loan_of(device) and call('HEXISTS', P .. 'boards:lent', device) == 1 then
    end_loan(device, 'store', 'its port was lent, and who had it is gone')
  end
  local function flag(name) return cordon_has(device, name) and '1' or '' end
  local reserved = reservation_of(device) or {user = ''}
  return {cordon_state(device) or '', flag('of_host'), flag('release_port'),
    short(P .. 'hosts:cordoned', host, ENTRY_LIMIT) or '', reserved.user,
    loan_of(device) and '1' or ''}
end

-- cordon(host, actor, reason, drained): none of its boards gets a job any more, also none that
-- appears later. drained: '1' when a person wants it.
function commands.cordon(host, actor, reason, drained)
  cordon_host(host, actor, reason, drained == '1' or nil)
end

-- uncordon(host, drained): its boards take jobs again; 1 when it was cordoned. A person's cordon
-- ends only with drained = '1'.
function commands.uncordon(host, drained)
  if is_drained(host) and drained ~= '1' then return 0 end
  give_orders()
  call('HDEL', P .. 'hosts:faults', host)
  return call('HDEL', P .. 'hosts:cordoned', host)
end

-- What a person may ask of a board, beside a cordon: each is a hash, board -> who asks.
local REQUESTS = {identify = true, upgrade = true, thorough = true}

-- ask(request, device, actor): have a board's worker take the request.
function commands.ask(request, device, actor)
  if call('HEXISTS', P .. 'boards', device) == 0 then return 'unknown' end
  call('HSET', P .. 'boards:' .. (REQUESTS[request] and request), device, actor)
  give_orders()
  return 'ok'
end

-- take_request(request, device): who asked, once, or ''.
function commands.take_request(request, device)
  local key = P .. 'boards:' .. (REQUESTS[request] and request)
  local actor = short(key, device, LABEL_LIMIT)
  call('HDEL', key, device)
  return actor or ''
end

-- answer_request(device, actor, answer): write into the board's history how a request ended.
function commands.answer_request(device, actor, answer)
  note(device, cordon_state(device) or 'online', actor, answer, {})
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
  call('HDEL', P .. 'reservations', device)
  call('ZREM', P .. 'reservations:until', device)
  for request in pairs(REQUESTS) do call('HDEL', P .. 'boards:' .. request, device) end
  call('HDEL', P .. 'boards:lent', device)
  call('DEL', P .. 'board:' .. device .. ':history')
  call('DEL', P .. 'board:' .. device .. ':log')
  return call('ZREM', P .. 'boards:until', device)
end
