-- An engine that was slower than its lease claimed the runs it was working on once more, as if their owner had died, and began
-- them a second time: the loop of active runs became a circle, the process span for ever.

local step = require "step"
local temp = require "spec.support.temp"

describe("a run whose lease ended while its own engine was busy", function()
  local path, clock, engine, effects

  before_each(function()
    path, clock, effects = temp.path(), step.manual_clock(1000), {}
  end)

  after_each(function()
    engine:close()
    temp.clean()
  end)

  step.register_runner("regress 010 waits", function(_, _, _, ctx)
    effects[#effects + 1] = "waits"
    ctx:sleep(5)
  end)

  --- Two runs: one waits, then the other takes `slow` of the engine's time.
  local function start(slow)
    local waits = assert(step.define { name = "waits", steps = { { name = "a", action = { type = "regress 010 waits" } } } })
    local works = assert(step.define { name = "works", steps = { { name = "b", execution_delay = "1s", action = slow } } })
    engine = assert(step.engine { store = path, clock = clock, lease = 30 }):add(waits):add(works)
    local run = assert(engine:start "waits")
    assert(engine:start "works")
    return run
  end

  local function events(id)
    local list = {}
    for i, event in ipairs(assert(engine:events(id))) do list[i] = ("%s %s>%s"):format(event.step or "-", event.from, event.to) end
    return list
  end

  it("goes on where it is (D27)", function()
    local run = start(function() clock.advance(31) end)
    assert(engine:work { until_idle = true })
    assert.equal("DONE", run.state)
    assert.same({ "waits" }, effects)
    assert.same({ "- TODO>RUNNING", "a TODO>RUNNING", "a RUNNING>DONE", "- RUNNING>DONE" }, events(run.id))
  end)

  it("is lost when somebody else had it in the meantime, and gave it up (D27)", function()
    local lost, run = 0, nil
    run = start(function()
      clock.advance(31)
      local rows = assert(engine.store:claim { owner = "other", now = clock.now(), lease = 10, id = run.id })
      assert.equal(1, #rows)
      clock.advance(11)
    end)
    engine:on("lost", function(_, err)
      assert.equal("lost", err.kind)
      lost = lost + 1
    end)
    assert(engine:work { until_idle = true })
    assert.equal(1, lost)
    assert.equal("BLOCKED_TOCHECK", engine:run(run.id).state) -- its step is not idempotent, the other one died
    assert.same({ "waits" }, effects)
  end)
end)
