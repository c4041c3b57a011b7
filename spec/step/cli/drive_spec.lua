local drive = require "step.cli.drive"
local step = require "step"
local stores = require "spec.support.stores"

local function start(steps, clock)
  return assert(assert(step.define { name = "driven", steps = steps }):start { clock = clock })
end

local SLEEPER = { { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(5) end } } } }

--- Options that count.
local function options(wait)
  local counted = { ticks = 0 }
  return { wait = wait, tick = function() counted.ticks = counted.ticks + 1 end }, counted
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

  it("of an engine in memory carries the runs on that it starts, and stops them with it", function()
    for _, stopping in ipairs { false, true } do
      local clock = step.manual_clock(0)
      local engine <close> = assert(step.engine { clock = clock })
      engine:add(assert(step.define { name = "child", steps = SLEEPER }))
      engine:add(assert(step.define { name = "parent", steps = {
        { name = "call", action = { type = "workflow", configuration = { definition = "child" } } } } }))
      local run = assert(engine:start "parent")
      local how = options(true)
      how.engine = engine
      function how.stop() return stopping and clock.now() > 0.05 end
      function how.stopped() assert(run:cancel()) end
      assert.is_true(drive.run(run, how))
      local states = {}
      for other in engine:list {} do states[other.definition.name] = other.state end
      local state = stopping and "CANCELLED" or "DONE"
      assert.same({ parent = state, child = state }, states)
      assert.equal(not stopping, clock.now() >= 5)
    end
  end)

  it("asks again and again whether to stop: what waits is stopped then, what cleans up runs", function()
    local clock = step.manual_clock(0)
    local run <close> = start({
      { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(5) return 1 end } } },
      { name = "b", dependencies = { "a" }, action = function() end },
      { name = "c", dependencies = { "a" }, always = true, action = function() end },
    }, clock)
    local how, asked, stops = options(true), 0, 0
    how.stop = function()
      asked = asked + 1
      return clock.now() >= 2
    end
    how.stopped = function()
      stops = stops + 1
      run:cancel()
    end
    assert.is_true(drive.run(run, how))
    assert.is_true(asked >= 20) -- every tenth of a second
    assert.equal(1, stops)
    assert.equal("CANCELLED", run.state)
    assert.same({ "TO_RETRY", "TODO", "DONE" }, { run.steps.a.state, run.steps.b.state, run.steps.c.state })
  end)

  it("begins at once when a person asks, and says why it cannot", function()
    local clock = step.manual_clock(0)
    local run <close> = start({ { name = "a", action = function() error "no" end } }, clock)
    assert.is_true(drive.run(run, (options(false))))
    assert.same({ "ERROR", 1 }, { run.state, run.run_count })
    local how = options(false)
    how.now = true
    assert.is_true(drive.run(run, how))
    assert.equal(2, run.run_count)
    run:cancel()
    local ok, err = drive.run(run, how)
    assert.is_nil(ok)
    assert.equal("Can't run resolution: cancelled", err.message)
  end)

  it("says that the run was closed under it", function()
    local run = start(SLEEPER, step.manual_clock(0))
    run:close()
    local ok, err = drive.run(run, (options(true)))
    assert.is_nil(ok)
    assert.equal("closed", err.kind)
  end)

  describe("a run of a store that another engine works on", function()
    after_each(stores.clean)

    --- A run that one engine works on, as another sees it.
    local function seen(clock)
      local path, def = stores.path(), stores.define("driven", SLEEPER)
      local worker, watcher = stores.open(path, clock, def), stores.open(path, clock, def)
      local id = worker:start("driven").id
      for _ = 1, 3 do worker:step() end
      return worker, watcher, watcher:run(id)
    end

    it("watches it, until it has ended there", function()
      local clock = step.manual_clock(0)
      local worker, _, run = seen(clock)
      local how, watched = options(true), 0
      how.watch = function()
        watched = watched + 1
        for _ = 1, 3 do worker:step() end
      end
      assert.is_true(drive.run(run, how))
      assert.same({ "DONE", 1 }, { run.state, run.run_count })
      assert.is_true(watched >= 2)
    end)

    it("does not begin with it as a person, unless it has just been made due: then it is watched", function()
      local worker, _, run = seen(step.manual_clock(0))
      local how = options(true)
      how.now, how.watch = true, function() worker:step() end
      local ok, err = drive.run(run, how)
      assert.same({ nil, "busy" }, { ok, err.kind })
      how.shared = true
      assert.is_true(drive.run(run, how))
      assert.same({ "DONE", 1 }, { run.state, run.run_count })
      local looks = 0
      how.watch = function() looks = looks + 1 end
      assert.is_true(drive.run(run, how)) -- it has ended already
      assert.equal(1, looks)
      how.shared = false
      assert.equal("Can't run resolution: already done", select(2, drive.run(run, how)).message)
    end)

    it("lets it go on there when it is to stop", function()
      local worker, watcher, run = seen(step.manual_clock(0))
      local how = options(true)
      how.stop = function() return true end
      local ok, err = drive.run(run, how)
      assert.is_nil(ok)
      assert.equal("interrupted", err.kind)
      assert(worker:work { until_idle = true })
      assert.equal("DONE", watcher:run(run.id).state)
    end)
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
