--- Runs of a store as one engine has them: read, claimed, stored, given back.
--
-- A run is `held` while this keeper has claimed it in the store: nobody else changes it then. It is claimed before it is changed,
-- and given back with the transaction that stores a state other than RUNNING. What a store without rows of its own (memory)
-- keeps are the run objects themselves: there is nothing to claim.

local children = require "step.children"
local core = require "step.core"
local errors = require "step.error"
local hooks = require "step.hooks"
local run_module = require "step.run"
local stored = require "step.stored"

local M = {}

--- Runs claimed in one go, and held at a time.
local CLAIM, HELD = 100, 1000

--- The parts of a lease: what is younger is not renewed with every save, what is older is renewed by itself, and what is older
--- still lets no action start (D27).
local YOUNG, RENEW, FRESH = 1 / 10, 1 / 3, 2 / 3

---@class step.Keeper
---@field engine step.Engine
---@field store table
---@field loop? userdata       nil: closed
---@field hooks table<string, function[]>
---@field poll number          seconds between looks for what others did
---@field owner string         its name in the store
---@field package definitions step.Definitions
---@field package lease number
---@field package runs table<string, step.Run>       objects by id, as long as somebody has them
---@field package held table<userdata, step.Run>     by core
---@field package holding integer                    how many
---@field package look_at number    when to ask the store again what is due
---@field package due? number       when the next run is due, by what the store said last
---@field package renew_at number
---@field package told table<string, boolean>    hashes of definitions of which it was told that they are not here
---@field package told_at number                 when that was looked at last
local Keeper = {}
Keeper.__index = Keeper

---@param engine step.Engine    with its store, loop, hooks and definitions
---@param options { lease?: number, poll?: number }
---@return step.Keeper
function M.new(engine, options)
  local self = setmetatable({
    engine = engine, store = engine.store, loop = engine.loop, hooks = engine.hooks, definitions = engine.definitions,
    owner = core.uuid(), lease = options.lease or 30, poll = options.poll or 1,
    runs = setmetatable({}, { __mode = "v" }), held = {}, holding = 0, look_at = 0, renew_at = 0,
    told = {}, told_at = -math.huge,
  }, Keeper)
  if not self.store.live then
    local me = setmetatable({ self }, { __mode = "v" })
    self.loop:keeper(function(cores) return me[1]:save(cores) end, function() return me[1]:tick() end)
  end
  return self
end

--- What everything that needs the store says when the engine is closed.
---@return nil
---@return step.Error
function M.closed() return nil, errors.new("closed", "the engine is closed") end

local closed = M.closed

local emit, attach = hooks.emit, hooks.attach

-- ---- reading ----

--- Whether the object shows what the row says, which was of that epoch when it was read.
local function current(run, row, epoch)
  return rawget(run, "core") ~= nil and run.epoch == epoch and run.events == row.events
end

--- The object of a row of the store. One that was there already shows from now on what the row says.
---@param row table
---@param claimed? boolean    the row is of a claim, which has changed nothing of the run but its epoch
---@return step.Run
function Keeper:object(row, claimed)
  if row.run then return row.run end
  local run = self.runs[row.id]
  if not run then
    run = stored.object(row, self)
    self.runs[row.id] = run
    attach(self, run)
  elseif not self:holds(run) then
    if not current(run, row, claimed and row.epoch - 1 or row.epoch) then
      run:close()
      run.core, run.definition = nil, nil
    end
    run.row = row
  end
  return run
end

--- Reads the steps of a run.
local function fill(self, run, row, looking, upgrade)
  local def, err, upgraded = self.definitions:of(row, looking, upgrade)
  if not def then return nil, err end
  local rows
  rows, err = self.store:each_step(row.number)
  if not rows then return nil, err end
  local ok
  ok, err = stored.fill(run, row, def, rows, { loop = self.loop, by_name = upgraded })
  if not ok then return nil, err end
  run.row, run.epoch, run.events, run.upgraded = row, row.epoch, row.events, upgraded
  run.looking = looking and not self.definitions:is(row, def)
  return true
end

--- Gives an object that has only its row the rest: the row, too, is read again, as others may have gone on with the run since.
--- (Called by the run, see Run.__index.)
---@param run step.Run
---@return boolean? ok
---@return step.Error? err
function Keeper:fill(run)
  if not self.loop then return closed() end
  local row, err = self.store:get(run.id)
  if err then return nil, err end
  return fill(self, run, row or run.row, true)
