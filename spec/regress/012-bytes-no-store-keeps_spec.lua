-- An output whose text form was no UTF-8, and tags of a runner likewise, were only found when they were to be stored: that raised
-- out of the resolve, and nothing of the step was ever stored (S4.8, S4.10, D25). An error with such bytes could not be exported.

local folders = require "spec.support.cli"
local json = require "step.json"
local step = require "step"

describe("bytes that are no UTF-8", function()
  after_each(folders.clean)

  for name, case in pairs {
    output = { "BLOCKED_FATAL", function() return "\xff" end },
    tags = { "DONE", function() return 1, nil, { a = "\xff", ["\xff"] = "b" } end },
    error = { "ERROR", function() error("\xff", 0) end },
  } do
    it("in the " .. name .. " of an action are stored as what can be", function()
      local path = folders.folder {} .. "/runs.db"
      local def = assert(step.define { name = "d", steps = { { name = "a", action = case[2] } } })
      local engine = assert(step.engine { store = path, clock = step.manual_clock(0) }):add(def)
      local run = assert(engine:start "d")
      assert.equal(case[1], run:resolve())
      local exported = run:export()
      assert(json.encode(exported))
      engine:close()
      local other <close> = assert(step.engine { store = path, clock = step.manual_clock(0) }):add(def)
      local again = other:run(run.id)
      assert.equal(case[1], again.state)
      assert.same(exported, again:export())
    end)
  end
end)
