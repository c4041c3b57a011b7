--- Runs: one execution of a definition each. The state machine is the core's (csrc/core/run.c); this is the object people
-- hold.

local clock = require "step.clock"
local core = require "step.core"
local definition = require "step.definition"
local duration = require "step.duration"
local errors = require "step.error"
local functions = require "step.functions"
local inputs = require "step.inputs"
local json = require "step.json"
local options_of = require "step.options"
local result = require "step.result"
local signal = require "step.signal"
local suggest = require "step.suggest"
local time = require "step.time"

local M = {}

local null = json.null

---@class step.Run
---@field id string
---@field state string              see step.run_state
---@field run_count integer         resolves so far (S6.5)
---@field deadline? number          seconds since the epoch at which it is cancelled
---@field next_retry? number        seconds since the epoch at which a worker would resolve it again
---@field tags table<string, string>
---@field title string              title_format, templated with the values of now
---@field result? any               result_format, templated, when the run is DONE (step.result tells why there is none)
---@field error? string             why it is not done: the first step in trouble, and its error
---@field steps table<string, table>   read-only views: state, output, metadata, children, error, try_count, ...
---@field definition step.Definition
---@field package core userdata
---@field package loop userdata
---@field package listeners { list: table[] }   the list is replaced, never changed: a listener may end itself
---@field parent? string            id of the run that started it
---@field parent_step? string       by which step
---@field package keeper? step.Keeper    whose store keeps it: asked before it is changed, told after
---@field package inbox? step.Posted[]   of a run without a keeper
---@field package row? table             what the store said of it last
local Run = { __name = "step.Run" }
M.Run = Run

local methods = {}

local REFUSALS = {
  cancelled = "Can't run resolution: cancelled", running = "Can't run resolution: already running",
  done = "Can't run resolution: already done",
}

-- States that end a wait: nothing more happens without somebody.
local function settled(state)
  return state == "DONE" or state == "CANCELLED" or state == "WAITING" or state == "PAUSED" or state:find("^BLOCKED_") ~= nil
end
M.settled = settled

local function closed(run) return nil, run.lost or errors.new("closed", "the run is closed") end

--- Before a run is changed: one that a store keeps is claimed. The value, when there is one, is true. `looking`: no action will
--- start.
local function enter(run, looking)
  if run.keeper then return run.keeper:hold(run, looking) end
  if run.core:closed() then return closed(run) end
  return true
end

--- Shows a run that a store keeps as it is there now.
local function refresh(run)
  if run.keeper then return run.keeper:refresh(run) end
  if run.core:closed() then return closed(run) end
  return true
end

--- After it was changed: what has changed is stored, unless a resolve is in progress, which does so itself.
local function leave(run, ...)
  if run.keeper then
    local ok, err = run.keeper:keep(run)
    if not ok then return nil, err end
  end
  return ...
end

--- Whether the run is blocked because it was taken over too often (D27). Its steps are as they were then, RUNNING ones too; a person
--- who changes it begins to count anew.
---@param run step.Run
---@return boolean
function M.worn(run)
  local c, row = run.core, rawget(run, "row")
  if c:status() ~= "BLOCKED_TOCHECK" then return false end
  if row and row.worn then return true end
  for i = 1, c:top() do
    if c:exists(i) and c:step(i) == "RUNNING" then return true end
  end
  return false
end

--- The first step whose state keeps the run from being done, and its error.
local function trouble(run)
  local c = run.core
  if c:ending() == "deadline" then return ("the run's deadline of %s has passed"):format(time.format(c:deadline())) end
  if M.worn(run) then return "the run was taken over too often: too many of the processes that worked on it are gone" end
  local kinds = { BLOCKED_FATAL = "FATAL_ERROR", BLOCKED_BADREQUEST = "CLIENT_ERROR", BLOCKED_TOCHECK = "CRASHED" }
  local state = c:status()
  local wanted = kinds[state]
  for i = 1, c:top() do
    if c:exists(i) then
      local step_state = c:step(i)
      local hit = wanted and step_state == wanted and not c:tolerated(i)
      if not wanted and (state == "ERROR" or state == "BLOCKED_MAXRETRIES") then
        hit = step_state == "SERVER_ERROR" or step_state == "TO_RETRY" or step_state == "AFTERRUN_ERROR"
      end
      if hit then
        local _, _, text = c:results(i)
        return ("step '%s' is %s%s"):format(c:name(i), step_state, text and ": " .. tostring(text) or "")
      end
    end
  end
