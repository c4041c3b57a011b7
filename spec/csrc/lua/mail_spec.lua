-- csrc/lua/mail.c: results that come from other threads; more of it in spec/csrc/runner_spec.lua.

local fixture = require "spec.c_runner"
local step = require "step"

describe("mail", function()
  setup(function() assert(step.register_runner("mailed", fixture.runner)) end)
  after_each(fixture.reset)

  it("wakes a loop that waits without a timer, and one that waits for a timer", function()
    for _, slow in ipairs { false, true } do
      fixture.now("thread", 0, '"came"')
      local steps = { { name = "a", action = { type = "mailed" } } }
      if slow then steps[2] = { name = "s", action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(0.01) end } } } end
      local run = step.define({ name = "m", steps = steps }):start()
      assert.equal("DONE", run:resolve())
      assert.equal("came", run.steps.a.output)
    end
  end)

  it("lets a clock of one's own go on meanwhile", function()
    local clock = step.manual_clock(0)
    fixture.now("thread", 0, '"came"')
    local run = step.define({ name = "m", steps = { { name = "a", action = { type = "mailed" } } } }):start { clock = clock }
    assert.equal("DONE", run:resolve())
  end)

  it("delivers in the order in which results came, to runs of one loop", function()
    local order = {}
    local engine <close> = step.engine { clock = step.manual_clock(0) }
    engine:add(assert(step.define { name = "m", steps = { { name = "a", action = { type = "mailed" } } } }))
    for i = 1, 5 do
      local run = engine:start("m", { id = "r" .. i })
      run:on("transition", function(event) if event.step and event.to == "DONE" then order[#order + 1] = run.id end end)
      engine.loop:begin(run.core)
    end
    engine.loop:turn()
    for _, i in ipairs { 3, 1, 5, 2, 4 } do fixture.finish(i, "thread", 0) end
    engine.loop:turn()
    assert.same({ "r3", "r1", "r5", "r2", "r4" }, order)
  end)

  it("is to be looked for often by a program with a loop of its own", function()
    local engine <close> = step.engine { clock = step.manual_clock(0) }
    engine:add(assert(step.define { name = "m", steps = { { name = "a", action = { type = "mailed" } } } }))
    local run = engine:start "m"
    while engine:step() do end
    assert.equal(0.05, engine:timeout())
    fixture.finish(1, "thread", 0, '"came"')
    while engine:step() do end
    assert.same({ "DONE", "came" }, { run.state, run.steps.a.output })
    assert.is_nil(engine:timeout())
  end)

  it("of a closed loop is dropped", function()
    local engine = step.engine {}
    engine:add(assert(step.define { name = "m", steps = { { name = "a", action = { type = "mailed" } } } }))
    engine.loop:begin(engine:start("m").core)
    engine.loop:turn()
    fixture.finish(1, "thread", 0, '"queued"')
    engine:close()
  end)
end)
