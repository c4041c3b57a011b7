-- Memory runs out at every place in turn: each time a clean error, nothing kept, and everything still works.

local alloc = require "spec.support.alloc"
local step = require "step"

--- Through the public interface: define, start, resolve, export, restore.
local function scenario()
  local def = assert(step.define {
    name = "small",
    steps = {
      { name = "list", action = function() return { items = { 1, 2, 3 } } end },
      {
        name = "each",
        dependencies = { "list" },
        foreach = function(v) return v.step.list.output.items end,
        custom_states = { "ODD" },
        max_concurrent = 2,
        tolerate = "50%",
        retry = { initial = 1, when = { "SERVER_ERROR" } },
        action = function(v) return { n = v.iterator } end,
        conditions = {
          { type = "check", ["if"] = function(v) return v.step.this.output.n % 2 == 1 end, ["then"] = { this = "ODD" } },
        },
      },
      {
        name = "sum",
        dependencies = { "each" },
        action = { type = "echo", configuration = { output = { ok = "{{.step.list.output.items}}" } } },
      },
      {
        name = "never",
        dependencies = { "sum:ANY" },
        action = function() end,
        conditions = {
          { type = "skip", ["if"] = function() return true end, ["then"] = { this = "PRUNE" }, message = "not needed" },
        },
      },
    },
  })
  local run = assert(def:start { input = {}, tags = { a = "b" } })
  if assert(run:resolve()) ~= "DONE" then -- a callback ran out of memory: its step says so
    for name, step_ in pairs(run.steps) do
      if step_.error then error(name .. ": " .. step_.error) end
    end
  end
  local again = assert(step.restore(run:export(), def))
  local each = again.steps.each
  return { state = again.state, each = each.state, children = #each.children, never = again.steps.never.state }
end

local EXPECTED = { state = "DONE", each = "DONE", children = 3, never = "PRUNE" }

describe("memory", function()
  it("is reported when it runs out, wherever that is, and the engine goes on", function()
    assert.same(EXPECTED, scenario()) -- what is loaded on demand is loaded now
    local stride = tonumber(os.getenv("STEP_ALLOC_STRIDE") or 1)
    local result, failed = alloc.sweep(scenario, function(n, message)
      if not tostring(message):find("not enough memory", 1, true) then
        error(("request %d: %s"):format(n, tostring(message)), 0)
      end
    end, stride)
    assert.same(EXPECTED, result)
    assert.is_true(failed > 10)
    assert.same(EXPECTED, scenario())
  end)

  it("that is collected wherever it may be is not used any more", function()
    assert.same(EXPECTED, alloc.aggressive(scenario))
  end)
end)

describe("the hostile memory itself", function()
  it("fails the n-th request and all after it", function()
    local make = function() return { {}, {}, {} } end
    local ok, _, requests = alloc.limit(make, 0)
    assert.is_true(ok)
    for n = 1, requests do
      local fine, message = alloc.limit(make, n)
      assert.is_false(fine)
      assert.equal("not enough memory", message)
    end
    assert.is_true((alloc.limit(make, requests + 1)))
  end)

  it("collects what nothing holds at the next allocation", function()
    local weak = setmetatable({}, { __mode = "v" })
    alloc.aggressive(function()
      weak[1] = {}
      local _ = { {} }
      assert(weak[1] == nil)
    end)
  end)
end)
