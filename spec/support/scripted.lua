--- Cases as plain data, and how they are played: what every action does at its k-th call, what every condition tests, and
-- what is done to the run. The same case is played by the engine and by the reference, through the same interface, and what
-- came out is compared (case_trace.lua); see also case_text.lua, case_shrink.lua, random_graph.lua.
--
-- A case:
--   seed, profile   where it came from
--   run_max         or nil
--   steps           in order of definition, as in a definition (name, dependencies, custom_states, max_retries,
--                   retry_pattern, retry, idempotent, always, foreach_strategy,
--                   max_concurrent, tolerate, conditions), but:
--     calls         list; what the action does at its first, second, ... call: { kind, text?, output? } with kind "ok",
--                   "client", "server", "waiting", "notprovisioned", "cancel" (the run, and goes on); "ok" once the list is at
--                   its end.
--                   output = true: the error is returned beside an output, else it is thrown
--     metadata      true: the action returns metadata
--     items         list of different values: the step is a foreach step
--     item_calls    instead of `calls` there: one such list for each item
--     expansions    list; what the foreach expression does at its first, second, ... evaluation: "throws", "not_list"
--     conditions[i]["if"]   a test, see TESTS
--   plan            list of what is done, one after the other:
--     { "resolve", seconds }               after the clock has moved; as a person
--     { "auto", seconds }                  the clock moves to the next retry and some seconds further; automatic resolves
--     { "crash", { name, ... } }           the process dies while these steps are in flight
--     { "set", name, state, message }      as a person
--     { "cancel" }                         as a person, and what cleans up runs

local null = require "cjson".null

local M = {}

--- More actions than this in one case mean that it does not end.
M.LIMIT = 3000

-- Tests: { kind, arguments }. A test is built anew for each play; the ones that count keep their count there.
local TESTS = {}

function TESTS.always() return function() return true end end

function TESTS.never() return function() return false end end

function TESTS.throws(text) return function() error(text, 0) end end

-- Holds at its first n evaluations.
function TESTS.first(n)
  local count = 0
  return function()
    count = count + 1
    return count <= n
  end
end

-- Throws at its first n evaluations, then is another test.
function TESTS.throws_first(n, text, test)
  local count, rest = 0, M.test(test)
  return function(v)
    count = count + 1
    if count <= n then error(text, 0) end
    return rest(v)
  end
end

function TESTS.state_is(state) return function(v) return v.step.this.state == state end end

function TESTS.try_at_least(n) return function(v) return v.step.this.try_count >= n end end

function TESTS.try_at_most(n) return function(v) return v.step.this.try_count <= n end end

function TESTS.has_error()
  return function(v)
    local text = v.step.this.error
    return text ~= nil and text ~= ""
  end
end

function TESTS.other_state(name, state)
  return function(v)
    local other = v.step[name]
    return other ~= nil and other.state == state
  end
end

-- About the last output of a step, which has the number of the call in `n`.
function TESTS.other_called(name, n)
  return function(v)
    local output = v.step[name].output
    return output ~= nil and output ~= null and output.n ~= nil and output.n >= n
  end
end

-- About the children of a foreach step that has contracted.
function TESTS.children_at_least(name, n)
  return function(v)
    local children = v.step[name].children
    return children ~= nil and #children >= n
  end
end

function TESTS.item_is(item) return function(v) return v.iterator == item end end

TESTS["not"] = function(test)
  local inner = M.test(test)
  return function(v) return not inner(v) end
end

--- The Lua function of a test.
---@param spec table
---@return fun(v: table): boolean
function M.test(spec)
  return TESTS[spec[1]](spec[2], spec[3], spec[4])
end

-- One play ------------------------------------------------------------------------------------------------------------

local ERROR = { client = "bad_request", waiting = "not_assigned", notprovisioned = "not_provisioned" }

local function position(list, value)
  for i, item in ipairs(list) do
    if item == value then return i end
  end
end

