-- Sets the depth to what Postgres counted.
-- KEYS gate
-- ARGV waiting as counted, changes as read before the count ('' when there was no depth), depth as read before, slack, force (1: nothing is pending any more)
-- Exact when nothing moved meanwhile; under load only a drift beyond the slack is taken out, by its difference.
-- Returns 1 when it was set, 2 when it was shifted, 0 when nothing was done.
local state = redis.call('HMGET', KEYS[1], 'depth', 'changes', 'pending')
local waiting = tonumber(ARGV[1])
if not state[1] then
  redis.call('HSET', KEYS[1], 'depth', waiting, 'pending', 0, 'changes', 1)
  return 1
end
if ARGV[2] == '' then return 0 end
if (state[2] or '0') == ARGV[2] and (tonumber(state[3] or 0) <= 0 or ARGV[5] == '1') then
  redis.call('HSET', KEYS[1], 'depth', waiting, 'pending', 0)
  return 1
end
local drift = waiting - tonumber(ARGV[3])
if math.abs(drift) > tonumber(ARGV[4]) then
  local depth = redis.call('HINCRBY', KEYS[1], 'depth', drift)
  if depth < 0 then redis.call('HSET', KEYS[1], 'depth', 0) end
  return 2
end
return 0
