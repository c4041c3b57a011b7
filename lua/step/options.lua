--- Tables of options that a program hands over: a name that is unknown or a value of another kind is misuse, and raised where
-- the program called.

local errors = require "step.error"
local suggest = require "step.suggest"

local M = {}

---@class step.options.Kind
---@field [1] string               what is expected, for people
---@field [2] fun(value: any): boolean

local function finite(value) return type(value) == "number" and value == value and value > -math.huge and value < math.huge end

---@type table<string, step.options.Kind>
M.KINDS = {
  any = { "any value", function() return true end },
  boolean = { "true or false expected", function(value) return type(value) == "boolean" end },
  callback = { "function expected", function(value) return type(value) == "function" end },
  count = { "a whole number from 1 expected", function(value) return math.type(value) == "integer" and value >= 1 end },
  duration = { "seconds above 0 expected", function(value) return finite(value) and value > 0 end },
  number = { "a whole number from 0 expected", function(value) return math.type(value) == "integer" and value >= 0 end },
  object = { "table expected", function(value) return type(value) == "table" end },
  span = { "seconds from 0 expected", function(value) return finite(value) and value >= 0 end },
  text = { "text expected", function(value) return type(value) == "string" end },
  time = { "seconds since 1970 expected", finite },
}

---@param accepted table<string, step.options.Kind>
local function names_of(accepted)
  local names = {}
  for name in pairs(accepted) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Raises what is wrong with the options of a call.
---@param what string                   the function's name
---@param position integer              of the argument
---@param given any                     nil: no options
---@param accepted table<string, step.options.Kind>
---@param level? integer                of the caller to be blamed; default: that of the function that calls this
---@return table options
function M.check(what, position, given, accepted, level)
  level = (level or 2) + 1
  if given == nil then return {} end
  if type(given) ~= "table" then
    error(("bad argument #%d to '%s' (table expected, got %s)"):format(position, what, errors.show(given)), level)
  end
  for name, value in pairs(given) do
    local kind = accepted[name]
    if not kind then
      local names = names_of(accepted)
      error(("bad argument #%d to '%s' (unknown option '%s'; accepted: %s)%s"):format(position, what, tostring(name),
        table.concat(names, ", "), suggest.hint(tostring(name), names)), level)
    end
    if not kind[2](value) then error(("bad option '%s' (%s, got %s)"):format(name, kind[1], errors.show(value)), level) end
  end
  return given
end

--- Raises what is no text where the id of a run, or another name, is expected.
---@param what string
---@param position integer
---@param value any
---@param level? integer
function M.text(what, position, value, level)
  if type(value) == "string" then return end
  error(("bad argument #%d to '%s' (text expected, got %s)"):format(position, what, errors.show(value)), (level or 2) + 1)
end

return M
