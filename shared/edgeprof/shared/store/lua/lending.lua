-- What is done for people at a board: its port is lent to a program, and its log is kept.

-- lend(device, token, actor, reason, ttl_s): let a program have a board's port for ttl_s, and longer
-- while it says so (keep). 'ok', 'unknown', or the reason of the loan that there is.
function commands.lend(device, token, actor, reason, ttl_s)
  if call('HEXISTS', P .. 'boards', device) == 0 then return 'unknown' end
  local other = loan_of(device)
  if other then return tostring(other.reason) end
  -- It has the form of a cordon: while it lasts, it stands before the board's own.
  call('HSET', P .. 'boards:lent', device, cjson.encode({s = now, state = 'draining',
    actor = actor, reason = reason, release_port = true, token = token,
    until_s = now + tonumber(ttl_s)}))
  note(device, 'draining', actor, reason, {})
  give_orders()
  return 'ok'
end

-- keep(device, token, ttl_s): make a loan last longer, also one that is overdue and that nobody has
-- ended; 0 when it was ended.
function commands.keep(device, token, ttl_s)
  local loan = entry_of('boards:lent', device)
  if not loan or loan.token ~= token then return 0 end
  loan.until_s = now + tonumber(ttl_s)
  call('HSET', P .. 'boards:lent', device, cjson.encode(loan))
  return 1
end

-- give_back(device, token, reason): end a loan.
function commands.give_back(device, token, reason)
  local loan = entry_of('boards:lent', device)
  if loan and loan.token == token then end_loan(device, tostring(loan.actor), reason) end
end

-- log_board(device, most, ttl_s, line...): add to the log of a board's worker.
function commands.log_board(device, most, ttl_s, ...)
  local key = P .. 'board:' .. device .. ':log'
  for _, line in ipairs({...}) do append(key, 'MAXLEN', most, '*', 'line', line) end
  call('EXPIRE', key, ttl_s)
end
