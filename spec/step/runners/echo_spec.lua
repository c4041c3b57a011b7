-- step.runners.echo: returns what its configuration says.

local clock = require "step.clock"
local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

--- The step after a run with that configuration.
local function echo(configuration, base)
  local def = assert(step.define { name = "x", base_configurations = { base = base }, inputs = { { name = "kind", default = "client" } },
    steps = { { name = "a", action = { type = "echo", configuration = configuration, base_configuration = base and "base" or nil } } } })
  local run = assert(def:start { clock = clock.manual() })
  run:resolve()
  return run.steps.a
end

describe("runner echo", function()
  for name, output in pairs {
    text = "x", number = 1.5, boolean = false, list = json.array { 1, 2 }, ["empty list"] = json.array(), object = { a = { b = 1 } },
      ["empty object"] = {},
  } do
    it("D22: returns an output: " .. name, function()
      local a = echo { output = output }
      assert.equal("DONE", a.state)
      assert.same(output, a.output)
      assert.equal(json.encode(output), json.encode(a.output))
    end)
  end
  it("needs no configuration", function()
    local a = echo(nil)
    assert.equal("DONE", a.state)
    assert.is_nil(a.output)
    assert.is_nil(a.metadata)
  end)
  it("S4.5: fails with error_message, output and metadata are still there", function()
    for kind, state in pairs { client = "CLIENT_ERROR", server = "SERVER_ERROR", [""] = "SERVER_ERROR",
      ["{{.input.kind}}"] = "CLIENT_ERROR" } do
      local a = echo { output = 1, metadata = { m = 1 }, error_message = "no", error_type = kind }
      assert.same({ state, "no", 1, { m = 1 } }, { a.state, a.error, a.output, a.metadata })
    end
    assert.equal("SERVER_ERROR", echo({ error_message = "no" }).state)
  end)
  it("does not fail with an empty error_message", function()
    assert.equal("DONE", echo({ error_message = "", error_type = "client" }).state)
    assert.equal("DONE", echo({ error_type = "client" }).state)
  end)
  it("reads a text as YAML or JSON with unmarshal", function()
    assert.same({ a = { 1, 2 } }, echo({ output = "a: [1, 2]", unmarshal = true }).output)
    assert.same({ a = 1 }, echo({ output = '{"a": 1}', unmarshal = true }).output)
    assert.same({ a = 1 }, echo({ output = "a: 1", unmarshal = "{{eq .input.kind `client`}}" }).output)
    assert.equal("a: 1", echo({ output = "a: 1", unmarshal = false }).output)
    assert.same({ a = "1" }, echo({ output = { a = "1" }, unmarshal = true }).output)
    local a = echo { output = "a: [", unmarshal = true }
    assert.equal("CLIENT_ERROR", a.state)
    assert.matches("^unmarshal: ", a.error)
  end)
  it("D21: lays the configuration over the base, metadata key by key", function()
    local a = echo({ output = "own", metadata = { b = 2, c = 2 } }, { output = "base", metadata = { a = 1, b = 1 }, error_message = "no" })
    assert.same({ "own", { a = 1, b = 2, c = 2 }, "no" }, { a.output, a.metadata, a.error })
  end)
  it("S8.2: refuses what it cannot use", function()
    for message, configuration in pairs {
      ["metadata: an object is expected, found a list"] = { metadata = { 1 } },
      ["error_message: a text is expected, found 5 (quote it to make it a text)"] = { error_message = 5 },
      ["error_type: a text is expected, found true "
        .. "(in YAML yes, no, on, off, y and n are true or false: quote the text)"] = { error_type = true },
      ["unmarshal: true or false is expected, found \"yes\""] = { unmarshal = "yes" },
      ['error_type: found "clent"; accepted: client, server (did you mean \'client\'?)'] = { error_type = "clent" },
      ["unknown field 'metdata'; accepted: error_message, error_type, metadata, output, unmarshal (did you mean 'metadata'?)"]
        = { metdata = {} },
      ['the configuration: an object is expected, found "x"'] = "x",
    } do
      assert.equal(message, refused.configuration("echo", configuration))
    end
  end)
  it("S4.3: takes functions of v wherever a template may stand", function()
    local a = echo { output = function(v) return v.input.kind end, metadata = function() return { m = 1 } end,
      error_message = function() return "no" end,
      error_type = function(v) return v.input.kind end }
    assert.same({ "CLIENT_ERROR", "no", "client", { m = 1 } }, { a.state, a.error, a.output, a.metadata })
  end)
  it("S4.5: what only templating shows to be wrong is CLIENT_ERROR", function()
    local def = assert(step.define { name = "x", steps = {
      { name = "a", action = { type = "echo", configuration = function() return { metadata = 5 } end } },
    } })
    local run = assert(def:start { clock = clock.manual() })
    run:resolve()
    assert.equal("CLIENT_ERROR", run.steps.a.state)
    assert.equal("metadata: an object is expected, found 5", run.steps.a.error)
  end)
end)
