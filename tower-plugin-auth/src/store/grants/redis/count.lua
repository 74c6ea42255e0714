-- tag, id, how many links may be counted, limit of the grant or 0, then links and their limits
local key, most = grant_of(ARGV[2]), tonumber(ARGV[3])
if redis.call('HEXISTS', key, 'r') == 0 then return {'GONE', 0} end

-- How often it may go on after this, by the limit that is reached first; -1 if there is none.
local left = -1

local function is_used_up(field, limit)
  local used = redis.call('HGET', key, field)
  local after = limit - tonumber(used or '0') - 1
  if left < 0 or after < left then left = after end
  return after < 0, not used
end

local limit = tonumber(ARGV[4])
if limit > 0 and is_used_up('u', limit) then return {'USED_UP', 0} end
local new = 0
for at = 5, #ARGV, 2 do
  local used_up, unknown = is_used_up('l' .. ARGV[at], tonumber(ARGV[at + 1]))
  if used_up then return {'USED_UP', 0} end
  if unknown then new = new + 1 end
end
if tonumber(redis.call('HGET', key, 'n') or '0') + new > most then return {'USED_UP', 0} end

redis.call('HINCRBY', key, 'u', 1)
if new > 0 then redis.call('HINCRBY', key, 'n', new) end
for at = 5, #ARGV, 2 do redis.call('HINCRBY', key, 'l' .. ARGV[at], 1) end
return {'OK', left}
