--- Engines: definitions by name, the runs of a store, and the worker that carries them on.
--
-- A run is `held` while this engine has claimed it in the store: nobody else changes it then. It is claimed before it is changed,
-- and given back with the transaction that stores a state other than RUNNING. What a store without rows of its own (memory)
-- keeps are the run objects themselves: there is nothing to claim.

local children = require "step.children"
local clock = require "step.clock"
local errors = require "step.error"
local hooks = require "step.hooks"
local limits = require "step.limits"
local loader = require "step.load"
local options_of = require "step.options"
local run_module = require "step.run"
local snapshot = require "step.snapshot"
local stored = require "step.stored"
local suggest = require "step.suggest"

local M = {}

--- Runs claimed in one go, and held at a time by the worker.
local CLAIM, HELD = 100, 1000

--- The parts of a lease: what is younger is not renewed with every save, what is older is renewed by itself, and what is older
--- still lets no action start (D27).
local YOUNG, RENEW, FRESH = 1 / 10, 1 / 3, 2 / 3

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
---@field package definitions table<string, step.Definition>
---@field package store table
---@field package loop userdata
---@field package clock any
---@field package hooks table<string, function[]>
---@field package runs table<string, step.Run>       objects by id, as long as somebody has them
---@field package held table<userdata, step.Run>     by core
---@field package snapshots table<string, step.Definition>   by hash
local Engine = { __name = "step.Engine" }
Engine.__index = Engine

local KINDS = options_of.KINDS

