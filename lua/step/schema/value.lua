--- JSON values as schemas see them: their kinds, equality, canonical texts, and what "multiple of" means.
--
-- Numbers are compared by value, exactly, whether they are Lua integers or floats; nil counts as null.

local json = require "step.json"

local M = {}

local null, array_mt = json.null, json.array_mt
M.null = null

local math_type, tointeger, floor = math.type, math.tointeger, math.floor

--- Levels of nesting in a value that is compared or put into canonical form.
M.depth = 1000

local KINDS = { string = "string", boolean = "boolean", ["nil"] = "null" }

local function kind_of_table(t)
  if getmetatable(t) == array_mt then return "array" end
  if rawlen(t) == 0 then return "object" end
  return json.is_array(t) and "array" or "other"
end

--- "null", "boolean", "integer", "number" (which is no integer), "string", "array", "object", or "other" for what is no
-- JSON value.
---@param value any
---@return string
function M.kind(value)
  local t = type(value)
  if t == "table" then return kind_of_table(value) end
  if t == "number" then return (math_type(value) == "integer" or floor(value) == value) and "integer" or "number" end
  return KINDS[t] or value == null and "null" or "other"
end

--- The same for draft 4, where 1.0 is no integer. A float beyond 64 bits is one: JSON's integers of that size become floats.
---@param value any
---@return string
function M.kind4(value)
  if math_type(value) == "float" and value >= -0x1p63 and value < 0x1p63 then return "number" end
  return M.kind(value)
end

--- Whether two values are the same JSON value.
---@param a any
---@param b any
---@param depth? integer
---@return boolean
function M.equal(a, b, depth)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  depth = (depth or 0) + 1
  local kind = kind_of_table(a)
  if depth > M.depth or kind ~= kind_of_table(b) then return false end
  if kind == "array" then
    if rawlen(a) ~= rawlen(b) then return false end
    for i = 1, rawlen(a) do
      if not M.equal(rawget(a, i), rawget(b, i), depth) then return false end
    end
    return true
  end
  for key, value in next, a do
    local other = rawget(b, key)
    if other == nil or not M.equal(value, other, depth) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

--- Appends the canonical text of a value; nil when it is nested too deeply.
local function append(out, value, depth)
  if type(value) == "string" then
    out[#out + 1] = ("%d:"):format(#value)
    out[#out + 1] = value
  elseif type(value) == "number" then
    local integer = tointeger(value)
    out[#out + 1] = integer and ("%d,"):format(integer) or ("%.17g,"):format(value)
  elseif type(value) ~= "table" then
    out[#out + 1] = value == true and "t" or value == false and "f" or value == null and "n" or tostring(value)
  elseif depth > M.depth then
    return nil
  elseif kind_of_table(value) == "array" then
    out[#out + 1] = "["
    for i = 1, rawlen(value) do
      if not append(out, rawget(value, i), depth + 1) then return nil end
    end
    out[#out + 1] = "]"
  else
    local keys = M.keys(value)
    out[#out + 1] = "{"
    for _, key in ipairs(keys) do
      append(out, key, depth)
      if not append(out, rawget(value, key), depth + 1) then return nil end
    end
    out[#out + 1] = "}"
  end
  return out
end

--- A text that is the same for equal values and different for others.
---@param value any
---@return string?     nil when the value is nested too deeply
function M.canonical(value)
  local out = append({}, value, 1)
  return out and table.concat(out)
end

--- The string keys of an object, sorted by their bytes.
---@param object table
---@return string[]
function M.keys(object)
  local keys = {}
  for key in next, object do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end

--- The shortest decimal that a number prints as: digits * 10^exponent.
---@return integer digits
---@return integer exponent
local function decimal(number)
  local integer = tointeger(number)
  if integer then return integer, 0 end
  local text
  for precision = math.abs(number) < 0x1p-1022 and 0 or 14, 16 do  -- subnormal numbers have fewer digits
    text = ("%." .. precision .. "e"):format(number)
    if tonumber(text) == number then break end
  end
  local sign, first, rest, exponent = text:match "^(%-?)(%d)[^%de]?(%d*)e([+-]%d+)$"
  rest = rest:gsub("0+$", "")
  return tointeger(tonumber(sign .. first .. rest)), tointeger(tonumber(exponent)) - #rest
end

--- a + b modulo m, for a, b < m: the sum may need the 64th bit.
local function add(a, b, m)
  local sum = a + b
  return math.ult(sum, m) and sum or sum - m
end

--- Whether `number` is an integer times `divisor`, both taken as the decimals they are written as: 0.0075 is a multiple of
-- 0.0001 although their binary values are not.
---@param number number
---@param divisor number   greater than 0
---@return boolean
function M.is_multiple(number, divisor)
  if math_type(number) == "integer" and math_type(divisor) == "integer" then return number % divisor == 0 end
  if number ~= number or number - number ~= 0 then return false end  -- not finite
  if number == 0 then return true end
  local a, a_exponent = decimal(number)
  local b, b_exponent = decimal(divisor)
  while b_exponent > a_exponent do  -- a / (b * 10^n)
    if b > math.maxinteger // 10 then return false end
    b, b_exponent = b * 10, b_exponent - 1
  end
  local rest = a % b
  for _ = 1, a_exponent - b_exponent do  -- (a * 10^n) / b
    if rest == 0 then return true end
    local twice = add(rest, rest, b)
    local four = add(twice, twice, b)
    rest = add(add(four, four, b), twice, b)
  end
  return rest == 0
end

return M
