--- µTask's own functions: the values by name, and the variables of a definition.

local base = require "step.template.base"
local define = require("step.template.signature").define
local random = require "step.template.sprig.random"
local state = require "step.template.state"
local steps = require "step.template.steps"
local value = require "step.template.value"

local M = {}

local null = value.null

-- Fields -----------------------------------------------------------------------------------------------------------------

local function is_map(x) return x ~= nil and x ~= null and value.kind(x) == "map" end

M.field = define("...string -> any", function(st, keys)
  local x = st.root
  for i = 1, keys.n do
    if not is_map(x) then return nil end
    if i == 1 and keys[1] == "step" then x = steps.view(x) else x = value.get(x, keys[i]) end
    if st.shadow and x ~= nil then x = st.shadow[x] or x end
  end
  return value.plain(x)
end)

M.fieldFrom = define("...any -> any", function(_, args)
  local n = args.n
  if n < 2 then error(("fieldFrom expects at least one key and a map, got %d arguments"):format(n), 0) end
  local x = args[n]
  if not is_map(x) then error(("fieldFrom expects a map as its last argument, got %s"):format(value.type_name(x)), 0) end
  for i = 1, n - 1 do
    if type(args[i]) ~= "string" then error(("fieldFrom expects keys of type string, got %s"):format(value.type_name(args[i])), 0) end
    if not is_map(x) then return nil end
    x = value.get(x, args[i])
  end
  return value.plain(x)
end)

-- Variables --------------------------------------------------------------------------------------------------------------

local function variable(st, name)
  local all = st.root and st.root.variables
  for _, candidate in ipairs(all or {}) do
    if candidate.name == name then return candidate end
  end
  return error(("Var name not found in template: '%s'"):format(name), 0)
end

-- A text is a template itself; any other value is taken as it is.
local function eval(st, name)
  local var = variable(st, name)
  local x = var.value
  if x == nil or x == null then
    local hook = st.root.eval_variable
    if not hook then error(("variable '%s' is an expression, and nothing here evaluates expressions"):format(name), 0) end
    local result, problem = hook(name, var, st.root)
    if result == nil and problem then error(tostring(problem), 0) end
    return value.plain(result)
  end
  if type(x) ~= "string" then return x end
  if st.evals >= state.limits.evals then error(("eval is nested more than %d times"):format(state.limits.evals), 0) end
  local output, problem = require("step.template").nested(x, st)
  if not output then error(problem, 0) end
  return output
end

M.eval = define("string -> any", eval)

M.evalCache = define("string -> any", function(st, name)
  variable(st, name)
  local cache = st.root.eval_cache
  if cache and cache[name] ~= nil then return value.plain(cache[name]) end
  local x = eval(st, name)
  if cache then cache[name] = x end
  return x
end)

-- Encodings and identifiers ----------------------------------------------------------------------------------------------

M.b64RawEnc = define("string -> string", function(_, s) return base.encode64(s, true) end)
M.b64RawDec = define("string -> string", function(_, s)
  local data, problem = base.decode64(s, true)
  return data or problem
end)

M.uuid = random.uuidv4

return M
