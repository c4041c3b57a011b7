-- step.runners.workflow: child runs (S4.5, D18; µTask's subtask), and what parents and children hear of each other.

local refused = require "spec.support.refused"
local step = require "step"
local stores = require "spec.support.stores"

local define, refusal = stores.define, stores.refusal

local function calls(name, more, fields)
  local configuration = { definition = name }
  for key, value in pairs(more or {}) do configuration[key] = value end
  local spec = { name = "call", action = { type = "workflow", configuration = configuration } }
  for key, value in pairs(fields or {}) do spec[key] = value end
  return spec
end

local function twice(fields)
  return define("twice", { { name = "a", action = function(v) return v.input.n * 2 end } },
    { inputs = { { name = "n", type = "number" } }, result_format = fields and fields.result_format, title_format = "twice {{.input.n}}" })
end

local function only_child(engine, run)
  local found
  for child in engine:list { parent = run.id } do
    assert.is_nil(found)
    found = child
  end
  return assert(found)
end

local function children_of(engine, run)
  local states = {}
  for child in engine:list { parent = run.id } do states[#states + 1] = child.state end
  return states
end

for where, site in stores.each() do describe("the runner workflow, " .. where .. ",", function()
  after_each(stores.clean)

  it("runs a definition as a child run, waits for it and takes its result", function()
    local here = site(twice(), define("top", { calls("twice", { input = { n = 21 } }) }))
    local run = assert(here.engine:start("top", { requester_username = "ann", resolver_username = "rob" }))
    assert.equal("WAITING", run:resolve())
    local child = only_child(here.engine, run)
    assert.same({ run.id, "call", "TODO" }, { child.parent, child.parent_step, child.state })
    assert.equal(("waits for the run %s ('twice')"):format(child.id), run.steps.call.error)
    assert.same({ id = child.id, state = "TODO", attempt = 1 }, run.steps.call.metadata)
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.equal("DONE", run.state)
    assert.same({ id = child.id, state = "DONE", title = "twice 21", result = { a = 42 }, requester_username = "ann",
      resolver_username = "rob" }, run.steps.call.output)
    assert.same({ id = child.id, state = "DONE" }, run.steps.call.metadata)
    assert.same({ 1, nil }, { run.steps.call.try_count, run.steps.call.error }) -- D18: waiting is no try
    assert.equal(1000, here.clock.now())
  end)

  it("gives the child's result_format as its result, and the step's own names and texts templated", function()
    local here = site(twice { result_format = { doubled = "{{.step.a.output}}" } }, define("top", {
      { name = "n", action = function() return { n = 4 } end },
      calls("{{.input.what}}", { json_input = '{"n": {{.step.n.output.n}}}', tags = { of = "{{.task.title}}" },
        requester_username = "eve" }, { dependencies = { "n" } }),
    }, { inputs = { { name = "what" } } }))
    local run = assert(here.engine:start("top", { input = { what = "twice" } }))
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.equal("DONE", run.state)
    assert.same({ { doubled = "8" }, "eve" }, { run.steps.call.output.result, run.steps.call.output.requester_username })
    assert.same({ of = "top" }, only_child(here.engine, run).tags)
  end)

  it("knows µTask's words: subtask, template, json_input, who may see it", function()
    local here = site(twice(), define("top", { { name = "call", action = { type = "subtask", configuration = {
      template = "twice", json_input = '{"n": 3}', resolver_usernames = '["a"]', watcher_groups = "[]",
    } } } }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert.same({ a = 6 }, here.engine:run(run.id).steps.call.output.result)
  end)

  it("gives the outputs of a child's loop as a list", function()
    local here = site(define("loop", {
      { name = "each", foreach = function() return { 1, 2 } end, action = function(v) return v.iterator * 10 end },
      { name = "silent", action = function() end },
    }), define("top", { calls "loop" }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert.same({ each = { 10, 20 } }, here.engine:run(run.id).steps.call.output.result)
  end)

  it("does not begin with a child before its delay is over", function()
    for _, delay in ipairs { "10m", 600, "600", "{{.input.delay}}" } do
      local here = site(twice(), define("top", { calls("twice", { input = { n = 1 }, delay = delay }) },
        { inputs = { { name = "delay", type = "number" } } }))
      local run = assert(here.engine:start("top", { input = { delay = 600 } }))
      assert(here.engine:work { until_idle = true })
      assert.equal("DONE", here.engine:run(run.id).state)
      assert.is_true(here.clock.now() >= 1600 and here.clock.now() < 1602)
    end
  end)

  it("survives a restart between any two of its parts", function()
    local here = site(twice(), define("top", { calls("twice", { input = { n = 21 } }) }))
    local run = assert(here.engine:start "top")
    assert.equal("WAITING", run:resolve())
    local engine = here.restart()
    local child = only_child(engine, run)
    assert.equal("DONE", child:resolve())
    engine = here.restart()
    assert.equal("WAITING", engine:run(run.id).state)
    assert(engine:work { until_idle = true })
    run = here.restart():run(run.id)
    assert.same({ "DONE", { a = 42 }, child.id }, { run.state, run.steps.call.output.result, run.steps.call.output.id })
  end)

  it("has the step's timeout to end in, restarts included; its child is cancelled then", function()
    local asks = define("asks", { { name = "who", action = { type = "callback", configuration = { action = "create" } } },
      { name = "answer", dependencies = { "who" }, action = { type = "callback", configuration = { action = "wait", id = "who" } } } })
    local here = site(asks, define("top", { calls("asks", nil, { timeout = 60, retry = { max = 1, initial = 5 } }) }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    local first = only_child(here.engine, run).id
    assert.equal(1060, here.engine:run(run.id).next_retry)
    here.clock.advance(59)
    local engine = here.restart()
    assert(engine:work { until_idle = true })
    assert.equal("WAITING", engine:run(run.id).state)
    here.clock.advance(1)
    run = engine:run(run.id)
    assert.equal("ERROR", run:resolve())
    assert.same({ "SERVER_ERROR", 1, ("timed out after 60s: waits for the run %s ('asks')"):format(first) },
      { run.steps.call.state, run.steps.call.try_count, run.steps.call.error })
    assert.equal("CANCELLED", engine:run(first).state)
    assert(engine:work { until_idle = true })
    run = engine:run(run.id)
    assert.same({ "WAITING", 1125 }, { run.state, run.next_retry })
    assert.not_equal(first, run.steps.call.metadata.id)
  end)

  it("a child that has ended in time is taken, however late the parent looks", function()
    local here = site(twice(), define("top", { calls("twice", { input = { n = 21 } }, { timeout = 60 }) }))
    local run = assert(here.engine:start "top")
    run:resolve()
    assert.equal("DONE", only_child(here.engine, run):resolve())
    here.clock.advance(1000)
    assert(here.engine:work { until_idle = true })
    assert.equal("DONE", here.engine:run(run.id).state)
  end)

  it("stays WAITING while its child is blocked, says why, and goes on once a person has mended it", function()
    local mended = false
    local here = site(define("frail", { { name = "a", action = function()
      if not mended then error(step.error.bad_request "no such host") end
      return "fine"
    end } }), define("top", { calls "frail" }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    local child = only_child(here.engine, run)
    assert.same({ "WAITING", "BLOCKED_BADREQUEST" }, { run.state, child.state })
    assert.equal(("the run %s ('frail') is BLOCKED_BADREQUEST: step 'a' is CLIENT_ERROR: no such host; once it is DONE, this step "
      .. "goes on"):format(child.id), run.steps.call.error)
    mended = true
    assert.equal("DONE", child:resolve())
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.same({ "DONE", { a = "fine" }, 1 }, { run.state, run.steps.call.output.result, run.steps.call.try_count })
  end)

  it("hands the failure up at once with on_blocked = fail, for check conditions to judge", function()
    local here = site(define("frail", { { name = "a", action = function() error(step.error.bad_request "no such host") end } }),
      define("top", {
        calls("frail", { on_blocked = "fail" }, { custom_states = { "SKIPPED" }, conditions = { { type = "check",
          ["if"] = { { value = "{{.step.this.state}}", operator = "EQ", expected = "CLIENT_ERROR" } },
          ["then"] = { this = "SKIPPED" } } } }),
      }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.same({ "DONE", "SKIPPED", "BLOCKED_BADREQUEST" }, { run.state, run.steps.call.state, run.steps.call.output.state })
  end)

  it("is CLIENT_ERROR when its child was cancelled; tried again, it starts another", function()
    local here = site(define("idle", { { name = "a", action = { type = "callback", configuration = { action = "create" } } },
      { name = "b", dependencies = { "a" }, action = { type = "callback", configuration = { action = "wait", id = "a" } } } }),
      define("top", { calls "idle" }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    local child = only_child(here.engine, run)
    assert(child:cancel())
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.same({ "BLOCKED_BADREQUEST", "CLIENT_ERROR", ("the run %s ('idle') is CANCELLED"):format(child.id), 1 },
      { run.state, run.steps.call.state, run.steps.call.error, run.steps.call.try_count })
    assert.equal("WAITING", run:resolve())
    assert.same({ "CANCELLED", "TODO" }, children_of(here.engine, run))
    assert.equal(2, here.engine:run(run.id).steps.call.metadata.attempt)
    assert(here.engine:work { until_idle = true })
    assert(here.engine:run(run.id):retry { from = "call" })
    assert.same({ "CANCELLED", "CANCELLED" }, children_of(here.engine, run))
  end)

  it("starts another child when only what failed is retried, its tries forgotten", function()
    local here = site(define("idle", { { name = "a", action = function() error(step.error.not_assigned "somebody") end } }),
      define("top", { calls "idle" }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert(only_child(here.engine, run):cancel())
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.equal("CLIENT_ERROR", run.steps.call.state)
    assert.equal(1, run:retry { only_failed = true })
    assert.equal("WAITING", run:resolve())
    assert.same({ "CANCELLED", "TODO" }, children_of(here.engine, run))
  end)

  it("gives the child of an earlier try up when it starts another", function()
    local here = site(define("frail", { { name = "a", action = function() error(step.error.bad_request "no") end } }),
      define("top", { calls("frail", { on_blocked = "fail" }) }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert.equal("WAITING", here.engine:resolve(run.id))
    assert.same({ "CANCELLED", "TODO" }, children_of(here.engine, run))
  end)

  it("starts another child when it is made TODO again; the one before is cancelled", function()
    local here = site(twice(), define("top", { calls("twice", { input = { n = 1 } }) }))
    local run = assert(here.engine:start "top")
    assert.equal("WAITING", run:resolve())
    run = here.engine:run(run.id)
    assert.equal(1, run:retry { from = "call" })
    assert.same({ "CANCELLED" }, children_of(here.engine, run))
    assert.equal("WAITING", run:resolve())
    assert.same({ "CANCELLED", "TODO" }, children_of(here.engine, run))
    assert(here.engine:work { until_idle = true })
    assert.equal("DONE", here.engine:run(run.id).state)
    assert.equal(1, here.engine:run(run.id):retry { from = "call" }) -- also when its child has ended
    assert.equal("WAITING", here.engine:resolve(run.id))
    assert.same({ "CANCELLED", "DONE", "TODO" }, children_of(here.engine, run))
  end)

  it("in a loop has a child for each item, anew when the loop expands again (D11)", function()
    local again = true
    local here = site(twice(), define("top", {
      { name = "each", foreach = function() return { 1, 2 } end,
        action = { type = "workflow", configuration = { definition = "twice", input = function(v) return { n = v.iterator } end } } },
      { name = "b", dependencies = { "each" }, conditions = { { type = "check", ["if"] = function() return again end,
        ["then"] = { each = "TO_RETRY", this = "TO_RETRY" } } }, action = function() end },
    }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true, until_time = 1005 })
    run = here.engine:run(run.id)
    assert.same({ "ERROR", { "DONE", "DONE" } }, { run.state, children_of(here.engine, run) })
    again = false
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.same({ "DONE", { "DONE", "DONE", "DONE", "DONE" } }, { run.state, children_of(here.engine, run) })
    assert.same({ a = 4 }, run.steps.each.children[2].output.result)
  end)

  it("cancelled with its parent, and so are the children's children", function()
    local here = site(define("idle", { { name = "a", action = function() error(step.error.not_assigned "somebody") end } }),
      define("middle", { calls "idle" }), define("top", { calls "middle", { name = "b", action = function() end } }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert.same({ "idle WAITING", "middle WAITING", "top WAITING" }, stores.runs(here.engine))
    assert(here.engine:run(run.id):cancel())
    assert.same({ "idle CANCELLED", "middle CANCELLED", "top CANCELLED" }, stores.runs(here.engine))
    assert(here.engine:work { until_idle = true })
    assert.same({ "idle CANCELLED", "middle CANCELLED", "top CANCELLED" }, stores.runs(here.engine))
  end)

  it("cancelled while it is at work: its actions that wait are stopped", function()
    local ended = {}
    local top
    local here = site(define("slow", { { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx)
      local ok, err = pcall(ctx.sleep, ctx, 100)
      ended[#ended + 1] = { ok, err.kind }
      error(err, 0)
    end } } } }), define("top", { calls "slow", { name = "stop", execution_delay = "5s", action = function() assert(top:cancel()) end } }))
    top = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert.same({ "slow CANCELLED", "top CANCELLED" }, stores.runs(here.engine))
    assert.same({ { false, "cancelled" } }, ended)
    assert.is_true(here.clock.now() < 1010)
  end)

  it("cleans up first when it is cancelled with its parent", function()
    local cleaned = 0
    local here = site(define("tidy", {
      { name = "a", action = function() error(step.error.not_assigned "somebody") end },
      { name = "clean", dependencies = { "a:ANY" }, always = true, action = function() cleaned = cleaned + 1 end },
    }), define("top", { calls "tidy" }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert(here.engine:run(run.id):cancel())
    assert(here.engine:work { until_idle = true })
    assert.same({ "tidy CANCELLED", "top CANCELLED" }, stores.runs(here.engine))
    assert.equal(1, cleaned)
  end)

  it("cleans up after its parent, if that is what its step is for (always), begun or not", function()
    local order = {}
    local function cleaner(name, steps)
      return define(name, { { name = "a", action = function() order[#order + 1] = name end }, table.unpack(steps or {}) })
    end
    local here = site(define("idle", { { name = "a", action = function() error(step.error.not_assigned "somebody") end } }),
      cleaner("begun", { { name = "b", idempotent = true, dependencies = { "a" },
        execution_delay = "10s", action = function() order[#order + 1] = "ended" end } }),
      cleaner "late", define("top", {
        calls("idle", nil, { name = "idle" }),
        calls("begun", nil, { name = "begun", always = true }),
        calls("late", nil, { name = "late", always = true, dependencies = { "idle:ANY" } }),
        { name = "last", always = true, dependencies = { "late:ANY" }, action = function() order[#order + 1] = "last" end },
      }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true, until_time = 1005 })
    assert.same({ "begun" }, order)
    assert(here.engine:run(run.id):cancel())
    assert(here.restart():work { until_idle = true })
    assert.same({ "begun DONE", "idle CANCELLED", "late DONE", "top CANCELLED" }, stores.runs(here.engine))
    table.sort(order)
    assert.same({ "begun", "ended", "last", "late" }, order)
    run = here.engine:run(run.id)
    assert.same({ "WAITING", ("the run is cancelled, the run %s ('late') goes on by itself"):format(run.steps.late.metadata.id) },
      { run.steps.late.state, run.steps.late.error })
    assert(here.engine:delete(run.id))
  end)

  it("goes on while other steps of its run are under way", function()
    local order = {}
    step.register_runner(("workflow spec %s"):format(tostring(order)), function(_, _, config, ctx)
      ctx:sleep(config.seconds)
      order[#order + 1] = ctx.step_name
    end)
    local here = site(twice(), define("top", {
      { name = "long", action = { type = ("workflow spec %s"):format(tostring(order)), configuration = { seconds = 50 } } },
      calls("twice", { input = { n = 1 } }),
      { name = "after", dependencies = { "call" }, action = function() order[#order + 1] = "after" end },
    }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert.equal("DONE", here.engine:run(run.id).state)
    assert.same({ "after", "long" }, order)
    assert.equal(1, here.engine:run(run.id).run_count)
  end)

  it("refuses what is not there, and inputs that the child's definition does not take", function()
    local here = site(twice(), define("a", { calls "twcie" }), define("b", { calls("twice", { input = { n = "many" } }) }))
    local a, b = assert(here.engine:start "a"), assert(here.engine:start "b")
    assert.equal("BLOCKED_BADREQUEST", a:resolve())
    assert.equal("the engine has no definition 'twcie' (did you mean 'twice'?); add it to the engine (engine:add, its file given to "
      .. "'luastep work', or with --with to 'luastep run') and resolve this run again", a.steps.call.error)
    assert.equal("BLOCKED_BADREQUEST", b:resolve())
    assert.matches("many", b.steps.call.error)
    assert.same({}, children_of(here.engine, a))
  end)

  it("goes on while its parent is paused, which hears of it when it is resumed", function()
    local here = site(twice(), define("top", { calls("twice", { input = { n = 21 } }) }))
    local run = assert(here.engine:start "top")
    assert.equal("WAITING", run:resolve())
    assert(run:pause())
    assert(here.engine:work { until_idle = true })
    assert.same({ "top PAUSED", "twice DONE" }, stores.runs(here.engine))
    run = here.restart():run(run.id)
    assert(run:resume())
    assert(here.engine:work { until_idle = true })
    assert.same({ "top DONE", "twice DONE" }, stores.runs(here.engine))
  end)

  it("has its turn when its child has ended, while those whose children go on wait", function()
    local here = site(define("naps", { { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx)
      ctx:sleep(tonumber(ctx.run.tags.n))
    end } } } }), define("top", { calls("naps", { tags = { n = "{{.iterator}}" } }, { foreach = function() return { 30, 10, 20 } end }) }))
    local run = assert(here.engine:start "top")
    assert.equal("WAITING", run:resolve())
    local turns = {}
    here.engine:on("step", function(of, name, _, to) if of.id == run.id and to == "RUNNING" then turns[#turns + 1] = name end end)
    assert(here.engine:work { until_idle = true })
    assert.same({ "DONE", "call-1", "call-2", "call-0" }, { here.engine:run(run.id).state, table.unpack(turns) })
  end)

  it("is not forgotten when its run is paused between the end of its child and its turn", function()
    local here = site(twice(), define("top", { calls("twice", { input = { n = 21 } }),
      { name = "long", idempotent = true, action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(5) end } } } }))
    local run
    here.engine:on("step", function(other, _, _, to) if other.parent and to == "DONE" then run:pause() end end)
    run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert.same({ "top PAUSED", "twice DONE" }, stores.runs(here.engine))
    run = here.restart():run(run.id)
    assert.equal("WAITING", run.steps.call.state)
    assert(run:resume())
    assert(here.engine:work { until_idle = true })
    assert.same({ "top DONE", "twice DONE" }, stores.runs(here.engine))
  end)

  it("is not nested without end", function()
    local here = site(define("self", { calls "self" }))
    assert(here.engine:start "self")
    assert(here.engine:work { until_idle = true })
    local count, deepest = 0, nil
    for run in here.engine:list() do
      count = count + 1
      deepest = run
    end
    assert.equal(50, count)
    assert.same({ "BLOCKED_BADREQUEST", "runs are nested 50 deep, no further one is started: 'self' in 'self' in 'self' in ..." },
      { deepest.state, deepest.steps.call.error })
  end)

  it("says so when its child was deleted", function()
    local here = site(define("idle", { { name = "a", action = function() error(step.error.not_assigned "somebody") end } }),
      define("top", { calls "idle" }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    local id = only_child(here.engine, run).id
    assert(here.engine:delete(id))
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.same({ "CLIENT_ERROR", ("the run %s, for which this step waited, was deleted"):format(id) },
      { run.steps.call.state, run.steps.call.error })
  end)

  it("is not left behind: a run stays while one that it has started has not ended", function()
    local here = site(define("idle", { { name = "a", action = function() error(step.error.not_assigned "somebody") end } }),
      define("top", { calls "idle" }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    local id = only_child(here.engine, run).id
    here.clock.advance(1000)
    assert.equal(0, here.engine:prune { older_than = 10, states = { "WAITING" } })
    local _, message = refusal(here.engine:delete(run.id))
    assert.matches(("the run '%s' has started what has not ended: %s ('idle', WAITING); cancel the run first, that cancels it, too")
      :format(run.id, id), message, 1, true)
    assert(here.engine:run(run.id):set_state("call", "DONE"))
    assert.equal("DONE", here.engine:resolve(run.id))
    here.clock.advance(1000)
    assert.equal(0, here.engine:prune { older_than = 10 })
    _, message = refusal(here.engine:delete(run.id))
    assert.matches("('idle', WAITING); cancel it first", message, 1, true)
    assert(here.engine:run(id):cancel())
    assert(here.engine:delete(run.id))
    assert.same({ "idle CANCELLED" }, stores.runs(here.engine))
    here.clock.advance(1000)
    assert.equal(1, here.engine:prune { older_than = 10 })
  end)

  it("keeps its child until it has taken the result, whatever is pruned", function()
    local here = site(twice(), define("top", {
      calls("twice", { input = { n = 1 } }), { name = "b", action = function() error(step.error.not_assigned "somebody") end },
    }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    here.clock.advance(1000)
    assert.equal(0, here.engine:prune { older_than = 10 })
    assert(here.engine:run(run.id):cancel())
    here.clock.advance(1000)
    assert.equal(2, here.engine:prune { older_than = 10 })
  end)
end) end

describe("the runner workflow", function()
  after_each(stores.clean)

  it("needs an engine", function()
    local run = define("top", { calls "x" }):start()
    assert.equal("BLOCKED_BADREQUEST", run:resolve())
    assert.equal("the runner 'workflow' starts runs of an engine, and this run belongs to none: start it with engine:start, or let "
      .. "luastep do so (run --with, start)",
      run.steps.call.error)
  end)

  for name, case in pairs {
    ["no definition"] = { {}, "definition: the name of a definition is expected" },
    ["a definition that is no text"] = { { definition = 5 }, "definition: a text is expected, found 5" },
    ["an input that is no object"] = { { definition = "x", input = { 1 } }, "input: an object is expected, found a list" },
    ["a json_input that is no JSON"] = { { definition = "x", json_input = "{" }, "json_input: " },
    ["a json_input that is no object"] = { { definition = "x", json_input = "5" }, "input: an object is expected, found 5" },
    ["tags that are no texts"] = { { definition = "x", tags = { a = 1 } },
      "tags.a: a text is expected, found 1 (quote it to make it a text)" },
    ["an unknown on_blocked"] = { { definition = "x", on_blocked = "fial" },
      'on_blocked: found "fial"; accepted: wait, fail (did you mean \'fail\'?)' },
    ["an unknown field"] = { { defintion = "x" }, "unknown field 'defintion'; accepted: config, definition, delay, input, inputs, "
      .. "json_input, on_blocked, requester_username, resolver_input, resolver_username, tags, template (did you mean 'definition'?)" },
    ["an input that is a template"] = { { definition = "x", inputs = "{{.config.x}}" },
      'inputs: an object is expected, found "{{.config.x}}" (a template gives a text; its JSON text can stand in json_input)' },
    ["a delay that is none"] = { { definition = "x", delay = "soon" }, "delay: " },
    ["a delay below 0"] = { { definition = "x", delay = -1 }, "delay: 0 seconds or more are expected, found -1" },
  } do
    it("refuses " .. name .. " when the definition is checked", function()
      assert.matches(case[2], refused.configuration("workflow", case[1]), 1, true)
    end)
  end

  it("accepts templates and functions where a text or an object stands", function()
    define("top", { { name = "call", action = { type = "workflow", configuration = {
      definition = "{{.input.x}}", input = function() return {} end, json_input = "{{.input.x}}", delay = "{{.input.x}}",
      on_blocked = "{{.input.x}}", tags = { a = function() return "b" end },
    } } } }, { inputs = { { name = "x" } } })
  end)

  it("S8.13: lint knows its metadata", function()
    local kind, message = refusal(step.define { name = "top", steps = {
      { name = "call", action = { type = "workflow", configuration = { definition = "x" } } },
      { name = "b", dependencies = { "call" }, action = { type = "echo", configuration = { output = "{{.step.call.metadata.ident}}" } } },
    } })
    assert.equal("definition", kind)
    assert.matches("has no metadata field 'ident'", message, 1, true)
  end)

  it("starts one child, whenever its process dies", function()
    local program = [[
      local step = require "step"
      local path, moment = ...
      local engine = assert(step.engine { store = path, clock = step.manual_clock(1000) })
      engine:add(assert(step.define { name = "kid", steps = {
        { name = "a", idempotent = true, action = { type = "echo", configuration = { output = 1 } } } } }))
      engine:add(assert(step.define { name = "top", steps = { { name = "call", action = { type = "workflow",
        configuration = { definition = "kid" } } } } }))
      local store, die = engine.store, false
      local function dies(name, before)
        local method = store[name]
        store[name] = function(...)
          if die and before then os.exit(7) end
          local results = table.pack(method(...))
          if die then os.exit(7) end
          return table.unpack(results, 1, results.n)
        end
      end
      assert(engine:start "top")
      if moment == "child chosen" then dies("create", true) end
      if moment == "child made" then dies("create") end
      if moment == "result not stored" then
        local create = store.create
        store.create = function(...)
          local id, created = create(...)
          dies("save", true)
          return id, created
        end
      end
      if moment == "child done" then
        local save = store.save
        store.save = function(...)
          local lost, err = save(...)
          if engine:list { definition = "kid", state = "DONE" }() then os.exit(7) end
          return lost, err
        end
      end
      die = moment ~= "child done"
      engine:work { until_idle = true }
      os.exit(0)
    ]]
    for _, moment in ipairs { "child chosen", "child made", "result not stored", "child done" } do
      local path, clock = stores.path(), step.manual_clock(2000)
      local output, code = stores.process(program, path, moment)
      assert.same({ "", 7 }, { output, code }, moment)
      local engine = stores.open(path, clock)
      engine:add(assert(step.define { name = "kid", steps = {
        { name = "a", idempotent = true, action = { type = "echo", configuration = { output = 1 } } } } }))
      assert(engine:work { until_idle = true })
      assert.same({ "kid DONE", "top DONE" }, stores.runs(engine), moment)
      engine:close()
    end
  end)
end)
