-- What is exported is annotated (LuaCATS), and README shows the state table that C has.

local files = require "spec.support.files"
local step = require "step"
local core = require "step.core"

local META = "lua/step/meta/core.lua"

local lines_of = {}
local function lines(path)
  if not lines_of[path] then
    local list = {}
    for line in (files.read(path) .. "\n"):gmatch("(.-)\n") do list[#list + 1] = line end
    lines_of[path] = list
  end
  return lines_of[path]
end

--- The comment that ends right above a line.
local function comment_above(path, number)
  local found = {}
  for i = number - 1, 1, -1 do
    local line = lines(path)[i]
    if not line:find("^%s*%-%-%-") then break end
    table.insert(found, 1, line)
  end
  return table.concat(found, "\n")
end

--- Whether a file has `---@field NAME fun(...)`: how functions made in a loop are annotated.
local function has_field(path, name)
  for _, line in ipairs(lines(path)) do
    if line:find("^%-%-%-@field " .. name .. "%?? fun%(") then return true end
  end
  return false
end

--- What a function lacks: the whole annotation, or that of a parameter. nil when it has all.
local function lack(name, fn)
  local info = debug.getinfo(fn, "Su")
  local path, number = info.source:match("^@(.*)$"), info.linedefined
  local parameters, last = {}, name:match("[%w_]+$")
  if info.what == "C" then
    path, number = META, nil
    for i, line in ipairs(lines(META)) do
      local list = line:match("^function [%w_]+[.:]" .. last .. "%((.-)%)") or line:match("^local function " .. last .. "%((.-)%)")
      if list then
        number = i
        for parameter in list:gmatch("[%w_.]+") do parameters[#parameters + 1] = parameter end
        break
      end
    end
    if not number then return name .. ": not in " .. META end
  else
    for i = 1, info.nparams do parameters[i] = debug.getlocal(fn, i) end
    if info.isvararg then parameters[#parameters + 1] = "..." end
  end
  if has_field(path, last) then return nil end
  local comment = comment_above(path, number)
  if comment == "" then return ("%s: %s:%d has no annotation"):format(name, path, number) end
  for _, parameter in ipairs(parameters) do
    local documented = comment:find("@param " .. parameter:gsub("%.", "%%.") .. "%??%f[%s]")
    if parameter ~= "self" and not parameter:find("^_") and not documented then
      return ("%s: %s:%d does not tell what '%s' is"):format(name, path, number, parameter)
    end
  end
  return nil
end

--- Every function of a table and of the tables in it, by name.
local function each_function(prefix, t, visit, seen)
  seen = seen or {}
  if seen[t] then return end
  seen[t] = true
  for key, value in pairs(t) do
    if type(key) == "string" and not key:find("^_") then
      if type(value) == "function" then visit(prefix .. "." .. key, value)
      elseif type(value) == "table" then each_function(prefix .. "." .. key, value, visit, seen) end
    end
  end
end

--- The methods of an object, wherever its metatable keeps them as a table.
local function methods(object)
  local meta = debug.getmetatable(object)
  return meta and (type(meta.__index) == "table" and meta.__index or meta.methods) or {}
end

describe("documentation", function()
  it("annotates every exported function", function()
    local lacking = {}
    each_function("step", step, function(name, fn) lacking[#lacking + 1] = lack(name, fn) end)
    table.sort(lacking)
    assert.same({}, lacking)
  end)

  it("annotates every method of the objects", function()
    local def = assert(step.define { name = "documented", steps = { { name = "a", action = function() end } } })
    local run = def:start {}
    local engine = step.engine {}
    local lacking, seen = {}, 0
    local objects = { definition = def, run = run, engine = engine, values = step.values(),
                      step = step.new { name = "a", action = function() end } }
    for name, object in pairs(objects) do
      for key, value in pairs(methods(object)) do
        if type(value) == "function" and not key:find("^_") then
          seen = seen + 1
          lacking[#lacking + 1] = lack(name .. "." .. key, value)
        end
      end
    end
    engine:close()
    table.sort(lacking)
    assert.same({}, lacking)
    assert.is_true(seen > 20)
  end)

  it("has the state table of the C code in README", function()
    local function flag(value) return value and "yes" or "" end
    local expected = {}
    for _, s in ipairs(core.states) do
      local cells = { s.name, flag(s.runnable), flag(s.retriable), flag(s.final), flag(s.settable), s.meaning }
      expected[#expected + 1] = table.concat(cells, "|")
    end
    local found, inside = {}, false
    for _, line in ipairs(lines("README.md")) do
      if line:find("^|%s*state%s*|%s*runnable") then
        inside = true
      elseif inside and line:find("^|") then
        local cells = {}
        for cell in line:gmatch("|([^|]*)%f[|]") do cells[#cells + 1] = (cell:match("^%s*`?(.-)`?%s*$")) end
        if not line:find("^|[%s:-]+|") then found[#found + 1] = table.concat(cells, "|") end
      else
        inside = false
      end
    end
    assert.same(expected, found)
  end)

  it("has a first program in README that prints what README says", function()
    local file <close> = assert(io.open "README.md")
    local program, expected = file:read("a"):match "```lua\n(.-)```.-```\n(.-)```"
    local said = {}
    local environment = setmetatable({ print = function(...)
      local words = table.pack(...)
      for i = 1, words.n do words[i] = tostring(words[i]) end
      said[#said + 1] = table.concat(words, "\t") .. "\n"
    end }, { __index = _G })
    assert(load(program, "=README.md", "t", environment))()
    assert.equal(expected, table.concat(said))
  end)
end)
