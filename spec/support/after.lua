-- What must hold after each spec file: nothing of the engine is alive any more, no process, handle or timer of luv's, no file is
-- open that was not before, no temporary one is left, and no global was made.

local busted = require "busted"
local proc = require "spec.support.proc"

local globals, modules, files

local function keys(t)
  local set = {}
  for key in pairs(t) do set[key] = true end
  return set
end

--- Busted keeps the functions of finished tests, and with them whatever they hold. Lets go of them.
local function forget(element)
  for _, child in ipairs(busted.children(element)) do
    forget(child)
    for key, value in pairs(child) do
      if type(value) == "function" or type(value) == "table" and key ~= "trace" and key ~= "attributes" then
        child[key] = nil
      end
    end
  end
end

--- What is wrong, as a list of sentences.
local function inspect()
  local found = {}
  for name in pairs(_G) do
    if not globals[name] then found[#found + 1] = ("the global '%s' was made"):format(tostring(name)) end
  end
  local core = package.loaded["step.core"]
  local left = {}
  if package.loaded.luv then
    left = require "spec.support.outside".left()
  else
    for _, pid in ipairs(proc.children()) do left[#left + 1] = "process " .. pid end
  end
  for _, what in ipairs(left) do found[#found + 1] = what .. " is left" end
  local temp = package.loaded["spec.support.temp"]
  if temp and temp.left() then found[#found + 1] = "the folder " .. temp.left() .. " is left" end
  for name in pairs(package.loaded) do -- as busted does itself, a moment later
    if not modules[name] then package.loaded[name] = nil end
  end
  if core and core.live then
    collectgarbage()
    collectgarbage()
    for kind, count in pairs(core.live()) do
      if count ~= 0 then found[#found + 1] = ("%d %s still alive"):format(count, kind) end
    end
  end
  collectgarbage()
  for fd, path in pairs(proc.files()) do
    if files[fd] ~= path then found[#found + 1] = ("%s is open (descriptor %s)"):format(path, fd) end
  end
  table.sort(found)
  return found
end

busted.subscribe({ "file", "start" }, function()
  globals, modules, files = keys(_G), keys(package.loaded), proc.files()
  return nil, true
end)

busted.subscribe({ "file", "end" }, function(file)
  forget(file)
  local found = inspect()
  if #found > 0 then
    local trace = { short_src = file.name, currentline = 1 }
    busted.publish({ "error", "file" }, file, busted.parent(file), table.concat(found, "\n"), trace)
  end
  return nil, true
end)
