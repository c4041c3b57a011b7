-- An engine that stood still for longer than its lease claimed the runs that it held itself; each time counted as a takeover, and
-- after a hundred of them it blocked a run that it was working on.

local step = require "step"
local temp = require "spec.support.temp"

describe("an engine that stood still for longer than its lease", function()
  after_each(temp.clean)

  it("goes on with the runs that it holds (D27)", function()
    local clock, begun, taken = step.manual_clock(1000), 0, 0
    local engine <close> = assert(step.engine { store = temp.path(), clock = clock, lease = 30 })
    step.register_runner("sleeper", function(_, _, _, ctx)
      begun = begun + 1
      ctx:sleep(5000)
      return "slept"
    end)
    engine:on("takeover", function() taken = taken + 1 end)
    engine:add(assert(step.define { name = "x", steps = { { name = "a", idempotent = true, action = { type = "sleeper" } } } }))
    local run = assert(engine:start "x")
    while begun == 0 do assert(engine:step()) end
    for _ = 1, 110 do
      clock.advance(31)
      assert.is_not_nil(engine:step())
    end
    assert.equal("RUNNING", run.state)
    assert(engine:work { until_idle = true })
    assert.same({ "DONE", "slept", 1, 0 }, { run.state, run.steps.a.output, begun, taken })
    assert.equal(0, assert(engine.store:get(run.id)).takeovers)
  end)
end)
