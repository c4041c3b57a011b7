--- Definitions and functions from files, texts and directories.

local definition = require "step.definition"
local errors = require "step.error"
local functions = require "step.functions"
local json = require "step.json"
local options_of = require "step.options"
local outside = require "step.outside"

local M = {}

local OPTIONS = { lua = options_of.KINDS.any }

local FORMATS = { yaml = true, yml = true, json = true, lua = true }

--- Reads the data of a source: a path, or { text =, format = }.
local function read(source, options, what)
  local text, format, file
  if type(source) == "string" then
    file = source
    format = source:match "%.(%w+)$"
    local handle <close>, message = io.open(source, "rb")
    if not handle then return nil, errors.new("io", ("cannot open the %s: %s"):format(what, message)) end
    if not FORMATS[format or ""] then
      return nil, errors.new("io", ("%s: the file's ending tells its format; accepted: .yaml, .yml, .json, .lua"):format(source))
    end
    text, message = handle:read "a"
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
      return nil, errors.new("refused", "a definition written in Lua is a program: pass { lua = true } to run it", { file = file })
    end
    local chunk, message = load(text, "@" .. (file or "definition"), "t")
    if not chunk then return nil, errors.new("definition", message, { file = file }) end
    local ok, value = pcall(chunk)
    if not ok then return nil, errors.new("definition", ("%s: %s"):format(file or "definition", tostring(value)), { file = file }) end
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
    local findings = rawget(err, "errors")
    for _, finding in ipairs(findings or {}) do finding.file = file end
    local message = file and ("%s: %s"):format(file, tostring(err)) or tostring(err)
    return nil, errors.new("definition", message, { file = file, line = err.line, column = err.column, errors = findings })
  end
  return { value = value, file = file, positions = format ~= "json" and positions or nil }
end

--- Replaces { ["$lua"] = "expression of v" } by the function of v that it stands for; without permission it is refused.
local function expressions(value, allowed, file, place, positions)
  if type(value) ~= "table" then return value end
  local source = value["$lua"]
  if source ~= nil and next(value, next(value)) == nil then
    local fn, message
    if not allowed then
      message = "a Lua expression stands here; pass { lua = true } to allow programs in this file"
    elseif type(source) ~= "string" then
      message = "the value of $lua is Lua as a text, found " .. errors.show(source)
    else
      fn, message = load("local v = ... return " .. source, "=" .. place, "t")
      if fn then return fn end
    end
    local report = errors.report(file)
    local line, column
    if positions then line, column = positions:of(value, "$lua") end
    report:add { field = place, message = message, line = line, column = column }
    return nil, errors.new(allowed and "definition" or "refused", tostring(report.findings[1]),
      { line = line, column = column, errors = report.findings })
  end
  for key, item in next, value do
    local at = type(key) == "number" and ("%s[%d]"):format(place, key) or place == "" and tostring(key) or place .. "." .. tostring(key)
    local made, err = expressions(item, allowed, file, at, positions)
    if made == nil then return nil, err end
    value[key] = made
  end
  return value
end

local function load_data(source, options, what)
  local data, err = read(source, options, what)
  if not data then return nil, err end
  if type(data.value) ~= "table" or json.is_array(data.value) then
    local place = data.file and data.file .. ": " or ""
    local found = data.value == json.null and "null, the file is empty" or errors.show(data.value)
    return nil, errors.new("definition", ("%sa %s is an object, found %s"):format(place, what, found), { file = data.file })
  end
  if not data.code then
    local value
    value, err = expressions(data.value, options and options.lua, data.file, "", data.positions)
    if value == nil then return nil, err end
  end
  return data
end

-- ---- directories ----

local MAX_DEPTH = 100 -- of directories: a link may lead back

--- The kind of what a path names: "file", "directory" ...; nil when there is nothing, or nothing that can tell.
local function kind_of(path)
  local found, uv = pcall(outside.luv)
  local stat = found and uv.fs_stat(path)
  return stat and stat.type or nil
end

