-- step.functions: registering functions (S7.3), following actions through them, their arguments.

local clock = require "step.clock"
local functions = require "step.functions"
local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

local null = json.null

local count = 0

--- Registers a function under a name of its own.
local function registered(fn)
  count = count + 1
  fn.name = "fn" .. count
  assert(step.register_function(fn))
  return fn.name
end

--- The error with which a function is refused.
local function refusal(fn)
  local ok, err = step.register_function(fn)
  assert.is_nil(ok)
  assert.equal("definition", err.kind)
  return err
end

--- A resolved run of one step `a`.
local function resolved(spec, more)
  spec.name = "a"
  local document = { name = "x", steps = { spec } }
  for key, value in pairs(more or {}) do document[key] = value end
  local run = assert(assert(step.define(document)):start { clock = clock.manual() })
  run:resolve()
  return run
end

local echo = { type = "echo" }

describe("functions.register", function()
  for name, case in pairs {
    ["no name"] = { { action = echo }, "name", "a function needs a name" },
    ["an empty name"] = { { name = "", action = echo }, "name", "a function needs a name", '""' },
    ["a name that is no text"] = { { name = 5, action = echo }, "name", "a function needs a name", "5" },
    ["the name of a runner"] = { { name = "echo", action = echo }, "name", "a runner is registered under the name 'echo'" },
    ["no action"] = { { name = "bad" }, "action", "an object with a type is expected" },
    ["an action without a type"] = { { name = "bad", action = {} }, "action", "an object with a type is expected", "an empty table" },
    ["an action that is a Lua function"] = { { name = "bad", action = print }, "action", "an object with a type is expected",
      "a function" },
    ["a pre_hook without a type"] = { { name = "bad", action = echo, pre_hook = {} }, "pre_hook", "an object with a type is expected",
      "an empty table" },
    ["S4.6: an unknown output strategy"] = { { name = "bad", action = { type = "echo", output = { strategy = "x" } } },
      "action.output.strategy", "unknown output strategy", '"x"' },
    ["custom_states that are no list"] = { { name = "bad", action = echo, custom_states = { A = 1 } }, "custom_states",
      "a list of names is expected", "an object" },
    ["conditions that are no list"] = { { name = "bad", action = echo, conditions = "x" }, "conditions",
      "a list of conditions is expected", '"x"' },
    ["D23: an empty custom state"] = { { name = "bad", action = echo, custom_states = { "" } }, "custom_states[1]",
      "a custom state is a text that is not empty", '""' },
    ["D23: a custom state with a comma"] = { { name = "bad", action = echo, custom_states = { "A,B" } }, "custom_states[1]",
      "a custom state contains no ','", '"A,B"' },
    ["D23: a custom state twice"] = { { name = "bad", action = echo, custom_states = { "A", "A" } }, "custom_states[2]",
      "the custom state is listed twice", '"A"' },
    ["S8.7: a built-in custom state"] = { { name = "bad", action = echo, custom_states = { "ANY" } }, "custom_states[1]",
      "Custom state 'ANY' is not allowed as it is a reserved state" },
    ["D12: a condition of an unknown type"] = { { name = "bad", action = echo, conditions = { { type = "chek", ["then"] = {} } } },
      "conditions[1].type", "unknown condition type", '"chek"' },
    ["D12: an unknown operator"] = { { name = "bad", action = echo,
      conditions = { { type = "check", ["if"] = { { operator = "EQUALS" } } } } },
      "conditions[1].if[1].operator", "unknown operator", '"EQUALS"' },
    ["D12: a state that it does not declare"] = { { name = "bad", action = echo,
      conditions = { { type = "check", ["then"] = { this = "GONE" } } } },
      "conditions[1].then[this]", "invalid state", '"GONE"' },
  } do
    it("refuses " .. name, function()
      local finding = refused.only(refusal(case[1]))
      assert.same({ case[2], case[3], case[4] }, { finding.field, finding.message, finding.found })
    end)
  end

  it("refuses what is no object", function()
    local ok, err = functions.register "text"
    assert.is_nil(ok)
    assert.equal('a function is an object with name and action, found "text"', tostring(err.errors[1]))
  end)

  it("refuses an unknown key and tells the nearest", function()
    local finding = refused.only(refusal { name = "bad", action = echo, prehook = echo })
    assert.same({ "prehook", "unknown key of a function", "pre_hook" }, { finding.field, finding.message, finding.near })
    assert.equal("action, conditions, custom_states, description, name, pre_hook", finding.accepted)
  end)

  it("reports everything at once", function()
    local err = refusal { name = "", actoin = echo, custom_states = { "DONE" }, conditions = { { type = "x" } } }
    assert.same({ "-: action", "-: actoin", "-: conditions[1].type", "-: custom_states[1]", "-: name" }, refused.places(err))
    assert.matches('the function "" is refused: 5 errors', tostring(err), 1, true)
  end)

  it("takes a function with everything", function()
    assert.is_true(step.register_function { name = "full", description = "d", action = echo, pre_hook = echo, custom_states = { "A" },
      conditions = { { type = "check", ["if"] = { { value = "1", operator = "eq", expected = "1" } },
        ["then"] = { this = "A", other = "DONE" } } } })
    assert.is_true(step.register_function { name = "bare", action = echo, pre_hook = null, custom_states = null, conditions = null })
  end)

  it("D21: finds a cycle, and says which", function()
    assert(step.register_function { name = "ring-a", action = { type = "ring-b" } })
    assert(step.register_function { name = "ring-b", action = { type = "ring-c" } })
    local finding = refused.only(refusal { name = "ring-c", action = { type = "ring-a" } })
    assert.same({ "action.type", "cyclic functions: ring-a -> ring-b -> ring-c -> ring-a" }, { finding.field, finding.message })
    assert.equal("cyclic functions: ring-d -> ring-d", refused.only(refusal { name = "ring-d", action = { type = "ring-d" } }).message)
    assert.is_nil(functions.find "ring-c")
  end)

  it("may use a function or a runner that is registered later", function()
    assert(step.register_function { name = "early", action = { type = "late" } })
    assert.equal("action.type", refused.only(refused.steps { { name = "a", action = { type = "early" } } }).field)
    assert(step.register_function { name = "late", action = { type = "echo", configuration = { output = 1 } } })
    assert.equal(1, resolved({ action = { type = "early" } }).steps.a.output)
  end)

  it("D3: keeps a copy", function()
    local fn = { action = { type = "echo", configuration = { output = { 1 } } } }
    local name = registered(fn)
    fn.action.configuration.output[1] = 2
    assert.same({ 1 }, resolved({ action = { type = name } }).steps.a.output)
  end)

  it("D4: registering again changes neither definitions nor runs that are there", function()
    local name = registered { action = { type = "echo", configuration = { output = "old" } } }
    local def = assert(step.define { name = "x", steps = { { name = "a", action = { type = name } } } })
    local run = assert(def:start { clock = clock.manual() })
    assert(step.register_function { name = name, action = { type = "echo", configuration = { output = "new" } } })
    run:resolve()
    assert.equal("old", run.steps.a.output)
    local later = assert(def:start { clock = clock.manual() })
    later:resolve()
    assert.equal("old", later.steps.a.output)
    assert.equal("new", resolved({ action = { type = name } }).steps.a.output)
  end)

  it("lists all names, sorted", function()
    local name = registered { action = echo }
    local names, found = functions.names(), false
    for i, other in ipairs(names) do
      if i > 1 then assert.is_true(names[i - 1] < other) end
      found = found or other == name
    end
    assert.is_true(found)
  end)
end)

