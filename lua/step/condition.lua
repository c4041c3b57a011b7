--- Conditions (chapter 3): checked, and compiled into the form that csrc/lua/exec.c evaluates.

local core = require "step.core"
local errors = require "step.error"
local expr = require "step.expr"
local json = require "step.json"
local regex = require "step.regex"
local suggest = require "step.suggest"

local M = {}

---@class step.Assertion
---@field value any        text, or a function of v
---@field operator string  EQ NE GT LT GE LE REGEXP NOTREGEXP IN NOTIN, in any case
---@field expected any
---@field list_separator? string   default ","
---@field message? string

---@class step.Condition
---@field type "skip"|"check"
---@field if step.Assertion[]|fun(v: table): boolean   all must hold; none: always
---@field then table<string, string>     step name or "this" -> state
---@field final? boolean                  no condition after this one
---@field message? string|fun(v: table): string
---@field foreach? "children"|"parent"   skip conditions of a foreach step: whose
---@field states? string[]                check conditions: states after the action in which it is evaluated (D13)

local KEYS, KEY_NAMES = {}, { "final", "foreach", "if", "message", "run_on_retryable", "states", "then", "type" }
for _, key in ipairs(KEY_NAMES) do KEYS[key] = true end
local ASSERTION_KEYS, ASSERTION_NAMES = {}, { "value", "operator", "expected", "list_separator", "message" }
for _, key in ipairs(ASSERTION_NAMES) do ASSERTION_KEYS[key] = true end
local ENDINGS = { "DONE", "CLIENT_ERROR", "SERVER_ERROR", "FATAL_ERROR", "WAITING", "TO_RETRY" }

