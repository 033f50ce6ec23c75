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

local function leased(leases, number, now)
  local ends = redis.call('ZSCORE', leases, number)
  return ends and tonumber(ends) > now
end

-- Makes numbers ready; the owner of a leased one is told, with the count that lets it see whether it has looked since.
local function wake(ready, leases, owners, news, channel, now, numbers)
  local told = {}
  for _, number in ipairs(numbers) do
    if leased(leases, number, now) then
      local count = redis.call('HINCRBY', news, number, 1)
      local owner = redis.call('HGET', owners, number)
      if owner then
        told[owner] = (told[owner] and told[owner] .. ',' or '') .. number .. '=' .. count
      end
    else
      redis.call('ZADD', ready, 'NX', now, number)
    end
  end
  for owner, text in pairs(told) do
    redis.call('PUBLISH', channel .. owner, text)
  end
end

local function forget(leases, owners, news, number)
  redis.call('ZREM', leases, number)
  redis.call('HDEL', owners, number)
  redis.call('HDEL', news, number)
end
