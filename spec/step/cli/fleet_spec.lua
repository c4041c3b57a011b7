-- What the worker's table is fed with: a row for each run.

local fleet = require "step.cli.fleet"
local step = require "step"

local function start(id)
  local def = assert(step.define { name = "x", steps = {
    { name = "a", action = function() end }, { name = "each", foreach = "[1, 2]", dependencies = { "a" }, action = function() end },
    { name = "b", dependencies = { "each" }, action = { type = "echo", configuration = { error_message = "no", error_type = "client" } } },
  } })
  local run = assert(def:start { clock = step.manual_clock(0), id = id })
  return run
end

describe("the rows of a worker", function()
  it("tell how far a run is, its children not counted, and its trouble when it stops", function()
    local known, seen = fleet.new(0), {}
    local run = start "abcdefgh-1"
    run:on("transition", function(event)
      local row = known:feed(event)
      seen[#seen + 1] = ("%s %s"):format(row.state, row.message or "-")
    end)
    run:resolve()
    assert.equal("x abcdefgh", known.rows[1].name)
    assert.same({ "RUNNING -", "RUNNING 0 of 3, a", "RUNNING 1 of 3, a" }, { table.unpack(seen, 1, 3) })
    assert.same({ "RUNNING 2 of 3, b", "BLOCKED_BADREQUEST b CLIENT_ERROR: no" }, { seen[#seen - 1], seen[#seen] })
    assert.same({ 0, 1 }, { known:ended() })
    run:set_state("b", "DONE")
    run:resolve()
    assert.same({ "DONE", "3 of 3" }, { known.rows[1].state, known.rows[1].message })
    assert.same({ 1, 1, 1 }, { known:fraction(), known:ended() })
  end)

  it("of runs that have ended are dropped, but the last ones", function()
    local known = fleet.new(0)
    for i = 1, fleet.kept + 5 do
      local run = start("run" .. i)
      run:on("transition", function(event) known:feed(event) end)
      if i == 2 then run:resolve() else run:cancel() end
    end
    assert.equal(fleet.kept + 1, #known.rows) -- and the one that is blocked
    assert.equal("x run2", known.rows[1].name)
    assert.equal("x run6", known.rows[2].name)
    assert.same({ fleet.kept + 4, fleet.kept + 5 }, { known:ended() })
  end)
end)
