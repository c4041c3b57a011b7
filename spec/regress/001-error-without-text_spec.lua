-- An error object whose __tostring throws itself made the engine record the error, fail, record that, and so on for ever.

local step = require "step"

it("an error whose __tostring throws is recorded without its text", function()
  local hostile = setmetatable({}, { __tostring = function(self) error(self) end })
  local run = step.define({ name = "x", steps = { { name = "a", action = function() error(hostile) end } } }):start()
  assert.equal("ERROR", run:resolve())
  assert.equal("(a table without a text)", run.steps.a.error)
end)
