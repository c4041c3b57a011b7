--- Input definitions of a workflow (S8.12): `inputs` and `resolver_inputs` are compiled once, with everything wrong in
-- them reported, and the values given to a run are checked against them, defaults filled in.
--
-- The words of the messages are µTask's ("Missing input", "expected a number", "not a legal value" ...).

local err = require "step.error"
local json = require "step.json"
local regex = require "step.regex"

local M = {
  max_length = 100000,        -- bytes of one value, as in µTask
}

local NULL = json.null

local TYPES = { "string", "password", "number", "bool" }

-- What a value of a type is called, and the test for it.
local KINDS = {
  string = { "a string", function(value) return type(value) == "string" end },
  number = { "a number", function(value)
    return type(value) == "number" and value == value and math.abs(value) ~= math.huge
  end },
  bool = { "a boolean", function(value) return type(value) == "boolean" end },
}
KINDS.password = KINDS.string

---@class step.Input
---@field name string
---@field description? string
---@field type? "string"|"password"|"number"|"bool"   default "string"
---@field regex? string            what a value must match, RE2 syntax; not together with legal_values
---@field legal_values? any[]      the only values allowed
---@field collection? boolean      a list of such values
---@field optional? boolean
---@field default? any             used when the input is absent, null or ""

local FIELDS = {              -- name -> type of the field in JSON
  name = "string", description = "string", type = "string", regex = "string", legal_values = "array", collection = "boolean",
  optional = "boolean", default = "any",
}
local FIELD_NAMES = { "name", "description", "type", "regex", "legal_values", "collection", "optional", "default" }
local FIELD_KINDS = { string = "a string", array = "a list", boolean = "true or false" }

---@class step.CompiledInput
---@field name string
---@field kind { [1]: string, [2]: fun(value: any): boolean }
---@field secret boolean           a password: its value stays out of messages
---@field regex? step.Regex
---@field legal_values? any[]
---@field collection boolean
---@field optional boolean
---@field default any              nil: none

---@alias step.InputSpec step.CompiledInput[]

--- A value in a message: null, numbers and texts as in JSON.
local function show(value)
  if type(value) == "number" and math.type(value) == "float" then return ("%.17g"):format(value) end
  return err.show(value)
end

--- The text a regular expression sees, as Go prints a value: 3, 1.5, true.
local function text_of(value)
  if math.type(value) ~= "float" then return tostring(value) end
  for precision = 15, 17 do
    local text = ("%%.%dg"):format(precision):format(value)
    if tonumber(text) == value then return text end
  end
end

local function is_null(value)
  return value == nil or value == NULL
end

