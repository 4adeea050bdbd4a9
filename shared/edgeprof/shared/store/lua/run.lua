-- The commands of a running attempt, and cancel.

-- renew(id, epoch, lease_s): 'ok', 'cancel', or 'stale' when another attempt has the job by now. A
-- lease that ran out but was not taken yet is renewed: nobody else has started.
function commands.renew(id, epoch, lease_s)
  if not holds(id, epoch) then return 'stale' end
  beat()
  call('ZADD', P .. 'leases', at(now + tonumber(lease_s)), id)
  return get(id, 'cancel') and 'cancel' or 'ok'
end

-- progress(id, epoch, field, value, ...): add an event for watchers; 'ok' or 'stale'.
function commands.progress(id, epoch, ...)
  if not holds(id, epoch) then return 'stale' end
  append(job_key(id) .. ':events', 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', 'progress', ...)
  return 'ok'
end

-- succeed(id, epoch, result): the state afterwards, or 'stale'. Repeating it changes nothing.
function commands.succeed(id, epoch, result)
  if not holds(id, epoch) then
    local state = get(id, 'state')
    if state == 'succeeded' and get(id, 'epoch') == epoch then return state end
    if state then
      remember(id, state, state, 'store', 'late result of epoch ' .. epoch .. ' refused')
    end
    return 'stale'
  end
  local owner, host = get(id, 'owner') or '', get(id, 'host') or ''
  close_attempt(id, '', '', '')
  release(id)
  call('SET', P .. 'work:' .. id .. ':result', result)
  call('HDEL', P .. 'boards:faults', get(id, 'device') or '')
  call('HDEL', P .. 'hosts:faults', host)
  terminate(id, 'running', 'succeeded', owner, 'measured')
  return 'succeeded'
end

-- How many faults in a row a board or a host has had, with this one.
local function one_more(name, field)
  local faults = number(call('HGET', P .. name, field), 0) + 1
  call('HSET', P .. name, field, faults)
  return faults
end

-- fail(id, epoch, fault_class, code, reason, retryable, backoff_s, most, blame): the state
-- afterwards, or 'stale'. blame is 'board', 'host' or ''. The board is quarantined at the `most`-th
-- fault in a row that it is to blame for; its host is cordoned likewise.
function commands.fail(id, epoch, fault_class, code, reason, retryable, backoff_s, most, blame)
  if not holds(id, epoch) then return 'stale' end
  local device, host, owner = get(id, 'device'), get(id, 'host') or '', get(id, 'owner') or ''
  if not get(id, 'cancel') then
    if blame == 'board' then
      local faults = one_more('boards:faults', device)
      if faults >= tonumber(most) and not cordon_state(device) then
        local why = faults .. ' faults in a row; the last: ' .. reason
        set_cordon(device, 'quarantined', 'store', why, {})
      end
    elseif blame == 'host' then
      local faults = one_more('hosts:faults', host)
      if faults >= tonumber(most) and not cordoned(host) then
        cordon_host(host, 'store', faults .. ' faults of the host in a row; the last: ' .. reason)
      end
    end
  end
  return attempt_failed(id, fault_class, code, reason, retryable == '1', tonumber(backoff_s), owner,
    blame == 'host')
end

-- cancel(id, actor, reason): the state afterwards. A running job stays running until its worker is
-- told, at its next renewal.
function commands.cancel(id, actor, reason)
  local state = get(id, 'state')
  if state == 'queued' then
    local job = sound(id)
    if not job then return state end -- a worker or the custodian ends it when they meet it
    withdraw(id, job)
    terminate(id, 'queued', 'cancelled', actor, reason)
    return 'cancelled'
  end
  if state == 'running' then
    if call('HSETNX', job_key(id), 'cancel', actor .. '\n' .. reason) == 1 then
      remember(id, 'running', 'running', actor, 'cancel asked: ' .. reason)
    end
  end
  return state or ''
end
