-- step.runners.tag: merges tags into the run's.

local clock = require "step.clock"
local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

--- The run after a step with that configuration.
local function tagged(configuration, base)
  local def = assert(step.define { name = "x", tags = { old = "1", kept = "2" }, base_configurations = { base = base },
    inputs = { { name = "who" } },
    steps = { { name = "a", action = { type = "tag", configuration = configuration, base_configuration = base and "base" or nil } } } })
  local run = assert(def:start { clock = clock.manual(), input = { who = "eve" } })
  run:resolve()
  return run
end

describe("runner tag", function()
  it("S4.10: merges, and removes what is empty or null", function()
    local run = tagged { tags = { new = "{{.input.who}}", old = "" } }
    assert.equal("DONE", run.state)
    assert.same({ new = "eve", kept = "2" }, run.tags)
    assert.is_nil(run.steps.a.output)
    assert.same({ kept = "2" }, tagged({ tags = { old = json.null } }).tags)
  end)
  it("needs no tags", function()
    for _, configuration in ipairs { {}, { tags = json.null }, { tags = {} } } do
      assert.same({ old = "1", kept = "2" }, tagged(configuration).tags)
    end
    assert.equal("DONE", tagged(nil).state)
  end)
  it("D21: lays its tags over those of the base", function()
    assert.same({ a = "own", b = "base", old = "1", kept = "2" },
      tagged({ tags = { a = "own" } }, { tags = { a = "base", b = "base" } }).tags)
  end)
  it("D4: the definition's own tags are the same for the next run", function()
    local def = assert(step.define { name = "x", tags = { old = "1" },
      steps = { { name = "a", action = { type = "tag", configuration = { tags = { old = "2" } } } } } })
    local first, second = assert(def:start { clock = clock.manual() }), assert(def:start { clock = clock.manual() })
    first:resolve()
    assert.same({ old = "2" }, first.tags)
    assert.same({ old = "1" }, second.tags)
  end)
  it("S8.2: refuses what is no object of texts", function()
    for message, configuration in pairs {
      ["can't unmarshal tags: an object of texts is expected, found a list"] = { tags = { "a" } },
      ["can't unmarshal tags.a: a text is expected, found 5 (quote it to make it a text)"] = { tags = { a = 5 } },
      ["can't unmarshal the configuration: an object is expected, found a list"] = { "a" },
    } do
      assert.equal(message, refused.configuration("tag", configuration))
    end
  end)
  it("S4.5: what only shows when it runs is CLIENT_ERROR, no tag is set", function()
    local run = tagged(function() return { tags = { a = "x", b = 5 } } end)
    assert.equal("BLOCKED_BADREQUEST", run.state)
    assert.same({ old = "1", kept = "2" }, run.tags)
  end)
end)
