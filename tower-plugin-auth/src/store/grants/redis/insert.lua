-- tag, id, record, owner, capability, end, keep, now, capacity, how many the owner may have
local _, id, record, owner, capability, ends, keep, now = unpack(ARGV)
local capacity, most = tonumber(ARGV[9]), tonumber(ARGV[10])
local of_owner, of_capability = tag .. ':o:' .. owner, tag .. ':c:' .. capability

if redis.call('EXISTS', grant_of(id)) == 1 then return 'EXISTS' end
sweep(now, 16)
if redis.call('ZCOUNT', of_owner, '(' .. now, '+inf') >= most then return 'FULL_FOR_PRINCIPAL' end
if redis.call('ZCOUNT', tag .. ':live', '(' .. now, '+inf') >= capacity then return 'FULL' end

redis.call('HSET', grant_of(id), 'r', record, 'o', owner, 'c', capability)
redis.call('PEXPIRE', grant_of(id), keep)
redis.call('ZADD', tag .. ':live', ends, id)
-- An index lives as long as the last record in it, and names no dead ones for longer than that.
for _, index in ipairs({of_owner, of_capability}) do
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  redis.call('ZADD', index, ends, id)
  if redis.call('PTTL', index) < tonumber(keep) then redis.call('PEXPIRE', index, keep) end
end
return 'OK'
