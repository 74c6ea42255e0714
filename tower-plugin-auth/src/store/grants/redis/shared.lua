-- What every script about grants starts with. Names of keys are put together here from the tag in the first
-- argument: all of a store's keys have the same hash tag, so in a cluster they are in one place.

local tag = ARGV[1] .. ':g'

local function grant_of(id) return tag .. ':r:' .. id end

-- Forgets a grant under all of its names; how many records that were.
local function remove(id)
  local names = redis.call('HMGET', grant_of(id), 'o', 'c')
  redis.call('ZREM', tag .. ':live', id)
  if not names[1] then return 0 end
  redis.call('ZREM', tag .. ':o:' .. names[1], id)
  redis.call('ZREM', tag .. ':c:' .. names[2], id)
  redis.call('DEL', grant_of(id))
  return 1
end

-- Removes what has expired by then; how many there were.
local function sweep(now, limit)
  local dead = redis.call('ZRANGEBYSCORE', tag .. ':live', '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(dead) do remove(id) end
  return #dead
end