end

local computed = {
  state = function(run) return (run.core:status()) end,
  run_count = function(run) return (select(2, run.core:status())) end,
  run_max = function(run) return (select(4, run.core:status())) end,
  deadline = function(run) return (run.core:deadline()) end,
  next_retry = function(run) return (select(5, run.core:status())) end,
  tags = function(run) return run.core:globals().tags end,
  steps = function(run) return run.core:steps() end,
  error = trouble,
  title = result.title,
  result = function(run) return (result.result(run)) end,
}

--- What a run that is not loaded yet has in its store's row.
local IN_ROW = { state = "state", run_count = "run_count", run_max = "run_max", next_retry = "next_retry", tags = "tags",
  deadline = "deadline" }

function Run:__index(key)
  local method = methods[key]
  if method then return method end
  local row = rawget(self, "row")
  if key == "core" or key == "definition" then
    if not row or rawget(self, "core") then return nil end
    local ok, err = self.keeper:fill(self)
    if not ok then error(err, 2) end
    return rawget(self, key)
  end
  local compute = computed[key]
  if not compute then return nil end
  local c = rawget(self, "core")
  if not c and row and IN_ROW[key] then return row[key] end
  c = c or self.core
  if c:closed() then
    if key == "state" then return "CLOSED" end
    error(("the run is closed: its %s cannot be read"):format(key), 2)
  end
  return compute(self)
end

--- What is read of a run is not set in it.
function Run:__newindex(key, value)
  if computed[key] or methods[key] then error(("a run's %s cannot be set: its methods change it"):format(key), 2) end
  rawset(self, key, value)
end

function Run:__tostring() return ("step.Run: %s (%s)"):format(self.id, self.state) end

-- ---- birth ----

--- A copy of what an option holds; what is no JSON object raises.
---@param value any
---@param what string    the option
---@param level integer  whom to blame
---@return table
local function object_of(value, what, level)
  if value == nil or value == null then return {} end
  if type(value) ~= "table" then error(("bad option '%s' (table expected, got %s)"):format(what, type(value)), level + 1) end
  local copy, err = json.copy(value)
  if copy == nil then error(("bad option '%s' (%s)"):format(what, tostring(err)), level + 1) end
  return copy
end

--- The seconds that the option stands for.
local function check_deadline(value, level)
  local seconds, message = duration.span(value)
  if seconds then return seconds end
  error(("bad option 'deadline' (%s, got %s)"):format(message, errors.show(value)), level + 1)
end

--- Makes a run of a definition, TODO. `options` as for start, and `loop`; its tags are taken as they are when `tags_given`.
---@param def step.Definition
---@param options table
---@param id string
---@param created number
---@param level? integer    whom to blame for options that are none; default: who called the function that calls this
---@return step.Run run
---@return table globals    what v shows beside the steps
function M.new(def, options, id, created, level)
  level = (level or 2) + 1
  local loop = options.loop or clock.loop(options.clock)
  local made = time.format(created)
  local globals = {
    config = object_of(options.config, "config", level),
    tags = object_of(options.tags, "tags", level),
    variables = def.document.variables and functions.copy(def.document.variables) or json.array(),
    eval_cache = {}, -- D4
    eval_variable = def.eval_variable,
    task = {
      task_id = id, created = made, title = def.name, region = "", last_activity = made,
      requester_username = options.requester_username or "", resolver_username = options.resolver_username or "",
    },
    log = options.log,
    definition_file = def.file,
  }
  for name, value in pairs(def.document.tags or {}) do
    if globals.tags[name] == nil and not options.tags_given then globals.tags[name] = value end
  end
  globals.task.tags = globals.tags
  local self = { id = id, definition = def, core = core.run(def.graph, globals), loop = loop, listeners = { list = {} }, created = created }
  local status_max = options.run_max or def.retry_max
  self.core:set_status("TODO", 0, 0, status_max)
  self.core:set_deadline(nil, def.deadline)
  self.core:limit(options.max_concurrent or def.max_concurrent)
  self.core:belong(self)
  return setmetatable(self, Run), globals
end

