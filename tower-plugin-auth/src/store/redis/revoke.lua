-- tag, limit, what, then ids, the name of an index, or an instant
-- Returns how many were removed, and whether there may be more.
local limit, what = tonumber(ARGV[2]), ARGV[3]
local ids, index
if what == 'tokens' then
  ids = {unpack(ARGV, 4)}
elseif what == 'index' then
  index = tag .. ARGV[4]
  ids = redis.call('ZRANGE', index, 0, limit - 1)
else
  index = tag .. ':began'
  ids = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. ARGV[4], 'LIMIT', 0, limit)
end

local removed = 0
for _, id in ipairs(ids) do
  removed = removed + remove(id)
  -- A record that has expired has left its name behind.
  if index then redis.call('ZREM', index, id) end
end
return {removed, index and #ids == limit and 1 or 0}