describe("a function", function()
  it("S7.3: gets its arguments as .function_args, each function its own", function()
    local inner = registered { action = { type = "echo", configuration = { output = "{{.function_args.b}}/{{.function_args.c.d}}" } } }
    local outer = registered { action = { type = inner, configuration = { b = "b{{.function_args.a}}",
      c = { d = "{{.function_args.a}}" } } } }
    local a = resolved({ action = { type = outer, configuration = { a = "1" } } }).steps.a
    assert.equal("b1/1", a.output)
  end)

  it("S3.3: its conditions come first, the innermost's before", function()
    local function check(text)
      return { { type = "check", ["if"] = {}, ["then"] = { this = "DONE" }, message = text .. " after {{.step.this.error}}" } }
    end
    local inner = registered { action = echo, conditions = check "inner" }
    local outer = registered { action = { type = inner }, conditions = check "outer" }
    local a = resolved({ action = { type = outer }, conditions = check "own" }).steps.a
    assert.equal("own after outer after inner after ", a.error)
  end)

  it("S1.3, D21: its custom states are the step's, without duplicates", function()
    local inner = registered { action = echo, custom_states = { "A", "B" },
      conditions = { { type = "check", ["then"] = { this = "A" } } } }
    local outer = registered { action = { type = inner }, custom_states = { "B", "C" } }
    local def = assert(step.define { name = "x", steps = {
      { name = "a", action = { type = outer }, custom_states = { "C", "D" } },
      { name = "b", action = echo, dependencies = { "a:A,B,C,D" } },
      { name = "c", action = echo, dependencies = { "a:D" } },
    } })
    local run = assert(def:start { clock = clock.manual() })
    assert.equal("DONE", run:resolve())
    assert.same({ "A", "DONE", "PRUNE" }, { run.steps.a.state, run.steps.b.state, run.steps.c.state })
  end)

  it("S4.2: its pre_hook is the step's", function()
    local name = registered { action = { type = "echo", configuration = { output = "{{.pre_hook.output.token}}" } },
      pre_hook = { type = "echo", configuration = { output = { token = "t" } } } }
    assert.equal("t", resolved({ action = { type = name } }).steps.a.output)
  end)

  it("S4.2: a second pre_hook is refused", function()
    local hooked = registered { action = echo, pre_hook = echo }
    local finding = refused.only(refused.steps { { name = "a", action = { type = hooked }, pre_hook = echo } })
    assert.same({ "pre_hook", ("prehook: pre_hook override: the function '%s' has a pre_hook already"):format(hooked) },
      { finding.field, finding.message })
    local twice = registered { action = { type = hooked }, pre_hook = echo }
    assert.matches("pre_hook override", refused.only(refused.steps { { name = "a", action = { type = twice } } }).message, 1, true)
  end)

  it("S4.2: a pre_hook that is a function with a pre_hook is refused", function()
    local hooked = registered { action = echo, pre_hook = echo }
    local finding = refused.only(refused.steps { { name = "a", action = echo, pre_hook = { type = hooked } } })
    assert.same("pre_hook", finding.field)
    assert.matches("pre_hook override", finding.message, 1, true)
    local plain = registered { action = { type = "echo", configuration = { output = "{{.function_args.x}}" } } }
    local a = resolved({ action = { type = "echo", configuration = { output = "{{.pre_hook.output}}" } },
      pre_hook = { type = plain, configuration = { x = "y" } } }).steps.a
    assert.equal("y", a.output)
  end)

  it("D21: base configuration and output strategy of every action count, the innermost's first", function()
    local inner = registered { action = { type = "echo", base_configuration = "base", configuration = { output = { own = 1 } },
      output = { strategy = "template", format = { inner = "{{.step.this.output.own}}", arg = "{{.function_args.x}}" } } } }
    local outer = registered { action = { type = inner, configuration = { x = "{{.function_args.y}}" },
      output = { strategy = "merge", format = { outer = "yes", arg = "lost" } } } }
    local a = resolved({ action = { type = outer, configuration = { y = "arg" },
      output = { strategy = "merge", format = { step = "s" } } } },
      { base_configurations = { base = { metadata = { from = "base" } } } }).steps.a
    assert.same({ inner = "1", arg = "arg", outer = "yes", step = "s" }, a.output)
    assert.same({ from = "base" }, a.metadata)
  end)

  it("S8.2: a base configuration that does not exist is refused, and its place is the function", function()
    local name = registered { action = { type = "echo", base_configuration = "bsae" } }
    local finding = refused.only(refused.steps({ { name = "a", action = { type = name } } }, { base_configurations = { base = {} } }))
    assert.same({ ("action (function '%s').base_configuration"):format(name), "BaseConfiguration key not found", '"bsae"', "base", "base" },
      { finding.field, finding.message, finding.found, finding.accepted, finding.near })
  end)

  it("S7.3: a missing argument is refused", function()
    local name = registered { action = { type = "echo", configuration = {
      output = "{{.function_args.a}} {{ upper .function_args.b.c }}" } } }
    local err = refused.steps { { name = "s", action = { type = name, configuration = { b = {} } } } }
    assert.equal(2, #err.errors)
    assert.equal(("missing function_args 'a', which the function '%s' uses"):format(name), err.errors[1].message)
    assert.matches("missing function_args 'b.c'", err.errors[2].message, 1, true)
    assert.equal("action.configuration", err.errors[1].field)
    refused.only(refused.steps { { name = "s", action = { type = name, configuration = { b = { c = 1 } } } } })
    refused.steps { { name = "s", action = { type = name } } }
    refused.steps { { name = "s", action = { type = name, configuration = "{{.input}}" } } }
  end)

  it("S7.3: an argument may be false, null, a template, a Lua function", function()
    local name = registered { action = { type = "echo", configuration = { output = "{{.function_args.a}}" } } }
    for _, value in ipairs { false, null, "{{.step.this.state}}", 0, function() return 1 end } do
      assert(step.define { name = "x", steps = { { name = "s", action = { type = name, configuration = { a = value } } } } })
    end
    local a = resolved({ action = { type = name, configuration = function() return { a = "made" } end } }).steps.a
    assert.equal("made", a.output)
  end)

  it("S7.3: a pre_hook's missing argument is refused too", function()
    local name = registered { action = { type = "echo", configuration = { output = "{{.function_args.a}}" } } }
    local finding = refused.only(refused.steps { { name = "s", action = echo, pre_hook = { type = name } } })
    assert.equal("pre_hook.configuration", finding.field)
    assert.matches("^prehook: missing function_args 'a'", finding.message)
  end)
end)

describe("functions.chain", function()
  local function find(name)
    return ({ f = { action = { type = "g" } }, g = { action = { type = "echo" } }, loop = { action = { type = "loop" } },
      lost = { action = { type = "nowhere" } } })[name]
  end
  it("goes from the action to the runner", function()
    local chain = functions.chain({ type = "f" }, find)
    local kinds = {}
    for i, link in ipairs(chain) do kinds[i] = link.action.type end
    assert.same({ "f", "g", "echo" }, kinds)
    assert.is_nil(chain[1].fn)
    assert.same(find("g").action, chain[3].fn.action)
  end)
  it("says what is cyclic or unknown", function()
    assert.same({ nil, "cyclic functions: loop -> loop" }, { functions.chain({ type = "loop" }, find) })
    assert.same({ nil, "unknown", "nowhere" }, { functions.chain({ type = "lost" }, find) })
    assert.same({ nil, "unknown", 5 }, { functions.chain({ type = 5 }, find) })
  end)
end)

describe("functions.arguments", function()
  it("finds the paths in templates at any depth, each once, sorted", function()
    assert.same({ "a", "b.c", "d" }, functions.arguments {
      x = "{{.function_args.b.c}} {{ .function_args.a }}", list = { "{{.function_args.d | upper}}{{.function_args.a}}" }, n = 5,
      plain = ".function_args.not", key = { ["{{.function_args.key}}"] = 1 },
    })
    assert.same({}, functions.arguments(nil))
  end)
  it("S7.3: leaves out those that may be absent, as the template asks for them", function()
    assert.same({ "b" }, functions.arguments {
      x = '{{.function_args.a | default "x"}}{{if .function_args.c}}y{{end}}{{with .function_args.d}}{{.}}{{end}}',
      y = '{{default 1 .function_args.b}} {{.function_args.b}}',
    })
  end)
end)

describe("functions.has_argument", function()
  it("looks along the path", function()
    local configuration = { a = { b = json.array { { c = 1 } } }, t = "{{.x}}", f = print }
    for path, expected in pairs {
      a = true, ["a.b"] = true, ["a.b.0.c"] = true, ["a.b.1"] = false, ["a.c"] = false, b = false, ["t.any"] = true, ["f.any.thing"] = true,
    } do
      assert.equal(expected, functions.has_argument(configuration, path), path)
    end
  end)
end)