--- What is wrong with one value, nil when nothing is.
---@param input step.CompiledInput
---@return string? message
---@return string? found
---@return string? accepted
local function check_single(input, value)
  local name, found = input.name, nil
  if not input.secret then found = show(value) end
  if value ~= NULL and not input.kind[2](value) then
    return ("Invalid value '%s': expected %s"):format(name, input.kind[1]), found
  end
  local text = value == NULL and "" or text_of(value)
  if #text > M.max_length then
    return ("Invalid input '%s': value can't be longer than %d"):format(name, M.max_length), ("%d bytes"):format(#text)
  elseif input.legal_values then
    local shown = {}
    for i, legal in ipairs(input.legal_values) do
      if legal == value then return nil end
      shown[i] = show(legal)
    end
    return ("Invalid input '%s': not a legal value"):format(name), found, table.concat(shown, ", ")
  elseif input.regex then
    local matches, message = input.regex:matches(text)
    if message then return ("Invalid input '%s': %s"):format(name, message) end
    if not matches or value == NULL then
      return ("Invalid input '%s': doesn't comply with regex '%s'"):format(name, input.regex.pattern), found
    end
  elseif text:find('"', 1, true) then
    return ("Invalid input '%s': cannot contain double quotes"):format(name), found
  end
end

--- What is wrong with the value of an input, nil when nothing is. Null passes.
---@param input step.CompiledInput
---@return string? message
---@return string? found
---@return string? accepted
local function check_value(input, value)
  if value == NULL then return nil end
  if not input.collection then return check_single(input, value) end
  if not json.is_array(value) then
    local hint
    if type(value) == "table" and next(value) == nil then hint = "an empty list is step.json.array {}" end
    return ("Input '%s' is expected to be an array"):format(input.name), not input.secret and show(value) or nil, hint
  end
  for _, item in ipairs(value) do
    local message, found, accepted = check_single(input, item)
    if message then return message, found, accepted end
  end
end

--- A copy of a checked value, a scalar or a list of them, that shares nothing with the definition or the caller.
local function copy(value)
  return type(value) == "table" and table.move(value, 1, #value, 1, json.array {}) or value
end

--- The field of a definition with its type checked; a wrong one is reported and counts as absent. Where a text is
-- wanted a number or a boolean is taken as its text, as µTask's YAML reader does.
local function field_of(definition, name, add)
  local value = definition[name]
  if is_null(value) then return nil end
  local wanted = FIELDS[name]
  if wanted == "string" and (type(value) == "number" or type(value) == "boolean") then return text_of(value) end
  if wanted == "any" or type(value) == wanted or wanted == "array" and json.is_array(value) then return value end
  add(name, { message = ("'%s' is of the wrong type"):format(name), found = show(value), accepted = FIELD_KINDS[wanted] })
end

--- A value of a definition in a message; where a text is wanted and YAML has made something else of it, that is said.
local function shown(input, value)
  if input.kind == KINDS.string and type(value) ~= "string" then return err.show_text(value) end
  return show(value)
end

--- Compiles one definition; what is wrong goes to `add(field, finding)`.
---@return step.CompiledInput
local function compile_one(definition, add)
  local unknown = {}
  for key in pairs(definition) do
    if not FIELDS[key] then unknown[#unknown + 1] = tostring(key) end
  end
  table.sort(unknown)
  for _, key in ipairs(unknown) do
    add(key, { message = ("unknown field '%s' of an input"):format(key), name = key, candidates = FIELD_NAMES,
      accepted = table.concat(FIELD_NAMES, ", ") })
  end
  local name = field_of(definition, "name", add)
  if name == nil and is_null(definition.name) or name == "" then add("name", { message = "an input needs a name" }) end
  name = name or "?"
  field_of(definition, "description", add)
  local type_name = field_of(definition, "type", add) or "string"
  if type_name == "" then type_name = "string" end
  local input = {
    name = name, kind = KINDS[type_name], secret = type_name == "password",
    collection = field_of(definition, "collection", add) or false, optional = field_of(definition, "optional", add) or false,
  }
  if not input.kind then
    add("type", { message = ("Invalid input type '%s'"):format(type_name), name = type_name, candidates = TYPES,
      accepted = table.concat(TYPES, ", ") })
    input.kind = { "a value", function() return true end }
  end

  local pattern, legal = field_of(definition, "regex", add), field_of(definition, "legal_values", add)
  if legal and #legal > 0 then
    if pattern then
      add("regex", { message = ("Invalid input '%s': both regex and legal value list configured"):format(name) })
    end
    for i, value in ipairs(legal) do
      if value ~= NULL and not input.kind[2](value) then
        add(("legal_values[%d]"):format(i), { message = ("Invalid value '%s': legal value, expected %s"):format(name, input.kind[1]),
          found = shown(input, value) })
      end
    end
    input.legal_values = copy(legal)
  elseif pattern then
    local message
    input.regex, message = regex.compile(pattern)
    if message then
      add("regex", { message = ("Invalid regex for input '%s': %s"):format(name, message), found = show(pattern) })
    end
  end

  local default = field_of(definition, "default", add)
  if default ~= nil then
    local message, found, accepted = check_value(input, default)
    if message then
      if found and type(default) ~= "table" then found = shown(input, default) end
      add("default", { message = message .. " (its default)", found = found, accepted = accepted })
    else
      input.default = copy(default)
    end
  end
  return input
end

--- Compiles a list of input definitions.
---@param list any                        `inputs` or `resolver_inputs` as the definition has it; nil or null: none
---@param report step.Report              gets everything that is wrong
---@param field string                    name of the list in the definition, for the findings' places
---@param positions? { of: fun(self: table, container: table, key: string|integer): integer?, integer? }  places in the file
---@return step.InputSpec spec            usable whatever was found
function M.compile(list, report, field, positions)
  local spec = {}
  if is_null(list) then return spec end
  if type(list) ~= "table" or not json.is_array(list) and next(list) ~= nil then
    report:add { field = field, message = "a list of inputs is expected", found = show(list) }
    return spec
  end
  local seen = {}
  for i, definition in ipairs(list) do
    local place = ("%s[%d]"):format(field, i)
    if type(definition) ~= "table" or json.is_array(definition) then
      local line, column
      if positions then line, column = positions:of(list, i) end
      report:add { field = place, message = "an input is an object with a name", found = show(definition), line = line, column = column }
    else
      local function add(key, finding)
        finding.field = place .. "." .. key
        if positions then
          finding.line, finding.column = positions:of(definition, key:match "^[^[]+")
          if not finding.line then finding.line, finding.column = positions:of(list, i) end
        end
        report:add(finding)
      end
      local input = compile_one(definition, add)
      if seen[input.name] and input.name ~= "?" then
        add("name", { message = ("Invalid input '%s': duplicate name, %s[%d] has it already"):format(input.name, field, seen[input.name]) })
      end
      seen[input.name] = seen[input.name] or i
      spec[#spec + 1] = input
    end
  end
  return spec
end

--- Checks the values given to a run. Values that no definition names are left out, as in µTask; absent ones, nulls and
-- "" get the default.
---@param spec step.InputSpec
---@param given? table<string, any>
---@return table<string, any>? values     a new table
---@return step.Error? err                kind "input", with all findings
function M.check(spec, given)
  if is_null(given) then given = {} end
  if type(given) ~= "table" then
    return nil, err.new("input", ("inputs are given as an object, found %s"):format(show(given)))
  end
  local values, report = {}, nil
  for _, input in ipairs(spec) do
    local name = input.name
    local value = given[name]
    if is_null(value) or value == "" then
      if input.default ~= nil then
        values[name] = copy(input.default)
      elseif input.optional then
        values[name] = value
      else
        report = report or err.report()
        report:add { field = name, message = ("Missing input '%s'"):format(name) }
      end
    else
      local message, found, accepted = check_value(input, value)
      if message then
        report = report or err.report()
        report:add { field = name, message = message, found = found, accepted = accepted }
      else
        values[name] = copy(value)
      end
    end
  end
  if report then return nil, report:error("input", "the inputs are refused") end
  return values
end

return M
