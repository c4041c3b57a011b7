local json = require "step.json"
local state = require "step.template.state"
local template = require "step.template"
local render = require("spec.support.render").render

local function values()
  return {
    input = { name = "Ada", n = 42, f = 2.5, flag = true, nul = json.null, list = json.array { "a", "b" }, obj = { k = "v" } },
    step = { first = { output = { id = "i1", n = 7, deep = { x = "y" } }, state = "DONE" }, empty = {} },
  }
end

describe("template.compile", function()
  it("gives a function from values to text", function()
    local fn = assert(template.compile "Hello {{.input.name}}!")
    assert.equal("Hello Ada!", fn(values()))
  end)

  it("gives nil and a message with line and column for what is no template", function()
    local fn, message = template.compile "line\n{{.input.name"
    assert.is_nil(fn)
    assert.equal("template: 2:14: unclosed action", message)
  end)

  it("raises a text that says where and why when executing fails", function()
    local fn = assert(template.compile "a {{.input.name.x}}")
    local ok, message = pcall(fn, values())
    assert.is_false(ok)
    assert.equal("template: 1:5: executing at <.input.name.x>: can't evaluate field x in type string", message)
  end)

  it("keeps a compiled template by its text", function()
    assert.equal(template.compile "{{.input.kept}}", template.compile "{{.input.kept}}")
  end)

  it("forgets the oldest templates when the cache is full", function()
    local size = template.cache_size
    template.cache_size = 10
    finally(function() template.cache_size = size end)
    local first = template.compile "{{.input.forgotten}}"
    for i = 1, 30 do template.compile(("{{.input.x%d}}"):format(i)) end
    assert.not_equal(first, template.compile "{{.input.forgotten}}")
  end)

  it("does not mind what kind of indexable object the values are", function()
    local proxy = setmetatable({}, { __index = values(), __pairs = function() return pairs(values()) end })
    assert.equal("Ada 42 i1", render("{{.input.name}} {{.input.n}} {{.step.first.output.id}}", proxy))
    assert.equal("ADA", render("{{.input.name | upper}}", proxy))
  end)

  it("makes text that is UTF-8 even where a function cut a rune", function()
    assert.equal("h\u{FFFD}", render('{{substr 0 2 "héllo"}}'))
  end)
end)

describe("a text of plain paths", function()
  -- these go the short way; the general way must say the same
  for _, path in ipairs {
    ".input.name", ".input.n", ".input.f", ".input.flag", ".input.nul", ".input.list", ".input.obj", ".input.missing", ".missing.x",
    ".missing",
    ".step.first.output.id", ".step.first.output.n", ".step.first.output.deep.x", ".step.first.output", ".step.first.metadata",
    ".step.first.metadata.x", ".step.first.children", ".step.first.error", ".step.first.state", ".step.empty.output.id",
    ".step.none.output.id",
    ".step.first.state.x", ".input.name.len", ".input.n.x", ".input.flag.x", ".input.list.x", ".input.nul.x", ".step", ".input",
  } do
    it(("%s is the same in the short and the general way"):format(path), function()
      local short, short_error = render("{{" .. path .. "}}", values())
      local general, general_error = render("{{" .. path .. " | printf \"%v\"}}", values())
      if short == "<no value>" then general = general == "<nil>" and "<no value>" or general end
      assert.equal(general, short)
      assert.equal(general_error == nil, short_error == nil)
      assert.equal(short and "<" .. short .. ">", (render("<{{" .. path .. "}}>", values())))
      assert.equal(short and short .. "/Ada", (render("{{" .. path .. "}}/{{.input.name}}", values())))
    end)
  end
end)

describe("template.is_constant", function()
  it("is true without a delimiter", function()
    assert.is_true(template.is_constant "no action }}")
    assert.is_false(template.is_constant "{{1}}")
  end)
end)

describe("strict templates", function()
  local function strict(text)
    local fn = assert(template.compile(text, { strict = true }))
    return pcall(fn, values())
  end

  it("refuse a missing field and name it", function()
    local ok, message = strict "{{.input.nope}}"
    assert.is_false(ok)
    assert.matches('map has no entry for key "nope"', message, 1, true)
    assert.is_false((strict "{{.step.none.output.id}}"))
    assert.is_false((strict "{{if .input.nope}}{{end}}"))
  end)

  it("leave what is there as it is", function()
    assert.same({ true, "Ada <no value> i1" }, { strict "{{.input.name}} {{.input.nul}} {{.step.first.output.id}}" })
  end)
end)

