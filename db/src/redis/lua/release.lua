-- Gives leases back. A number whose wake-ups the owner has not all seen stays leased: the owner looks again first. So an
-- arrival that races with the end of a drain is never lost.
-- KEYS ready, delayed, leases, owners, news
-- ARGV owner, then three for each number: number, wake-ups seen (-1: do not ask), delay in ms until it is ready again (-1: no work remains)
-- Returns for each number 0 (released), -1 (another owner holds it) or its count of wake-ups (kept).
local now = nowMs()
local numbers = {}
for i = 2, #ARGV, 3 do numbers[#numbers + 1] = ARGV[i] end
local owners, counts = ask('HMGET', KEYS[4], numbers), ask('HMGET', KEYS[5], numbers)

local answer, freed, isFreed, ready, delayed = {}, {}, {}, {}, {}
for i, number in ipairs(numbers) do
  local seen, delay = tonumber(ARGV[i * 3]), tonumber(ARGV[i * 3 + 1])
  local owner, count = not isFreed[number] and owners[i], tonumber(not isFreed[number] and counts[i] or 0)
  if owner and owner ~= ARGV[1] then
    answer[i] = -1
  elseif owner and seen >= 0 and count ~= seen then
    answer[i] = count
  else
    answer[i] = 0
    isFreed[number] = true
    freed[#freed + 1] = number
    if delay == 0 then
      ready[#ready + 1] = number
    elseif delay > 0 then
      delayed[#delayed + 1] = now + delay
      delayed[#delayed + 1] = number
    end
  end
end
forget(KEYS[3], KEYS[4], KEYS[5], freed)
addNew(KEYS[1], now, ready)
tell('ZADD', KEYS[2], delayed)
return answer
