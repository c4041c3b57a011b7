-- step.definition: lists and maps of steps, names, dependencies, targets of conditions; and that a definition is immutable (D3, D4).

local clock = require "step.clock"
local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

local null = json.null

local echo = { type = "echo" }

local function nothing() end

--- A definition of steps.
local function define(steps, more)
  local document = { name = "x", steps = steps }
  for key, value in pairs(more or {}) do document[key] = value end
  return assert(step.define(document))
end

--- A resolved run.
local function resolved(def, options)
  options = options or {}
  options.clock = clock.manual()
  local run = assert(def:start(options))
  run:resolve()
  return run
end

--- The names of the steps, in order.
local function names(def)
  local list = {}
  for i = 1, #def do list[i] = def:step(i).name end
  return list
end

describe("step.define", function()
  it("D1: keeps the order of a list", function()
    assert.same({ "z", "a", "m" }, names(define { { name = "z", action = echo }, { name = "a", action = nothing },
      { name = "m", action = echo } }))
  end)
  it("D1: sorts a map by name", function()
    assert.same({ "a", "m", "z" }, names(define { z = { action = echo }, a = { action = nothing }, m = { action = echo, name = "m" } }))
  end)
  it("D1: runs in that order", function()
    local order = {}
    local function note(v) order[#order + 1] = v.step.this.name end
    resolved(define { { name = "z", action = note }, { name = "a", action = note }, { name = "m", action = note, dependencies = { "a" } } })
    assert.same({ "z", "a", "m" }, order)
  end)
  it("takes a definition without steps", function()
    assert.equal(0, #define {})
    assert.equal(0, #define(json.array()))
    assert.equal("DONE", resolved(define {}).state)
  end)
  it("is readable", function()
    assert.equal("step.Definition: x", tostring(define {}))
  end)
  it("raises an error for what is no table", function()
    local _, message = pcall(step.define, "text")
    assert.matches("bad argument #1 to 'define' (table expected, got string)", message, 1, true)
  end)
  it("gives the fields of a step as they were written", function()
    local def = define { { name = "b", action = echo, custom_states = { "X", "Y" } },
      { name = "a", description = "d", action = nothing, dependencies = { "b:Y,DONE,X" } },
        { name = "c", action = echo, dependencies = { "b:ANY" } } }
    assert.same({ name = "a", description = "d", action = nothing, dependencies = { "b:Y,DONE,X" } }, def:step(2))
    assert.same({ name = "b", action = { type = "echo" }, custom_states = { "X", "Y" } }, def:step(1))
    assert.same({ "b:ANY" }, def:step(3).dependencies)
  end)
  it("reports templates that do not parse as warnings: the step fails that would use them", function()
    local def = define { { name = "a", action = { type = "echo", configuration = { output = "{{.x" } } } }
    assert.equal(1, #def.warnings)
    assert.same({ "a", "action.configuration.output" }, { def.warnings[1].step, def.warnings[1].field })
    assert.matches("the template does not parse", tostring(def.warnings[1]), 1, true)
    assert.equal("FATAL_ERROR", resolved(def).steps.a.state)
    assert.same({}, define({ { name = "a", action = echo } }).warnings)
  end)
end)

describe("the steps are refused", function()
  for name, case in pairs {
    ["when there are none"] = { nil, nil, "steps", "a definition needs steps", nil,
      "a list of steps, or an object from names to steps" },
    ["when a list has another key"] = { { { name = "a", action = echo }, b = { action = echo } }, nil, "steps",
      "a list of steps has the keys 1, 2, 3 ... and no others, an object only names" },
    ["when a list has a gap"] = { { { name = "a", action = echo }, [3] = { name = "c", action = echo } }, nil, "steps",
      "a list of steps has the keys 1, 2, 3 ... and no others, an object only names" },
    ["when a list has what is no object"] = { { "a" }, nil, "steps[1]", "a step is an object", '"a"' },
    ["when a list has a step without a name"] = { { { action = echo } }, nil, "steps[1].name", "a step in a list needs a name" },
    ["when a list has a step whose name is no text"] = { { { name = 5, action = echo } }, nil, "steps[1].name",
      "a step's name is a text", "5 (quote it to make it a text)" },
    ["when a map has what is no object"] = { { a = "x" }, "a", nil, "a step is an object", '"x"' },
    ["when a map has a name that is no text"] = { { [5] = { action = echo } }, nil, "steps", "a step's name is a text", "5" },
    ["when a map's name is another"] = { { a = { name = "b", action = echo } }, "a", "name", "the name differs from the step's key",
      '"b"', "a" },
    ["D23: when a name is empty"] = { { { name = "", action = echo } }, "", nil, "a step's name is not empty" },
    ["D23: when a name has a colon"] = { { { name = "a:b", action = nothing } }, "a:b", nil,
      "a step's name contains no ':' and no ','", '"a:b"' },
    ["D23: when a name has a comma"] = { { ["a,b"] = { action = echo } }, "a,b", nil, "a step's name contains no ':' and no ','", '"a,b"' },
    ["S8.1: when a step is called this"] = { { { name = "this", action = nothing } }, "this", nil,
      "'this' step name is reserved: in a condition it stands for the step itself" },
    ["when two have one name"] = { { { name = "a", action = echo }, { name = "a", action = nothing } }, "a", nil,
      "two steps have this name" },
    ["D16: when a step has the name of a child"] = { { { name = "x", action = echo, foreach = "[]" },
      { name = "x-0", action = echo } }, "x-0", nil,
      "the foreach step 'x' gives this name to one of its children; rename one of them" },
    ["D16: when a later step expands to the name"] = { { { name = "x-12", action = nothing },
      { name = "x", action = nothing, foreach = "[]" } }, "x-12", nil,
      "the foreach step 'x' gives this name to one of its children; rename one of them" },
  } do
    it(name, function()
      local finding = refused.only(refused.document { name = "x", steps = case[1] })
      assert.same({ case[2], case[3], case[4], case[5], case[6] },
        { finding.step, finding.field, finding.message, finding.found, finding.accepted })
    end)
  end

  it("D16: but not when the name only looks like it", function()
    define { { name = "x", action = echo, foreach = "[]" }, { name = "x-a", action = echo }, { name = "xx-1", action = echo },
      { name = "y-1", action = echo },
      { name = "y", action = echo } }
  end)

  it("S8: when names are given twice, with what else is wrong", function()
    local err = refused.steps { { name = "a", action = echo }, { name = "a", action = echo },
      { name = "b", action = echo, dependencies = { "c" } },
      { name = "b", action = nothing } }
    assert.same({ "a: -", "b: -", "b: dependencies[1]" }, refused.places(err))
  end)
end)

describe("a dependency is refused", function()
  for name, case in pairs {
    ["on a step that does not exist"] = { "frist", "Invalid dependency, no step with that name: 'frist'", nil, "first" },
    ["on a state that the step does not have"] = { "first:GOEN", "Invalid dependency on step 'first', step state not allowed: 'GOEN'",
      "DONE, ANY, GONE", "GONE" },
    ["on a state that no dependency may name"] = { "first:SERVER_ERROR",
      "Invalid dependency on step 'first', step state not allowed: 'SERVER_ERROR'",
      "DONE, ANY, GONE" },
    ["on no state"] = { "first:", "Invalid dependency on step 'first', step state not allowed: ''", "DONE, ANY, GONE" },
    ["on a state twice"] = { "first:DONE,DONE", "Invalid dependency, duplicated state detected: DONE" },
    ["on ANY and another state"] = { "first:ANY,DONE", "Invalid dependency, no other state allowed if ANY is declared" },
    ["on another state and ANY"] = { "first:GONE,ANY", "Invalid dependency, no other state allowed if ANY is declared" },
    ["that is no text"] = { 5, "Invalid dependency, a text is expected" },
    ["that is null"] = { null, "Invalid dependency, a text is expected" },
  } do
    for kind, action in pairs { ["of a plain step"] = nothing, ["of a step"] = echo } do
      it(("S8.10: %s, %s"):format(name, kind), function()
        local finding = refused.only(refused.steps {
          { name = "first", action = echo, custom_states = { "GONE" } },
            { name = "a", action = action, dependencies = json.array { case[1] } },
        })
        assert.same({ "a", "dependencies[1]", case[2], case[3], case[4] },
          { finding.step, finding.field, finding.message, finding.accepted, finding.near })
        assert.is_truthy(finding.found)
      end)
    end
  end

  it("S8.10: on a step twice", function()
    local finding = refused.only(refused.steps { { name = "first", action = echo, custom_states = { "GONE" } },
      { name = "a", action = echo, dependencies = { "first", "first:GONE" } } })
    assert.same({ "dependencies[2]", "Invalid dependency, already defined dependency to 'first'", '"first:GONE"' },
      { finding.field, finding.message, finding.found })
  end)

  it("S8.10: in a circle, with its path", function()
    local finding = refused.only(refused.steps { { name = "a", action = echo, dependencies = { "c" } },
      { name = "b", action = nothing, dependencies = { "a:ANY" } },
      { name = "c", action = echo, dependencies = { "b" } }, { name = "d", action = echo, dependencies = { "a" } } })
    assert.equal("dependencies", finding.field)
    local path = finding.message:match "^Invalid: circular dependency: (.*)$"
    assert.is_truthy(({ ["a -> c -> b -> a"] = true, ["a -> b -> c -> a"] = true, ["b -> a -> c -> b"] = true, ["c -> b -> a -> c"] = true,
      ["b -> c -> a -> b"] = true, ["c -> a -> b -> c"] = true })[path], path)
  end)

  it("S8.10: on itself", function()
    local finding = refused.only(refused.steps { { name = "a", action = nothing, dependencies = { "a" } } })
    assert.equal("Invalid: circular dependency: a -> a", finding.message)
  end)

  it("S8.10: every one that is wrong, in every step, at once", function()
    local err = refused.steps { { name = "a", action = nothing, dependencies = { "p", "b:X", "b" } },
      { name = "b", action = echo, dependencies = { "q", 5 } },
      { name = "c", action = echo, dependencies = { "c" } } }
    assert.same({ "a: dependencies[1]", "a: dependencies[2]", "b: dependencies[1]", "b: dependencies[2]", "c: dependencies" },
      refused.places(err))
  end)

  it("more custom states than a step can have", function()
    local states = {}
    for i = 1, 31 do states[i] = "S" .. i end
    local finding = refused.only(refused.steps { { name = "a", action = echo, custom_states = states } })
    assert.same({ "a", "custom_states" }, { finding.step, finding.field })
    states[31] = nil
    define { { name = "a", action = echo, custom_states = states }, { name = "b", action = echo, dependencies = { "a:S1,S30" } } }
  end)
end)

describe("targets of conditions", function()
  --- The places that S3.6 refuses when step `a` sets `target`, in the graph root -> a -> leaf, root -> side -> leaf, side -> only.
  local function setting(target)
    local def, err = step.define { name = "x", steps = {
      { name = "root", action = nothing }, { name = "a", action = echo, dependencies = { "root" },
        conditions = { { type = "check", ["then"] = { [target] = "DONE" } } } },
      { name = "side", action = nothing, dependencies = { "root:ANY" } },
        { name = "leaf", action = nothing, dependencies = { "a", "side" } },
      { name = "only", action = nothing, dependencies = { "side" } }, { name = "last", action = nothing, dependencies = { "leaf" } },
    } }
    return def and "accepted" or refused.only(err).message:match "is not in the dependency chain" or tostring(err)
  end
  for target, expected in pairs {
    root = "accepted", leaf = "accepted", last = "accepted", this = "accepted", side = "is not in the dependency chain",
      only = "is not in the dependency chain",
  } do
    it(("S3.6: %s: %s"):format(target, expected), function() assert.equal(expected, setting(target)) end)
  end
end)

describe("a definition is immutable", function()
  it("D3: changing the tables given changes nothing", function()
    local document = {
      name = "x", tags = { t = "1" }, inputs = { { name = "i", default = "d", legal_values = { "d" } } },
        base_configurations = { base = { metadata = { from = "base" } } },
      variables = { { name = "v", value = { n = 1 } } },
      steps = {
        { name = "plain", description = "p", action = function() return "plain" end },
        { name = "a", description = "a", dependencies = { "plain" }, custom_states = { "MINE" }, resources = { "r" },
          json_schema = { type = "object" },
          action = { type = "echo", base_configuration = "base", configuration = { output = { list = { 1 } } },
            output = { strategy = "merge", format = { more = { 2 } } } },
          pre_hook = { type = "echo", configuration = { output = "hook" } },
          conditions = { { type = "check", ["if"] = { { value = "1", operator = "EQ", expected = "1" } }, ["then"] = { this = "MINE" },
            message = "m", states = { "DONE" } } } },
        { name = "each", action = { type = "echo", configuration = { output = "{{.iterator}}" } }, foreach = { 1, 2 } },
      },
    }
    local def = assert(step.define(document))
    local function spoil(t)
      for key, value in pairs(t) do
        if type(value) == "table" then
          spoil(value)
        else
          t[key] = type(value) == "string" and "spoilt" or nil
        end
      end
      t.extra = "spoilt"
    end
    spoil(document)
    document.steps[4] = { name = "more", action = echo }
    local run = resolved(def)
    assert.equal("DONE", run.state)
    assert.same({ t = "1" }, run.tags)
    assert.equal("plain", run.steps.plain.output)
    assert.same({ "MINE", "m", { list = { 1 }, more = { 2 } }, { from = "base" } },
      { run.steps.a.state, run.steps.a.error, run.steps.a.output, run.steps.a.metadata })
    local children = run.steps.each.children
    assert.same({ "1", "2" }, { children[1].output, children[2].output })
    assert.equal(3, #def)
    assert.same({ "plain" }, def:step(2).dependencies)
    assert.equal("p", def:step(1).description)
    assert.is_nil(def:start { input = { i = "other" } })
  end)

  it("D3: what an action does to what it is given stays in that call", function()
    step.register_runner("spoiler", function(_, base, config)
      local before = json.encode { base, config }
      base.list[1], config.list[1], config.new = 9, 9, 9
      return before, nil, nil, "again"
    end)
    local def = define({ { name = "a", max_retries = -1, action = { type = "spoiler", base_configuration = "base",
      configuration = { list = { 1 }, t = "{{.step.this.name}}" } } } },
      { base_configurations = { base = { list = { 1 } } } })
    local run = resolved(def)
    local first = run.steps.a.output
    run:resolve()
    assert.same({ 2, first }, { run.steps.a.try_count, run.steps.a.output })
    assert.equal(first, resolved(def).steps.a.output)
    assert.same({ 1 }, def:step(1).action.configuration.list)
  end)

  it("D3: what step() gives is a copy", function()
    local def = define { { name = "a", action = { type = "echo", configuration = { output = { 1 } } }, dependencies = { "b" } },
      { name = "b", action = nothing } }
    local copy = def:step(1)
    copy.action.configuration.output[1], copy.dependencies[1] = 2, "c"
    assert.same({ 1 }, def:step(1).action.configuration.output)
    assert.same({ "b" }, def:step(1).dependencies)
    assert.same({ 1 }, resolved(def).steps.a.output)
  end)

  it("D3: one definition serves runs side by side", function()
    local def = define({ { name = "a", action = { type = "echo", configuration = { output = "{{.input.n}}" } } } },
      { inputs = { { name = "n" } } })
    local c, runs = clock.manual(), {}
    for i = 1, 5 do runs[i] = assert(def:start { input = { n = "n" .. i }, clock = c }) end
    for i = 5, 1, -1 do runs[i]:resolve() end
    for i = 1, 5 do assert.equal("n" .. i, runs[i].steps.a.output) end
  end)
end)
