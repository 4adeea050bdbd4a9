-- Reading and writing single keys: a value that somebody else wrote there must not stop a call.

local function job_key(id) return P .. 'job:' .. id end
local function at(s) return string.format('%.6f', s) end

-- Whether a reply is an error that has this text in it.
local function failed_with(reply, text)
  return type(reply) == 'table' and reply.err and string.find(reply.err, text, 1, true) ~= nil
end

local note_aside

-- The reply of a command. A key of another type than the command's holds nothing of ours, and would
-- stop every call that meets it: it is removed, which is noted.
local function call(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if not failed_with(reply, '') then return reply end
  if not failed_with(reply, 'WRONGTYPE') then return redis.call(command, key, ...) end
  local found = redis.call('TYPE', key).ok
  redis.call('DEL', key)
  note_aside(string.sub(key, #P + 1), '', 'a key of type ' .. found .. ' stood there')
  return redis.call(command, key, ...)
end

function note_aside(where, id, why)
  local entry = {s = now, where = string.sub(where, 1, 200), id = string.sub(id, 1, 64), why = why}
  call('LPUSH', P .. 'aside', cjson.encode(entry))
  call('LTRIM', P .. 'aside', 0, 999)
end

-- The reply of a command, or nil where the key is of another type. Any other error is raised.
local function try(...)
  local reply = redis.pcall(...)
  if failed_with(reply, 'WRONGTYPE') then return nil end
  if failed_with(reply, '') then return redis.call(...) end
  return reply
end

-- Write to a stream that only readers need. One that was filled up to the last possible id is
-- removed.
local function append(key, ...)
  local reply = redis.pcall('XADD', key, ...)
  if failed_with(reply, 'XADD') or failed_with(reply, 'exhausted') then redis.call('DEL', key) end
  if failed_with(reply, '') then call('XADD', key, ...) end
end

local function get(id, field) return try('HGET', job_key(id), field) or nil end

-- A finite number from a text, or the default.
local function number(text, default)
  local value = tonumber(text or nil)
  if value and value == value and math.abs(value) < 1e15 then return value end
  return default
end

-- A table from JSON that somebody wrote, or nil.
local function decoded(text)
  local ok, value = pcall(cjson.decode, text or '')
  return ok and type(value) == 'table' and value or nil
end

-- A field of a hash, or nil where there is none or it is longer than `most`.
local function short(key, field, most)
  if call('HSTRLEN', key, field) > most then return nil end
  return call('HGET', key, field) or nil
end

-- A table from JSON in a field of a hash, or nil.
local function entry_of(name, field) return decoded(short(P .. name, field, ENTRY_LIMIT)) end

-- JSON of a table, or nil: somebody else may have put a NaN into it.
local function encoded(value)
  local ok, text = pcall(cjson.encode, value)
  return ok and text or nil
end

-- Whether a job's id has the form of ours. Others may not be text, and their readers would not find
-- them again.
local function is_id(id) return #id <= 64 and string.find(id, '^%w[%w._-]*$') ~= nil end

-- Names of queues, as board_queue() and platform_queue() of types/job.py make them.
local BOARD_QUEUE, PLATFORM_QUEUE = 'board.', 'platform.'
local function board_queue(device) return BOARD_QUEUE .. device end
local function platform_queue(platform) return PLATFORM_QUEUE .. platform end

-- Jobs that want tags of a board wait in lanes of their queue, one for each set of tags. So a claim
-- looks at the first job of each lane, and a job whose boards are busy is in nobody's way.
local function lane_of(queue, require) return require == '' and queue or queue .. '|' .. require end

-- Whether a queue's name has the form of ours. Others are not walked: their keys may be long, or
-- somebody else's.
local function is_queue(name)
  local kind = string.match(name, '^(%l+%.)[%w._-]+$')
  return #name <= 128 and (kind == BOARD_QUEUE or kind == PLATFORM_QUEUE)
end

-- Some of the queues in use.
local function some_queues()
  local found = {}
  for _, queue in ipairs(call('SRANDMEMBER', P .. 'queues', QUEUES)) do
    if is_queue(queue) then table.insert(found, queue) end
  end
  return found
end

local function score(name, member) return number(call('ZSCORE', P .. name, member), 0) end
