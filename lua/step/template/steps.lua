--- `.step` as templates see it: a result that is not there yet prints as an empty map, list or text instead of
-- "<no value>", as µTask stores it.

local json = require "step.json"
local value = require "step.template.value"

local M = {}

local null, has_fields = value.null, json.has_fields

-- shared and empty: a template that changes a map of the data changes a copy
local defaults = { output = {}, metadata = {}, children = json.array {}, error = "", state = "" }

local function get(step, field)
  local x = step[1][field]
  if x == nil or x == null then return defaults[field] or x end
  return x
end

local Step = value.type("map[string]interface {}", "map", {
  get = get,
  keys = function(step)
    local names, seen = {}, {}
    for name in pairs(defaults) do
      names[#names + 1], seen[name] = name, true
    end
    for name in pairs(step[1]) do
      if not seen[name] then names[#names + 1] = name end
    end
    return names
  end,
})

local Steps = value.type("map[string]interface {}", "map", {
  get = function(all, name)
    local step = all[1][name]
    if not has_fields(step) then return step end
    return setmetatable({ step }, Step)
  end,
  keys = function(all)
    local names = {}
    for name in pairs(all[1]) do names[#names + 1] = name end
    return names
  end,
})

--- The value of `.step`.
---@param root any   the values
function M.view(root)
  local all = root.step
  if all == null then return nil end
  if not has_fields(all) then return all end
  return setmetatable({ all }, Steps)
end

--- The value of `.step.NAME.FIELD`.
---@param root any
---@param name string
---@param field string
---@return any value
---@return boolean usual   false where `.step` or the step has no fields: go the ordinary way
function M.result(root, name, field)
  local all = root.step
  local step = has_fields(all) and all[name]
  if not has_fields(step) then return nil, false end
  local x = step[field]
  if x == nil or x == null then x = defaults[field] or x end
  return x, true
end

return M
