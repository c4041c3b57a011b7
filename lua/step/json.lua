--- JSON as the project means it: exact. Integers to 64 bits and floats to the last digit keep their value and their
-- type, [] and {} stay different (D22), the keys of an object are written in order, and a value that is no JSON data is
-- refused with the path of what is wrong in it (S4.8). lua-cjson parses and escapes; the guard around it, in C, is
-- loaded with the first value, so that null and the arrays' metatable are there for modules that need no more.
--
-- Values: null is `json.null`; an integer is a Lua integer, a number written with '.' or 'e' or beyond 64 bits a float;
-- an array is a table with the metatable `json.array_mt`, or a plain one with the keys 1 to n, n > 0; any other table is
-- an object, its keys strings. Metatables are otherwise ignored, but a table with `__pairs` is refused.
--
-- Limits: 1000 levels, 512 MiB of text. While decoding, a mebibyte of text takes about two more for the rewritten text
-- and cjson's buffer.

local cjson = require "cjson"
local errors = require "step.error"

local M = {}

--- null, the value of cjson.null.
M.null = cjson.null

--- The metatable of arrays. Decoded arrays all have it.
M.array_mt = { __name = "step.array" }

local core

local function native()
  core = require "step.core".json
  return core
end

--- Makes a table an array: the way to write an empty one.
---@param t? table   default: a new table
---@return table t
function M.array(t)
  return setmetatable(t or {}, M.array_mt)
end

--- Tells whether a value is an array: it has the metatable, or is a plain table of one or more values with the keys 1 to n.
---@param t any
---@return boolean
function M.is_array(t)
  if type(t) ~= "table" then return false end
  if getmetatable(t) == M.array_mt then return true end
  local n = rawlen(t)
  if n == 0 then return false end
  for key in next, t do
    if math.type(key) ~= "integer" or key < 1 or key > n then return false end
  end
  for i = 1, n do
    if rawget(t, i) == nil then return false end
  end
  return true
end

--- Tells whether a value has fields: a table, or the view of a run's values. null is userdata, too, and has none.
---@param x any
---@return boolean
function M.has_fields(x)
  local kind = type(x)
  return kind == "table" or kind == "userdata" and x ~= M.null
end

--- The text of a value, in one line, the keys of objects in the order of their bytes.
---@param value any
---@return string? text
---@return step.Error? err   kind "json"; `path` tells where: "$.a[3].b", indices from 1
function M.encode(value)
  local text, message, path = (core or native()).encode(value)
  if text then return text end
  return nil, errors.new("json", message, { path = path })
end

--- The value of a text (RFC 8259). Of equal keys in an object the last one counts.
---@param text string
---@return any value         never nil if the text is good
---@return step.Error? err   kind "json"; `line`, `column` (in characters) and `offset` (in bytes) tell where, from 1
function M.decode(text)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'decode' (string expected, got %s)"):format(type(text)), 2)
  end
  local value, message, line, column, offset = (core or native()).decode(text)
  if value ~= nil then return value end
  return nil, errors.new("json", message, { line = line, column = column, offset = offset })
end

--- A deep copy of a value, which must be JSON data. Its arrays all have the metatable; a table that occurs twice is
-- copied twice. nil is copied to nil.
---@param value any
---@return any copy
---@return step.Error? err   kind "json"; `path` tells where
function M.copy(value)
  local copy, message, path = (core or native()).copy(value)
  if message == nil then return copy end
  return nil, errors.new("json", message, { path = path })
end

return M