---@class step.StartOptions
---@field input? table               values for the definition's inputs
---@field resolver_input? table
---@field config? table              what templates see as .config
---@field tags? table<string, string>
---@field requester_username? string
---@field resolver_username? string
--- seconds from now, or a text like "1m30s"; in place of the definition's, which counts from the first resolve
---@field deadline? number|string
---@field max_concurrent? integer     actions of the run in flight at a time; default: the definition's
---@field clock? step.Clock|fun(): number   default: the system's
---@field log? fun(...)              what ctx.log calls

local KINDS = options_of.KINDS

local START = {
  clock = KINDS.any, config = KINDS.any, deadline = KINDS.any, id = KINDS.text, input = KINDS.any, log = KINDS.callback,
  loop = { "a loop expected", function(value) return type(value) == "userdata" end },
  max_concurrent = KINDS.count, requester_username = KINDS.text, resolver_input = KINDS.any, resolver_username = KINDS.text,
  run_max = KINDS.number, tags = KINDS.any,
}

local WAIT = { until_time = KINDS.time }

--- Starts a run: it is TODO until it is resolved.
---@param options? step.StartOptions
---@param level? integer    whom to blame for options that are none; default: the caller
---@return step.Run?
---@return step.Error? err   kind "input": the inputs are refused (S8.12)
function definition.Definition:start(options, level)
  level = level or 2
  if options ~= nil and type(options) ~= "table" then
    error(("bad argument #1 to 'start' (table expected, got %s)"):format(type(options)), level)
  end
  options = options_of.check("start", 1, options, START, level)
  local input, err = inputs.check(self.inputs, options.input)
  if not input then return nil, err end
  local resolver_input
  resolver_input, err = inputs.check(self.resolver_inputs, options.resolver_input)
  if not resolver_input then return nil, err end
  local span = options.deadline ~= nil and check_deadline(options.deadline, level) or nil
  local loop = options.loop or clock.loop(options.clock, level)
  local run, globals = M.new(self, options, options.id or core.uuid(), loop:now(), level)
  if span then run.core:set_deadline(run.created + span, span) end
  globals.input, globals.resolver_input = input, resolver_input
  globals.task.title = result.title(run)
  return run
end

-- ---- running ----

--- Goes on with the resolve in progress until it ends.
local function finish(run)
  local ended = run.loop:finish(run.core)
  if run.core:closed() then return closed(run) end
  if not ended then
    return nil, errors.new("pending", "the run waits for something that nobody here will bring: call its resume function, then run:wait()")
  end
  return (run.core:status())
end

--- Runs everything that can run now, as a person who asks for it: failed steps are tried again whether due or not.
---@return string? state     the run's state then
---@return step.Error? err   kind "refused": cancelled, running or done already (S6.1); "pending": an action waits for another event loop
function methods:resolve() return self:resolve_as(false) end

--- Begins a resolve; its loop's turns bring it to its end. `automatic`: only steps that are due (D17).
---@param automatic boolean
---@return boolean? begun    false: there is nothing to be done, the state tells why
---@return step.Error? err
function methods:begin(automatic)
  local ok, err = enter(self)
  if not ok then return nil, err end
  if automatic and self.keeper and self.state ~= "WAITING" and settled(self.state) then -- by another engine
    return leave(self, false)
  end
  local started, why = self.loop:begin(self.core, automatic)
  if started then
    M.begun(self)
    return true
  end
  if why == "check" then return leave(self, false) end
  return leave(self, nil, errors.new("refused", REFUSALS[why]))
end

--- One resolve.
---@param automatic boolean
---@return string? state
---@return step.Error? err
function methods:resolve_as(automatic)
  local begun, err = self:begin(automatic)
  if begun then return finish(self) end
  if begun == nil then return nil, err end
  return self.state
end

--- When a run that waits for a retry is to be resolved again: at the retry, or at its deadline, to be cancelled.
---@param run step.Run
---@return number?
function M.due(run)
  local state, next_retry, deadline = run.state, run.next_retry, run.deadline
  if state ~= "ERROR" and state ~= "CRASHED" then return nil end
  if next_retry and deadline then return math.min(next_retry, deadline) end
  return next_retry
end

