-- A clock that threw was taken for an error of the step that ran before, which was recorded by asking the clock: a hang.

local step = require "step"

it("an error of the clock comes out of resolve, and the run can go on later", function()
  local broken, tries = false, 0
  local clock = function()
    if broken then error("no time", 0) end
    return 1
  end
  local run = step.define({ name = "x", steps = {
    { name = "a", action = function() return 1 end },
    {
      name = "b",
      action = function()
        tries = tries + 1
        broken = tries == 1
      end,
    },
    { name = "c", action = function() end },
  } }):start { clock = clock }
  local ok, err = pcall(run.resolve, run)
  assert.same({ false, "no time" }, { ok, err })
  broken = false
  assert.equal("CRASHED", run.state) -- S6.4: a step is TODO and nobody goes on with it
  assert.is_nil(run.steps.a.error)
  assert.equal("DONE", run:resolve())
end)
