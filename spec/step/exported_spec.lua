-- step.exported: runs as plain data, and made again of it (chapter 6, S6.6).

local clock = require "step.clock"
local flow = require "spec.support.flow"
local json = require "step.json"
local step = require "step"

local null = json.null

local define, fate, refusal, start, states = flow.define, flow.fate, flow.refusal, flow.start, flow.states

local function nothing() end

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

  for what, change in pairs { ["its deadline: a time is expected, found \"soon\""] = { deadline = "soon" },
    ["its created: a time is expected"] = { created = 1e18 }, ["its next_retry: a time is expected"] = { next_retry = 0 / 0 },
    ["step 'a': its last_run: a time is expected"] = { steps = { a = { last_run = math.mininteger } } },
    ["its input: $.n: "] = { input = { n = 0 / 0 } }, ["its tags: $.f: a function"] = { tags = { f = print } },
    ["the variables of its definition: a list is expected, found 1"] = { definition = { variables = 1 } },
    ["ending: cancelled or deadline is expected"] = { ending = "somehow" } } do
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
    ["with a try_count that is none"] = { function(e) e.steps.a.try_count = "x" end,
      "step 'a': its try_count: a whole number is expected, found \"x\"" },
    ["with a config that is none"] = { function(e) e.config = 3 end, "its config: an object is expected, found 3" },
    ["with tags that are none, by the first of what is wrong"] = { function(e) e.tags, e.run_max, e.name = "x", "x", nil end,
      "its run_max: a whole number is expected, found \"x\"" },
    ["with an order that is none"] = { function(e) e.order = { "a", 3 } end, "its order: a list of names is expected, found a list" },
    ["with a step that is none"] = { function(e) e.steps.a = 3 end, "step 'a' is no object: 3" },
    ["with children that are none"] = { function(e) e.steps.each.children = 3 end,
      "step 'each': its children: a list is expected, found 3" },
    ["with a state that is none"] = { function(e) e.steps.a.state = 3 end, "step 'a': " },
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

  it("takes null for what is not there", function()
    local exported = through_json(start({ { name = "a", action = fate "done" } }):export())
    for _, key in ipairs { "order", "deadline", "next_retry", "failed_count", "functions", "inbox", "ending", "max_concurrent", "tags",
      "config", "input", "resolver_input", "created", "requester_username" } do exported[key] = json.null end
    for _, key in ipairs { "resources", "tags", "dependencies", "children", "children_steps", "children_steps_map", "item", "error",
      "last_run", "next_retry", "expires", "wait_count", "pre_hook", "foreach", "description" } do exported.steps.a[key] = json.null end
    local run = assert(step.restore(exported))
    assert.equal("DONE", run:resolve())
  end)

  it("raises an error for what is no table", function()
    assert.error_matches(function() step.restore "text" end, "bad argument #1 to 'restore' %(table expected, got string%)")
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
end)
