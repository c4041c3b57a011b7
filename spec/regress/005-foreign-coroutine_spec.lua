-- The coroutine of a waiting action, closed or resumed by somebody else, was resumed by the loop with values that were not there.

local step = require "step"

it("closing the coroutine of a waiting action fails its step", function()
  local co, resume
  assert(step.register_runner("regress-005", function(_, _, _, ctx)
    co = coroutine.running()
    return ctx:await(function(r) resume = r end)
  end))
  local run = step.define({ name = "x", steps = {
    { name = "a", action = { type = "regress-005" } },
    { name = "b", action = function()
      assert(coroutine.resume(co, "not mine to resume"))
      coroutine.close(co)
      resume(1)
    end },
  } }):start()
  assert.equal("ERROR", run:resolve())
  assert.matches("closed by somebody else", run.steps.a.error)
  assert.equal("DONE", run.steps.b.state)
end)
