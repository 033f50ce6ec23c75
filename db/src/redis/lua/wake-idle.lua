-- Makes numbers ready that nobody owns and that nothing will wake: the sweeper's way to bring back what Redis lost.
-- KEYS ready, delayed, leases, owners, news
-- ARGV number...
-- Returns how many were really idle.
local now = nowMs()
local isLeased, delayed = leased(KEYS[3], ARGV, now), ask('ZMSCORE', KEYS[2], ARGV)
local woken = 0
for i, number in ipairs(ARGV) do
  if not isLeased[i] and not delayed[i] then woken = woken + redis.call('ZADD', KEYS[1], 'NX', now, number) end
end
return woken
