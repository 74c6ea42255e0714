-- What every script starts with. Names of keys are put together here from the tag in the first
-- argument: all of a store's keys have the same hash tag, so in a cluster they are in one place.

local tag = ARGV[1]

local function record_of(id) return tag .. ':t:' .. id end

-- Forgets a token under all of its names; how many records that were.
local function remove(id)
  local names = redis.call('HMGET', record_of(id), 'f', 's')
  redis.call('ZREM', tag .. ':began', id)
  redis.call('ZREM', tag .. ':live', id)
  if not names[1] then return 0 end
  redis.call('ZREM', tag .. ':f:' .. names[1], id)
  redis.call('ZREM', tag .. ':s:' .. names[2], id)
  redis.call('DEL', record_of(id))
  return 1
end

-- Writes a record down under all of its names. An index lives as long as the last record in it.
local function put(id, record, version, family, subject, ends)
  redis.call('HSET', record_of(id), 'r', record, 'v', version, 'f', family, 's', subject)
  redis.call('PEXPIRE', record_of(id), ends.keep)
  redis.call('ZADD', tag .. ':live', ends.live, id)
  redis.call('ZADD', tag .. ':began', ends.began, id)
  redis.call('ZADD', tag .. ':f:' .. family, ends.issued, id)
  redis.call('ZADD', tag .. ':s:' .. subject, ends.forget, id)
  for _, index in ipairs({tag .. ':f:' .. family, tag .. ':s:' .. subject}) do
    if redis.call('PTTL', index) < tonumber(ends.keep) then
      redis.call('PEXPIRE', index, ends.keep)
    end
  end
end

-- Takes what has died by then out of the indexes of all; how many there were.
local function sweep(now, limit)
  local dead = redis.call('ZRANGEBYSCORE', tag .. ':live', '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(dead) do
    redis.call('ZREM', tag .. ':live', id)
    redis.call('ZREM', tag .. ':began', id)
  end
  return #dead
end
