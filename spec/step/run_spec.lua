-- step.run: the object people hold: starting, resolving, waiting, deciding, listening, exporting and restoring (chapter 6).

local clock = require "step.clock"
local json = require "step.json"
local step = require "step"

local null = json.null

--- The runner of these specs ends as its configuration says: an error kind or "done"; `until`: from that attempt on it is done.
step.register_runner("fate", function(_, _, config, ctx)
  if config["until"] and ctx.attempt >= config["until"] then return config.output end
  if not config.kind or config.kind == "done" then return config.output, config.metadata end
  return config.output, config.metadata, nil, step.error.new(config.kind, config.kind .. " happened")
end)

local function fate(kind, more)
  local configuration = more or {}
  configuration.kind = kind
  return { type = "fate", configuration = configuration }
end

local function nothing() end

local function define(steps, more)
  local document = { name = "flow", steps = steps }
  for key, value in pairs(more or {}) do document[key] = value end
  return assert(step.define(document))
end

--- A run of steps, and its clock.
local function start(steps, options, more)
  options = options or {}
  options.clock = options.clock or clock.manual()
  return assert(define(steps, more):start(options)), options.clock
end

local function definition_start(steps, options)
  local run = define(steps):start(options)
  return run
end

--- The state of every step.
local function states(run)
  local found = {}
  for name, st in pairs(run.steps) do found[name] = st.state end
  return found
end

--- The refusal of a call.
local function refusal(ok, err)
  assert.is_nil(ok)
  return err.kind, tostring(err)
end

