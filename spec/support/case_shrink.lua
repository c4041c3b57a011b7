--- Makes a failing case (scripted.lua) small: as long as it is valid and still fails, everything that can go, goes.

local M = {}

local BUILTIN = { DONE = true, PRUNE = true, TO_RETRY = true, RETRY_NOW = true, CLIENT_ERROR = true, FATAL_ERROR = true }

-- Validity ------------------------------------------------------------------------------------------------------------

local function contains(list, value)
  for _, x in ipairs(list or {}) do
    if x == value then return true end
  end
  return false
end

-- name -> set of the names it depends on, transitively; nil when there is a cycle or an unknown name.
local function ancestors(case)
  local direct, all = {}, {}
  for _, s in ipairs(case.steps) do
    direct[s.name] = {}
    for i, text in ipairs(s.dependencies or {}) do direct[s.name][i] = text:match "^[^:]+" end
  end
  local function visit(name)
    if all[name] ~= nil then return all[name] end
    all[name] = false
    local found = {}
    for _, before in ipairs(direct[name]) do
      local further = direct[before] and visit(before)
      if not further then return nil end
      found[before] = true
      for x in pairs(further) do found[x] = true end
    end
    all[name] = found
    return found
  end
  for name in pairs(direct) do
    if not visit(name) then return nil end
  end
  return all
end

