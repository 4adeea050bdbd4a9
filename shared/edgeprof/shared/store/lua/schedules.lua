-- The commands about recurring sweeps. The caller gives the times: they are those of a calendar in
-- a time zone, which Redis does not know. What only one scheduler may do names what it has seen (a
-- due time, the token of a run), and is done only while that is still so.

local SCHEDULES, RUNS_KEPT, RUN_JOBS = 200, 50, 100000

local function of_schedule(name, what) return P .. 'schedule:' .. name .. ':' .. what end

local function is_scheduled(name) return call('HEXISTS', P .. 'schedules', name) == 1 end

local function note_run(name, run)
  call('LPUSH', of_schedule(name, 'runs'), run)
  call('LTRIM', of_schedule(name, 'runs'), 0, RUNS_KEPT - 1)
end

-- Whether the open run of a schedule is still as the caller has seen it.
local function is_open(name, token)
  local run = entry_of('schedules:open', name)
  return run ~= nil and run.token == token
end

-- Whom to tell of its runs: among the keys that clients cannot read, for it has addresses.
local function wish_key(name) return NOTIFY .. 'schedule:' .. name end

-- add_schedule(name, definition JSON, next_s, wish JSON or '', sha256, content, ...): 'ok', 'exists'
-- or 'full'.
function commands.add_schedule(name, definition, next_s, wish, ...)
  if is_scheduled(name) then return 'exists' end
  if call('HLEN', P .. 'schedules') >= SCHEDULES then return 'full' end
  local files = {...}
  call('DEL', of_schedule(name, 'files'), of_schedule(name, 'runs'), of_schedule(name, 'jobs'))
  for i = 1, #files, 2 do call('HSET', of_schedule(name, 'files'), files[i], files[i + 1]) end
  call('HSET', P .. 'schedules', name, definition)
  call('HDEL', P .. 'schedules:open', name)
  call('HDEL', P .. 'schedules:paused', name)
  call('ZADD', P .. 'schedules:due', next_s, name)
  if wish ~= '' then call('SET', wish_key(name), wish) else call('DEL', wish_key(name)) end
  return 'ok'
end

-- remove_schedule(name): 1, or 0 where there was none. Jobs that are queued go on.
function commands.remove_schedule(name)
  local found = call('HDEL', P .. 'schedules', name)
  call('HDEL', P .. 'schedules:open', name)
  call('HDEL', P .. 'schedules:paused', name)
  call('ZREM', P .. 'schedules:due', name)
  call('DEL', of_schedule(name, 'files'), of_schedule(name, 'runs'), of_schedule(name, 'jobs'))
  call('DEL', wish_key(name))
  return found
end

-- pause_schedule(name, who JSON): 'ok', 'before' (it was paused) or 'gone'.
function commands.pause_schedule(name, who)
  if not is_scheduled(name) then return 'gone' end
  if call('HEXISTS', P .. 'schedules:paused', name) == 1 then return 'before' end
  call('HSET', P .. 'schedules:paused', name, who)
  call('ZREM', P .. 'schedules:due', name)
  return 'ok'
end

-- resume_schedule(name, next_s): 'ok', 'before' (it was not paused) or 'gone'.
function commands.resume_schedule(name, next_s)
  if not is_scheduled(name) then return 'gone' end
  if call('HDEL', P .. 'schedules:paused', name) == 0 then return 'before' end
  call('ZADD', P .. 'schedules:due', next_s, name)
  return 'ok'
end

