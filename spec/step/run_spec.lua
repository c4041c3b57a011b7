-- step.run: the object people hold: starting, resolving, waiting, deciding, listening (chapter 6).

local clock = require "step.clock"
local flow = require "spec.support.flow"

local define, fate, refusal, start, states = flow.define, flow.fate, flow.refusal, flow.start, flow.states

local function nothing() end

local function definition_start(steps, options)
  local run = define(steps):start(options)
  return run
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
      { { clock = 5 }, "a clock is a function" }, { { deadline = "x" }, "bad option 'deadline'" },
      { { inputs = {} }, "unknown option 'inputs'" }, { { max_concurrent = 0 }, "bad option 'max_concurrent'" },
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
