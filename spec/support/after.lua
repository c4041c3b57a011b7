-- What must hold after each spec file: nothing of the engine is alive any more, no process, handle or timer of luv's, and no global
-- was made.

local busted = require "busted"

local globals, modules

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
  if package.loaded.luv and package.loaded["step.outside"] then
    for _, what in ipairs(require "spec.support.outside".left()) do found[#found + 1] = what .. " is left" end
  end
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
  table.sort(found)
  return found
end

busted.subscribe({ "file", "start" }, function()
  globals, modules = keys(_G), keys(package.loaded)
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
