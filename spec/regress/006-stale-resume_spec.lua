-- A resume function of a ctx:await that had failed ended a later ctx:sleep of the same action early.

local step = require "step"

it("a resume function of before does not end a sleep", function()
  local kept
  local clock = step.manual_clock(0)
  assert(step.register_runner("regress-006", function(_, _, _, ctx)
    pcall(ctx.await, ctx, function(resume)
      kept = resume
      error "no"
    end)
    ctx:sleep(10)
    return clock.time
  end))
  local run = step.define({ name = "x", steps = {
    { name = "a", action = { type = "regress-006" } }, { name = "b", action = function() kept() end },
  } }):start { clock = clock }
  assert.equal("DONE", run:resolve())
  assert.equal(10, run.steps.a.output)
end)
