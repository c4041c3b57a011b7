-- csrc/lua/place.c: places (max_concurrent) and who waits for resources without one.

local random = require("spec.support.random_graph").random
local step = require "step"

--- An engine under a manual clock, whose steps tell when they start and end.
local function scene(options)
  local clock = step.manual_clock(0)
  options.clock = clock
  local s = { clock = clock, engine = step.engine(options), log = {}, at_work = 0, most = 0 }
  --- A step: { name, resources, seconds, ... }
  function s.step(spec)
    return { name = spec[1], resources = spec[2], dependencies = spec.after, foreach = spec.foreach, max_concurrent = spec.max_concurrent,
      action = { type = "lua", configuration = { fn = function(_, ctx)
        s.at_work = s.at_work + 1
        s.most = math.max(s.most, s.at_work)
        s.log[#s.log + 1] = ("%g+%s"):format(clock.time, ctx.step_name)
        if spec[3] then ctx:sleep(spec[3]) end
        s.log[#s.log + 1] = ("%g-%s"):format(clock.time, ctx.step_name)
        s.at_work = s.at_work - 1
      end } } }
  end
  function s.define(name, specs, document)
    document = document or {}
    document.name, document.steps = name, {}
    for i, spec in ipairs(specs) do document.steps[i] = s.step(spec) end
    s.engine:add(assert(step.define(document)))
  end
  function s.text() return table.concat(s.log, " ") end
  return s
end

describe("a step that waits for a resource", function()
  it("holds no place: 1000 of them hold up nobody", function()
    local s = scene { max_concurrent = 2, resource_limits = { x = 1 }, acquire_timeout = 5000 }
    local specs = {}
    for i = 1, 1000 do specs[i] = { "w" .. i, { "x" } } end
    specs[#specs + 1] = { "free", nil, 1 }
    s.define("holder", { { "h", { "x" }, 100 } })
    s.define("crowd", specs)
    local holder, crowd = s.engine:start "holder", s.engine:start "crowd"
    s.engine:work { until_idle = true }
    assert.same({ "DONE", "DONE" }, { holder.state, crowd.state })
    assert.same({ "0+h", "0+free", "1-free", "100-h", "100+w1", "100-w1", "100+w2" }, { table.unpack(s.log, 1, 7) })
    assert.equal("100-w1000", s.log[#s.log])
    assert.equal(2, s.most)
    s.engine:close()
  end)

  it("holds no place while its turn comes with time", function()
    local s = scene { max_concurrent = 1, resource_limits = { api = { limit = 1, per = 60 } }, acquire_timeout = 1e6 }
    local specs = {}
    for i = 1, 1000 do specs[i] = { "w" .. i, { "api" } } end
    specs[#specs + 1] = { "free" }
    s.define("crowd", specs)
    assert.equal("DONE", s.engine:start("crowd"):resolve())
    assert.same({ "0+w1", "0-w1", "0+free", "0-free", "60+w2", "60-w2", "120+w3" }, { table.unpack(s.log, 1, 7) })
    assert.equal("59940-w1000", s.log[#s.log])
    s.engine:close()
  end)

  it("has a place before new steps when it has the resource, in order", function()
    local s = scene { max_concurrent = 2, resource_limits = { x = 1 } }
    s.define("all", { { "a", { "x" }, 5 }, { "w1", { "x" }, 1 }, { "w2", { "x" }, 1 }, { "b", nil, 20 }, { "c", nil, 7 } })
    assert.equal("DONE", s.engine:start("all"):resolve())
    assert.equal("0+a 0+b 5-a 5+w1 6-w1 6+w2 7-w2 7+c 14-c 20-b", s.text())
    s.engine:close()
  end)

  it("waits for a place when it has the resource and all are taken", function()
    local s = scene { max_concurrent = 2, resource_limits = { api = { limit = 1, per = 10 } } }
    s.define("all", { { "a", { "api" }, 3 }, { "w", { "api" }, 1 }, { "b", nil, 30 }, { "c", nil, 30 }, { "d", nil, 1 } })
    assert.equal("DONE", s.engine:start("all"):resolve())
    assert.equal("0+a 0+b 3-a 3+c 30-b 30+w 31-w 31+d 32-d 33-c", s.text())
    s.engine:close()
  end)

  it("is given up with its time or its run, whether it has the resource or not", function()
    local s = scene { max_concurrent = 1, resource_limits = { x = 1 }, acquire_timeout = 10 }
    s.define("holder", { { "h", { "x" }, 100 } })
    s.define("waits", { { "w", { "x" } }, { "free" } })
    s.engine:start "holder"
    local engine = s.engine
    local waits = engine:start "waits"
    engine:work { until_time = 50 }
    assert.equal("0+h", s.text()) -- one place: nothing else has begun
    engine:work { until_time = 150 }
    assert.equal("0+h 100-h 100+w 100-w 100+free 100-free", s.text())
    assert.equal("DONE", waits.state)
    engine:close()

    s = scene { max_concurrent = 2, resource_limits = { x = 1 }, acquire_timeout = 10 }
    s.define("holder", { { "h", { "x" }, 100 } })
    s.define("waits", { { "w", { "x" } }, { "v", { "x" } }, { "free" }, { "last", nil, 3, after = { "free" } } })
    s.engine:start "holder"
    waits = s.engine:start "waits"
    s.engine:work { until_time = 9 }
    assert.equal("0+h 0+free 0-free 0+last 3-last", s.text())
    s.engine:work { until_time = 11 }
    assert.same({ "ERROR", "TO_RETRY", "TO_RETRY" }, { waits.state, waits.steps.w.state, waits.steps.v.state })
    s.engine:close()
  end)

  it("that has the resource and no place gives it back when its run is closed", function()
    local s = scene { max_concurrent = 2, resource_limits = { api = { limit = 1, per = 10 } } }
    s.define("first", { { "a", { "api" }, 3 }, { "w", { "api" } } })
    s.define("busy", { { "b", nil, 40 }, { "c", nil, 40 } })
    s.define("third", { { "z", { "api" } } })
    local first = s.engine:start "first"
    s.engine:start "busy"
    s.engine:work { until_time = 15 }
    assert.equal("0+a 0+b 3-a 3+c", s.text())
    assert.equal("RUNNING", first.steps.w.state) -- it has its token and no place
    first:close()
    local third = s.engine:start "third"
    s.engine:work { until_idle = true }
    assert.equal("0+a 0+b 3-a 3+c 40-b 40+z 40-z 43-c", s.text())
    assert.equal("DONE", third.state)
    s.engine:close()
  end)
end)

describe("max_concurrent of a run", function()
  local function play(document, options)
    local s = scene {}
    s.define("x", { { "a", nil, 2 }, { "b", nil, 1 }, { "c", nil, 1 }, { "d", nil, 1 } }, document)
    local run = s.engine:start("x", options)
    assert.equal("DONE", run:resolve())
    s.engine:close()
    return s.text(), s.most
  end

  it("is the definition's, or the one it is started with", function()
    assert.equal("0+a 0+b 0+c 0+d 1-b 1-c 1-d 2-a", (play()))
    assert.equal("0+a 0+b 1-b 1+c 2-a 2+d 2-c 3-d", (play { max_concurrent = 2 }))
    assert.equal("0+a 2-a 2+b 3-b 3+c 4-c 4+d 5-d", (play({ max_concurrent = 2 }, { max_concurrent = 1 })))
    assert.equal(4, select(2, play({ max_concurrent = 2 }, { max_concurrent = 10 })))
  end)

  it("is each run's own, and the engine's holds for all of them", function()
    local s = scene { max_concurrent = 3 }
    s.define("x", { { "a", nil, 1 }, { "b", nil, 1 } }, { max_concurrent = 1 })
    s.define("y", { { "c", nil, 1 }, { "d", nil, 1 }, { "e", nil, 1 } }, { max_concurrent = 2 })
    s.engine:start "x"
    s.engine:start "y"
    s.engine:work { until_idle = true }
    assert.equal("0+a 0+c 0+d 1-a 1+b 1-c 1+e 1-d 2-b 2-e", s.text())
    s.engine:close()
  end)

  it("holds for those that come back with a resource", function()
    local s = scene { resource_limits = { x = 1 } }
    s.define("x", { { "a", { "x" }, 5 }, { "w", { "x" }, 1 }, { "b", nil, 9 }, { "c", nil, 1 } }, { max_concurrent = 2 })
    s.define("y", { { "z", nil, 1 } })
    s.engine:start "x"
    s.engine:start "y"
    s.engine:work { until_idle = true }
    assert.equal("0+a 0+b 0+z 1-z 5-a 5+w 6-w 6+c 7-c 9-b", s.text())
    s.engine:close()
  end)

  it("is exported, and there again in a restored run", function()
    local def = assert(step.define { name = "x", max_concurrent = 2, steps = {} })
    assert.equal(2, def:start():export().max_concurrent)
    local exported = def:start({ max_concurrent = 7 }):export()
    assert.equal(7, exported.max_concurrent)
    assert.equal(7, step.restore(exported):export().max_concurrent)
    assert.is_nil(assert(step.define { name = "x", steps = {} }):start():export().max_concurrent)
    exported.max_concurrent = 0
    local _, err = step.restore(exported)
    assert.equal("the exported run is refused: its max_concurrent is 0", tostring(err))
  end)

  it("is a whole number from 1", function()
    local def = assert(step.define { name = "x", steps = {} })
    for _, most in ipairs { 0, -1, 1.5, "2" } do
      assert.error_matches(function() def:start { max_concurrent = most } end,
        "bad option 'max_concurrent' %(a whole number from 1 expected")
    end
  end)
end)

describe("max_concurrent of a foreach step", function()
  it("holds beside that of the run, of the engine and of its resource: the least of them", function()
    for _, case in ipairs { { 1, nil, nil, nil, 1 }, { 3, 2, nil, nil, 2 }, { 3, nil, 2, nil, 2 }, { 3, 9, 9, 2, 2 }, { 3, 9, 9, 9, 3 },
      { nil, 5, 4, 6, 4 }, { nil, nil, nil, nil, 9 } } do
      local own, of_run, of_engine, resource, most = table.unpack(case, 1, 5)
      local s = scene { max_concurrent = of_engine, resource_limits = { x = resource }, acquire_timeout = 1e6 }
      s.define("d", { { "a", { "x" }, 1, foreach = function() return { 1, 2, 3, 4, 5, 6, 7, 8, 9 } end, max_concurrent = own } },
        { max_concurrent = of_run })
      assert.equal("DONE", s.engine:start("d"):resolve())
      assert.same({ most, math.ceil(9 / most) }, { s.most, s.clock.time })
      s.engine:close()
    end
  end)

  it("holds those that wait for the resource, too: no more than so many children queue for it (S4.4)", function()
    local s = scene { resource_limits = { x = 1 }, acquire_timeout = 1e6 }
    s.define("d", { { "a", { "x" }, 1, foreach = function() return { 1, 2, 3, 4 } end, max_concurrent = 2 }, { "b", { "x" }, 1 },
      { "gate", nil, 0.5 }, { "c", { "x" }, 1, after = { "gate" } } })
    assert.equal("DONE", s.engine:start("d"):resolve())
    assert.equal("0+b 0+gate 0.5-gate 1-b 1+a-0 2-a-0 2+a-1 3-a-1 3+c 4-c 4+a-2 5-a-2 5+a-3 6-a-3", s.text())
    s.engine:close()
  end)
end)

describe("the queue of a resource", function()
  it("is one for all runs of an engine, in the order in which they came; who leaves it makes room for nobody else", function()
    local s = scene { resource_limits = { x = 1 }, acquire_timeout = 1e6 }
    for i = 1, 4 do s.define("d" .. i, { { i .. "a", { "x" }, 1 }, { i .. "b", { "x" }, 1 } }) end
    local runs = {}
    for i = 1, 4 do runs[i] = s.engine:start("d" .. i) end
    s.define("canceller", { { "c", nil, 1 } })
    local canceller = s.engine:start "canceller"
    canceller:on("transition", function(event) if event.step and event.to == "DONE" then runs[2]:cancel() end end)
    s.engine:work { until_idle = true }
    assert.equal("0+1a 0+c 1-1a 1-c 1+1b 2-1b 2+3a 3-3a 3+3b 4-3b 4+4a 5-4a 5+4b 6-4b", s.text())
    assert.same({ "DONE", "CANCELLED", "DONE", "DONE" }, { runs[1].state, runs[2].state, runs[3].state, runs[4].state })
    s.engine:close()
  end)
end)

describe("places in random scenes", function()
  --- Runs with steps of random lengths that need random resources, and see themselves that no limit is exceeded. The log.
  local function play(seed)
    local r = random(seed)
    local limits = { u = r:int(1, 3), v = r:int(1, 2),
      w = { limit = r:int(1, 3), per = r:int(1, 9), concurrent = r:chance(50) and 2 or nil } }
    local places = r:chance(70) and r:int(1, 4) or nil
    local s = scene { max_concurrent = places, resource_limits = limits,
      acquire_timeout = r:chance(30) and r:int(1, 12) or 1e6 }
    local run_most, at_work = {}, {}
    local held, starts = { u = 0, v = 0, w = 0 }, {}
    for d = 1, r:int(1, 3) do
      local steps = {}
      local most = r:chance(40) and r:int(1, 3) or nil
      run_most[d], at_work[d] = most or math.huge, 0
      for i = 1, r:int(1, 12) do
        local resources, seconds = {}, r:chance(70) and r:int(0, 6) or nil
        for _, name in ipairs { "u", "v", "w" } do if r:chance(35) then resources[#resources + 1] = name end end
        local function body(_, ctx)
          at_work[d] = at_work[d] + 1
          s.at_work = s.at_work + 1
          assert(at_work[d] <= run_most[d], "too many of a run")
          assert(s.at_work <= (places or math.huge), "too many at all")
          s.log[#s.log + 1] = ("%g+%d.%s"):format(s.clock.time, d, ctx.step_name)
          for _, name in ipairs(resources) do
            held[name] = held[name] + 1
            local limit = limits[name]
            if type(limit) == "table" then
              starts[#starts + 1] = s.clock.time
              local before = starts[#starts - limit.limit]
              assert(not before or s.clock.time >= before + limit.per, "too many in a period")
              limit = limit.concurrent or math.huge
            end
            assert(held[name] <= limit, "too many hold " .. name)
          end
          if seconds then ctx:sleep(seconds) end
          for _, name in ipairs(resources) do held[name] = held[name] - 1 end
          at_work[d], s.at_work = at_work[d] - 1, s.at_work - 1
        end
        steps[i] = { name = "s" .. i, resources = resources, action = { type = "lua", configuration = { fn = body } },
          dependencies = i > 1 and r:chance(30) and { "s" .. r:int(1, i - 1) } or nil, retry = { initial = 1, factor = 1 } }
      end
      s.engine:add(assert(step.define { name = "d" .. d, steps = steps, max_concurrent = most, retry_max = 1000 }))
      s.engine:start("d" .. d)
    end
    assert(s.engine:work { until_idle = true })
    for run in s.engine:list() do
      assert(run.state == "DONE", ("seed %d: %s: %s"):format(seed, run.state, tostring(run.error)))
    end
    s.engine:close()
    return s.text()
  end

  it("no limit is exceeded, everything ends, and twice the same (D1)", function()
    for seed = 1, 300 do
      local ok, text = pcall(play, seed)
      if not ok then error(("seed %d: %s"):format(seed, tostring(text)), 0) end
      if seed % 10 == 0 then assert.equal(text, (play(seed))) end
    end
  end)
end)
