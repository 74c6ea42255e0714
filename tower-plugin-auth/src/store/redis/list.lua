-- tag, limit, index of some or '', microsecond and id to go on after, or ''
local limit, index = tonumber(ARGV[2]), ARGV[3]
local after, after_id = tonumber(ARGV[4]), ARGV[5]
local page = {}

local function add(id)
  local record = redis.call('HGET', record_of(id), 'r')
  if record then page[#page + 1] = record end
end

if index ~= '' then
  -- One owner's, or one family's: few enough to be put in order here.
  local found = {}
  for _, id in ipairs(redis.call('ZRANGE', tag .. index, 0, -1)) do
    local began = tonumber(redis.call('ZSCORE', tag .. ':began', id))
    if began and (after_id == '' or began > after or (began == after and id > after_id)) then
      found[#found + 1] = {began, id}
    end
  end
  table.sort(found, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  for _, place in ipairs(found) do
    if #page == limit then break end
    add(place[2])
  end
  return page
end

local start = 0
if after_id ~= '' then
  local rank = redis.call('ZRANK', tag .. ':began', after_id)
  if rank then
    start = rank + 1
  else
    -- Where it would be, as it is gone.
    redis.call('ZADD', tag .. ':began', ARGV[4], after_id)
    start = redis.call('ZRANK', tag .. ':began', after_id)
    redis.call('ZREM', tag .. ':began', after_id)
  end
end
while #page < limit do
  local ids = redis.call('ZRANGE', tag .. ':began', start, start + limit - 1)
  for _, id in ipairs(ids) do
    if #page < limit then add(id) end
  end
  if #ids < limit then break end
  start = start + limit
end
return page
