--- sprig's functions on maps. `set`, `unset` and `merge` change a map in place, as in Go; a map of the data is replaced
-- by a copy for the rest of the rendering, so that a template never changes a step's output or an input (D3).

local define = require("step.template.signature").define
local state = require "step.template.state"
local text = require "step.template.text"
local value = require "step.template.value"

local M = {}

local typeof, null, stored, T = value.typeof, value.null, value.stored, value.types
local spend = state.spend

local function size_of(st, map)
  local keys = value.keys(map)
  spend(st, #keys)
  return keys
end

-- The map itself if the template made it, else its copy of this rendering.
local function own(st, map)
  if getmetatable(map) == T.dict then return map end
  local shadow = st.shadow
  if not shadow then
    shadow = {}
    st.shadow = shadow
  end
  if not shadow[map] then
    local copy = {}
    for _, k in ipairs(size_of(st, map)) do copy[k] = value.get(map, k) end
    shadow[map] = value.dict(copy)
  end
  return shadow[map]
end

M.dict = define("...any -> any", function(st, args)
  local d = {}
  for i = 1, args.n, 2 do
    local key = text.string(args[i], st)
    if i == args.n then d[key] = "" else d[key] = stored(args[i + 1]) end
  end
  return value.dict(d)
end)

M.get = define("map, string -> any", function(_, map, key)
  local x = map and value.get(map, key)
  if x == nil then return "" end
  return x
end)

M.set = define("map, string, any -> any", function(st, map, key, x)
  if not map then error("assignment to entry in nil map", 0) end
  map = own(st, map)
  map[key] = stored(x)
  return map
end)

M.unset = define("map, string -> any", function(st, map, key)
  if not map then return value.dict {} end
  map = own(st, map)
  map[key] = nil
  return map
end)

M.hasKey = define("map, string -> bool", function(_, map, key) return map ~= nil and value.get(map, key) ~= nil end)

M.pluck = define("string, ...map -> any", function(_, key, maps)
  local list = {}
  for i = 1, maps.n do
    local x = maps[i] and value.get(maps[i], key)
    if x ~= nil then list[#list + 1] = x end
  end
  return value.list(list)
end)

-- Go gives keys and values in no order; here it is the order of the keys.
M.keys = define("...map -> any", function(st, maps)
  local list = {}
  for i = 1, maps.n do
    if maps[i] then
      for _, k in ipairs(size_of(st, maps[i])) do list[#list + 1] = k end
    end
  end
  return value.strings(list)
end)

M.values = define("map -> any", function(st, map)
  local list = {}
  for i, k in ipairs(map and size_of(st, map) or {}) do list[i] = value.get(map, k) end
  return value.list(list)
end)

M.pick = define("map, ...string -> any", function(_, map, keys)
  local d = {}
  for i = 1, map and keys.n or 0 do d[keys[i]] = value.get(map, keys[i]) end
  return value.dict(d)
end)

M.omit = define("map, ...string -> any", function(st, map, keys)
  local omitted, d = {}, {}
  for i = 1, keys.n do omitted[keys[i]] = true end
  for _, k in ipairs(map and size_of(st, map) or {}) do
    if not omitted[k] then d[k] = value.get(map, k) end
  end
  return value.dict(d)
end)

-- Merging ----------------------------------------------------------------------------------------------------------------

local MAX_DEPTH = 100

local function kind_of(x)
  local t = typeof(x)
  return t and t.kind
end

-- Lays source over target (a map of the template's own). Without `overwrite` only what is missing or empty is filled in, and
-- never with null. Maps under the same key are merged, lists replace each other.
local function merge_into(st, target, source, overwrite, depth)
  if depth > MAX_DEPTH then error("maps are nested too deeply to merge", 0) end
  for _, k in ipairs(size_of(st, source)) do
    local new, old = value.get(source, k), target[k]
    local old_kind, new_kind = kind_of(old), kind_of(new)
    if new_kind == "map" and old_kind == "map" then
      if getmetatable(old) ~= T.dict then
        local copy = {}
        for _, key in ipairs(size_of(st, old)) do copy[key] = value.get(old, key) end
        old = value.dict(copy)
        target[k] = old
      end
      merge_into(st, old, new, overwrite, depth + 1)
      if not value.truth(old) then target[k] = new end
    elseif overwrite or (not value.truth(old) and new ~= null) then
      target[k] = new
    end
  end
end

local function merging(overwrite)
  return function(st, target, sources)
    target = target and own(st, target) or value.dict {}
    for i = 1, sources.n do
      if sources[i] then merge_into(st, target, sources[i], overwrite, 0) end
    end
    return target
  end
end

M.merge = define("map, ...map -> any", merging(false))
M.mustMerge = M.merge
M.mergeOverwrite = define("map, ...map -> any", merging(true))
M.mustMergeOverwrite = M.mergeOverwrite

-- Walking ----------------------------------------------------------------------------------------------------------------

M.dig = define("...any -> any", function(_, args)
  local n = args.n
  if n < 3 then error("dig needs at least three arguments", 0) end
  local map, default = args[n], args[n - 1]
  for i = 1, n - 2 do
    if kind_of(map) ~= "map" or getmetatable(map) == T.string_map then
      error(("interface conversion: %s is not a map"):format(value.type_name(map)), 0)
    end
    if type(args[i]) ~= "string" then error(("interface conversion: %s is not a string"):format(value.type_name(args[i])), 0) end
    local x = value.get(map, args[i])
    if x == nil then return default end
    map = x
  end
  return value.plain(map)
end)

local function deep_copy(st, x, depth)
  if depth > MAX_DEPTH then error("values are nested too deeply to copy", 0) end
  local kind = kind_of(x)
  spend(st, 1)
  if kind == "map" then
    local d = {}
    for _, k in ipairs(value.keys(x)) do d[k] = deep_copy(st, value.get(x, k), depth + 1) end
    local mt = getmetatable(x)
    return mt == T.string_map and setmetatable(d, mt) or value.dict(d)
  elseif kind == "slice" then
    local list = {}
    for i = 1, #x do list[i] = deep_copy(st, x[i], depth + 1) end
    return setmetatable(list, getmetatable(x) or getmetatable(value.list {}))
  end
  return x
end

M.deepCopy = define("any -> any", function(st, x)
  if x == nil then error("reflect: call of reflect.Value.Type on zero Value", 0) end
  return deep_copy(st, x, 0)
end)
M.mustDeepCopy = M.deepCopy

return M
