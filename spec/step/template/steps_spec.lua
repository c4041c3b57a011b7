local json = require "step.json"
local render = require("spec.support.render").render

describe("a step's missing results", function()
  local v = { step = { a = { output = json.null }, b = { output = { x = 1 } } } }

  it("print as empty values, however they are reached", function()
    assert.equal("map[] map[] [] |", render("{{.step.a.output}} {{.step.a.metadata}} {{.step.a.children}} {{.step.a.error}}|", v))
    assert.equal("map[]", render('{{index .step "a" "metadata"}}', v))
    assert.equal("map[]", render("{{with .step.a}}{{.metadata}}{{end}}", v))
    assert.equal("a[]b[]", render("{{range $k, $s := .step}}{{$k}}{{$s.children}}{{end}}", v))
    assert.equal("map[]", render('{{define "t"}}{{.step.a.metadata}}{{end}}{{template "t" .}}', v))
    assert.equal("0", render("{{len $.step.b.children}}", v))
  end)

  it("do not make unknown steps or fields exist", function()
    assert.equal("<no value> <no value>", render("{{.step.zz.output}} {{.step.a.other}}", v))
  end)

  it("are not changed by a template", function()
    assert.equal("map[k:1] map[]", render('{{$_ := set .step.a.output "k" 1}}{{$_}} {{.step.b.metadata}}', v))
    assert.equal("map[]", render("{{.step.a.output}}", v))
  end)
end)
