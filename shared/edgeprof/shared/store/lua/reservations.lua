-- The commands about reservations: for a while a board gets only one user's jobs.

-- reserve(device, user, seconds, reason): {'ok', until when}, {'unknown'}, or {'taken', JSON of the
-- reservation of another}. A user's own is replaced. A job that runs there goes on.
function commands.reserve(device, user, seconds, reason)
  if call('HEXISTS', P .. 'boards', device) == 0 then return {'unknown'} end
  local held = reservation_of(device)
  if held and held.user ~= user then return {'taken', encoded(held) or '{}'} end
  local until_s = at(now + math.min(tonumber(seconds), LONGEST_RESERVATION_S))
  local entry = cjson.encode({user = user, until_s = tonumber(until_s), reason = reason})
  call('HSET', P .. 'reservations', device, entry)
  call('ZADD', P .. 'reservations:until', until_s, device)
  give_orders()
  return {'ok', until_s}
end

-- release(device, user): {'ok'}, {'free'} when it was not reserved, or {'taken', JSON of the
-- reservation} when another has it. user: '' ends it whosever it is.
function commands.release(device, user)
  local held = reservation_of(device)
  if not held then return {'free'} end
  if user ~= '' and held.user ~= user then return {'taken', encoded(held) or '{}'} end
  call('HDEL', P .. 'reservations', device)
  call('ZREM', P .. 'reservations:until', device)
  give_orders()
  return {'ok'}
end
