-- After a listener had thrown an error object whose __tostring throws, no listener of the run was called any more.

local step = require "step"

it("a listener that throws anything is called again", function()
  warn "@off"
  local run = step.define({ name = "x", steps = { { name = "a", action = function() end } } }):start()
  local n = 0
  run:on("transition", function()
    n = n + 1
    error(setmetatable({}, { __tostring = function() error "again" end }))
  end)
  assert.equal("DONE", run:resolve())
  assert.equal(4, n)
  warn "@on"
end)
