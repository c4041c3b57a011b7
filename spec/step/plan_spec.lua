-- step.plan: what a step does, compiled: configurations and their bases, output strategies, contexts, foreach expressions.

local clock = require "step.clock"
local json = require "step.json"
local plan = require "step.plan"
local step = require "step"

local null = json.null

step.register_runner("given", function(_, base, config) return { base = base or null, config = config == nil and null or config } end)

--- The step `a` of a resolved run.
local function resolved(spec, more, options)
  spec.name = "a"
  local document = { name = "x", steps = { spec } }
  for key, value in pairs(more or {}) do document[key] = value end
  options = options or {}
  options.clock = clock.manual()
  local run = assert(assert(step.define(document)):start(options))
  run:resolve()
  return run.steps.a
end

--- The step after an echo of that output with an output strategy; `failing`: the runner fails.
local function formatted(output, action, failing)
  action.type = "echo"
  action.configuration = { output = output, error_message = failing and "failed" or nil, error_type = failing and "client" or nil }
  return resolved({ action = action })
end

describe("plan.strategy", function()
  for name, case in pairs {
    ["none"] = { {}, "none" }, ["none is said"] = { { output = { strategy = "none", format = { 1 } } }, "none" },
    ["an empty strategy"] = { { output = { strategy = "" } }, "none" }, ["null"] = { { output = null, base_output = null }, "none" },
    ["merge"] = { { output = { strategy = "merge", format = { a = 1 } } }, "merge", { a = 1 } },
    ["template"] = { { output = { strategy = "template", format = "x" } }, "template", "x" },
    ["base_output is merge"] = { { base_output = { a = 1 } }, "merge", { a = 1 } },
    ["output wins over base_output"] = { { output = { strategy = "template", format = "x" }, base_output = { a = 1 } }, "template", "x" },
  } do
    it("S4.6: " .. name, function()
      local strategy, format = plan.strategy(case[1])
      assert.equal(case[2], strategy)
      if strategy ~= "none" then assert.same(case[3], format) end
    end)
  end
end)

describe("the strategy merge", function()
  it("S4.6: the action's output is laid over the format", function()
    local a = formatted({ a = "own", b = { x = 1 } }, { output = { strategy = "merge",
      format = { a = "format", b = { y = 2 }, c = "{{.step.this.name}}" } } })
    assert.same({ "DONE", { a = "own", b = { x = 1 }, c = "a" } }, { a.state, a.output })
  end)
  it("S4.6: without an output the format remains", function()
    for _, output in ipairs { null, false } do
      local a = formatted(output or nil, { output = { strategy = "merge", format = { a = 1 } } })
      assert.same({ "DONE", { a = 1 } }, { a.state, a.output })
    end
  end)
  for name, output in pairs { list = json.array { 1 }, text = "x", number = 5, boolean = false } do
    it("D20: an output that is no object is an error: " .. name, function()
      local a = formatted(output, { output = { strategy = "merge", format = { a = 1 } } })
      assert.equal("FATAL_ERROR", a.state)
      assert.matches("^unable to format output: only an object can be merged into a format", a.error)
    end)
  end
  it("S4.6: a format that is no object is FATAL_ERROR before the action runs", function()
    local calls = 0
    step.register_runner("counting", function() calls = calls + 1 end)
    for _, format in ipairs { "text", json.array { 1 }, "{{.step.this.name}}", 5 } do
      local a = resolved { action = { type = "counting", output = { strategy = "merge", format = format } } }
      assert.same({ "FATAL_ERROR", "failed to template merge output: merge output not a map" }, { a.state, a.error })
    end
    assert.equal(0, calls)
  end)
  it("S4.6: merge without a format leaves the output as it is", function()
    for _, output in ipairs { { strategy = "merge" }, { strategy = "merge", format = null } } do
      local a = formatted({ x = 1 }, { output = output })
      assert.same({ "DONE", { x = 1 } }, { a.state, a.output })
    end
  end)
  it("S4.6: the format is templated before the action", function()
    local a = resolved { action = { type = "echo", configuration = { output = { own = 1 } },
      output = { strategy = "merge", format = { seen = "[{{.step.this.output}}]" } } } }
    assert.same({ own = 1, seen = "[map[]]" }, a.output)
  end)
  it("S4.6: applies even if the runner failed", function()
    local a = formatted({ a = 1 }, { output = { strategy = "merge", format = { b = 2 } } }, true)
    assert.same({ "CLIENT_ERROR", "failed", { a = 1, b = 2 } }, { a.state, a.error, a.output })
  end)
  it("S4.6: base_output is its old spelling", function()
    assert.same({ a = 1, b = 2 }, formatted({ a = 1 }, { base_output = { a = 0, b = 2 } }).output)
    assert.same({ b = 2 }, formatted(json.array { 1 }, { base_output = { b = 2 } }).output)
    assert.equal("FATAL_ERROR", formatted("x", { base_output = { b = 2 } }).state)
  end)
  it("S4.6: a format that cannot be templated is FATAL_ERROR", function()
    local a = formatted({}, { output = { strategy = "merge", format = { x = '{{fail "no"}}' } } })
    assert.equal("FATAL_ERROR", a.state)
    assert.matches("^failed to template merge output: ", a.error)
  end)
end)

