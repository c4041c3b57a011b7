-- step.definitions: a stored run whose definition is there no more, or has changed since it was started (D4).

local step = require "step"
local stores = require "spec.support.stores"

local open, path, refusal = stores.open, stores.path, stores.refusal

local function define(steps, more) return stores.define("x", steps, more) end

describe("a stored run", function()
  after_each(stores.clean)

  describe("of code whose new version", function()
    local function fails() error(step.error.bad_request "no") end

    --- Starts a run of one version, resolves it, and again with another one.
    local function upgraded(old, new)
      local file, clock = path(), step.manual_clock(0)
      local engine = open(file, clock, define(old))
      local id = assert(engine:start "x").id
      assert.equal("BLOCKED_BADREQUEST", engine:resolve(id))
      engine:close()
      engine = open(file, clock, define(new))
      local state, err = engine:resolve(id, { upgrade = true })
      return state, err, engine:run(id)
    end

    it("has no loop where there was one begins with that step anew, its children gone", function()
      local state, _, run = upgraded({ { name = "f", foreach = function() return { 1, 2 } end, action = fails } },
        { { name = "f", action = function() return 1 end } })
      assert.equal("DONE", state)
      assert.equal(1, run.steps.f.output)
      assert.is_nil(run.steps["f-0"])
    end)

    it("has a loop where there was none expands it", function()
      local state, _, run = upgraded({ { name = "f", action = fails } },
        { { name = "f", foreach = function() return { 1, 2 } end, action = function(v) return v.iterator end } })
      assert.equal("DONE", state)
      assert.equal(2, run.steps.f.children[2].output)
    end)

    it("lacks the state that a step has is refused, and says which", function()
      local state, err, run = upgraded({ { name = "a", custom_states = { "MY" }, action = function() end, conditions = {
        { type = "check", ["if"] = function() return true end, ["then"] = { this = "MY" } } } },
        { name = "b", dependencies = { "a:MY" }, action = fails } }, { { name = "a", action = function() end } })
      assert.is_nil(state)
      assert.equal(("run '%s' cannot be read: step 'a': the step has no state 'MY'"):format(run.id), tostring(err))
      assert.equal("MY", run.steps.a.state)
    end)
  end)

  it("of code that has changed is refused with what differs, or goes on with the new version", function()
    local file, clock = path(), step.manual_clock(0)
    local engine = open(file, clock, define {
      { name = "a", action = function() return "kept" end }, { name = "b", dependencies = { "a" }, action = function() error("no", 0) end },
      { name = "old", action = function() end },
    })
    local run = assert(engine:start "x")
    assert.equal("ERROR", run:resolve())
    engine:close()
    local def = define {
      { name = "new", action = function() return "new" end }, { name = "a", action = function() return "again" end },
      { name = "b", dependencies = { "a", "new" }, action = function(v) return v.step.a.output .. v.step.new.output end },
    }
    engine = open(file, clock, def)
    local kind, text = refusal(engine:resolve(run.id))
    assert.equal("refused", kind)
    assert.equal(("run '%s' was started with another version of the definition 'x': step 'b' has changed (dependencies); gone: 'old'; "
      .. "new: 'new'; pass upgrade = true to go on with the new one"):format(run.id), text)
    clock.advance(100)
    assert(engine:work { until_idle = true }) -- leaves it alone
    assert.equal("ERROR", engine:run(run.id).state)
    assert.equal("kept", engine:run(run.id).steps.a.output) -- it can be looked at
    assert.equal("DONE", engine:resolve(run.id, { upgrade = true }))
    assert.equal("keptnew", engine:run(run.id).steps.b.output)
    engine:close()
    engine = open(file, clock, def)
    assert.equal("keptnew", engine:run(run.id).steps.b.output)
    assert.same({ "a", "b", "new" }, (function()
      local names = {}
      for name in pairs(engine:run(run.id):export().steps) do names[#names + 1] = name end
      table.sort(names)
      return names
    end)())
  end)

  it("of a file goes on with its snapshot (D4)", function()
    local file, clock = path(), step.manual_clock(0)
    local text = "name: f\nsteps:\n  a:\n    action: {type: echo, configuration: {output: {v: %s}}}\n"
    local engine = open(file, clock, assert(step.load { text = text:format "1", format = "yaml" }))
    local run = assert(engine:start "f")
    engine:close()
    engine = open(file, clock, assert(step.load { text = text:format "2", format = "yaml" }))
    assert.equal("DONE", engine:resolve(run.id))
    assert.equal(1, engine:run(run.id).steps.a.output.v)
    engine:close()
    engine = open(file, clock) -- nor does it need the file
    local other = open(file, clock, assert(step.load { text = text:format "3", format = "yaml" })):start "f"
    assert(engine:work { until_idle = true })
    assert.equal(3, engine:run(other.id).steps.a.output.v)
  end)

  it("of code can be looked at and steered where that code is not", function()
    local file, clock = path(), step.manual_clock(0)
    local def = define { { name = "a", action = function() return 1 end }, { name = "b", dependencies = { "a" }, action = function() end } }
    local engine, other = open(file, clock, def), open(file, clock)
    local run = assert(engine:start "x")
    local seen = assert(other:run(run.id))
    assert.is_true(seen:set_state("a", "DONE", "by hand"))
    assert.is_true(seen:pause())
    assert.is_true(seen:resume())
    assert.equal(2, seen:retry { from = "a" })
    assert.is_true(seen:set_state("a", "DONE"))
    assert.equal("refused", (refusal(seen:resolve())))
    assert.equal("TODO", other:run(run.id).state) -- nothing has started, and nobody holds it
    assert.is_true(other:run(run.id):cancel())
    assert.equal("CANCELLED", engine:run(run.id).state)
  end)
end)