describe("a template's budget", function()
  local function fails(text, part)
    local output, message = render(text, values())
    assert.is_nil(output)
    assert.matches(part, message, 1, true)
  end

  it("bounds iterations and calls", function()
    fails("{{range 9223372036854775807}}{{end}}", "more than 1000000 operations")
    fails("{{range until 1000}}{{range until 1000}}{{print}}{{end}}{{end}}", "more than 1000000 operations")
  end)

  it("bounds the output", function()
    fails("{{range 300}}{{repeat 100000 \"a\"}}{{end}}", "larger than 16777216 bytes")
  end)

  it("bounds intermediate texts and lists", function()
    fails('{{repeat 1000000000 "abc"}}', "more than 16777216 bytes")
    fails('{{$x := "aaaaaaaa"}}{{range until 40}}{{$x = print $x $x}}{{end}}', "executing at")
    fails("{{$x := list 1}}{{range until 40}}{{$x = concat $x $x}}{{end}}", "more than 1000000 operations")
    fails('{{indent 1000000 (repeat 1000 "\\n")}}', "bytes")
    fails('{{until 100000000}}', "more than 1000000 operations")
  end)

  it("bounds recursion", function()
    fails('{{define "r"}}{{template "r"}}{{end}}{{template "r"}}', "exceeded maximum template depth")
    fails(("{{if true}}"):rep(5000) .. ("{{end}}"):rep(5000), "nested too deeply")
    fails("{{" .. ("("):rep(5000) .. "1" .. (")"):rep(5000) .. "}}", "nested too deeply")
    fails('{{$d := dict}}{{$_ := set $d "d" $d}}{{$d}}', "nested too deeply")
    fails('{{$d := dict}}{{$_ := set $d "d" $d}}{{toJson $d}}', "nested too deeply")
  end)

  it("bounds the work of regular expressions", function()
    fails('{{regexMatch "(a+)+$" (print (repeat 40 "a") "b")}}', "exceeds its match budget")
    fails('{{regexReplaceAll "" (repeat 1000000 "a") "b"}}', "more than 1000000 operations")
  end)

  it("is that of the whole rendering, eval included", function()
    local v = values()
    v.variables = { { name = "work", value = "{{range until 200000}}{{end}}" } }
    local output, message = render('{{range 5}}{{eval "work"}}{{end}}', v)
    assert.is_nil(output)
    assert.matches("operations", message)
  end)

  it("can be set", function()
    local steps = state.limits.steps
    state.limits.steps = 10
    finally(function() state.limits.steps = steps end)
    fails("{{range 11}}x{{end}}", "more than 10 operations")
  end)

  it("is not needed for long plain texts", function()
    local text = ("x}}\n"):rep(1000000)
    assert.equal(text, render(text))
  end)
end)

describe("odd input", function()
  it("never raises anything but a message", function()
    for _, text in ipairs {
      ("{{"):rep(100000), "{{" .. (" "):rep(100000), '{{"' .. ("\\"):rep(100000), "{{`" .. ("x"):rep(100000),
      "{{/*" .. ("x"):rep(100000),
      "{{" .. ("1"):rep(100000) .. "}}", "{{\0}}", "{{\xff}}", "{{$}}{{$$}}", "{{.}}{{..}}", "{{(}}", "{{)}}", "{{|}}", "{{:=}}", "{{,}}",
      "{{if}}", "{{range}}", "{{with}}", "{{end}}", "{{else}}", "{{define}}", "{{template}}", "{{block}}", "{{nil}}", "{{break}}",
      "{{-}}",
      "{{- -}}", "{{/*}}", "{{/* */ x}}", "{{$x := }}", "{{1 := 2}}", "{{'}}", "{{''}}", "{{0x}}", "{{1e}}",
      "{{\"\\q\"}}", "{{\"\\ud800\"}}",
    } do
      local fn, message = template.compile(text)
      if fn then
        local ok, output = pcall(fn, {})
        if not ok then assert.matches("^template: ", output) end
      else
        assert.matches("^template: %d+:%d+: ", message)
      end
    end
  end)

  it("says what is wrong where a step is no object, on the short way too", function()
    local null = require "step.json".null
    for _, path in ipairs { "{{.step.a.b}}", "{{.step.a.b.c}}" } do
      local rendered = assert(template.compile(path))
      for _, steps in ipairs { 5, { a = 5 }, true, { a = true }, null, { a = null } } do
        local ok, text = pcall(rendered, { step = steps })
        assert.is_nil(tostring(text):find("attempt to index", 1, true))
        assert.is_true(not ok or text == "<no value>")
      end
    end
  end)
end)
