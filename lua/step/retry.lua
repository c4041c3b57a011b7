--- Retry policies: what stands in a step's `retry`, checked. The delays are the core's (csrc/core/retry.c).

local duration = require "step.duration"
local errors = require "step.error"
local json = require "step.json"
local suggest = require "step.suggest"

local M = {}

local null = json.null

local KEYS = { "cap", "factor", "initial", "jitter", "max", "when" }

--- States of an action that failed in which it is tried again (S1.1): what `when` may choose from. AFTERRUN_ERROR is not among
--- them: only the check conditions are redone then.
local STATES = { "SERVER_ERROR", "TO_RETRY" }

local function absent(value) return value == nil or value == null end

local function among(list, value)
  for _, item in ipairs(list) do if item == value then return true end end
  return false
end

---@class step.Retry
---@field max? integer             tries after the first; default 10000; negative: no limit. As max_retries
---@field initial? number|string   seconds, or a text like "1m30s", before the first of them; default 10
---@field factor? number           from 1: what each delay is longer by than the one before; default 1.25
---@field cap? number|string       the longest delay, before `jitter` spreads it; default 10 minutes, or `initial` when that is longer
---@field jitter? number           0 to 1: delays are spread by this part of them to both sides; default 0
---@field when? string[]|fun(v: step.core.Values, state: string, message?: string): boolean
--- the states, SERVER_ERROR and TO_RETRY, in which an action that failed is tried again, or a function that decides it after each
--- try; what is not tried again is FATAL_ERROR

--- The function that decides whether an action that failed is tried again.
local function decider(when, add)
  if absent(when) or type(when) == "function" then return when or nil end
  if type(when) ~= "table" or not (json.is_array(when) or next(when) == nil) then
    add("retry.when", { message = "a list of states or a function of v is expected", found = errors.show(when),
      accepted = table.concat(STATES, ", ") })
    return nil
  end
  local chosen = {}
  for i, state in ipairs(when) do
    if not among(STATES, state) then
      add(("retry.when[%d]"):format(i), { message = "not a state in which an action is tried again", found = errors.show(state),
        accepted = table.concat(STATES, ", "), near = type(state) == "string" and suggest.nearest(state, STATES) or nil })
    else
      chosen[state] = true
    end
  end
  return function(_, state) return chosen[state] == true end
end

--- Checks the `retry` of a step.
---@param retry any
---@param add fun(field: string, finding: table)
---@return { max?: integer, policy?: table, when?: fun(v: table, state: string, message?: string): boolean }
function M.check(retry, add)
  if type(retry) ~= "table" or (json.is_array(retry) and #retry > 0) then
    add("retry", { message = "an object is expected", found = errors.show(retry), accepted = table.concat(KEYS, ", ") })
    return {}
  end
  for key in next, retry do
    if not among(KEYS, key) then
      add("retry." .. tostring(key), { message = "unknown key of a retry", accepted = table.concat(KEYS, ", "),
        near = suggest.nearest(tostring(key), KEYS) })
    end
  end
  local policy = {}
  for _, key in ipairs { "initial", "cap" } do
    local value = retry[key]
    if not absent(value) then
      local seconds, message = duration.span(value, true)
      if not seconds then add("retry." .. key, { message = message, found = errors.show(value) }) end
      policy[key] = seconds
    end
  end
  local function number(key, least, most, expected)
    local value = retry[key]
    if absent(value) then return end
    if type(value) == "number" and value >= least and value <= most then
      policy[key] = value
    else
      add("retry." .. key, { message = expected .. " is expected", found = errors.show(value) })
    end
  end
  number("factor", 1, 1e300, "a number from 1")
  number("jitter", 0, 1, "a number from 0 to 1")
  if policy.initial and policy.cap and policy.cap < policy.initial then
    add("retry.cap", { message = "the longest delay is shorter than the first one", found = errors.show(retry.cap) })
    policy.cap = nil
  end
  local max = retry.max
  if not absent(max) and math.type(max) ~= "integer" then
    add("retry.max", { message = "a whole number is expected", found = errors.show(max) })
    max = nil
  end
  if absent(max) then max = nil end
  return { max = max, policy = next(policy) and policy or nil, when = decider(retry.when, add) }
end

return M
