-- Leases ready numbers to one owner. First brings back those whose delay is over and those whose owner let the lease end.
-- KEYS ready, delayed, leases, owners, news
-- ARGV owner, lease in ms, how many at most, number that a blocking pop took already...
-- Returns {claimed numbers, how many of them were another's lease that had ended, how many were refused because leased}.
local now = nowMs()
for _, number in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 200)) do
  redis.call('ZREM', KEYS[2], number)
  redis.call('ZADD', KEYS[1], 'NX', now, number)
end
local ended = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 200)
for _, number in ipairs(ended) do
  forget(KEYS[3], KEYS[4], KEYS[5], number)
  redis.call('ZADD', KEYS[1], 'NX', now, number)
end

local numbers = {}
for i = 4, #ARGV do numbers[#numbers + 1] = ARGV[i] end
local more = tonumber(ARGV[3]) - #numbers
if more > 0 then
  local popped = redis.call('ZPOPMIN', KEYS[1], more)
  for i = 1, #popped, 2 do numbers[#numbers + 1] = popped[i] end
end

local claimed, refused = {}, 0
for _, number in ipairs(numbers) do
  if leased(KEYS[3], number, now) then
    -- The owner looks again before it lets go.
    redis.call('HINCRBY', KEYS[5], number, 1)
    refused = refused + 1
  else
    redis.call('ZADD', KEYS[3], now + ARGV[2], number)
    redis.call('HSET', KEYS[4], number, ARGV[1])
    redis.call('HDEL', KEYS[5], number)
    redis.call('ZREM', KEYS[1], number)
    redis.call('ZREM', KEYS[2], number)
    claimed[#claimed + 1] = number
  end
end
return { claimed, #ended, refused }
