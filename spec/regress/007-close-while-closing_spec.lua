-- A closing variable of a failing action that closed the run reset the coroutine that was being reset: a crash. And when the
-- run was closed with several actions waiting, one whose closing variable started another run broke the walk over them.

local step = require "step"

it("closing variables may close and start runs", function()
  local run
  local other = assert(step.define { name = "o", steps = { { name = "o", action = function() end } } })
  assert(step.register_runner("regress-007", function(name, _, _, ctx)
    local _ <close> = setmetatable({}, { __close = function()
      run:close()
      assert(other:start({ loop = run.loop }):resolve() == "DONE")
    end })
    ctx:sleep(1)
    if name == "a" then error "stop" end
    ctx:sleep(1)
  end))
  local steps = { { name = "a", action = { type = "regress-007" } } }
  for i = 1, 20 do steps[i + 1] = { name = "s" .. i, action = { type = "regress-007" } } end
  run = step.define({ name = "x", steps = steps }):start { clock = step.manual_clock() }
  assert.is_nil((run:resolve()))
  assert.equal("CLOSED", run.state)
end)
