-- step.condition: conditions checked and compiled (chapter 3, S8.8, D10, D12, D13).

local clock = require "step.clock"
local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

local null = json.null

local echo = { type = "echo" }

--- The error with which step `a` with that condition is refused; `before` -> a -> `after`, and `far` beside them.
local function refusal(condition, more)
  local spec = { name = "a", action = echo, dependencies = { "before" }, custom_states = { "MINE" }, conditions = json.array { condition } }
  for key, value in pairs(more or {}) do spec[key] = value end
  return refused.steps {
    { name = "before", action = echo, custom_states = { "EARLY" } }, spec, { name = "after", action = echo, dependencies = { "a:ANY" } },
    { name = "far", action = echo },
  }
end

local function accepted(condition, more)
  local spec = { name = "a", action = echo, dependencies = { "before" }, custom_states = { "MINE" }, conditions = { condition } }
  for key, value in pairs(more or {}) do spec[key] = value end
  assert(step.define { name = "accepted", steps = {
    { name = "before", action = echo, custom_states = { "EARLY" } }, spec, { name = "after", action = echo, dependencies = { "a:ANY" } },
  } })
end

--- A resolved run of step `a` with output, error and conditions; `v.input` is given.
local function resolved(conditions, more, input)
  local spec = { name = "a", action = { type = "echo", configuration = { output = { n = 5, text = "abc" } } },
    custom_states = { "YES" }, conditions = conditions }
  for key, value in pairs(more or {}) do spec[key] = value end
  local inputs = json.array()
  for name in pairs(input or {}) do inputs[#inputs + 1] = { name = name, collection = type(input[name]) == "table" } end
  local run = assert(assert(step.define { name = "x", inputs = inputs, steps = { spec } }):start { clock = clock.manual(), input = input })
  run:resolve()
  return run
end

--- Whether an assertion holds; nil and the error text when it cannot be evaluated.
local function holds(value, operator, expected, separator)
  local a = resolved({ { type = "check", ["if"] = { { value = value, operator = operator, expected = expected,
    list_separator = separator } },
    ["then"] = { this = "YES" } } }).steps.a
  if a.state == "AFTERRUN_ERROR" then return nil, a.error end
  return a.state == "YES"
end

describe("a condition is refused", function()
  for name, case in pairs {
    ["S8.8: when it is no object"] = { "text", "", "a condition is an object with type, if and then", '"text"' },
    ["S8.8: when it is null"] = { null, "", "a condition is an object with type, if and then", "null" },
    ["S8.8: without a type"] = { { ["then"] = { this = "DONE" } }, ".type", "a condition needs a type", nil, "skip, check" },
    ["S8.8: with an unknown type"] = { { type = "chekc", ["then"] = { this = "DONE" } }, ".type", "unknown condition type", '"chekc"',
      "skip, check", "check" },
    ["with an unknown key"] = { { type = "check", the = {} }, ".the", "unknown key of a condition", nil,
      "final, foreach, if, message, run_on_retryable, states, then, type", "then" },
    ["S3.1: when `if` is no list"] = { { type = "check", ["if"] = { value = "x" } }, ".if",
      "a list of assertions or a function is expected", "an object" },
    ["S3.2: when an assertion is no object"] = { { type = "check", ["if"] = { "x" } }, ".if[1]",
      "an assertion is an object with value, operator and expected", '"x"' },
    ["S3.2: when an assertion has an unknown key"] = { { type = "check", ["if"] = { { operator = "EQ", expect = "1" } } }, ".if[1].expect",
      "unknown key of an assertion", nil, "value, operator, expected, list_separator, message", "expected" },
    ["D12: with an unknown operator"] = { { type = "check", ["if"] = { { value = "1", operator = "EQQ", expected = "1" } } },
      ".if[1].operator",
      "unknown operator", '"EQQ"', "EQ, NE, GT, LT, GE, LE, REGEXP, NOTREGEXP, IN, NOTIN", "EQ" },
    ["D12: without an operator"] = { { type = "check", ["if"] = { { value = "1", expected = "1" } } }, ".if[1].operator",
      "an assertion needs an operator", nil,
      "EQ, NE, GT, LT, GE, LE, REGEXP, NOTREGEXP, IN, NOTIN" },
    ["S3.2: when a value is a list"] = { { type = "check", ["if"] = { { value = { 1 }, operator = "EQ" } } }, ".if[1].value",
      "a text, a number, true or false is expected", "a list" },
    ["S3.2: when expected is an object"] = { { type = "check", ["if"] = { { expected = { a = 1 }, operator = "EQ" } } }, ".if[1].expected",
      "a text, a number, true or false is expected", "an object" },
    ["S3.2: when a value is no data"] = { { type = "check", ["if"] = { { value = io.stdout, operator = "EQ" } } }, ".if[1].value",
      "a text, a number, true or false is expected", "a userdata" },
    ["S3.2: when the separator is no text"] = { { type = "check", ["if"] = { { operator = "IN", list_separator = 5 } } },
      ".if[1].list_separator",
      "a text is expected", "5" },
    ["S3.1: when `then` is a list"] = { { type = "check", ["then"] = { "DONE" } }, ".then",
      "an object from step names to states is expected", "a list" },
    ["S8.8: when `then` names no step"] = { { type = "check", ["then"] = { befor = "DONE" } }, ".then[befor]",
      "non-existing step 'befor'", nil, nil, "before" },
    ["S8.8: when it names its own step"] = { { type = "check", ["then"] = { a = "DONE" } }, ".then[a]",
      "a step names itself 'this', not 'a'", nil, "this" },
    ["S3.6: when it names a step beside it"] = { { type = "check", ["then"] = { far = "DONE" } }, ".then[far]",
      "step 'far' is not in the dependency chain of 'a': only the step itself, its ancestors and its descendants can be set" },
    ["S1.1: when a state may not be set"] = { { type = "check", ["then"] = { this = "TODO" } }, ".then[this]", "invalid state", '"TODO"',
      "DONE, CLIENT_ERROR, FATAL_ERROR, PRUNE, TO_RETRY, RETRY_NOW, MINE" },
    ["S1.1: when the custom state is another step's"] = { { type = "check", ["then"] = { this = "EARLY" } }, ".then[this]",
      "invalid state", '"EARLY"',
      "DONE, CLIENT_ERROR, FATAL_ERROR, PRUNE, TO_RETRY, RETRY_NOW, MINE" },
    ["S1.1: when another step does not declare the custom state"] = { { type = "check", ["then"] = { before = "MINE" } },
      ".then[before]", "invalid state",
      '"MINE"', "DONE, CLIENT_ERROR, FATAL_ERROR, PRUNE, TO_RETRY, RETRY_NOW, EARLY" },
    ["S1.1: when the state is misspelt"] = { { type = "check", ["then"] = { this = "MIEN" } }, ".then[this]", "invalid state", '"MIEN"',
      "DONE, CLIENT_ERROR, FATAL_ERROR, PRUNE, TO_RETRY, RETRY_NOW, MINE", "MINE" },
    ["S1.1: when the state is no text"] = { { type = "check", ["then"] = { this = 5 } }, ".then[this]", "invalid state",
      "5 (quote it to make it a text)", "DONE, CLIENT_ERROR, FATAL_ERROR, PRUNE, TO_RETRY, RETRY_NOW, MINE" },
    ["D10: when a skip condition does not set this"] = { { type = "skip", ["then"] = { before = "DONE" } }, ".then",
      "a skip condition must set the state of 'this': the step does not run then" },
    ["D10: when a skip condition has no then"] = { { type = "skip", ["if"] = {} }, ".then",
      "a skip condition must set the state of 'this': the step does not run then" },
    ["D10: when a skip condition sets RETRY_NOW"] = { { type = "skip", ["then"] = { this = "RETRY_NOW" } }, ".then[this]",
      "a skip condition may not set RETRY_NOW: its step would be tried for ever (invalid state)", '"RETRY_NOW"' },
    ["S8.8: with foreach outside of a foreach step"] = { { type = "skip", foreach = "parent", ["then"] = { this = "DONE" } }, ".foreach",
      "foreach in a condition of a non-foreach step" },
    ["S3.1: when final is no boolean"] = { { type = "check", final = "yes" }, ".final", "true or false is expected", '"yes"' },
    ["S3.1: when the message is no text"] = { { type = "check", message = {} }, ".message", "a text is expected", "an empty table" },
    ["D13: when states is no list"] = { { type = "check", states = "DONE" }, ".states",
      "a list of states, of a check condition, is expected", '"DONE"' },
    ["D13: when a skip condition has states"] = { { type = "skip", states = { "DONE" }, ["then"] = { this = "DONE" } }, ".states",
      "states is only for check conditions" },
    ["D13: when states has one an action does not end in"] = { { type = "check", states = { "DONE", "FATAL_ERRO" } }, ".states[2]",
      "not a state an action ends in",
      '"FATAL_ERRO"', "DONE, CLIENT_ERROR, SERVER_ERROR, FATAL_ERROR, WAITING, TO_RETRY", "FATAL_ERROR" },
  } do
    it(name, function()
      local finding = refused.only(refusal(case[1]))
      assert.equal("a", finding.step)
      assert.equal("conditions[1]" .. case[2], finding.field)
      assert.same({ case[3], case[4], case[5], case[6] }, { finding.message, finding.found, finding.accepted, finding.near })
    end)
  end

  it("D12: when its regular expression does not compile", function()
    for _, operator in ipairs { "REGEXP", "notregexp" } do
      local finding = refused.only(refusal { type = "check", ["if"] = { { value = "x", operator = operator, expected = "(" } } })
      assert.equal("conditions[1].if[1].expected", finding.field)
      assert.matches("^error parsing regexp: ", finding.message)
      assert.equal('"("', finding.found)
    end
    accepted { type = "check", ["if"] = { { value = "x", operator = "REGEXP", expected = "{{.step.this.output}}(" } } }
  end)

  it("S8.8: with an unknown foreach, or foreach on a check condition", function()
    local foreach = { foreach = "[]", dependencies = {} }
    local finding = refused.only(refusal({ type = "skip", foreach = "child", ["then"] = { this = "DONE" } }, foreach))
    assert.same({ "conditions[1].foreach", "unknown condition foreach", '"child"', "children, parent" },
      { finding.field, finding.message, finding.found, finding.accepted })
    finding = refused.only(refusal({ type = "check", foreach = "children" }, foreach))
    assert.same({ "conditions[1].foreach", "foreach is only for skip conditions" }, { finding.field, finding.message })
  end)

  it("S8: with everything that is wrong in it", function()
    local err = refusal { type = "x", ["if"] = { { operator = "?" }, { operator = "EQ", value = {} } },
      ["then"] = { nobody = "DONE", this = "GONE" }, final = 1, message = {} }
    assert.same({ "a: conditions[1].final", "a: conditions[1].if[1].operator", "a: conditions[1].if[2].value", "a: conditions[1].message",
      "a: conditions[1].then[nobody]", "a: conditions[1].then[this]", "a: conditions[1].type" }, refused.places(err))
  end)
end)

describe("a condition is accepted", function()
  it("S3.6: that sets itself, an ancestor, a descendant", function()
    accepted { type = "check", ["then"] = { this = "MINE", before = "EARLY", after = "PRUNE" } }
    accepted { type = "skip", ["then"] = { this = "DONE", before = "TO_RETRY" } }
  end)
  it("S8.8: in a foreach step, that names the step itself", function()
    for _, condition in ipairs {
      { type = "check", ["then"] = { a = "TO_RETRY" } }, { type = "skip", foreach = "parent", ["then"] = { a = "DONE" } },
      { type = "skip", foreach = "children", ["then"] = { this = "DONE" } },
    } do
      accepted(condition, { foreach = "[]" })
    end
  end)
  it("S3.1: whose parts are absent or null", function()
    accepted { type = "check" }
    accepted { type = "check", ["if"] = null, ["then"] = null, final = null, message = null, foreach = null, states = null }
    accepted { type = "check", ["if"] = {}, ["then"] = {}, foreach = "", states = {} }
    accepted { type = "check", ["if"] = { { operator = "eq", value = null, expected = null, list_separator = null, message = "m" } } }
  end)
end)

describe("an assertion", function()
  for name, case in pairs {
    ["EQ compares texts"] = { "a", "EQ", "a", true }, ["EQ does not compare numbers"] = { "1", "EQ", "1.0", false },
    ["NE"] = { "a", "NE", "b", true }, ["in any case"] = { "a", "eQ", "a", true },
    ["GT"] = { "10", "GT", "9", true }, ["LT"] = { "10", "LT", "9", false }, ["GE"] = { "9", "GE", "9", true },
      ["LE"] = { "9", "LE", "8", false },
    ["D12: GT compares 64-bit integers"] = { "9223372036854775807", "GT", "9223372036854775806", true },
    ["D12: LT compares decimals"] = { "1.25", "LT", "1.5", true },
    ["REGEXP searches"] = { "xabcx", "REGEXP", "a.c", true }, ["REGEXP that is not found"] = { "xyz", "REGEXP", "a.c", false },
    ["NOTREGEXP"] = { "xyz", "NOTREGEXP", "a.c", true },
    ["IN looks for expected in value"] = { "a,b,c", "IN", "b", true }, ["NOTIN"] = { "a,b,c", "NOTIN", "d", true },
    ["D12: IN trims both sides"] = { " a , b ", "IN", " b ", true },
    ["a number stands for its text"] = { 5, "EQ", "5", true }, ["a boolean stands for its text"] = { true, "EQ", "true", true },
    ["null stands for an empty text"] = { null, "EQ", "", true },
    ["a template"] = { "{{.step.this.output.n}}", "EQ", 5, true },
      ["a function of v"] = { function(v) return v.step.this.output.text end, "EQ", "abc", true },
    ['"<no value>" is an empty text'] = { "{{.step.this.output.nothing}}", "EQ", "", true },
    ['"<no value>" from a function is too'] = { function() return "<no value>" end, "EQ", "", true },
    ["what is expected may be a template"] = { "5", "EQ", "{{.step.this.output.n}}", true },
  } do
    it("S3.2: " .. name, function() assert.equal(case[4], holds(case[1], case[2], case[3])) end)
  end

  it("S3.2: IN splits at the separator", function()
    assert.is_true(holds("a|b,c", "IN", "b,c", "|"))
    assert.is_true(holds("a--b", "IN", "b", "--"))
    assert.is_true(holds("a,b", "IN", "b", ""))
  end)

  for name, case in pairs {
    ["S3.2: a text that is no number"] = { "abc", "GT", "1", 'operator GT compares numbers, found "abc"' },
    ["D12: a templated regular expression that does not compile"] = { "x", "REGEXP", "{{.step.this.output.n}}(", "error parsing regexp: " },
    ["S3.2: a template that fails"] = { "{{fail \"broken\"}}", "EQ", "", "broken" },
    ["S3.2: a template that does not parse"] = { "{{.step", "EQ", "", "" },
    ["S3.2: a function that throws"] = { function() error("thrown", 0) end, "EQ", "", "thrown" },
    ["S3.2: a function that gives a table"] = { function() return {} end, "EQ", "",
      "a condition compares texts, numbers and booleans, found a table" },
  } do
    it("S3.5: is an evaluation error with " .. name, function()
      local result, message = holds(case[1], case[2], case[3])
      assert.is_nil(result)
      assert.matches(case[4], message, 1, true)
    end)
  end

  it("S3.1: all must hold", function()
    local function both(first, second)
      return resolved({ { type = "check", ["if"] = { { value = first, operator = "EQ", expected = "1" },
        { value = second, operator = "EQ", expected = "1" } },
        ["then"] = { this = "YES" } } }).steps.a.state
    end
    assert.same({ "YES", "DONE", "DONE" }, { both("1", "1"), both("1", "2"), both("2", "1") })
  end)
end)

describe("conditions", function()
  it("S3.3: a function of v may stand for the assertions", function()
    local function state(fn) return resolved({ { type = "check", ["if"] = fn, ["then"] = { this = "YES" } } }).steps.a.state end
    assert.same({ "YES", "DONE", "AFTERRUN_ERROR" }, {
      state(function(v) return v.step.this.output.n == 5 end), state(function() return false end), state(function() error "no" end),
    })
  end)

  it("S3.3: each sees what the one before has set", function()
    local run = resolved {
      { type = "check", ["then"] = { this = "YES" } },
      { type = "check", ["if"] = { { value = "{{.step.this.state}}", operator = "EQ", expected = "YES" } },
        ["then"] = { this = "FATAL_ERROR" }, message = "seen" },
    }
    assert.same({ "FATAL_ERROR", "seen" }, { run.steps.a.state, run.steps.a.error })
  end)

  it("S3.3: final ends the evaluation, when it holds", function()
    local function state(expected)
      return resolved({
        { type = "check", ["if"] = { { value = "1", operator = "EQ", expected = expected } }, ["then"] = { this = "YES" }, final = true },
        { type = "check", ["then"] = { this = "CLIENT_ERROR" } },
      }).steps.a.state
    end
    assert.equal("YES", state "1")
    assert.equal("CLIENT_ERROR", state "2")
  end)

  it("S3.3: the message, templated, becomes the error of each step that is set", function()
    local def = assert(step.define { name = "x", steps = {
      { name = "before", action = echo },
      { name = "a", action = { type = "echo", configuration = { output = 7 } }, dependencies = { "before" },
        conditions = { { type = "check", ["then"] = { this = "DONE", before = "DONE", after = "PRUNE" },
          message = "n = {{.step.this.output}}" } } },
      { name = "after", action = echo, dependencies = { "a" } },
    } })
    local run = assert(def:start { clock = clock.manual() })
    assert.equal("DONE", run:resolve())
    assert.same({ "n = 7", "n = 7", "n = 7", "PRUNE" }, { run.steps.before.error, run.steps.a.error, run.steps.after.error,
      run.steps.after.state })
  end)

  it("S3.3: a message may be a function of v, a number, or one that cannot be templated", function()
    local function message(text) return resolved({ { type = "check", ["then"] = { this = "DONE" }, message = text } }).steps.a.error end
    assert.equal("5!", message(function(v) return v.step.this.output.n .. "!" end))
    assert.equal("5", message(5))
    assert.matches('^{{fail "x"}} %(TEMPLATING ERROR: ', message '{{fail "x"}}')
    assert.matches("^{{.broken %(TEMPLATING ERROR: ", message "{{.broken")
    assert.matches("^%(TEMPLATING ERROR: .*thrown", message(function() error "thrown" end))
    assert.is_nil(message "")
    assert.is_nil(message(nil))
  end)

  it("S3.4: a skip condition that holds prevents the action, counts no try", function()
    local calls = 0
    local run = resolved({ { type = "skip", ["then"] = { this = "YES" }, message = "not today" },
      { type = "check", ["then"] = { this = "FATAL_ERROR" } } },
      { action = function() calls = calls + 1 end })
    assert.same({ 0, "YES", "not today", 0, "DONE" }, { calls, run.steps.a.state, run.steps.a.error, run.steps.a.try_count, run.state })
  end)

  it("S3.4: a skip condition that cannot be evaluated is SERVER_ERROR", function()
    local calls = 0
    local run = resolved({ { type = "skip", ["if"] = { { value = "x", operator = "GT", expected = "1" } }, ["then"] = { this = "YES" } } },
      { action = function() calls = calls + 1 end })
    assert.same({ 0, "SERVER_ERROR", 'operator GT compares numbers, found "x"', 0 },
      { calls, run.steps.a.state, run.steps.a.error, run.steps.a.try_count })
  end)

  it("S3.5: check conditions see DONE and CLIENT_ERROR, and by D13 what states lists", function()
    local function state(kind, states)
      return resolved({ { type = "check", states = states, ["then"] = { this = "YES" } } },
        { action = function() if kind then error(step.error[kind] "x") end end }).steps.a.state
    end
    assert.same({ "YES", "YES", "WAITING", "TO_RETRY" }, { state(nil), state "bad_request", state "not_assigned", state "not_provisioned" })
    assert.same({ "DONE", "CLIENT_ERROR", "YES", "YES" },
      { state(nil, { "WAITING" }), state("bad_request", { "DONE" }), state("not_assigned", { "WAITING" }),
        state("not_provisioned", { "TO_RETRY" }) })
  end)

  it("D12: a regular expression that exceeds its match budget is an evaluation error", function()
    local run = resolved({ { type = "check", ["if"] = { { value = "{{.input.text}}", operator = "REGEXP", expected = "^(a|a?)+$" } },
      ["then"] = { this = "YES" } } },
      nil, { text = ("a"):rep(60) .. "b" })
    assert.equal("AFTERRUN_ERROR", run.steps.a.state)
    assert.matches("^regexp: ", run.steps.a.error)
  end)
end)
