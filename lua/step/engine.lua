--- Engines: definitions by name, the runs of a store, and the workers' loop.

local clock = require "step.clock"
local errors = require "step.error"
local loader = require "step.load"
local memory = require "step.store.memory"
local suggest = require "step.suggest"

local M = {}

---@class step.EngineOptions
---@field store? nil                      runs are kept in memory
---@field resource_limits? table<string, integer>   how many steps may hold a resource at a time (S4.4); 0: none, ever
---@field acquire_timeout? number         seconds to wait for a resource; default 60
---@field max_concurrent? integer         actions in flight at a time; default: no limit
---@field clock? step.Clock|fun(): number

---@class step.Engine
---@field package definitions table<string, step.Definition>
---@field package store step.MemoryStore
---@field package loop userdata
---@field package clock any
---@field package hooks table<string, function[]>
local Engine = { __name = "step.Engine" }
Engine.__index = Engine

local OPTION_NAMES = { "acquire_timeout", "clock", "durability", "lease", "max_concurrent", "resource_limits", "store" }
local OPTIONS = {}
for _, name in ipairs(OPTION_NAMES) do OPTIONS[name] = true end

--- Opens an engine. (lease and durability are a store's; runs in memory have no use for them.)
---@param options? step.EngineOptions
---@return step.Engine?
---@return step.Error? err   kind "unsupported": there is no such store
function M.new(options)
  options = options or {}
  if type(options) ~= "table" then error(("bad argument #1 to 'engine' (table expected, got %s)"):format(type(options)), 2) end
  for key in pairs(options) do
    if not OPTIONS[key] then
      local near = suggest.nearest(tostring(key), OPTION_NAMES)
      error(("unknown option '%s' of an engine; accepted: %s%s"):format(tostring(key), table.concat(OPTION_NAMES, ", "),
        near and (" (did you mean '%s'?)"):format(near) or ""), 3)
    end
  end
  local most = options.max_concurrent
  if most ~= nil and (math.type(most) ~= "integer" or most < 1) then
    error(("bad option 'max_concurrent' (a whole number from 1 expected, got %s)"):format(errors.show(most)), 3)
  end
  if options.store ~= nil then
    return nil, errors.new("unsupported",
      ("the store %s is not available; without `store` runs are kept in memory"):format(errors.show(options.store)))
  end
  local loop = clock.new_loop(options.clock, options)
  for name, limit in pairs(options.resource_limits or {}) do
    if type(name) ~= "string" or math.type(limit) ~= "integer" or limit < 0 then
      error(("bad option 'resource_limits' (%s = %s; a whole number from 0 expected)"):format(tostring(name), tostring(limit)), 2)
    end
    loop:limit(name, limit)
  end
  return setmetatable({ definitions = {}, store = memory.new(), loop = loop, clock = options.clock, hooks = {} }, Engine)
end

--- Makes a definition available by its name; one of that name is replaced for runs started from now on.
---@param def step.Definition
---@return step.Engine self
function Engine:add(def)
  if type(def) ~= "table" or not def.graph then
    error(("bad argument #1 to 'add' (definition expected, got %s)"):format(errors.show(def)), 2)
  end
  self.definitions[def.name] = def
  return self
end

--- Registers a function, as step.register_function does.
---@param fn step.Function|string|{ text: string, format?: string }
---@param options? { lua?: boolean }
---@return boolean? ok
---@return step.Error? err
function Engine:add_function(fn, options) -- luacheck: ignore 212/self
  return loader.register_function(fn, options)
end

--- The refusal of a definition that is not there.
local function unknown_definition(definitions, name)
  local names = {}
  for known in pairs(definitions) do names[#names + 1] = known end
  table.sort(names)
  local near = suggest.nearest(name, names)
  return errors.new("refused", ("the engine has no definition '%s'%s"):format(name, near and (" (did you mean '%s'?)"):format(near) or
    #names > 0 and "; it has: " .. table.concat(names, ", ") or "; add one with engine:add"))
end

local function emit(self, event, ...)
  for _, fn in ipairs(self.hooks[event] or {}) do fn(...) end
end

--- Starts a run of a definition. With a key that was used before, gives the run that was started with it.
---@param name string
---@param options? step.StartOptions|{ key?: string }
---@return step.Run?
---@return step.Error? err   kind "refused" (no such definition) or "input"
function Engine:start(name, options)
  options = options or {}
  if not self.loop then return nil, errors.new("closed", "the engine is closed") end
  if options.key ~= nil then
    local known = self.store:by_key(options.key)
    if known then return known end
  end
  local def = self.definitions[name]
  if not def then return nil, unknown_definition(self.definitions, tostring(name)) end
  local with = {}
  for key, value in pairs(options) do with[key] = value end
  with.loop = self.loop
  local run, err = def:start(with)
  if not run then return nil, err end
  self.store:add(run, options.key)
  if self.hooks.transition then
    run:on("transition", function(event) emit(self, "transition", event) end)
  end
  return run
end

--- The run of that id.
---@param id string
---@return step.Run?
---@return step.Error? err   kind "refused"
function Engine:run(id)
  local run = self.store:get(id)
  if run then return run end
  return nil, errors.new("refused", ("the engine has no run '%s'"):format(tostring(id)))
end

--- Iterates over runs, oldest first: for run in engine:list { state = "ERROR" } do ... end
---@param filter? { state?: string, definition?: string, tag?: string|table<string, string> }   tag: a name, or names and values
---@return fun(): step.Run?
function Engine:list(filter)
  filter = filter or {}
  local nextrun = self.store:each()
  local function matches(run)
    if filter.state and run.state ~= filter.state then return false end
    if filter.definition and run.definition.name ~= filter.definition then return false end
    if type(filter.tag) == "string" and run.tags[filter.tag] == nil then return false end
    if type(filter.tag) == "table" then
      for name, value in pairs(filter.tag) do if run.tags[name] ~= value then return false end end
    end
    return true
  end
  return function()
    for run in nextrun do
      if not run.core:closed() and matches(run) then return run end
    end
  end
end

--- Resolves a run, as a person who asks for it.
---@param id string
---@return string? state
---@return step.Error? err
function Engine:resolve(id)
  local run, err = self:run(id)
  if not run then return nil, err end
  return run:resolve()
end

-- What a worker does with a run that is not being resolved: the time it is due, or nil.
local function due_time(run)
  local state = run.state
  if state == "TODO" or state == "TO_AUTORUN" or state == "RETRY" or state == "AUTORUNNING" or state == "TO_AUTORUN_DELAYED" then
    return 0
  end
  if state == "ERROR" or state == "CRASHED" then return run.next_retry or 0 end
end

--- Works: resolves the runs that are due, all of them side by side, retries when due.
--- until_idle: returns when every run has ended, is blocked or waits for somebody
---@param options? { until_idle?: boolean, until_time?: number }
---@return boolean? ok
---@return step.Error? err
function Engine:work(options)
  options = options or {}
  while true do
    if not self.loop then return nil, errors.new("closed", "the engine is closed") end -- perhaps by what it called
    local now = self.loop:now()
    if options.until_time and now > options.until_time then return true end
    local earliest, active = nil, false
    for run in self:list() do
      if run.state == "RUNNING" then
        active = true
      else
        local due = due_time(run)
        if due and due <= now and self.loop then
          if self.loop:begin(run.core, true) then active = true end
        elseif due and (not earliest or due < earliest) then
          earliest = due
        end
      end
    end
    local progress = not self.loop or self.loop:turn()
    if not progress then
      now = self.loop:now()
      local most = earliest and math.max(earliest - now, 0) or nil
      if options.until_time then most = math.min(most or math.huge, math.max(options.until_time - now, 0)) end
      if not active and not earliest then
        if options.until_idle or not options.until_time then return true end
      end
      if not self.loop:pause(most) then return true end
      if options.until_time and self.loop:now() >= options.until_time then return true end
    end
  end
end

--- Calls fn for every event of a kind, of runs started from now on.
---@param event "transition"
---@param fn fun(event: table)
---@return step.Engine self
function Engine:on(event, fn)
  if event ~= "transition" then
    error(("bad argument #1 to 'on' (unknown event %s; accepted: transition)"):format(errors.show(event)), 2)
  end
  if type(fn) ~= "function" then error(("bad argument #2 to 'on' (function expected, got %s)"):format(type(fn)), 2) end
  self.hooks[event] = self.hooks[event] or {}
  table.insert(self.hooks[event], fn)
  return self
end

--- Closes the engine and its runs. A second close does nothing.
function Engine:close()
  if not self.loop then return end
  self.store:close()
  self.loop:close()
  self.loop = nil
end

Engine.__close = Engine.close

return M
