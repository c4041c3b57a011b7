--- Plays cases in the form of the recorded runs through the public interface: a definition in YAML, how it is started,
-- what is changed between its resolves, what came out. Time stands still but for sleeping, and moves past the next retry
-- before each further resolve.

local json = require "step.json"
local probe = require "spec.support.probe"
local step = require "step"
local yaml = require "step.yaml"

local M = {}

local null = json.null

local START = 1700000000      -- any time will do

--- A clock that only moves when somebody sleeps.
local function manual_clock()
  local clock = { time = START }
  function clock.now() return clock.time end
  function clock.sleep(seconds) clock.time = clock.time + math.max(seconds, 0) end
  return clock
end

--- The texts of all functions, registered. nil and what was wrong when one was refused.
local function register_functions(functions)
  for _, text in ipairs(functions or {}) do
    local ok, problem = step.register_function { text = text, format = "yaml" }
    if not ok then return nil, problem end
  end
  return true
end

--- The run with an edit made in its exported form, as after a restart.
local function edited(run, edit, definition, options, state)
  local exported = run:export()
  exported.state = edit.state or state or exported.state
  for name, new_state in pairs(edit.set or {}) do exported.steps[name].state = new_state end
  for name, partial in pairs(edit.steps or {}) do
    for field, value in pairs(partial) do exported.steps[name][field] = value end
  end
  return assert(step.restore(exported, definition, options))
end

local function edits_before(case, number)
  local found = {}
  for _, edit in ipairs(case.edits or {}) do
    if edit.before_resolve == number then found[#found + 1] = { edit } end
  end
  local crashes = case.crash or {}
  if crashes.before_resolve then crashes = { crashes } end
  for _, crash in ipairs(crashes) do
    if crash.before_resolve == number then found[#found + 1] = { crash, "CRASHED" } end
  end
  return found
end

---@class spec.Played
---@field refused? step.Error          the definition or a function was refused
---@field start_refused? step.Error
---@field resolves table[]             { state, err, run_count, next_retry_in_seconds, tags, steps }
---@field executions { [1]: string, [2]: integer, [3]: integer }[]   sorted
---@field contexts { [1]: string, [2]: any }[]
---@field waited table<string, boolean>   steps that have been WAITING
---@field definition table             as decoded
---@field run? table

--- Plays a case: { template, functions, inputs, resolver_inputs, config, tags, requester_username, resolver_username,
-- resource_limits, resolves, edits, crash }.
---@param case table
---@return spec.Played
function M.play(case)
  probe.register(step)
  local ok, problem = register_functions(case.functions)
  if not ok then return { refused = problem } end
  local decoded = yaml.decode(case.template)
  probe.reset(type(decoded) == "table" and probe.contexts_of(decoded) or nil)
  local definition
  definition, problem = step.load { text = case.template, format = "yaml" }
  if not definition then return { refused = problem } end

  local clock = manual_clock()
  local options = {
    input = case.inputs, resolver_input = case.resolver_inputs, config = case.config, tags = case.tags,
    requester_username = case.requester_username, resolver_username = case.resolver_username, clock = clock,
  }
  local run
  if case.resource_limits then
    local engine = step.engine { clock = clock, resource_limits = case.resource_limits }
    assert(engine:add(definition))
    run, problem = engine:start(definition.name, options)
  else
    run, problem = definition:start(options)
  end
  if not run then return { start_refused = problem } end

  local played = { resolves = {}, definition = decoded, run = run }
  local ended = clock.time     -- the end of the last resolve that was not refused
  for number = 1, case.resolves or 1 do
    if number > 1 then clock.time = math.max(clock.time, run.next_retry or 0) + 1 end
    for _, edit in ipairs(edits_before(case, number)) do
      run = edited(run, edit[1], definition, { clock = clock }, edit[2])
    end
    probe.resolve = number
    local state, refusal = run:resolve()
    if state and state ~= "BLOCKED_TOCHECK" then ended = clock.time end
    local exported = run:export()
    played.resolves[number] = {
      state = run.state, err = refusal and tostring(refusal.message), run_count = run.run_count, tags = exported.tags,
      next_retry_in_seconds = run.next_retry and run.next_retry - ended, steps = exported.steps,
    }
  end
  played.run = run
  played.executions, played.contexts, played.waited = probe.executions, probe.contexts, probe.waited
  table.sort(played.executions, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[3] < b[3]
  end)
  return played
end

--- Whether a field counts as absent: null, "", 0, {} or [].
function M.is_empty(value)
  return value == nil or value == null or value == "" or value == 0 or (type(value) == "table" and next(value) == nil)
end

--- Whether two JSON values are the same; numbers by value, {} and [] apart.
function M.same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if json.is_array(a) ~= json.is_array(b) then return false end
  for key, value in pairs(a) do
    if not M.same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- A value as a message shows it.
function M.shown(value)
  if value == nil then return "nothing" end
  return json.encode(value) or tostring(value)
end

return M
