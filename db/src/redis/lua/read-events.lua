-- The events after one, and whether all of them are still there.
-- KEYS since, stream
-- ARGV after, how many, entries that are kept
-- Returns { '', since } when the watch has ended, else { 'gap' or 'ok', since, last id or '', entries... } with id and sealed event in turn.
local function before(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
  return ams < bms or (ams == bms and aseq < bseq)
end
local since = redis.call('GET', KEYS[1])
if not since then return { '' } end
local after = ARGV[1]
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local tail = newest[1] and newest[1][1] or ''
local t = redis.call('TIME')
local whole = not before(after, since)
-- A place that was never given out: of another server's life.
if whole and before(tail == '' and since or tail, after) and before(string.format('%.0f-0', t[1] * 1000 + math.floor(t[2] / 1000) + 1000), after) then whole = false end
if whole and redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[3]) then
  -- A full stream has been cut at its beginning.
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
  if before(after, oldest[1][1]) then whole = false end
end
local answer = { whole and 'ok' or 'gap', since, tail }
if whole then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '(' .. after, '+', 'COUNT', ARGV[2])) do
    answer[#answer + 1] = entry[1]
    answer[#answer + 1] = entry[2][2]
  end
end
return answer
