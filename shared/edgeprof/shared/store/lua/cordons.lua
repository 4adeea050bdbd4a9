-- Cordons of boards and hosts, reservations, and which boards could take a job instead.

-- Write into a board's history that it was cordoned (no jobs, or only its own) or resumed.
local function note(device, state, actor, reason, flags)
  local entry = cjson.encode({s = now, state = state, actor = actor, reason = reason,
    of_host = flags.of_host, release_port = flags.release_port})
  call('RPUSH', P .. 'board:' .. device .. ':history', entry)
  call('LTRIM', P .. 'board:' .. device .. ':history', -100, -1)
  return entry
end

-- Have every worker look what is wanted of its board, at its next beat.
local function give_orders() call('SET', P .. 'orders', now_s) end

local function set_cordon(device, state, actor, reason, flags)
  give_orders()
  local entry = note(device, state, actor, reason, flags)
  if state == 'online' then
    call('HDEL', P .. 'boards:cordoned', device)
    call('HDEL', P .. 'boards:lent', device)
    call('HDEL', P .. 'boards:faults', device)
  else
    call('HSET', P .. 'boards:cordoned', device, entry)
  end
end

-- What a person said of a host stays until a person ends it.
local function is_drained(host) return (entry_of('hosts:cordoned', host) or {}).drained == true end

local function cordon_host(host, actor, reason, drained)
  if is_drained(host) and not drained then return end
  give_orders()
  call('HSET', P .. 'hosts:cordoned', host,
    cjson.encode({actor = actor, reason = reason, s = now, drained = drained}))
end

-- The loan of a board's port (lending.lua), or nil: its borrower has given no sign for too long.
local function loan_of(device)
  local loan = entry_of('boards:lent', device)
  local until_s = loan and number(loan.until_s, 0) or 0
  return until_s > now and until_s < now + LONGEST_UNTIL_S and loan or nil
end

-- End a loan; the board's own cordon holds again, where there is one.
local function end_loan(device, actor, reason)
  call('HDEL', P .. 'boards:lent', device)
  local cordon = entry_of('boards:cordoned', device)
  note(device, cordon and cordon.state or 'online', actor, reason, {})
  give_orders()
end

local function cordon_of(device) return loan_of(device) or entry_of('boards:cordoned', device) end

local function cordon_state(device)
  local cordon = cordon_of(device)
  local state = cordon and cordon.state
  return (state == 'draining' or state == 'quarantined') and state or nil
end

-- Whether a board's cordon has a flag: of_host (the board cannot do its own jobs either) or
-- release_port.
local function cordon_has(device, flag)
  local cordon = cordon_of(device)
  return cordon and cordon[flag] == true or false
end

local function cordoned(host) return call('HEXISTS', P .. 'hosts:cordoned', host) == 1 end

-- The reservation of a board that holds now, or nil: {user, until_s, reason}.
local function reservation_of(device)
  local found = entry_of('reservations', device)
  local until_s = found and number(found.until_s, 0)
  if not found or type(found.user) ~= 'string' then return nil end
  return until_s > now and until_s <= now + LONGEST_RESERVATION_S and found or nil
end

-- Whether a board with these tags has all that are wanted.
local function has_tags(tags, wanted)
  for name, value in pairs(wanted) do
    if type(tags) ~= 'table' or tags[name] ~= value then return false end
  end
  return true
end

-- {board, what it announced} of the live ones, read once a call.
local live
local function live_boards()
  if live then return live end
  live = {}
  local names = call('ZRANGEBYSCORE', P .. 'boards:until', now_s, '+inf', 'LIMIT', 0, BOARDS)
  for _, other in ipairs(names) do
    local info = entry_of('boards', other)
    if info then table.insert(live, {other, info}) end
  end
  return live
end

-- Whether a live board of the platform that `differs` could take the job instead.
local function another_board(platform, differs, job)
  local wanted = decoded(job.require) or {}
  for _, found in ipairs(live_boards()) do
    local other, info = found[1], found[2]
    if info.platform == platform and differs(other, info.host) and not cordon_state(other)
        and not cordoned(tostring(info.host)) and has_tags(info.tags, wanted)
        and (reservation_of(other) or job).user == job.user
        and (info.state == 'online' or info.state == 'busy') then
      return true
    end
  end
  return false
end

local function board_but(device) return function(other) return other ~= device end end
local function host_but(host) return function(_, other) return other ~= host end end