-- The names that a test mentions.
local function test_names(test, names)
  if test[1] == "other_state" or test[1] == "other_called" or test[1] == "children_at_least" then
    names[#names + 1] = test[2]
  end
  for i = 2, 4 do
    if type(test[i]) == "table" then test_names(test[i], names) end
  end
  return names
end

-- Whether a test stops holding some day.
local function wears_out(test)
  if test[1] == "throws_first" then return wears_out(test[4]) end
  return test[1] == "first" or test[1] == "never" or test[1] == "throws"
end

local function condition_problem(by_name, before, s, condition)
  for key, state in pairs(condition["then"]) do
    local target = by_name[key == "this" and s.name or key]
    if not target then return "unknown target " .. key end
    if key == s.name and not s.items then return "own name as a target" end
    if target ~= s and not before[s.name][target.name] and not before[target.name][s.name] then
      return "unrelated target " .. key
    end
    if not BUILTIN[state] and not contains(target.custom_states, state) then return "state " .. state .. " of " .. key end
    if state == "RETRY_NOW" then
      local few = target.max_retries and target.max_retries >= 0 and not target.items
      if condition.type == "skip" then return "RETRY_NOW in a skip condition" end
      if not few and not wears_out(condition["if"]) then return "RETRY_NOW for ever" end
    end
  end
  if next(condition["then"]) == nil then return "no target" end
  if condition.type == "skip" and not condition["then"].this then return "a skip condition without this" end
  if condition.foreach and not (s.items and condition.type == "skip") then return "foreach without foreach" end
  for _, name in ipairs(test_names(condition["if"], {})) do
    if not by_name[name] then return "a test of an unknown step" end
  end
  return nil
end

--- Why a case is not one: what makes its definition invalid or its play endless.
---@param case table
---@return string?
function M.problem(case)
  local by_name = {}
  for _, s in ipairs(case.steps) do by_name[s.name] = s end
  local before = ancestors(case)
  if not before then return "a cycle or an unknown dependency" end
  for _, s in ipairs(case.steps) do
    for _, text in ipairs(s.dependencies or {}) do
      local name, states = text:match "^([^:]+):?(.*)$"
      for state in states:gmatch "[^,]+" do
        if state ~= "DONE" and text ~= name .. ":ANY" and not contains(by_name[name].custom_states, state) then
          return "dependency " .. text
        end
      end
    end
    for _, condition in ipairs(s.conditions or {}) do
      local problem = condition_problem(by_name, before, s, condition)
      if problem then return ("step %s: %s"):format(s.name, problem) end
    end
  end
  for _, op in ipairs(case.plan) do
    if op[1] == "set" then
      local s = by_name[op[2]] or by_name[op[2]:match "^(.*)%-%d+$"]
      if not s then return "set: no step" end
      if op[3] ~= "TODO" and not BUILTIN[op[3]] and not contains(s.custom_states, op[3]) then return "set: no such state" end
    end
  end
  return #case.steps == 0 and "no steps" or nil
end

-- Smaller cases -------------------------------------------------------------------------------------------------------

local function copied(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, inner in pairs(value) do copy[key] = copied(inner) end
  return copy
end

local function without_step(case, index)
  local name = table.remove(case.steps, index).name
  for _, s in ipairs(case.steps) do
    for i = #(s.dependencies or {}), 1, -1 do
      if s.dependencies[i]:match "^[^:]+" == name then table.remove(s.dependencies, i) end
    end
    for i = #(s.conditions or {}), 1, -1 do
      local condition = s.conditions[i]
      condition["then"][name] = nil
      if next(condition["then"]) == nil or contains(test_names(condition["if"], {}), name) then table.remove(s.conditions, i) end
    end
  end
  for i = #case.plan, 1, -1 do
    if case.plan[i][1] == "set" and case.plan[i][2]:match "^%a+" == name then table.remove(case.plan, i) end
  end
end

-- Where something could go: a list of functions, each changes a copy of the case.
local function reductions(case)
  local list = {}
  local function add(change) list[#list + 1] = change end
  -- An element of the list at `path`, or the field at it, goes or becomes `value`.
  local function at(path, value)
    add(function(c)
      local t = c
      for i = 1, #path - 1 do t = t[path[i]] end
      local key = path[#path]
      if math.type(key) and value == nil then table.remove(t, key) else t[key] = value end
    end)
  end
  for i = #case.plan, 1, -1 do at { "plan", i } end
  for i = #case.steps, 1, -1 do
    add(function(c) without_step(c, i) end)
  end
  for i, s in ipairs(case.steps) do
    for k = #(s.conditions or {}), 1, -1 do at { "steps", i, "conditions", k } end
    for k = #(s.dependencies or {}), 1, -1 do
      at { "steps", i, "dependencies", k }
      local name, states = s.dependencies[k]:match "^([^:]+):(.*)$"
      if name then
        at({ "steps", i, "dependencies", k }, name)
        if states:find ",DONE" or states:find "DONE," then
          at({ "steps", i, "dependencies", k }, name .. ":" .. states:gsub(",?DONE,?", ""))
        end
      end
    end
    for _, key in ipairs { "calls", "max_retries", "retry_pattern", "retry", "max_concurrent", "tolerate", "metadata", "idempotent",
      "always", "foreach_strategy",
      "expansions" } do
      if s[key] ~= nil then at { "steps", i, key } end
    end
    if s.items then
      add(function(c)
        local step = c.steps[i]
        step.items, step.item_calls, step.expansions, step.foreach_strategy = nil, nil, nil, nil
        step.max_concurrent, step.tolerate = nil, nil
        for _, condition in ipairs(step.conditions or {}) do
          condition.foreach = nil
          if condition["then"][step.name] then condition["then"].this, condition["then"][step.name] = condition["then"][step.name], nil end
        end
      end)
      for k = #s.items, 1, -1 do
        add(function(c)
          table.remove(c.steps[i].items, k)
          table.remove(c.steps[i].item_calls, k)
        end)
        if #s.item_calls[k] > 0 then at({ "steps", i, "item_calls", k }, {}) end
      end
    end
    for k = #(s.calls or {}), 1, -1 do
      at { "steps", i, "calls", k }
      if s.calls[k].output then at { "steps", i, "calls", k, "output" } end
    end
    for k = #(s.custom_states or {}), 1, -1 do at { "steps", i, "custom_states", k } end
    for k, condition in ipairs(s.conditions or {}) do
      local place = { "steps", i, "conditions", k }
      for key in pairs(condition["then"]) do at { "steps", i, "conditions", k, "then", key } end
      for _, key in ipairs { "message", "final", "states" } do
        if condition[key] ~= nil then at { "steps", i, "conditions", k, key } end
      end
      local test = condition["if"]
      place[5] = "if"
      if test[1] == "throws_first" then
        at(place, test[4])
        if test[2] > 1 then at(place, { "throws_first", 1, test[3], test[4] }) end
      end
      if test[1] == "first" and test[2] > 1 then at(place, { "first", test[2] - 1 }) end
      if test[1] ~= "always" and test[1] ~= "throws" then at(place, { "always" }) end
    end
  end
  for i, op in ipairs(case.plan) do
    if op[1] == "auto" then at({ "plan", i, 1 }, "resolve") end
    if type(op[2]) == "number" and op[2] ~= 0 then at({ "plan", i, 2 }, 0) end
    if op[1] == "crash" then
      for k = #op[2], 1, -1 do at { "plan", i, 2, k } end
    end
  end
  if case.run_max then at { "run_max" } end
  return list
end

--- The smallest case that it finds by taking away one thing after the other.
---@param case table
---@param fails fun(case: table): boolean
---@return table case
function M.shrink(case, fails)
  local smaller
  repeat
    smaller = nil
    for _, change in ipairs(reductions(case)) do
      local candidate = copied(case)
      change(candidate)
      if not M.problem(candidate) and fails(candidate) then
        smaller = candidate
        break
      end
    end
    case = smaller or case
  until not smaller
  return case
end

return M