describe("definition:start", function()
  it("gives a run that is TODO", function()
    local run = start({ { name = "a", action = nothing } }, { tags = { t = "1" } }, { tags = { t = "0", d = "2" } })
    assert.same({ "TODO", 0, 100, nil, nil }, { run.state, run.run_count, run.run_max, run.next_retry, run.error })
    assert.same({ t = "1", d = "2" }, run.tags)
    assert.same({ a = "TODO" }, states(run))
    assert.matches("^%x+%-%x+%-4%x%x%x%-[89ab]%x%x%x%-%x+$", run.id)
    assert.equal(36, #run.id)
    assert.equal(("step.Run: %s (TODO)"):format(run.id), tostring(run))
  end)
  it("gives every run an id of its own", function()
    local def, seen = define { { name = "a", action = nothing } }, {}
    for _ = 1, 100 do
      local run = assert(def:start { clock = clock.manual() })
      assert.is_nil(seen[run.id])
      seen[run.id] = true
      run:close()
    end
  end)
  it("S8.12: takes the inputs, with their defaults", function()
    local run = start({ { name = "a", action = function(v) return { v.input, v.resolver_input, v.config } end } },
      { input = { n = 5 }, resolver_input = { ok = true }, config = { c = { 1 } } },
      { inputs = { { name = "n", type = "number" }, { name = "d", default = "x" } }, resolver_inputs = { { name = "ok", type = "bool" } } })
    run:resolve()
    assert.same({ { n = 5, d = "x" }, { ok = true }, { c = { 1 } } }, run.steps.a.output)
  end)
  it("S8.12: refuses inputs with every error", function()
    local def = define({}, { inputs = { { name = "n", type = "number" }, { name = "m" } }, resolver_inputs = { { name = "r" } } })
    local run, err = def:start { input = { n = "x" } }
    assert.is_nil(run)
    assert.same({ "input", 2 }, { err.kind, #err.errors })
    run, err = def:start { input = { n = 1, m = "x" } }
    assert.is_nil(run)
    assert.equal("Missing input 'r'", err.errors[1].message)
  end)
  it("S7.4: .task has the context of the run", function()
    local run = start({ { name = "a", action = function(v) return { v.task.task_id, v.task.requester_username,
      v.task.resolver_username, v.task.created, v.task.title } end } },
      { requester_username = "eve", resolver_username = "bob", clock = clock.manual(90) })
    run:resolve()
    assert.same({ run.id, "eve", "bob", "1970-01-01T00:01:30Z", "flow" }, run.steps.a.output)
  end)
  it("D3: shares nothing with what it was given", function()
    local options = { input = { l = { "x" } }, config = { c = { 1 } }, tags = { t = "1" } }
    local run = start({ { name = "a", action = function(v) return { v.input.l, v.config.c } end } }, options,
      { inputs = { { name = "l", collection = true } } })
    options.input.l[1], options.config.c[1], options.tags.t = "y", 2, "2"
    run:resolve()
    assert.same({ { "x" }, { 1 } }, run.steps.a.output)
    assert.same({ t = "1" }, run.tags)
  end)
  it("raises an error for options that are none", function()
    local def, here = define {}, debug.getinfo(1, "S").short_src
    for _, case in ipairs {
      { "text", "bad argument #1 to 'start' (table expected, got string)" },
        { { tags = "x" }, "bad option 'tags' (table expected, got string)" },
      { { config = 5 }, "bad option 'config' (table expected, got number)" }, { { config = { f = print } }, "bad option 'config' (" },
      { { clock = 5 }, "a clock is a function" },
    } do
      local ok, message = pcall(function() def:start(case[1]) end)
      assert.is_false(ok)
      assert.matches(case[2], message, 1, true)
      assert.equal(here, message:match "^(.-):%d+: ", message)
    end
  end)
end)

describe("run.steps", function()
  it("shows what a step has", function()
    local run, c = start { { name = "a", action = fate("done", { output = { 1 }, metadata = { m = 1 } }), max_retries = 5 },
      { name = "b", action = fate "server", dependencies = { "a" } } }
    c.advance(100)
    run:resolve()
    local a, b = run.steps.a, run.steps.b
    assert.same({ "a", "DONE", { 1 }, { m = 1 }, nil, 1, 5, 100, nil },
      { a.name, a.state, a.output, a.metadata, a.error, a.try_count, a.max_retries, a.last_run, a.next_retry })
    assert.same({ "SERVER_ERROR", "server happened", 10000, 110 }, { b.state, b.error, b.max_retries, b.next_retry })
    assert.is_nil(run.steps.c)
    assert.is_nil(a.nothing)
  end)
  it("D1: is listed in the order of the definition, children last", function()
    local run = start { { name = "z", action = nothing }, { name = "each", action = fate "server", foreach = "[1, 2]" },
      { name = "a", action = nothing } }
    run:resolve()
    local names = {}
    for name in pairs(run.steps) do names[#names + 1] = name end
    assert.same({ "z", "each", "a", "each-0", "each-1" }, names)
  end)
  it("shows the fields of a step that have a value", function()
    local run = start({ { name = "a", action = fate("done", { output = 1 }) } }, { clock = clock.manual(5) })
    run:resolve()
    local fields = {}
    for key, value in pairs(run.steps.a) do fields[key] = value end
    assert.same({ name = "a", state = "DONE", output = 1, try_count = 1, max_retries = 10000, last_run = 5 }, fields)
  end)
  it("is read-only", function()
    local run = start { { name = "a", action = nothing } }
    assert.error_matches(function() run.steps.a.state = "DONE" end, "use run:set_state")
    assert.error_matches(function() run.steps.b = {} end, "use run:set_state")
  end)
end)

describe("run:resolve", function()
  it("S6.1: refuses a run that is cancelled or done", function()
    local run = start { { name = "a", action = nothing } }
    assert.equal("DONE", run:resolve())
    assert.same({ "refused", "Can't run resolution: already done" }, { refusal(run:resolve()) })
    local cancelled = start { { name = "a", action = nothing } }
    cancelled:cancel()
    assert.same({ "refused", "Can't run resolution: cancelled" }, { refusal(cancelled:resolve()) })
    assert.equal(0, cancelled.run_count)
  end)
  it("S6.1: refuses a run that is running", function()
    local run, inner
    run = start { { name = "a", action = function() inner = table.pack(run:resolve()) end } }
    assert.equal("DONE", run:resolve())
    assert.same({ "refused", "Can't run resolution: already running" }, { refusal(inner[1], inner[2]) })
  end)
  for kind, case in pairs {
    server = { "ERROR", "step 'a' is SERVER_ERROR: server happened" },
      bad_request = { "BLOCKED_BADREQUEST", "step 'a' is CLIENT_ERROR: bad_request happened" },
    not_assigned = { "WAITING", nil }, not_provisioned = { "ERROR", "step 'a' is TO_RETRY: not_provisioned happened" },
      done = { "DONE", nil },
  } do
    it("S6.4: the state, and why: " .. kind, function()
      local run = start { { name = "ok", action = nothing }, { name = "a", action = fate(kind) } }
      assert.equal(case[1], run:resolve())
      assert.same({ case[1], case[2], 1 }, { run.state, run.error, run.run_count })
    end)
  end
  it("S6.4: FATAL_ERROR is BLOCKED_FATAL, before all others", function()
    local run = start { { name = "bad", action = fate "bad_request" },
      { name = "a", action = fate("done", { output = '{{fail "x"}}' }) }, { name = "c", action = fate "server" } }
    assert.equal("BLOCKED_FATAL", run:resolve())
    assert.matches("^step 'a' is FATAL_ERROR: ", run.error)
  end)
  it("S2.4: what nothing can make available is BLOCKED_DEADLOCK", function()
    local run = start { { name = "a", action = fate("done"), custom_states = { "X" } },
      { name = "b", action = nothing, dependencies = { "a:X" } } }
    run:set_state("b", "TODO")
    run:resolve()
    assert.same({ a = "DONE", b = "PRUNE" }, states(run))
    run:set_state("b", "TODO")
    assert.equal("TODO", run.state)
    assert.equal("BLOCKED_DEADLOCK", run:resolve())
  end)
  it("S6.5: what a person asks for tries again what has failed, due or not", function()
    local run = start { { name = "a", action = fate("server", { ["until"] = 3 }) },
      { name = "b", action = nothing, dependencies = { "a" } } }
    assert.same({ "ERROR", "ERROR", "DONE" }, { run:resolve(), run:resolve(), (run:resolve()) })
    assert.same({ 3, 3, 1 }, { run.run_count, run.steps.a.try_count, run.steps.b.try_count })
  end)
  it("D18: retry_max counts the resolves that ended in ERROR", function()
    local run = start({ { name = "a", action = fate "server" } }, nil, { retry_max = 2 })
    assert.same({ "ERROR", "BLOCKED_MAXRETRIES" }, { run:resolve(), (run:resolve()) })
    assert.is_nil(run.next_retry)
    assert.matches("^step 'a' is SERVER_ERROR", run.error)
  end)
  it("fails with 'pending' when it waits for what nobody here brings, and wait goes on when it has come", function()
    local resume
    local run = start { { name = "a", action = { type = "lua",
      configuration = { fn = function(_, ctx) return ctx:await(function(go_on) resume = go_on end) end } } } }
    local kind, message = refusal(run:resolve())
    assert.equal("pending", kind)
    assert.matches("the run waits for something", message, 1, true)
    assert.same({ "RUNNING", "pending" }, { run.state, (refusal(run:wait())) })
    assert.same({ "refused", "Can't run resolution: already running" }, { refusal(run:resolve()) })
    resume "came"
    assert.equal("DONE", run:wait())
    assert.equal("came", run.steps.a.output)
  end)
end)

describe("run:wait", function()
  it("D17: resolves again when the next retry is due, by a manual clock", function()
    local run, c = start { { name = "a", action = fate("server", { ["until"] = 4 }) } }
    assert.equal("DONE", run:wait())
    assert.same({ 4, 4 }, { run.run_count, run.steps.a.try_count })
    assert.near(10 + 12.5 + 15.625, c.now(), 1e-6)
  end)
  it("D17: automatic resolves run only what is due", function()
    local run, c = start { { name = "slow", action = fate("server", { ["until"] = 2 }), retry_pattern = "minutes" },
      { name = "quick", action = fate("server", { ["until"] = 3 }) } }
    assert.equal("DONE", run:wait())
    assert.same({ 2, 3 }, { run.steps.slow.try_count, run.steps.quick.try_count })
    assert.same({ 96, 22.5, 96 }, { run.steps.slow.last_run, run.steps.quick.last_run, c.now() })
  end)
  it("ends at until_time", function()
    local run, c = start { { name = "a", action = fate "server" } }
    assert.equal("ERROR", run:wait { until_time = 25 })
    assert.same({ 3, 22.5 }, { run.run_count, c.now() })
    assert.equal("ERROR", run:wait { until_time = 25 })
    assert.equal(3, run.run_count)
  end)
  for kind, state in pairs { bad_request = "BLOCKED_BADREQUEST", not_assigned = "WAITING" } do
    it("ends when somebody must act: " .. state, function()
      local run, c = start { { name = "a", action = fate(kind) } }
      assert.equal(state, run:wait())
      assert.equal(0, c.now())
    end)
  end
  it("S6.3: asks once more when the run is WAITING", function()
    local run = start { { name = "a", action = fate("not_assigned", { ["until"] = 9 }) } }
    run:wait()
    local before = run.run_count
    run:wait()
    assert.equal(before + 1, run.run_count)
  end)
  it("gives the state of a run that has ended, without another resolve", function()
    local run = start { { name = "a", action = nothing } }
    run:resolve()
    assert.equal("DONE", run:wait())
    local cancelled, paused = start { { name = "a", action = nothing } }, start { { name = "a", action = nothing } }
    cancelled:cancel()
    paused:pause()
    assert.same({ "CANCELLED", "PAUSED", 1, 0 }, { cancelled:wait(), paused:wait(), run.run_count, paused.run_count })
  end)
  it("D18: ends in BLOCKED_MAXRETRIES", function()
    local run = start({ { name = "a", action = fate "server" } }, nil, { retry_max = 3 })
    assert.equal("BLOCKED_MAXRETRIES", run:wait())
    assert.equal(3, run.run_count)
  end)
  it("S4.1: ends when the tries of a step are used up", function()
    local run = start { { name = "a", action = fate "server", max_retries = 2 } }
    assert.equal("BLOCKED_FATAL", run:wait())
    assert.same({ 3, "Step reached max retries 2: server happened" }, { run.steps.a.try_count, run.steps.a.error })
  end)
end)

describe("run:set_state", function()
  it("sets a step's state, as a person", function()
    local run = start { { name = "a", action = fate "bad_request" }, { name = "b", action = nothing, dependencies = { "a" } } }
    run:resolve()
    assert.is_true(run:set_state("a", "DONE", "looked at it"))
    assert.same({ "DONE", "looked at it" }, { run.steps.a.state, run.steps.a.error })
    assert.equal("DONE", run:resolve())
  end)
  it("S6.6: a step that waited for a resource when it was exported had not begun", function()
    local engine <close> = step.engine { clock = step.manual_clock(0), resource_limits = { db = 1 } }
    local def = assert(step.define { name = "x", steps = {
      { name = "a", resources = { "db" }, execution_delay = "1s", action = function() end },
      { name = "b", resources = { "db" }, action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(50) end } } },
      { name = "c", resources = { "db" }, action = function() end },
    } })
    engine:add(def)
    local run = assert(engine:start "x")
    engine:work { until_time = 10 }
    local exported = assert(step.json.decode((step.json.encode(run:export()))))
    assert.same({ true, true }, { exported.steps.a.unbegun, exported.steps.c.unbegun })
    assert.is_nil(exported.steps.b.unbegun)
    local again = assert(step.restore(exported, def, { clock = step.manual_clock(0) }))
    assert.equal("BLOCKED_TOCHECK", again:resolve())
    assert.same({ "TODO", "CRASHED", "TODO" }, { again.steps.a.state, again.steps.b.state, again.steps.c.state })
  end)

  it("S2.3: prunes what does not accept it", function()
    local run = start { { name = "a", action = nothing, custom_states = { "MINE" } },
      { name = "b", action = nothing, dependencies = { "a" } },
      { name = "c", action = nothing, dependencies = { "b" } }, { name = "d", action = nothing, dependencies = { "a:MINE" } } }
    run:set_state("a", "MINE")
    assert.same({ a = "MINE", b = "PRUNE", c = "PRUNE", d = "TODO" }, states(run))
  end)
  it("makes a DONE run TODO when a step is open again", function()
    local run = start { { name = "a", action = nothing }, { name = "b", action = nothing } }
    run:resolve()
    run:set_state("a", "DONE")
    assert.equal("DONE", run.state)
    run:set_state("a", "TO_RETRY")
    assert.equal("TODO", run.state)
    assert.equal("DONE", run:resolve())
    assert.same({ 2, 1 }, { run.steps.a.try_count, run.steps.b.try_count })
  end)
  it("D8: of a RUNNING step waits for its result", function()
    local run
    run = start { { name = "a", custom_states = { "MINE" }, action = function()
      assert.is_true(run:set_state("a", "MINE", "meanwhile"))
      assert.equal("RUNNING", run.steps.a.state)
      return "out"
    end } }
    assert.equal("DONE", run:resolve())
    assert.same({ "MINE", "meanwhile", "out" }, { run.steps.a.state, run.steps.a.error, run.steps.a.output })
  end)
  it("refuses what cannot be, and says why", function()
    local run = start { { name = "fetch", action = nothing } }
    assert.same({ "refused", "the run has no step 'fech' (did you mean 'fetch'?)" }, { refusal(run:set_state("fech", "DONE")) })
    assert.same({ "refused", "the run has no step 'other'; it has: fetch" }, { refusal(run:set_state("other", "DONE")) })
    for _, state in ipairs { "RUNNING", "EXPANDED", "ANY", "NOPE", "" } do
      local kind, message = refusal(run:set_state("fetch", state))
      assert.equal("refused", kind)
      assert.matches(("step 'fetch' cannot be set to %q: "):format(state), message, 1, true)
    end
    assert.equal("TODO", run.steps.fetch.state)
  end)
  it("raises an error for a name that is no text", function()
    local run = start { { name = "a", action = nothing } }
    local ok, message = pcall(function() run:set_state(5, "DONE") end)
    assert.is_false(ok)
    assert.matches("a step's name expected, got number", message, 1, true)
    assert.equal(debug.getinfo(1, "S").short_src, message:match "^(.-):%d+: ")
  end)
  it("sets a child's state", function()
    local run = start { { name = "each", action = fate "bad_request", foreach = "[1, 2]" } }
    assert.equal("BLOCKED_BADREQUEST", run:resolve())
    run:set_state("each-0", "DONE")
    run:set_state("each-1", "PRUNE")
    assert.equal("DONE", run:resolve())
    assert.equal(1, #run.steps.each.children)
  end)
end)

describe("the deadline of a run", function()
  it("is an option of start: seconds, or a text", function()
    local def = define { { name = "a", action = nothing } }
    assert.equal(30, assert(def:start { clock = clock.manual(10), deadline = 20 }).deadline)
    assert.equal(70, assert(def:start { clock = clock.manual(10), deadline = "1m" }).deadline)
  end)
  for _, value in ipairs { 0, -1, "", "1", "-1s", true, {}, math.huge } do
    it("is refused when it is " .. tostring(value):gsub(": .*", ""), function()
      local ok, message = pcall(definition_start, { { name = "a", action = nothing } }, { deadline = value })
      assert.is_false(ok)
      assert.matches("bad option 'deadline'", message, 1, true)
      assert.matches("^spec/step/run_spec", message)
    end)
  end
end)

describe("run:cancel, pause and resume", function()
  it("S6.1: a cancelled run stays so", function()
    local run = start { { name = "a", action = nothing } }
    assert.is_true(run:cancel())
    assert.equal("CANCELLED", run.state)
    assert.same({ "refused", "the run is CANCELLED already" }, { refusal(run:cancel()) })
    assert.same({ "refused", "the run is CANCELLED already" }, { refusal(run:pause()) })
    assert.same({ "refused", "only a PAUSED run can be resumed, this one is CANCELLED" }, { refusal(run:resume()) })
    assert.same({ a = "TODO" }, states(run))
  end)
  it("a DONE run cannot be cancelled", function()
    local run = start { { name = "a", action = nothing } }
    run:resolve()
    assert.same({ "refused", "the run is DONE already" }, { refusal(run:cancel()) })
  end)
  for method, state in pairs { cancel = "CANCELLED", pause = "PAUSED" } do
    it(method .. " within a resolve: what is in flight ends, nothing else starts", function()
      local run
      run = start { { name = "a", action = function() run[method](run) end }, { name = "b", action = nothing },
        { name = "c", action = nothing, dependencies = { "a" } } }
      assert.equal(state, run:resolve())
      assert.same({ a = "DONE", b = "TODO", c = "TODO" }, states(run))
    end)
  end
  it("a paused run goes on when it is resumed", function()
    local run = start { { name = "a", action = nothing } }
    assert.is_true(run:pause())
    assert.equal("PAUSED", run.state)
    assert.is_true(run:resume())
    assert.equal("TODO", run.state)
    assert.same({ "refused", "only a PAUSED run can be resumed, this one is TODO" }, { refusal(run:resume()) })
    assert.equal("DONE", run:wait())
  end)
  it("a runner is told that its run is cancelled", function()
    local run, seen
    run = start { { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx)
      local before = ctx.cancelled
      run:cancel()
      seen = { before, ctx.cancelled }
    end } } } }
    run:resolve()
    assert.same({ false, true }, seen)
  end)
end)

