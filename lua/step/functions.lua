--- Functions (S7.3): named, reusable actions. A step's action is followed through them to the runner: its chain.

local condition = require "step.condition"
local core = require "step.core"
local errors = require "step.error"
local expr = require "step.expr"
local json = require "step.json"
local places = require "step.places"
local references = require "step.references"
local runner = require "step.runner"
local suggest = require "step.suggest"

local M = {}

---@class step.Executor
---@field type string                    a runner's or a function's name
---@field configuration? any             templated; for a function: its arguments
---@field base_configuration? string     name of a base configuration of the definition
---@field output? { strategy?: "none"|"merge"|"template", format?: any }
---@field base_output? any               old spelling of output with strategy merge

---@class step.Function
---@field name string
---@field action step.Executor
---@field pre_hook? step.Executor
---@field conditions? step.Condition[]
---@field custom_states? string[]

-- States that no custom state may be called (S1.1).
local RESERVED = {}
for i = 1, #core.states - 1 do RESERVED[#RESERVED + 1] = core.states[i].name end
RESERVED[#RESERVED + 1] = "ANY"

local KEYS = { name = true, description = true, action = true, pre_hook = true, conditions = true, custom_states = true }
local KEY_NAMES = { "action", "conditions", "custom_states", "description", "name", "pre_hook" }

M.EXECUTOR_KEYS = { "base_configuration", "base_output", "configuration", "output", "type" }
M.STRATEGIES = { "merge", "none", "template" }
local STRATEGY = { merge = true, none = true, template = true }

local registered = {} ---@type table<string, step.Function>

local function absent(value) return value == nil or value == json.null end

local function is_list(value) return type(value) == "table" and (json.is_array(value) or next(value) == nil) end

--- A deep copy in which Lua functions stay what they are.
local function copy(value)
  if type(value) ~= "table" then return value end
  local made = {}
  for key, item in next, value do made[key] = copy(item) end
  return setmetatable(made, json.is_array(value) and json.array_mt or nil)
end
M.copy = copy

--- Whether a value is nested beyond all reason, as a table that contains itself is: nothing may walk it then.
---@param value any
---@param levels? integer   how deep it may still be; default 200
---@return boolean
function M.too_deep(value, levels)
  if type(value) ~= "table" then return false end
  levels = levels or 200
  if levels == 0 then return true end
  for _, item in next, value do
    if type(item) == "table" and M.too_deep(item, levels - 1) then return true end
  end
  return false
end

M.TOO_DEEP = "nested more than 200 levels deep; does a table contain itself?"

--- The chain of actions from one through functions to a runner, outermost first.
---@param action step.Executor
---@param find fun(name: string): step.Function?
---@return { action: step.Executor, fn?: step.Function }[]? chain   fn: the function whose action it is
---@return string? problem    "cyclic ..." or "unknown ..."
---@return string? unknown    the type that is neither a runner nor a function
function M.chain(action, find)
  local chain, seen, path = {}, {}, {}
  local fn
  while true do
    chain[#chain + 1] = { action = action, fn = fn }
    local kind = action.type
    fn = type(kind) == "string" and find(kind) or nil
    if not fn then
      if type(kind) ~= "string" or not runner.find(kind) then return nil, "unknown", kind end
      return chain
    end
    path[#path + 1] = kind
    if seen[kind] then return nil, ("cyclic functions: %s"):format(table.concat(path, " -> ")) end
    seen[kind] = true
    action = fn.action
  end
end

--- Checks a list of custom states (S8.7, D23).
---@param list any
---@param field string
---@param add fun(field: string, finding: table)
function M.check_custom_states(list, field, add)
  local seen = {}
  for i, state in ipairs(list) do
    local at = ("%s[%d]"):format(field, i)
    if type(state) ~= "string" or state == "" then
      add(at, { message = "a custom state is a text that is not empty", found = errors.show_text(state) })
    elseif state:find(",", 1, true) then
      add(at, { message = "a custom state contains no ','", found = errors.show(state) })
    elseif seen[state] then
      add(at, { message = "the custom state is listed twice", found = errors.show(state) })
    else
      for _, reserved in ipairs(RESERVED) do
        if state == reserved then
          add(at, { message = ("Custom state '%s' is not allowed as it is a reserved state"):format(state),
            accepted = "any name but " .. table.concat(RESERVED, ", ") })
        end
      end
      seen[state] = true
    end
  end
end

--- Adds what is wrong with one function by itself.
local function check(fn, report)
  local function add(field, finding)
    finding.field = field
    report:add(finding)
  end
  if type(fn.name) ~= "string" or fn.name == "" then
    add("name", { message = "a function needs a name", found = errors.show(fn.name) })
  elseif runner.find(fn.name) then
    add("name", { message = ("a runner is registered under the name '%s'"):format(fn.name) })
  end
  for key in next, fn do
    if not KEYS[key] then
      add(tostring(key), { message = "unknown key of a function", accepted = table.concat(KEY_NAMES, ", "),
        near = suggest.nearest(tostring(key), KEY_NAMES) })
    end
  end
  for _, key in ipairs { "action", "pre_hook" } do
    local value = fn[key]
    if not (key == "pre_hook" and absent(value)) and (type(value) ~= "table" or type(value.type) ~= "string" or value.type == "") then
      add(key, { message = "an object with a type is expected", found = errors.show(value) })
    elseif type(value) == "table" then
      for name in next, value do
        local known = false
        for _, other in ipairs(M.EXECUTOR_KEYS) do known = known or name == other end
        if not known then
          add(("%s.%s"):format(key, tostring(name)), { message = "unknown key of an action", accepted = table.concat(M.EXECUTOR_KEYS, ", "),
            near = suggest.nearest(tostring(name), M.EXECUTOR_KEYS) })
        end
      end
      local strategy = type(value.output) == "table" and value.output.strategy
      if strategy and strategy ~= json.null and strategy ~= "" and not STRATEGY[strategy] then
        add(key .. ".output.strategy", { message = "unknown output strategy", found = errors.show(strategy),
          accepted = table.concat(M.STRATEGIES, ", "),
          near = type(strategy) == "string" and suggest.nearest(strategy, M.STRATEGIES) or nil })
      end
    end
  end
  local customs = {}
  if not absent(fn.custom_states) then
    if not is_list(fn.custom_states) then
      add("custom_states", { message = "a list of names is expected", found = errors.show(fn.custom_states) })
    else
      M.check_custom_states(fn.custom_states, "custom_states", add)
      for _, state in ipairs(fn.custom_states) do customs[state] = true end
    end
  end
  if not absent(fn.conditions) then
    if not is_list(fn.conditions) then
      add("conditions", { message = "a list of conditions is expected", found = errors.show(fn.conditions) })
    else
      for i = 1, #fn.conditions do -- D12
        condition.check(fn.conditions[i], ("conditions[%d]"):format(i), { customs = customs, foreach = false }, add)
      end
    end
  end
end

--- Registers a function, or replaces the one of that name. Definitions made before keep the one they were made with (D4).
---@param fn step.Function
---@param file? string    where it comes from, for messages
---@param positions? step.yaml.Positions
---@return boolean? ok
---@return step.Error? err   kind "definition"
function M.register(fn, file, positions)
  local report = errors.report(file)
  if type(fn) ~= "table" then
    report:add { message = "a function is an object with name and action", found = errors.show(fn) }
    return nil, report:error("definition", "the function is refused")
  end
  if M.too_deep(fn) then
    report:add { message = M.TOO_DEEP }
    return nil, report:error("definition", "the function is refused")
  end
  check(fn, report)
  local title = ("the function %s is refused"):format(errors.show(fn.name))
  local function refusal()
    if positions then places.fill(report.findings, fn, {}, {}, positions) end
    places.sort(report.findings)
    return report:error("definition", title)
  end
  local err = refusal()
  if err then return nil, err end
  local made = copy(fn)
  local _, problem = M.chain(made.action, function(name) return name == made.name and made or registered[name] end)
  if problem and problem:find "^cyclic" then -- D21
    report:add { field = "action.type", message = problem }
    return nil, refusal()
  end
  registered[made.name] = made
  runner.reserve(made.name)
  return true
end

---@param name string
---@return step.Function?
function M.find(name) return registered[name] end

--- Forgets a function: definitions made from now on do not find it.
---@param name string
function M.forget(name) registered[name] = nil end

---@return string[]
function M.names()
  local names = {}
  for name in pairs(registered) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Names of the arguments that a configuration needs: "a", "a.b", ... One that its template asks for (`default`, `if`, ...) may
-- be absent.
---@param configuration any
---@return string[]
function M.arguments(configuration)
  local names, seen = {}, {}
  expr.texts(configuration, "", function(text)
    if not text:find("function_args", 1, true) then return end
    for _, reference in ipairs(references.of(text) or {}) do
      local path = reference.path
      local name = path[1] == "function_args" and table.concat(path, ".", 2) or ""
      if name ~= "" and not reference.guarded and not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end)
  table.sort(names)
  return names
end

--- Whether a configuration, the arguments of a call, has a value at a path. What a Lua function makes may have anything, and so
--- may a template inside of it; a template instead of it gives a text, which has no fields.
---@param configuration any
---@param path string
---@return boolean
function M.has_argument(configuration, path)
  local value = configuration
  for name in path:gmatch "[^.]+" do
    if type(value) == "function" then return true end
    if type(value) == "string" then return value ~= configuration end
    if type(value) ~= "table" then return false end
    local item = value[name]
    if item == nil and tonumber(name) and json.is_array(value) then item = value[tonumber(name) + 1] end
    if item == nil then return false end
    value = item
  end
  return true
end

return M
