-- Says that somebody listens to a tenant. From the moment it is first said publishers publish, and `since` marks it.
-- KEYS watched tenants (by the time until which), since, stream
-- ARGV tenant, milliseconds that the watch lives, how much longer the stream lives, channel that tells publishers
-- Returns since, the last event's id or '', 1 when the watch is new.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
local tail = newest[1] and newest[1][1] or ''
local since = redis.call('GET', KEYS[2])
local fresh = 0
if not since then
  fresh = 1
  -- The millisecond before: an event of this one may already have the number 0.
  since = string.format('%.0f-0', now - 1)
  -- What lies there is of an earlier watch, and may have holes after it. A clock that was set back must not put us before it.
  if tail ~= '' and tonumber(string.match(tail, '^%d+')) >= now - 1 then since = tail end
end
redis.call('SET', KEYS[2], since, 'PX', ARGV[2])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[3], ARGV[2] + ARGV[3])
if fresh == 1 then redis.call('PUBLISH', ARGV[4], ARGV[1]) end
return { since, tail, fresh }
