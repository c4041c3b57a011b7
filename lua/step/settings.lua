--- The configuration of a runner that takes an object of known fields: read over its base configuration, checked, its aliases
-- resolved. What is a template or a Lua function when the definition is checked is known only when the action runs.

local errors = require "step.error"
local json = require "step.json"
local suggest = require "step.suggest"

local M = {}

local function present(value) return value ~= nil and value ~= json.null end

local function is_object(value) return type(value) == "table" and not json.is_array(value) end

local function is_number(value)
  return type(value) == "number" and value == value and value < math.huge and value > -math.huge
end

--- Whether a value fits a kind, and what the kind is called.
local KINDS = {
  any = { "anything", function() return true end },
  ignored = { "anything", function() return true end },
  text = { "a text", function(value) return type(value) == "string" end },
  number = { "a number", function(value) return is_number(value) or type(value) == "string" and is_number(tonumber(value)) end },
  object = { "an object", is_object },
  list = { "a list", function(value) return type(value) == "table" and (json.is_array(value) or next(value) == nil) end },
  texts = { "an object of texts", function(value)
    if not is_object(value) then return false end
    for _, item in pairs(value) do
      if type(item) ~= "string" and type(item) ~= "function" then return false end
    end
    return true
  end },
}

--- Whether a value is known only when the action runs.
---@param value any
---@return boolean
function M.is_open(value)
  return type(value) == "function" or type(value) == "string" and value:find("{{", 1, true) ~= nil
end

---@class step.settings.Field
---@field kind "any"|"ignored"|"text"|"number"|"object"|"list"|"texts"   number: its text will do
---@field accepted? string[]    the texts it may be
---@field is? string            the field that this is another name of
---@field json? string          the field that this is the JSON text of

local function names_of(fields)
  local names = {}
  for name, field in pairs(fields) do
    if field.kind ~= "ignored" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function check(name, field, value, open)
  if open and M.is_open(value) then return true end
  local kind = KINDS[field.kind]
  if not kind[2](value) then return nil, ("%s: %s is expected, found %s"):format(name, kind[1], errors.show(value)) end
  for i, word in ipairs(field.accepted or {}) do
    if word == value then return true end
    if i == #field.accepted then
      local near = suggest.nearest(value, field.accepted)
      return nil, ("%s: found %s; accepted: %s%s"):format(name, errors.show(value), table.concat(field.accepted, ", "),
        near and (" (did you mean '%s'?)"):format(near) or "")
    end
  end
  return true
end

--- The settings of an action.
---@param base_config any
---@param config any
---@param fields table<string, step.settings.Field>
---@param open? boolean      values may be open: the definition is checked, nothing runs yet
---@return table? settings   by the fields' own names
---@return string? message   what is wrong
function M.read(base_config, config, fields, open)
  local settings = {}
  for _, source in ipairs { present(base_config) and base_config or {}, present(config) and config or {} } do
    if not is_object(source) then return nil, "the configuration: an object is expected, found " .. errors.show(source) end
    local names = {}
    for name in pairs(source) do names[#names + 1] = tostring(name) end
    table.sort(names) -- of two spellings the order must not decide
    for _, name in ipairs(names) do
      local field, value = fields[name], source[name]
      if not field then
        local known = names_of(fields)
        local near = suggest.nearest(name, known)
        return nil, ("unknown field '%s'; accepted: %s%s"):format(name, table.concat(known, ", "),
          near and (" (did you mean '%s'?)"):format(near) or "")
      end
      if present(value) and field.kind ~= "ignored" then
        local ok, message = check(name, field, value, open)
        if not ok then return nil, message end
        if field.json and not (open and M.is_open(value)) then
          local data, err = json.decode(value)
          if data == nil then return nil, ("%s: %s"):format(name, tostring(err)) end
          ok, message = check(name, fields[field.json], data, open)
          if not ok then return nil, message end
          value = data
        end
        if field.kind == "number" and not (open and M.is_open(value)) then value = tonumber(value) end
        settings[field.json or field.is or name] = value
      end
    end
  end
  return settings
end

return M
