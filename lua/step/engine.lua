--- Engines: what a program asks of definitions and runs together, and the worker that carries runs on.

local clock = require "step.clock"
local core = require "step.core"
local definitions = require "step.definitions"
local errors = require "step.error"
local hooks = require "step.hooks"
local keeper = require "step.keeper"
local limits = require "step.limits"
local loader = require "step.load"
local options_of = require "step.options"
local signal = require "step.signal"
local stored = require "step.stored"

local M = {}

---@class step.EngineOptions
---@field store? string|table             a path: one SQLite file; default: runs are kept in memory
---@field lease? number                   seconds that a claimed run is ours without a sign of life; default 30
---@field poll? number                    seconds between looks for what other processes did; default 1
---@field durability? "full"|"relaxed"    relaxed: the last moments before a power failure may be lost; default full
---@field exclusive? boolean              this process alone has the file
---@field upgrade? boolean                runs of code that has changed go on with the new version of their definition
---@field resource_limits? table<string, integer|step.Rate>
--- how many steps may hold a resource at a time (S4.4), or start in a period; 0: none, ever
---@field acquire_timeout? number         seconds to wait for a resource; default 60
---@field max_concurrent? integer         actions in flight at a time; default: no limit
---@field clock? step.Clock|fun(): number

---@class step.Engine
---@field package store table
---@field package loop? userdata     nil: closed
---@field package clock any
---@field package hooks table<string, function[]>
---@field package definitions step.Definitions
---@field package keeper step.Keeper
local Engine = { __name = "step.Engine" }
Engine.__index = Engine

local KINDS = options_of.KINDS

local OPTIONS = {
  acquire_timeout = KINDS.span, clock = KINDS.any, exclusive = KINDS.boolean, lease = KINDS.duration, max_concurrent = KINDS.count,
  poll = KINDS.duration, resource_limits = KINDS.any, upgrade = KINDS.boolean,
  store = { "a path expected", function(value) return type(value) == "table" or (type(value) == "string" and value ~= ""
    and value:sub(1, 1) ~= ":" and not value:find "\0") end },
  durability = { "full or relaxed expected", function(value) return value == "full" or value == "relaxed" end },
}

local function check_options(options)
  options = options_of.check("engine", 1, options, OPTIONS, 3)
  local problem = limits.problem(options.resource_limits)
  if problem then error(("bad option 'resource_limits' (%s)"):format(problem), 3) end
  return options
end

--- Opens the store that the options name.
local function open_store(options, now)
  local where = options.store
  if where == nil then return require("step.store.memory").new() end
  if type(where) == "table" then return where end
  if where:find "^postgres%a*://" then
    return nil, errors.new("unsupported", ("the store %s is not available: PostgreSQL is not supported yet; give the path of an "
      .. "SQLite file"):format(errors.show(where)))
  end
  return require("step.store.sqlite").open(where, { durability = options.durability, exclusive = options.exclusive, now = now })
end

--- Opens an engine.
---@param options? step.EngineOptions
---@return step.Engine?
---@return step.Error? err   kind "unsupported": there is no such store; "store": it cannot be opened
function M.new(options)
  options = check_options(options)
  local loop = clock.new_loop(options.clock, options, 2)
  limits.set(loop, options.resource_limits)
  local store, err = open_store(options, function() return loop:now() end)
  if not store then
    loop:close()
    return nil, err
  end
  local self = setmetatable({
    store = store, loop = loop, clock = options.clock, hooks = {}, definitions = definitions.new(store, options.upgrade),
  }, Engine)
  self.keeper = keeper.new(self, options)
  return self
end

--- Makes a definition available by its name; one of that name is replaced for runs started from now on.
---@param def step.Definition
---@return step.Engine self
function Engine:add(def)
  if type(def) ~= "table" or not def.graph then
    error(("bad argument #1 to 'add' (definition expected, got %s)"):format(errors.show(def)), 2)
  end
  self.definitions:add(def)
  self.keeper.look_at = 0
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

local closed, unknown = keeper.closed, stored.unknown

-- ---- runs ----

--- What start takes that is not an option of the run itself.
local OWN = { delay = true, key = true, parent = true, parent_step = true }

--- A run that is not stored yet, and its row.
local function prepare(self, def, options)
  local with = {}
  for field, value in pairs(options) do
    if not OWN[field] then with[field] = value end
  end
  with.loop = self.loop
  local run, err = def:start(with, 4)
  if not run then return nil, err end
  run.parent, run.parent_step = options.parent, options.parent_step
  if options.delay then run.not_before = run.created + options.delay end
  local row = stored.row(run, options.key)
  row.max_concurrent = options.max_concurrent
  if self.store.live then row.run = run end
  return run, row
