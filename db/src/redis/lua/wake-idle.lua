-- Makes numbers ready that nobody owns and that nothing will wake: the sweeper's way to bring back what Redis lost.
-- KEYS ready, delayed, leases, owners, news
-- ARGV number...
-- Returns how many were really idle.
local now = nowMs()
local woken = 0
for _, number in ipairs(ARGV) do
  if not leased(KEYS[3], number, now) and not redis.call('ZSCORE', KEYS[2], number) then
    woken = woken + redis.call('ZADD', KEYS[1], 'NX', now, number)
  end
end
return woken
