--- Definitions and functions from files and texts.

local definition = require "step.definition"
local errors = require "step.error"
local functions = require "step.functions"
local json = require "step.json"

local M = {}

local FORMATS = { yaml = true, yml = true, json = true, lua = true }

--- Reads the data of a source: a path, or { text =, format = }.
local function read(source, options, what)
  local text, format, file
  if type(source) == "string" then
    file = source
    format = source:match "%.(%w+)$"
    if not FORMATS[format or ""] then
      return nil, errors.new("io", ("%s: the file's ending tells its format; accepted: .yaml, .yml, .json, .lua"):format(source))
    end
    local handle, message = io.open(source, "rb")
    if not handle then return nil, errors.new("io", ("cannot open the %s: %s"):format(what, message)) end
    text, message = handle:read "a"
    handle:close()
    if not text then return nil, errors.new("io", ("cannot read %s: %s"):format(source, message)) end
  elseif type(source) == "table" and type(source.text) == "string" then
    text, format, file = source.text, source.format or "yaml", source.file
    if not FORMATS[format] then
      return nil, errors.new("io", ("unknown format %s; accepted: yaml, json, lua"):format(errors.show(format)))
    end
  else
    error(("bad argument #1 (a path or { text =, format = } expected, got %s)"):format(errors.show(source)), 4)
  end
  if format == "lua" then
    if type(source) == "table" and not (options and options.lua) then
      return nil, errors.new("refused", "a definition written in Lua is a program: pass { lua = true } to run it")
    end
    local chunk, message = load(text, "@" .. (file or "definition"), "t")
    if not chunk then return nil, errors.new("definition", message) end
    local ok, value = pcall(chunk)
    if not ok then return nil, errors.new("definition", ("%s: %s"):format(file or "definition", tostring(value))) end
    return { value = value, file = file, code = true }
  end
  local value, positions
  if format == "json" then
    value, positions = json.decode(text)
  else
    value, positions = require "step.yaml".decode(text)
  end
  if value == nil then
    local err = positions
    return nil, errors.new("definition", file and ("%s: %s"):format(file, tostring(err)) or tostring(err), { line = err.line, column = err.column })
  end
  return { value = value, file = file, positions = format ~= "json" and positions or nil }
end

--- Replaces { ["$lua"] = "expression of v" } by the function of v that it stands for; without permission it is refused.
local function expressions(value, allowed, file, place)
  if type(value) ~= "table" then return value end
  local source = value["$lua"]
  if source ~= nil and next(value, next(value)) == nil then
    if not allowed then
      return nil, errors.new("refused", ("%s%s: a Lua expression stands here; pass { lua = true } to allow programs in this file"):format(file and file .. ": " or "", place))
    end
    local fn, message = load("local v = ... return " .. tostring(source), "=" .. place, "t")
    if not fn then return nil, errors.new("definition", ("%s: %s"):format(place, message)) end
    return fn
  end
  for key, item in next, value do
    local made, err = expressions(item, allowed, file, type(key) == "number" and ("%s[%d]"):format(place, key) or place == "" and tostring(key) or place .. "." .. tostring(key))
    if made == nil then return nil, err end
    value[key] = made
  end
  return value
end

local function load_data(source, options, what)
  local data, err = read(source, options, what)
  if not data then return nil, err end
  if type(data.value) ~= "table" or json.is_array(data.value) then
    return nil, errors.new("definition", ("%sa %s is an object, found %s"):format(data.file and data.file .. ": " or "", what, errors.show(data.value)))
  end
  if not data.code then
    local value
    value, err = expressions(data.value, options and options.lua, data.file, "")
    if value == nil then return nil, err end
  end
  return data
end

--- Loads a definition.
---@param source string|{ text: string, format?: "yaml"|"json"|"lua" }   a path (.yaml, .yml, .json, .lua), or the text itself
---@param options? { lua?: boolean }   lua: Lua expressions in the file may run
---@return step.Definition?
---@return step.Error? err   kind "io", "refused" or "definition"
function M.load(source, options)
  local data, err = load_data(source, options, "definition")
  if not data then return nil, err end
  return definition.define(data.value, { file = data.file, positions = data.positions })
end

--- Registers a function (S7.3); one of that name is replaced for definitions made from now on.
---@param source step.Function|string|{ text: string, format?: string }
---@param options? { lua?: boolean }
---@return boolean? ok
---@return step.Error? err
function M.register_function(source, options)
  if type(source) == "table" and source.text == nil then return functions.register(source) end
  local data, err = load_data(source, options, "function")
  if not data then return nil, err end
  return functions.register(data.value, data.file)
end

return M
