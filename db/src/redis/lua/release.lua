-- Gives leases back. A number whose wake-ups the owner has not all seen stays leased: the owner looks again first. So an
-- arrival that races with the end of a drain is never lost.
-- KEYS ready, delayed, leases, owners, news
-- ARGV owner, then three for each number: number, wake-ups seen (-1: do not ask), delay in ms until it is ready again (-1: no work remains)
-- Returns for each number 0 (released), -1 (another owner holds it) or its count of wake-ups (kept).
local now = nowMs()
local answer = {}
for i = 2, #ARGV, 3 do
  local number, seen, delay = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local owner = redis.call('HGET', KEYS[4], number)
  local count = tonumber(redis.call('HGET', KEYS[5], number) or 0)
  if owner and owner ~= ARGV[1] then
    answer[#answer + 1] = -1
  elseif owner and seen >= 0 and count ~= seen then
    answer[#answer + 1] = count
  else
    forget(KEYS[3], KEYS[4], KEYS[5], number)
    if delay == 0 then
      redis.call('ZADD', KEYS[1], 'NX', now, number)
    elseif delay > 0 then
      redis.call('ZADD', KEYS[2], now + delay, number)
    end
    answer[#answer + 1] = 0
  end
end
return answer
