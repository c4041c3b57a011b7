-- csrc/core/journal.c: every transition leaves the core, in order, once, numbered.

local make = require("spec.support.core_graph").run

--- Listens to a run; the list of events as "number step from>to message".
local function listen(r)
  local seen = {}
  r.run:listen(function(step, from, to, message, time, number)
    seen[#seen + 1] = ("%d %s %s>%s%s"):format(number, step or "-", from, to, message and " " .. message or "")
    assert.equal(r.time, time)
  end)
  return seen
end

describe("journal", function()
  it("tells each transition in order, with its number", function()
    local r = make("a\nb: a")
    local seen = listen(r)
    r:resolve()
    assert.same({ "1 - TODO>RUNNING", "2 a TODO>RUNNING", "3 a RUNNING>DONE", "4 b TODO>RUNNING", "5 b RUNNING>DONE",
      "6 - RUNNING>DONE" }, seen)
  end)

  it("goes on counting from resolve to resolve", function()
    local fail = true
    local r = make("a", { a = function() if fail then error("no", 0) end end })
    local seen = listen(r)
    r:resolve()
    fail = false
    r:resolve()
    assert.same({ "1 - TODO>RUNNING", "2 a TODO>RUNNING", "3 a RUNNING>SERVER_ERROR no", "4 - RUNNING>ERROR", "5 - ERROR>RUNNING",
      "6 a SERVER_ERROR>RUNNING no", "7 a RUNNING>DONE", "8 - RUNNING>DONE" }, seen)
  end)

  it("tells of conditions with their message, of pruning and of children", function()
    local r = make("a {X}\nb: a\nf*: a:ANY", {
      a = { check = { { function() return true end, { "this", "X" }, message = "so" } } },
      f = { foreach = function() return { 1 } end },
    })
    local seen = listen(r)
    assert.equal("DONE", r:resolve())
    assert.same({ "1 - TODO>RUNNING", "2 a TODO>RUNNING", "3 a RUNNING>DONE", "4 a DONE>X so", "5 b TODO>PRUNE", "6 f TODO>EXPANDED",
      "7 f-0 TODO>RUNNING", "8 f-0 RUNNING>DONE", "9 f EXPANDED>DONE", "10 - RUNNING>DONE" }, seen)
  end)

  it("numbers nothing while nobody listens", function()
    local r = make "a\nb"
    r:set("a", "DONE")
    local seen = listen(r)
    r:set("b", "PRUNE")
    assert.same({ "1 b TODO>PRUNE" }, seen)
    r.run:listen(nil)
    r:set("a", "PRUNE")
    assert.same({ "1 b TODO>PRUNE" }, seen)
  end)

  it("tells what a listener changes after what it was told", function()
    local r = make "a\nb"
    local seen = {}
    r.run:listen(function(step, _, to)
      seen[#seen + 1] = (step or "-") .. ">" .. to
      if step == "a" and to == "DONE" then
        r.run:set(2, "PRUNE", nil, 0)
        assert.equal("a>DONE", seen[#seen])
      end
    end)
    assert.equal("DONE", r:resolve())
    assert.same({ "->RUNNING", "a>RUNNING", "a>DONE", "b>PRUNE", "->DONE" }, seen)
  end)

  it("goes on after a listener that throws, whatever it throws", function()
    warn "@off"
    local r, n = make "a\nb", 0
    local thrown = { "text", {}, print, false, setmetatable({}, { __tostring = function() error "again" end }) }
    r.run:listen(function()
      n = n + 1
      error(thrown[n % #thrown + 1])
    end)
    assert.equal("DONE", r:resolve())
    assert.equal(6, n)
    warn "@on"
  end)

  it("tells the public listener the same (run:on)", function()
    local step = require "step"
    local run = assert(step.define { name = "j", steps = { { name = "a",
      action = function() end } } }):start { clock = step.manual_clock(5) }
    local seen = {}
    local off = run:on("transition", function(event)
      assert.equal(run, event.run)
      seen[#seen + 1] = ("%d %s %s>%s %g"):format(event.seq, event.step or "-", event.from, event.to, event.time)
    end)
    run:resolve()
    assert.same({ "1 - TODO>RUNNING 5", "2 a TODO>RUNNING 5", "3 a RUNNING>DONE 5", "4 - RUNNING>DONE 5" }, seen)
    off()
    run:set_state("a", "PRUNE")
    assert.equal(4, #seen)
  end)
end)