describe("run:retry", function()
  it("makes a step and all that depends on it TODO, and says how many", function()
    local run = start { { name = "a", action = fate("done", { output = 1, metadata = { m = 1 } }) },
      { name = "b", action = fate("done", { output = 2, metadata = { m = 1 } }), dependencies = { "a" } },
      { name = "c", action = fate "bad_request", dependencies = { "b" } }, { name = "d", action = nothing } }
    run:resolve()
    assert.equal(2, run:retry { from = "b" })
    assert.same({ a = "DONE", b = "TODO", c = "TODO", d = "DONE" }, states(run))
    assert.same({ "TODO", nil, nil, nil, 0, nil }, { run.state, run.steps.b.output, run.steps.b.metadata, run.steps.c.error,
      run.steps.c.try_count, run.steps.c.last_run })
    assert.equal("BLOCKED_BADREQUEST", run:resolve())
    assert.same({ 1, 1, 1 }, { run.steps.a.try_count, run.steps.b.try_count, run.steps.d.try_count })
  end)
  it("of a foreach step forgets its children", function()
    local run = start { { name = "each", action = fate "server", foreach = "[1, 2, 3]" },
      { name = "after", action = nothing, dependencies = { "each" } } }
    run:resolve()
    assert.equal(2, run:retry { from = "each" })
    assert.same({ each = "TODO", after = "TODO" }, states(run))
    assert.is_nil(run.steps["each-0"])
    run:resolve()
    assert.equal("SERVER_ERROR", run.steps["each-0"].state)
  end)
  it("refuses an unknown step, a child, a run that is running", function()
    local run, inner
    run = start { { name = "each", foreach = "[1]", action = function() inner = table.pack(run:retry {
      from = "each" }) error "again" end } }
    run:resolve()
    assert.same({ "refused", "the run is running" }, { refusal(inner[1], inner[2]) })
    assert.same({ "refused", "the run has no step 'eech' (did you mean 'each'?)" }, { refusal(run:retry { from = "eech" }) })
    assert.same({ "refused", "'each-0' is a child of a foreach step: retry that step" }, { refusal(run:retry { from = "each-0" }) })
  end)
  it("of what failed makes that TODO, its tries forgotten, and nothing else", function()
    local run = start { { name = "done", action = fate "done" }, { name = "client", action = fate "bad_request" },
      { name = "server", action = fate("server", { ["until"] = 2 }), max_retries = 0 },
      { name = "each", action = fate "bad_request", foreach = "[1, 2]" },
      { name = "waits", action = fate "not_assigned" }, { name = "after", action = nothing, dependencies = { "client" } } }
    run:resolve()
    run:resolve()
    assert.equal("FATAL_ERROR", run.steps.server.state)
    run:set_state("each-1", "DONE")
    assert.equal(3, run:retry { only_failed = true })
    assert.same({ done = "DONE", client = "TODO", server = "TODO", each = "EXPANDED", ["each-0"] = "TODO", ["each-1"] = "DONE",
      waits = "WAITING", after = "TODO" }, states(run))
    assert.same({ "TODO", nil, 0, nil, 0 }, { run.state, run.steps.server.error, run.steps.server.try_count, run.steps.server.last_run,
      run.steps["each-0"].try_count })
    run:resolve()
    assert.same({ 1, 1, 2 }, { run.steps.server.try_count, run.steps.done.try_count, run.steps["each-1"].try_count })
  end)
  it("of what failed begins a foreach step anew that has failed with its children there", function()
    local run = start { { name = "a", action = fate "not_assigned" }, { name = "each", action = fate "not_assigned", foreach = "[1, 2]" },
      { name = "after", action = nothing, dependencies = { "each" } } }
    run:resolve()
    run:set_state("each", "FATAL_ERROR")
    assert.equal(2, run:retry { only_failed = true })
    assert.same({ a = "WAITING", each = "TODO", after = "TODO" }, states(run))
  end)
  it("of what failed is refused when nothing has, and leaves the run as it is", function()
    local run = start { { name = "a", action = fate "not_assigned" } }
    run:resolve()
    assert.same({ "refused", "no step of the run has failed" }, { refusal(run:retry { only_failed = true }) })
    assert.equal("WAITING", run.state)
  end)
  it("begins to count failed resolves anew", function()
    local run = start({ { name = "a", action = fate "server" } }, nil, { retry_max = 2 })
    run:resolve()
    assert.equal("BLOCKED_MAXRETRIES", run:resolve())
    run:retry { only_failed = true }
    assert.equal("ERROR", run:resolve())
    assert.equal("BLOCKED_MAXRETRIES", run:resolve())
    run:retry { from = "a" }
    assert.same({ "ERROR", 5 }, { run:resolve(), run.run_count })
  end)
  it("raises an error for what is neither { from = } nor { only_failed = true }", function()
    local run = start { { name = "a", action = nothing } }
    for _, wrong in ipairs { "a", {}, { from = 5 }, { from = "a", only_failed = true } } do
      assert.error_matches(function() run:retry(wrong) end, "bad argument #1 to 'retry'")
    end
  end)
end)

