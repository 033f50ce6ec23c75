-- After the commit, or instead of it: gives unused room back, remembers committed ids, wakes numbers and the effects' pumps.
-- KEYS ready, delayed, leases, owners, news, gate, seen (this slice of time)
-- ARGV channel prefix, room reserved, room not used, life of seen in ms, effects written (0 or 1), count of ids, id..., number...
local reserved, unused, ids = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[6])
if reserved > 0 and redis.call('HEXISTS', KEYS[6], 'depth') == 1 then
  redis.call('HINCRBY', KEYS[6], 'depth', 0 - unused)
  redis.call('HINCRBY', KEYS[6], 'pending', 0 - reserved)
  redis.call('HINCRBY', KEYS[6], 'changes', 1)
end
if ids > 0 then
  local committed = {}
  for i = 1, ids do committed[i] = ARGV[6 + i] end
  tell('SADD', KEYS[7], committed)
  redis.call('PEXPIRE', KEYS[7], ARGV[4])
end
local numbers = {}
for i = 7 + ids, #ARGV do numbers[#numbers + 1] = ARGV[i] end
wake(KEYS[1], KEYS[3], KEYS[4], KEYS[5], ARGV[1] .. 'owner:', nowMs(), numbers)
if ARGV[5] == '1' then redis.call('PUBLISH', ARGV[1] .. 'effects', '1') end
return #numbers
