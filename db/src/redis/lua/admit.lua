-- Before the insert: which messages are known repeats, and is there room. Room is reserved for a whole body or not at all.
-- KEYS gate, seen (this slice of time), seen (the slice before)
-- ARGV capacity, then for each body: how many ids, id...
-- Returns {one mark for each body: 'a' admitted, 'f' full; one mark for each id: '1' known, '0' new}, or nothing when the
-- depth is not known (Redis was emptied).
local depth = redis.call('HGET', KEYS[1], 'depth')
if not depth then return false end
depth = tonumber(depth)
local capacity, at = tonumber(ARGV[1]), 2
local ids = {}
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  for i = at + 1, at + count do ids[#ids + 1] = ARGV[i] end
  at = at + count + 1
end

local now, before, known = ask('SMISMEMBER', KEYS[2], ids), ask('SMISMEMBER', KEYS[3], ids), {}
for i = 1, #ids do known[i] = (now[i] == 1 or before[i] == 1) and '1' or '0' end

local bodies, reserved, id = {}, 0, 0
at = 2
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  local fresh = 0
  for i = id + 1, id + count do
    if known[i] == '0' then fresh = fresh + 1 end
  end
  if fresh > 0 and depth + reserved + fresh > capacity then
    bodies[#bodies + 1] = 'f'
  else
    reserved = reserved + fresh
    bodies[#bodies + 1] = 'a'
  end
  id = id + count
  at = at + count + 1
end
if reserved > 0 then
  redis.call('HINCRBY', KEYS[1], 'depth', reserved)
  redis.call('HINCRBY', KEYS[1], 'pending', reserved)
  redis.call('HINCRBY', KEYS[1], 'changes', 1)
end
return { table.concat(bodies), table.concat(known) }
