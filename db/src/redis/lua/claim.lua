-- Leases ready numbers to one owner. First brings back those whose delay is over and those whose owner let the lease end.
-- KEYS ready, delayed, leases, owners, news
-- ARGV owner, lease in ms, how many at most, number that a blocking pop took already...
-- Returns {claimed numbers, how many of them were another's lease that had ended, how many were refused because leased}.
local now = nowMs()
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 200)
tell('ZREM', KEYS[2], due)
addNew(KEYS[1], now, due)
local ended = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 200)
forget(KEYS[3], KEYS[4], KEYS[5], ended)
addNew(KEYS[1], now, ended)

local numbers = {}
for i = 4, #ARGV do numbers[#numbers + 1] = ARGV[i] end
local more = tonumber(ARGV[3]) - #numbers
if more > 0 then
  local popped = redis.call('ZPOPMIN', KEYS[1], more)
  for i = 1, #popped, 2 do numbers[#numbers + 1] = popped[i] end
end

-- One that a blocking pop has taken may have become ready again since: the second time it is leased already.
local claimed, refused, taken = {}, {}, {}
local ends, owned = {}, {}
for i, isLeased in ipairs(leased(KEYS[3], numbers, now)) do
  local number = numbers[i]
  if isLeased or taken[number] then
    refused[#refused + 1] = number
  else
    taken[number] = true
    claimed[#claimed + 1] = number
    ends[#ends + 1] = now + ARGV[2]
    ends[#ends + 1] = number
    owned[#owned + 1] = number
    owned[#owned + 1] = ARGV[1]
  end
end
tell('ZADD', KEYS[3], ends)
tell('HSET', KEYS[4], owned)
tell('HDEL', KEYS[5], claimed)
tell('ZREM', KEYS[1], claimed)
tell('ZREM', KEYS[2], claimed)
-- Their owners look again before they let go.
for _, number in ipairs(refused) do redis.call('HINCRBY', KEYS[5], number, 1) end
return { claimed, #ended, #refused }
