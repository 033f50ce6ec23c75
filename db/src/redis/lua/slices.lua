-- One call with many arguments costs a small part of many calls. Lua hands over some thousands at most: `work` is called with the
-- bounds of slices.
local function sliced(list, work)
  for from = 1, #list, 1000 do work(from, math.min(from + 999, #list)) end
end

-- The answers of a command that takes many members, in their order.
local function ask(command, key, members)
  local answers = {}
  sliced(members, function(from, upto)
    for i, answer in ipairs(redis.call(command, key, unpack(members, from, upto))) do answers[from + i - 1] = answer end
  end)
  return answers
end

local function tell(command, key, list)
  sliced(list, function(from, upto) redis.call(command, key, unpack(list, from, upto)) end)
end
