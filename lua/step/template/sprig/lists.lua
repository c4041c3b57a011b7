--- sprig's functions on lists. None changes the list it is given.

local define = require("step.template.signature").define
local state = require "step.template.state"
local text = require "step.template.text"
local value = require "step.template.value"

local M = {}

local typeof, stored, T = value.typeof, value.stored, value.types
local spend = state.spend

-- Checks that x is a list and takes as many operations as it is long.
local function check(st, x, doing)
  local t = typeof(x)
  if not t then error("Cannot " .. doing .. " on nil", 0) end
  if t.kind ~= "slice" then error(("Cannot %s on type %s"):format(doing, t.kind), 0) end
  spend(st, #x)
  return #x
end

local function copy(x, from, to) return value.list(table.move(x, from, to, 1, {})) end

-- Both f and mustF: in a template they differ in nothing but the wording of the error.
local function both(name, must, signature, fn)
  M[name] = define(signature, fn)
  M[must] = M[name]
end

M.list = define("...any -> any", function(_, args)
  local t = {}
  for i = 1, args.n do t[i] = stored(args[i]) end
  return value.list(t)
end)
M.tuple = M.list

local function append(st, list, x)
  local n = check(st, list, "push")
  local t = copy(list, 1, n)
  t[n + 1] = stored(x)
  return t
end

both("append", "mustAppend", "any, any -> any", append)
both("push", "mustPush", "any, any -> any", append)

both("prepend", "mustPrepend", "any, any -> any", function(st, list, x)
  local n = check(st, list, "prepend")
  return value.list(table.move(list, 1, n, 2, { stored(x) }))
end)

both("first", "mustFirst", "any -> any", function(st, list)
  check(st, list, "find first")
  return value.plain(list[1])
end)

both("last", "mustLast", "any -> any", function(st, list)
  local n = check(st, list, "find last")
  return value.plain(list[n])
end)

both("rest", "mustRest", "any -> any", function(st, list)
  local n = check(st, list, "find rest")
  if n == 0 then return value.nil_list() end
  return copy(list, 2, n)
end)

both("initial", "mustInitial", "any -> any", function(st, list)
  local n = check(st, list, "find initial")
  if n == 0 then return value.nil_list() end
  return copy(list, 1, n - 1)
end)

both("reverse", "mustReverse", "any -> any", function(st, list)
  local n = check(st, list, "find reverse")
  local t = {}
  for i = 1, n do t[i] = list[n + 1 - i] end
  return value.list(t)
end)

local function in_list(st, list, x, n)
  for i = 1, n do
    if value.deep_equal(st, x, list[i]) then return true end
  end
  return false
end

both("uniq", "mustUniq", "any -> any", function(st, list)
  local n = check(st, list, "find uniq")
  local t, count, seen = {}, 0, {}
  for i = 1, n do
    local x = list[i]
    local fresh
    if type(x) == "string" or type(x) == "boolean" then -- the common case needs no search
      fresh = not seen[x]
      seen[x] = true
    else
      fresh = not in_list(st, t, x, count)
    end
    if fresh then
      count = count + 1
      t[count] = x
    end
  end
  return value.list(t)
end)

both("without", "mustWithout", "any, ...any -> any", function(st, list, omit)
  local n = check(st, list, "find without")
  local t, count = {}, 0
  for i = 1, n do
    if not in_list(st, omit, list[i], omit.n) then
      count = count + 1
      t[count] = list[i]
    end
  end
  return value.list(t)
end)

both("has", "mustHas", "any, any -> bool", function(st, needle, list)
  if list == nil then return false end
  local n = check(st, list, "find has")
  return in_list(st, list, needle, n)
end)

both("compact", "mustCompact", "any -> any", function(st, list)
  local n = check(st, list, "compact")
  local t, count = {}, 0
  for i = 1, n do
    if value.truth(list[i]) then
      count = count + 1
      t[count] = list[i]
    end
  end
  return value.list(t)
end)

-- A list of the same type.
local function same_type(list, t)
  local mt = getmetatable(list)
  local own = type(mt) == "table" and mt.is_type and not mt.is_nil and mt
  return own and setmetatable(t, own) or value.list(t)
end

both("slice", "mustSlice", "any, ...any -> any", function(st, list, indices)
  local n = check(st, list, "slice")
  if n == 0 then return nil end
  local from = indices.n > 0 and text.integer(indices[1]) or 0
  local to = indices.n > 1 and text.integer(indices[2]) or n
  if from < 0 or to > n or from > to then error(("slice bounds out of range [%d:%d] with length %d"):format(from, to, n), 0) end
  return same_type(list, table.move(list, from + 1, to, 1, {}))
end)

M.concat = define("...any -> any", function(st, lists)
  local t, count = {}, 0
  for i = 1, lists.n do
    local n = check(st, lists[i], "concat")
    table.move(lists[i], 1, n, count + 1, t)
    count = count + n
  end
  if count == 0 then return value.nil_list() end
  return value.list(t)
end)

both("chunk", "mustChunk", "int, any -> any", function(st, size, list)
  local n = check(st, list, "chunk")
  if size == 0 and n > 0 then error("chunk size must not be 0", 0) end
  local t = {}
  if n > 0 and size < 0 then error("chunk size must not be negative", 0) end
  for from = 1, n, math.max(size, 1) do t[#t + 1] = copy(list, from, math.min(from + size - 1, n)) end
  return setmetatable(t, T.lists)
end)

return M
