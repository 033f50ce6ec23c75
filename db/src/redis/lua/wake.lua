-- Makes numbers ready, or tells their owners.
-- KEYS ready, delayed, leases, owners, news
-- ARGV channel prefix, number...
local numbers = {}
for i = 2, #ARGV do numbers[#numbers + 1] = ARGV[i] end
wake(KEYS[1], KEYS[3], KEYS[4], KEYS[5], ARGV[1], nowMs(), numbers)
return #numbers
