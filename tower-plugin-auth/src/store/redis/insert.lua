-- tag, id, record, version, family, subject, live, began, issued, forget, keep, now, capacity
local _, id, record, version, family, subject = unpack(ARGV)
local ends = {live = ARGV[7], began = ARGV[8], issued = ARGV[9], forget = ARGV[10], keep = ARGV[11]}
local now, capacity = ARGV[12], tonumber(ARGV[13])

if redis.call('EXISTS', record_of(id)) == 1 then return 'EXISTS' end
sweep(now, 16)
if redis.call('ZCOUNT', tag .. ':live', '(' .. now, '+inf') >= capacity then return 'FULL' end

put(id, record, version, family, subject, ends)
redis.call('ZREMRANGEBYSCORE', tag .. ':s:' .. subject, '-inf', now)
-- Who rotates as fast as he can fills nothing: of a family, the latest are remembered.
if redis.call('ZCARD', tag .. ':f:' .. family) > 64 then
  for _, oldest in ipairs(redis.call('ZRANGE', tag .. ':f:' .. family, 0, 0)) do
    remove(oldest)
    redis.call('ZREM', tag .. ':f:' .. family, oldest)
  end
end
return 'OK'