local OPTIONS = {
  acquire_timeout = KINDS.span, clock = KINDS.any, exclusive = KINDS.any, lease = KINDS.duration, max_concurrent = KINDS.count,
  poll = KINDS.duration, resource_limits = KINDS.any, store = KINDS.any, upgrade = KINDS.any,
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
  if type(where) ~= "string" then
    error(("bad option 'store' (a path expected, got %s)"):format(errors.show(where)), 4)
  end
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
  local loop = clock.new_loop(options.clock, options)
  limits.set(loop, options.resource_limits)
  local store, err = open_store(options, function() return loop:now() end)
  if not store then
    loop:close()
    return nil, err
  end
  local self = setmetatable({
    definitions = {}, store = store, loop = loop, clock = options.clock, hooks = {}, runs = setmetatable({}, { __mode = "v" }),
    held = {}, snapshots = {}, hashes = {}, names = {}, owner = run_module.new_id(), lease = options.lease or 30, poll = options.poll or 1,
    upgrade = options.upgrade, look_at = 0, renew_at = 0, holding = 0,
  }, Engine)
  if not store.live then
    local me = setmetatable({ self }, { __mode = "v" })
    loop:keeper(function(cores) return me[1]:save(cores) end, function() return me[1]:tick() end)
  end
  return self
end

--- Makes a definition available by its name; one of that name is replaced for runs started from now on.
---@param def step.Definition
---@return step.Engine self
function Engine:add(def)
  if type(def) ~= "table" or not def.graph then
    error(("bad argument #1 to 'add' (definition expected, got %s)"):format(errors.show(def)), 2)
  end
  if not self.definitions[def.name] then self.names[#self.names + 1] = def.name end
  self.definitions[def.name] = def
  if not self.store.live then
    local hash = snapshot.of(def).hash
    if not self.snapshots[hash] then
      self.snapshots[hash] = def
      self.hashes[#self.hashes + 1] = hash
    end
    self.look_at = 0
  end
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
  return errors.new("refused", ("the engine has no definition '%s'%s"):format(name,
    suggest.hint(name, names, #names > 0 and "; it has: " .. table.concat(names, ", ") or "; add one with engine:add")))
end

local function unknown_run(id) return nil, errors.new("refused", ("the engine has no run '%s'"):format(tostring(id))) end

local function closed() return nil, errors.new("closed", "the engine is closed") end

local emit, attach = hooks.emit, hooks.attach

-- ---- the runs of a store: read, claim, store ----

--- Whether the object shows what the row says, which was of that epoch when it was read.
local function current(run, row, epoch)
  return rawget(run, "core") ~= nil and run.epoch == epoch and run.events == row.events
end

--- The object of a row. One that was there already shows from now on what the row says.
local function object(self, row)
  if row.run then return row.run end
  local run = self.runs[row.id]
  if not run then
    run = stored.object(row, self)
    self.runs[row.id] = run
    attach(self, run)
  elseif not self.held[rawget(run, "core")] then
    if not current(run, row, row.epoch) then
      run:close()
      run.core, run.definition = nil, nil
    end
    run.row = row
  end
  return run
end

--- The definition that a run goes on with, and whether it is another version than the one it was started with. When the run is
--- only looked at, one of code that is not here will do.
local function definition_of(self, row, looking, upgrade)
  local def = self.snapshots[row.definition]
  if def then return def end
  local old, err = self.store:definition(row.definition)
  if not old then
    return nil, err or errors.new("store", ("run '%s' is of a definition that the store lacks"):format(row.id))
  end
  local own = self.definitions[row.name]
  if old.code and not looking then
    if own and (upgrade or self.upgrade) then return own, nil, true end
    return nil, stored.changed(row, old, own)
  end
  def, err = snapshot.define(old)
  if not def then return nil, err end
  if not old.code then self.snapshots[row.definition] = def end
  return def
end

--- Reads the steps of a run.
local function fill(self, run, row, looking, upgrade)
  local def, err, upgraded = definition_of(self, row, looking, upgrade)
  if not def then return nil, err end
  local rows
  rows, err = self.store:each_step(row.number)
  if not rows then return nil, err end
  local ok
  ok, err = stored.fill(run, row, def, rows, { loop = self.loop, by_name = upgraded })
  if not ok then return nil, err end
  run.row, run.epoch, run.events, run.upgraded = row, row.epoch, row.events, upgraded
  run.looking = looking and def ~= self.snapshots[row.definition]
  return true
end

--- Gives an object that has only its row the rest. (Called by the run, see Run.__index.)
---@package
---@param run step.Run
---@return boolean? ok
---@return step.Error? err
function Engine:fill(run)
  if not self.loop then return closed() end
  return fill(self, run, run.row, true)
end

--- Does what was posted to a run that is held.
local function listen(self, run)
  local posted, err = self.store:take_inbox(run.row.number)
  if not posted then return nil, err end
  run_module.asked(run, posted)
  return posted
end

--- Makes the object of a run that was claimed show what the row says, and reads what was posted to it.
local function prepare_claim(self, run, row, looking, upgrade)
  if not current(run, row, row.epoch - 1) or run.looking and not looking then
    run:close()
    run.core, run.definition = nil, nil
    local ok, err = fill(self, run, row, looking, upgrade)
    if not ok then return nil, err end
  end
  return self.store:take_inbox(row.number)
end

--- Takes a claim over: the run is held, and shows what the row says. A claim of what cannot be read is given back.
local function take(self, run, row, looking, upgrade)
  local posted, err = prepare_claim(self, run, row, looking, upgrade)
  if not posted then
    self.store:release(row)
    return nil, err
  end
  local c, now = run.core, self.loop:now()
  run.row, run.epoch = row, row.epoch
  if run.upgraded then self.store:redefine(row.number, row.epoch, snapshot.of(run.definition)) end
  if run.kept ~= c then
    c:keep(row.events, run.upgraded)
    run.kept, run.upgraded = c, nil
  end
  self.store:bind(row.number, row.epoch, c)
  c:fresh(now + self.lease * FRESH)
  self.held[c] = run
  self.holding = self.holding + 1
  if row.orphaned then require("step.process").reap(run.id) end -- what its steps have started must not go on beside what they start now
  if row.taken_over then -- S6.6
    c:become("CRASHED", now)
    emit(self, "takeover", run)
  end
  run_module.asked(run, posted)
  run.at_claim = posted
  return true
end

--- Claims a run for a change. (Called by the run before it changes.)
---@package
---@param run step.Run
---@param looking? boolean    no action will start: a definition of code need not be here
---@param upgrade? boolean    it goes on with the version of its definition that is there now
---@return boolean? ok
---@return step.Error? err    kind "busy": another engine works on it
function Engine:hold(run, looking, upgrade)
  if run.lost then return nil, run.lost end
  if self.store.live then
    if run.core:closed() then return nil, errors.new("closed", "the run is closed") end
    return true
  end
  if not self.loop then return closed() end
  if self.held[rawget(run, "core")] then return true end
  local rows, err = self.store:claim { owner = self.owner, now = self.loop:now(), lease = self.lease, id = run.id, limit = 1 }
  if not rows then return nil, err end
  if rows[1] then return take(self, run, rows[1], looking, upgrade) end
  local row
  row, err = self.store:get(run.id)
  if not row then
    if err then return nil, err end
    return unknown_run(run.id)
  end
  return nil, stored.busy(row)
end

--- The run is not ours any more: what it does from now on would not be stored.
local function lose(self, run, err)
  local c = run.core
  run.lost = err
  if self.held[c] then
    self.held[c] = nil
    self.holding = self.holding - 1
  end
  self.runs[run.id] = nil
  c:close()
  emit(self, "lost", run, err)
end

local function taken_over(run)
  return errors.new("lost", ("run '%s' was taken over by another engine: nothing of this one is stored any more"):format(run.id))
end

--- Stores what runs have changed, in one transaction. Runs that could not be stored are closed. (Called by the loop.)
---@package
---@param cores userdata[]
---@return boolean? saved    false: the store was busy, nothing was stored and nothing is lost
---@return step.Error? err
function Engine:save(cores)
  local now, heard, spent = self.loop:now(), nil, nil
  local lease
  for _, c in ipairs(cores) do
    local run = self.held[c]
    if not run or not run.going_on or now - run.renewed > self.lease * YOUNG or run.ending ~= c:ending() then lease = self.lease end
    if run and (run.heard or run.spent) then
      heard, spent = heard or {}, spent or {}
      heard[c], spent[c] = run.heard, run.spent
    end
  end
  local lost, err = self.store:save(cores, { now = now, lease = lease, heard = heard, spent = spent })
  if not lost and err.code == "busy" then return false, err end
  local gone = {}
  local ended = {}
  for _, c in ipairs(lost or cores) do gone[c] = err or true end
  for _, c in ipairs(cores) do
    local run = self.held[c]
    if run and gone[c] then
      lose(self, run, err or taken_over(run))
    elseif run then
      local state, _, _, _, _, _, events = c:status()
      run.events, run.spent, run.ending = events, nil, c:ending()
      if lease then run.renewed = now end
      c:fresh(run.renewed + self.lease * FRESH)
      run.going_on = state == "RUNNING"
      if not run.going_on then
        self.held[c] = nil
        self.holding = self.holding - 1
        self.look_at = 0
      end
      if run.untold or not run.going_on then ended[#ended + 1] = run end
    end
  end
  for _, run in ipairs(ended) do -- what is called here may do anything
    local state = run.state
    hooks.flush(self, run)
    if not self.loop then break end
    if not run.going_on then children.changed(self, run, state) end
  end
  return err == nil, err
end

--- Stores what a run has changed outside of a resolve, and gives it back. (Called by the run after it has changed.)
---@package
---@param run step.Run
---@return boolean? ok
---@return step.Error? err
function Engine:keep(run)
  if self.store.live then return true end
  local c = run.core
  if c:closed() or select(6, c:status()) or not self.held[c] then return true end
  local ok, err = self:save { c }
  if ok then return true end
  if ok == false then lose(self, run, err) end
  return nil, err
end

--- Leaves something for whoever works on a run; if it is this engine, it is done at once.
---@package
---@param id string
---@param kind string
---@param body any
---@return boolean? ok
---@return step.Error? err
function Engine:post(id, kind, body)
  if not self.loop then return closed() end
  local ok, err = self.store:post(id, kind, body, self.loop:now())
  if not ok then return nil, err end
  self.look_at = 0
  return self:deliver(id)
end

--- Something was posted to a run, perhaps one that is held here.
---@package
---@param id string
---@return boolean? ok
---@return step.Error? err
function Engine:deliver(id)
  if self.store.live then
    local row = self.store:get(id)
    if row and row.run.state == "RUNNING" then listen(self, row.run) end -- else it is due
    return true
  end
  local run = self.runs[id]
  if run and self.held[rawget(run, "core")] then listen(self, run) end -- what fails here fails again with the next save
  return true
end

--- Does what a run was ordered to while nobody worked on it: it was cancelled with its parent.
---@package
---@param run step.Run
function Engine:attend(run)
  if self.held[rawget(run, "core")] then
    listen(self, run)
  elseif self:hold(run) then
    local cancelled = run.state == "CANCELLED" or run.core:ending()
    if not (cancelled and self.loop:begin(run.core, true)) then self:keep(run) end
  end
end

--- What was posted to a run that is held.
---@package
---@param run step.Run
---@return step.Posted[]
function Engine:posted(run)
  local posted, err = self.store:take_inbox(run.row.number)
  if not posted then error(err, 0) end
  return posted
end

--- What was posted to a run that is held is dealt with.
---@package
---@param run step.Run
---@param seq integer
function Engine:spend(run, seq)
  if self.store.live then return self.store:remove_posted(run.row.number, seq) end
  run.spent = run.spent or {}
  table.insert(run.spent, seq)
end

--- Stores what a step that is RUNNING wants to know again, before its action goes on. (Called by our runners.)
---@package
---@param run step.Run
---@param step_name string
---@param metadata table
---@return boolean? ok
---@return step.Error? err
function Engine:note(run, step_name, metadata)
  local c = run.core
  c:note(c:find(step_name), metadata, self.loop:now())
  if self.store.live then return true end
  return self:save { c }
end

--- Shows a run as it is in the store now. (Called by the run that waits.)
---@package
---@param run step.Run
---@return boolean? ok
---@return step.Error? err
function Engine:refresh(run)
  if not self.loop then return closed() end
  if run.lost then return nil, run.lost end
  if self.store.live or self.held[rawget(run, "core")] then return true end
  local row, err = self.store:get(run.id)
  if not row then
    if err then return nil, err end
    return unknown_run(run.id)
  end
  self.runs[run.id] = run
  object(self, row)
  return true
end

--- Renews the leases of the runs that are held. Returns false when the store is busy: they may come to an end.
local function renew(self, now)
  local list = {}
  for c in pairs(self.held) do list[#list + 1] = c end
  table.sort(list, function(a, b) return self.held[a].row.number < self.held[b].row.number end)
  local lost, err = self.store:renew(list, { now = now, lease = self.lease })
  if not lost and err.code == "busy" then return false end
  local gone = {}
  for _, c in ipairs(lost or list) do gone[c] = true end
  for _, c in ipairs(list) do
    local run = self.held[c]
    if gone[c] then
      lose(self, run, err or taken_over(run))
    else
      run.renewed = now
      c:fresh(now + self.lease * FRESH)
    end
  end
  self.renew_at = now + self.lease * RENEW
  return true
end

--- Does what others ask of the runs that are held, renews the leases. (Called by the loop while runs are active.)
---@package
---@return number seconds    until the next call
function Engine:tick()
  local now = self.loop:now()
  for _, run in pairs(self.held) do listen(self, run) end -- what fails here fails again with the next save
  if now >= self.renew_at then renew(self, now) end
  return math.min(self.poll, math.max(self.renew_at - now, 0))
end

-- ---- the interface ----

--- A run that is not stored yet, and its row.
local function prepare(self, def, options)
  local with = {}
  for field, value in pairs(options) do with[field] = value end
  with.loop = self.loop
  local run, err = def:start(with)
  if not run then return nil, err end
  run.parent, run.parent_step = options.parent, options.parent_step
  if options.delay then run.not_before = run.created + options.delay end
  local row = stored.row(run, options.key)
  if self.store.live then row.run = run end
  return run, row
end

--- A run that has just been stored is this engine's.
local function adopt(self, run, row)
  run.keeper, run.row, self.look_at = self, row, 0
  if self.store.live then
    if run.parent then
      children.watch(self, run)
      local parent = self.store:get(run.parent)
      children.watch(self, parent and parent.run)
    end
  else
    run.epoch, run.events = row.epoch, row.events
    run.core:keep(0)
    run.kept = run.core
    self.runs[run.id] = run
  end
  attach(self, run)
end

--- What start takes beside the options of a run, which the run looks at.
local START = {
  clock = KINDS.any, config = KINDS.any, deadline = KINDS.any, delay = KINDS.span, id = KINDS.text, input = KINDS.any, key = KINDS.text,
  log = KINDS.callback, max_concurrent = KINDS.any, parent = KINDS.text, parent_step = KINDS.text, requester_username = KINDS.text,
  resolver_input = KINDS.any, resolver_username = KINDS.text, tags = KINDS.any,
}

--- Starts a run of a definition: it is stored before this returns. With a key that was used before, gives the run that was
--- started with it.
---@param name string
---@param options? step.StartOptions|{ key?: string, delay?: number }    delay: seconds before which no worker begins with it
---@return step.Run?
---@return step.Error? err   kind "refused" (no such definition), "input" or "store"
function Engine:start(name, options)
  options_of.text("start", 1, name)
  options = options_of.check("start", 2, options, START)
  if not self.loop then return closed() end
  local key = options.key
  local def = self.definitions[name]
  if not def then
    local known = key and self.store:by_key(key)
    if known then return self:run(known) end
    return nil, unknown_definition(self.definitions, tostring(name))
  end
  local run, row = prepare(self, def, options)
  if not run then return nil, row end
  local id, created = self.store:create(row, not self.store.live and snapshot.of(def) or nil)
  if not id then
    run:close()
    return nil, created
  end
  if created == false then
    run:close()
    return self:run(id)
  end
  local err
  row, err = self.store:get(id)
  if not row then return nil, err end
  adopt(self, run, row)
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
  local def = self.definitions[name]
  if not def then return nil, unknown_definition(self.definitions, tostring(name)) end
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
  local created, err = self.store:create_all(rows, not live and snapshot.of(def) or nil)
  if not created then
    close()
    return nil, err
  end
  self.look_at = 0
  for i, run in ipairs(live and runs or {}) do
    if created[i] then adopt(self, run, rows[i]) else run:close() end
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
  if row then return object(self, row) end
  if err then return nil, err end
  return unknown_run(id)
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

local FILTER = {
  created_before = KINDS.time, created_since = KINDS.time, definition = KINDS.text, id_prefix = KINDS.text, limit = KINDS.count,
  newest = KINDS.boolean, parent = KINDS.text, state = KINDS.text,
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
    if page[at] then return object(self, page[at]) end
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
  ok, err = self:hold(run, false, options.upgrade)
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
    return unknown_run(id)
  end
  return self.store:events(row.number, options.after or 0, options.limit or math.maxinteger)
end

--- Deletes a run and everything of it.
---@param id string
---@return boolean? ok
---@return step.Error? err    kind "refused": there is none, or somebody works on it
function Engine:delete(id)
  options_of.text("delete", 1, id)
  if not self.loop then return closed() end
  local run = self.runs[id]
  if run and self.held[rawget(run, "core")] then return nil, errors.new("refused", ("run '%s' is running: cancel it first"):format(id)) end
  local parent = self.store.live and self.store:get(id)
  local ok, err = self.store:delete(id, self.loop:now())
  if not ok then return nil, err end
  self.look_at = 0
  if parent and parent.parent then self:post(parent.parent, "child", id) end
  if run then
    run:close()
    self.runs[id] = nil
  end
  return true
end

--- Deletes runs that have ended.
---@param options { older_than: number, states?: string[] }    older_than: seconds since their last change; states: default DONE, CANCELLED
---@return integer? count
---@return step.Error? err
function Engine:prune(options)
  options = options_of.check("prune", 1, options, { older_than = KINDS.span, states = KINDS.object })
  if not options.older_than then error("bad argument #1 to 'prune' ({ older_than = seconds } expected)", 2) end
  if not self.loop then return closed() end
  return self.store:prune { older_than = self.loop:now() - options.older_than, states = options.states }
end

--- Copies the store while it is in use.
---@param path string    of a file that is not there yet
---@return boolean? ok
---@return step.Error? err
function Engine:backup(path)
  if not self.loop then return closed() end
  return self.store:backup(path)
end

--- Has a store be asked for the runs that can be carried on here: those whose code is here, and all that are data.
local function feasible(self, query)
  if not self.store.live then query.hashes, query.names = self.hashes, self.upgrade and self.names or nil end
  return query
end

--- Whether some run goes on by itself: not those that wait for somebody, though perhaps not for ever.
local function going_on(self, now)
  return self.store:next_due(feasible(self, { idle_at = now })) ~= nil
end

--- Claims what is due and begins with it. Returns whether there was anything.
local function look(self)
  local now = self.loop:now()
  if now < self.look_at or self.holding >= HELD then return false end
  -- Leases that have ended while the process stood still: what we hold would be claimed from ourselves, and count as a takeover.
  if self.holding > 0 and now >= self.renew_at and not renew(self, now) then return false end
  local rows, err = self.store:claim(feasible(self, { owner = self.owner, now = now, lease = self.lease, limit = CLAIM }))
  if not rows then
    if err.code == "busy" then return false end
    return nil, err
  end
  local refused = false
  for _, row in ipairs(rows) do
    local run = object(self, row)
    local ok, refusal = true, nil
    if not self.store.live then ok, refusal = take(self, run, row) end
    if not ok then
      emit(self, "refused", run, refusal)
      refused = true
    elseif self.loop:begin(run.core, true) then
      run_module.begun(run)
    else
      self:keep(run)
    end
    if not self.loop then return false end
  end
  if #rows < CLAIM and not self.store.live then
    local due = self.store:next_due(feasible(self, {}))
    self.look_at = math.min(now + self.poll, math.max(due or math.huge, now))
    self.due = due
  elseif self.store.live then
    self.due = self.store:next_due()
  end
  if refused then self.look_at = math.max(self.look_at, now + self.poll) end
  return #rows > 0 and not refused
end

--- One round of work that waits for nothing: claims what is due, runs what can run now. For programs with a loop of their own,
--- which call it whenever `timeout` says so, and after they have resumed something.
---@return boolean? progress    whether anything happened: call it again soon
---@return step.Error? err      kind "store" or "closed"
function Engine:step()
  if not self.loop then return closed() end
  local began, err = look(self)
  if began == nil then return nil, err end
  if not self.loop then return true end
  return self.loop:turn() or began
end

--- When there may be more to claim; nil: never by itself, or there is no place for it before something has ended.
local function next_look(self)
  if self.store.live then return self.due end
  if self.holding < HELD then return self.look_at end
  return nil
end

--- How long `step` need not be called, unless something is started, signalled or resumed meanwhile. What other threads, processes
--- and luv bring cannot say so: while they are waited for it is 0.05 at most.
---@return number? seconds    nil: nothing goes on by itself and nothing is due
function Engine:timeout()
  if not self.loop then return nil end
  if self.store.live then self.due = self.store:next_due() end -- something may have been started since
  local seconds, at = self.loop:timeout(), next_look(self)
  if at then seconds = math.min(seconds or math.huge, math.max(at - self.loop:now(), 0)) end
  return seconds
end

--- The most seconds between two looks at whether to stop.
local ASK = 0.1

--- Lets what is under way end: no step starts any more; the runs are TO_AUTORUN then, due for whoever works next.
local function wind_up(self)
  local now = self.loop:now()
  if not self.store.live then
    for c in pairs(self.held) do c:stop("TO_AUTORUN", now) end
    return
  end
  for _, row in ipairs(self.store:list { state = "RUNNING" }) do row.run.core:stop("TO_AUTORUN", now) end
end

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
  self.look_at = 0 -- others may have left something to do since
  while true do
    if not self.loop then return closed() end -- perhaps by what it called
    local now = self.loop:now()
    if options.until_time and now > options.until_time then return true end
    if options.stop and not stopping and options.stop() then
      stopping = true
      wind_up(self)
    end
    local progress, err
    if stopping then progress = self.loop:turn() else progress, err = self:step() end
    if progress == nil then return nil, err end
    if not progress then
      now = self.loop:now()
      local active = self.loop:active()
      if stopping and not active then return true end
      local forever = not options.until_idle and (options.until_time or not self.store.live)
      if not active and not forever and not (self.due and going_on(self, now)) then return true end
      local most
      if not stopping then -- when it is time to look for more
        local due = next_look(self)
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
---   refused    fn(run, err)    a run that is due cannot be carried on here
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
  if self.store.live then
    for _, row in ipairs(self.store:list {}) do attach(self, row.run) end
  end
  for _, run in pairs(self.runs) do attach(self, run) end
  return self
end

--- Closes the engine and its runs. Runs that are under way are given up as if the process had died: the next engine
--- takes them over at once. A second close does nothing.
function Engine:close()
  if not self.loop then return end
  for c, run in pairs(self.held) do
    c:close()
    self.store:release { number = run.row.number, epoch = run.epoch }
  end
  self.held = {}
  for _, run in pairs(self.runs) do run:close() end
  self.store:close()
  self.loop:close()
  self.loop = nil
end

Engine.__close = Engine.close

return M
