--- Values that may be computed: wherever a template text may stand (S4.3), a Lua function of v may stand instead.
--
-- A value is compiled once. What has neither a template nor a function in it is a constant; anything else becomes a
-- function of v that builds a new value each time, so nothing that an evaluation makes is ever part of the definition (D3).

local json = require "step.json"
local template = require "step.template"

local M = {}

---@alias step.Render fun(v: table): any

local DEEPEST = 1000 -- as deep as JSON goes here

local function compile_table(value, place, report, strict, depth)
  if depth > DEEPEST then error("a value contains itself or is nested too deeply", 0) end
  local parts, copy = nil, {}
  for key, item in next, value do
    local at = type(key) == "string" and (place == "" and key or place .. "." .. key) or ("%s[%s]"):format(place, tostring(key))
    local render, constant = M.compile(item, at, report, strict, depth + 1)
    if render then
      parts = parts or {}
      parts[key] = render
    else
      copy[key] = constant
    end
  end
  local meta = json.is_array(value) and json.array_mt or nil
  if not parts then return nil, setmetatable(copy, meta) end
  return function(v)
    local result = {}
    for key, item in next, copy do
      result[key] = type(item) == "table" and json.copy(item) or item
    end
    for key, render in next, parts do
      local item = render(v)
      if item == nil then item = json.null end
      result[key] = item
    end
    return setmetatable(result, meta)
  end
end

--- Compiles a template, with a missing field an error where `strict` is given.
local function compile_text(text, strict)
  if not strict then return template.compile(text) end
  local known = strict[text]
  if not known then
    known = table.pack(template.compile(text, { strict = true }))
    strict[text] = known
  end
  return known[1], known[2]
end

--- Compiles a value.
---@param value any                  JSON data with templates in its texts and functions of v in it
---@param place string               where it stands, for the report
---@param report fun(place: string, message: string)   called for a template that does not parse: using it raises the message
---@param strict? table              given: a missing field is an error that names it; it keeps what was compiled, by text
---@param depth? integer             how deep in the value it stands
---@return step.Render? render       nil when the value is constant
---@return any constant              the value then, a copy of the definition's own
function M.compile(value, place, report, strict, depth)
  local kind = type(value)
  if kind == "string" then
    if template.is_constant(value) then return nil, value end
    local render, message = compile_text(value, strict)
    if not render then -- as with µTask, the step fails that would use it
      report(place, message)
      return function() error(message, 0) end
    end
    return render
  elseif kind == "function" then
    return value
  elseif kind == "table" then
    return compile_table(value, place, report, strict, depth or 1)
  end
  return nil, value
end

--- Calls fn(text, place) for every text inside a value, keys excepted.
---@param value any
---@param place string
---@param fn fun(text: string, place: string)
function M.texts(value, place, fn)
  if type(value) == "string" then
    fn(value, place)
  elseif type(value) == "table" then
    for key, item in next, value do
      M.texts(item, type(key) == "string" and (place == "" and key or place .. "." .. key) or ("%s[%s]"):format(place, tostring(key)), fn)
    end
  end
end

--- v with other fields laid over it.
---@param v table
---@param fields table
---@return table
function M.overlay(v, fields)
  return setmetatable(fields, { __index = v, __pairs = function(self)
    local seen = {}
    local keys = {}
    for key in next, self do keys[#keys + 1], seen[key] = key, true end
    for key in pairs(v) do if not seen[key] then keys[#keys + 1] = key end end
    local i = 0
    return function()
      i = i + 1
      if keys[i] ~= nil then return keys[i], self[keys[i]] end
    end
  end })
end

--- The objects of a list laid over one another, later ones winning on equal keys; what is no object replaces all before it.
---@param ... any   nil and null are passed over
---@return any
function M.merge(...)
  local result
  for i = 1, select("#", ...) do
    local item = select(i, ...)
    if item ~= nil and item ~= json.null then
      if type(item) ~= "table" or json.is_array(item) or type(result) ~= "table" or json.is_array(result) then
        result = item
      else
        local merged = {}
        for key, value in next, result do merged[key] = value end
        for key, value in next, item do merged[key] = value end
        result = merged
      end
    end
  end
  return result
end

return M
