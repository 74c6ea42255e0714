-- tag, id
local record = redis.call('HGET', record_of(ARGV[2]), 'r')
if record then remove(ARGV[2]) end
return record
