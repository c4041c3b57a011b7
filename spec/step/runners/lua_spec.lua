-- step.runners.lua: calls the function in its configuration.

local clock = require "step.clock"
local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

local function resolved(configuration)
  local def = assert(step.define { name = "x", inputs = { { name = "n", type = "number", optional = true } },
    steps = { { name = "a", action = { type = "lua", configuration = configuration } } } })
  local run = assert(def:start { clock = clock.manual(), input = { n = 3 } })
  run:resolve()
  return run
end

describe("runner lua", function()
  it("S4.3: gives the templated args and the context", function()
    local seen
    local run = resolved {
      fn = function(args, ctx)
        seen = { args, ctx.step_name }
        return args.a .. "!", { m = 1 }, { t = "1" }
      end,
      args = { a = "{{.input.n}}", b = { 1, json.null }, c = function(v) return v.input.n + 1 end },
    }
    assert.same({ { a = "3", b = { 1, json.null }, c = 4 }, "a" }, seen)
    assert.same({ "DONE", "3!", { m = 1 } }, { run.steps.a.state, run.steps.a.output, run.steps.a.metadata })
    assert.same({ t = "1" }, run.tags)
  end)
  it("needs no args; null is none", function()
    local seen = {}
    local function fn(...) seen[#seen + 1] = { select("#", ...), (...) } end
    resolved { fn = fn }
    resolved { fn = fn, args = json.null }
    assert.same({ { 2 }, { 2 } }, seen)
  end)
  it("S4.5: errors are those of any runner", function()
    assert.equal("CLIENT_ERROR", resolved({ fn = function() error(step.error.bad_request "no") end }).steps.a.state)
    assert.equal("WAITING", resolved({ fn = function() return nil, nil, nil, step.error.not_assigned "no" end }).steps.a.state)
  end)
  it("D3: what fn does to its args stays there", function()
    local def = assert(step.define { name = "x", steps = { { name = "a", max_retries = -1,
      action = { type = "lua", configuration = { fn = function(args) args.list[1] = args.list[1] + 1 return args.list[1], nil, nil,
        "again" end,
        args = { list = { 1 } } } } } } })
    local run = assert(def:start { clock = clock.manual() })
    run:resolve()
    run:resolve()
    assert.equal(2, run.steps.a.output)
  end)
  it("S8.2: refuses a configuration without a function", function()
    for found, configuration in pairs { ['"x"'] = { fn = "x" }, ["nil"] = {}, ['"text"'] = "text" } do
      assert.equal("configuration.fn must be a function, found " .. found, refused.configuration("lua", configuration))
    end
  end)
end)
