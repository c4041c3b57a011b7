-- step.variables: what eval and evalCache give, in Lua and in JavaScript.

local json = require "step.json"
local step = require "step"
local temp = require "spec.support.temp"
local variables = require "step.variables"

require "step.run" -- gives definitions their `start`

local HAVE_DUK = os.execute "command -v duk >/dev/null 2>&1"

--- Runs one echo step with a text; its output.
local function render(list, text, options)
  local document = {
    name = "x", variables = list, inputs = { { name = "n", type = "number", optional = true } },
    steps = { { name = "a", action = { type = "echo", configuration = { output = text } } } },
  }
  for key, value in pairs(options or {}) do document[key] = value end
  local def, err = require("step.definition").define(document, { lua = true })
  if not def then return nil, tostring(err) end
  local run = assert(def:start { input = { n = 20 } })
  run:resolve()
  local output, problem = run.steps.a.output, run.steps.a.error
  run:close()
  return output, problem
end

--- A command that stands for Duktape's: a shell script.
local function fake(script)
  variables.command = temp.file("#!/bin/sh\n" .. script .. "\n")
  os.execute("chmod +x " .. variables.command)
end

describe("variables", function()
  after_each(function()
    variables.command = "duk"
    temp.clean()
  end)

  it("in Lua: expressions, statements, any JSON data", function()
    local list = {
      { name = "sum", expression = "lua: v.input.n + 1" }, { name = "block", expression = " lua: local x = v.input.n * 2 return x" },
      { name = "list", expression = "lua: { 'p', 'q' }" }, { name = "text", expression = "lua: ('%d'):format(7) .. string.rep('z', 2)" },
      { name = "none", expression = "lua: nil" }, { name = "fn", expression = function(v) return v.input.n / 8 end },
      { name = "value", value = function(v) return v.step.this.state end },
    }
    assert.equal("21 40 [p q] 7zz", (render(list, '{{eval "sum"}} {{eval "block"}} {{eval "list"}} {{eval "text"}}')))
    assert.equal("<no value> 2.5 RUNNING", (render(list, '{{eval "none"}} {{eval "fn"}} {{eval "value"}}')))
  end)

  it("in Lua do not reach the system, and cannot change the program's libraries", function()
    for _, name in ipairs { "io", "os", "require", "load", "loadfile", "dofile", "debug", "package", "_G", "getmetatable", "setmetatable",
      "rawset", "collectgarbage", "coroutine", "print", "string.dump and io" } do
      local output = render({ { name = "x", expression = "lua: tostring(" .. name .. ")" } }, '{{eval "x"}}')
      assert.equal("nil", output, name)
    end
    render({ { name = "x", expression = "lua: string.rep = nil return 1" } }, '{{eval "x"}}')
    assert.equal("function", type(string.rep))
  end)

  it("fail their step in words that name them", function()
    local function problem(expression) return select(2, render({ { name = "x", expression = expression } }, '{{eval "x"}}')) end
    assert.matches("variable 'x': expression:1: attempt to perform arithmetic on a nil value", problem "lua: v.input.zz + 1")
    assert.matches("variable 'x' gives no JSON data: ", problem "lua: string.rep")
    assert.matches("variable 'x': boom", problem(function() error("boom", 0) end))
  end)

  it("are evaluated once for a run by evalCache (D4)", function()
    local calls = 0
    local list = { { name = "n", expression = function() calls = calls + 1 return calls end } }
    assert.equal("1 1 2", (render(list, '{{evalCache "n"}} {{evalCache "n"}} {{eval "n"}}')))
    assert.equal("3", (render(list, '{{evalCache "n"}}')))
  end)

  it("belong to values that a program makes itself", function()
    local values = step.values()
    values:set_input { n = 4 }
    values:set_variables { { name = "a", value = "<{{.input.n}}>" }, { name = "b", expression = "lua: v.input.n + 1" } }
    assert.equal("<4> 5", values:apply '{{eval "a"}} {{eval "b"}}')
  end)

  it("in Lua are refused in a file unless the caller allows programs", function()
    local text = 'name: x\nvariables:\n- {name: a, expression: "lua: 1"}\n'
      .. 'steps: {s: {action: {type: echo, configuration: {output: \'{{eval "a"}}\'}}}}'
    local _, err = step.load { text = text }
    assert.matches("line 3, column 13: variables%[1%]%.expression: a Lua expression stands here; pass { lua = true }", tostring(err))
    local def = assert(step.load({ text = text }, { lua = true }))
    local run = def:start()
    run:resolve()
    assert.equal("1", run.steps.s.output)
    local exported = run:export()
    run:close()
    assert.matches("the variable 'a' of the exported run holds Lua functions", tostring(select(2, step.restore(exported))))
    assert(step.restore(exported, def)):close()
  end)

  it("in JavaScript are refused with what to install", function()
    variables.command = "no-such-command"
    local _, err = render({ { name = "x", expression = "1 + 1" } }, "")
    assert.matches("an expression in JavaScript needs the command 'no%-such%-command', which is not installed", err)
    assert.matches("%(Debian: apt%-get install duktape%)", err)
    assert.matches("is not installed", select(2, variables.javascript "1"))
  end)

  it("in JavaScript are killed at their expression_timeout", function()
    fake "exec sleep 5"
    local _, problem = render({ { name = "x", expression = "1", expression_timeout = "30ms" } }, '{{eval "x"}}')
    assert.matches("variable 'x': the expression was killed after its expression_timeout of 0.03 s", problem)
  end)

  it("in JavaScript: their template is rendered, the answer is a text", function()
    fake 'printf "%s" "[true, \\"done \\\\u00e9\\"]"; grep -q "20 \\* 2" "$1" || exit 1'
    assert.equal("done é", (render({ { name = "x", expression = "{{.input.n}} * 2" } }, '{{eval "x"}}')))
    fake 'echo "[false, \\"TypeError: x\\"]"'
    assert.matches("variable 'x': TypeError: x", select(2, render({ { name = "x", expression = "x" } }, '{{eval "x"}}')))
    fake "echo broken; exit 1"
    assert.matches('failed: "broken"', select(2, render({ { name = "x", expression = "x" } }, '{{eval "x"}}')))
    fake "head -c 3000 /dev/zero"
    local limit = variables.max_output
    finally(function() variables.max_output = limit end)
    variables.max_output = 1000
    assert.matches("the expression gives more than 1000 bytes", select(2, render({ { name = "x", expression = "x" } }, '{{eval "x"}}')))
  end)

  local real = HAVE_DUK and it or function(name) pending(name .. " (Duktape is not installed)") end

  real("in JavaScript, evaluated by Duktape", function()
    for source, expected in pairs {
      ["1 + 1"] = "2", ["var a = []; for (var i = 0; i < 3; i++) a.push(i); a"] = "0,1,2", ["undefined"] = "undefined",
      ["'h\u{e9} \u{1F600}' + '\\n\\\\'"] = "h\u{e9} \u{1F600}\n\\",
      ["typeof print + typeof require + typeof Duktape"] = "undefinedundefinedundefined",
      ["String.prototype.replace = 1; JSON = 1; 'ok'"] = "ok", ["({a: 1})"] = "[object Object]", ["'%d %s'"] = "%d %s",
    } do
      assert.equal(expected, (variables.javascript(source)), source)
    end
    for source, expected in pairs {
      ["throw new Error('x')"] = "Error: x", ["foo("] = "SyntaxError", ["nobody"] = "ReferenceError", ["while (1);"] = "killed after",
      ["throw {toString: function () { throw 1 }}"] = "an error that has no text",
    } do
      assert.matches(expected, select(2, variables.javascript(source, 0.2)), source)
    end
  end)

  it("that are rendered in a strict definition name what is missing", function()
    local _, problem = render({ { name = "x", value = "{{.input.m.k}}" } }, '{{eval "x"}}',
      { strict = true, inputs = { { name = "m", optional = true } } })
    assert.matches("map has no entry for key \"m\"", problem)
  end)

  it("are JSON data", function()
    assert.equal("[1 2]", (render({ { name = "x", expression = function() return json.array { 1, 2 } end } }, '{{eval "x"}}')))
  end)
end)
