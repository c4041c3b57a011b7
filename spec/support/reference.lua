--- The engine once more, slow and literal: what the real one is compared with.
--
-- It offers the part of the public interface that a run needs (define, start, resolve, wait, set_state, export,
-- restore) for definitions whose actions, conditions and foreach expressions are Lua functions. It shares no code with the
-- engine and is written rule by rule: nothing is counted, indexed or kept; whatever is needed is worked out anew from the
-- steps as they are. Steps are run one after the other, in the order of D1. It does not validate.

local M = {}

local function set(words)
  local t = {}
  for word in words:gmatch "%S+" do t[word] = true end
  return t
end

-- S1.1, S1.2
local RUNNABLE = set [[TODO WAITING CLIENT_ERROR SERVER_ERROR FATAL_ERROR CRASHED TO_RETRY RETRY_NOW AFTERRUN_ERROR EXPANDED]]
local RETRIABLE = set [[SERVER_ERROR TO_RETRY AFTERRUN_ERROR]]
local AUTOMATIC = set [[TODO EXPANDED WAITING RETRY_NOW]]  -- D17: what an automatic resolve runs besides what is due
local REFUSED = { CANCELLED = "cancelled", RUNNING = "already running", DONE = "already done" }  -- S6.1
local FAILURE = { bad_request = "CLIENT_ERROR", not_assigned = "WAITING", not_provisioned = "TO_RETRY" }  -- S4.5

local function is_final(state)
  return state ~= "RUNNING" and not RUNNABLE[state]
end

-- Graph -----------------------------------------------------------------------------------------------------------

-- "a:X,DONE" -> what S2.1 says about it.
local function dependency(text, always)
  local name, states = text:match "^([^:]+):?(.*)$"
  if states == "" then states = "DONE" end
  if always then states = "ANY" end  -- a step that cleans up runs however the others ended
  local accepted = {}
  for state in states:gmatch "[^,]+" do accepted[state] = true end
  return { name = name, any = accepted.ANY, states = accepted }
end

