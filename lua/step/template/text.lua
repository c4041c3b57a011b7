--- Conversions that sprig's functions share: to text, to numbers, to lists.

local format = require "step.template.format"
local number = require "step.template.number"
local state = require "step.template.state"
local unicode = require "step.template.unicode"
local value = require "step.template.value"

local M = {}

local typeof, null = value.typeof, value.null

--- Any value as text, as `toString` does it.
---@param x any
---@param st? step.template.State
---@return string
function M.string(x, st)
  if type(x) == "string" then return x end
  return format.value(x, st)
end

-- "12.00" counts as an integer.
local function without_zero_decimals(s)
  return s:match("^(.*)%.0+$") or s
end

--- Any value as an integer; 0 where it is none.
---@param x any
---@return integer
function M.integer(x)
  if x == true then return 1 end
  local t = typeof(x)
  if not t then return 0 end
  if t.kind == "string" then return (number.parse_int(without_zero_decimals(value.text(x)), 0)) or 0 end
  if t.class == "int" or t.class == "uint" then return x[1] end
  if t.class == "float" then
    local n = x[1]
    if n ~= n or n >= 9223372036854775808.0 or n < -9223372036854775808.0 then return math.mininteger end
    return math.tointeger(n < 0 and math.ceil(n) or math.floor(n))
  end
  return 0
end

--- Any value as a float; 0 where it is none.
---@param x any
---@return number
function M.float(x)
  if x == true then return 1.0 end
  local t = typeof(x)
  if not t then return 0.0 end
  if t.kind == "string" then return (number.parse_float(value.text(x))) or 0.0 end
  if t.class == "int" or t.class == "uint" or t.class == "float" then return x[1] * 1.0 end
  return 0.0
end

--- Any value as a Lua sequence of texts; nil elements are left out.
---@param x any
---@param st step.template.State
---@return string[]
function M.strings(x, st)
  local t = typeof(x)
  if not t then return {} end
  if t.kind ~= "slice" then return { M.string(x, st) } end
  local out, n, size = {}, 0, 0
  for i = 1, #x do
    if x[i] ~= null then
      n = n + 1
      out[n] = M.string(x[i], st)
      size = size + #out[n]
      if size > st.limit then state.reserve(st, size) end
    end
  end
  return out
end

--- Splits at every occurrence of a separator, as strings.SplitN does. A part is an operation.
---@param st step.template.State
---@param s string
---@param separator string   empty: into runes
---@param limit? integer      number of parts; negative or nil: all
---@return string[]
function M.split(st, s, separator, limit)
  if limit == 0 then return {} end
  limit = (limit and limit > 0) and limit or math.huge
  local out, n, at = {}, 0, 1
  if separator == "" then
    for start, _, after in unicode.runes(s) do
      n = n + 1
      state.spend(st, 1)
      if n == limit then
        out[n] = s:sub(start)
        break
      end
      out[n] = s:sub(start, after - 1)
    end
    return out
  end
  while n + 1 < limit do
    local from, to = s:find(separator, at, true)
    if not from then break end
    n = n + 1
    state.spend(st, 1)
    out[n] = s:sub(at, from - 1)
    at = to + 1
  end
  out[n + 1] = s:sub(at)
  return out
end

--- Replaces every occurrence of a text, as strings.ReplaceAll does.
---@param st step.template.State
---@param s string
---@param old string   empty: before every rune and at the end
---@param new string
---@return string
function M.replace(st, s, old, new)
  local parts
  if old == "" then
    parts = M.split(st, s, "")
    table.insert(parts, 1, "")
    parts[#parts + 1] = ""
  else
    parts = M.split(st, s, old)
  end
  state.reserve(st, #s + (#parts - 1.0) * #new)
  return table.concat(parts, new)
end

return M
