-- Decides a batch of asks, one for each key. The same as `ledger.rs`, where every step is explained.
--
-- KEYS:    one record each, all different
-- ARGV[1]: the batch, packed as `wire.rs` says
-- returns: the answers, packed likewise
--
-- Times are microseconds since 2020, by the clock of this server unless the batch brings its own.

local pack, unpacked = struct.pack, struct.unpack
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local EPOCH, DAY, MAX_LEASES, FENCE = 1577836800, 86400, 64, 10000000

local NOTHING = pack('<I4', 0)

local batch = ARGV[1]
local now, me, policies, at = unpacked('<dc8B', batch)
if now == 0 then
  local time = redis.call('TIME')
  now = (time[1] - EPOCH) * 1000000 + time[2]
end

-- The second at which a period ends.
local function period_end(period, micros)
  local second = floor(micros / 1000000) + EPOCH
  if period == 1 then return (floor(second / 60) + 1) * 60 end
  if period == 2 then return (floor(second / 3600) + 1) * 3600 end
  local day = floor(second / DAY)
  if period == 3 then return (day + 1) * DAY end
  -- The first of the next month; days and years counted from the first of March of the year 0.
  day = day + 719468
  local of_era = day % 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * of_year + 2) / 153) + 1
  local first = floor((153 * month + 2) / 5)
  if month == 10 then first = 306 elseif month == 12 then
    local leap = (year + 1) % 4 == 0 and ((year + 1) % 100 ~= 0 or (year + 1) % 400 == 0)
    first = leap and 366 or 365
  end
  return (day - of_year + first - 719468) * DAY
end

local terms = {}
for p = 1, policies do
  local policy = {}
  policy.quotas, policy.reserve, policy.age, at = unpacked('<BI4d', batch, at)
  for q = 1, policy.quotas do
    local meter = {}
    meter.period, meter.leak, meter.unit, meter.full, meter.limit, meter.most, at = unpacked('<Bddddd', batch, at)
    if meter.period > 0 then meter.turn = period_end(meter.period, now) end
    policy[q] = meter
  end
  policy.head = pack('B', policy.quotas)
  terms[p] = policy
end

local records = redis.call('MGET', unpack(KEYS))
local answers = { pack('<d', now) }
local owed, kept, text = {}, {}, {}

for i = 1, #KEYS do
  local which, sequence, keep, left, surplus, undoes, operations
  which, sequence, keep, left, surplus, undoes, operations, at = unpacked('<BddI4I4BB', batch, at)
  local policy = terms[which]
  local quotas = policy.quotas

  -- What is owed.
  local record = records[i]
  local known, from = 0, 1
  if record then known, from = unpacked('B', record) end
  for q = 1, max(quotas, known) do
    local till, parts = 0, 0
    if q <= known then till, parts, from = unpacked('<dd', record, from) end
    local meter = policy[q]
    if not meter then
      -- There was one quota more then.
    elseif meter.turn then
      owed[q] = till == meter.turn and parts or 0
    elseif till < now then
      owed[q] = 0
    else
      owed[q] = min((till - now) * meter.leak + min(parts, meter.leak - 1), meter.most)
    end
  end

  -- What is on lease. Without one there is nothing to settle.
  local leases, out, last, changed, new = 0, 0, now, false, sequence > 0
  if record and from <= #record then
    local first = from
    if new then
      while from <= #record do
        local replica, _, entry, dead
        replica, _, entry, dead, from = unpacked('<c8I4dd', record, from)
        if replica == me and entry >= sequence and dead > now then new = false end
      end
      from = first
    end
    while from <= #record do
      local start = from
      local replica, units, entry, dead
      replica, units, entry, dead, from = unpacked('<c8I4dd', record, from)
      if dead > now then
        local text
        local stays = true
        if new and replica == me then
          if units == 0 then
            stays = undoes == 0
          else
            local still = entry == keep and min(left, units) or 0
            if still ~= units then
              changed = true
              units = still
              stays = units > 0
              text = pack('<c8I4dd', replica, units, entry, dead)
            end
          end
        end
        if stays then
          leases = leases + 1
          out = out + units
          last = max(last, dead)
          kept[leases] = text or record:sub(start, from - 1)
        end
      end
    end
  end

  -- A fence, so that what takes back is not done twice.
  local fenced = undoes == 1 and new and leases < MAX_LEASES
  if fenced then
    changed = true
    leases = leases + 1
    last = max(last, now + FENCE)
    kept[leases] = pack('<c8I4dd', me, 0, sequence, now + FENCE)
  end

  for _ = 1, operations do
    local operation, cost, times
    operation, cost, times, at = unpacked('<BI4I4', batch, at)
    if operation <= 2 then
      -- Check, or peek.
      for q = 1, quotas do
        local meter = policy[q]
        times = min(times, max(0, floor((meter.limit - owed[q]) / (meter.unit * cost))))
      end
      if operation == 1 and times > 0 then
        changed = true
        for q = 1, quotas do owed[q] = owed[q] + policy[q].unit * cost * times end
      end
    elseif operation == 3 then
      changed = true
      for q = 1, quotas do owed[q] = min(owed[q] + policy[q].unit * cost, policy[q].most) end
    else
      local debited
      if operation == 4 then debited, at = unpacked('<d', batch, at) end
      for q = 1, quotas do
        local meter = policy[q]
        if not fenced then
          -- Done before, or nobody could tell.
        elseif operation == 5 then
          owed[q] = 0
        elseif not meter.turn then
          local credit = max(0, meter.unit * cost - max(0, now - debited) * meter.leak)
          owed[q] = max(0, owed[q] - credit)
        elseif period_end(meter.period, debited) == meter.turn then
          owed[q] = max(0, owed[q] - cost)
        end
      end
    end
    answers[#answers + 1] = pack('<I4d', times, owed[1])
    for q = 2, quotas do answers[#answers + 1] = pack('<d', owed[q]) end
  end

  -- A lease on top.
  local units = 0
  if surplus > 0 and new and leases < MAX_LEASES then
    units = min(surplus, floor(max(0, policy.reserve - out) / 2))
    for q = 1, quotas do
      units = min(units, max(0, floor((policy[q].full - owed[q]) / policy[q].unit)))
    end
    if units > 0 then
      changed = true
      for q = 1, quotas do owed[q] = owed[q] + policy[q].unit * units end
      leases = leases + 1
      last = max(last, now + policy.age)
      kept[leases] = pack('<c8I4dd', me, units, sequence, now + policy.age)
    end
  end
  answers[#answers + 1] = units == 0 and NOTHING or pack('<I4', units)

  if changed then
    local longest = last - now
    for q = 1, quotas do
      local meter, debt = policy[q], owed[q]
      if not meter.turn then
        local micros = floor(debt / meter.leak)
        local parts = debt - micros * meter.leak
        text[q] = pack('<dd', now + micros, parts)
        longest = max(longest, parts > 0 and micros + 1 or micros)
      else
        text[q] = pack('<dd', meter.turn, debt)
        if debt > 0 then longest = max(longest, (meter.turn - EPOCH) * 1000000 - now) end
      end
    end
    for l = 1, leases do text[quotas + l] = kept[l] end
    local written = policy.head .. table.concat(text, '', 1, quotas + leases)
    redis.call('SET', KEYS[i], written, 'PX', max(1, ceil(longest / 1000)))
  end
end

return table.concat(answers)
