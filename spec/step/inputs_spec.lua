-- step.inputs: S8.12, the definitions of inputs and the values given for them.

local err = require "step.error"
local inputs = require "step.inputs"
local json = require "step.json"
local yaml = require "step.yaml"

local null = json.null

--- Compiles definitions written in YAML; gives the spec and the findings.
local function compile(text)
  local list, positions = yaml.decode(text)
  if list == nil then error(positions, 2) end
  local report = err.report()
  return inputs.compile(list, report, "inputs", positions), report.findings
end

--- The spec of definitions that must be good.
local function spec_of(text)
  local spec, findings = compile(text)
  assert.same({}, findings)
  return spec
end

describe("inputs.compile", function()
  it("takes nothing for no inputs", function()
    local report = err.report()
    for _, list in pairs { false, null, {}, json.array {} } do
      assert.same({}, inputs.compile(list or nil, report, "inputs"))
    end
    assert.same({}, report.findings)
  end)

  it("takes every type, collections, defaults, legal values", function()
    spec_of [[
- name: plain
- {name: s, type: string, description: text, regex: '^[a-z]+$', default: abc}
- {name: p, type: password, optional: true}
- {name: num, type: number, legal_values: [1, 2.5], default: 2.5}
- {name: b, type: bool, default: false}
- {name: l, type: number, collection: true, default: [1, 2]}
- {name: empty, collection: true, legal_values: [], default: []}
- {name: typed, type: '', default: ~, regex: ~, legal_values: ~}
]]
  end)

  it("takes numbers and booleans where a text is wanted, as the reader of YAML does", function()
    local spec = spec_of "[{name: 12, description: 1.5, regex: 7}, {name: on}]"
    assert.equal("12", spec[1].name)
    assert.equal("true", spec[2].name)
    assert.is_true(inputs.check(spec_of "[{name: '12', regex: 7}]", { ["12"] = "x7y" }) ~= nil)
  end)

  for name, case in pairs {
    ["unknown type"] = { "{name: i, type: integer}", "inputs[1].type",
      "Invalid input type 'integer'; accepted: string, password, number, bool" },
    ["nearest type"] = { "{name: i, type: boo}", "inputs[1].type", "did you mean 'bool'" },
    ["type that is no text"] = { "{name: i, type: [string]}", "inputs[1].type",
      "'type' is of the wrong type, found a list; accepted: a string" },
    ["regex and legal values"] = { "{name: i, regex: ^a, legal_values: [a]}", "inputs[1].regex", "both regex and legal value list" },
    ["regex that does not compile"] = { "{name: i, regex: (}", "inputs[1].regex",
      "Invalid regex for input 'i': missing closing parenthesis" },
    ["regex that RE2 has not"] = { "{name: i, regex: 'a(?=b)'}", "inputs[1].regex", "unsupported syntax" },
    ["default, number"] = { "{name: i, type: number, default: one}", "inputs[1].default",
      "'i': expected a number (its default), found \"one\"" },
    ["default, string"] = { "{name: i, default: 3}", "inputs[1].default", "expected a string (its default), found 3" },
    ["default, bool"] = { "{name: i, type: bool, default: 'yes'}", "inputs[1].default", "expected a boolean" },
    ["default, collection"] = { "{name: i, collection: true, default: a}", "inputs[1].default", "expected to be an array" },
    ["default, item of a collection"] = { "{name: i, collection: true, default: [a, 1]}", "inputs[1].default", "expected a string" },
    ["default, legal value"] = { "{name: i, legal_values: [a, b], default: c}", "inputs[1].default",
      "not a legal value (its default), found \"c\"; accepted: \"a\", \"b\"" },
    ["default, regex"] = { "{name: i, regex: '^a', default: b}", "inputs[1].default", "doesn't comply with regex '^a'" },
    ["default, quotes"] = { "{name: i, default: 'a\"b'}", "inputs[1].default", "cannot contain double quotes" },
    ["legal value of another type"] = { "{name: i, type: number, legal_values: [1, x]}", "inputs[1].legal_values[2]", "expected a number" },
    ["legal values that are no list"] = { "{name: i, legal_values: a}", "inputs[1].legal_values", "accepted: a list" },
    ["optional that is no boolean"] = { "{name: i, optional: 1}", "inputs[1].optional", "accepted: true or false" },
    ["collection that is no boolean"] = { "{name: i, collection: [true]}", "inputs[1].collection", "accepted: true or false" },
    ["no name"] = { "{type: string}", "inputs[1].name", "an input needs a name" },
    ["empty name"] = { "{name: ''}", "inputs[1].name", "an input needs a name" },
    ["name that is no text"] = { "{name: {}}", "inputs[1].name", "'name' is of the wrong type, found an empty table" },
    ["unknown field"] = { "{name: i, legal_value: [a]}", "inputs[1].legal_value", "did you mean 'legal_values'" },
    ["an input that is no object"] = { "i", "inputs[1]", "an input is an object with a name, found \"i\"" },
  } do
    it("reports " .. name, function()
      local _, findings = compile("- " .. case[1])
      assert.equal(1, #findings)
      assert.equal(case[2], findings[1].field)
      assert.matches(case[3], tostring(findings[1]), 1, true)
      assert.equal(1, findings[1].line)
      assert.is_truthy(findings[1].column)
    end)
  end

  it("reports a duplicate name", function()
    local _, findings = compile "- name: a\n- name: b\n- name: a\n"
    assert.equal("line 3, column 3: inputs[3].name: Invalid input 'a': duplicate name, inputs[1] has it already", tostring(findings[1]))
  end)

  it("reports a list that is none", function()
    for _, list in ipairs { "x", 1, true, { name = "i" } } do
      local report = err.report()
      inputs.compile(list, report, "resolver_inputs")
      assert.equal("resolver_inputs", report.findings[1].field)
    end
  end)

  it("reports everything it finds, in order", function()
    local _, findings = compile "- {name: i, type: int, zz: 1, aa: 2, default: 'a\"', optional: maybe}\n- 5\n- {regex: '('}\n"
    local fields = {}
    for i, finding in ipairs(findings) do fields[i] = finding.field end
    assert.same({ "inputs[1].aa", "inputs[1].zz", "inputs[1].optional", "inputs[1].type", "inputs[1].default", "inputs[2]",
      "inputs[3].name", "inputs[3].regex" }, fields)
  end)
end)

describe("inputs.check", function()
  it("fills in defaults, leaves out what no definition names", function()
    local spec = spec_of [[
- {name: s, default: dflt}
- {name: k, type: number, optional: true}
- {name: f, type: bool, default: true}
- {name: l, collection: true, optional: true}
]]
    assert.same({ s = "dflt", f = true }, inputs.check(spec, nil))
    assert.same({ s = "dflt", f = true }, inputs.check(spec, null))
    assert.same({ s = "x", k = 1.5, f = false, l = { "a" } },
      inputs.check(spec, { s = "x", k = 1.5, f = false, l = json.array { "a" }, unknown = "y" }))
    -- "" and null: the default if there is one, else they stay when optional
    assert.same({ s = "dflt", f = true, k = null, l = "" }, inputs.check(spec, { s = "", f = null, k = null, l = "" }))
  end)

  it("shares nothing with the definition or the caller (D3)", function()
    local spec = spec_of "[{name: l, collection: true, default: [a]}]"
    local first = inputs.check(spec, {})
    first.l[1] = "changed"
    assert.same({ l = { "a" } }, inputs.check(spec, {}))
    local given = { l = { "b" } }
    local values = inputs.check(spec, given)
    assert.not_equal(given.l, values.l)
    assert.is_true(json.is_array(values.l))
  end)

  local big = ("x"):rep(100001)
  for name, case in pairs {
    ["a missing input"] = { "{name: i, type: string}", {}, "i: Missing input 'i'" },
    ["an empty text"] = { "{name: i}", { i = "" }, "Missing input 'i'" },
    ["null"] = { "{name: i}", { i = null }, "Missing input 'i'" },
    ["a text for a number"] = { "{name: i, type: number}", { i = "12" }, "Invalid value 'i': expected a number, found \"12\"" },
    ["no number of JSON"] = { "{name: i, type: number}", { i = 0 / 0 }, "expected a number" },
    ["a number for a text"] = { "{name: i}", { i = 12 }, "Invalid value 'i': expected a string, found 12" },
    ["a text for a boolean"] = { "{name: i, type: bool}", { i = "true" }, "Invalid value 'i': expected a boolean" },
    ["one value for a list"] = { "{name: i, collection: true}", { i = "a" }, "Input 'i' is expected to be an array, found \"a\"" },
    ["an object for a list"] = { "{name: i, collection: true}", { i = {} },
      "array, found an empty table; accepted: an empty list is step.json.array {}" },
    ["a list for one value"] = { "{name: i}", { i = { "a" } }, "expected a string, found a list" },
    ["a wrong item"] = { "{name: i, collection: true}", { i = { "a", 1 } }, "expected a string, found 1" },
    ["an item that is not legal"] = { "{name: i, collection: true, legal_values: [a]}", { i = { "a", "b" } }, "not a legal value" },
    ["an illegal value"] = { "{name: i, type: number, legal_values: [1, 2.5]}", { i = 3 }, "not a legal value, found 3; accepted: 1, 2.5" },
    ["what the regex does not match"] = { "{name: i, regex: '^[a-z]+$'}", { i = "A1" },
      "doesn't comply with regex '^[a-z]+$', found \"A1\"" },
    ["a trailing newline, with $"] = { "{name: i, regex: '^a$'}", { i = "a\n" }, "regex" },
    ["quotes"] = { "{name: i}", { i = 'a"b' }, "cannot contain double quotes" },
    ["a long text"] = { "{name: i}", { i = big }, "can't be longer than 100000, found 100001 bytes" },
    ["a regex that takes too long"] = { "{name: i, regex: '^(a+)+$'}", { i = ("a"):rep(60) .. "b" }, "match budget" },
    ["a null in a list with a regex"] = { "{name: i, collection: true, regex: '^$'}", { i = { null } }, "regex" },
  } do
    it("refuses " .. name, function()
      local values, problem = inputs.check(spec_of("- " .. case[1]), case[2])
      assert.is_nil(values)
      assert.equal("input", problem.kind)
      assert.equal(1, #problem.errors)
      assert.matches(case[3], problem.message, 1, true)
    end)
  end

  it("accepts quotes that a regex or the legal values allow", function()
    assert.same({ a = '"', b = '"' }, inputs.check(spec_of [=[
- {name: a, regex: '"'}
- {name: b, legal_values: ['"']}
]=], { a = '"', b = '"' }))
  end)

  it("compares numbers by value, and matches them as text", function()
    local spec = spec_of "- {name: a, type: number, legal_values: [1, 2.5]}\n- {name: b, type: number, regex: '^[0-9]+$'}\n"
    assert.same({ a = 1.0, b = 3.0 }, inputs.check(spec, { a = 1.0, b = 3.0 }))
    assert.is_nil(inputs.check(spec, { a = 1, b = 3.5 }))
  end)

  it("does not show passwords", function()
    local spec = spec_of "- {name: p, type: password, regex: '^[a-z]+$'}\n- {name: q, type: password, collection: true}\n"
    local _, problem = inputs.check(spec, { p = "S3CRET", q = "HIDDEN" })
    assert.equal(2, #problem.errors)
    assert.is_nil(problem.message:find "S3CRET")
    assert.is_nil(problem.message:find "HIDDEN")
  end)

  it("reports all inputs at once", function()
    local _, problem = inputs.check(spec_of "[{name: a}, {name: b, type: bool}, {name: c}]", { b = 1, c = "x" })
    assert.equal("the inputs are refused: 2 errors\n  a: Missing input 'a'\n  b: Invalid value 'b': expected a boolean, found 1",
      tostring(problem))
  end)

  it("wants an object", function()
    local _, problem = inputs.check({}, "x")
    assert.matches("inputs are given as an object, found \"x\"", problem.message, 1, true)
  end)
end)