end

--- What start takes beside the options of a run, which the run looks at.
local START = {
  clock = KINDS.any, config = KINDS.any, deadline = KINDS.any, delay = KINDS.span, id = KINDS.text, input = KINDS.any,
  key = { "text that is not empty expected", function(value) return type(value) == "string" and value ~= "" end },
  log = KINDS.callback, max_concurrent = KINDS.any, parent = KINDS.text, parent_step = KINDS.text, requester_username = KINDS.text,
  resolver_input = KINDS.any, resolver_username = KINDS.text, tags = KINDS.any,
}

--- The run that was started with a key; of another definition it is not what was asked for.
local function started(self, id, key, name)
  local run, err = self:run(id)
  if not run then return nil, err end
  local other = self.store.live and run.definition.name or run.row.name
  if other == name then return run end
  return nil, errors.new("refused", ("the key %s is that of the run '%s' of the definition '%s', not of one of '%s': keys are shared by "
    .. "all definitions"):format(errors.show(key), id, other, name))
end

--- Starts a run of a definition: it is stored before this returns. With a key that was used before, gives the run that was
--- started with it.
---@param name string
---@param options? step.StartOptions|{ key?: string, delay?: number }    delay: seconds before which no worker begins with it
---@return step.Run?
---@return step.Error? err   kind "refused" (no such definition, or the key is that of a run of another one), "input" or "store"
function Engine:start(name, options)
  options_of.text("start", 1, name)
  options = options_of.check("start", 2, options, START)
  if not self.loop then return closed() end
  local key = options.key
  local def, err = self.definitions:get(name)
  if not def then
    local known = key and self.store:by_key(key)
    if known then return started(self, known, key, name) end
    return nil, err
  end
  local run, row = prepare(self, def, options)
  if not run then return nil, row end
  local id, created = self.store:create(row, self.definitions:kept(def))
  if not id then
    run:close()
    return nil, created
  end
  if created == false then
    run:close()
    return started(self, id, key, name)
  end
  row, err = self.store:get(id)
  if not row then
    run:close()
    if err then return nil, err end
    return nil, unknown(id) -- somebody has deleted it at once
  end
  self.keeper:adopt(run, row)
  return run
end

--- Starts many runs of a definition, all of them or none. Those whose key was used before are there already.
---@package
---@param name string
---@param list table[]    options for each, with a key
---@return boolean? ok
---@return step.Error? err
---@return integer? number    of which it is
function Engine:start_all(name, list)
  if not self.loop then return closed() end
  local def, err = self.definitions:get(name)
  if not def then return nil, err end
  local live, runs, rows = self.store.live, {}, {}
  local function close()
    for _, run in ipairs(runs) do run:close() end
  end
  for i, options in ipairs(list) do
    local run, row = prepare(self, def, options)
    if not run then
      close()
      return nil, row, i
    end
    runs[i], rows[i] = run, row
    if not live then run:close() end -- its object is made when somebody asks for it
  end
  local created
  created, err = self.store:create_all(rows, self.definitions:kept(def))
  if not created then
    close()
    return nil, err
  end
  self.keeper.look_at = 0
  for i, run in ipairs(live and runs or {}) do
    if created[i] then self.keeper:adopt(run, rows[i]) else run:close() end
  end
  return true
end

--- The run of that id, as it is in the store now.
---@param id string
---@return step.Run?
---@return step.Error? err   kind "refused" or "store"
function Engine:run(id)
  options_of.text("run", 1, id)
  if not self.loop then return closed() end
  local row, err = self.store:get(id)
  if row then return self.keeper:object(row) end
  if err then return nil, err end
  return nil, unknown(id)
end

--- Rows read at a time.
local PAGE = 100

---@class step.RunFilter
---@field id_prefix? string
---@field state? string
---@field definition? string
---@field tag? string|table<string, string>    a name, or names and values
---@field created_since? number
---@field created_before? number
---@field parent? string    id of the run that started it
---@field newest? boolean   the newest first
---@field limit? integer    so many at most; default: all

local STATES, IS_STATE = table.concat(core.run_states, ", "), {}
for _, state in ipairs(core.run_states) do IS_STATE[state] = true end

local FILTER = {
  created_before = KINDS.time, created_since = KINDS.time, definition = KINDS.text, id_prefix = KINDS.text, limit = KINDS.count,
  newest = KINDS.boolean, parent = KINDS.text,
  state = { "one of " .. STATES .. " expected", function(value) return IS_STATE[value] end },
  tag = { "text, or a table of names and values expected", function(value) return type(value) == "string" or type(value) == "table" end },
}

