-- tag, id, record, version, family, subject, live, began, issued, forget, keep, version expected
local _, id, record, version, family, subject = unpack(ARGV)
local ends = {live = ARGV[7], began = ARGV[8], issued = ARGV[9], forget = ARGV[10], keep = ARGV[11]}

if redis.call('HGET', record_of(id), 'v') ~= ARGV[12] then return 0 end
put(id, record, version, family, subject, ends)
return 1
