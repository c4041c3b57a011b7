--- Step objects and the functions of the seed's package that work on them: validation, PreRun, Run and AfterRun of one step
-- outside of a run. They call the same C functions as the engine does.

local clock = require "step.clock"
local condition = require "step.condition"
local core = require "step.core"
local definition = require "step.definition"
local errors = require "step.error"
local functions = require "step.functions"
local json = require "step.json"
local runner = require "step.runner"
local time = require "step.time"
local Values = require "step.values".Values

local M = {}

local null = json.null

local function absent(value) return value == nil or value == null end

--- Raises, where the program called, what is no argument of that kind.
local function check(value, kind, position, what, expected)
  if type(value) ~= kind then
    error(("bad argument #%d to '%s' (%s expected, got %s)"):format(position, what, expected or kind, type(value)), 3)
  end
end

--- The same for the step of a method: it is called with a colon.
local function check_self(self, what)
  if type(self) ~= "table" then
    error(("calling '%s' on bad self (a step expected, got %s): write step:%s(...)"):format(what, type(self), what), 3)
  end
end

---@class step.Step
---@field name string
---@field description? string
---@field idempotent? boolean
---@field action step.Executor|fun(v: table): any, any
---@field pre_hook? step.Executor
---@field json_schema? table
---@field output? any
---@field metadata? any
---@field children? table[]
---@field error? string
---@field state? string
---@field retry_pattern? "seconds"|"minutes"|"hours"
---@field try_count? integer
---@field max_retries? integer
---@field retry? step.Retry
---@field last_run? string
---@field execution_delay? integer|string   nanoseconds, or a text like "1.5s"
---@field dependencies? string[]
---@field custom_states? string[]
---@field conditions? step.Condition[]
---@field foreach? any
---@field foreach_strategy? "parallel"|"sequence"
---@field max_concurrent? integer         children that run at a time
---@field tolerate? integer|string        children that may fail: a count, or a part of all such as "25%"
---@field children_steps? string[]
---@field children_steps_map? table<string, boolean>
---@field item? any
---@field resources? string[]
---@field timeout? number|string           seconds, or a text like "1m30s": for each attempt of the action, and of the pre_hook
---@field acquire_timeout? number|string   likewise: to wait for resources; default: the engine's
---@field always? boolean                  cleans up: runs however the steps it depends on ended, and when the run is cancelled
---@field tags? table<string, string>
local Step = { __name = "step.Step" }
Step.__index = Step
M.Step = Step

function Step:__tostring() return ("step.Step: %s (%s)"):format(tostring(self.name), self.state or "TODO") end

--- Makes a step of fields in the JSON form; they are copied.
---@param fields table
---@return step.Step
function M.new(fields)
  if type(fields) ~= "table" then error(("bad argument #1 to 'new' (table expected, got %s)"):format(type(fields)), 2) end
  if functions.too_deep(fields) then error("bad argument #1 to 'new' (" .. functions.TOO_DEEP .. ")", 2) end
  local self = {}
  for key, value in next, fields do self[key] = functions.copy(value) end
  return setmetatable(self, Step)
end

