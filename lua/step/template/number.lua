--- Numbers as Go reads them: the constants of a template, and strconv's ParseInt and ParseFloat.

local M = {}

local mtype = math.type

-- Underscores may stand between digits and after a base prefix, nowhere else.
local function underscores_ok(text)
  if not text:find("_", 1, true) then return true end
  local body = text:gsub("^[-+]", "")
  local prefix = body:match("^0[xXbBoO]")
  if prefix then body = "0" .. body:sub(3) end
  local digit = prefix and prefix:lower() == "0x" and "[%da-fA-F]" or "%d"
  for at in body:gmatch("()_") do
    if not (body:sub(at - 1, at - 1):match(digit) and body:sub(at + 1, at + 1):match(digit)) then return false end
  end
  return true
end

-- The value of digits in a base as a 64-bit pattern; nil, "range" above 2^64-1.
local function unsigned(digits, base)
  local value, too_large = 0, false
  local limit = math.tointeger(0x7FFFFFFFFFFFFFFF // base * 2 + (base == 10 and 1 or 2)) -- (2^64 - 1) // base, or a little more
  for c in digits:gmatch(".") do
    local d = tonumber(c, 36)
    if not d or d >= base then return nil, "syntax" end
    if not too_large then
      local next_value = value * base + d
      -- past the limit, or the last step wrapped around
      if math.ult(limit, value) or (value ~= 0 and math.ult(next_value, value)) then too_large = true end
      value = next_value
    end
  end
  if too_large then return nil, "range" end
  return value
end

--- strconv.ParseInt(text, base, 64); base 0 goes by the prefix and allows underscores.
---@param text string
---@param base? integer  default 10
---@return integer? value
---@return string? problem  "syntax" or "range"
---@return integer? nearest  the limit, for "range"
---@return boolean? unsigned  for "range": a uint64 would hold it
function M.parse_int(text, base)
  base = base or 10
  local sign, body = text:match("^([-+]?)(.+)$")
  if not body then return nil, "syntax" end
  if base == 0 then
    if not underscores_ok(body) then return nil, "syntax" end
    local prefix = body:match("^0[xXbBoO]")
    if prefix then
      base = ({ x = 16, b = 2, o = 8 })[prefix:sub(2):lower()]
      body = body:sub(3)
    elseif body:find("^0") and #body > 1 then
      base, body = 8, body:sub(2)
    else
      base = 10
    end
    body = body:gsub("_", "")
  end
  if not body:find("^%w+$") then return nil, "syntax" end
  local value, problem = unsigned(body, base)
  if problem == "syntax" then return nil, problem end
  local negative = sign == "-"
  if not value or (value < 0 and not (negative and value == math.mininteger)) then
    return nil, "range", negative and math.mininteger or math.maxinteger, value ~= nil and not negative
  end
  return negative and -value or value
end

local specials = {
  inf = math.huge, ["+inf"] = math.huge, ["-inf"] = -math.huge, infinity = math.huge, ["+infinity"] = math.huge,
  ["-infinity"] = -math.huge, nan = 0 / 0,
}

--- strconv.ParseFloat(text, 64).
---@param text string
---@return number? value   a float
---@return string? problem  "syntax" or "range"
---@return number? nearest
function M.parse_float(text)
  local special = specials[text:lower()]
  if special then return special end
  if not underscores_ok(text) then return nil, "syntax" end
  local plain = text:gsub("_", "")
  local body = plain:gsub("^[-+]", "")
  local ok
  if body:find("^0[xX]") then
    local mantissa, exponent = body:match("^0[xX]([%x%.]*)[pP][-+]?(%d+)$")
    ok = exponent and mantissa:find("%x") and not mantissa:find("%..*%.")
  else
    local mantissa, rest = body:match("^([%d%.]+)(.*)$")
    ok = mantissa and mantissa:find("%d") and not mantissa:find("%..*%.") and (rest == "" or rest:find("^[eE][-+]?%d+$"))
  end
  if not ok then return nil, "syntax" end
  local value = tonumber((plain:gsub("^%+", "")))
  if not value then return nil, "syntax" end
  if mtype(value) == "integer" then value = value == 0 and plain:find "^-" and -0.0 or value + 0.0 end
  if value == math.huge or value == -math.huge then return nil, "range", value end
  return value
end

---@class step.template.Number
---@field text string
---@field int? integer        the value where an int may stand
---@field float? number       the value where a float may stand
---@field complex? number[]   real and imaginary part
---@field ideal "int"|"float"|"complex"|"overflow"   the type it has where none is asked for

local function imaginary(text)
  local body = text:match("^(.*)i$")
  if not body then return nil end
  local value = M.parse_float(body)
  if not value then
    local n = M.parse_int(body, body:find("^[-+]?0[xXbBoO]") and 0 or 10)
    value = n and n + 0.0
  end
  return value
end

--- Reads a numeric constant.
---@param text string
---@return step.template.Number? number
---@return string? problem
function M.constant(text)
  local im = imaginary(text)
  if im then return { text = text, complex = { 0.0, im }, ideal = "complex" } end
  local n = { text = text }
  local int, problem, _, fits_unsigned = M.parse_int(text, 0)
  if problem == "range" and fits_unsigned then
    n.ideal, n.float = "overflow", 1.8e19 -- a uint constant: nothing here takes one
    return n
  end
  if int then
    n.int, n.float = int, int + 0.0
    n.ideal = "int"
    return n
  end
  local float = M.parse_float(text)
  if not float then return nil, ("illegal number syntax: %q"):format(text) end
  if not text:find("[%.eEpP]") then return nil, ("integer overflow: %q"):format(text) end
  n.float = float
  if float == math.floor(float) and math.abs(float) < 9223372036854775808.0 then n.int = math.tointeger(float) end
  n.ideal = (n.int and text:find("^0[xX]") and not text:find("[pP]")) and "int" or "float"
  return n
end

--- Reads a complex constant such as 1+2i.
---@param text string
---@return step.template.Number? number
---@return string? problem
function M.complex(text)
  for at = #text - 1, 2, -1 do
    local c = text:sub(at, at)
    if (c == "+" or c == "-") and not text:sub(at - 1, at - 1):find(text:find("^[-+]?0[xX]") and "[pP]" or "[eEpP]") then
      local re = M.constant(text:sub(1, at - 1))
      local im = imaginary(text:sub(at))
      if re and re.float and im then
        return { text = text, complex = { re.float, im }, ideal = "complex" }
      end
    end
  end
  return nil, ("illegal number syntax: %q"):format(text)
end

return M