end

--- Shows a run as it is in the store now. (Called by the run that waits.)
---@param run step.Run
---@return boolean? ok
---@return step.Error? err
function Keeper:refresh(run)
  if not self.loop then return closed() end
  if run.lost then return nil, run.lost end
  if self.store.live or self:holds(run) then return true end
  local row, err = self.store:get(run.id)
  if not row then
    if err then return nil, err end
    return nil, stored.unknown(run.id)
  end
  self.runs[run.id] = run
  self:object(row)
  return true
end

--- A run that has just been stored is this engine's. It shows what was stored: somebody else may have claimed it since.
---@param run step.Run
---@param row table    its own
function Keeper:adopt(run, row)
  run.keeper, run.row, self.look_at = self, row, 0
  if self.store.live then
    if run.parent then
      children.watch(self.engine, run)
      local parent = self.store:get(run.parent)
      children.watch(self.engine, parent and parent.run)
    end
  else
    run.epoch, run.events = 0, 0
    run.core:keep(0)
    run.kept = run.core
    self.runs[run.id] = run
  end
  attach(self, run)
end

--- Forgets a run that is deleted.
---@param id string
function Keeper:forget(id)
  local run = self.runs[id]
  self.runs[id], self.look_at = nil, 0
  if run then run:close() end
end

--- Has the hooks told of all runs that somebody has, as far as they are not yet.
function Keeper:attach()
  if self.store.live then
    for _, row in ipairs(self.store:list {}) do attach(self, row.run) end
  end
  for _, run in pairs(self.runs) do attach(self, run) end
end

-- ---- claiming ----

--- Whether this process works on the run.
---@param run step.Run
---@return boolean
function Keeper:holds(run) return self.held[rawget(run, "core")] ~= nil end

--- Whether this process works on the run of that id.
---@param id string
---@return boolean
function Keeper:holds_id(id)
  local run = self.runs[id]
  return run ~= nil and self:holds(run)
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
  local definition = run.upgraded and self.definitions:kept(run.definition)
  if run.kept ~= c then
    c:keep(row.events, run.upgraded)
    run.kept, run.upgraded = c, nil
  end
  self.store:bind(row.number, row.epoch, c, definition)
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
---@param run step.Run
---@param looking? boolean    no action will start: a definition of code need not be here
---@param upgrade? boolean    it goes on with the version of its definition that is there now
---@return boolean? ok
---@return step.Error? err    kind "busy": another engine works on it
function Keeper:hold(run, looking, upgrade)
  if run.lost then return nil, run.lost end
  if self.store.live then
    if run.core:closed() then return nil, errors.new("closed", "the run is closed") end
    self.store:touch(run.id)
    return true
  end
  if not self.loop then return closed() end
  if self:holds(run) then return true end
  local rows, err = self.store:claim { owner = self.owner, now = self.loop:now(), lease = self.lease, id = run.id, limit = 1 }
  local blocked = rows and err
  if not rows then return nil, err end
  if rows[1] then return take(self, run, rows[1], looking, upgrade) end
  local row
  row, err = self.store:get(run.id)
  if not row then
    if err then return nil, err end
    return nil, stored.unknown(run.id)
  end
  if blocked[1] then -- just now
    self.runs[run.id] = run
    self:object(row)
    return nil, errors.new("refused", ("run '%s' is %s: %s; see what ends them, then resolve it"):format(run.id, row.state, run.error))
  end
  return nil, stored.busy(row)
end

-- ---- storing ----

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

local NONE = {}

