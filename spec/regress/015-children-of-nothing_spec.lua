-- The children of a foreach step whose function gave {} were an empty object, not an empty list: a template made "{}" of them, and the
-- next foreach step, fed with them, was FATAL_ERROR.

local json = require "step.json"
local step = require "step"

it("S5.4, D22: a foreach over {} gives an empty list of children", function()
  local def = assert(step.define { name = "x", steps = {
    { name = "none", foreach = function() return {} end, action = function() end },
    { name = "text", dependencies = { "none" }, action = { type = "echo", configuration = { output = "{{toJson .step.none.children}}" } } },
    { name = "each", dependencies = { "none" }, foreach = "{{toJson .step.none.children}}", action = function() end },
  } })
  local run = assert(def:start())
  assert.equal("DONE", run:resolve(), run.error)
  assert.equal("[]", run.steps.text.output)
  assert.equal("[]", json.encode(run.steps.each.children))
  assert.equal("[]", json.encode(run:export().steps.none.children))
end)