--- Adds the paths of the files below a directory that can be loaded. Names that begin with a dot are passed over.
local function collect(folder, endings, paths, depth)
  local uv = outside.luv()
  local scan, message = uv.fs_scandir(folder)
  if not scan then return nil, errors.new("io", ("cannot read the directory: %s"):format(message)) end
  if depth > MAX_DEPTH then return nil, errors.new("io", ("%s: more than %d directories deep"):format(folder, MAX_DEPTH)) end
  for name in function() return uv.fs_scandir_next(scan) end do
    local path = folder .. "/" .. name
    if name:sub(1, 1) ~= "." then
      local kind = kind_of(path)
      if kind == "directory" then
        local ok, err = collect(path, endings, paths, depth + 1)
        if not ok then return nil, err end
      elseif kind == "file" and endings[name:match "%.(%w+)$" or ""] then
        paths[#paths + 1] = path
      end
    end
  end
  return true
end

--- Whether a source is a directory. A path that ends like a file is one.
local function is_directory(source)
  return type(source) == "string" and not FORMATS[source:match "%.(%w+)$" or ""] and kind_of(source) == "directory"
end

--- Calls fn(path) for every file of a directory, in the order of their paths: the list of what it returned, or everything that
--- was wrong with any of them.
local function each_file(folder, options, fn)
  local made, findings, lines = {}, {}, {}
  local paths, err = M.paths(folder, options)
  if not paths then return nil, err end
  for _, path in ipairs(paths) do
    local value, problem = fn(path)
    if value then
      made[#made + 1] = value
    else
      lines[#lines + 1] = tostring(problem)
      local found = problem.errors or { problem }
      table.move(found, 1, #found, #findings + 1, findings)
    end
  end
  if #lines > 0 then return nil, errors.new("definition", table.concat(lines, "\n"), { errors = findings }) end
  return made
end

-- ---- the public functions ----

--- The files that a path stands for: itself, or those of a directory and the directories below it.
---@param path string
---@param options? { lua?: boolean }   lua: .lua files of a directory count
---@return string[]? paths    sorted
---@return step.Error? err    kind "io": the directory cannot be read, or holds none
function M.paths(path, options)
  if not is_directory(path) then return { path } end
  local paths, lua = {}, options and options.lua
  local ok, err = collect(path:gsub("(.)/+$", "%1"), { yaml = true, yml = true, json = true, lua = lua }, paths, 1)
  if not ok then return nil, err end
  if #paths == 0 then
    return nil, errors.new("io", ("the directory %s holds no file ending in .yaml, .yml, .json%s"):format(path, lua and ", .lua" or ""))
  end
  table.sort(paths)
  return paths
end

--- Loads a definition, or all of a directory.
---@param source string|{ text: string, format?: "yaml"|"json"|"lua" }   a path (.yaml, .yml, .json, .lua), a directory, or the text itself
---@param options? { lua?: boolean }   lua: Lua expressions in the file may run, and .lua files of a directory are loaded
---@return step.Definition|step.Definition[]|nil definition   of a directory: a list, in the order of the paths
---@return step.Error? err   kind "io", "refused" or "definition"
function M.load(source, options)
  options = options_of.check("load", 2, options, OPTIONS)
  if is_directory(source) then
    return each_file(source, options, function(path) return M.load(path, options) end)
  end
  local data, err = load_data(source, options, "definition")
  if not data then return nil, err end
  return definition.define(data.value, { file = data.file, positions = data.positions, lua = data.code or options and options.lua })
end

--- Registers a function (S7.3), or all of a directory; one of that name is replaced for definitions made from now on. When some
--- of a directory are refused, the others are registered.
---@param source step.Function|string|{ text: string, format?: string }
---@param options? { lua?: boolean }
---@return boolean? ok
---@return step.Error? err
function M.register_function(source, options)
  options = options_of.check("register_function", 2, options, OPTIONS)
  if is_directory(source) then
    local made, problem = each_file(source, options, function(path) return M.register_function(path, options) end)
    if not made then return nil, problem end
    return true
  end
  if type(source) == "table" and source.text == nil then return functions.register(source) end
  local data, err = load_data(source, options, "function")
  if not data then return nil, err end
  return functions.register(data.value, data.file, data.positions)
end

return M
