--- sprig's defaults and conditions, and its JSON.

local define = require("step.template.signature").define
local encode = require "step.template.encode"
local json = require "step.json"
local state = require "step.template.state"
local value = require "step.template.value"

local M = {}

local truth, null = value.truth, value.null

-- "empty" is what `if` takes for false: the zero value of the type, nothing inside.

M.default = define("any, ...any -> any", function(_, default, given)
  if given.n == 0 or not truth(given[1]) then return default end
  return given[1]
end)

M.empty = define("any -> bool", function(_, x) return not truth(x) end)

M.coalesce = define("...any -> any", function(_, args)
  for i = 1, args.n do
    if truth(args[i]) then return args[i] end
  end
  return nil
end)

M.all = define("...any -> bool", function(_, args)
  for i = 1, args.n do
    if not truth(args[i]) then return false end
  end
  return true
end)

M.any = define("...any -> bool", function(_, args)
  for i = 1, args.n do
    if truth(args[i]) then return true end
  end
  return false
end)

M.ternary = define("any, any, bool -> any", function(_, yes, no, condition)
  if condition then return yes end
  return no
end)

M.fail = define("string -> string", function(_, message) error(message, 0) end)

-- JSON -------------------------------------------------------------------------------------------------------------------

-- Numbers become float64, as json.Unmarshal makes them; maps and lists belong to the template.
local function typed(st, x)
  state.spend(st, 1)
  if type(x) == "number" then return value.float(x) end
  if type(x) ~= "table" then return x end
  if json.is_array(x) then
    for i = 1, #x do x[i] = typed(st, x[i]) end
    return value.list(x)
  end
  for k, e in pairs(x) do x[k] = typed(st, e) end
  return value.dict(x)
end

local function from_json(st, text)
  state.reserve(st, #text * 8.0)
  local x, problem = json.decode(text)
  if x == nil then return nil, problem end
  if x == null then return nil end
  return typed(st, x)
end

M.fromJson = define("string -> any", function(st, text) return (from_json(st, text)) end)
M.mustFromJson = define("string -> any", function(st, text)
  local x, problem = from_json(st, text)
  if problem then error(tostring(problem), 0) end
  return x
end)

local function writer(html, pretty)
  return define("any -> string", function(st, x) return encode.json(st, x, html, pretty) end)
end

-- The functions without "must" give "" for what cannot be written.
local function lenient(must)
  return define("any -> string", function(st, x)
    local ok, text = pcall(must.fn, st, x)
    if ok then return text end
    if st.steps < 0 or not text:find("^json: ") then error(text, 0) end
    return ""
  end)
end

M.mustToJson = writer(true)
M.mustToPrettyJson = writer(true, true)
M.mustToRawJson = writer(false)
M.toJson = lenient(M.mustToJson)
M.toPrettyJson = lenient(M.mustToPrettyJson)
M.toRawJson = lenient(M.mustToRawJson)

return M
