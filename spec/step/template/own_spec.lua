local json = require "step.json"
local render = require("spec.support.render").render
local check = require("spec.support.render").check

local function values(fields)
  local v = {
    input = { name = "Ada", obj = { sub = { deep = "down" } }, list = json.array { 1 } }, step = { a = { output = { q = "dash" } } },
    eval_cache = {},
  }
  for k, x in pairs(fields or {}) do v[k] = x end
  return v
end

describe("field and fieldFrom", function()
  it("walk by name", function()
    check({
      { '{{field "input" "name"}} {{field "input" "obj" "sub" "deep"}} {{field "step" "a" "output" "q"}} {{field "step" "a" "metadata"}}',
        "Ada down dash map[]" },
      { '{{field "nope"}} {{field "input" "name" "x"}} {{if field "input" "x"}}y{{else}}n{{end}}', "<no value> <no value> n" },
      { '{{fieldFrom "sub" "deep" .input.obj}} {{fieldFrom "zz" "y" .input.obj}}', "down <no value>" },
      { '{{fieldFrom "a" .input.list}}', error = "expects a map" },
      { '{{fieldFrom "a"}}', error = "at least one key" },
      { '{{fieldFrom 1 .input.obj}}', error = "type string" },
    }, values())
  end)
end)

describe("eval", function()
  local variables = {
    { name = "plain", value = "text" }, { name = "tpl", value = "<{{.input.name}}>" }, { name = "num", value = 7 },
    { name = "nest", value = '[{{eval "tpl"}}]' }, { name = "loop", value = '{{eval "loop"}}' }, { name = "js", expression = "1 + 1" },
    { name = "bad", value = "{{.input.name.x}}" },
  }

  it("gives a variable: a text is rendered, anything else taken as it is", function()
    check({
      { '{{eval "plain"}} {{eval "tpl"}} {{eval "num"}} {{eval "nest"}} {{typeOf (eval "num")}}', "text <Ada> 7 [<Ada>] json.Number" },
      { '{{eval "unknown"}}', error = "Var name not found in template: 'unknown'" },
      { '{{eval "loop"}}', error = "eval is nested more than" },
      { '{{eval "bad"}}', error = "can't evaluate field x" }, { '{{eval "js"}}', error = "nothing here evaluates expressions" },
    }, values { variables = variables })
  end)

  it("leaves expressions to the hook", function()
    local v = values { variables = variables, eval_variable = function(name, variable) return name .. ": " .. variable.expression end }
    assert.equal("js: 1 + 1", render('{{eval "js"}}', v))
    v.eval_variable = function() return nil, "no engine" end
    assert.matches("no engine", select(2, render('{{eval "js"}}', v)))
  end)

  it("is remembered for the run by evalCache", function()
    local calls = 0
    local v = values { variables = variables, eval_variable = function() calls = calls + 1 return calls end }
    assert.equal("1 1 2", render('{{evalCache "js"}} {{evalCache "js"}} {{eval "js"}}', v))
    assert.equal("1", render('{{evalCache "js"}}', v))
    assert.matches("Var name not found", select(2, render('{{evalCache "zz"}}', v)))
  end)
end)

describe("iterator", function()
  it("is null outside of a foreach, and null has no fields (S5.3)", function()
    check({
      { '{{.iterator}} {{printf "%v" .iterator}} {{default "d" .iterator}} {{field "iterator" "x"}} {{.zz.x}}',
        "<no value> <nil> d <no value> <no value>" },
      { "{{if .iterator}}y{{else}}n{{end}}", "n" },
      { "{{.iterator.x}}", error = "nil pointer evaluating interface {}.x" },
      { "{{$.iterator.x.y}}", error = "nil pointer evaluating interface {}.x" },
      { "{{with .input}}{{.iterator.x}}{{end}}", "<no value>" },
    }, values {})
    assert.equal("1", render("{{.iterator.x}}", values { iterator = { x = 1 } }))
  end)
  it("like function_args, which are empty outside of a function, is always there (S7.3)", function()
    assert.equal("map[] 0 <no value>", render('{{.function_args}} {{len .function_args}} {{.function_args.x}}', values {}))
    assert.equal("map[x:1] map[x:1]", render('{{set .function_args "x" 1}} {{.function_args}}', values {}))
    assert.equal("map[]", render("{{.function_args}}", values {}))
  end)
end)

describe("encodings and identifiers", function()
  it("are there", function()
    check { { '{{b64RawEnc "a"}} {{b64RawDec "YQ"}} {{b64RawDec "***"}}', "YQ a illegal base64 data at input byte 0" } }
    assert.matches("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$", render "{{uuid}}")
  end)
end)

describe("fromJson", function()
  it("gives float64 and nothing for what is no JSON", function()
    check {
      { [[{{fromJson "{\"a\":[1,2.5,null]}"}} {{fromJson "bad"}} {{fromJson "null"}} {{fromJson "12345678"}} {{typeOf (fromJson "1")}}]],
        "map[a:[1 2.5 <nil>]] <no value> <no value> 1.2345678e+07 float64" },
      { '{{mustFromJson "bad"}}', error = "error calling mustFromJson" },
    }
  end)
end)
