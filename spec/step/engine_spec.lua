-- step.engine: definitions by name, many runs, and the workers' loop.

local clock = require "step.clock"
local step = require "step"
local temp = require "spec.support.temp"

local function nothing() end

--- A runner that waits as long as its configuration says and writes down when it was at work.
local log = {}
step.register_runner("slow", function(name, _, config, ctx)
  log[#log + 1] = name .. " begins"
  ctx:sleep(config.seconds or 1)
  log[#log + 1] = name .. " ends"
  return nil, nil, nil, config.fails and "failed" or nil
end)

--- One that fails until the attempt `until`.
step.register_runner("flaky", function(_, _, config, ctx)
  if ctx.attempt < config["until"] then return nil, nil, nil, "not yet" end
  return ctx.attempt
end)

--- One that ends with an error kind.
step.register_runner("ending", function(_, _, config) return nil, nil, nil, step.error.new(config.kind, "ended") end)

local function slow(seconds, more)
  local spec = more or {}
  spec.action = { type = "slow", configuration = { seconds = seconds } }
  return spec
end

local function define(name, steps, more)
  local document = { name = name, steps = steps }
  for key, value in pairs(more or {}) do document[key] = value end
  return assert(step.define(document))
end

--- An engine with a manual clock and definitions.
local function open(options, ...)
  options = options or {}
  options.clock = options.clock or clock.manual()
  local engine = assert(step.engine(options))
  for _, def in ipairs { ... } do engine:add(def) end
  return engine, options.clock
end

local function refusal(ok, err)
  assert.is_nil(ok)
  return err.kind, tostring(err)
end

--- Ids of the runs of a list, by the number they were given.
local function listed(engine, filter, numbers)
  local found = {}
  for run in engine:list(filter) do found[#found + 1] = numbers[run.id] end
  return found
end

describe("step.engine", function()
  before_each(function() log = {} end)
  after_each(temp.clean)

  it("opens with no options, and closes", function()
    local engine = assert(step.engine())
    engine:close()
    engine:close()
  end)
  it("raises an error for options that are wrong", function()
    assert.error_matches(function() step.engine "runs.db" end, "bad argument #1 to 'engine' %(table expected, got \"runs.db\"%)")
    for name, limits in pairs { ["a = -1"] = { a = -1 }, ["a = 1.5"] = { a = 1.5 }, ["a = x"] = { a = "x" },
      ["the name of a resource"] = { [5] = 1 } } do
      assert.error_matches(function() step.engine { resource_limits = limits } end, "bad option 'resource_limits' (" .. name, 1, true)
    end
    for name, value in pairs { acquire_timeout = -1, durability = "some", lease = 0, max_concurrent = 0, poll = 0 / 0,
      resource_limits = { a = -1 } } do
      local ok, message = pcall(function() return (step.engine { [name] = value }) end)
      assert.is_false(ok)
      assert.matches("^spec/step/engine_spec.lua:%d+: bad option '" .. name .. "'", message) -- the caller is blamed
    end
    assert.error_matches(function() step.engine { acquire_timeout = "1m" } end, "seconds from 0 expected, got \"1m\"")
    assert.error_matches(function() step.engine { leese = 1 } end, "did you mean 'lease'?", 1, true)
    assert.error_matches(function() step.engine { clock = "noon" } end, "a clock is a function, or a table")
  end)

  it("takes definitions by name; one of that name is replaced for later runs (D4)", function()
    local engine <close>, _ = open(nil, define("greet", { { name = "old", action = nothing } }))
    local first = assert(engine:start "greet")
    assert.equal(engine, engine:add(define("greet", { { name = "new", action = nothing } })))
    local second = assert(engine:start "greet")
    assert(engine:work { until_idle = true })
    assert.same({ "DONE", nil, "DONE", nil }, { first.steps.old.state, first.steps.new, second.steps.new.state, second.steps.old })
  end)
  it("raises an error for what is no definition", function()
    local engine <close> = open()
    for _, wrong in ipairs { "greet", {}, 5 } do
      assert.error_matches(function() engine:add(wrong) end, "bad argument #1 to 'add' (definition expected", 1, true)
    end
  end)
  it("S7.3: registers functions, from a table or a text", function()
    local engine <close> = open()
    assert.is_true(engine:add_function { name = "engine-fn", action = { type = "echo" } })
    assert.is_true(engine:add_function { text = "name: engine-text\naction: {type: echo}" })
    assert.same({ "definition" }, { (refusal(engine:add_function { name = "", action = { type = "echo" } })) })
    engine:add(define("x", { { name = "a", action = { type = "engine-fn" } }, { name = "b", action = { type = "engine-text" } } }))
    assert.equal("DONE", assert(engine:start "x"):resolve())
  end)

  describe("start", function()
    it("gives a run that is TODO, with inputs", function()
      local engine <close> = open(nil, define("greet", { { name = "a", action = function(v) return "hello " .. v.input.who end } },
        { inputs = { { name = "who" } } }))
      local run = assert(engine:start("greet", { input = { who = "eve" }, tags = { t = "1" }, requester_username = "bob" }))
      assert.same({ "TODO", run }, { run.state, engine:run(run.id) })
      assert.equal("DONE", engine:resolve(run.id))
      assert.same({ "hello eve", { t = "1" } }, { run.steps.a.output, run.tags })
    end)
    it("with a key that was used gives the run that was started with it", function()
      local engine <close> = open(nil, define("greet", { { name = "a", action = nothing } }))
      local first = assert(engine:start("greet", { key = "order-1" }))
      assert.equal(first, engine:start("greet", { key = "order-1" }))
      assert.not_equal(first, engine:start("greet", { key = "order-2" }))
      assert.not_equal(engine:start "greet", engine:start "greet")
      engine:resolve(first.id)
      assert.equal(first, engine:start("greet", { key = "order-1" }))
      local count = 0
      for _ in engine:list() do count = count + 1 end
      assert.equal(4, count)
    end)
    it("refuses a key of another definition's run: what was asked for would never run", function()
      for _, where in ipairs { "memory", "file" } do
        local def, other = define("greet", { { name = "a", action = nothing } }), define("bill", { { name = "a", action = nothing } })
        local engine <close> = open({ store = where == "file" and temp.path() or nil }, def, other)
        local first = assert(engine:start("greet", { key = "order 1" }))
        assert.same({ "refused", ("the key \"order 1\" is that of the run '%s' of the definition 'greet', not of one of 'bill': keys are "
          .. "shared by all definitions"):format(first.id) }, { refusal(engine:start("bill", { key = "order 1" })) })
        assert.equal("refused", (refusal(engine:start("gone", { key = "order 1" }))))
        assert.equal(first, engine:start("greet", { key = "order 1" }))
        local n = 0
        for _ in engine:list() do n = n + 1 end
        assert.equal(1, n)
      end
    end)
    it("refuses an unknown definition, and names the nearest", function()
      local engine <close> = open(nil, define("greet", {}), define("order", {}))
      assert.same({ "refused", "the engine has no definition 'gret' (did you mean 'greet'?)" }, { refusal(engine:start "gret") })
      assert.same({ "refused", "the engine has no definition 'something'; it has: greet, order" }, { refusal(engine:start "something") })
      local empty <close> = open()
      assert.same({ "refused", "the engine has no definition 'greet'; add one with engine:add" }, { refusal(empty:start "greet") })
    end)
    it("S8.12: refuses inputs; nothing is stored, the key is free", function()
      local engine <close> = open(nil, define("greet", { { name = "a", action = nothing } }, { inputs = { { name = "who" } } }))
      assert.equal("input", (refusal(engine:start("greet", { key = "k" }))))
      assert.is_nil(engine:list()())
      assert.is_not_nil(engine:start("greet", { key = "k", input = { who = "eve" } }))
    end)
  end)

  it("run and resolve refuse an unknown id", function()
    local engine <close> = open()
    assert.same({ "refused", "the engine has no run 'x'" }, { refusal(engine:run "x") })
    assert.same({ "refused", "the engine has no run 'x'" }, { refusal(engine:resolve "x") })
  end)
  it("refuses what makes no sense in a call where it is made, and names what was meant", function()
    local engine <close> = open(nil, define("x", { { name = "a", action = nothing } }))
    for _, case in ipairs {
      { function() engine:run(nil) end, "bad argument #1 to 'run' (text expected, got nil)" },
      { function() engine:resolve {} end, "bad argument #1 to 'resolve' (text expected, got" },
      { function() engine:delete(5) end, "bad argument #1 to 'delete' (text expected, got 5)" },
      { function() engine:signal(nil, "n") end, "bad argument #1 to 'signal' (text expected, got nil)" },
      { function() engine:start(5) end, "bad argument #1 to 'start' (text expected, got 5)" },
      { function() engine:start("x", { foo = 1 }) end, "unknown option 'foo'" },
      { function() engine:start("x", { delay = 0 / 0 }) end, "bad option 'delay' (seconds from 0 expected, got" },
      { function() engine:start("x", { delay = "x" }) end, "bad option 'delay' (seconds from 0 expected, got \"x\")" },
      { function() engine:start("x", { key = 5 }) end, "bad option 'key' (text that is not empty expected, got 5)" },
      { function() engine:start("x", { key = "" }) end, "bad option 'key' (text that is not empty expected, got \"\")" },
      { function() engine:list { stat = "DONE" } end, "did you mean 'state'?" },
      { function() engine:list { state = "FOO" } end, "bad option 'state' (one of TODO, RUNNING, DONE, " },
      { function() engine:list { state = "done" } end, 'AUTORUNNING expected, got "done")' },
      { function() engine:list { limit = -1 } end, "bad option 'limit' (a whole number from 1 expected, got -1)" },
      { function() engine:list { created_since = "x" } end, "bad option 'created_since' (seconds since 1970 expected, got \"x\")" },
      { function() engine:prune { older_than = 0, state = { "ERROR" } } end, "did you mean 'states'?" },
      { function() engine:prune { older_than = 0 / 0 } end, "bad option 'older_than'" },
      { function() engine:prune { older_than = 0, states = { "DONE", "FOO" } } end,
        "bad option 'states' (found \"FOO\"; accepted: TODO, DONE, CANCELLED, " },
      { function() engine:prune { older_than = 0, states = { "RUNNING" } } end, "found \"RUNNING\"; accepted: TODO, DONE" },
      { function() engine:prune { older_than = 0, states = { DONE = true } } end, "bad option 'states' (a list expected, got an object)" },
      { function() engine:prune {} end, "{ older_than = seconds } expected" },
      { function() engine:work { until_idel = true } end, "did you mean 'until_idle'?" },
      { function() engine:work { stop = 5 } end, "bad option 'stop' (function expected, got 5)" },
      { function() engine:work(5) end, "bad argument #1 to 'work' (table expected, got 5)" },
      { function() engine:events("x", { after = -1 }) end, "bad option 'after' (a whole number from 0 expected, got -1)" },
    } do
      local ok, message = pcall(case[1])
      assert.is_false(ok)
      assert.is_truthy(message:find(case[2], 1, true), message)
      assert.matches("^spec/step/engine_spec.lua:%d+: ", message) -- the caller is blamed
    end
  end)

  it("S6.1: resolve refuses a run that is done", function()
    local engine <close> = open(nil, define("x", { { name = "a", action = nothing } }))
    local run = assert(engine:start "x")
    assert.equal("DONE", engine:resolve(run.id))
    assert.same({ "refused", "Can't run resolution: already done" }, { refusal(engine:resolve(run.id)) })
  end)

  it("list: oldest first, by state, definition and tag", function()
    local engine <close> = open(nil, define("x", { { name = "a", action = nothing } }),
      define("y", { { name = "a", action = { type = "ending", configuration = { kind = "bad_request" } } } }))
    local numbers, runs = {}, {}
    for i, case in ipairs { { "x", { team = "red" } }, { "y", { team = "blue", urgent = "yes" } }, { "x", { urgent = "no" } }, { "y" } } do
      runs[i] = assert(engine:start(case[1], { tags = case[2] }))
      numbers[runs[i].id] = i
    end
    runs[1]:resolve()
    runs[2]:resolve()
    assert.same({ 1, 2, 3, 4 }, listed(engine, nil, numbers))
    assert.same({ 1, 2, 3, 4 }, listed(engine, {}, numbers))
    assert.same({ 1 }, listed(engine, { state = "DONE" }, numbers))
    assert.same({ 2 }, listed(engine, { state = "BLOCKED_BADREQUEST" }, numbers))
    assert.same({ 3, 4 }, listed(engine, { state = "TODO" }, numbers))
    assert.same({ 2, 4 }, listed(engine, { definition = "y" }, numbers))
    assert.same({ 2, 3 }, listed(engine, { tag = "urgent" }, numbers))
    assert.same({ 2 }, listed(engine, { tag = { urgent = "yes" } }, numbers))
    assert.same({ 2 }, listed(engine, { tag = { urgent = "yes", team = "blue" } }, numbers))
    assert.same({}, listed(engine, { tag = { urgent = "yes", team = "red" } }, numbers))
    assert.same({ 3 }, listed(engine, { definition = "x", state = "TODO", tag = "urgent" }, numbers))
    assert.same({}, listed(engine, { state = "PAUSED" }, numbers))
    runs[3]:close()
    assert.same({ 1, 2, 4 }, listed(engine, nil, numbers))
  end)

  describe("work", function()
    it("runs all runs of several definitions, side by side", function()
      local engine <close>, c = open(nil, define("x", { slow(10, { name = "x1" }),
        slow(5, { name = "x2", dependencies = { "x1" } }) }), define("y", { slow(12, { name = "y1" }) }))
      local x, y = assert(engine:start "x"), assert(engine:start "y")
      assert.is_true(engine:work { until_idle = true })
      assert.same({ "x1 begins", "y1 begins", "x1 ends", "x2 begins", "y1 ends", "x2 ends" }, log)
      assert.same({ "DONE", "DONE", 15 }, { x.state, y.state, c.now() })
    end)
    it("D17: retries what is due, by the clock", function()
      local engine <close>, c = open(nil, define("x", { { name = "a", action = { type = "flaky", configuration = { ["until"] = 4 } } } }),
        define("y", { { name = "a", action = { type = "flaky", configuration = { ["until"] = 2 } }, retry_pattern = "hours" } }))
      local x, y = assert(engine:start "x"), assert(engine:start "y")
      engine:work { until_idle = true }
      assert.same({ "DONE", 4, "DONE", 2, 3600 }, { x.state, x.steps.a.output, y.state, y.steps.a.output, c.now() })
      assert.near(38.125, x.steps.a.last_run, 1e-6)
      assert.same({ 4, 2 }, { x.run_count, y.run_count })
    end)
    it("until_idle: returns when every run has ended, is blocked or waits for somebody", function()
      local kinds = { "bad_request", "not_assigned" }
      local engine <close>, c = open()
      local runs = {}
      for _, kind in ipairs(kinds) do
        engine:add(define(kind, { { name = "a", action = { type = "ending", configuration = { kind = kind } } } }))
        runs[#runs + 1] = assert(engine:start(kind))
      end
      engine:add(define("never", { { name = "a", action = { type = "flaky", configuration = { ["until"] = 99 } }, max_retries = 1 } }))
      runs[#runs + 1] = assert(engine:start "never")
      engine:add(define("paused", { { name = "a", action = nothing } }))
      runs[#runs + 1], runs[#runs + 2] = assert(engine:start "paused"), assert(engine:start "paused")
      runs[4]:pause()
      runs[5]:cancel()
      assert.is_true(engine:work { until_idle = true })
      local states = {}
      for i, run in ipairs(runs) do states[i] = run.state end
      assert.same({ "BLOCKED_BADREQUEST", "WAITING", "BLOCKED_FATAL", "PAUSED", "CANCELLED" }, states)
      assert.near(22.5, c.now(), 1e-6)
      assert.is_true(engine:work { until_idle = true })
      assert.same({ 1, 1, 3 }, { runs[1].run_count, runs[2].run_count, runs[3].run_count })
    end)
    it("until_time: returns then, and goes on later", function()
      local engine <close>, c = open(nil, define("x", { { name = "a", action = { type = "flaky", configuration = { ["until"] = 3 } } } }))
      local x = assert(engine:start "x")
      assert.is_true(engine:work { until_time = 15 })
      assert.same({ "ERROR", 2, 15 }, { x.state, x.run_count, c.now() })
      assert.is_true(engine:work { until_time = 10 })
      assert.same({ 2, 15 }, { x.run_count, c.now() })
      assert.is_true(engine:work { until_idle = true })
      assert.same({ "DONE", 22.5 }, { x.state, c.now() })
    end)
    it("until_time: leaves what is in flight where it is", function()
      local engine <close>, c = open(nil, define("x", { slow(10, { name = "a" }) }))
      local x = assert(engine:start "x")
      engine:work { until_time = 4 }
      assert.same({ "RUNNING", "RUNNING", 4 }, { x.state, x.steps.a.state, c.now() })
      engine:work { until_idle = true }
      assert.same({ "DONE", 10, 1 }, { x.state, c.now(), x.run_count })
    end)
    it("takes up what is started while it works", function()
      local engine <close> = open()
      local second
      engine:add(define("y", { { name = "a", action = nothing } }))
      engine:add(define("x", { { name = "a", action = function() second = second or assert(engine:start "y") end } }))
      assert(engine:start "x")
      engine:work { until_idle = true }
      assert.equal("DONE", second.state)
    end)
    it("has nothing to do when there is nothing", function()
      local engine <close>, c = open()
      assert.is_true(engine:work { until_idle = true })
      assert.is_true(engine:work())
      assert.equal(0, c.now())
    end)
    it("S6.6: leaves a crashed step to a person", function()
      local engine <close> = open(nil, define("x", { { name = "a", action = nothing } }))
      local run = assert(engine:start "x")
      run:set_state("a", "CRASHED")
      engine:work { until_idle = true }
      assert.equal("BLOCKED_TOCHECK", run.state)
    end)
    it("D25: a runner that throws fails its own step only", function()
      local engine <close> = open(nil, define("x", { { name = "a", action = function() error "thrown" end, max_retries = 0 } }),
        define("y", { { name = "a", action = nothing } }))
      local x, y = assert(engine:start "x"), assert(engine:start "y")
      engine:work { until_idle = true }
      assert.same({ "BLOCKED_FATAL", "DONE" }, { x.state, y.state })
    end)
  end)

  describe("resources", function()
    --- A definition of n steps that take the resource.
    local function sharing(n, seconds, resource)
      local steps = {}
      for i = 1, n do steps[i] = slow(seconds, { name = "s" .. i, resources = { resource or "db" } }) end
      return define("sharing", steps)
    end

    it("S4.4: at most so many hold one at a time, first come first served", function()
      local engine <close>, c = open({ resource_limits = { db = 2 } }, sharing(5, 10))
      local run = assert(engine:start "sharing")
      engine:work { until_idle = true }
      assert.same({ "s1 begins", "s2 begins", "s1 ends", "s2 ends", "s3 begins", "s4 begins", "s3 ends", "s4 ends", "s5 begins",
        "s5 ends" }, log)
      assert.same({ "DONE", 30 }, { run.state, c.now() })
    end)
    it("S4.4: across runs", function()
      local engine <close>, c = open({ resource_limits = { db = 1 } }, sharing(1, 10),
        define("other", { slow(5, { name = "o1", resources = { "db" } }) }))
      assert(engine:start "sharing")
      assert(engine:start "other")
      engine:work { until_idle = true }
      assert.same({ "s1 begins", "s1 ends", "o1 begins", "o1 ends" }, log)
      assert.equal(15, c.now())
    end)
    it("S4.4: a name without a limit is free", function()
      local engine <close>, c = open({ resource_limits = { db = 1 } }, sharing(5, 10, "free"))
      assert(engine:start "sharing")
      engine:work { until_idle = true }
      assert.equal(10, c.now())
    end)
    it("S4.4: a limit of 0 means never: TO_RETRY, nothing executed, no try (D18)", function()
      local engine <close> = open({ resource_limits = { db = 0 } }, sharing(1, 10))
      local run = assert(engine:start "sharing")
      assert.equal("ERROR", run:resolve())
      assert.same({ "TO_RETRY", "failed to acquire resources: db has the limit 0, it is never available", 0, {} },
        { run.steps.s1.state, run.steps.s1.error, run.steps.s1.try_count, log })
    end)
    it("S4.4: one that cannot be had within the acquire timeout is TO_RETRY", function()
      local engine <close>, c = open({ resource_limits = { db = 1 }, acquire_timeout = 30 }, sharing(2, 100))
      local run = assert(engine:start "sharing")
      assert.equal("ERROR", run:resolve())
      assert.same({ "DONE", "TO_RETRY", "failed to acquire resources: the time to wait for them is over", 100 },
        { run.steps.s1.state, run.steps.s2.state, run.steps.s2.error, c.now() })
      engine:work { until_idle = true }
      assert.equal("DONE", run.state)
    end)
    it("S4.4: the acquire timeout is a minute by default", function()
      for seconds, state in pairs { [59] = "DONE", [61] = "TO_RETRY" } do
        local engine <close> = open({ resource_limits = { db = 1 } }, sharing(2, seconds))
        local run = assert(engine:start "sharing")
        run:resolve()
        assert.equal(state, run.steps.s2.state)
      end
    end)
    it("S4.4: they are released however the action ends", function()
      local engine <close> = open({ resource_limits = { db = 1 } }, define("x", {
        { name = "throws", action = function() error "x" end, resources = { "db" }, max_retries = 0 },
          { name = "fails", action = { type = "ending", configuration = { kind = "bad_request" } }, resources = { "db" } },
        { name = "ends", action = nothing, resources = { "db" } },
          { name = "fatal", action = { type = "echo", output = { strategy = "template", format = '{{fail "x"}}' } }, resources = { "db" } },
        { name = "last", action = nothing, resources = { "db" } },
      }))
      local run = assert(engine:start "x")
      run:resolve()
      assert.same({ "SERVER_ERROR", "CLIENT_ERROR", "DONE", "FATAL_ERROR", "DONE" },
        { run.steps.throws.state, run.steps.fails.state, run.steps.ends.state, run.steps.fatal.state, run.steps.last.state })
    end)
    it("S4.4: two steps that take the same two in another order do not block each other", function()
      local engine <close> = open({ resource_limits = { a = 1, b = 1 } },
        define("x", { slow(5, { name = "one", resources = { "a", "b" } }), slow(5, { name = "two", resources = { "b", "a" } }) }))
      local run = assert(engine:start "x")
      assert.equal("DONE", run:resolve())
      assert.same({ "one begins", "one ends", "two begins", "two ends" }, log)
    end)
  end)

  it("max_concurrent: so many actions are in flight at a time", function()
    for limit, seconds in pairs { [1] = 40, [2] = 20, [3] = 20, [4] = 10 } do
      local engine <close>, c = open({ max_concurrent = limit },
        define("x", { slow(10, { name = "a" }), slow(10, { name = "b" }), slow(10, { name = "c" }), slow(10, { name = "d" }) }))
      local run = assert(engine:start "x")
      engine:work { until_idle = true }
      assert.same({ "DONE", seconds }, { run.state, c.now() })
    end
  end)

  it("on: calls for transitions from then on", function()
    local engine <close> = open(nil, define("x", { { name = "a", action = nothing } }))
    local before = assert(engine:start "x")
    local seen, more = {}, 0
    assert.equal(engine, engine:on("transition", function(event) seen[#seen + 1] = { event.run, event.step, event.from, event.to } end))
    engine:on("transition", function() more = more + 1 end)
    local after = assert(engine:start "x")
    engine:work { until_idle = true }
    for _, run in ipairs { before, after } do
      local of_run = {}
      for _, event in ipairs(seen) do
        if event[1] == run then of_run[#of_run + 1] = { table.unpack(event, 2, 4) } end
      end
      assert.same({ { nil, "TODO", "RUNNING" }, { "a", "TODO", "RUNNING" }, { "a", "RUNNING", "DONE" }, { nil, "RUNNING", "DONE" } },
        of_run)
    end
    assert.equal(8, more)
  end)
  it("on: raises an error for an unknown event or no function", function()
    local engine <close> = open()
    assert.error_matches(function() engine:on("end", nothing) end, 'unknown event "end"; accepted: blocked, cancelled, done, failed, '
      .. "lost, refused, state, step, takeover, transition, waiting")
    assert.error_matches(function() engine:on("transition", 5) end, "function expected, got number")
  end)

  describe("close", function()
    it("closes its runs; what it is asked for later is refused", function()
      local engine = open(nil, define("x", { slow(10, { name = "a" }) }))
      local run = assert(engine:start("x", { key = "k" }))
      engine:work { until_time = 5 }
      assert.equal("RUNNING", run.state)
      engine:close()
      assert.equal("CLOSED", run.state)
      assert.same({ "closed", "the engine is closed" }, { refusal(engine:start "x") })
      assert.same({ "closed", "the engine is closed" }, { refusal(engine:start("x", { key = "k" })) })
      assert.same({ "closed", "the engine is closed" }, { refusal(engine:work()) })
      assert.equal("closed", (refusal(engine:run(run.id))))
      assert.equal("closed", (refusal(engine:resolve(run.id))))
      assert.is_nil(engine:list()())
      assert.same({ "closed", "the run is closed" }, { refusal(run:resolve()) })
      engine:close()
    end)
    it("is done by a variable that goes out of scope", function()
      local run
      do
        local engine <close> = open(nil, define("x", { { name = "a", action = nothing } }))
        run = assert(engine:start "x")
      end
      assert.equal("CLOSED", run.state)
    end)
  end)

  it("a host with a loop of its own is told when it is needed", function()
    local engine <close>, c = open(nil, define("x", { slow(3, { name = "a" }) }))
    assert.is_nil(engine:timeout())
    local run = assert(engine:start "x")
    assert.equal(0, engine:timeout())
    assert.is_true(engine:step())
    while engine:step() do end
    assert.equal(3, engine:timeout())
    c.advance(3)
    assert.equal(0, engine:timeout())
    while engine:step() do end
    assert.equal("DONE", run.state)
    assert.is_nil(engine:timeout())
    engine:close()
    assert.is_nil(engine:timeout())
    assert.same({ "closed" }, { (select(2, engine:step())).kind })
  end)

  it("refuses options it does not know, with the nearest one, and values out of range", function()
    assert.error_matches(function() step.engine { max_concurent = 2 } end, "did you mean 'max_concurrent'")
    for _, value in ipairs { -1, 0, 1.5, "2" } do
      assert.error_matches(function() step.engine { max_concurrent = value } end, "whole number from 1 expected")
    end
  end)

  it("two engines know nothing of each other", function()
    local first <close>, c = open({ resource_limits = { db = 1 } }, define("x", { slow(10, { name = "a", resources = { "db" } }) }))
    local second <close> = open({ clock = c }, define("x", { slow(1, { name = "b", resources = { "db" } }) }))
    local a, b = assert(first:start("x", { key = "k" })), assert(second:start("x", { key = "k" }))
    assert.not_equal(a, b)
    assert.is_nil(second:run(a.id))
    second:work { until_idle = true }
    assert.same({ "TODO", "DONE" }, { a.state, b.state })
  end)
end)
