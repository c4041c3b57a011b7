-- What a run tells about itself: title_format and result_format.

local result = require "step.result"
local step = require "step"

local function start(fields, input)
  fields.name = "shown"
  fields.inputs = { { name = "who", optional = true } }
  fields.steps = fields.steps or { { name = "a", action = function() return { n = 7 } end } }
  return assert(assert(step.define(fields)):start { input = input })
end

describe("a run's title", function()
  it("is its title_format, with the values of now", function()
    local run <close> = start({ title_format = "for {{.input.who}}: {{.step.a.state}}" }, { who = "World" })
    assert.equal("for World: TODO", run.title)
    run:resolve()
    assert.equal("for World: DONE", run.title)
  end)

  it("is the definition's name where there is no format or it fails", function()
    local plain <close> = start {}
    assert.equal("shown", plain.title)
    local broken <close> = start { title_format = "{{ .input.who" }
    assert.equal("shown", broken.title)
    local failing <close> = start { title_format = "{{ index .input 1 2 3 }}" }
    assert.equal("shown", failing.title)
  end)

  it("is what templates see as .task.title", function()
    local run <close> = start({ title_format = "for {{.input.who}}",
      steps = { { name = "a", action = { type = "echo", configuration = { output = "{{.task.title}}" } } } } }, { who = "me" })
    run:resolve()
    assert.equal("for me", run.steps.a.output)
    local again <close> = assert(step.restore(run:export()))
    assert.equal("for me", again.title)
  end)
end)

describe("a run's result", function()
  it("is its result_format, once it is DONE", function()
    local run <close> = start { result_format = { n = "{{.step.a.output.n}}", list = step.json.array { "x", 1, true } } }
    assert.is_nil(run.result)
    run:resolve()
    assert.same({ n = "7", list = { "x", 1, true } }, run.result)
    assert.is_true(step.json.is_array(run.result.list))
  end)

  it("may be made by Lua functions", function()
    local run <close> = start { result_format = { n = function(v) return v.step.a.output.n + 1 end } }
    run:resolve()
    assert.same({ n = 8 }, run.result)
  end)

  it("is none where there is no format", function()
    local run <close> = start {}
    run:resolve()
    assert.is_nil(run.result)
    assert.same({}, { result.result(run) })
  end)

  it("says why it fails", function()
    local run <close> = start { result_format = { n = "{{ index .input 1 2 3 }}" } }
    run:resolve()
    assert.is_nil(run.result)
    local value, err = result.result(run)
    assert.is_nil(value)
    assert.equal("template", err.kind)
    assert.matches("^result_format: ", err.message)
  end)
end)
