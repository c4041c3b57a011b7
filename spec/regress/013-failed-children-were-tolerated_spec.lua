-- Of a run that was read from a store, or restored, all failed children of a foreach step were taken for tolerated until its next
-- resolve: the run had no error, and `why` said that the step accepts them.

local clock = require "step.clock"
local step = require "step"

it("the failed child of a restored run is what keeps it from being done", function()
  local def = assert(step.define { name = "d", steps = {
    { name = "f", foreach = function() return { 1, 2 } end, action = function() error(step.error.bad_request "no") end },
  } })
  local run = assert(def:start { clock = clock.manual() })
  assert.equal("BLOCKED_BADREQUEST", run:resolve())
  assert.equal("step 'f-0' is CLIENT_ERROR: no", run.error)
  local again = assert(step.restore(run:export(), def, { clock = clock.manual() }))
  assert.equal("step 'f-0' is CLIENT_ERROR: no", again.error)
  assert.same(run:why "f-0", again:why "f-0")
end)
