-- Adds events to the streams of their tenants, and rings once for each tenant.
-- KEYS stream...
-- ARGV entries that are kept, milliseconds that a stream lives, channel of each stream..., then for each event: which stream, the sealed event
local kept, life = ARGV[1], ARGV[2]
local last = {}
for i = 3 + #KEYS, #ARGV, 2 do
  local at = tonumber(ARGV[i])
  last[at] = redis.call('XADD', KEYS[at], 'MAXLEN', '~', kept, '*', 'e', ARGV[i + 1])
end
for at, id in pairs(last) do
  redis.call('PEXPIRE', KEYS[at], life)
  redis.call('PUBLISH', ARGV[2 + at], id)
end
return 1