-- schedules(name...): of each of these, or of all: {name, definition JSON, when it is due or '',
-- who paused it (JSON) or '', open run (JSON) or '', {ended run (JSON), ...} newest first}.
function commands.schedules(...)
  local names, reply = {...}, {}
  if #names == 0 then
    local all = call('HGETALL', P .. 'schedules')
    for i = 1, math.min(#all, 2 * SCHEDULES), 2 do table.insert(names, all[i]) end
  end
  for _, name in ipairs(names) do
    local definition = short(P .. 'schedules', name, SPEC_LIMIT)
    if definition then
      table.insert(reply, {name, definition,
        call('ZSCORE', P .. 'schedules:due', name) or '',
        short(P .. 'schedules:paused', name, ENTRY_LIMIT) or '',
        short(P .. 'schedules:open', name, ENTRY_LIMIT) or '',
        call('LRANGE', of_schedule(name, 'runs'), 0, RUNS_KEPT - 1)})
    end
  end
  return reply
end

-- schedules_at_work(now_s): {{name, when it was due, ...}, {name, open run JSON, ...}}
function commands.schedules_at_work(until_s)
  local due = call('ZRANGEBYSCORE', P .. 'schedules:due', 0, until_s, 'WITHSCORES',
    'LIMIT', 0, SCHEDULES)
  local open = call('HGETALL', P .. 'schedules:open')
  return {due, #open <= 2 * SCHEDULES and open or {}}
end

-- schedule_wish(name): whom to tell of its runs (JSON), or ''.
function commands.schedule_wish(name)
  local key = wish_key(name)
  return (try('STRLEN', key) or 0) <= ENTRY_LIMIT and try('GET', key) or ''
end

-- schedule_counts(): {how many there are, how many of them are paused}
function commands.schedule_counts()
  return {call('HLEN', P .. 'schedules'), call('HLEN', P .. 'schedules:paused')}
end

-- begin_run(name, due_s, next_s, missed JSON or '', skipped JSON, run JSON or ''): what was due at
-- due_s is done; `missed` is noted, and `run` begins, unless one is open: then `skipped` is noted.
-- 'began', 'skipped', 'noted' (there was no run to begin), or 'stale': another scheduler did it.
-- Without due_s a person asks for the run now: 'began', 'busy' or 'gone'.
function commands.begin_run(name, due_s, next_s, missed, skipped, run)
  local asked = due_s == ''
  if not is_scheduled(name) then
    call('ZREM', P .. 'schedules:due', name)
    return 'gone'
  end
  if not asked then
    local due = number(call('ZSCORE', P .. 'schedules:due', name))
    if due ~= tonumber(due_s) then return 'stale' end
    call('ZADD', P .. 'schedules:due', next_s, name)
    if missed ~= '' then note_run(name, missed) end
  end
  if run == '' then return 'noted' end
  if entry_of('schedules:open', name) then
    if asked then return 'busy' end
    note_run(name, skipped)
    return 'skipped'
  end
  call('DEL', of_schedule(name, 'jobs'))
  call('HSET', P .. 'schedules:open', name, run)
  return 'began'
end

-- write_run(name, token, run JSON, ids): the open run with this token becomes `run`, whose jobs are
-- these, separated by spaces: Lua's stack does not hold those of a large sweep as arguments. 0: the
-- run is not so any more.
function commands.write_run(name, token, run, ids)
  if not is_open(name, token) then return 0 end
  call('HSET', P .. 'schedules:open', name, run)
  call('DEL', of_schedule(name, 'jobs'))
  for id in string.gmatch(ids, '%S+') do call('RPUSH', of_schedule(name, 'jobs'), id) end
  return 1
end

-- run_jobs(name, from): {how many jobs before the first that has not ended}, or, when all have
-- ended, {-1, jobs, how many of them succeeded}. The first `from` are known to have ended.
function commands.run_jobs(name, from)
  local ids, succeeded = call('LRANGE', of_schedule(name, 'jobs'), 0, RUN_JOBS - 1), 0
  for i = tonumber(from) + 1, #ids do
    local state = get(ids[i], 'state')
    if state and IS_STATE[state] and not IS_TERMINAL[state] then return {i - 1} end
  end
  for _, id in ipairs(ids) do
    if get(id, 'state') == 'succeeded' then succeeded = succeeded + 1 end
  end
  return {-1, #ids, succeeded}
end

-- end_run(name, token, ended run JSON): 1, or 0: it is not open any more.
function commands.end_run(name, token, ended)
  if not is_open(name, token) then return 0 end
  call('HDEL', P .. 'schedules:open', name)
  call('DEL', of_schedule(name, 'jobs'))
  note_run(name, ended)
  return 1
end

-- set_schedule_aside(name, why): somebody else wrote what is there; nobody looks at it again.
function commands.set_schedule_aside(name, why)
  call('ZREM', P .. 'schedules:due', name)
  call('HDEL', P .. 'schedules:open', name)
  note_aside('schedules', name, why)
end