--- Iterates over runs, oldest first: for run in engine:list { state = "ERROR" } do ... end
---@param filter? step.RunFilter
---@return fun(): step.Run?
function Engine:list(filter)
  local query, left = {}, math.huge
  for key, value in pairs(options_of.check("list", 1, filter, FILTER)) do query[key] = value end
  query.limit, left = PAGE, query.limit or left
  local page, at, more = {}, 0, true
  return function()
    if left <= 0 then return nil end
    at, left = at + 1, left - 1
    if at > #page and more then
      local rows, following = self.store:list(query)
      if not rows then error(following, 2) end
      page, at, query.after, more = rows, 1, following, following ~= nil
    end
    if page[at] then return self.keeper:object(page[at]) end
  end
end

--- Resolves a run, as a person who asks for it.
---@param id string
---@param options? { upgrade?: boolean }    upgrade: go on with the definition that is there now
---@return string? state
---@return step.Error? err
function Engine:resolve(id, options)
  options_of.text("resolve", 1, id)
  options = options_of.check("resolve", 2, options, { upgrade = KINDS.boolean })
  local run, err = self:run(id)
  if not run then return nil, err end
  local ok
  ok, err = self.keeper:hold(run, false, options.upgrade)
  if not ok then return nil, err end
  return run:resolve()
end

--- What happened to a run, oldest first.
---@param id string
---@param options? { after?: integer, limit?: integer }    after: the number of the last event known
---@return { seq: integer, time: number, step?: string, from: string, to: string, message?: string }[]?
---@return step.Error? err
function Engine:events(id, options)
  options_of.text("events", 1, id)
  options = options_of.check("events", 2, options, { after = KINDS.number, limit = KINDS.count })
  if not self.loop then return closed() end
  local row, err = self.store:get(id)
  if not row then
    if err then return nil, err end
    return nil, unknown(id)
  end
  return self.store:events(row.number, options.after or 0, options.limit or math.maxinteger)
end

--- Deletes a run and everything of it.
---@param id string
---@return boolean? ok
---@return step.Error? err    kind "refused" or "store": there is none, somebody works on it, or runs that it has started have not ended
function Engine:delete(id)
  options_of.text("delete", 1, id)
  if not self.loop then return closed() end
  if self.keeper:holds_id(id) then return nil, errors.new("refused", ("run '%s' is running: cancel it first"):format(id)) end
  local parent = self.store.live and self.store:get(id)
  local ok, err = self.store:delete(id, self.loop:now())
  if not ok then
    if err.code == "absent" then return nil, unknown(id) end
    if err.code == "owned" then return nil, errors.new("refused", err.message, { code = err.code }) end
    return nil, err
  end
  self.keeper:forget(id)
  if parent and parent.parent then self.keeper:post(parent.parent, "child", id) end
  return true
end

--- Raises what is no list of states of runs that nobody works on.
local function check_states(states)
  for key, state in pairs(states or {}) do
    if math.type(key) ~= "integer" then error("bad option 'states' (a list expected, got an object)", 3) end
    if not IS_STATE[state] or state == "RUNNING" then
      error(("bad option 'states' (found %s; accepted: %s)"):format(errors.show(state), (STATES:gsub("RUNNING, ", ""))), 3)
    end
  end
end

--- Deletes runs that have ended; not those that have started runs which have not, nor those whose result a run may still want.
---@param options { older_than: number, states?: string[] }
--- older_than: seconds since their last change; states: any but RUNNING, default DONE, CANCELLED
---@return integer? count
---@return step.Error? err
function Engine:prune(options)
  options = options_of.check("prune", 1, options, { older_than = KINDS.span, states = KINDS.object })
  if not options.older_than then error("bad argument #1 to 'prune' ({ older_than = seconds } expected)", 2) end
  check_states(options.states)
  if not self.loop then return closed() end
  return self.store:prune { older_than = self.loop:now() - options.older_than, states = options.states }
end

--- Copies the store while it is in use.
---@param path string    of a file that is not there yet
---@return boolean? ok
---@return step.Error? err
function Engine:backup(path)
  options_of.text("backup", 1, path)
  if not self.loop then return closed() end
  return self.store:backup(path)
end

--- One round of work that waits for nothing: claims what is due, runs what can run now. For programs with a loop of their own,
--- which call it whenever `timeout` says so, and after they have resumed something.
---@return boolean? progress    whether anything happened: call it again soon
---@return step.Error? err      kind "store" or "closed"
function Engine:step()
  if not self.loop then return closed() end
  local began, err = self.keeper:look()
  if began == nil then return nil, err end
  if not self.loop then return true end
  return self.loop:turn() or began
