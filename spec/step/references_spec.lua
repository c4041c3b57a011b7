-- step.references: the paths that a template follows, by its parse tree.

local references = require "step.references"

--- "a.b.c" for every path, "?" behind what is asked for.
local function paths(text)
  local list = {}
  for i, reference in ipairs(assert(references.of(text))) do
    list[i] = table.concat(reference.path, ".") .. (reference.guarded and "?" or "")
  end
  return table.concat(list, " ")
end

describe("references", function()
  for text, expected in pairs {
    ["{{.step.a.output.x}} {{ .input.n | upper }}"] = "step.a.output.x input.n",
    ["{{range .step.a.output.l}}{{.x}} {{$.input.k}}{{else}}{{.input.e}}{{end}}"] = "step.a.output.l input.k input.e",
    ["{{with .step.a.output}}{{.y}}{{$.step.b.output}}{{else}}{{.input.z}}{{end}}"] =
      "step.a.output? step.a.output.y? step.b.output input.z",
    ["{{if .step.a.output}}{{.step.a.output.x}}{{end}}{{.step.a.output.x}}"] = "step.a.output? step.a.output.x? step.a.output.x",
    ['{{index .step "a-b" "output" "x"}}'] = "step step.a-b.output.x", ['{{(index .step "c").output.z}}'] = "step step.c step.c.output.z",
    ['{{index .input.l 0 "x"}}'] = "input.l", ['{{get .input.o "k"}}'] = "input.o input.o.k",
    ['{{field "input" "q"}} {{fieldFrom "a" "b" .input.o}}'] = "input.q input.o input.o.a.b",
    ["{{$x := .step.q}}{{$x.output.f}}{{$x = 1}}{{$x.output.g}}"] = "step.q step.q.output.f",
    ["{{range $i, $x := .input.l}}{{$x.y}}{{end}}"] = "input.l", ["{{(.step.e.output).x}}"] = "step.e.output step.e.output.x",
    ['{{eval "v"}} {{evalCache "w"}} {{eval .input.n}}'] = "variables.v variables.w input.n",
    ['{{default 1 .step.h.output.i}} {{.step.h.error | empty}}'] = "step.h.output.i? step.h.error?",
    ['{{define "t"}}{{.foo}}{{$.bar}}{{end}}{{template "t" .step.a}}{{template "t" .step.b}}'] =
      "step.a step.a.foo step.a.bar step.b step.b.foo step.b.bar",
    ['{{block "t" .input}}{{.x}}{{end}}'] = "input input.x",
    ['{{/* .step.c */}}{{"{{.step.d}}"}}{{`.step.e`}}.step.f'] = "", ["{{.input.a}}{{.input.a}}"] = "input.a",
    ["{{printf .input.f (len .input.g)}}"] = "input.f input.g",
  } do
    it("of " .. text, function() assert.equal(expected, paths(text)) end)
  end

  it("end, whatever templates call themselves with", function()
    local text = '{{define "t"}}{{template "t" .x}}{{template "t" .y}}{{end}}{{template "t" .}}'
    assert.is_true(#references.of(text) < 500)
  end)

  it("are none where the text is no template", function()
    local found, message = references.of "{{.a"
    assert.is_nil(found)
    assert.matches("^template: 1:5: ", message)
  end)
end)