local function action(play, s)
  local counts = {}
  return function(v)
    local name, calls = s.name, s.calls
    if s.items then
      local i = position(s.items, v.iterator)
      name, calls = ("%s-%d"):format(s.name, i - 1), s.item_calls[i]
    end
    local n = (counts[name] or 0) + 1
    counts[name] = n
    play.executions[#play.executions + 1] = name
    if #play.executions > M.LIMIT then error("the case does not end", 0) end
    local call = calls and calls[n]
    local output, metadata = { n = n }, s.metadata and { m = n } or nil
    if call and call[1] == "cancel" then play.run:cancel() end
    if not call or call[1] == "ok" or call[1] == "cancel" then return output, metadata end
    local failure = ERROR[call[1]] and play.backend.error[ERROR[call[1]]](call[2]) or call[2]
    if call.output then return output, metadata, nil, failure end
    error(failure, 0)
  end
end

local function foreach(play, s)
  local count = 0
  return function()
    count = count + 1
    local what = s.expansions and s.expansions[count]
    if what == "throws" then error("no items for " .. s.name, 0) end
    if what == "not_list" then return "no list" end
    return play.backend.json.array { table.unpack(s.items) }
  end
end

local COPIED = {
  "name", "dependencies", "custom_states", "max_retries", "retry_pattern", "idempotent", "always", "foreach_strategy", "retry",
  "max_concurrent", "tolerate",
}

local function copied(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, inner in pairs(value) do copy[key] = copied(inner) end
  return copy
end

local function step_definition(play, s)
  local d = { action = action(play, s), foreach = s.items and foreach(play, s) or nil }
  for _, key in ipairs(COPIED) do d[key] = copied(s[key]) end
  for i, condition in ipairs(s.conditions or {}) do
    d.conditions = d.conditions or {}
    d.conditions[i] = {}
    for key, value in pairs(condition) do d.conditions[i][key] = copied(value) end
    d.conditions[i]["if"] = M.test(condition["if"])
  end
  return d
end

local function snapshot(play, op, refused)
  local run = play.run
  local result = {
    op = op, refused = refused, state = run.state, run_count = run.run_count, next_retry = run.next_retry, steps = {},
    executions = table.concat(play.executions, " ", play.reported + 1),
  }
  play.reported = #play.executions
  for name, s in pairs(run.steps) do
    local children = s.children
    result.steps[name] = {
      state = s.state, error = s.error or "", output = copied(s.output), metadata = copied(s.metadata),
      children = children and #children > 0 and copied(children) or nil, try_count = s.try_count or 0,
    }
  end
  return result
end

local DO = {}

function DO.resolve(play, seconds)
  play.now = play.now + (seconds or 0)
  local state, err = play.run:resolve()
  return not state and tostring(err.message) or nil
end

function DO.auto(play, seconds)
  if play.run.next_retry and play.run.state ~= "CANCELLED" then
    play.now = math.max(play.now, play.run.next_retry + seconds)
    play.run:wait { until_time = play.now }
  end
end

local IN_FLIGHT = { TODO = true, WAITING = true, SERVER_ERROR = true, TO_RETRY = true, CLIENT_ERROR = true }

-- Only what can be in flight is: no foreach parent, nothing that has ended. A run that is DONE cannot crash.
function DO.crash(play, names)
  if play.run.state == "DONE" or play.run.state == "CANCELLED" then return end
  local exported = play.run:export()
  exported.state = "RUNNING"
  for _, name in ipairs(names) do
    local s = exported.steps[name]
    if s and IN_FLIGHT[s.state] and not play.parents[name] then s.state = "RUNNING" end
  end
  play.run = play.backend.restore(exported, play.definition, { clock = play.clock })
end

function DO.set(play, name, state, message)
  if play.run.state == "DONE" or play.run.state == "CANCELLED" or not play.run.steps[name] then return end
  play.run:set_state(name, state, message)
end

function DO.cancel(play)
  if play.run.state == "DONE" or play.run.state == "CANCELLED" then return end
  play.run:cancel()
  if play.run.state == "RUNNING" then play.run:wait { until_time = play.now } end
end

--- Plays a case. What comes back is a list, one entry for what each operation of the plan left behind.
---@param case table
---@param backend table   the module `step`, or the reference
---@return table trace
function M.play(case, backend)
  local play = { backend = backend, executions = {}, reported = 0, now = 1000.0, parents = {} }
  play.clock = function() return play.now end
  local steps = {}
  for i, s in ipairs(case.steps) do
    steps[i], play.parents[s.name] = step_definition(play, s), s.items ~= nil
  end
  local definition, err = backend.define { name = "case", steps = steps, retry_max = case.run_max }
  if not definition then error("the definition was refused: " .. tostring(err), 0) end
  play.definition = definition
  play.run = definition:start { clock = play.clock }
  local trace = {}
  for i, op in ipairs(case.plan) do
    local refused = DO[op[1]](play, op[2], op[3], op[4])
    trace[i] = snapshot(play, op[1], refused)
  end
  return trace
end

return M
