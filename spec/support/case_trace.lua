--- Traces (scripted.play): what differs between two of them.

local scripted = require "spec.support.scripted"
local shown = require "spec.support.case_text".shown

local M = {}

local ANY_TEXT = "<any text>"

local function same_text(expected, actual)
  if expected == actual then return true end
  local from, to = expected:find(ANY_TEXT, 1, true)
  return from ~= nil and #actual > #expected - #ANY_TEXT
    and actual:sub(1, from - 1) == expected:sub(1, from - 1)
    and (to == #expected or actual:sub(to - #expected) == expected:sub(to + 1))
end

local function same(expected, actual)
  if expected == actual then return true end
  if type(expected) == "string" and type(actual) == "string" then return same_text(expected, actual) end
  if type(expected) == "number" and type(actual) == "number" then return math.abs(expected - actual) < 1e-6 end
  if type(expected) ~= "table" or type(actual) ~= "table" then return false end
  for key, value in pairs(expected) do
    if not same(value, actual[key]) then return false end
  end
  for key in pairs(actual) do
    if expected[key] == nil then return false end
  end
  return true
end

local STEP = { "state", "error", "try_count", "output", "metadata", "children" }
local RUN = { "refused", "executions", "state", "run_count", "next_retry" }

-- What one operation left behind, as lines: what differs.
local function entry_difference(expected, actual)
  local lines = {}
  for _, key in ipairs(RUN) do
    if not same(expected[key], actual[key]) then
      lines[#lines + 1] = ("%s: expected %s, got %s"):format(key, shown(expected[key]), shown(actual[key]))
    end
  end
  local names = {}
  for name in pairs(expected.steps) do names[#names + 1] = name end
  for name in pairs(actual.steps) do
    if not expected.steps[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local e, a = expected.steps[name], actual.steps[name]
    for _, key in ipairs(STEP) do
      if not e or not a then
        lines[#lines + 1] = ("step %s: expected %s, got %s"):format(name, e and e.state or "none", a and a.state or "none")
        break
      elseif not same(e[key], a[key]) then
        lines[#lines + 1] = ("step %s: %s: expected %s, got %s"):format(name, key, shown(e[key]), shown(a[key]))
      end
    end
  end
  return lines
end

--- What differs first between two traces, as text; nil when they are the same.
---@param expected table
---@param actual table
---@return string?
function M.difference(expected, actual)
  for i, entry in ipairs(expected) do
    if not same(entry, actual[i]) then
      return ("after operation %d (%s):\n  %s"):format(i, entry.op, table.concat(entry_difference(entry, actual[i]), "\n  "))
    end
  end
end

--- Plays a case twice and compares. An error in a play is a difference like any other.
---@param case table
---@param expected_by table   the reference
---@param backend table       the engine
---@return string? difference
function M.compare(case, expected_by, backend)
  local ok, expected = pcall(scripted.play, case, expected_by)
  if not ok then return "the reference failed: " .. tostring(expected) end
  local played, actual = pcall(scripted.play, case, backend)
  if not played then return "the engine failed: " .. tostring(actual) end
  return M.difference(expected, actual)
end

return M
