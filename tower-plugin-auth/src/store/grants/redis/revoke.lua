-- tag, limit, what, then the name of an index, an id, or an id, a link and how many links may be revoked
-- Returns how many grants that concerned, and whether there may be more.
local limit, what = tonumber(ARGV[2]), ARGV[3]
if what == 'grant' then return {remove(ARGV[4]), 0} end

if what == 'link' then
  local id, link, most = ARGV[4], ARGV[5], tonumber(ARGV[6])
  local key = grant_of(id)
  if redis.call('HEXISTS', key, 'r') == 0 then return {0, 0} end
  local revoked = redis.call('HGET', key, 'x') or ''
  for at = 1, #revoked, 16 do
    if string.sub(revoked, at, at + 15) == link then return {1, 0} end
  end
  if #revoked >= most * 16 then return {remove(id), 0} end
  redis.call('HSET', key, 'x', revoked .. link)
  return {1, 0}
end

local index = tag .. ARGV[4]
local ids = redis.call('ZRANGE', index, 0, limit - 1)
local removed = 0
for _, id in ipairs(ids) do
  removed = removed + remove(id)
  -- A record that has expired has left its name behind.
  redis.call('ZREM', index, id)
end
return {removed, #ids == limit and 1 or 0}
