-- csrc/lua/active.c: the runs of a loop that have a resolve in progress, which come and go while the loop walks over them.

local random_graph = require "spec.support.random_graph"
local step = require "step"

describe("the active runs of a loop", function()
  local kind = 0

  --- Runs of one step that sleeps, of one loop, each with its seconds; they begin in that order.
  local function begin(seconds, told)
    local engine = assert(step.engine { clock = step.manual_clock(0) })
    kind = kind + 1
    assert(step.register_runner("active-spec" .. kind, function(_, _, config, ctx) ctx:sleep(config.seconds) end))
    local runs = {}
    for i, n in ipairs(seconds) do
      local def = assert(step.define { name = "r" .. i, steps = { { name = "a",
        action = { type = "active-spec" .. kind, configuration = { seconds = n } } } } })
      runs[i] = assert(def:start { loop = engine.loop })
      runs[i]:on("transition", function(event) if event.to == "DONE" and not event.step then told(i, runs, engine) end end)
      engine.loop:begin(runs[i].core)
    end
    return runs, engine
  end

  local function finish(engine)
    while engine.loop:turn() or engine.loop:pause() do end -- luacheck: ignore 542
    assert.is_false(engine.loop:active())
  end

  it("end in the order in which they began, those of the same turn", function()
    local log = {}
    local _, engine = begin({ 2, 1, 2, 1, 2 }, function(i) log[#log + 1] = i end)
    finish(engine)
    assert.same({ 2, 4, 1, 3, 5 }, log)
    engine:close()
  end)

  it("are all visited, whatever a listener does to them meanwhile", function()
    for seed = 1, 300 do
      local r = random_graph.random(seed)
      local seconds, ended, count = {}, {}, r:int(1, 12)
      for i = 1, count do seconds[i] = r:int(0, 3) end
      local runs, engine
      runs, engine = begin(seconds, function(i)
        ended[i] = (ended[i] or 0) + 1
        local other = runs[r:int(1, #runs)]
        local what = r:int(1, 6)
        if what == 1 and other.state == "RUNNING" then other:cancel() end
        if what == 2 then engine.loop:turn() end
        if what == 3 then other:close() end
        if what == 4 and other.state == "RUNNING" then other:pause() end
        if what == 5 and #runs < 40 then -- one that comes is visited, too
          local late = assert(runs[1].definition:start { loop = engine.loop })
          runs[#runs + 1] = late
          engine.loop:begin(late.core)
        end
      end)
      finish(engine)
      for i, run in ipairs(runs) do
        local state = run.state
        assert.is_true(state == "DONE" or state == "CANCELLED" or state == "PAUSED" or state == "CLOSED",
          ("seed %d: run %d is %s"):format(seed, i, state))
        assert.is_true((ended[i] or 0) <= 1)
        if state == "DONE" and i <= count then assert.equal(1, ended[i]) end
      end
      engine:close()
    end
  end)

  it("may all be closed by a listener, and the loop with them", function()
    local _, engine = begin({ 1, 1, 1 }, function(_, _, engine) engine:close() end)
    pcall(finish, engine)
    assert.is_nil(engine.loop)
  end)
end)
