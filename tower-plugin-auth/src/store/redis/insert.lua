-- tag, id, record, version, family, subject, live, began, issued, forget, keep, now, what has ended long ago,
-- capacity
local _, id, record, version, family, subject = unpack(ARGV)
local ends = {live = ARGV[7], began = ARGV[8], issued = ARGV[9], forget = ARGV[10], keep = ARGV[11]}
local now, long_ago, capacity = ARGV[12], ARGV[13], tonumber(ARGV[14])

if redis.call('EXISTS', record_of(id)) == 1 then return 'EXISTS' end
-- What is over by this caller's clock may be valid by another's, and must be found by a revocation then.
sweep(long_ago, 16)
if redis.call('ZCOUNT', tag .. ':live', '(' .. now, '+inf') >= capacity then return 'FULL' end

put(id, record, version, family, subject, ends)
redis.call('ZREMRANGEBYSCORE', tag .. ':s:' .. subject, '-inf', long_ago)
-- Who rotates as fast as he can fills nothing: of a family's dead, the latest 64 are remembered. Live
-- ones are counted as any others, and none is dropped for being one of many.
local members = tag .. ':f:' .. family
local excess = redis.call('ZCARD', members) - 64
if excess > 0 then
  for _, oldest in ipairs(redis.call('ZRANGE', members, 0, math.min(excess, 16) - 1)) do
    local until_when = redis.call('ZSCORE', tag .. ':live', oldest)
    if not until_when or tonumber(until_when) <= tonumber(now) then
      remove(oldest)
      redis.call('ZREM', members, oldest)
    end
  end
end
return 'OK'
