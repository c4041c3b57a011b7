-- step.runners.callback and step.signal: what somebody outside says to a run (µTask's callback), taken exactly once.

local refused = require "spec.support.refused"
local step = require "step"
local stores = require "spec.support.stores"

local define, refusal = stores.define, stores.refusal

local SCHEMA = { type = "object", required = { "ok" }, properties = { ok = { type = "boolean" } }, additionalProperties = false }

local function create(more)
  local configuration = { action = "create" }
  for key, value in pairs(more or {}) do configuration[key] = value end
  return { name = "ask", action = { type = "callback", configuration = configuration } }
end

local function wait(more, fields)
  local configuration = { action = "wait", id = "{{.step.ask.output.id}}" }
  for key, value in pairs(more or {}) do configuration[key] = value end
  local spec = { name = "answer", dependencies = { "ask" }, action = { type = "callback", configuration = configuration } }
  for key, value in pairs(fields or {}) do spec[key] = value end
  return spec
end

local function question(more, waiting)
  return define("question", { create(more), wait(waiting) })
end

for where, site in stores.each() do describe("the runner callback, " .. where .. ",", function()
  after_each(stores.clean)

  it("waits without a try until it is told, and gives what it was told", function()
    local here = site(question { schema = SCHEMA })
    local run = assert(here.engine:start "question")
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    local id = run.steps.ask.output.id
    assert.matches("^%x+$", id)
    assert.equal(32, #id)
    assert.same({ id = id, name = "ask", schema = SCHEMA }, run.steps.ask.output)
    assert.same({ "WAITING", "WAITING", 0, "waits for the callback 'ask'" },
      { run.state, run.steps.answer.state, run.steps.answer.try_count, run.steps.answer.error })
    here.clock.advance(60)
    assert.is_true(run:signal(id, { ok = true }))
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.same({ "DONE", 1 }, { run.state, run.steps.answer.try_count })
    assert.same({ id = id, date = "1970-01-01T00:17:40Z", body = { ok = true } }, run.steps.answer.output)
    assert.same({}, run:posted())
  end)

  it("knows a callback by its name, its step's if it has no other", function()
    local here = site(question(), define("named", { create { name = "approval" }, wait { id = "approval" } }),
      define("unnamed", { create { name = "{{print}}" }, wait() }))
    for definition, name in pairs { question = "ask", unnamed = "ask", named = "approval" } do
      local run = assert(here.engine:start(definition))
      run:resolve()
      assert.is_true(here.engine:signal(run.id, name, step.json.array { 1, "two" }))
      assert(here.engine:work { until_idle = true })
      assert.same({ 1, "two" }, here.engine:run(run.id).steps.answer.output.body)
    end
  end)

  it("gives nobody else the callback of a run, nor the same id twice", function()
    local here = site(question())
    local one, two = assert(here.engine:start "question"), assert(here.engine:start "question")
    one:resolve()
    two:resolve()
    local id = one.steps.ask.output.id
    assert.not_equal(id, two.steps.ask.output.id)
    assert.same({ "refused", ('the run has no callback "%s"; it has: ask'):format(id) }, { refusal(two:signal(id, {})) })
  end)

  it("refuses data that its schema does not accept, a name that is none, a run that has ended", function()
    local here = site(question { schema = SCHEMA })
    local run = assert(here.engine:start "question")
    assert.same({ "refused", 'the run has no callback "ask": no step has created one yet' }, { refusal(run:signal("ask", {})) })
    run:resolve()
    assert.same({ "refused", "the data for the callback 'ask' is refused: the value does not match its schema: #: missing property \"ok\" "
      .. "(schema #/required)" }, { refusal(run:signal("ask", {})) })
    assert.same({ "refused", "the run has no callback \"aks\" (did you mean 'ask'?)" }, { refusal(run:signal("aks", { ok = true })) })
    assert.same({ "refused", "the engine has no run 'x'" }, { refusal(here.engine:signal("x", "ask", {})) })
    assert(here.engine:work { until_idle = true })
    assert.equal("WAITING", here.engine:run(run.id).state)
    assert(run:signal("ask", { ok = false }))
    assert(here.engine:work { until_idle = true })
    assert.same({ "refused", "nobody waits for the signal any more: the run is DONE" }, { refusal(run:signal("ask", { ok = true })) })
  end)

  it("keeps what comes before somebody waits, over a restart, and takes each once, in order", function()
    local here = site(define("loop", {
      create(),
      { name = "gate", dependencies = { "ask" }, action = { type = "callback", configuration = { action = "wait", id = "gate" } } },
    }), define("late", {
      create(), { name = "open", action = { type = "callback", configuration = { action = "create", name = "gate" } } },
      { name = "gate", dependencies = { "open" }, action = { type = "callback", configuration = { action = "wait", id = "gate" } } },
      wait(nil, { dependencies = { "ask", "gate" }, max_retries = 5, conditions = { { type = "check",
        ["if"] = { { value = "{{.step.this.output.body}}", operator = "NE", expected = "enough" } },
        ["then"] = { this = "RETRY_NOW" } } } }),
    }))
    local run = assert(here.engine:start "late")
    run:resolve()
    for _, word in ipairs { "one", "two", "enough", "left over" } do assert(here.engine:signal(run.id, "ask", word)) end
    assert(here.engine:work { until_idle = true })
    local engine = here.restart()
    run = engine:run(run.id)
    assert.same({ "WAITING", "TODO" }, { run.state, run.steps.answer.state })
    assert.equal(4, #engine.store:take_inbox(engine.store:get(run.id).number))
    assert(run:signal("gate", step.json.null))
    assert(engine:work { until_idle = true })
    run = here.restart():run(run.id)
    assert.same({ "DONE", "enough", 3 }, { run.state, run.steps.answer.output.body, run.steps.answer.try_count })
    assert.equal(1, #here.engine.store:take_inbox(here.engine.store:get(run.id).number))
  end)

  it("has its turn when it is told, while others wait on", function()
    local steps = {}
    for i = 1, 5 do
      steps[#steps + 1] = { name = "ask" .. i, action = { type = "callback", configuration = { action = "create" } } }
      steps[#steps + 1] = { name = "answer" .. i, dependencies = { "ask" .. i },
        action = { type = "callback", configuration = { action = "wait", id = "ask" .. i, timeout = i == 5 and "1h" or nil } } }
    end
    local here = site(define("many", steps))
    local run = assert(here.engine:start "many")
    assert.equal("WAITING", run:resolve())
    local turns = {}
    local function count(_, name, _, to) if to == "RUNNING" then turns[#turns + 1] = name end end
    here.engine:on("step", count)
    for _, i in ipairs { 3, 1, 4 } do
      assert(here.engine:signal(run.id, "ask" .. i, i))
      local before = here.engine
      if i == 1 and here.restart() ~= before then here.engine:on("step", count) end -- one in memory is not restarted
      assert(here.engine:work { until_time = here.clock.now() })
    end
    assert.same({ "answer3", "answer1", "answer4" }, turns)
    assert(here.engine:work { until_time = here.clock.now() + 3700 })
    run = here.engine:run(run.id)
    assert.same({ 4, "answer5", "CLIENT_ERROR", "WAITING" }, { #turns, turns[4], run.steps.answer5.state, run.steps.answer2.state })
    run:resolve() -- by a person: everybody looks again
    assert.equal("answer2", turns[5])
  end)

  it("is not forgotten when its run is paused between the signal and its turn", function()
    local here = site(define("paused", { create(), wait(),
      { name = "long", idempotent = true, action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(5) end } } } }))
    local run = assert(here.engine:start "paused")
    for _ = 1, 5 do here.engine:step() end
    assert.same({ "RUNNING", "WAITING" }, { run.state, run.steps.answer.state })
    assert(run:signal("ask", true))
    assert(run:pause())
    assert(here.engine:work { until_idle = true })
    assert.same({ "PAUSED", "WAITING" }, { here.engine:run(run.id).state, here.engine:run(run.id).steps.answer.state })
    run = here.restart():run(run.id)
    assert(run:resume())
    assert(here.engine:work { until_idle = true })
    assert.equal("DONE", here.engine:run(run.id).state)
  end)

  it("survives a restart while it waits", function()
    local here = site(question())
    local run = assert(here.engine:start "question")
    assert(here.engine:work { until_idle = true })
    local engine = here.restart()
    assert(engine:signal(run.id, "ask", 5))
    engine = here.restart()
    assert(engine:work { until_idle = true })
    run = here.restart():run(run.id)
    assert.same({ "DONE", 5 }, { run.state, run.steps.answer.output.body })
  end)

  it("goes on while other steps of its run are under way", function()
    local order = {}
    local kind = "callback spec " .. tostring(order)
    local here
    step.register_runner(kind, function(name, _, config, ctx)
      ctx:sleep(config.seconds)
      if config.signal then assert(here.engine:signal(ctx.run_id, "ask", "now")) end
      order[#order + 1] = name
    end)
    here = site(define("busy", {
      create(), wait(), { name = "after", dependencies = { "answer" }, action = function() order[#order + 1] = "after" end },
      { name = "long", action = { type = kind, configuration = { seconds = 100 } } },
      { name = "caller", dependencies = { "ask" }, action = { type = kind, configuration = { seconds = 10, signal = true } } },
    }))
    local run = assert(here.engine:start "busy")
    assert.equal("DONE", run:resolve())
    assert.same({ "caller", "after", "long" }, order)
  end)

  it("takes its timeout in seconds, and as a template gives it", function()
    for _, timeout in ipairs { 90, "90", "1m30s", "{{.input.n}}" } do
      local here = site(define("question", { create(), wait { timeout = timeout } }, { inputs = { { name = "n", type = "number" } } }))
      local run = assert(here.engine:start("question", { input = { n = 90 } }))
      run:resolve()
      assert.equal(1090, run.steps.answer.metadata.deadline)
    end
  end)

  it("has the step's timeout, too: SERVER_ERROR, a try", function()
    local here = site(define("question", { create(), wait(nil, { timeout = 60, retry = { max = 1, initial = 5 } }) }))
    local run = assert(here.engine:start "question")
    assert(here.engine:work { until_idle = true })
    here.clock.advance(60)
    here.restart()
    run = here.engine:run(run.id)
    run:resolve()
    assert.same({ "SERVER_ERROR", 1, "timed out after 60s: waits for the callback 'ask'" },
      { run.steps.answer.state, run.steps.answer.try_count, run.steps.answer.error })
    assert.is_true(run:signal("ask", "late, for the next try"))
    assert(here.engine:work { until_idle = true })
    assert.equal("DONE", here.engine:run(run.id).state)
  end)

  it("gives up after its timeout: CLIENT_ERROR, for check conditions to judge", function()
    local here = site(question(nil, { timeout = "1h" }))
    local run = assert(here.engine:start "question")
    assert(here.engine:work { until_idle = true })
    assert.equal(1000, here.clock.now()) -- idle: it waits for somebody
    assert.equal("WAITING", here.engine:run(run.id).state)
    assert.equal(4600, here.engine:run(run.id).next_retry)
    here.clock.advance(1800)
    here.restart()
    assert(here.engine:work { until_time = 4599 })
    assert.equal("WAITING", here.engine:run(run.id).state)
    assert(here.engine:work { until_time = 4605 })
    run = here.engine:run(run.id)
    assert.same({ "BLOCKED_BADREQUEST", "CLIENT_ERROR",
      "nobody has called back: the callback 'ask' was waited for until 1970-01-01T01:16:40Z" },
      { run.state, run.steps.answer.state, run.steps.answer.error })
    assert.equal("WAITING", run:resolve()) -- another try, another hour
    assert.equal(here.clock.now() + 3600, run.next_retry)
    assert(run:signal("ask", "late"))
    assert(here.engine:work { until_idle = true })
    assert.equal("DONE", here.engine:run(run.id).state)
  end)

  it("is not waited for after the deadline of its run, over a restart", function()
    for given, due in pairs { [60] = 1060, ["2h"] = 4600 } do
      local here = site(define("question", { create(), wait { timeout = "1h" },
        { name = "clean", dependencies = { "answer" }, action = { type = "echo" }, always = true } }))
      local run = assert(here.engine:start("question", { deadline = given }))
      assert(here.engine:work { until_idle = true })
      assert.equal(1000, here.clock.now())
      assert.same({ "WAITING", due }, { here.engine:run(run.id).state, here.engine:run(run.id).next_retry })
      here.restart()
      assert(here.engine:work { until_time = due + 5 })
      run = here.engine:run(run.id)
      if given == 60 then
        assert.same({ "CANCELLED", "the run's deadline of 1970-01-01T00:17:40Z has passed", "WAITING", "DONE" },
          { run.state, run.error, run.steps.answer.state, run.steps.clean.state })
      else
        assert.same({ "BLOCKED_BADREQUEST", "CLIENT_ERROR" }, { run.state, run.steps.answer.state })
      end
    end
  end)

  it("waits for what a loop's children have created", function()
    local here = site(define("many", {
      { name = "ask", foreach = function() return { "a", "b" } end, action = { type = "callback", configuration = { action = "create" } } },
      { name = "answer", dependencies = { "ask" }, foreach = function(v) return v.step.ask.children end,
        action = { type = "callback", configuration = { action = "wait", id = "{{.iterator.output.id}}" } } },
    }))
    local run = assert(here.engine:start "many")
    assert(here.engine:work { until_idle = true })
    assert(here.engine:signal(run.id, "ask-1", "second"))
    assert(here.engine:work { until_idle = true })
    assert.equal("WAITING", here.engine:run(run.id).state)
    assert(here.engine:signal(run.id, "ask-0", "first"))
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.same({ "first", "second" }, { run.steps.answer.children[1].output.body, run.steps.answer.children[2].output.body })
  end)

  it("is no error when somebody changes the run by hand meanwhile", function()
    local here = site(define("question", { create(), wait(), { name = "b", action = function() error("no", 0) end, max_retries = 0 } }))
    local run = assert(here.engine:start "question")
    run:resolve()
    assert(run:set_state("b", "DONE"))
    assert(run:signal("ask", 1))
    assert(run:set_state("b", "DONE", "again")) -- it is claimed with the signal there, and let go
    assert(here.engine:work { until_idle = true })
    assert.equal("DONE", here.engine:run(run.id).state)
  end)
end) end

describe("the runner callback", function()
  after_each(stores.clean)

  it("works in a run without an engine", function()
    local run = question { schema = SCHEMA }:start { clock = step.manual_clock(1000) }
    assert.equal("WAITING", run:resolve())
    assert.equal("refused", (refusal(run:signal("ask", 5))))
    assert(run:signal("ask", { ok = true }))
    assert.equal("DONE", run:wait())
    assert.same({ ok = true }, run.steps.answer.output.body)
  end)

  it("keeps what has come when its run is exported and restored", function()
    local def = define("question", { create(), wait(), wait(nil, { name = "second", dependencies = { "answer" } }) })
    local engine = stores.open(nil, step.manual_clock(1000), def)
    for _, run in ipairs { def:start { clock = step.manual_clock(1000) }, assert(engine:start "question") } do
      assert.equal("WAITING", run:resolve())
      assert.is_nil(run:export().inbox)
      assert(run:set_state("answer", "TODO"))
      run:pause()
      assert.is_true(run:signal("ask", step.json.null))
      assert.is_true(run:signal("ask", { 2 }))
      local copy = assert(step.json.decode((step.json.encode(run:export()))))
      local again = assert(step.restore(copy, def, { clock = step.manual_clock(5000) }))
      assert(again:resume())
      assert.equal("DONE", again:resolve())
      assert.same({ step.json.null, "1970-01-01T00:16:40Z", { 2 } },
        { again.steps.answer.output.body, again.steps.answer.output.date, again.steps.second.output.body })
      assert.is_nil(again:export().inbox)
      copy.inbox[2].body = 5
      assert.same({ "restore", "the exported run is refused: inbox[2] is no signal" }, { refusal(step.restore(copy, def)) })
    end
  end)

  it("is called by another engine on the same file", function()
    local path, clock = stores.path(), step.manual_clock(1000)
    local one, two = stores.open(path, clock, question()), stores.open(path, clock)
    local run = assert(one:start "question")
    assert(one:work { until_idle = true })
    assert(two:signal(run.id, "ask", { 7 }))
    assert(one:work { until_idle = true, until_time = 1010 })
    assert.same({ 7 }, one:run(run.id).steps.answer.output.body)
  end)

  it("takes a signal and ends its step in one transaction: a process that dies between loses neither", function()
    local program = [[
      local step = require "step"
      local path, moment = ...
      local engine = assert(step.engine { store = path, clock = step.manual_clock(1000) })
      engine:add(assert(step.load { format = "yaml", text = [=[
name: question
steps:
  ask: {action: {type: callback, configuration: {action: create}}}
  answer: {dependencies: [ask], action: {type: callback, configuration: {action: wait, id: ask}}}
]=] }))
      local run = assert(engine:start "question")
      run:resolve()
      assert(run:signal("ask", "hear me"))
      local save, count = engine.store.save, 0
      engine.store.save = function(...)
        count = count + 1
        if count == tonumber(moment) then os.exit(7) end
        return save(...)
      end
      engine:work { until_idle = true }
      os.exit(0)
    ]]
    local moment = 0
    repeat
      moment = moment + 1
      local path = stores.path()
      local output, code = stores.process(program, path, tostring(moment))
      assert.equal("", output)
      local engine = stores.open(path, step.manual_clock(2000))
      assert(engine:work { until_idle = true })
      local run = engine:list()()
      assert.same({ "DONE", "hear me", {} }, { run.state, run.steps.answer.output.body, engine.store:take_inbox(1) }, "moment " .. moment)
      engine:close()
    until code == 0
    assert.is_true(moment > 2)
  end)

  for name, case in pairs {
    ["no action"] = { {}, "action: create or wait is expected" },
    ["an unknown action"] = { { action = "craete" }, 'action: found "craete"; accepted: create, wait (did you mean \'create\'?)' },
    ["wait without an id"] = { { action = "wait" }, "id: the id of a callback is expected" },
    ["what the action does not take"] = { { action = "wait", id = "x", schema = {} }, "schema: the action 'wait' takes id and timeout" },
    ["a schema that is none"] = { { action = "create", schema = { type = "objekt" } }, "schema: " },
    ["a schema that is no JSON"] = { { action = "create", schema = "{" }, "schema: " },
    ["an empty id"] = { { action = "wait", id = "" }, "id: the id of a callback is expected" },
    ["a timeout that is none"] = { { action = "wait", id = "x", timeout = "soon" }, "timeout: " },
    ["a timeout of nothing"] = { { action = "wait", id = "x", timeout = 0 }, "timeout: more than 0 seconds are expected, found 0" },
  } do
    it("refuses " .. name .. " when the definition is checked", function()
      assert.matches(case[2], refused.configuration("callback", case[1]), 1, true)
    end)
  end

  it("refuses to wait for what nobody has created", function()
    local run = define("x", { { name = "a", action = { type = "callback", configuration = { action = "wait", id = "b" } } } }):start()
    assert.equal("BLOCKED_BADREQUEST", run:resolve())
    assert.equal('the run has no callback "b": no step has created one yet', run.steps.a.error)
  end)

  it("raises what is misuse", function()
    local run = question():start()
    run:resolve()
    assert.error_matches(function() run:signal(5, {}) end, "bad argument #1 to 'signal' %(a callback's name or id expected, got number%)")
    assert.error_matches(function() run:signal("ask", { f = print }) end, "bad argument #2 to 'signal'")
  end)
end)
