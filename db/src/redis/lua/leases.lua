-- Shared by the queue's scripts. All keys carry one hash tag, so that they live on one node of a cluster:
--   ready    ZSET  number -> time it became ready (ms): numbers with work and without an owner
--   delayed  ZSET  number -> time it becomes ready (ms)
--   leases   ZSET  number -> time its lease ends (ms)
--   owners   HASH  number -> owner
--   news     HASH  number -> how many wake-ups came while it was leased
-- Time is the server's own, so that no two workers' clocks are ever compared.
local function nowMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- For each number whether somebody has it.
local function leased(leases, numbers, now)
  local marks = {}
  for i, ends in ipairs(ask('ZMSCORE', leases, numbers)) do marks[i] = ends and tonumber(ends) > now end
  return marks
end

-- Adds numbers to a sorted set that are not in it yet.
local function addNew(key, at, numbers)
  sliced(numbers, function(from, upto)
    local entries = {}
    for i = from, upto do
      entries[#entries + 1] = at
      entries[#entries + 1] = numbers[i]
    end
    redis.call('ZADD', key, 'NX', unpack(entries))
  end)
end

-- Makes numbers ready; the owner of a leased one is told, with the count that lets it see whether it has looked since.
local function wake(ready, leases, owners, news, channel, now, numbers)
  local told, idle = {}, {}
  for i, isLeased in ipairs(leased(leases, numbers, now)) do
    local number = numbers[i]
    if isLeased then
      local count = redis.call('HINCRBY', news, number, 1)
      local owner = redis.call('HGET', owners, number)
      if owner then
        told[owner] = (told[owner] and told[owner] .. ',' or '') .. number .. '=' .. count
      end
    else
      idle[#idle + 1] = number
    end
  end
  addNew(ready, now, idle)
  for owner, text in pairs(told) do
    redis.call('PUBLISH', channel .. owner, text)
  end
end

local function forget(leases, owners, news, numbers)
  tell('ZREM', leases, numbers)
  tell('HDEL', owners, numbers)
  tell('HDEL', news, numbers)
end