local function children_of(run, parent)
  local list = {}
  for _, s in ipairs(run.order) do
    if s.parent == parent then list[#list + 1] = s end
  end
  return list
end

-- The names of the steps that a step waits for: S2.1, and "child:ANY" of a foreach parent (S5.1).
local function names_before(run, s)
  local names = {}
  for _, d in ipairs(s.dependencies) do names[#names + 1] = d.name end
  for _, child in ipairs(children_of(run, s)) do names[#names + 1] = child.name end
  return names
end

-- Whether a failed child is accepted as it is: no more of its siblings have failed than `tolerate` of its parent allows.
local function is_tolerated(run, s)
  if not s.parent or (s.state ~= "FATAL_ERROR" and s.state ~= "CLIENT_ERROR") then return false end
  local children, failed = children_of(run, s.parent), 0
  for _, child in ipairs(children) do
    if child.state == "FATAL_ERROR" or child.state == "CLIENT_ERROR" then failed = failed + 1 end
  end
  local allowed = s.parent.definition.tolerate or 0
  if type(allowed) == "string" then allowed = #children * allowed:match "%d+" // 100 end
  return failed <= allowed
end

-- Whether `max_concurrent` of a foreach step lets no further child run.
local function is_full(run, parent)
  local running = 0
  for _, child in ipairs(children_of(run, parent)) do
    if child.state == "RUNNING" then running = running + 1 end
  end
  return running >= (parent.definition.max_concurrent or math.huge)
end

-- Whether nobody need wait for a step any more: it is final, or tolerated. While the run is cleaned that is so of every step that does
-- not clean up, of one
-- that had its turn however it ended, and of a foreach step and its children when these can do nothing more.
local function is_over(run, s)
  if is_final(s.state) or is_tolerated(run, s) then return true end
  if not run.cleaning then return false end
  if not s.always or s.state == "CRASHED" or s.given_up then return true end
  if s.parent then return s.parent.given_up end
  return s.executed and s.state ~= "RUNNING" and s.state ~= "RETRY_NOW" and #children_of(run, s) == 0
end

local function ancestors_are_final(run, s, seen)
  seen = seen or {}
  for _, name in ipairs(names_before(run, s)) do
    if not seen[name] then
      seen[name] = true
      local before = run.steps[name]
      if not is_over(run, before) or not ancestors_are_final(run, before, seen) then return false end
    end
  end
  return true
end

-- S2.2; D15 for the previous item of a sequence.
local function is_met(run, d)
  local target = run.steps[d.name]
  if d.previous then return is_final(target.state) or is_tolerated(run, target) end
  if d.any then return is_over(run, target) and ancestors_are_final(run, target) end
  return d.states[target.state] == true
end

local function is_breaking(s)  -- D11: a parent that is to be expanded again lets no further child start
  return s.state == "TO_RETRY" or s.state == "RETRY_NOW"
end

-- S2.2. RETRY_NOW is run again although it was executed (S6.2).
local function is_available(run, s)
  if not RUNNABLE[s.state] or s.state == "EXPANDED" then return false end
  if (s.executed or (s.held and not run.cleaning)) and s.state ~= "RETRY_NOW" then return false end
  if run.cleaning and (not s.always or s.state == "CRASHED") then return false end
  if s.parent and (is_breaking(s.parent) or is_full(run, s.parent)) then return false end
  if #children_of(run, s) > 0 then return false end  -- a parent that still has children is contracted, not run
  for _, d in ipairs(s.dependencies) do
    if not is_met(run, d) then return false end
  end
  return true
end

-- What changes a state --------------------------------------------------------------------------------------------

-- S2.3 and D8, for one step that has become final.
local function prune_after(run, s)
  for _, other in ipairs(run.order) do
    for _, d in ipairs(other.dependencies) do
      local refuses = d.name == s.name and not d.any and not d.previous and not d.states[s.state]
      if refuses and other.state ~= "RUNNING" and not is_final(other.state) then
        other.state = "PRUNE"
        prune_after(run, other)
      end
    end
  end
end

local function states(run)
  local map = {}
  for _, s in ipairs(run.order) do map[s] = s.state end
  return map
end

-- Once a change is over, `before` being the states before it: what has become final prunes.
local function prune(run, before)
  for _, s in ipairs(run.order) do
    if s.state ~= before[s] and is_final(s.state) then prune_after(run, s) end
  end
end

local function set_state(run, name, state, message)
  local s = run.steps[name]
  if not s then return false end  -- S3.6: it has left the run
  if is_final(s.state) and not is_final(state) then
    s.executed = true  -- S6.2: what has ended is not run again in this resolve, RETRY_NOW excepted
  end
  s.state, s.error = state, message or ""
  return true
end

-- What the functions of a definition see while `this` is evaluated.
local function values(run, this)
  local steps = setmetatable({}, {
    __index = function(_, name) return name == "this" and this or run.steps[name] end,
  })
  return { step = steps, iterator = this.item }
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Whether a condition is looked at for this step at all: S3.1, S5.1 (skip), S3.5, D13 (check; `ended` is the state of the
-- step after its action).
local function concerns(condition, s, kind, ended)
  if condition.type ~= kind then return false end
  if kind == "skip" then return (condition.foreach == "parent") == (s.foreach ~= nil) end
  for _, state in ipairs(condition.states or { "DONE", "CLIENT_ERROR" }) do
    if state == ended then return true end
  end
  return false
end

-- S3.3. Evaluates the conditions of one kind in order and applies them. Returns whether one held, and the error that ended the
-- evaluation, if any.
local function evaluate(run, s, kind, ended)
  local held = false
  for _, condition in ipairs(s.conditions) do
    if concerns(condition, s, kind, ended) then
      local ok, result = pcall(condition["if"], values(run, s))
      if not ok then return held, tostring(result) end
      if result then
        held = true
        for _, key in ipairs(sorted_keys(condition["then"])) do
          local name = key == "this" and s.name or key
          set_state(run, name, condition["then"][key], condition.message)
        end
        if condition.final then break end
      end
    end
  end
  return held, nil
end

-- One step --------------------------------------------------------------------------------------------------------

-- S3.5: after the action, or instead of it in a step that was left in AFTERRUN_ERROR.
local function check(run, s)
  local ended, error_then = s.state, s.error
  local _, failure = evaluate(run, s, "check", ended)
  if failure then
    s.ended_in, s.ended_error = ended, error_then  -- D6
    s.state, s.error = "AFTERRUN_ERROR", failure
  elseif s.retry.when and s.state == ended and (ended == "SERVER_ERROR" or ended == "TO_RETRY") then
    local again = false
    for _, state in ipairs(s.retry.when) do again = again or state == ended end
    if not again then s.state = "FATAL_ERROR" end
  end
end

-- S4.5, S4.9
local function act(run, s)
  local ok, output, metadata, _, failure = pcall(s.action, values(run, s))
  if not ok then output, metadata, failure = nil, nil, output end
  s.output, s.metadata = output, metadata
  if failure == nil then
    s.state, s.error = "DONE", ""
  elseif type(failure) == "table" then
    s.state, s.error = FAILURE[failure.kind] or "SERVER_ERROR", failure.message
  else
    s.state, s.error = "SERVER_ERROR", tostring(failure)
  end
  if s.state ~= "WAITING" then s.try_count = s.try_count + 1 end  -- D18
end

local function new_step(definition, fields)
  local s = {
    state = "TODO", error = "", try_count = 0, conditions = definition.conditions or {}, action = definition.action,
    always = definition.always, idempotent = definition.idempotent, max_retries = definition.max_retries,
    retry_pattern = definition.retry_pattern, retry = definition.retry or {},
    dependencies = {},
  }
  for _, text in ipairs(definition.dependencies or {}) do
    s.dependencies[#s.dependencies + 1] = dependency(text, s.always)
  end
  for key, value in pairs(fields) do s[key] = value end
  return s
end

local function add_step(run, s)
  run.order[#run.order + 1] = s
  run.steps[s.name] = s
end

-- S5.1, S5.2
local function expand(run, s)
  local ok, items = pcall(s.foreach, values(run, s))
  if not ok then
    s.state, s.error = "FATAL_ERROR", tostring(items)
  elseif type(items) ~= "table" or (next(items) ~= nil and items[1] == nil) then
    s.state, s.error = "FATAL_ERROR", M.ANY_TEXT
  elseif #items == 0 then
    s.state, s.error, s.children = "DONE", "", {}
  else
    for i, item in ipairs(items) do
      local child = new_step(s.definition, { name = ("%s-%d"):format(s.name, i - 1), parent = s, item = item })
      if s.definition.foreach_strategy == "sequence" and i > 1 then  -- D15
        child.dependencies[#child.dependencies + 1] = { name = ("%s-%d"):format(s.name, i - 2), previous = true }
      end
      add_step(run, child)
    end
    s.state, s.error, s.children = "EXPANDED", "", nil
  end
end

local function max_retries(s)
  return s.max_retries or s.retry.max or 10000  -- D18
end

-- Takes a step as far as it goes: S4.1.
local function execute(run, s)
  local before = states(run)
  s.executed = true
  if s.state == "AFTERRUN_ERROR" then
    s.state, s.error = s.ended_in or "DONE", s.ended_error or ""  -- D6
    check(run, s)
  elseif max_retries(s) >= 0 and s.try_count > max_retries(s) then
    local text = ("Step reached max retries %d: "):format(max_retries(s))
    s.state = "FATAL_ERROR"
    if s.error:sub(1, #text) ~= text then s.error = text .. s.error end  -- D18: once
  else
    if not s.foreach then s.state = "RUNNING" end
    local held, failure = evaluate(run, s, "skip")
    if failure then  -- S3.4
      s.state, s.error = "SERVER_ERROR", failure
    elseif not held and s.foreach then
      expand(run, s)
    elseif not held then
      act(run, s)
      check(run, s)
    end
  end
  prune(run, before)
end

-- Contraction -----------------------------------------------------------------------------------------------------

-- S5.4; S5.5 and D11 for a parent that is to be expanded again.
local function may_contract(run, s)
  local children = children_of(run, s)
  if #children == 0 or (run.cleaning and not s.always) or s.given_up then return false end
  for _, child in ipairs(children) do
    if is_breaking(s) then
      if child.state == "RUNNING" then return false end
    elseif s.state ~= "EXPANDED" or not (is_final(child.state) or is_tolerated(run, child)) then
      return false
    elseif not ancestors_are_final(run, child) then
      return false
    end
  end
  return true
end

local function collected(child, index)
  local metadata = {}
  for key, value in pairs(child.metadata or {}) do metadata[key] = value end
  metadata.iterator = child.item
  local entry = { output = child.output, metadata = metadata, state = child.state, index = index }
  if child.error ~= "" then entry.error = child.error end  -- D14
  return entry
end

local function contract(run, s)
  local list, left, before = {}, {}, states(run)
  for i, child in ipairs(children_of(run, s)) do
    if child.state ~= "PRUNE" then list[#list + 1] = collected(child, i - 1) end
    run.steps[child.name] = nil
  end
  for _, other in ipairs(run.order) do
    if other.parent ~= s then left[#left + 1] = other end
  end
  run.order = left
  s.children, s.error = list, ""
  if is_breaking(s) then
    s.output, s.try_count, s.executed = nil, s.try_count + 1, true
  else
    s.state = "DONE"
    prune(run, before)
  end
end

-- A resolve -------------------------------------------------------------------------------------------------------

local function is_queued(run, s)
  for _, other in ipairs(run.queue) do
    if other == s then return true end
  end
  return false
end

-- After a change: what became available is queued, in order of definition. A parent whose children have ended waits its
-- turn like any step.
local function enqueue(run)
  for _, s in ipairs(run.order) do
    local has_work = is_available(run, s) or may_contract(run, s)
    if has_work and not is_queued(run, s) then run.queue[#run.queue + 1] = s end
  end
end

-- The turn of a queued step: what it was queued for may be void by now.
local function take_turn(run, s)
  if run.steps[s.name] ~= s then return end
  if may_contract(run, s) then
    contract(run, s)
  elseif is_available(run, s) then
    execute(run, s)
  end
  enqueue(run)
end

-- S6.4 and D5: the first state that some step justifies.
local function outcome(run)
  local has, open = {}, false
  for _, s in ipairs(run.order) do
    if not is_tolerated(run, s) then
      has[s.state] = true
      open = open or not is_final(s.state)
    end
  end
  if has.RUNNING then return "CRASHED" end
  if has.CRASHED then return "BLOCKED_TOCHECK" end
  if has.FATAL_ERROR then return "BLOCKED_FATAL" end
  if has.CLIENT_ERROR then return "BLOCKED_BADREQUEST" end
  if has.SERVER_ERROR or has.TO_RETRY or has.AFTERRUN_ERROR then return "ERROR" end
  if has.WAITING then return "WAITING" end
  return open and "BLOCKED_DEADLOCK" or "DONE"
end

-- S6.5 with D17: seconds to wait after `tries` tries.
local function delay(pattern, retry, tries)
  local n = math.max(tries, 1)
  if next(retry) then
    local initial = retry.initial or 10
    return math.min(initial * (retry.factor or 1.25) ^ (n - 1), retry.cap or math.max(600, initial))
  end
  if pattern == "minutes" then return math.min(96 * n, 1800) end
  if pattern == "hours" then return math.min(3600 + (n - 1) * 600, 10800) end
  return math.min(8 * 1.25 ^ n, 600)
end

local function plan_retries(run)
  local now, retry = run.clock(), run.state == "ERROR" or run.state == "CRASHED"
  if retry then
    run.failed = run.failed + 1  -- D18
    if run.failed >= run.run_max then run.state, retry = "BLOCKED_MAXRETRIES", false end
  end
  run.next_retry = nil
  local unready  -- of steps whose dependencies are not met
  for _, s in ipairs(run.order) do
    if not retry or not RETRIABLE[s.state] then
      s.next_retry = nil
    elseif s.executed or not s.next_retry or s.next_retry <= now then  -- one that is due and cannot run is due later
      -- a foreach parent executes no action: always the first delay
      s.next_retry = now + delay(s.retry_pattern, s.retry, s.foreach and 0 or s.try_count)
    end
    if s.next_retry then
      local met = true
      for _, d in ipairs(s.dependencies) do met = met and is_met(run, d) end
      if met then
        run.next_retry = math.min(run.next_retry or s.next_retry, s.next_retry)
      else
        unready = math.min(unready or s.next_retry, s.next_retry)
      end
    end
  end
  run.next_retry = run.next_retry or unready
end

-- S6.6: whether nothing may run because a step that was in flight is not idempotent.
local function recover(run)
  local crashed = false
  for _, s in ipairs(run.order) do
    if s.state == "RUNNING" then
      s.crashes = (s.crashes or 0) + 1
      s.state = s.idempotent and s.crashes < 3 and "TODO" or "CRASHED"  -- D27: it was there three times
      crashed = crashed or s.state == "CRASHED"
    end
  end
  return crashed
end

-- What this resolve may run at all (D17), and parents that a condition took out of EXPANDED.
local function prepare(run, automatic)
  for _, s in ipairs(run.order) do
    s.executed, s.held, s.given_up = false, false, nil
    local due = RETRIABLE[s.state] and (s.next_retry or 0) <= run.clock()  -- without a time: at once
    if automatic then
      s.held = RUNNABLE[s.state] and not AUTOMATIC[s.state] and not due or false
    elseif RUNNABLE[s.state] and not is_breaking(s) and #children_of(run, s) > 0 and (s.always or not run.cleaning) then
      s.state = "EXPANDED"
    end
  end
end

local Run = {}
Run.__index = Run

local function resolve(run, automatic)
  if REFUSED[run.state] then
    return nil, { kind = "refused", message = "Can't run resolution: " .. REFUSED[run.state] }
  end
  if run.state == "CRASHED" and recover(run) and not run.cleaning then
    run.state = "BLOCKED_TOCHECK"
    return run.state
  end
  run.run_count, run.state, run.queue = run.run_count + 1, "RUNNING", {}
  prepare(run, automatic)
  enqueue(run)
  local waited = false
  while true do
    local s = table.remove(run.queue, 1)
    if run.stopping and not run.cleaning then  -- cancelled by an action
      run.queue, run.cleaning, run.stopping = {}, true, nil
      enqueue(run)
    elseif run.stopping then
      break
    elseif s then
      take_turn(run, s)
    elseif run.cleaning then
      local given_up = false
      for _, other in ipairs(run.order) do
        if other.always and not other.given_up and #children_of(run, other) > 0 then other.given_up, given_up = true, true end
      end
      if not given_up then break end
      enqueue(run)
    elseif not waited and outcome(run) == "WAITING" then  -- S6.3
      waited = true
      for _, other in ipairs(run.order) do
        if other.state == "WAITING" then other.executed = false end
      end
      enqueue(run)
    else
      break
    end
  end
  run.state = run.cleaning and "CANCELLED" or outcome(run)
  run.cleaning, run.stopping = nil, nil
  plan_retries(run)
  return run.state
end

--- A resolve asked for by a person.
---@return string? state
---@return table? err
function Run:resolve()
  return resolve(self, false)
end

--- Automatic resolves, as long as one is due. The clock stands still here, so nothing is due that is not due now.
---@param options { until_time: number }
---@return string state
function Run:wait(options)
  while (self.state == "ERROR" or self.state == "CRASHED") and self.next_retry and self.next_retry <= options.until_time do
    assert(self.next_retry <= self.clock(), "the clock does not move by itself")
    resolve(self, true)
  end
  return self.state
end

--- Cancels: at once, or when what can be cleaned up is.
function Run:cancel()
  if self.state == "RUNNING" then
    self.stopping = true
    return
  end
  for _, s in ipairs(self.order) do
    if s.always and not s.parent and not is_final(s.state) and self.run_count > 0 then self.cleaning = true end
  end
  if self.cleaning then
    resolve(self, false)
  else
    self.state, self.next_retry = "CANCELLED", nil
  end
end

--- What a person does between two resolves.
---@return boolean
---@param name string
---@param state string
---@param message? string
function Run:set_state(name, state, message)
  local before = states(self)
  if not set_state(self, name, state, message) then return false end
  prune(self, before)
  return true
end

local RESULTS = { "state", "error", "output", "metadata", "children", "try_count", "ended_in", "ended_error", "next_retry", "crashes" }

--- The results of the run; the caller may change states in it before it is restored.
---@return table
function Run:export()
  local exported = {
    state = self.state, run_count = self.run_count, failed = self.failed, next_retry = self.next_retry, steps = {}, order = {},
  }
  for i, s in ipairs(self.order) do
    local copy = { parent = s.parent and s.parent.name, item = s.item, dependencies = s.dependencies }
    for _, key in ipairs(RESULTS) do copy[key] = s[key] end
    exported.order[i], exported.steps[s.name] = s.name, copy
  end
  return exported
end

local Definition = {}
Definition.__index = Definition

--- A run in memory, in TODO.
---@param options { clock: fun(): number }
function Definition:start(options)
  local run = setmetatable({
    definition = self, clock = options.clock, state = "TODO", run_count = 0, run_max = self.retry_max or 100, failed = 0,
    order = {}, steps = {}, queue = {},
  }, Run)
  for _, d in ipairs(self.steps) do
    add_step(run, new_step(d, { name = d.name, foreach = d.foreach, definition = d }))
  end
  return run
end

--- The same run in another process: one that was RUNNING has CRASHED (S6.6).
---@param exported table
---@param definition table
---@param options { clock: fun(): number }
function M.restore(exported, definition, options)
  local run = definition:start(options)
  for _, d in ipairs(definition.steps) do  -- children in the order of their parents
    for _, name in ipairs(exported.order) do
      local from = exported.steps[name]
      if from.parent == d.name then
        add_step(run, new_step(d, {
          name = name, parent = run.steps[d.name], item = from.item, dependencies = from.dependencies,
        }))
      end
    end
  end
  for name, from in pairs(exported.steps) do
    for _, key in ipairs(RESULTS) do run.steps[name][key] = from[key] end
  end
  run.run_count, run.failed, run.next_retry = exported.run_count, exported.failed, exported.next_retry
  run.state = exported.state == "RUNNING" and "CRASHED" or exported.state
  return run
end

--- A definition: `steps`, a list in order, and `retry_max`.
---@param fields table
function M.define(fields)
  return setmetatable({ steps = fields.steps, retry_max = fields.retry_max }, Definition)
end

--- Stands for an error text whose wording is free.
M.ANY_TEXT = "<any text>"

local function failure(kind)
  return function(message) return { kind = kind, message = message } end
end

--- What an action throws or returns (S4.5).
M.error = {
  bad_request = failure "bad_request",
  not_assigned = failure "not_assigned",
  not_provisioned = failure "not_provisioned",
}

M.json = { array = function(list) return list end }

return M
