--- Cases (scripted.lua) and values as a person reads them: a line for a step, a line for a condition, a line for the plan.

local null = require "cjson".null

local M = {}

--- A value in one line, keys in order.
---@param value any
---@return string
local function shown(value)
  if value == null then return "null" end
  if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do parts[i] = ("%s=%s"):format(key, shown(value[key])) end
  return "{" .. table.concat(parts, " ") .. "}"
end
M.shown = shown

local function listed(list, show)
  local parts = {}
  for i, value in ipairs(list) do parts[i] = (show or shown)(value) end
  return table.concat(parts, " ")
end

local function test_text(test)
  local parts = {}
  for i, part in ipairs(test) do
    parts[i] = type(part) == "table" and "(" .. test_text(part) .. ")" or i == 1 and part or shown(part)
  end
  return table.concat(parts, " ")
end

local function call_text(call)
  return call[1] .. (call.output and "+output" or "")
end

local function condition_text(condition)
  local targets, keys = {}, {}
  for key in pairs(condition["then"]) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do targets[i] = key .. "=" .. condition["then"][key] end
  return ("      %s%s%s if %s then %s%s%s"):format(
    condition.type, condition.foreach and " " .. condition.foreach or "",
    condition.states and " in " .. table.concat(condition.states, ",") or "", test_text(condition["if"]),
    table.concat(targets, " "), condition.message and (" %q"):format(condition.message) or "",
    condition.final and " final" or "")
end

local SETTINGS = { "max_retries", "retry_pattern", "idempotent", "always", "foreach_strategy", "max_concurrent", "tolerate",
  "metadata" }

local function step_text(s)
  local parts = { "    " .. s.name }
  if s.dependencies and #s.dependencies > 0 then parts[#parts + 1] = "<- " .. table.concat(s.dependencies, " ") end
  if s.custom_states and #s.custom_states > 0 then parts[#parts + 1] = "custom " .. table.concat(s.custom_states, ",") end
  for _, key in ipairs(SETTINGS) do
    if s[key] ~= nil then parts[#parts + 1] = key .. "=" .. tostring(s[key]) end
  end
  if s.retry then
    local keys = {}
    for key, value in pairs(s.retry) do
      keys[#keys + 1] = ("%s=%s"):format(key, type(value) == "table" and table.concat(value, "/") or value)
    end
    table.sort(keys)
    parts[#parts + 1] = "retry {" .. table.concat(keys, " ") .. "}"
  end
  if s.expansions then parts[#parts + 1] = "foreach " .. table.concat(s.expansions, " ") .. ", then" end
  if s.items then parts[#parts + 1] = "items [" .. listed(s.items) .. "]" end
  if s.calls and #s.calls > 0 then parts[#parts + 1] = "calls " .. listed(s.calls, call_text) end
  for i, calls in ipairs(s.item_calls or {}) do
    if #calls > 0 then parts[#parts + 1] = ("calls of %d: %s"):format(i - 1, listed(calls, call_text)) end
  end
  local lines = { table.concat(parts, "  ") }
  for i, condition in ipairs(s.conditions or {}) do lines[i + 1] = condition_text(condition) end
  return table.concat(lines, "\n")
end

local function op_text(op)
  if op[1] == "crash" then return "crash(" .. table.concat(op[2], " ") .. ")" end
  return ("%s(%s)"):format(op[1], listed({ table.unpack(op, 2) }, tostring))
end

--- A case as a person reads it.
---@param case table
---@return string
function M.text(case)
  local lines = {
    ("case: profile %s, seed %s%s"):format(case.profile, case.seed, case.run_max and ", run_max " .. case.run_max or ""),
    "  steps",
  }
  for _, s in ipairs(case.steps) do lines[#lines + 1] = step_text(s) end
  lines[#lines + 1] = "  plan  " .. listed(case.plan, op_text)
  return table.concat(lines, "\n")
end

return M
