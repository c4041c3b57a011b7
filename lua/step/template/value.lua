--- The values a template works on and their Go types: what `kindOf`, `typeOf`, `eq` and `printf` see.
--
-- Data comes in as plain Lua values: string, boolean, table, null, and number, which is a json.Number: in Go a type of
-- kind string that keeps its decimal text. What a template computes (an int, a float64, a time, a []string) has a type of
-- its own and is a small table whose metatable is the type; a number is `{ n }`. So nothing in the data is converted or copied.
-- nil is "no value"; `json.null` is kept inside lists and maps and where Go keeps a nil interface.

local json = require "step.json"
local state = require "step.template.state"

local M = {}

local null = json.null
local array_mt = json.array_mt
local getmetatable, setmetatable, type, rawlen, tostring = getmetatable, setmetatable, type, rawlen, tostring

M.null = null

--- What an element of a list or a map is in Lua: nil is null inside.
---@param x any
---@return any
function M.stored(x)
  if x == nil then return null end
  return x
end

---@class step.template.Type
---@field name string        as Go prints it: "int", "[]string", "map[string]interface {}"
---@field kind string        as reflect.Kind prints it
---@field elem? step.template.Type   of a list or map; absent: interface {}
---@field is_type true
---@field class? string      "int", "uint", "float", "complex", "string", "bool": what comparison goes by
---@field is_nil? boolean    the nil slice of that type
---@field str? fun(value: any): string   its String method
---@field methods? table<string, table>  name -> { signature, function }
---@field get? fun(map: any, key: string): any
---@field keys? fun(map: any): string[]

--- Makes a type; it is the metatable of its values.
---@param name string
---@param kind string
---@param fields? table
---@return step.template.Type
function M.type(name, kind, fields)
  local t = fields or {}
  t.name, t.kind, t.is_type, t.__name = name, kind, true, name
  return t
end

local T = {
  string = M.type("string", "string", { class = "string" }),
  number = M.type("json.Number", "string", { class = "string" }),
  bool = M.type("bool", "bool", { class = "bool" }),
  int = M.type("int", "int", { class = "int" }),
  int64 = M.type("int64", "int64", { class = "int" }),
  int32 = M.type("int32", "int32", { class = "int" }),
  uint64 = M.type("uint64", "uint64", { class = "uint" }),
  uint8 = M.type("uint8", "uint8", { class = "uint" }),
  float64 = M.type("float64", "float64", { class = "float" }),
  complex = M.type("complex128", "complex128", { class = "complex" }),
  list = M.type("[]interface {}", "slice"),
  nil_list = M.type("[]interface {}", "slice", { is_nil = true }),
  map = M.type("map[string]interface {}", "map"),
}
T.strings = M.type("[]string", "slice", { elem = T.string })
T.nil_strings = M.type("[]string", "slice", { elem = T.string, is_nil = true })
T.ints = M.type("[]int", "slice", { elem = T.int })
T.lists = M.type("[][]interface {}", "slice", { elem = T.list })
T.string_map = M.type("map[string]string", "map", { elem = T.string })
--- A map made by the template itself: it may be changed in place, the data never is.
T.dict = M.type("map[string]interface {}", "map")
T.func = M.type("func()", "func")
M.types = T

local Number, Str, Bool, List, Map = T.number, T.string, T.bool, T.list, T.map

--- The type of a value; nil for nil and null.
---@return step.template.Type?
local function typeof(x)
  local t = type(x)
  if t == "string" then return Str end
  if t == "table" then
    local mt = getmetatable(x)
    if mt == nil then return rawlen(x) > 0 and List or Map end
    if mt == array_mt then return List end
    if type(mt) == "table" and mt.is_type then return mt end
    return Map
  end
  if t == "number" then return Number end
  if t == "boolean" then return Bool end
  if t == "nil" or x == null then return nil end
  if t == "function" then return T.func end
  return Map
end
M.typeof = typeof

--- "int", "slice", ..., "invalid" for nil.
function M.kind(x)
  local t = typeof(x)
  return t and t.kind or "invalid"
end

--- The name of a value's type, "<nil>" for nil.
function M.type_name(x)
  local t = typeof(x)
  return t and t.name or "<nil>"
end

--- nil for null, else the value.
function M.plain(x)
  if x == null then return nil end
  return x
end

-- Constructors -----------------------------------------------------------------------------------------------------------

local Int, Int64, Float = T.int, T.int64, T.float64

function M.int(n) return setmetatable({ n }, Int) end
function M.int64(n) return setmetatable({ n }, Int64) end
function M.float(n) return setmetatable({ n * 1.0 }, Float) end -- + 0.0 would lose the sign of -0.0
function M.uint8(n) return setmetatable({ n }, T.uint8) end
function M.complex(re, im) return setmetatable({ re, im }, T.complex) end

--- A []interface {} from a sequence without nils (null inside).
function M.list(t) return setmetatable(t, array_mt) end
function M.nil_list() return setmetatable({}, T.nil_list) end
function M.strings(t) return setmetatable(t, T.strings) end
function M.dict(t) return setmetatable(t, T.dict) end

-- Containers -------------------------------------------------------------------------------------------------------------

--- The value under a key of a map: nil when there is none, null when it is null.
function M.get(map, key)
  local mt = getmetatable(map)
  if type(mt) == "table" then
    local get = mt.is_type and mt.get
    if get then return get(map, key) end
  end
  return map[key]