--- Stores runs in one transaction; or, when that fails because of one of them, each in its own. Returns those that were not stored,
--- each with the reason (true: it is somebody else's), and the first reason; false: the store is busy, nothing was stored.
local function store(self, cores, options)
  local lost, err = self.store:save(cores, options)
  if lost and #lost == 0 then return NONE end
  local gone = {}
  if lost then
    for _, c in ipairs(lost) do gone[c] = true end
    return gone
  end
  if err.code == "busy" then return false, err end
  local together = #cores == 1 or self.store:failed()
  for _, c in ipairs(cores) do
    local found, problem
    if not together then found, problem = self.store:save({ c }, options) end
    if not found then gone[c] = problem or err elseif found[1] then gone[c] = true end
  end
  return gone, err
end

--- A run is stored; `lease`: that began anew.
local function stored_now(self, run, now, lease)
  local c = run.core
  local state, _, _, _, _, _, events = c:status()
  run.going_on = state == "RUNNING"
  if rawget(run, "spent") then run.spent = nil end
  if lease then
    run.renewed, run.ending = now, c:ending()
    c:fresh(now + self.lease * FRESH)
  end
  if not run.going_on then
    run.events = events
    self.held[c] = nil
    self.holding = self.holding - 1
    self.look_at = 0
  end
end

--- Stores what runs have changed, all at once. Runs that could not be stored are closed. (Called by the loop.)
---@param cores userdata[]
---@return boolean? saved    nil: some are lost; false: the store was busy, nothing was stored and nothing is lost
---@return step.Error? err
function Keeper:save(cores)
  local now, heard, spent = self.loop:now(), nil, nil
  local lease
  for _, c in ipairs(cores) do
    local run = self.held[c]
    if not run or not run.going_on or now - run.renewed > self.lease * YOUNG or run.ending ~= c:ending() then lease = self.lease end
    if run and (rawget(run, "heard") or rawget(run, "spent")) then
      heard, spent = heard or {}, spent or {}
      heard[c], spent[c] = run.heard, run.spent
    end
  end
  local gone, err = store(self, cores, { now = now, lease = lease, heard = heard, spent = spent })
  if not gone then return false, err end
  local ended
  for _, c in ipairs(cores) do
    local run = self.held[c]
    if run and gone[c] then
      lose(self, run, gone[c] == true and taken_over(run) or gone[c])
    elseif run then
      stored_now(self, run, now, lease)
      if not run.going_on or rawget(run, "untold") then
        ended = ended or {}
        ended[#ended + 1] = run
      end
    end
  end
  for _, run in ipairs(ended or NONE) do -- what is called here may do anything
    local state = run.state
    hooks.flush(self, run)
    if not self.loop then break end
    if not run.going_on then children.changed(self.engine, run, state) end
  end
  if err then return nil, err end
  return true
end

--- Stores what a run has changed outside of a resolve, and gives it back. (Called by the run after it has changed.)
---@param run step.Run
---@return boolean? ok
---@return step.Error? err
function Keeper:keep(run)
  if self.store.live then return true end
  local c = run.core
  if c:closed() or select(6, c:status()) or not self.held[c] then return true end
  local ok, err = self:save { c }
  if ok then return true end
  if ok == false then lose(self, run, err) end
  return nil, err
end

--- Stores what a step that is RUNNING wants to know again, before its action goes on. (Called by our runners.)
---@param run step.Run
---@param step_name string
---@param metadata table
---@return boolean? ok
---@return step.Error? err
function Keeper:note(run, step_name, metadata)
  local c = run.core
  c:note(c:find(step_name), metadata, self.loop:now())
  if self.store.live then return true end
  return self:save { c }
end

-- ---- what is posted ----

--- Leaves something for whoever works on a run; if it is this engine, it is done at once.
---@param id string
---@param kind string
---@param body any
---@return boolean? ok
---@return step.Error? err
function Keeper:post(id, kind, body)
  if not self.loop then return closed() end
  local ok, err = self.store:post(id, kind, body, self.loop:now())
  if not ok then return nil, err end
  self.look_at = 0
  return self:deliver(id)
end

--- Something was posted to a run, perhaps one that is held here.
---@param id string
---@return boolean? ok
---@return step.Error? err
function Keeper:deliver(id)
  if self.store.live then
    local row = self.store:get(id)
    if row and row.run.state == "RUNNING" then listen(self, row.run) end -- else it is due
    return true
  end
  local run = self.runs[id]
  if run and self:holds(run) then listen(self, run) end -- what fails here fails again with the next save
  return true
end

--- Does what a run was ordered to while nobody worked on it: it was cancelled with its parent.
---@param run step.Run
function Keeper:attend(run)
  if self:holds(run) then
    listen(self, run)
  elseif self:hold(run) then
    local cancelled = run.state == "CANCELLED" or run.core:ending()
    if not (cancelled and self.loop:begin(run.core, true)) then self:keep(run) end
  end
end

--- What was posted to a run that is held.
---@param run step.Run
---@return step.Posted[]
function Keeper:posted(run)
  local posted, err = self.store:take_inbox(run.row.number)
  if not posted then error(err, 0) end
  return posted
end

--- What was posted to a run that is held is dealt with.
---@param run step.Run
---@param seq integer
function Keeper:spend(run, seq)
  if self.store.live then return self.store:remove_posted(run.row.number, seq) end
  run.spent = run.spent or {}
  table.insert(run.spent, seq)
end

-- ---- working ----

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
---@return number seconds    until the next call
function Keeper:tick()
  local now = self.loop:now()
  for _, run in pairs(self.held) do listen(self, run) end -- what fails here fails again with the next save
  if now >= self.renew_at then renew(self, now) end
  return math.min(self.poll, math.max(self.renew_at - now, 0))
end

--- Whether some run goes on by itself: not those that wait for somebody, though perhaps not for ever.
---@return boolean
function Keeper:going_on()
  if not self.due then return false end
  return self.store:next_due(self.definitions:feasible { idle_at = self.loop:now() }) ~= nil
end

--- The store is busy.
local function later(self)
  self.look_at = self.loop:now() + self.poll
  return false
end

--- Tells of runs that are due and that nobody here can carry on, as they are of code that is not here: of one of each definition, once,
--- and only if somebody listens. What fails here fails again with the next claim.
local function tell_stranded(self, now)
  if not self.hooks.refused or now < self.told_at + self.poll then return end
  self.told_at = now
  for _, row in ipairs(self.store:stranded(self.definitions:feasible { now = now }) or {}) do
    if not self.told[row.definition] then
      self.told[row.definition] = true
      local def, err = self.definitions:of(row)
      if not def then emit(self, "refused", self:object(row), err) end
      if not self.loop then return end
    end
  end
end

--- Claims what is due and begins with it.
---@return boolean? began    whether there was anything
---@return step.Error? err
function Keeper:look()
  local failed = self.store:failed()
  if failed then return nil, failed end
  local now = self.loop:now()
  if now < self.look_at or self.holding >= HELD then return false end
  -- Leases that have ended while the process stood still: what we hold would be claimed from ourselves, and count as a takeover.
  if self.holding > 0 and now >= self.renew_at and not renew(self, now) then return later(self) end
  local rows, blocked = self.store:claim(self.definitions:feasible {
    owner = self.owner, now = now, lease = self.lease, limit = CLAIM,
  })
  if not rows then
    if blocked.code == "busy" then return later(self) end
    return nil, blocked
  end
  for _, row in ipairs(blocked or {}) do
    hooks.stored(self, { run = self:object(row), from = "RUNNING", to = row.state, message = "taken over too often", time = now,
      seq = row.events })
    if not self.loop then return false end
  end
  local refused = false
  for _, row in ipairs(rows) do
    local run = self:object(row, true)
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
    local due = self.store:next_due(self.definitions:feasible {})
    self.look_at = math.min(now + self.poll, math.max(due or math.huge, now))
    self.due = due
    tell_stranded(self, now)
    if not self.loop then return false end
  elseif self.store.live then
    self.due = self.store:next_due()
  end
  if refused then self.look_at = math.max(self.look_at, now + self.poll) end
  return #rows > 0 and not refused
end

--- When there may be more to claim; nil: never by itself, or there is no place for it before something has ended.
---@return number?
function Keeper:next_look()
  if self.store.live then -- something may have been started since
    self.due = self.store:next_due()
    return self.due
  end
  if self.holding < HELD then return self.look_at end
  return nil
end

--- Lets what is under way end: no step starts any more; the runs are TO_AUTORUN then, due for whoever works next.
function Keeper:wind_up()
  local now = self.loop:now()
  if not self.store.live then
    for c in pairs(self.held) do c:stop("TO_AUTORUN", now) end
    return
  end
  for _, row in ipairs(self.store:list { state = "RUNNING" }) do row.run.core:stop("TO_AUTORUN", now) end
end

--- Gives up what is held, as if the process had died: another engine takes it over at once.
function Keeper:close()
  for c, run in pairs(self.held) do
    c:close()
    self.store:release { number = run.row.number, epoch = run.epoch }
  end
  self.held, self.holding = {}, 0
  for _, run in pairs(self.runs) do run:close() end
  self.loop = nil
end

return M
