-- An action that closed its engine crashed the process: the loop looked for the run in a list that was gone, and gave
-- resources back to semaphores that were freed.

local step = require "step"

it("an action may close its engine, with resources in its hands", function()
  for _, how in ipairs { "resolve", "work" } do
    local engine = step.engine { resource_limits = { r = 1 } }
    engine:add(assert(step.define { name = "x", steps = { { name = "a", resources = { "r" }, action = function() engine:close() end } } }))
    local run = engine:start "x"
    local ok, err
    if how == "work" then ok, err = engine:work { until_idle = true } else ok, err = run:resolve() end
    assert.is_nil(ok)
    assert.equal("closed", err.kind)
  end
end)
