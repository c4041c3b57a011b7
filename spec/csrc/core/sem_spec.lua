-- csrc/core/sem.c: counting semaphores by name, through the resource_limits of engines (S4.4).

local random = require("spec.support.random_graph").random
local step = require "step"

--- Runs steps, each { name, resources, seconds }, side by side under a manual clock. The log of what started and ended when.
local function play(limits, specs, options)
  options = options or {}
  local clock = step.manual_clock(0)
  local engine <close> = step.engine { clock = clock, resource_limits = limits, acquire_timeout = options.acquire_timeout }
  local log, steps = {}, {}
  for i, spec in ipairs(specs) do
    steps[i] = { name = spec[1], resources = spec[2], action = { type = "lua", configuration = { fn = function(_, ctx)
      log[#log + 1] = ("%g+%s"):format(clock.time, spec[1])
      ctx:sleep(spec[3] or 1)
      log[#log + 1] = ("%g-%s"):format(clock.time, spec[1])
      if spec.fails then error("fails", 0) end
    end } } }
  end
  engine:add(assert(step.define { name = "sem", steps = steps }))
  local run = engine:start("sem")
  local state = run:resolve()
  local states = {}
  for _, spec in ipairs(specs) do states[#states + 1] = run.steps[spec[1]].state end
  local text = run.steps[specs[1][1]].error
  run:close()
  return table.concat(log, " "), state, table.concat(states, " "), text
end

describe("resources", function()
  it("without a limit are free", function()
    assert.equal("0+a 0+b 1-a 1-b", (play({}, { { "a", { "x" } }, { "b", { "x" } } })))
  end)

  it("are had by so many at a time, first come first served", function()
    assert.equal("0+a 0+b 1-a 1-b 1+c 1+d 2-c 2-d 2+e 3-e",
      (play({ x = 2 }, { { "a", { "x" } }, { "b", { "x" } }, { "c", { "x" } }, { "d", { "x" } }, { "e", { "x" } } })))
  end)

  it("several are taken one by one in the order of their names; nobody overtakes", function()
    local log, state = play({ x = 1, y = 1 }, { { "a", { "y", "x" }, 2 }, { "b", { "y" } }, { "c", { "x" } }, { "d", { "x", "y" } } })
    assert.equal("DONE", state)
    assert.equal("0+a 2-a 2+c 2+b 3-c 3-b 3+d 4-d", log)
  end)

  it("named twice are taken once", function()
    assert.equal("0+a 1-a", (play({ x = 1 }, { { "a", { "x", "x" } } })))
  end)

  it("of limit 0 are never to be had: TO_RETRY, nothing executed", function()
    local log, state, states, text = play({ x = 0, y = 1 }, { { "a", { "x", "y" } }, { "b", { "y" } } })
    assert.same({ "0+b 1-b", "ERROR", "TO_RETRY DONE" }, { log, state, states })
    assert.matches("failed to acquire resources: .*x", text)
  end)

  it("that cannot be had in time: TO_RETRY, nothing executed; what was held is given back", function()
    local log, state, states = play({ x = 1, y = 1 }, { { "a", { "y" }, 100 }, { "b", { "x", "y" } }, { "c", { "x" } } },
      { acquire_timeout = 10 })
    assert.same({ "ERROR", "DONE TO_RETRY DONE" }, { state, states }) -- c waits for what b holds, and has it then
    assert.equal("0+a 10+c 11-c 100-a", log)
    log, state, states = play({ x = 1 }, { { "a", { "x" }, 70 }, { "b", { "x" } } }) -- a minute by default
    assert.same({ "0+a 70-a", "ERROR", "DONE TO_RETRY" }, { log, state, states })
  end)

  it("are released when the action fails", function()
    local log = play({ x = 1 }, { { "a", { "x" }, 1, fails = true }, { "b", { "x" } } })
    assert.equal("0+a 1-a 1+b 2-b", log)
  end)

  it("are released when the run is closed, to those of other runs", function()
    local clock = step.manual_clock(0)
    local engine <close> = step.engine { clock = clock, resource_limits = { x = 1 } }
    local resume
    assert(step.register_runner("sem-holds", function(_, _, _, ctx) return ctx:await(function(r) resume = r end) end))
    engine:add(assert(step.define { name = "holds", steps = { { name = "a", resources = { "x" }, action = { type = "sem-holds" } } } }))
    engine:add(assert(step.define { name = "wants", steps = { { name = "b", resources = { "x" }, action = function() return 1 end } } }))
    local first, second = engine:start "holds", engine:start "wants"
    engine.loop:begin(first.core)
    engine.loop:begin(second.core)
    engine.loop:turn()
    engine.loop:turn()
    assert.equal("RUNNING", second.steps.b.state)
    first:close()
    assert.is_true(engine.loop:finish(second.core))
    assert.equal("DONE", second.state)
    resume()
  end)

  it("are held by many more steps than there are, to the last", function()
    local specs = {}
    for i = 1, 200 do specs[i] = { "s" .. i, { "x", "y", "z" }, 0 } end
    local log, state = play({ x = 3, y = 2, z = 7 }, specs)
    assert.equal("DONE", state)
    assert.equal(400, select(2, log:gsub("%S+", "")))
  end)

  it("limits are whole numbers from 0", function()
    for _, limit in ipairs { -1, 1.5, "1", 1 << 33 } do
      assert.is_false((pcall(step.engine, { resource_limits = { x = limit } })))
    end
  end)
end)

--- Steps that arrive at times and need resources, { arrival, resources, seconds }; when each started.
local function arrivals(limits, specs, timeout)
  local clock = step.manual_clock(0)
  local engine <close> = step.engine { clock = clock, resource_limits = limits, acquire_timeout = timeout or 1e6 }
  local starts, steps = {}, {}
  for i, spec in ipairs(specs) do
    steps[2 * i - 1] = { name = "gate" .. i, action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(spec[1]) end } } }
    steps[2 * i] = { name = "s" .. i, dependencies = { "gate" .. i }, resources = spec[2], action = { type = "lua",
      configuration = { fn = function(_, ctx)
        starts[i] = clock.time
        if spec[3] then ctx:sleep(spec[3]) end
      end } } }
  end
  engine:add(assert(step.define { name = "sem", steps = steps }))
  engine:start("sem"):resolve()
  return starts
end

describe("rates", function()
  it("let so many start in any half-open window", function()
    local api = { "api" }
    assert.same({ 0, 9, 10, 19, 20, 29 }, arrivals({ api = { limit = 2, per = 10 } },
      { { 0, api }, { 9, api }, { 9.5, api }, { 9.5, api }, { 9.5, api }, { 9.5, api } }))
    assert.same({ 0, 10, 20 }, arrivals({ api = { limit = 1, per = 10 } }, { { 0, api }, { 10, api }, { 20, api } }))
  end)

  it("serve in order: a literal list of times", function()
    local r = random(5)
    for _ = 1, 100 do
      local limit, per, specs, times = r:int(1, 4), r:int(1, 20) / 2, {}, {}
      for i = 1, r:int(1, 25) do specs[i] = { r:int(0, 40) / 2, { "api" }, r:chance(30) and r:int(0, 20) or nil } end
      table.sort(specs, function(a, b) return a[1] < b[1] end)
      for i, spec in ipairs(specs) do
        times[i] = math.max(spec[1], times[i - 1] or 0, times[i - limit] and times[i - limit] + per or 0)
      end
      assert.same(times, arrivals({ api = { limit = limit, per = per } }, specs))
    end
  end)

  it("count from the start of the action, not from when its turn was reserved", function()
    local starts = arrivals({ api = { limit = 2, per = 10 }, db = 1 },
      { { 0, { "db" }, 100 }, { 1, { "api", "db" }, 1 }, { 2, { "api", "db" }, 1 }, { 3, { "api" } }, { 4, { "api" } } })
    assert.same({ 0, 100, 101, 110, 111 }, starts)
  end)

  it("have the turn of what gives up back", function()
    local starts = arrivals({ api = { limit = 1, per = 10 }, db = 1 },
      { { 0, { "db" }, 100 }, { 1, { "api", "db" } }, { 3, { "api" } } }, 50)
    assert.same({ 0, nil, 51 }, starts)
  end)

  it("of 0 are never to be had", function()
    local _, state, _, text = play({ api = { limit = 0, per = 1 } }, { { "a", { "api" } } })
    assert.equal("ERROR", state)
    assert.matches("failed to acquire resources: .*api", text)
  end)

  it("are waited for no longer than for anything else", function()
    local log, state, states = play({ api = { limit = 1, per = 60 } }, { { "a", { "api" } }, { "b", { "api" } } }, { acquire_timeout = 59 })
    assert.same({ "0+a 1-a", "ERROR", "DONE TO_RETRY" }, { log, state, states })
    log = play({ api = { limit = 1, per = 60 } }, { { "a", { "api" } }, { "b", { "api" } } }, { acquire_timeout = 60 })
    assert.equal("0+a 1-a 60+b 61-b", log) -- just in time
  end)

  it("outlive the run, and a clock that is set back does not stop them", function()
    local clock = step.manual_clock(1000)
    local engine <close> = step.engine { clock = clock, resource_limits = { api = { limit = 2, per = 10 } } }
    local times = {}
    engine:add(assert(step.define { name = "x", steps = { { name = "a", resources = { "api" }, action = function()
      times[#times + 1] = clock.time
    end } } }))
    local function run() assert.equal("DONE", engine:start("x"):resolve()) end
    run()
    clock.advance(4)
    run()
    run()
    assert.same({ 1000, 1004, 1010 }, times)
    clock.time = 50 -- the latest start counts as now, the one before it as 6 seconds earlier
    run()
    run()
    assert.same({ 54, 60 }, { times[4], times[5] })
  end)

  it("tell a program with a loop of its own how long it need not look", function()
    local clock = step.manual_clock(0)
    local engine <close> = step.engine { clock = clock, resource_limits = { api = { limit = 1, per = 10 } } }
    engine:add(assert(step.define { name = "x", steps = { { name = "a", resources = { "api" }, action = function() end },
      { name = "b", resources = { "api" }, action = function() end } } }))
    local run = engine:start "x"
    while engine:step() do end
    assert.same({ "RUNNING", 10 }, { run.state, engine:timeout() })
    clock.advance(4)
    assert.is_false(engine:step())
    assert.equal(6, engine:timeout())
    clock.advance(6)
    assert.is_true(engine:step())
    assert.equal("DONE", run.state)
  end)
end)