describe("run:is_complete", function()
  it("S1.2: when every step is final", function()
    local run = start { { name = "a", action = fate "bad_request", custom_states = { "MINE" } },
      { name = "b", action = nothing, dependencies = { "a:ANY" } } }
    assert.is_false(run:is_complete())
    run:resolve()
    assert.is_false(run:is_complete())
    run:set_state("a", "MINE")
    run:set_state("b", "PRUNE")
    assert.is_true(run:is_complete())
  end)
end)

describe("run:on", function()
  it("calls for every transition of the run and its steps, in order", function()
    local run, c = start { { name = "a", action = fate "bad_request" }, { name = "b", action = nothing } }
    c.advance(7)
    local seen, first = {}, nil
    run:on("transition", function(event)
      first = first or event
      seen[#seen + 1] = ("%s %s>%s%s"):format(event.step or "run", event.from, event.to, event.message and " " .. event.message or "")
    end)
    run:resolve()
    assert.same({ "run TODO>RUNNING", "a TODO>RUNNING", "a RUNNING>CLIENT_ERROR bad_request happened", "b TODO>RUNNING",
      "b RUNNING>DONE", "run RUNNING>BLOCKED_BADREQUEST" }, seen)
    assert.same({ run, 7 }, { first.run, first.time })
  end)
  it("numbers the events", function()
    local run = start { { name = "a", action = nothing } }
    local last
    run:on("transition", function(event)
      if last then assert.is_true(event.seq > last) end
      last = event.seq
    end)
    run:resolve()
    assert.is_number(last)
  end)
  it("ends with the function that it gives", function()
    local run = start { { name = "a", action = fate "server" } }
    local seen = { 0, 0 }
    local off = run:on("transition", function() seen[1] = seen[1] + 1 end)
    local other = run:on("transition", function() seen[2] = seen[2] + 1 end)
    run:resolve()
    off()
    off()
    run:resolve()
    assert.same({ 4, 8 }, seen)
    other()
    run:resolve()
    assert.same({ 4, 8 }, seen)
    run:on("transition", function() seen[1] = seen[1] + 1 end)
    run:resolve()
    assert.same({ 8, 8 }, seen)
  end)
  it("may end itself without the others missing an event", function()
    local run = start { { name = "a", action = nothing } }
    local seen, off = { 0, 0, 0 }, nil
    run:on("transition", function() seen[1] = seen[1] + 1 end)
    off = run:on("transition", function() seen[2] = seen[2] + 1 off() end)
    run:on("transition", function() seen[3] = seen[3] + 1 end)
    run:resolve()
    assert.same({ 4, 1, 4 }, seen)
  end)
  it("S5.1: tells of children", function()
    local run = start { { name = "each", action = nothing, foreach = "[1]" } }
    local seen = {}
    run:on("transition", function(event) if event.step == "each-0" then seen[#seen + 1] = event.to end end)
    run:resolve()
    assert.same({ "RUNNING", "DONE" }, seen)
  end)
  it("raises an error for an unknown event or no function", function()
    local run = start { { name = "a", action = nothing } }
    assert.error_matches(function() run:on("transitions", nothing) end, 'unknown event "transitions"; accepted: transition')
    assert.error_matches(function() run:on("transition", 5) end, "function expected, got number")
  end)
end)

describe("run:close", function()
  it("every later call fails, a second close does not", function()
    local run = start { { name = "a", action = nothing } }
    run:close()
    run:close()
    for name, call in pairs {
      resolve = function() return run:resolve() end, wait = function() return run:wait() end, cancel = function() return run:cancel() end,
      pause = function() return run:pause() end, resume = function() return run:resume() end, export = function() return run:export() end,
      set_state = function() return run:set_state("a", "DONE") end, retry = function() return run:retry { from = "a" } end,
    } do
      assert.same({ "closed", "the run is closed" }, { refusal(call()) }, name)
    end
    assert.has_error(function() run:is_complete() end)
    for _, key in ipairs { "steps", "tags", "error", "run_count", "run_max", "next_retry" } do
      assert.error_matches(function() return run[key] end, ("the run is closed: its %s cannot be read"):format(key))
    end
    assert.same({ "CLOSED", ("step.Run: %s (CLOSED)"):format(run.id) }, { run.state, tostring(run) })
    run:on("transition", nothing)()
  end)
  it("is done by a variable that goes out of scope", function()
    local kept
    do
      local run <close> = start { { name = "a", action = nothing } }
      kept = run
    end
    assert.equal("CLOSED", kept.state)
  end)
  it("gives up what is in flight", function()
    local run
    run = start { { name = "a", action = function() run:close() return "lost" end }, { name = "b", action = nothing } }
    assert.same({ "closed", "the run is closed" }, { refusal(run:resolve()) })
  end)
  it("views of its steps cannot be read any more", function()
    local run = start { { name = "a", action = nothing } }
    local a, steps = run.steps.a, run.steps
    run:close()
    assert.error_matches(function() return a.state end, "the run is closed")
    assert.error_matches(function() return steps.a end, "the run is closed")
  end)
end)

describe("run:export and step.restore", function()
  --- Through JSON, as a file would keep it.
  local function through_json(exported) return assert(json.decode(assert(json.encode(exported)))) end

  --- A restored run whose export is the one it was made of.
  local function restored(run, def, c)
    local exported = through_json(assert(run:export()))
    local again = assert(step.restore(exported, def, { clock = c or clock.manual() }))
    local second = through_json(assert(again:export()))
    if exported.state == "RUNNING" then
      assert.equal("CRASHED", second.state)
      exported.state, second.state = nil, nil
    end
    assert.same(exported, second)
    return again
  end

  local function conditioned(action, conditions, more)
    local spec = more or {}
    spec.action, spec.conditions = action, conditions
    return spec
  end

  local broken = { { type = "check", ["if"] = { { value = "x", operator = "GT", expected = "1" } }, ["then"] = { this = "DONE" } } }

  it("has µTask's form", function()
    local run = start({ { name = "a", description = "d", action = fate("server", { output = { 1 }, metadata = { m = 1 } }),
      max_retries = 3, resources = { "r" } }, { name = "b", action = nothing, dependencies = { "a" } } },
      { input = { n = 1 }, resolver_input = { r = "x" }, config = { c = 1 }, tags = { t = "1" }, requester_username = "eve",
        resolver_username = "bob", clock = clock.manual(60) },
      { inputs = { { name = "n", type = "number" } }, resolver_inputs = { { name = "r" } }, description = "a flow" })
    run:resolve()
    local exported = assert(run:export())
    assert.same({
      id = run.id, name = "flow", state = "ERROR", run_count = 1, run_max = 100, failed_count = 1, next_retry = "1970-01-01T00:01:10Z",
        created = "1970-01-01T00:01:00Z",
      tags = { t = "1" }, input = { n = 1 }, resolver_input = { r = "x" }, config = { c = 1 }, requester_username = "eve",
        resolver_username = "bob", order = { "a", "b" },
      definition = { name = "flow", description = "a flow", inputs = { { name = "n", type = "number" } },
        resolver_inputs = { { name = "r" } } },
      steps = {
        a = { name = "a", description = "d", action = { type = "fate",
          configuration = { kind = "server", output = { 1 }, metadata = { m = 1 } } }, max_retries = 3, resources = { "r" },
          state = "SERVER_ERROR", output = { 1 }, metadata = { m = 1 }, error = "server happened", try_count = 1,
            last_run = "1970-01-01T00:01:00Z", next_retry = "1970-01-01T00:01:10Z" },
        b = { name = "b", action = { type = "function", ["$lua"] = "function" }, dependencies = { "a" }, state = "TODO" },
      },
    }, exported)
  end)

  it("keeps timeouts, a deadline and what cleans up", function()
    local run = start({ { name = "a", action = fate "server", timeout = "5s", acquire_timeout = 2 },
      { name = "b", action = fate "done", dependencies = { "a" }, always = true } }, { clock = clock.manual(60) }, { deadline = "1m" })
    assert.is_nil(run:export().deadline) -- it counts from the first resolve
    run:resolve()
    local exported = through_json(run:export())
    assert.same({ "1970-01-01T00:02:00Z", "1m", "5s", 2, true }, { exported.deadline, exported.definition.deadline,
      exported.steps.a.timeout, exported.steps.a.acquire_timeout, exported.steps.b.always })
    local again = restored(run, nil, clock.manual(90))
    assert.equal(120, again.deadline)
    assert.equal("CANCELLED", again:wait())
    assert.same({ "the run's deadline of 1970-01-01T00:02:00Z has passed", { a = "SERVER_ERROR", b = "DONE" } },
      { again.error, states(again) })
    assert.equal(again.error, restored(again).error)
  end)

  it("goes on with the cleaning of a run that was being cancelled", function()
    local run, exported
    run = start { { name = "a", action = fate "done" }, { name = "b", action = { type = "lua", configuration = { fn = function()
      run:cancel()
      run:cancel()
    end } } }, { name = "c", action = fate "done", dependencies = { "b" }, always = true, idempotent = true } }
    run:on("transition", function(event) if event.step == "b" and event.to == "DONE" then exported = run:export() end end)
    assert.equal("CANCELLED", run:resolve())
    assert.same({ "RUNNING", "cancelled", "TODO" }, { exported.state, exported.ending, exported.steps.c.state })
    assert.equal("cancelled", run:export().ending)
    exported.steps.c.state = "RUNNING" -- as if it had been about it
    local again = assert(step.restore(exported, run.definition, { clock = clock.manual() }))
    assert.same({ nil, "the run is being cancelled" }, { (again:pause()), select(2, refusal(again:pause())) })
    assert.equal("CANCELLED", again:wait())
    assert.same({ a = "DONE", b = "DONE", c = "DONE" }, states(again))
    exported.steps.c.idempotent = nil -- nobody has said that it may be done twice
    exported.definition, exported.steps.b.action = { name = "flow" }, fate "done"
    again = assert(step.restore(exported, nil, { clock = clock.manual() }))
    assert.equal("CANCELLED", again:wait())
    assert.equal("CRASHED", again.steps.c.state)
  end)

  for what, change in pairs { ["deadline is no time"] = { deadline = "soon" }, ["bad argument"] = { ending = "somehow" } } do
    it("refuses one of which the " .. what, function()
      local run = start { { name = "a", action = fate "done" } }
      local exported = run:export()
      for key, value in pairs(change) do exported[key] = value end
      local kind, message = refusal(step.restore(exported))
      assert.equal("restore", kind)
      assert.matches(what, message, 1, true)
    end)
  end

  it("D3: is a copy", function()
    local run = start { { name = "a", action = fate("done", { output = { list = { 1 } } }) } }
    run:resolve()
    local exported = run:export()
    exported.steps.a.output.list[1], exported.steps.a.action.configuration.output.list[1], exported.tags.t = 2, 2, "x"
    assert.same({ list = { 1 } }, run.steps.a.output)
    assert.same({ list = { 1 } }, run:export().steps.a.action.configuration.output)
    assert.same({}, run.tags)
  end)

  it("brings back every state of a step, and goes on as the run itself does", function()
    local steps = {
      { name = "done", action = fate("done", { output = { n = 1.0, list = json.array(), object = {}, null = null },
        metadata = { m = 1 } }) },
      { name = "custom", action = fate "done", custom_states = { "MINE" },
        conditions = { { type = "check", ["then"] = { this = "MINE" }, message = "mine" } } },
      { name = "pruned", action = fate "done", dependencies = { "custom" } },
      { name = "client", action = fate("bad_request", { ["until"] = 2 }) },
      { name = "server", action = fate("server", { ["until"] = 2 }), retry_pattern = "minutes", idempotent = true },
      { name = "retry", action = fate("not_provisioned", { ["until"] = 3 }) },
      { name = "waiting", action = fate("not_assigned", { ["until"] = 2 }) },
      { name = "fatal", action = fate "server", max_retries = 0 },
      { name = "skipped", action = fate "done", conditions = { { type = "skip", ["then"] = { this = "DONE" }, message = "skipped" } } },
      { name = "unevaluated", action = fate "done", conditions = { { type = "skip",
        ["if"] = { { value = "x", operator = "GT", expected = "1" } }, ["then"] = { this = "DONE" } } } },
      { name = "afterrun", action = fate("bad_request", { output = "kept" }), conditions = broken },
      { name = "todo", action = fate "done", dependencies = { "client", "custom:MINE" } },
      { name = "any", action = fate "done", dependencies = { "waiting:ANY" } },
    }
    local def = define(steps)
    local c, d = clock.manual(50), clock.manual(50)
    local run = assert(def:start { clock = c })
    assert.equal("BLOCKED_BADREQUEST", run:resolve())
    assert.same({ done = "DONE", custom = "MINE", pruned = "PRUNE", client = "CLIENT_ERROR", server = "SERVER_ERROR",
      retry = "TO_RETRY", waiting = "WAITING", fatal = "SERVER_ERROR",
      skipped = "DONE", unevaluated = "SERVER_ERROR", afterrun = "AFTERRUN_ERROR", todo = "TODO", any = "TODO" }, states(run))
    local again = restored(run, nil, d)
    assert.same(states(run), states(again))
    assert.equal("[]", json.encode(again.steps.done.output.list))
    c.advance(5)
    d.advance(5)
    assert.equal(run:resolve(), (again:resolve()))
    assert.equal("FATAL_ERROR", again.steps.fatal.state)
    assert.same(through_json(run:export()), through_json(again:export()))
    again = restored(again, nil, d)
    assert.equal(run:resolve(), (again:resolve()))
    assert.same(through_json(run:export()), through_json(again:export()))
  end)

  it("D6: AFTERRUN_ERROR comes back with the state and the error that the action ended with", function()
    local def = define { { name = "a", action = fate("bad_request", { output = "kept" }), conditions = { { type = "check", ["then"] = {},
      ["if"] = { { value = "{{.step.b.output}}", operator = "GT", expected = "1" } } } } },
        { name = "b", action = fate("done", { output = "{{.config.n}}" }) } }
    local run = assert(def:start { clock = clock.manual(), config = { n = "5" } })
    assert.equal("ERROR", run:resolve())
    local exported = through_json(run:export())
    assert.same({ "AFTERRUN_ERROR", "CLIENT_ERROR", "bad_request happened", "kept" },
      { exported.steps.a.state, exported.steps.a.ended, exported.steps.a.ended_error, exported.steps.a.output })
    local again = restored(run)
    assert.equal("BLOCKED_BADREQUEST", again:resolve())
    assert.same({ "CLIENT_ERROR", "bad_request happened", 1, "kept" },
      { again.steps.a.state, again.steps.a.error, again.steps.a.try_count, again.steps.a.output })
  end)

  for _, strategy in ipairs { "parallel", "sequence" } do
    it(("S5.1, D14: children come back with their items, null too: %s"):format(strategy), function()
      local action = { type = "fate", configuration = { kind = '{{if eq (toJson .iterator) "null"}}server{{else}}done{{end}}',
        output = "{{toJson .iterator}}", ["until"] = 2 } }
      local run = start { { name = "each", description = "every", action = action, foreach = '[null, 1, {"a": [1]}]',
        foreach_strategy = strategy, max_retries = 4,
        conditions = { { type = "skip", foreach = "parent", ["if"] = { { value = "1", operator = "EQ", expected = "2" } },
          ["then"] = { this = "DONE" } } } },
        { name = "after", action = fate("done", { output = "{{range .step.each.children}}{{.output}};{{end}}" }),
          dependencies = { "each" } } }
      assert.equal("ERROR", run:resolve())
      assert.equal("EXPANDED", run.steps.each.state)
      local exported = through_json(run:export())
      assert.same({ "each-0", "each-1", "each-2" }, exported.steps.each.children_steps)
      assert.same({ ["each-0"] = true, ["each-1"] = true, ["each-2"] = true }, exported.steps.each.children_steps_map)
      assert.same({ "each-0:ANY", "each-1:ANY", "each-2:ANY" }, exported.steps.each.dependencies)
      assert.same({ "each", "after" }, exported.order)
      local child = exported.steps["each-2"]
      assert.same({ "each-2", "2 - every", { a = { 1 } }, 4, strategy == "sequence" and { "each-1" } or nil },
        { child.name, child.description, child.item, child.max_retries, child.dependencies })
      assert.same({ nil, nil }, { child.foreach, child.foreach_strategy })
      assert.equal(null, exported.steps["each-0"].item)
      local again = restored(run)
      assert.equal("DONE", again:wait())
      assert.same({ null, 1, { a = { 1 } } }, { again.steps.each.children[1].metadata.iterator,
        again.steps.each.children[2].metadata.iterator, again.steps.each.children[3].metadata.iterator })
      assert.equal('null;1;{"a":[1]};', again.steps.after.output)
      restored(again)
    end)
  end

  it("S6.6: a run that was RUNNING is CRASHED; an idempotent step runs again, another one waits for a person", function()
    local exported
    local run
    step.register_runner("exporting", function() exported = exported or run:export() end)
    local steps = { { name = "again", action = fate "done", idempotent = true }, { name = "once", action = { type = "exporting" } },
      { name = "after", action = nothing, dependencies = { "once" } } }
    local def = define(steps)
    run = assert(def:start { clock = clock.manual() })
    run:resolve()
    assert.same({ "RUNNING", "DONE", "RUNNING" }, { exported.state, exported.steps.again.state, exported.steps.once.state })
    exported.steps.again.state = "RUNNING"
    local c = clock.manual()
    local again = assert(step.restore(through_json(exported), def, { clock = c }))
    assert.same({ "CRASHED", 1 }, { again.state, again.run_count })
    assert.equal("BLOCKED_TOCHECK", again:resolve())
    assert.same({ again = "TODO", once = "CRASHED", after = "TODO" }, states(again))
    assert.same({ 1, "step 'once' is CRASHED" }, { again.run_count, again.error })
    local later = restored(again, def)
    assert.equal("DONE", later:resolve())
    assert.equal(2, later.run_count)
  end)

  it("D27: counts the crashes that found a step RUNNING", function()
    local def = define { { name = "a", action = fate "done", idempotent = true } }
    local exported = through_json(assert(assert(def:start { clock = clock.manual() }):export()))
    local run
    for crash = 1, 3 do
      exported.state, exported.steps.a.state = "RUNNING", "RUNNING"
      run = assert(step.restore(exported, nil, { clock = clock.manual() }))
      run:on("transition", function(event) if event.step == "a" and event.to == "TODO" then run:pause() end end)
      run:resolve()
      exported = through_json(run:export())
      assert.equal(crash, exported.steps.a.takeovers)
    end
    assert.same({ "BLOCKED_TOCHECK", "CRASHED" }, { run.state, run.steps.a.state })
  end)

  for state, prepare in pairs {
    TODO = function() end, DONE = function(run) run:resolve() end, CANCELLED = function(run) run:cancel() end,
      PAUSED = function(run) run:pause() end,
  } do
    it("brings back the state of a run: " .. state, function()
      local run = start { { name = "a", action = fate "done" } }
      prepare(run)
      assert.equal(state, restored(run).state)
    end)
  end

  it("D18: brings back the counters and the limits", function()
    local run = start({ { name = "w", action = fate "not_assigned" }, { name = "s", action = fate "server" } }, nil, { retry_max = 3 })
    run:resolve()
    run:resolve()
    local again = restored(run)
    assert.same({ 2, 3 }, { again.run_count, again.run_max })
    assert.equal("BLOCKED_MAXRETRIES", again:resolve())
  end)

  it("S7.3, D4: brings back functions, as they were", function()
    assert(step.register_function { name = "stored", action = fate("server", { output = "old {{.function_args.x}}", ["until"] = 2 }),
      custom_states = { "GOOD" },
      conditions = { { type = "check", ["then"] = { this = "GOOD" } } } })
    local run = start { { name = "a", action = { type = "stored", configuration = { x = 1 } } } }
    run:resolve()
    local exported = through_json(run:export())
    assert.same({ "stored" }, { next(exported.functions) and "stored" })
    assert(step.register_function { name = "stored", action = fate("done", { output = "new" }) })
    local again = assert(step.restore(exported, nil, { clock = clock.manual() }))
    assert.equal("DONE", again:resolve())
    assert.same({ "GOOD", "old 1" }, { again.steps.a.state, again.steps.a.output })
  end)

  it("S8.12: brings back inputs, config, users, tags", function()
    local text = "{{.input.i}} {{.resolver_input.r}} {{.config.c}} {{.task.requester_username}} {{.task.resolver_username}} " ..
      "{{.task.created}} {{eval `v`}}"
    local run = start({ { name = "a", action = fate("done", { output = text }) } },
      { input = { i = "in" }, resolver_input = { r = "res" }, config = { c = "conf" }, requester_username = "eve",
        resolver_username = "bob", tags = { t = "1" }, clock = clock.manual(60) },
      { inputs = { { name = "i" } }, resolver_inputs = { { name = "r" } }, variables = { { name = "v", value = "var" } },
        tags = { d = "2" } })
    local again = restored(run)
    again:resolve()
    assert.equal("in res conf eve bob 1970-01-01T00:01:00Z var", again.steps.a.output)
    assert.same({ t = "1", d = "2" }, again.tags)
    assert.equal(run.id, again.id)
  end)

  it("needs the definition where it holds Lua functions", function()
    local fn = function() return "x" end
    assert(step.register_function { name = "with-lua", action = { type = "echo", configuration = { output = fn } } })
    for place, case in pairs {
      ["step 'a'"] = { { { name = "a", action = fn } } },
      ["step 'b'"] = { { { name = "b", action = { type = "echo", configuration = { output = { deep = { fn } } } } } } },
      ["step 'c'"] = { { conditioned({ type = "echo" }, { { type = "check", ["if"] = fn } }, { name = "c" }) } },
      ["the function 'with-lua'"] = { { { name = "d", action = { type = "with-lua" } } } },
      ["the definition"] = { { { name = "e", action = { type = "echo", base_configuration = "b" } } },
        { base_configurations = { b = { output = fn } } } },
    } do
      local run = start(case[1], nil, case[2])
      local exported = through_json(run:export())
      local again, err = step.restore(exported)
      assert.is_nil(again)
      assert.same({ "definition", place .. " of the exported run holds Lua functions, which are not data: " ..
        "pass its definition to restore, too" }, { err.kind, tostring(err) })
      restored(run, run.definition)
    end
  end)

  for name, case in pairs {
    ["without steps"] = { function(e) e.steps = nil end, "it has no steps" },
    ["with a step in no state"] = { function(e) e.steps.a.state = "NOPE" end, "step 'a': " },
    ["in no state"] = { function(e) e.state = "NOPE" end, "a run has no state 'NOPE'" },
    ["with a negative count"] = { function(e) e.run_count = -1 end, "count out of range" },
    ["with a try_count that is none"] = { function(e) e.steps.a.try_count = "x" end, "step 'a': " },
    ["that names a child which it lacks"] = { function(e) e.steps.each.children_steps = { "each-0" } end,
      "step 'each' names a child 'each-0', which it lacks" },
    ["with children of a step that has no foreach"] = { function(e) e.steps.a.children_steps = { "a-0" } e.steps["a-0"] = {
      name = "a-0", item = 1 } end, "step 'a': " },
    ["that lacks a step"] = { function(e) e.steps.a = nil end, "its definition has a step 'a', which it lacks", true },
    ["with a step too many"] = { function(e) e.steps.more = { name = "more", state = "TODO" } end,
      "it has a step 'more', which its definition lacks", true },
  } do
    it("refuses an exported run " .. name, function()
      local def = define { { name = "a", action = fate "done" }, { name = "each", action = fate "done", foreach = "[]" } }
      local exported = through_json(assert(def:start { clock = clock.manual() }):export())
      case[1](exported)
      local run, err = step.restore(exported, case[3] and def or nil, { clock = clock.manual() })
      assert.is_nil(run)
      assert.equal("restore", err.kind)
      assert.matches("^the exported run is refused: ", tostring(err))
      assert.matches(case[2], tostring(err), 1, true)
    end)
  end

  it("refuses an exported run whose definition is refused, with what is wrong", function()
    local exported = through_json(start({ { name = "a", action = fate "done" } }):export())
    exported.steps.a.action.type = "gone"
    local run, err = step.restore(exported)
    assert.is_nil(run)
    assert.same({ "definition", "a", "action.type" }, { err.kind, err.errors[1].step, err.errors[1].field })
  end)

  it("raises an error for what is no table", function()
    assert.error_matches(function() step.restore "text" end, "bad argument #1 to 'restore' %(table expected, got string%)")
  end)
end)