end

--- The keys of a map, sorted by bytes.
---@return string[]
function M.keys(map)
  local mt = getmetatable(map)
  local list, n = {}, 0
  if type(mt) == "table" and mt.is_type and mt.keys then
    list = mt.keys(map)
  else
    for k in pairs(map) do
      n = n + 1
      list[n] = type(k) == "string" and k or tostring(k)
    end
  end
  table.sort(list)
  return list
end

--- Number of entries of a map.
function M.size(map)
  local mt = getmetatable(map)
  if type(mt) == "table" and mt.is_type and mt.keys then return #mt.keys(map) end
  local n = 0
  for _ in pairs(map) do n = n + 1 end
  return n
end

local function is_empty_map(map)
  local mt = getmetatable(map)
  if type(mt) == "table" and mt.is_type and mt.keys then return #mt.keys(map) == 0 end
  local iterate, subject, control = pairs(map)
  return iterate(subject, control) == nil
end

--- Length as `len` counts it, nil where there is none.
---@return integer?
function M.len(x)
  local t = typeof(x)
  if not t then return nil end
  local kind = t.kind
  if kind == "string" then return #M.text(x) end
  if kind == "slice" then return #x end
  if kind == "map" then return M.size(x) end
  return nil
end

-- Numbers as text ---------------------------------------------------------------------------------------------------------

--- Digits and decimal exponent of the shortest text that reads back as x (finite, not negative):
-- x = 0.d1d2d3... * 10^point.
---@return string digits
---@return integer point
function M.shortest(x)
  if x == 0 then return "0", 1 end
  local text
  for precision = 14, 16 do
    text = ("%." .. precision .. "e"):format(x)
    if tonumber(text) == x then break end
  end
  local lead, rest, exponent = text:match("^(%d)%.?(%d*)e([-+]%d+)$")
  local digits = (lead .. rest):gsub("0+$", "")
  return digits, math.tointeger(tonumber(exponent)) + 1
end

--- A float with at least one digit after the point, or with an exponent: a json.Number that is no integer.
local function decimal(x)
  if x ~= x then return "NaN" end
  if x == math.huge then return "Infinity" elseif x == -math.huge then return "-Infinity" end
  local sign = (x < 0 or 1 / x < 0) and "-" or ""
  local digits, point = M.shortest(x < 0 and -x or x)
  local n = #digits
  if x == 0 then return sign .. "0.0" end
  if point > 21 or point < -5 then
    local e = point - 1
    return ("%s%s%s%se%s%d"):format(sign, digits:sub(1, 1), n > 1 and "." or "", digits:sub(2), e < 0 and "-" or "+", e < 0 and -e or e)
  elseif point <= 0 then
    return sign .. "0." .. ("0"):rep(-point) .. digits
  elseif n <= point then
    return sign .. digits .. ("0"):rep(point - n) .. ".0"
  end
  return sign .. digits:sub(1, point) .. "." .. digits:sub(point + 1)
end

--- The text of a value of kind string: a string itself, the spelling of a json.Number.
---@return string
function M.text(x)
  if type(x) == "string" then return x end
  if math.type(x) == "integer" then return ("%d"):format(x) end
  return decimal(x)
end

-- Truth and equality ------------------------------------------------------------------------------------------------------

--- Truth as `if` sees it: not the zero value of its type, not empty.
---@return boolean
function M.truth(x)
  local t = type(x)
  if t == "boolean" then return x end
  if t == "string" then return x ~= "" end
  if t == "nil" then return false end
  if t == "number" then return true end -- a json.Number is a text, and never an empty one
  if x == null then return false end
  local ty = typeof(x)
  local kind = ty.kind
  if kind == "slice" then return #x > 0 end
  if kind == "map" then return not is_empty_map(x) end
  local class = ty.class
  if class == "complex" then return x[1] ~= 0 or x[2] ~= 0 end
  if class then return x[1] ~= 0 end
  return true
end

--- reflect.DeepEqual: same type and same content. Every pair that is compared is an operation.
---@param st step.template.State
---@param a any
---@param b any
---@return boolean
function M.deep_equal(st, a, b, depth)
  if a == null then a = nil end
  if b == null then b = nil end
  if a == nil or b == nil then return a == nil and b == nil end
  local ta, tb = typeof(a), typeof(b)
  if ta.name ~= tb.name then return false end
  state.spend(st, 1)
  depth = (depth or 0) + 1
  if depth > 200 then error("values are nested too deeply", 0) end
  local kind = ta.kind
  if kind == "slice" then
    if #a ~= #b or (ta.is_nil or false) ~= (tb.is_nil or false) then return false end
    for i = 1, #a do
      if not M.deep_equal(st, a[i], b[i], depth) then return false end
    end
    return true
  elseif kind == "map" then
    local keys = M.keys(a)
    if #keys ~= M.size(b) then return false end
    for _, k in ipairs(keys) do
      local other = M.get(b, k)
      if other == nil or not M.deep_equal(st, M.get(a, k), other, depth) then return false end
    end
    return true
  elseif ta == Number then
    return M.text(a) == M.text(b)
  elseif type(a) == "table" then
    if ta.equal then return ta.equal(a, b) end
    return a[1] == b[1] and a[2] == b[2]
  end
  return a == b
end

return M
