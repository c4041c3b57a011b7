-- csrc/core/state.c: the table of states (S1.1, S1.2).

local core = require "step.core"
local step = require "step"

-- name: runnable, retriable, final, a condition may set it
local TABLE = {
  { "TODO", "r" }, { "WAITING", "r" }, { "RUNNING", "" }, { "DONE", "fs" }, { "CLIENT_ERROR", "rs" }, { "SERVER_ERROR", "rt" },
  { "FATAL_ERROR", "rs" }, { "CRASHED", "r" }, { "PRUNE", "fs" }, { "TO_RETRY", "rts" }, { "RETRY_NOW", "rs" },
  { "AFTERRUN_ERROR", "rt" }, { "EXPANDED", "r" }, { "any custom state", "fs" },
}

describe("states", function()
  it("S1.1: are these, with these properties", function()
    local found = {}
    for i, s in ipairs(core.states) do
      found[i] = { s.name,
        (s.runnable and "r" or "") .. (s.retriable and "t" or "") .. (s.final and "f" or "") .. (s.settable and "s" or "") }
    end
    assert.same(TABLE, found)
  end)

  it("S1.2: final is neither RUNNING nor runnable, retriable is runnable", function()
    for _, s in ipairs(core.states) do
      assert.equal(s.name ~= "RUNNING" and not s.runnable, s.final)
      if s.retriable then assert.is_true(s.runnable) end
      assert.is_true(#s.meaning > 0)
    end
  end)

  it("S6.1: of a run are these", function()
    assert.same({
      "TODO", "RUNNING", "DONE", "CANCELLED", "PAUSED", "WAITING", "ERROR", "CRASHED", "RETRY", "BLOCKED_TOCHECK", "BLOCKED_BADREQUEST",
      "BLOCKED_DEADLOCK", "BLOCKED_MAXRETRIES", "BLOCKED_FATAL", "TO_AUTORUN", "TO_AUTORUN_DELAYED", "AUTORUNNING",
    }, core.run_states)
  end)

  it("step.state and step.run_state hold them by name, ANY included", function()
    for i = 1, #core.states - 1 do assert.equal(core.states[i].name, step.state[core.states[i].name]) end
    assert.equal("ANY", step.state.ANY)
    for _, name in ipairs(core.run_states) do assert.equal(name, step.run_state[name]) end
  end)

  it("the state of a step object follows the table", function()
    for _, s in ipairs(core.states) do
      local st = step.new { name = "a", state = s.name == "any custom state" and "MINE" or s.name, custom_states = { "MINE" } }
      assert.same({ s.runnable, s.retriable, s.final }, { st:is_runnable(), st:is_retriable(), st:is_final() })
    end
  end)
end)