--- Resolves again and again, each time when the next retry is due, until the run is DONE, CANCELLED, BLOCKED_*, PAUSED or
--- WAITING, or until a time. A resolve that was left pending goes on.
---@param options? { until_time?: number }   seconds since the epoch
---@return string? state
---@return step.Error? err
function methods:wait(options)
  local until_time = options_of.check("wait", 1, options, WAIT).until_time
  local ok, err = refresh(self)
  if not ok then return nil, err end
  local state = self.state
  if state == "RUNNING" and select(6, self.core:status()) then
    state, err = finish(self)
  elseif state == "WAITING" then
    state, err = self:resolve_as(true)
  end
  while not (state and settled(state)) do
    if state then
      local due = M.due(self)
      if until_time and (due or 0) > until_time then return state end
      while due and due > self.loop:now() do self.loop:pause(due - self.loop:now()) end
      if until_time and not due and self.loop:now() > until_time then return state end
      state, err = self:resolve_as(true)
    elseif err.kind ~= "busy" then
      return nil, err
    else -- another engine works on it
      if until_time and self.loop:now() >= until_time then return self.state end
      self.loop:pause(self.keeper.poll)
      ok, err = refresh(self)
      if not ok then return nil, err end
      state = self.state
    end
  end
  return state
end

-- ---- people ----

--- How many steps are named to somebody who asked for another one.
local SHOWN = 10

