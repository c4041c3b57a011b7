local drive = require "step.cli.drive"
local step = require "step"

local function start(steps, clock)
  return assert(assert(step.define { name = "driven", steps = steps }):start { clock = clock })
end

local SLEEPER = { { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(5) end } } } }

--- Options that count.
local function options(wait)
  local counted = { ticks = 0, interrupts = 0 }
  return { wait = wait, tick = function() counted.ticks = counted.ticks + 1 end,
    interrupted = function() counted.interrupts = counted.interrupts + 1 end }, counted
end

describe("driving a run", function()
  it("goes on to the end, and lets time be seen to pass", function()
    local clock = step.manual_clock(0)
    local run <close> = start(SLEEPER, clock)
    local how, counted = options(true)
    assert.is_true(drive.run(run, how))
    assert.equal("DONE", run.state)
    assert.equal(5, clock.now())
    assert.is_true(counted.ticks > 1)
  end)

  it("waits for retries, if asked to", function()
    local function failing_once()
      local tries = 0
      return { { name = "a", action = function() tries = tries + 1 if tries == 1 then error "no" end end } }
    end
    local clock = step.manual_clock(0)
    local run <close> = start(failing_once(), clock)
    assert.is_true(drive.run(run, (options(true))))
    assert.equal("DONE", run.state)
    assert.equal(10, clock.now())
    local other <close> = start(failing_once(), clock)
    assert.is_true(drive.run(other, (options(false))))
    assert.equal("ERROR", other.state)
    assert.equal(10, clock.now())
  end)

  it("stops where nobody will go on", function()
    local clock = step.manual_clock(0)
    local run <close> = start({ { name = "a", action = { type = "lua",
      configuration = { fn = function(_, ctx) ctx:await(function() end) end } } } }, clock)
    local ok, err = drive.run(run, (options(true)))
    assert.is_nil(ok)
    assert.equal("pending", err.kind)
  end)

  it("cancels the run when it is interrupted: what waits is stopped, what cleans up runs", function()
    local clock = step.manual_clock(0)
    local sleep, ended = clock.sleep, false
    function clock.sleep(seconds)
      clock.sleep = sleep
      if not ended then
        ended = true
        error("drive_spec.lua:1: interrupted!", 0) -- as the interpreter does
      end
      sleep(seconds)
    end
    local run <close> = start({
      { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(5) return 1 end } } },
      { name = "b", dependencies = { "a" }, action = function() end },
      { name = "c", dependencies = { "a" }, always = true, action = function() end },
    }, clock)
    local how, counted = options(true)
    assert.is_true(drive.run(run, how))
    assert.equal(1, counted.interrupts)
    assert.equal("CANCELLED", run.state)
    assert.same({ "TO_RETRY", "TODO", "DONE" }, { run.steps.a.state, run.steps.b.state, run.steps.c.state })
  end)

  it("passes on what else goes wrong", function()
    local clock = step.manual_clock(0)
    function clock.sleep() error("the clock is broken", 0) end
    local run <close> = start(SLEEPER, clock)
    local ok, problem = pcall(drive.run, run, (options(true)))
    assert.is_false(ok)
    assert.matches("the clock is broken", problem)
  end)
end)
