-- A resume function called by a finalizer, when the run, its loop and all were garbage too, crashed the process.

local step = require "step"

it("resume and ctx may be used by a finalizer", function()
  local seen
  assert(step.register_runner("regress-004", function(_, _, _, ctx)
    local handle = setmetatable({}, { __gc = function(h) seen = table.pack(pcall(h.resume, 1), pcall(function() return ctx.key end)) end })
    ctx:await(function(resume) handle.resume = resume end)
    return handle
  end))
  do
    local def = step.define { name = "x", steps = { { name = "a", action = { type = "regress-004" } } } }
    def:start({ clock = step.manual_clock() }):resolve()
  end
  collectgarbage()
  collectgarbage()
  assert.is_true(seen[1])
end)
