-- The commands about hosts, the store itself and its queues.

-- withdraw_host(address): take a host off the list.
function commands.withdraw_host(address)
  call('HDEL', P .. 'hosts', address)
  call('ZREM', P .. 'hosts:until', address)
end

-- announce_host(address, info JSON, kept_s, fresh_s): '', or the address of another machine of the
-- same name that was announced within fresh_s; then this one is not listed. Hosts that have been
-- silent for too long are forgotten.
function commands.announce_host(address, info, kept_s, fresh_s)
  local forgotten = call('ZRANGEBYSCORE', P .. 'hosts:until', '-inf', now_s, 'LIMIT', 0, HOSTS)
  for _, silent in ipairs(forgotten) do commands.withdraw_host(silent) end
  local mine = cjson.decode(info)
  -- Those announced of late, and not in the future.
  local from, to = at(now + tonumber(kept_s) - tonumber(fresh_s)), at(now + tonumber(kept_s))
  local recent = call('ZRANGEBYSCORE', P .. 'hosts:until', '(' .. from, to, 'LIMIT', 0, HOSTS)
  for _, each in ipairs(recent) do
    local other = entry_of('hosts', each) or {}
    if other.host == mine.host and (other.machine or '') ~= mine.machine then return each end
  end
  call('HSET', P .. 'hosts', address, info)
  call('ZADD', P .. 'hosts:until', at(now + tonumber(kept_s)), address)
  return ''
end

-- hosts(): {now, info JSON, until when it is listed, ...}
function commands.hosts()
  local reply, latest = {now_s}, at(now + LONGEST_UNTIL_S)
  local listed = call('ZREVRANGEBYSCORE', P .. 'hosts:until', latest, now_s, 'WITHSCORES',
    'LIMIT', 0, HOSTS)
  for i = 1, #listed, 2 do
    local info = short(P .. 'hosts', listed[i], ENTRY_LIMIT)
    if info then
      table.insert(reply, info)
      table.insert(reply, at(number(listed[i + 1], 0)))
    end
  end
  return reply
end

-- identify(known, fresh): {now, the store's id, when it was found emptied or ''}. An empty store
-- gets the id `fresh`. A store whose id is not `known` (unless that is '') was emptied, or is
-- another.
function commands.identify(known, fresh)
  call('HSETNX', P .. 'store', 'id', fresh)
  local id = call('HGET', P .. 'store', 'id')
  if known ~= '' and id ~= known then call('HSETNX', P .. 'store', 'emptied_s', now_s) end
  local emptied_s = number(call('HGET', P .. 'store', 'emptied_s'))
  return {now_s, id, emptied_s and at(emptied_s) or ''}
end

-- How many of a queue's jobs have an expected duration, and the sum of those. In a long queue it is
-- that of jobs at random, times as many as there are.
local function expected_of(ready, jobs)
  local drawn, found, sum = try('ZRANDMEMBER', ready, AGED) or {}, 0, 0
  for _, id in ipairs(drawn) do
    local s = number(get(id, 'expected_s'), 0)
    if s > 0 and s <= LONGEST_EXPECTED_S then found, sum = found + 1, sum + s end
  end
  local times = #drawn > 0 and jobs / #drawn or 0
  return math.floor(found * times + 0.5), sum * times
end

-- queue_depths(): {queue, queued jobs, age of the oldest in seconds, how many of the jobs have an
-- expected duration, the sum of those in seconds} of each queue that has had jobs.
function commands.queue_depths()
  local reply = {}
  for _, queue in ipairs(some_queues()) do
    local oldest, jobs, known, sum = 0, 0, 0, 0
    for _, lane in ipairs(lanes_of(queue)) do
      local ready = P .. 'ready:' .. lane.name
      for _, id in ipairs(try('ZRANGE', ready, 0, AGED - 1) or {}) do
        oldest = math.max(oldest, now - number(get(id, 'queued_s'), now))
      end
      local its_jobs = try('ZCARD', ready) or 0
      local its_known, its_sum = expected_of(ready, its_jobs)
      jobs, known, sum = jobs + its_jobs, known + its_known, sum + its_sum
    end
    table.insert(reply, {queue, jobs, at(oldest), known, at(sum)})
  end
  return reply
end
