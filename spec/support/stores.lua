-- Engines for specs: in memory and on a file, with a manual clock; programs that die there.

local child = require "spec.support.child"
local step = require "step"
local temp = require "spec.support.temp"

local M = {}

local engines = {}

M.path = temp.path

--- Closes the engines and removes the files.
function M.clean()
  for _, engine in ipairs(engines) do engine:close() end
  engines = {}
  temp.clean()
end

--- An engine that clean closes.
---@param store? string
---@param clock table
---@param ... step.Definition
---@return step.Engine
function M.open(store, clock, ...)
  local engine = assert(step.engine { store = store, clock = clock, lease = 30 })
  engines[#engines + 1] = engine
  for _, def in ipairs { ... } do engine:add(def) end
  return engine
end

--- Ends an engine as if its process had died: the store is told of nothing, what is held is given back by nobody.
---@param engine step.Engine
function M.die(engine)
  local keeper = engine.keeper
  for c in pairs(keeper.held) do c:close() end
  keeper.held, keeper.holding = {}, 0
  engine:close()
end

---@class spec.Site
---@field engine step.Engine
---@field clock table
---@field restart fun(): step.Engine   on a file: closes the engine and opens another; in memory there is nothing to restart

--- Iterates over where runs may live: words for a title, and what makes a site there.
---@return fun(): string?, (fun(...: step.Definition): spec.Site)?
function M.each()
  local words = { "in memory", "on a file" }
  local i = 0
  return function()
    i = i + 1
    local on_file = i == 2
    return words[i], words[i] and function(...)
      local defs = { ... }
      local clock, path = step.manual_clock(1000), on_file and M.path() or nil
      local site = { clock = clock, engine = M.open(path, clock, table.unpack(defs)) }
      function site.restart()
        if path then
          site.engine:close()
          site.engine = M.open(path, clock, table.unpack(defs))
        end
        return site.engine
      end
      return site
    end
  end
end

--- A definition.
---@param name string
---@param steps table
---@param more? table
---@return step.Definition
function M.define(name, steps, more)
  local document = { name = name, steps = steps }
  for key, value in pairs(more or {}) do document[key] = value end
  return assert(step.define(document))
end

--- What a refusal says.
---@param ok any
---@param err any
---@return string kind
---@return string message
function M.refusal(ok, err)
  assert(ok == nil)
  return err.kind, tostring(err)
end

--- The runs of an engine, by definition and state, sorted.
---@param engine step.Engine
---@param filter? table
---@return string[]
function M.runs(engine, filter)
  local list = {}
  for run in engine:list(filter) do list[#list + 1] = run.definition.name .. " " .. run.state end
  table.sort(list)
  return list
end

--- Runs a Lua program as a process of its own. What it printed, and how it ended.
---@param text string
---@param ... string     its arguments
---@return string output
---@return integer code
---@return "exit"|"signal" how
function M.process(text, ...) return child.run { temp.file(text), ... } end

return M