end

--- How long `step` need not be called, unless something is started, signalled or resumed meanwhile. What other threads, processes
--- and luv bring cannot say so: while they are waited for it is 0.05 at most.
---@return number? seconds    nil: nothing goes on by itself and nothing is due
function Engine:timeout()
  if not self.loop then return nil end
  local seconds, at = self.loop:timeout(), self.keeper:next_look()
  if at then seconds = math.min(seconds or math.huge, math.max(at - self.loop:now(), 0)) end
  return seconds
end

--- The most seconds between two looks at whether to stop.
local ASK = 0.1

local WORK = { stop = KINDS.callback, until_idle = KINDS.boolean, until_time = KINDS.time }

--- Works: carries on the runs that are due, all of them side by side, retries when due, takes over what crashed processes left.
--- With a store in memory it returns when nothing is left to do, else it goes on for ever.
---@param options? { until_idle?: boolean, until_time?: number, stop?: fun(): any }
--- until_idle: until every run has ended, is blocked or waits for somebody; until_time: until then; stop: asked again and again,
--- until it says something true: then no step starts any more, and the call returns when what was under way has ended
---@return boolean? ok
---@return step.Error? err    kind "store" or "closed"
function Engine:work(options)
  options = options_of.check("work", 1, options, WORK)
  local stopping = false
  self.keeper.look_at = 0 -- others may have left something to do since
  while true do
    if not self.loop then return closed() end -- perhaps by what it called
    local now = self.loop:now()
    if options.until_time and now > options.until_time then return true end
    if options.stop and not stopping and options.stop() then
      stopping = true
      self.keeper:wind_up()
    end
    local progress, err
    if stopping then progress = self.loop:turn() else progress, err = self:step() end
    if progress == nil then return nil, err end
    if not progress then
      now = self.loop:now()
      local active = self.loop:active()
      if stopping and not active then return true end
      local forever = not options.until_idle and (options.until_time or not self.store.live)
      if not active and not forever and not self.keeper:going_on() then return true end
      local most
      if not stopping then -- when it is time to look for more
        local due = self.keeper:next_look()
        most = due and math.max(due - now, 0)
      end
      if options.until_time then most = math.min(most or math.huge, math.max(options.until_time - now, 0)) end
      if options.stop then most = math.min(most or math.huge, ASK) end
      if not self.loop:pause(most) then return true end
      if options.until_time and self.loop and self.loop:now() >= options.until_time then return true end
    end
  end
end

--- Says something to a run, see step.Run.signal.
---@param id string
---@param name string
---@param data any
---@return boolean? ok
---@return step.Error? err
function Engine:signal(id, name, data)
  options_of.text("signal", 1, id)
  options_of.text("signal", 2, name)
  signal.check(name, data)
  local run, err = self:run(id)
  if not run then return nil, err end
  return run:signal(name, data)
end

--- Calls fn at every event of a kind, of the runs that this engine works on:
---   state      fn(run, from, to)                       the run's state has changed
---   done, cancelled, blocked fn(run)                   it has ended so; blocked: until a person does something about it
---   failed     fn(run)                                 it is ERROR or CRASHED: it will be tried again
---   waiting    fn(run)                                 it is WAITING: somebody must do something
---   step       fn(run, name, from, to, message)        a step's state has changed
---   transition fn(event)       both of these, while it happens and before it is stored, see step.Run.on
---   takeover   fn(run)         a run was taken over from a process that is gone
---   refused    fn(run, err)    a run that is due cannot be carried on here; when its code is not here, of such runs only one is told of
---   lost       fn(run, err)    a run is not ours any more: it was taken over, or the store failed
--- Those in the upper half are told when what happened is stored. An error in fn is reported by warn() and changes nothing.
---@param event string
---@param fn fun(...)
---@return step.Engine self
function Engine:on(event, fn)
  if not hooks.known(event) then
    error(("bad argument #1 to 'on' (unknown event %s; accepted: %s)"):format(errors.show(event), table.concat(hooks.EVENTS, ", ")), 2)
  end
  if type(fn) ~= "function" then error(("bad argument #2 to 'on' (function expected, got %s)"):format(type(fn)), 2) end
  self.hooks[event] = self.hooks[event] or {}
  table.insert(self.hooks[event], fn)
  self.keeper:attach()
  return self
end

--- Closes the engine and its runs. Runs that are under way are given up as if the process had died: the next engine
--- takes them over at once. A second close does nothing.
function Engine:close()
  if not self.loop then return end
  self.keeper:close()
  self.store:close()
  self.loop:close()
  self.loop = nil
end

Engine.__close = Engine.close

return M
