-- Prolongs leases. One that nobody holds (Redis was emptied, or it ended unnoticed) is taken again: whether somebody had it
-- in between is decided by the epoch in Postgres, not here.
-- KEYS ready, delayed, leases, owners, news
-- ARGV owner, lease in ms, number...
-- Returns for each number how many wake-ups it has had, or -1 when another owner holds it.
local now = nowMs()
local answer = {}
for i = 3, #ARGV do
  local number = ARGV[i]
  local owner = redis.call('HGET', KEYS[4], number)
  if owner and owner ~= ARGV[1] then
    answer[#answer + 1] = -1
  else
    redis.call('ZADD', KEYS[3], now + ARGV[2], number)
    redis.call('ZREM', KEYS[1], number)
    if not owner then redis.call('HSET', KEYS[4], number, ARGV[1]) end
    answer[#answer + 1] = tonumber(redis.call('HGET', KEYS[5], number) or 0)
  end
end
return answer
