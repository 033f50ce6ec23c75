-- Before the insert: which messages are known repeats, and is there room. Room is reserved for a whole body or not at all.
-- KEYS gate, seen (this slice of time), seen (the slice before)
-- ARGV capacity, then for each body: how many ids, id...
-- Returns {one mark for each body: 'a' admitted, 'f' full; one mark for each id: '1' known, '0' new}, or nothing when the
-- depth is not known (Redis was emptied).
local depth = redis.call('HGET', KEYS[1], 'depth')
if not depth then return false end
depth = tonumber(depth)
local capacity, at = tonumber(ARGV[1]), 2
local bodies, marks, reserved = {}, {}, 0
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  local fresh = 0
  if count > 0 then
    local ids = {}
    for i = 1, count do ids[i] = ARGV[at + i] end
    local now, before = redis.call('SMISMEMBER', KEYS[2], unpack(ids)), redis.call('SMISMEMBER', KEYS[3], unpack(ids))
    for i = 1, count do
      local known = now[i] == 1 or before[i] == 1
      marks[#marks + 1] = known and '1' or '0'
      if not known then fresh = fresh + 1 end
    end
  end
  if fresh > 0 and depth + reserved + fresh > capacity then
    bodies[#bodies + 1] = 'f'
  else
    reserved = reserved + fresh
    bodies[#bodies + 1] = 'a'
  end
  at = at + count + 1
end
if reserved > 0 then
  redis.call('HINCRBY', KEYS[1], 'depth', reserved)
  redis.call('HINCRBY', KEYS[1], 'pending', reserved)
  redis.call('HINCRBY', KEYS[1], 'changes', 1)
end
return { table.concat(bodies), table.concat(marks) }
