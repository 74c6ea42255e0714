-- tag, id, record, owner, capability, end, keep, now, what has ended long ago, how many there may be, and how many
-- the owner may have
local _, id, record, owner, kind, ends, keep, now, long_ago = unpack(ARGV)
local capacity, most = tonumber(ARGV[10]), tonumber(ARGV[11])
local of_owner, of_kind = tag .. ':o:' .. owner, tag .. ':c:' .. kind

if redis.call('EXISTS', grant_of(id)) == 1 then return 'EXISTS' end
sweep(long_ago, 16)
if redis.call('ZCOUNT', of_owner, '(' .. now, '+inf') >= most then return 'FULL_FOR_PRINCIPAL' end
if redis.call('ZCOUNT', tag .. ':live', '(' .. now, '+inf') >= capacity then return 'FULL' end

redis.call('HSET', grant_of(id), 'r', record, 'o', owner, 'c', kind)
redis.call('PEXPIRE', grant_of(id), keep)
redis.call('ZADD', tag .. ':live', ends, id)
-- An index lives as long as the last record in it, and names no dead ones for longer than that.
for _, index in ipairs({of_owner, of_kind}) do
  redis.call('ZREMRANGEBYSCORE', index, '-inf', long_ago)
  redis.call('ZADD', index, ends, id)
  if redis.call('PTTL', index) < tonumber(keep) then redis.call('PEXPIRE', index, keep) end
end
return 'OK'
