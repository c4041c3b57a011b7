--- How many of several may fail, as `tolerate` says it: a count, or a part of all of them like "25%".

local M = {}

--- Reads a tolerance.
---@param value any
---@return number? amount
---@return boolean|string percent   whether the amount is percent of all; without an amount what is wrong
function M.read(value)
  if math.type(value) == "integer" and value >= 0 then return value, false end
  local percent = type(value) == "string" and tonumber(value:match "^%s*(%d+%.?%d*)%s*%%%s*$")
  if percent and percent <= 100 then return percent, true end
  return nil, 'a whole number from 0, or a part of all children like "25%", is expected'
end

--- How many of n may fail.
---@param amount number
---@param percent boolean
---@param n integer
---@return integer
function M.of(amount, percent, n)
  if not percent then return math.tointeger(amount) --[[@as integer]] end
  return math.floor(n * amount / 100 * (1 + 0x1p-50)) -- a little more: 65.1, which is none in binary, of 1000 are 651
end

return M