describe("the strategy template", function()
  it("S4.6: replaces the output, whose raw form it sees", function()
    local a = formatted({ n = 5 }, { output = { strategy = "template",
      format = { twice = "{{.step.this.output.n}}{{.step.this.output.n}}", list = { 1, "{{.step.this.name}}" } } } })
    assert.same({ "DONE", { twice = "55", list = { 1, "a" } } }, { a.state, a.output })
  end)
  it("S4.6: sees the metadata of the action", function()
    local a = resolved { action = { type = "echo", configuration = { metadata = { m = "meta" } },
      output = { strategy = "template", format = "{{.step.this.metadata.m}}" } } }
    assert.equal("meta", a.output)
  end)
  it("D28: the format may be one template string, or a function of v", function()
    assert.equal("n=5", formatted({ n = 5 }, { output = { strategy = "template", format = "n={{.step.this.output.n}}" } }).output)
    assert.same({ n = 6 }, formatted({ n = 5 }, { output = { strategy = "template",
      format = function(v) return { n = v.step.this.output.n + 1 } end } }).output)
    assert.same({ n = 1, m = "a" }, formatted({ n = 1 }, { output = { strategy = "merge",
      format = function(v) return { n = 0, m = v.step.this.name } end } }).output)
  end)
  it("S4.6: applies even if the runner failed", function()
    local a = formatted({ n = 5 }, { output = { strategy = "template", format = "{{.step.this.output.n}}" } }, true)
    assert.same({ "CLIENT_ERROR", "failed", "5" }, { a.state, a.error, a.output })
  end)
  it("S4.6: a failure to produce it is FATAL_ERROR", function()
    local a = formatted({}, { output = { strategy = "template", format = '{{fail "no"}}' } })
    assert.equal("FATAL_ERROR", a.state)
    assert.matches("^unable to format output: ", a.error)
    a = formatted({}, { output = { strategy = "template", format = function() return print end } })
    assert.equal("FATAL_ERROR", a.state)
    assert.matches("^unable to format output: ", a.error)
  end)
  it("S4.7: the formatted output is what the schema judges", function()
    local function state(format)
      return resolved({ json_schema = { type = "object", required = { "ok" } },
        action = { type = "echo", configuration = { output = "raw" },
        output = { strategy = "template", format = format } } }).state
    end
    assert.same({ "DONE", "FATAL_ERROR" }, { state { ok = 1 }, state { other = 1 } })
  end)
end)

describe("a configuration", function()
  it("S4.3: is templated with everything that v has", function()
    local a = resolved({ action = { type = "given", configuration = { i = "{{.input.i}}", r = "{{.resolver_input.r}}",
      c = "{{.config.c}}", t = "{{.task.requester_username}}",
      v = "{{eval `v`}}", n = 5, f = 2.0, b = true, null = null, list = json.array() } } },
      { inputs = { { name = "i" } }, resolver_inputs = { { name = "r" } }, variables = { { name = "v", value = "var" } } },
      { input = { i = "in" }, resolver_input = { r = "res" }, config = { c = "conf" }, requester_username = "eve" })
    assert.same({ i = "in", r = "res", c = "conf", t = "eve", v = "var", n = 5, f = 2.0, b = true, null = null, list = json.array() },
      a.output.config)
    assert.equal("[]", json.encode(a.output.config.list))
    assert.equal("2.0", json.encode(a.output.config.f))
  end)
  it("S4.3: that cannot be templated is FATAL_ERROR, the action does not run", function()
    for configuration, expected in pairs { ['{{fail "no"}}'] = "no", ["{{.x"] = "unclosed action" } do
      local a = resolved { action = { type = "given", configuration = { x = configuration } } }
      assert.same({ "FATAL_ERROR", nil }, { a.state, a.output })
      assert.matches("^failed to template configuration: ", a.error)
      assert.matches(expected, a.error, 1, true)
    end
    local a = resolved { action = { type = "given", configuration = function() error("thrown", 0) end } }
    assert.same({ "FATAL_ERROR", "failed to template configuration: thrown" }, { a.state, a.error })
  end)
  it("D28: may be one template string, or a function of v", function()
    assert.equal("a", resolved({ action = { type = "given", configuration = "{{.step.this.name}}" } }).output.config)
    assert.same({ n = "a" }, resolved({ action = { type = "given",
      configuration = function(v) return { n = v.step.this.name } end } }).output.config)
  end)
  it("is nothing when there is none", function()
    assert.same({ base = null, config = null }, resolved({ action = { type = "given" } }).output)
  end)
  it("S4.3: the base configuration is templated too", function()
    local a = resolved({ action = { type = "given", base_configuration = "b", configuration = { own = 1 } } },
      { base_configurations = { b = { n = "{{.step.this.name}}", k = 1 } } })
    assert.same({ base = { n = "a", k = 1 }, config = { own = 1 } }, a.output)
  end)
  it("S4.3: a base configuration that cannot be templated is FATAL_ERROR", function()
    local a = resolved({ action = { type = "given", base_configuration = "b" } }, { base_configurations = { b = { n = '{{fail "no"}}' } } })
    assert.equal("FATAL_ERROR", a.state)
    assert.matches("^failed to template base configuration: ", a.error)
  end)
  it("D21: base configurations of a chain are laid over one another, the step's own on top", function()
    assert(step.register_function { name = "based", action = { type = "given", base_configuration = "inner", configuration = {} } })
    local a = resolved({ action = { type = "based", base_configuration = "outer" } },
      { base_configurations = { inner = { a = "inner", b = "inner" }, outer = { b = "outer" } } })
    assert.same({ a = "inner", b = "outer" }, a.output.base)
  end)
  it("S4.2: sees what the pre_hook gave, its output strategy applied", function()
    local a = resolved { pre_hook = { type = "echo", configuration = { output = { t = 1 }, metadata = { m = "x" } },
      output = { strategy = "merge", format = { more = "y" } } },
      action = { type = "given", configuration = { t = "{{.pre_hook.output.t}}{{.pre_hook.output.more}}{{.pre_hook.metadata.m}}" } } }
    assert.equal("1yx", a.output.config.t)
  end)
  it("S4.2, D3: check conditions do not see what the pre_hook gave, as in a later resolve", function()
    local a = resolved { pre_hook = { type = "echo", configuration = { output = { t = 1 } } },
      action = { type = "echo", configuration = { output = 1 }, output = { strategy = "template", format = "{{.pre_hook.output.t}}" } },
      conditions = { { type = "check", ["if"] = { { value = "{{.pre_hook.output.t}}", operator = "EQ", expected = "" } },
        ["then"] = { this = "PRUNE" }, message = "[{{.pre_hook.output.t}}]" } } }
    assert.same({ "PRUNE", "[<no value>]", "1" }, { a.state, a.error, a.output })
  end)
  it("S4.2: a pre_hook that fails is FATAL_ERROR, templating included", function()
    local a = resolved { pre_hook = { type = "echo", configuration = { error_message = "no", error_type = "client" } },
      action = { type = "given" } }
    assert.same({ "FATAL_ERROR", "prehook: no", 0 }, { a.state, a.error, a.try_count })
    a = resolved { pre_hook = { type = "echo", configuration = { output = '{{fail "no"}}' } }, action = { type = "given" } }
    assert.equal("FATAL_ERROR", a.state)
    assert.matches("^prehook: failed to template configuration: ", a.error)
  end)
end)

