-- step.error: error objects and the reports of validation.

local cjson = require "cjson"
local errors = require "step.error"
local json = require "step.json"

describe("error.new", function()
  it("has kind, message and further fields, and is readable", function()
    local err = errors.new("io", "cannot read", { path = "a.yaml" })
    assert.equal("io", err.kind)
    assert.equal("cannot read", err.message)
    assert.equal("a.yaml", err.path)
    assert.equal("cannot read", tostring(err))
  end)
  it("has all errors in `errors`: itself, when it is the only one", function()
    local err = errors.new("io", "cannot read")
    assert.equal(1, #err.errors)
    assert.equal(err, err.errors[1])
    assert.is_nil(err.code)
    assert.same({ 1, 2 }, errors.new("definition", "both", { errors = { 1, 2 } }).errors)
  end)
  it("is told from other values", function()
    assert.is_true(errors.is(errors.new("io", "x")))
    for _, value in ipairs { "io", 1, {}, setmetatable({}, {}) } do assert.is_false(errors.is(value)) end
    assert.is_false(errors.is(nil))
  end)
  for kind in pairs { bad_request = true, not_assigned = true, not_provisioned = true } do
    it("S4.5: makes the error of a runner: " .. kind, function()
      local err = errors[kind]("why")
      assert.equal(kind, err.kind)
      assert.equal("why", tostring(err))
      assert.is_true(errors.is(err))
    end)
  end
  it("takes what is no text as its text", function()
    assert.equal("42", tostring(errors.bad_request(42)))
    assert.equal("nil", tostring(errors.bad_request(nil)))
    assert.equal("inner", errors.bad_request(errors.new("io", "inner")).message)
  end)
end)

describe("error.show", function()
  for name, case in pairs {
    text = { "plain", '"plain"' },
    quotes = { 'a"b\\c', '"a\\"b\\\\c"' },
    controls = { "a\nb\0c", '"a\\nb\\x00c"' },
    ["a text of 60 bytes in full"] = { ("x"):rep(60), '"' .. ("x"):rep(60) .. '"' },
    ["a longer one shortened"] = { ("x"):rep(61), '"' .. ("x"):rep(57) .. '..."' },
    integer = { 12, "12" },
    boolean = { false, "false" },
    ["null"] = { cjson.null, "null" },
    userdata = { io.stdout, "a userdata" },
    ["an empty table"] = { {}, "an empty table" },
    ["an empty list"] = { json.array(), "an empty list" },
    ["a list that is marked"] = { json.array { 1 }, "a list" },
    ["a list"] = { { 1 }, "a list" },
    ["an object"] = { { a = 1 }, "an object" },
    ["a function"] = { print, "a function" },
  } do
    it("shows " .. name, function() assert.equal(case[2], errors.show(case[1])) end)
  end
  it("shows nil", function() assert.equal("nil", errors.show(nil)) end)
end)

describe("error.show_text", function()
  it("tells how a text is written that YAML reads as something else", function()
    assert.equal('"x"', errors.show_text "x")
    assert.equal("5 (quote it to make it a text)", errors.show_text(5))
    assert.matches("^true %(in YAML yes, no, on", errors.show_text(true))
    assert.equal("an object", errors.show_text { a = 1 })
  end)
end)

describe("error.yaml_hint", function()
  local function exists(name) return name == "true" end
  it("tells of the name that YAML made of a word", function()
    assert.equal(" (there is a 'true': in YAML yes without quotes is true)", errors.yaml_hint("yes", exists))
    assert.equal(" (there is a 'true': in YAML On without quotes is true)", errors.yaml_hint("On", exists))
  end)
  it("says nothing otherwise", function()
    for _, name in ipairs { "no", "true", "other", 5 } do assert.equal("", errors.yaml_hint(name, exists)) end
  end)
end)

describe("error.report", function()
  it("gives no error while nothing was found", function()
    assert.is_nil(errors.report():error("definition", "refused"))
  end)

  it("S8: names the place, what was found, what is accepted and the nearest name", function()
    local report = errors.report "flow.yaml"
    report:add { line = 3, column = 7, step = "a", field = "conditions[1].type", message = "unknown type", found = '"chek"',
      accepted = "skip, check", near = "check" }
    local err = report:error("definition", "the definition is refused")
    assert.equal("definition", err.kind)
    assert.equal(1, #err.errors)
    assert.equal('flow.yaml: line 3, column 7: step "a": conditions[1].type: unknown type, found "chek"; accepted: skip, check' ..
      " (did you mean 'check'?)", tostring(err.errors[1]))
    assert.equal("the definition is refused: 1 error\n  " .. tostring(err.errors[1]), tostring(err))
  end)

  it("S8: holds all findings, in order", function()
    local report = errors.report()
    report:add { message = "one" }
    report:add { file = "b.yaml", field = "name", message = "two" }
    report:add { line = 4, message = "three" }
    local err = report:error("input", "refused")
    assert.equal("refused: 3 errors\n  one\n  b.yaml: name: two\n  line 4: three", err.message)
    assert.equal("input", err.kind)
    assert.equal("two", err.errors[2].message)
  end)

  it("names the first hundred in its text, and how many more there are", function()
    local report = errors.report()
    for i = 1, 250 do report:add { step = "s" .. i, message = "no" } end
    local err = report:error("definition", "refused")
    assert.equal(250, #err.errors)
    assert.matches('^refused: 250 errors\n  step "s1": no\n', tostring(err))
    assert.matches('step "s100": no\n  and 150 more$', tostring(err))
  end)

  it("leaves out what is not there", function()
    local report = errors.report()
    report:add { field = "name", message = "a name is needed", found = errors.show(nil) }
    assert.equal("name: a name is needed", tostring(report.findings[1]))
  end)

  it("shows a long list of what is accepted only where no name is near", function()
    local accepted = ("name, "):rep(40)
    local report = errors.report()
    report:add { message = "unknown", accepted = accepted, near = "name" }
    report:add { message = "unknown", accepted = accepted }
    report:add { message = "unknown", accepted = "name, size", near = "name" }
    assert.equal("unknown (did you mean 'name'?)", tostring(report.findings[1]))
    assert.equal("unknown; accepted: " .. accepted, tostring(report.findings[2]))
    assert.equal("unknown; accepted: name, size (did you mean 'name'?)", tostring(report.findings[3]))
  end)

  it("finds the nearest name by itself", function()
    local report = errors.report()
    report:add { message = "unknown", name = "stpe", candidates = { "name", "steps", "step" } }
    local finding = report.findings[1]
    assert.equal("step", finding.near)
    assert.is_nil(finding.candidates)
    assert.is_nil(finding.name)
  end)
end)
