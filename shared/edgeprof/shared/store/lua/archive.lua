-- The commands of the archive and of readers: what is finished, read, archived, forgotten.

-- unarchived(limit, where): ids of finished jobs that no archive holds yet ('unarchived') or any
-- more ('rearchive'), oldest first.
function commands.unarchived(limit, where)
  local most, ids, looked = tonumber(limit), {}, 0
  repeat
    local page = call('ZRANGE', P .. where, #ids, most - 1)
    local sure = {}
    looked = looked + #page
    for _, id in ipairs(page) do
      local state = get(id, 'state')
      if state and IS_TERMINAL[state] and is_id(id) then table.insert(sure, id)
      else
        call('ZREM', P .. where, id)
        note_aside(where, id, state and 'it is ' .. string.sub(state, 1, 64) or 'it has no record')
      end
    end
    for _, id in ipairs(sure) do table.insert(ids, id) end
  until #page == #sure or looked >= MOST_CANDIDATES
  return ids
end

-- unreadable(id...): the archive cannot keep these jobs; they wait apart until a newer one starts.
function commands.unreadable(...)
  for _, id in ipairs({...}) do
    for _, where in ipairs({'unarchived', 'rearchive'}) do
      local since_s = call('ZSCORE', P .. where, id)
      if since_s then
        call('ZREM', P .. where, id)
        call('ZADD', P .. 'unreadable', since_s, id)
        note_aside(where, id, 'the archive cannot keep it')
      end
    end
  end
end

-- retry_unreadable(): an archive that has just started looks at them once more; returns how many.
function commands.retry_unreadable()
  local ids = call('ZRANGE', P .. 'unreadable', 0, -1, 'WITHSCORES')
  for i = 1, #ids, 2 do call('ZADD', P .. 'unarchived', ids[i + 1], ids[i]) end
  call('DEL', P .. 'unreadable')
  return #ids / 2
end

-- read(id...): for each job {record as in HGETALL, {attempt JSON, ...}, result, packed}, {} where
-- there is none, or {why it is not handed out}; of as many jobs as fit into one reply. Sizes are
-- looked at here, before anything travels. Only a job that succeeded has a result. What was packed
-- is in `packed` only.
function commands.read(...)
  local reply, room = {}, REPLY_LIMIT
  for _, id in ipairs({...}) do
    local key, job = job_key(id), {}
    local names = {'spec', 'state', 'reason', 'created_s', 'started_s', 'finished_s', 'traceparent',
      'expected_s', 'expected_by'}
    local values = try('HMGET', key, unpack(names))
    if values and values[2] then
      local result, bytes = P .. 'work:' .. id .. ':result', call('HSTRLEN', key, 'spec')
      for i = 2, #names do bytes = math.max(bytes, #(values[i] or '')) end
      local has_result = values[2] == 'succeeded'
      local packed = not values[1] and packed_key(id)
      local result_bytes = packed and try('STRLEN', packed)
        or has_result and try('STRLEN', result) or 0
      if bytes > SPEC_LIMIT or result_bytes > RESULT_LIMIT then
        job = {'it is larger than a job can be'}
      else
        local record, attempts = {}, {}
        for i, name in ipairs(names) do
          if values[i] then for _, v in ipairs({name, values[i]}) do table.insert(record, v) end end
        end
        for _, attempt in ipairs(try('LRANGE', attempts_key(id), 0, ATTEMPTS_READ - 1) or {}) do
          if #attempt <= ENTRY_LIMIT then table.insert(attempts, attempt) end
        end
        for i = 1, #names do room = room - #(values[i] or '') end
        room = room - result_bytes
        job = {record, attempts, has_result and try('GET', result) or '',
          packed and try('GET', packed) or ''}
      end
    end
    table.insert(reply, job)
    if room <= 0 then break end
  end
  return reply
end

-- Replace the large parts of a finished job by their packed form. Watchers that are late still
-- find its events for a while.
local function pack(id, packed)
  local key = job_key(id)
  call('SET', packed_key(id), packed)
  call('DEL', attempts_key(id), P .. 'work:' .. id .. ':result', key .. ':history')
  -- Written anew: a hash that was large once stays three times as large as its fields.
  local kept = {}
  for _, name in ipairs({'state', 'reason', 'queue', 'user', 'created_s', 'started_s', 'finished_s',
      'traceparent', 'epoch', 'expected_s', 'expected_by'}) do
    local value = get(id, name)
    if value then for _, v in ipairs({name, value}) do table.insert(kept, v) end end
  end
  call('DEL', key)
  call('HSET', key, unpack(kept))
  call('EXPIRE', key .. ':events', EVENTS_KEPT_S)
end

-- archived(ttl_s, id, packed, ...): an archive holds these for good; Redis may forget them later.
-- packed: the job's large parts (packing.py), or '' where they stay as they are.
function commands.archived(ttl_s, ...)
  local given = {...}
  for i = 1, #given, 2 do
    local id, packed = given[i], given[i + 1]
    local state = get(id, 'state')
    if packed ~= '' and state and IS_TERMINAL[state] then pack(id, packed) end
    if call('ZREM', P .. 'unarchived', id) + call('ZREM', P .. 'rearchive', id) > 0 then
      call('ZADD', P .. 'prunable', at(now + tonumber(ttl_s)), id)
    end
  end
  return 'ok'
end

-- archived_ends(): {id, finished_s, ...} of the job that was archived last and of the one that was
-- archived first, of those that are still here. An archive that has both is the one they were given
-- to.
function commands.archived_ends()
  local reply = {}
  for _, rank in ipairs({-1, 0}) do
    local id = call('ZRANGE', P .. 'prunable', rank, rank)[1]
    local finished_s = id and is_id(id) and number(get(id, 'finished_s'))
    if finished_s then
      for _, v in ipairs({id, at(finished_s)}) do table.insert(reply, v) end
    end
  end
  return reply
end

-- archive_lost(): no archive holds any more what was archived; returns how many jobs there are to
-- archive again. Those of a loss before this one come first; then this is to be called again.
function commands.archive_lost()
  if call('EXISTS', P .. 'rearchive') == 0 and call('EXISTS', P .. 'prunable') == 1 then
    redis.call('RENAME', P .. 'prunable', P .. 'rearchive')
  end
  return call('ZCARD', P .. 'rearchive')
end

-- prune(limit): forget archived jobs whose time has come; returns how many.
function commands.prune(limit)
  local ids = call('ZRANGEBYSCORE', P .. 'prunable', '-inf', now_s, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    local key = job_key(id)
    for _, state in ipairs(STATES) do call('ZREM', P .. 'jobs:' .. state, id) end
    call('ZREM', P .. 'jobs', id)
    call('ZREM', P .. 'dead', id)
    call('ZREM', P .. 'prunable', id)
    call('DEL', key, key .. ':history', key .. ':events')
    call('DEL', attempts_key(id), P .. 'work:' .. id .. ':result', packed_key(id))
  end
  return #ids
end
