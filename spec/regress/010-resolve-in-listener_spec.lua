-- A listener that began the run again when it heard of its end found it in the loop's list still, which then had no end.

local step = require "step"

describe("a listener that hears of the end of a resolve", function()
  local function start(steps)
    return assert(assert(step.define { name = "again", steps = steps }):start { clock = step.manual_clock(5) })
  end

  it("may resolve the run again", function()
    local run, n, state = start { { name = "a", action = function() error "no" end } }, 0, nil
    run:on("transition", function(event)
      if event.to ~= "ERROR" or event.step or n > 0 then return end
      n = n + 1
      state = run:resolve()
    end)
    assert.equal("ERROR", run:resolve())
    assert.same({ 2, "ERROR", 2 }, { run.run_count, state, run.steps.a.try_count })
  end)

  it("may cancel it, whose cleaning is a resolve, too", function()
    local run = start { { name = "a", action = function() error "no" end },
      { name = "b", dependencies = { "a" }, always = true, action = function() end } }
    run:on("transition", function(event) if event.to == "ERROR" and not event.step then run:cancel() end end)
    run:resolve()
    assert.equal("CANCELLED", run:wait())
    assert.equal("DONE", run.steps.b.state)
  end)
end)