local SETTABLE, SETTABLE_NAMES = {}, {}
for _, state in ipairs(core.states) do
  if state.settable and state.name:find "^[A-Z_]+$" then
    SETTABLE[state.name] = true
    SETTABLE_NAMES[#SETTABLE_NAMES + 1] = state.name
  end
end

local function is_list(value) return type(value) == "table" and (json.is_array(value) or next(value) == nil) end

local function absent(value) return value == nil or value == json.null end

--- What a regular expression says of a text. A pattern that does not compile, or that exceeds its budget, is an evaluation
--- error (D12). The last pattern is kept: it is nearly always the same one.
local function matcher()
  local pattern, compiled
  return function(value, expected)
    if expected ~= pattern then
      local message
      compiled, message = regex.compile(expected)
      if not compiled then
        pattern = nil
        error("error parsing regexp: " .. tostring(message), 0)
      end
      pattern = expected
    end
    local found, message = compiled:matches(value)
    if found == nil then error("regexp: " .. tostring(message), 0) end
    return found
  end
end

--- The text of a constant operand: numbers and booleans as JSON writes them.
local function operand_text(value)
  if absent(value) then return "" end
  if type(value) == "string" then return value end
  if type(value) == "table" then return nil end
  return (json.encode(value))
end

local function check_assertion(a, field, add)
  if type(a) ~= "table" or (json.is_array(a) and #a > 0) then
    add(field, { message = "an assertion is an object with value, operator and expected", found = errors.show(a) })
    return
  end
  for key in next, a do
    if not ASSERTION_KEYS[key] then
      add(field .. "." .. tostring(key), { message = "unknown key of an assertion",
        accepted = table.concat(ASSERTION_NAMES, ", "), near = suggest.nearest(tostring(key), ASSERTION_NAMES) })
    end
  end
  local operator = type(a.operator) == "string" and core.operator(a.operator)
  if not operator then
    add(field .. ".operator", {
      message = absent(a.operator) and "an assertion needs an operator" or "unknown operator", found = errors.show(a.operator),
      accepted = table.concat(core.operators, ", "),
      near = type(a.operator) == "string" and suggest.nearest(a.operator, core.operators) or nil })
  elseif (operator == "REGEXP" or operator == "NOTREGEXP") and type(a.expected) == "string" and not a.expected:find("{{", 1, true) then
    local compiled, message = regex.compile(a.expected)
    if not compiled then
      add(field .. ".expected", { message = "error parsing regexp: " .. tostring(message), found = errors.show(a.expected) })
    end
  end
  for _, key in ipairs { "value", "expected" } do
    local kind = type(a[key])
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" and kind ~= "function" and not absent(a[key]) then
      add(field .. "." .. key, { message = "a text, a number, true or false is expected", found = errors.show(a[key]) })
    end
  end
  if not absent(a.list_separator) and type(a.list_separator) ~= "string" then
    add(field .. ".list_separator", { message = "a text is expected", found = errors.show(a.list_separator) })
  end
end

--- Where a condition stands.
---@class step.ConditionSite
---@field step? string                        the step's name; nil: a function's condition, not yet used by a step
---@field foreach boolean                     the step is a foreach step
---@field customs table<string, boolean>      the step's custom states
---@field exists? fun(name: string): boolean
---@field names? fun(): string[]              of all steps, for "did you mean"
---@field customs_of? fun(name: string): table<string, boolean>
---@field target? fun(name: string, field: string)   called for every other step that is set: S3.6 is judged later

local function check_then(cond, field, site, add)
  local targets = cond["then"]
  if absent(targets) then targets = {} end
  if type(targets) ~= "table" or (json.is_array(targets) and #targets > 0) then
    add(field, { message = "an object from step names to states is expected", found = errors.show(targets) })
    return
  end
  for name, state in next, targets do
    local at = ("%s[%s]"):format(field, tostring(name))
    local customs
    if type(name) ~= "string" then
      add(at, { message = "a step's name is expected", found = errors.show(name) })
    elseif name == "this" then
      customs = site.customs
    elseif site.step and name == site.step and not site.foreach then
      add(at, { message = ("a step names itself 'this', not '%s'"):format(name), accepted = "this" })
    elseif site.exists and not site.exists(name) then
      add(at, { message = ("non-existing step '%s'"):format(name), near = site.names and suggest.nearest(name, site.names()) or nil })
    else
      customs = site.customs_of and site.customs_of(name)
      if site.target and name ~= site.step then site.target(name, at) end
    end
    if type(state) ~= "string" or (customs and not SETTABLE[state] and not customs[state]) then
      local accepted, candidates = table.concat(SETTABLE_NAMES, ", "), { table.unpack(SETTABLE_NAMES) }
      local own = {}
      for custom in pairs(customs or {}) do own[#own + 1] = custom end
      table.sort(own)
      if #own > 0 then accepted = accepted .. ", " .. table.concat(own, ", ") end
      for _, custom in ipairs(own) do candidates[#candidates + 1] = custom end
      add(at, { message = "invalid state", found = errors.show_text(state), accepted = accepted,
        near = type(state) == "string" and suggest.nearest(state, candidates) or nil })
    elseif cond.type == "skip" and state == "RETRY_NOW" then
      add(at, { message = "a skip condition may not set RETRY_NOW: its step would be tried for ever (invalid state)",
        found = '"RETRY_NOW"' })
    end
  end
  if cond.type == "skip" and targets.this == nil and not (site.foreach and site.step and targets[site.step]) then
    add(field, { message = "a skip condition must set the state of 'this': the step does not run then" })
  end
end

--- Checks a condition; everything that is wrong goes to `add`.
---@param cond any
---@param field string                                place of the condition: "conditions[1]"
---@param site step.ConditionSite
---@param add fun(field: string, finding: table)
function M.check(cond, field, site, add)
  if type(cond) ~= "table" or (json.is_array(cond) and #cond > 0) then
    add(field, { message = "a condition is an object with type, if and then", found = errors.show(cond) })
    return
  end
  for key in next, cond do
    if not KEYS[key] then
      add(field .. "." .. tostring(key), { message = "unknown key of a condition", accepted = table.concat(KEY_NAMES, ", "),
        near = suggest.nearest(tostring(key), KEY_NAMES) })
    end
  end
  if cond.type ~= "skip" and cond.type ~= "check" then
    add(field .. ".type", {
      message = absent(cond.type) and "a condition needs a type" or "unknown condition type", found = errors.show(cond.type),
      accepted = "skip, check", near = type(cond.type) == "string" and suggest.nearest(cond.type, { "skip", "check" }) or nil })
  end
  local asserts = cond["if"]
  if not absent(asserts) and type(asserts) ~= "function" then
    if not is_list(asserts) then
      add(field .. ".if", { message = "a list of assertions or a function is expected", found = errors.show(asserts) })
    else
      for i, a in ipairs(asserts) do check_assertion(a, ("%s.if[%d]"):format(field, i), add) end
    end
  end
  check_then(cond, field .. ".then", site, add)
  local foreach = cond.foreach
  if not absent(foreach) and foreach ~= "" then
    if foreach ~= "children" and foreach ~= "parent" then
      add(field .. ".foreach", { message = "unknown condition foreach", found = errors.show(foreach), accepted = "children, parent" })
    elseif cond.type == "check" then
      add(field .. ".foreach", { message = "foreach is only for skip conditions" })
    elseif site.step and not site.foreach then
      add(field .. ".foreach", { message = "foreach in a condition of a non-foreach step" })
    end
  end
  if not absent(cond.final) and type(cond.final) ~= "boolean" then
    add(field .. ".final", { message = "true or false is expected", found = errors.show(cond.final) })
  end
  local kind = type(cond.message)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" and kind ~= "function" and not absent(cond.message) then
    add(field .. ".message", { message = "a text is expected", found = errors.show(cond.message) })
  end
  if not absent(cond.states) then
    if cond.type == "skip" then
      add(field .. ".states", { message = "states is only for check conditions" })
    elseif not is_list(cond.states) then
      add(field .. ".states", { message = "a list of states, of a check condition, is expected", found = errors.show(cond.states) })
    else
      for i, state in ipairs(cond.states) do
        local ok = false
        for _, ending in ipairs(ENDINGS) do ok = ok or state == ending end
        if not ok then
          add(("%s.states[%d]"):format(field, i), { message = "not a state an action ends in", found = errors.show(state),
            accepted = table.concat(ENDINGS, ", "), near = type(state) == "string" and suggest.nearest(state, ENDINGS) or nil })
        end
      end
    end
  end
end

local function compile_assertion(a, field, report, strict)
  local value, value_text = expr.compile(a.value, field .. ".value", report, strict)
  local expected, expected_text = expr.compile(a.expected, field .. ".expected", report, strict)
  local operator = core.operator(a.operator)
  local match = (operator == "REGEXP" or operator == "NOTREGEXP") and matcher() or false
  local separator = a.list_separator
  if absent(separator) or separator == "" then separator = "," end
  return { operator, value or operand_text(value_text), expected or operand_text(expected_text), separator, match }
end

--- Compiles a condition that M.check accepted.
---@param cond step.Condition
---@param field string
---@param report fun(place: string, message: string)
---@param strict? table    see expr.compile
---@return table
function M.compile(cond, field, report, strict)
  local compiled = { false, false, {}, cond.final == true, "", false }
  local asserts = cond["if"]
  if type(asserts) == "function" then
    compiled[1] = asserts
  elseif not absent(asserts) then
    local list = {}
    for i, a in ipairs(asserts) do list[i] = compile_assertion(a, ("%s.if[%d]"):format(field, i), report, strict) end
    compiled[2] = list
  end
  local names = {}
  if not absent(cond["then"]) then for name in next, cond["then"] do names[#names + 1] = name end end
  table.sort(names) -- D1
  for _, name in ipairs(names) do
    compiled[3][#compiled[3] + 1] = name
    compiled[3][#compiled[3] + 1] = cond["then"][name]
  end
  if not absent(cond.message) then
    -- one that does not parse is shown as written
    local render, text = expr.compile(cond.message, field .. ".message", function() end, strict)
    compiled[5] = render or operand_text(text)
    if render and type(cond.message) == "string" then
      local written = cond.message
      compiled[5] = function(v)
        local ok, rendered = pcall(render, v)
        return ok and rendered or ("%s (TEMPLATING ERROR: %s)"):format(written, tostring(rendered))
      end
    end
  end
  if not absent(cond.states) then
    compiled[6] = {}
    for _, state in ipairs(cond.states) do compiled[6][state] = true end
  end
  return compiled
end

--- Compiles the conditions of a list that are of a type; nil when there are none.
---@param list step.Condition[]
---@param kind "skip"|"check"
---@param foreach? "children"|"parent"   skip conditions of a foreach step: whose
---@param report fun(place: string, message: string)
---@param strict? table    see expr.compile
---@return table[]?
function M.compile_all(list, kind, foreach, report, strict)
  local compiled
  for i, cond in ipairs(list) do
    local whose = (absent(cond.foreach) or cond.foreach == "") and "children" or cond.foreach
    if cond.type == kind and (foreach == nil or whose == foreach) then
      compiled = compiled or {}
      compiled[#compiled + 1] = M.compile(cond, ("conditions[%d]"):format(i), report, strict)
    end
  end
  return compiled
end

return M