--- A step's number, or nil and an error with the nearest name, or the first ones.
local function find(run, name)
  local number = run.core:find(name)
  if number then return number end
  local names = {}
  for i = 1, run.core:top() do if run.core:exists(i) and i <= 10000 then names[#names + 1] = run.core:name(i) end end
  local all = #names == 0 and "; it has none" or "; it has: " .. table.concat(names, ", ", 1, math.min(#names, SHOWN))
    .. (#names > SHOWN and ", ..." or "")
  return nil, errors.new("refused", ("the run has no step '%s'%s"):format(name, suggest.hint(name, names, all)))
end
M.find = find

--- The states that a person may set a step to.
local function settable_states(run, number)
  local list, def = {}, run.definition
  for _, info in ipairs(core.states) do
    if info.name ~= "RUNNING" and info.name ~= "EXPANDED" then list[#list + 1] = info.name end
  end
  list[#list] = nil -- "any custom state"
  local spec = def.specs[select(4, run.core:step(number)) or number] -- a plain step has none
  local own = spec and require("step.fields").custom_states(spec, function(name) return def.used_functions[name] end)
  return table.move(own or {}, 1, #(own or {}), #list + 1, list)
end

--- The number of a step that a person may set to a state.
local function settable(run, step_name, state)
  local number, err = find(run, step_name)
  if not number then return nil, err end
  local problem
  if type(state) ~= "string" or not run.definition.graph:state(select(4, run.core:step(number)) or number, state) then
    local states = settable_states(run, number)
    problem = ("the step has no such state%s"):format(suggest.hint(tostring(state), states, "; accepted: " .. table.concat(states, ", ")))
  elseif state == "RUNNING" or state == "EXPANDED" then
    problem = "only the engine sets this state"
  end
  if not problem then return number end
  return nil, errors.new("refused", ("step '%s' cannot be set to %s: %s"):format(step_name, errors.show(state), problem))
end

--- Sets a step's state, as a person. While the step is RUNNING it is applied when its result arrives (D8).
---@param step_name string
---@param state string       a state of S1.1 or a custom state of the step, but RUNNING and EXPANDED
---@param message? string    becomes the step's error text
---@return boolean? ok
---@return step.Error? err   kind "refused"
function methods:set_state(step_name, state, message)
  if type(step_name) ~= "string" then error(("bad argument #1 (a step's name expected, got %s)"):format(type(step_name)), 2) end
  local held, refused = enter(self, true)
  if not held and refused.kind ~= "busy" then return nil, refused end
  if not held then -- an order that makes no sense is refused here: nobody tells who gave it
    local ok, err = refresh(self)
    if ok then ok, err = settable(self, step_name, state) end
    if not ok then return nil, err end
    return self:post("set_state", { step = step_name, state = state, message = message })
  end
  local number, err = settable(self, step_name, state)
  if not number then return leave(self, nil, err) end
  self.core:set(number, state, message, self.loop:now())
  if self.state == "DONE" and not self:is_complete() then self.core:become("TODO", self.loop:now()) end
  return leave(self, true)
end

-- ---- what is posted to a run ----

--- What was posted to the run and is not dealt with yet, oldest first.
---@package
---@return step.Posted[]
function methods:posted()
  if not self.keeper then return self.inbox or {} end
  local left = {}
  for _, item in ipairs(self.keeper:posted(self)) do
    if not M.is_spent(self, item.seq) then left[#left + 1] = item end
  end
  return left
end

--- What was posted has been dealt with: it goes with the next save.
---@package
---@param seq integer
function methods:spend(seq)
  if self.keeper then return self.keeper:spend(self, seq) end
  for i, item in ipairs(self.inbox or {}) do
    if item.seq == seq then return table.remove(self.inbox, i) end
  end
end

--- Leaves something for whoever works on the run.
---@package
---@param kind string
---@param body any
---@return boolean? ok
---@return step.Error? err
function methods:post(kind, body)
  if self.keeper then return self.keeper:post(self.id, kind, body) end
  self.inbox, self.last_posted = self.inbox or {}, (self.last_posted or 0) + 1
  table.insert(self.inbox, { seq = self.last_posted, time = self.loop:now(), kind = kind, body = body })
  M.asked(self, self.inbox)
  return true
end

---@param run step.Run
---@param seq integer
---@return boolean
function M.is_spent(run, seq)
  for _, spent in ipairs(run.spent or {}) do
    if spent == seq then return true end
  end
  return false
end

--- Whether a step that is WAITING, with that metadata, waits for what was posted; by kind.
local AWAITED = {
  child = function(metadata, id)
    return metadata.id == id or (type(metadata.batch_id) == "string" and id:sub(1, #metadata.batch_id) == metadata.batch_id)
  end,
  signal = function(metadata, body) return metadata.waits_for == body.callback end,
}

--- Gives the steps that wait for something posted another turn, and those that are RUNNING and may come to wait for it.
local function wake(run, item)
  local c, awaited = run.core, AWAITED[item.kind]
  for i = 1, c:top() do
    local state = c:exists(i) and c:step(i)
    local metadata
    if state == "WAITING" then metadata = select(2, c:results(i)) end
    if state == "RUNNING" or (type(metadata) == "table" and awaited(metadata, item.body)) then c:wake(i) end
  end
  if item.kind == "child" then run:spend(item.seq) end -- a signal stays until a step takes it
end

--- What a person asked of a run that was another engine's then.
local ORDERS = {
  stop = function(run, item)
    if run.state ~= "DONE" and run.state ~= "CANCELLED" then run.core:stop(item.body, run.loop:now()) end
  end,
  set_state = function(run, item)
    local c, body = run.core, item.body
    local number = c:find(body.step)
    if number then pcall(c.set, c, number, body.state, body.message, run.loop:now()) end -- what a person could not do has no effect
  end,
}

--- Does what was posted to a run that is held here. run.spent names what is done with, run.heard is the number up to which
--- everything is known to the steps that may wait for it: both are stored with the run. What wakes steps counts only during a resolve:
--- before that it makes the run due.
---@param run step.Run
---@param items step.Posted[]
function M.asked(run, items)
  local deaf = false
  for _, item in ipairs(items) do
    local order, awaited = ORDERS[item.kind], AWAITED[item.kind]
    if order and not M.is_spent(run, item.seq) then
      order(run, item)
      run:spend(item.seq)
    elseif awaited and run.state ~= "RUNNING" then
      deaf = true
    elseif awaited and item.seq > (run.heard or 0) then
      wake(run, item)
    end
    if not deaf then run.heard = math.max(run.heard or 0, item.seq) end
  end
end

--- A resolve of the run has begun: the steps that wait for what was posted before have a turn. One that was woken already may not
--- have had it: the resolve was paused then.
---@param run step.Run
function M.begun(run)
  local items, keeper = run.at_claim, run.keeper
  run.at_claim = nil
  if not keeper then items = run.inbox elseif keeper.store.live then items = keeper:posted(run) end
  if not items then return end
  run.heard = 0
  M.asked(run, items)
end

--- Says something to a run: gives the data to a step that waits for a callback which another step of the run has created, now or
--- when it comes to wait. See the runner `callback`.
---@param name string    the callback's name, or its id
---@param data any       JSON data
---@return boolean? ok
---@return step.Error? err   kind "refused": there is no such callback, its schema does not accept the data, or the run has ended
function methods:signal(name, data)
  signal.check(name, data)
  local ok, err = refresh(self)
  if not ok then return nil, err end
  return signal.send(self, name, data)
end

local final_states
--- A function that tells whether a state is final.
---@return fun(state: string): boolean
function M.final_states()
  if not final_states then
    local open = {}
    for _, state in ipairs(core.states) do if not state.final then open[state.name] = true end end
    final_states = function(state) return not open[state] end
  end
  return final_states
end

--- Whether every step is final.
---@return boolean
function methods:is_complete()
  local final = M.final_states()
  for i = 1, self.core:top() do
    if self.core:exists(i) and not final(self.core:step(i)) then return false end
  end
  return true
end

local function stop(run, state)
  local ok, err = enter(run, true)
  if not ok then
    if err.kind == "busy" then return run:post("stop", state) end
    return nil, err
  end
  local now = run.state
  if now == "DONE" or now == "CANCELLED" then
    return leave(run, nil, errors.new("refused", ("the run is %s already"):format(now)))
  end
  if state == "PAUSED" and run.core:ending() then return leave(run, nil, errors.new("refused", "the run is being cancelled")) end
  if not run.core:stop(state, run.loop:now()) then return leave(run, true) end
  ok, err = leave(run, true) -- where a store keeps it: whoever claims it now cleans it
  if ok then ok, err = enter(run) end
  if ok then run.loop:begin(run.core, true) end
  if not ok and err.kind ~= "busy" and err.code ~= "code" then return nil, err end
  return true
end

--- Cancels the run: no step starts any more. While a resolve is in progress, actions that wait are stopped (ctx:sleep and ctx:await
--- throw an error of the kind "cancelled", processes are killed, the calls of runners in C are given up), and those that do not wait
--- go on to their end; their steps are TO_RETRY then, without a try. After that the steps that are `always` run, those that have not
--- ended, and the run is CANCELLED, whatever becomes of them. So they do when a run is cancelled that is not RUNNING but was before:
--- it is RUNNING then for their sake, and run:wait() or the engine's worker carries it to its end. A second cancel stops them, too.
---@return boolean? ok
---@return step.Error? err   kind "refused": it is DONE or CANCELLED already
function methods:cancel() return stop(self, "CANCELLED") end

--- Pauses the run likewise, without a clean-up; resume makes it TODO again. Of the actions that have begun only those of
--- steps that are `idempotent` are stopped: others would have been done by half, and the rest of the run would do them twice.
---@return boolean? ok
---@return step.Error? err   kind "refused": it is DONE, CANCELLED or being cancelled
function methods:pause() return stop(self, "PAUSED") end

--- Lets a paused run go on: resolve it then.
---@return boolean? ok
---@return step.Error? err   kind "refused": it is not PAUSED
function methods:resume()
  local ok, err = enter(self, true)
  if not ok then return nil, err end
  if self.state ~= "PAUSED" then
    return leave(self, nil, errors.new("refused", ("only a PAUSED run can be resumed, this one is %s"):format(self.state)))
  end
  self.core:become("TODO", self.loop:now())
  return leave(self, true)
end

local FAILED = { SERVER_ERROR = true, CLIENT_ERROR = true, FATAL_ERROR = true, CRASHED = true, TO_RETRY = true }

--- Makes the steps that failed TODO, their tries forgotten; what has ended stays as it is. A foreach step that failed with its
--- children there begins anew, like what depends on it. AFTERRUN_ERROR is none: its action has ended, only its check conditions
--- are to be redone.
local function renew_failed(run)
  local c, now, failed, count = run.core, run.loop:now(), {}, 0
  local loops = {}
  for i = 1, c:top() do
    local parent = c:exists(i) and select(4, c:step(i))
    if parent then loops[parent] = true end
  end
  for i = 1, c:top() do
    if c:exists(i) and FAILED[(c:step(i))] then
      if loops[i] then count = count + c:rewind(i, now) else failed[#failed + 1] = i end
    end
  end
  local function still_failed(i) return c:exists(i) and FAILED[(c:step(i))] end
  for _, i in ipairs(failed) do
    if still_failed(i) then
      c:load(i, (c:step(i)), 0)
      if c:extra(i) then c:load_extra(i, {}) end
    end
  end
  for _, i in ipairs(failed) do -- after all of that: loading makes the core count anew
    if still_failed(i) then
      c:set(i, "TODO", nil, now)
      count = count + 1
    end
  end
  return count
end

--- Makes steps TODO again, their results and tries forgotten: one and everything that depends on it, or those that failed and
--- nothing else. Resolve the run then.
---@param options { from?: string, only_failed?: boolean }    one of them
---@return integer? count    steps made TODO
---@return step.Error? err   kind "refused"
function methods:retry(options)
  if type(options) ~= "table" or type(options.from or "") ~= "string" or not options.from == not options.only_failed then
    error("bad argument #1 to 'retry' ({ from = step name } or { only_failed = true } expected)", 2)
  end
  local ok, refused = enter(self, true)
  if not ok then return nil, refused end
  local number, err
  if options.from then
    number, err = find(self, options.from)
    if not number then return leave(self, nil, err) end
  end
  if self.state == "RUNNING" then return leave(self, nil, errors.new("refused", "the run is running")) end
  if number and number > #self.definition.graph then
    return leave(self, nil, errors.new("refused", ("'%s' is a child of a foreach step: retry that step"):format(options.from)))
  end
  local c = self.core
  local count = number and c:rewind(number, self.loop:now()) or renew_failed(self)
  if count == 0 then return leave(self, nil, errors.new("refused", "no step of the run has failed")) end
  local state, run_count, _, run_max = c:status()
  c:set_status(state, run_count, 0, run_max) -- a person begins anew
  if self.keeper then -- runs that steps of before have started
    require("step.children").cancel(self.keeper.engine, self.id, function(step)
      local child = c:find(step)
      return not child or c:step(child) == "TODO"
    end)
  end
  c:become("TODO", self.loop:now())
  return leave(self, count)
end

--- Why a step is where it is: what holds it, the root of it first, and what a person can do about it.
---@param step_name string
---@return step.Explanation?
---@return step.Error? err    kind "refused": there is no such step
function methods:why(step_name)
  options_of.text("why", 1, step_name)
  local ok, err = refresh(self)
  if not ok then return nil, err end
  return require "step.why".explain(self, step_name)
end

--- Calls fn for every event of a kind.
---@param event "transition"
--- step nil: the run itself
---@param fn fun(event: { run: step.Run, step?: string, from: string, to: string, message?: string, time: number, seq: integer })
---@return fun() off   ends it
function methods:on(event, fn)
  if event ~= "transition" then
    error(("bad argument #1 to 'on' (unknown event %s; accepted: transition)"):format(errors.show(event)), 2)
  end
  if type(fn) ~= "function" then error(("bad argument #2 to 'on' (function expected, got %s)"):format(type(fn)), 2) end
  local entry, held = { fn }, self.listeners
  held.list = table.move(held.list, 1, #held.list, 1, {})
  held.list[#held.list + 1] = entry
  M.listen(self)
  return function()
    local left = {}
    for _, listener in ipairs(held.list) do
      if listener ~= entry then left[#left + 1] = listener end
    end
    held.list = left
    M.listen(self)
  end
end

--- Has the core report to the run's listeners, or not when it has none.
---@param run step.Run
function M.listen(run)
  local c, held = rawget(run, "core"), run.listeners
  if not c or c:closed() then return end
  if #held.list == 0 then
    c:listen(nil)
    return
  end
  local me = setmetatable({ run }, { __mode = "v" })
  c:listen(function(step, from, to, message, at, seq)
    local what = { run = me[1], step = step, from = from, to = to, message = message, time = at, seq = seq }
    for _, listener in ipairs(held.list) do listener[1](what) end
  end)
end

--- The run as plain data, in µTask's JSON form: everything there is to restore it. Lua functions of the definition are not
--- data: { ["$lua"] = "function" } stands in their place.
---@return table? exported   id, name, state, run_count, run_max, next_retry, tags, steps (name -> fields), order, ...
---@return step.Error? err
function methods:export()
  if self.core:closed() then return closed(self) end
  return require("step.exported").of(self)
end

--- Frees the run at once; what is in flight is given up. Every later use is an error, a second close is none.
function methods:close()
  local c = rawget(self, "core")
  if c then c:close() end
end

Run.__close = methods.close

return M
