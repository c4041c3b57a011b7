--- A definition as data (D4): what a run keeps of it beside itself, and what becomes of that when it is read again.
--
-- Lua functions are not data: { ["$lua"] = "function" } stands in their place, and a program that goes on with such a run has
-- to bring its definition along. A hash of the structure tells whether that is still the same one.

local core = require "step.core"
local definition = require "step.definition"
local errors = require "step.error"
local functions = require "step.functions"
local json = require "step.json"
local variables = require "step.variables"

local M = {}

--- A copy of a value in which { ["$lua"] = "function" } stands for every function.
---@param value any
---@return any
function M.exportable(value)
  if type(value) == "function" then return { ["$lua"] = "function" } end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in next, value do copy[key] = M.exportable(item) end
  return setmetatable(copy, json.is_array(value) and json.array_mt or nil)
end
local exportable = M.exportable

local function holds_functions(value)
  if type(value) ~= "table" then return false end
  if value["$lua"] ~= nil then return true end
  for _, item in next, value do if holds_functions(item) then return true end end
  return false
end

--- Where a definition that was made data holds Lua, in words; nil when it holds none.
---@param document? table    everything but the steps
---@param steps table<any, table>
---@param used? table<string, table>    functions by name
---@return string?
function M.lua_in(document, steps, used)
  if holds_functions(document) then return "the definition" end
  for _, variable in ipairs(document and document.variables or {}) do
    if variables.is_lua(variable) then return ("the variable '%s'"):format(tostring(variable.name)) end
  end
  for name, fn in pairs(used or {}) do
    if holds_functions(fn) then return ("the function '%s'"):format(name) end
  end
  for _, spec in pairs(steps) do
    if holds_functions(spec) then return ("step '%s'"):format(tostring(spec.name)) end
  end
end

---@class step.Snapshot
---@field hash string        of the structure
---@field name string
---@field code boolean       it holds Lua: a program has to bring the definition
---@field document string    JSON: definition, steps (a list), functions

local made = setmetatable({}, { __mode = "k" }) ---@type table<step.Definition, step.Snapshot>

--- The snapshot of a definition, made once.
---@param def step.Definition
---@return step.Snapshot
function M.of(def)
  local snapshot = made[def]
  if snapshot then return snapshot end
  local steps, used = json.array(), {}
  for i = 1, #def do
    local spec = exportable(def:step(i))
    if type(spec.action) == "table" and spec.action["$lua"] then spec.action = { type = "function", ["$lua"] = "function" } end
    steps[i] = spec
  end
  for name, fn in pairs(def.used_functions) do used[name] = exportable(fn) end
  local document = exportable(def.document)
  local text = assert(json.encode { definition = document, steps = steps, functions = used })
  snapshot = { hash = core.hash(text), name = def.name, code = M.lua_in(document, steps, used) ~= nil, document = text }
  made[def] = snapshot
  return snapshot
end

--- A copy in which `stub` stands for every function.
local function with_stubs(value, stub)
  if type(value) ~= "table" then return value end
  if value["$lua"] ~= nil then return stub end
  local copy = {}
  for key, item in next, value do copy[key] = with_stubs(item, stub) end
  return setmetatable(copy, json.is_array(value) and json.array_mt or nil)
end

--- Makes the definition again. Of one that holds Lua only what can be looked at: its functions fail.
---@param snapshot step.Snapshot
---@return step.Definition?
---@return step.Error? err    kind "definition" or "store"
function M.define(snapshot)
  local data, err = json.decode(snapshot.document)
  if not data then return nil, errors.new("store", ("the stored definition '%s' is no JSON: %s"):format(snapshot.name, tostring(err))) end
  if snapshot.code then
    data = with_stubs(data, function() error(("the definition '%s' is code that is not here"):format(snapshot.name), 0) end)
  end
  local document = functions.copy(data.definition)
  document.name, document.steps = snapshot.name, data.steps
  return definition.define(document, { functions = data.functions })
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in next, a do if not same(value, b[key]) then return false end end
  for key in next, b do if a[key] == nil then return false end end
  return true
end

local function by_name(steps)
  local found = {}
  for _, spec in ipairs(steps) do found[spec.name] = spec end
  return found
end

--- How many names of a list are shown.
local SHOWN = 5

local function names(list)
  local shown = table.concat(list, ", ", 1, math.min(#list, SHOWN))
  return #list > SHOWN and ("%s and %d more"):format(shown, #list - SHOWN) or shown
end

--- In what two versions of a definition differ, in words: "step 'a' has changed (dependencies); step 'b' is new".
---@param old step.Snapshot
---@param new step.Snapshot
---@return string
function M.differences(old, new)
  local before, after = json.decode(old.document), json.decode(new.document)
  local said, gone, added = {}, {}, {}
  local known, now = by_name(before.steps), by_name(after.steps)
  for _, spec in ipairs(before.steps) do
    local other = now[spec.name]
    if not other then
      gone[#gone + 1] = "'" .. spec.name .. "'"
    elseif not same(spec, other) then
      local fields, seen = {}, {}
      for _, side in ipairs { spec, other } do
        for key in next, side do
          if not seen[key] and not same(spec[key], other[key]) then fields[#fields + 1] = key end
          seen[key] = true
        end
      end
      table.sort(fields)
      said[#said + 1] = ("step '%s' has changed (%s)"):format(spec.name, table.concat(fields, ", "))
    end
  end
  for _, spec in ipairs(after.steps) do
    if not known[spec.name] then added[#added + 1] = "'" .. spec.name .. "'" end
  end
  if #said > SHOWN then said = { table.concat(said, "; ", 1, SHOWN), ("%d more steps have changed"):format(#said - SHOWN) } end
  if #gone > 0 then said[#said + 1] = "gone: " .. names(gone) end
  if #added > 0 then said[#said + 1] = "new: " .. names(added) end
  if #said == 0 and not same(before.definition, after.definition) then
    local keys = {}
    for _, side in ipairs { before.definition, after.definition } do
      for key in next, side do
        if not same(before.definition[key], after.definition[key]) then keys[key] = true end
      end
    end
    local list = {}
    for key in next, keys do list[#list + 1] = key end
    table.sort(list)
    said[1] = "the definition has changed (" .. table.concat(list, ", ") .. ")"
  end
  if #said == 0 then said[1] = "its functions or the order of its steps have changed" end
  return table.concat(said, "; ")
end

return M
