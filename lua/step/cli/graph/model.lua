--- A definition as a picture has it: boxes for steps, arrows for dependencies and for what conditions set.

local core = require "step.core"
local functions = require "step.functions"
local json = require "step.json"
local text = require "step.cli.text"

local M = {}

---@class step.cli.Condition
---@field kind "skip"|"check"
---@field when string            "this.output.x = 1 and ...", or "always", or "by a Lua function"
---@field sets string[]          "CLIENT_ERROR", "other: PRUNE"

---@class step.cli.Node
---@field name string
---@field action string          the runner's or function's name; "Lua function"
---@field description? string
---@field notes string[]         "for each, in sequence", "pre_hook: x", "ends also in A, B"
---@field foreach boolean
---@field conditions step.cli.Condition[]

---@class step.cli.Edge
---@field from integer           of nodes
---@field to integer
---@field label? string          accepted states other than DONE alone; the state a condition sets
---@field condition? "skip"|"check"   nil: a dependency
---@field state? string          the state a condition sets

---@class step.cli.Picture
---@field name string
---@field description? string
---@field nodes step.cli.Node[]
---@field edges step.cli.Edge[]

local function absent(value) return value == nil or value == json.null end

local SIGNS = { EQ = "=", NE = "!=", GT = ">", LT = "<", GE = ">=", LE = "<=", REGEXP = "matches", NOTREGEXP = "does not match" }

--- One side of an assertion: a template without its braces, a text in quotes.
local function operand(value)
  if type(value) == "function" then return "a Lua function" end
  if absent(value) then return '""' end
  if type(value) ~= "string" then return (json.encode(value)) end
  local inner = value:match "^%s*{{%-?%s*(.-)%s*%-?}}%s*$"
  if inner and not inner:find("{{", 1, true) then return (inner:gsub("%.step%.this%.", "this."):gsub("^%.", ""):gsub(" %.", " ")) end
  if value:find("{{", 1, true) or value:find "^[%w_.-]+$" then return value end
  return '"' .. value .. '"'
end

local function assertion(a)
  local value, expected, operator = operand(a.value), operand(a.expected), core.operator(a.operator)
  if operator == "IN" then return expected .. " in " .. value end
  if operator == "NOTIN" then return expected .. " not in " .. value end
  return ("%s %s %s"):format(value, SIGNS[operator] or operator, expected)
end

local function when(cond)
  local list = cond["if"]
  if type(list) == "function" then return "by a Lua function" end
  if absent(list) or #list == 0 then return "always" end
  local parts = {}
  for i, a in ipairs(list) do parts[i] = text.clean(assertion(a)) end
  return table.concat(parts, " and ")
end

--- Conditions of the functions in the chain, the innermost's first, then the step's own (S3.3).
local function conditions_of(def, spec)
  local list = {}
  local chain = type(spec.action) == "table" and functions.chain(spec.action, function(name) return def.used_functions[name] end) or {}
  for i = #chain, 2, -1 do
    local own = chain[i].fn.conditions
    if not absent(own) then table.move(own, 1, #own, #list + 1, list) end
  end
  if not absent(spec.conditions) then table.move(spec.conditions, 1, #spec.conditions, #list + 1, list) end
  return list
end

local function action_name(action)
  return type(action) == "table" and text.clean(tostring(action.type)) or "Lua function"
end

local function notes_of(spec)
  local notes = {}
  if not absent(spec.foreach) then notes[1] = spec.foreach_strategy == "sequence" and "for each, in sequence" or "for each" end
  if not absent(spec.pre_hook) then notes[#notes + 1] = "pre_hook: " .. action_name(spec.pre_hook) end
  if not absent(spec.custom_states) and #spec.custom_states > 0 then
    notes[#notes + 1] = "ends also in " .. text.clean(table.concat(spec.custom_states, ", "))
  end
  return notes
end

--- Makes the picture of a definition.
---@param def step.Definition
---@return step.cli.Picture
function M.new(def)
  local picture = { name = text.clean(def.name), description = def.description and text.clean(def.description), nodes = {}, edges = {} }
  local specs, number = {}, {}
  for i = 1, #def do
    specs[i] = def:step(i)
    number[specs[i].name] = i
  end
  for i, spec in ipairs(specs) do
    local node = {
      name = text.clean(spec.name), action = action_name(spec.action), notes = notes_of(spec), foreach = not absent(spec.foreach),
      conditions = {},
      description = not absent(spec.description) and spec.description ~= "" and text.clean(spec.description) or nil,
    }
    picture.nodes[i] = node
    for _, dependency in ipairs(spec.dependencies or {}) do
      local target, states = core.dependency_parts(dependency)
      local label = table.concat(states, ", ")
      picture.edges[#picture.edges + 1] = { from = number[target], to = i, label = label ~= "DONE" and text.clean(label) or nil }
    end
    for _, cond in ipairs(conditions_of(def, spec)) do
      local known = { kind = cond.type, when = when(cond), sets = {} }
      node.conditions[#node.conditions + 1] = known
      local names = {}
      for name in pairs(not absent(cond["then"]) and cond["then"] or {}) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
        local state = text.clean(cond["then"][name])
        local target = number[name]
        if name == "this" or target == i then
          table.insert(known.sets, 1, state)
        elseif target then
          known.sets[#known.sets + 1] = ("%s: %s"):format(text.clean(name), state)
          picture.edges[#picture.edges + 1] = { from = i, to = target, label = state, condition = cond.type, state = state }
        end
      end
    end
  end
  return picture
end

--- A condition as one line: "skip: always -> PRUNE".
---@param cond step.cli.Condition
---@param arrow? string
---@return string
function M.sentence(cond, arrow)
  return ("%s: %s %s %s"):format(cond.kind, cond.when, arrow or "->", table.concat(cond.sets, ", "))
end

return M
