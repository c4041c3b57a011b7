--- Types of parameters: what a function of a template may be given, and in which form it gets it.
--
-- A signature such as "string, ...any -> int" says it all. A parameter of a Go type takes a value of exactly that type, as in
-- Go: a json.Number is no string, an int64 is no int. Numbers, strings and booleans arrive as Lua values, `any` as it is, the
-- variadic part as one table with n. A number that is returned gets the type that the signature names.

local value = require "step.template.value"

local M = {}

local typeof, null, T = value.typeof, value.null, value.types

---@class step.template.Function
---@field params string[]
---@field variadic? string
---@field result? string
---@field fn function            fn(state, ...)

local shown = {
  any = "interface {}", map = "map[string]interface {}", time = "time.Time", version = "*semver.Version",
}

local function wrong(wanted, x)
  local name = shown[wanted] or wanted
  if x == nil then error(("invalid value; expected %s"):format(name), 0) end
  error(("wrong type for value; expected %s; got %s"):format(name, typeof(x).name), 0)
end

local function boxed(wanted, t)
  return function(x)
    if typeof(x) == t then return x[1] end
    return wrong(wanted, value.plain(x))
  end
end

local time_type

--- From the value of an expression to what the function gets, by type of parameter.
---@type table<string, fun(x: any): any>
M.convert = {
  any = function(x)
    if x == null then return nil end
    return x
  end,
  string = function(x)
    if type(x) == "string" then return x end
    return wrong("string", value.plain(x))
  end,
  bool = function(x)
    if type(x) == "boolean" then return x end
    return wrong("bool", value.plain(x))
  end,
  int = boxed("int", T.int),
  int64 = boxed("int64", T.int64),
  float64 = boxed("float64", T.float64),
  map = function(x)
    if x == nil or x == null then return nil end
    local t = typeof(x)
    if t.kind == "map" and t.name == T.map.name then return x end
    return wrong("map", x)
  end,
  time = function(x)
    time_type = time_type or require("step.template.time").Time
    if typeof(x) == time_type then return x end
    return wrong("time", value.plain(x))
  end,
  version = function(x)
    if x == nil or x == null then error("nil *semver.Version", 0) end
    if typeof(x).name == shown.version then return x end
    return wrong("version", x)
  end,
}

--- Whether nil may stand where the type is asked for.
M.nilable = { any = true, map = true, version = true }

--- Constants of the template for a parameter of a type: nil, problem when they do not fit.
---@param node table   bool, number or string node
---@param wanted string
---@return any
---@return string? problem
function M.constant(node, wanted)
  local kind = node.type
  if wanted == "any" then
    if kind ~= "number" then return node.value end
    return M.ideal(node.number)
  end
  if wanted == "string" and kind == "string" then return node.value end
  if wanted == "bool" and kind == "bool" then return node.value end
  if kind == "number" then
    local n = node.number
    if wanted == "int" or wanted == "int64" then
      if n.int then return n.int end
      return nil, "expected integer; found " .. n.text
    elseif wanted == "float64" then
      if n.float then return n.float end
      return nil, "expected float; found " .. n.text
    end
  end
  if wanted == "string" or wanted == "bool" then
    return nil, ("expected %s; found %s"):format(wanted, node.text or (kind == "number" and node.number.text) or kind)
  elseif wanted == "int" or wanted == "int64" then
    return nil, ("expected integer; found %s"):format(node.text or kind)
  elseif wanted == "float64" then
    return nil, ("expected float; found %s"):format(node.text or kind)
  end
  return nil, ("can't handle %s for arg of type %s"):format(node.text or kind, shown[wanted] or wanted)
end

--- The value of a number where no type is asked for.
---@param n step.template.Number
function M.ideal(n)
  if n.ideal == "int" then return value.int(n.int) end
  if n.ideal == "float" then return value.float(n.float) end
  if n.ideal == "complex" then return value.complex(n.complex[1], n.complex[2]) end
  return nil, n.text .. " overflows int"
end

local box_of = { int = T.int, int64 = T.int64, float64 = T.float64, uint64 = T.uint64 }

--- From what a function returned to a value: numbers get their type.
---@type table<string, fun(x: any): any>
M.box = {}
for name, t in pairs(box_of) do
  M.box[name] = function(n) return setmetatable({ n }, t) end
end

--- Reads a signature and joins it with the function.
---@param text string
---@param fn function
---@return step.template.Function
function M.define(text, fn)
  local params, result = text:match("^(.-)%s*%->%s*(%S+)$")
  if not params then params, result = text, nil end
  local f = { params = {}, fn = fn, result = result }
  for param in params:gmatch("[^,%s]+") do
    local variadic = param:match("^%.%.%.(.+)$")
    if variadic then f.variadic = variadic else f.params[#f.params + 1] = param end
    assert(M.convert[variadic or param], "no such type of parameter: " .. param)
  end
  return f
end

return M