local by_state
local function flags_of(state)
  if not by_state then
    by_state = {}
    for _, info in ipairs(core.states) do by_state[info.name] = info end
  end
  return by_state[absent(state) and "TODO" or state] or core.states[#core.states] -- a custom state (S1.2)
end

--- Whether the step may be executed in its state.
---@return boolean
function Step:is_runnable()
  check_self(self, "is_runnable")
  return flags_of(self.state).runnable
end

--- Whether a later resolve executes it again without a person.
---@return boolean
function Step:is_retriable()
  check_self(self, "is_retriable")
  return flags_of(self.state).retriable
end

--- Whether it has ended.
---@return boolean
function Step:is_final()
  check_self(self, "is_final")
  return flags_of(self.state).final
end

--- Whether a foreach step made it. A null item is an item (D14).
---@return boolean
function Step:is_child()
  check_self(self, "is_child")
  return self.item ~= nil
end

local function chain_of(self)
  if type(self.action) ~= "table" then return nil end
  return (functions.chain(self.action, functions.find))
end

--- The JSON schema of the metadata that the step's runner returns, functions followed.
---@return table?
function Step:executor_metadata()
  check_self(self, "executor_metadata")
  local chain = chain_of(self)
  local target = chain and runner.find(chain[#chain].action.type)
  return target and target.metadata_schema and target.metadata_schema() or nil
end

--- The step's conditions, those of its functions first.
---@return step.Condition[]
function Step:get_conditions()
  check_self(self, "get_conditions")
  local list = {}
  local chain = chain_of(self) or {}
  for i = #chain, 2, -1 do
    for _, cond in ipairs(chain[i].fn and not absent(chain[i].fn.conditions) and chain[i].fn.conditions or {}) do list[#list + 1] = cond end
  end
  for _, cond in ipairs(not absent(self.conditions) and self.conditions or {}) do list[#list + 1] = cond end
  return list
end

--- The step's custom states and those of its functions, without duplicates (S1.3).
---@return string[]
function Step:get_custom_states()
  check_self(self, "get_custom_states")
  return require "step.fields".custom_states(self, functions.find) or {}
end

--- The pre_hook of the step or of one of its functions.
---@return step.Executor?
function Step:get_pre_hook()
  check_self(self, "get_pre_hook")
  if not absent(self.pre_hook) then return self.pre_hook end
  for _, link in ipairs(chain_of(self) or {}) do
    if link.fn and not absent(link.fn.pre_hook) then return link.fn.pre_hook end
  end
end

--- Checks the step (chapter 8) and makes its defaults explicit: foreach_strategy, the schema's $schema.
---@param name string
---@param base_configurations? table<string, any>
---@param steps table<string, step.Step>    all steps of the definition, this one included
---@return boolean? ok
---@return step.Error? err   kind "definition", with everything that was found
function Step:valid_and_normalize(name, base_configurations, steps)
  check_self(self, "valid_and_normalize")
  check(name, "string", 1, "valid_and_normalize")
  if base_configurations ~= nil then check(base_configurations, "table", 2, "valid_and_normalize") end
  if steps ~= nil then check(steps, "table", 3, "valid_and_normalize") end
  local report = errors.report()
  local step = definition.check_one(name, self, base_configurations, steps or {}, report)
  local err = report:error("definition", ("the step '%s' is refused"):format(name))
  if err then return nil, err end
  self.name = name
  self.foreach_strategy = step.spec.foreach_strategy
  self.json_schema = step.spec.json_schema
  return true
end

--- Checks a condition of a step.
---@param cond step.Condition
---@param step_name string
---@param steps table<string, step.Step>
---@return boolean? ok
---@return step.Error? err   kind "definition"
function M.valid_condition(cond, step_name, steps)
  check(step_name, "string", 2, "valid_condition")
  check(steps, "table", 3, "valid_condition")
  local report = errors.report()
  local owner = steps[step_name] or {}
  local spec = { dependencies = owner.dependencies, custom_states = owner.custom_states, foreach = owner.foreach, action = function() end,
    conditions = { cond ~= nil and cond or false } }
  if type(owner.action) == "table" then spec.custom_states = require "step.fields".custom_states(owner, functions.find) end
  definition.check_one(step_name, spec, nil, steps, report)
  local own = errors.report()
  for _, finding in ipairs(report.findings) do
    if finding.field and finding.field:find "^conditions" then own.findings[#own.findings + 1] = finding end
  end
  local err = own:error("definition", ("a condition of the step '%s' is refused"):format(step_name))
  if err then return nil, err end
  return true
end

--- The arguments that pre_run and after_run have in common.
local function check_common(self, values, set_state, what)
  if type(self) ~= "table" then error(("bad argument #1 to '%s' (step expected, got %s)"):format(what, type(self)), 3) end
  if getmetatable(values) ~= Values then
    error(("bad argument #2 to '%s' (step.values() expected, got %s)"):format(what, errors.show(values)), 3)
  end
  if type(set_state) ~= "function" then
    error(("bad argument #3 to '%s' (function expected, got %s)"):format(what, type(set_state)), 3)
  end
end

local function compile(self, kind)
  local whose
  if kind == "skip" and not absent(self.foreach) and self.foreach ~= "" then whose = "parent" end
  -- a template that does not parse fails when it is evaluated
  return condition.compile_all(self:get_conditions(), kind, whose, function() end)
end

local function setter(self, set_state)
  return function(name, state, message) set_state(name == "this" and self.name or name, state, message) end
end

--- Evaluates the skip conditions of a step before its action (S3.4).
---@param self step.Step
---@param values step.Values
---@param set_state fun(step_name: string, state: string, message: string)   applies what a condition sets
---@param executed_steps? table<string, boolean>   the step is entered when its action must not run now
function M.pre_run(self, values, set_state, executed_steps)
  check_common(self, values, set_state, "pre_run")
  if executed_steps ~= nil then check(executed_steps, "table", 4, "pre_run") end
  self._skipped = nil
  local list = compile(self, "skip")
  if not list then return end
  local held, message = core.conditions(list, values:view(self.item, self.name), nil, setter(self, set_state))
  if held == nil then set_state(self.name, "SERVER_ERROR", message) end
  if held ~= false then
    self._skipped = true -- for this attempt (D7)
    if executed_steps then executed_steps[self.name] = true end
  end
end

--- Evaluates the check conditions of a step after its action (S3.5).
---@param self step.Step
---@param values step.Values
---@param set_state fun(step_name: string, state: string, message: string)
function M.after_run(self, values, set_state)
  check_common(self, values, set_state, "after_run")
  local skipped = self._skipped
  self._skipped = nil
  if skipped or (not absent(self.foreach) and self.foreach ~= "") then return end
  local list = compile(self, "check")
  local ended = self.state
  if ended == "AFTERRUN_ERROR" then -- D6
    ended = self._ended or "DONE"
    set_state(self.name, ended, self._ended_error or "")
  end
  if not list then return end
  self._ended, self._ended_error = ended, self.error
  local held, message = core.conditions(list, values:view(self.item, self.name), ended, setter(self, set_state))
  if held == nil then set_state(self.name, "AFTERRUN_ERROR", message) end
end

--- Puts the result of a step that has ended into its object.
local function conclude(self, run, globals, done)
  local state, tries, last_run = run:step(1)
  self.state, self.try_count = state, tries
  self.output, self.metadata, self.error = run:results(1)
  self.last_run = last_run and time.format(last_run) or nil
  self.tags = next(globals.tags) and globals.tags or nil
  run:close()
  done(self)
end

--- Carries out a step's action: pre_hook, execution_delay, templating, resources, the runner, output strategies, schema
--- (chapter 4). The conditions are pre_run's and after_run's. An action that waits for another event loop (ctx:await) goes on when
--- its resume function is called; one that is never resumed is kept as long as the program runs.
---@param self step.Step
---@param base_configurations? table<string, any>
---@param values step.Values
---@param done fun(self: step.Step)    called once, now or later, with the result in the step
---@return boolean? ok
---@return step.Error? err   kind "definition": the action is none; the step is FATAL_ERROR then
function M.run(self, base_configurations, values, done)
  check(self, "table", 1, "run", "step")
  if base_configurations ~= nil then check(base_configurations, "table", 2, "run") end
  if getmetatable(values) ~= Values then
    error(("bad argument #3 to 'run' (step.values() expected, got %s)"):format(errors.show(values)), 2)
  end
  check(done, "function", 4, "run")
  if self._skipped or self.state == "AFTERRUN_ERROR" then
    done(self)
    return true
  end
  local spec = {
    name = self.name, action = self.action, pre_hook = self.pre_hook, json_schema = self.json_schema, max_retries = self.max_retries,
    retry = self.retry, execution_delay = self.execution_delay, timeout = self.timeout, acquire_timeout = self.acquire_timeout,
    resources = self.resources, custom_states = self.custom_states,
  }
  local def, err = definition.define({ name = self.name, steps = { spec }, base_configurations = base_configurations }, { lint = false })
  if not def then
    self.state, self.error = "FATAL_ERROR", tostring(err)
    done(self)
    return nil, err
  end
  local view = values:view(self.item, self.name)
  local globals = setmetatable({ tags = {} }, { __index = view })
  local run = core.run(def.graph, globals, true)
  run:load(1, "TODO", self.try_count or 0)
  run:put(1, self.output, self.metadata, self.error)
  local loop = clock.loop()
  loop:begin(run, false)
  local ended = false
  local function finish()
    if ended or not loop:finish(run) then return end
    ended, globals.resumed = true, nil
    conclude(self, run, globals, done)
  end
  finish()
  if not ended then globals.resumed = finish end
  return true
end

return M
