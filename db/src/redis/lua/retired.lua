-- Takes retired messages off the depth.
-- KEYS gate
-- ARGV how many
if redis.call('HEXISTS', KEYS[1], 'depth') == 1 then
  local depth = redis.call('HINCRBY', KEYS[1], 'depth', 0 - ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'changes', 1)
  if depth < 0 then redis.call('HSET', KEYS[1], 'depth', 0) end
end
return 1
