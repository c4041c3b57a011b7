-- csrc/core/sem.c: counting semaphores by name, through the resource_limits of engines (S4.4).

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
