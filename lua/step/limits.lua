--- Limits of resources (S4.4) as the option `resource_limits` of an engine names them.

local duration = require "step.duration"
local errors = require "step.error"
local suggest = require "step.suggest"

local M = {}

---@class step.Rate
---@field limit integer         actions that need the resource and start in any period of that length, whenever it begins
---@field per number|string     seconds, or a text like "1m"
---@field concurrent? integer   how many may hold it at a time, beside that

local KEYS = { "concurrent", "limit", "per" }

local MOST = 1000000 -- of a rate: the core keeps as many times

local function is_count(value) return math.type(value) == "integer" and value >= 0 and value <= 0xffffffff end

--- What is wrong with the limit of a resource, in words.
local function problem(limit)
  if is_count(limit) then return nil end
  if type(limit) ~= "table" then return "a whole number from 0, or { limit = count, per = seconds }, expected" end
  for key in next, limit do
    local known = false
    for _, name in ipairs(KEYS) do known = known or key == name end
    if not known then
      local name = tostring(key)
      return ("unknown key '%s'; accepted: %s%s"):format(name, table.concat(KEYS, ", "), suggest.hint(name, KEYS))
    end
  end
  if not is_count(limit.limit) or limit.limit > MOST then
    return ("limit: a whole number from 0 to %d expected, got %s"):format(MOST, errors.show(limit.limit))
  end
  local seconds, message = duration.span(limit.per)
  if not seconds then return ("per: %s, got %s"):format(message, errors.show(limit.per)) end
  if limit.concurrent ~= nil and not is_count(limit.concurrent) then
    return ("concurrent: a whole number from 0 expected, got %s"):format(errors.show(limit.concurrent))
  end
end

--- What is wrong with the option, in words; nil when nothing is.
---@param limits any
---@return string?
function M.problem(limits)
  if limits == nil then return nil end
  if type(limits) ~= "table" then return ("a table from names to limits expected, got %s"):format(errors.show(limits)) end
  for name, limit in pairs(limits) do
    if type(name) ~= "string" then return ("the name of a resource expected, got %s"):format(errors.show(name)) end
    local text = problem(limit)
    if text and type(limit) == "table" then return ("%s: %s"):format(name, text) end
    if text then return ("%s = %s; %s"):format(name, tostring(limit), text) end
  end
end

--- Gives a loop its limits.
---@param loop userdata
---@param limits? table<string, integer|step.Rate>
function M.set(loop, limits)
  local names = {}
  for name in pairs(limits or {}) do names[#names + 1] = name end
  table.sort(names) -- D1
  for _, name in ipairs(names) do
    local limit = limits[name]
    if type(limit) == "table" then
      loop:rate(name, limit.limit, duration.span(limit.per))
      if limit.concurrent then loop:limit(name, limit.concurrent) end
    else
      loop:limit(name, limit)
    end
  end
end

return M