describe("a foreach expression", function()
  local function outputs(foreach, options)
    local a = resolved({ foreach = foreach, action = { type = "echo", configuration = { output = function(v) return v.iterator end } } },
      { inputs = { { name = "l", collection = true, optional = true } } }, options)
    if a.state ~= "DONE" then return a.state, a.error end
    local list = {}
    for i, child in ipairs(a.children) do list[i] = child.output == nil and "nothing" or child.output end
    return list
  end
  it("S5.1: is a template that gives a JSON list", function()
    assert.same({ 1, "x", { a = 1 } }, outputs '[1, "x", {"a": 1}]')
    assert.same({ "p", "q" }, outputs("{{.input.l | toJson}}", { input = { l = { "p", "q" } } }))
    assert.same({}, outputs "[]")
  end)
  it("S5.1: is a list, whose texts are templates, or a function of v", function()
    assert.same({ 1, "a" }, outputs { 1, "{{.step.this.name}}" })
    assert.same({ "p", 2 }, outputs(function(v) return { v.input.l[1], 2 } end, { input = { l = { "p" } } }))
    assert.same({}, outputs(function() return {} end))
    assert.same({}, outputs(json.array()))
  end)
  it("D14: a null item is an item", function()
    assert.same({ "nothing", 1 }, outputs "[null, 1]")
    assert.same({ 1, "nothing" }, outputs { 1, null })
  end)
  for name, case in pairs {
    ["no JSON"] = { "[1, x]", "foreach: " }, ["JSON that ends early"] = { "[1,", "unexpected EOF" },
      ["nothing"] = { "{{.input.l.nothing}}", "" },
    ["an object"] = { '{"a": 1}', "foreach: expected a list, found an object" },
      ["a number"] = { "5", "foreach: expected a list, found 5" },
    ["null"] = { "null", "foreach: expected a list, found null" }, ["a template that fails"] = { '{{fail "no"}}', "no" },
    ["a function that gives nothing"] = { function() end, "foreach: expected a list, found nothing" },
    ["a function that gives a text"] = { function() return "[]" end, "foreach: expected a list, found string" },
    ["a function that gives an object"] = { function() return { a = 1 } end, "foreach: expected a list, found an object" },
    ["a function that throws"] = { function() error("thrown", 0) end, "thrown" },
    ["a function that gives what is no data"] = { function() return { print } end, "foreach: " },
  } do
    it("S5.1: that gives no list is FATAL_ERROR: " .. name, function()
      local state, message = outputs(case[1])
      assert.equal("FATAL_ERROR", state)
      assert.matches(case[2], message, 1, true)
    end)
  end
end)
