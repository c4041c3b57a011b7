-- The language itself: actions, pipelines, variables, control, templates.

local json = require "step.json"
local check = require("spec.support.render").check

local values = {
  name = "Ada", n = 3, nul = json.null, off = false, empty = "", list = json.array { "x", json.null, "z" }, none = json.array {},
  map = { b = 2, a = 1, deep = { x = "y" } },
}

describe("text and delimiters", function()
  it("trims where asked to", function()
    check {
      { "a  {{- 1 -}}  b", "a1b" }, { "a {{-3}} b", "a -3 b" }, { "a {{- -3}} b", "a-3 b" }, { "a{{1 -}}\n\t b", "a1b" },
      { "a {{- /* c */ -}} b", "ab" }, { "{{/* }} */}}x", "x" }, { "}}{{\"{{\"}}", "}}{{" }, { "{{\n1\n}}", "1" },
    }
  end)

  it("refuses what is not closed", function()
    check {
      { "{{", error = "unclosed action" }, { "{{/* x", error = "unclosed comment" }, { "{{/* x */ 1}}", error = "comment ends before" },
      { "{{(1}}", error = "unclosed left paren" }, { "{{1)}}", error = "unexpected" }, { '{{"a}}', error = "unterminated quoted string" },
      { "{{`a}}", error = "unterminated raw quoted string" }, { "{{'a}}", error = "unterminated character constant" },
      { "{{\n\n", error = "unclosed action started at line 1" }, { "{{if true}}", error = "unexpected EOF" },
    }
  end)
end)

describe("constants", function()
  it("have Go's types and spellings", function()
    check {
      { "{{1_000}} {{0x1F}} {{0o17}} {{017}} {{0b11}} {{1e3}} {{.5}} {{0x1p4}} {{+3}} {{-3}}", "1000 31 15 15 3 1000 0.5 16 3 -3" },
      { "{{'a'}} {{'\\n'}} {{'é'}}", "97 10 233" }, { "{{true}} {{false}}", "true false" }, { "{{1i}} {{1+2i}}", "(0+1i) (1+2i)" },
      { [[{{"\u00e9\x41\101\t"}}{{`\n`}}]], "éAA\t\\n" },
      { '{{printf "%T %T %T %T" 1 1.0 \'a\' 1i}}', "int float64 int complex128" },
    }
  end)

  it("are refused when they are none", function()
    check {
      { "{{1__0}}", error = "illegal number syntax" },
      { "{{99999999999999999999}}", error = "integer overflow" },
      { "{{1x}}", error = "bad number" },
      { "{{18446744073709551615}}", error = "overflows int" }, { "{{''}}", error = "malformed character constant" },
      { '{{"\\q"}}', error = "invalid syntax" },
      { "{{1.E}}", error = "illegal number syntax" },
      { "{{nil}}", error = "nil is not a command" },
    }
  end)
end)

describe("fields", function()
  it("of maps are entries, missing ones no value", function()
    check({
      { "{{.name}} {{.map.deep.x}} {{.missing}} {{.missing.deeper}}", "Ada y <no value> <no value>" }, { "{{.nul}}", "<no value>" },
      { "{{(.map).deep.x}} {{$.name}}", "y Ada" },
    }, values)
  end)

  it("of anything else are errors", function()
    check({
      { "{{.name.x}}", error = "can't evaluate field x in type string" }, { "{{.n.x}}", error = "in type json.Number" },
      { "{{.list.x}}", error = "in type []interface {}" }, { "{{.nul.x}}", error = "nil pointer evaluating interface {}.x" },
      { "{{(1).x}}", error = "in type int" },
      { '{{"a".x}}', error = "unexpected . after term" },
      { "{{.name 1}}", error = "is not a method but has arguments" },
      { "{{(nil).x}}", error = "nil is not a command" }, { "{{.name..x}}", error = "unexpected" },
    }, values)
  end)
end)

describe("pipelines", function()
  it("pass the value on as the last argument", function()
    check {
      { '{{"a" | printf "%s-%s" "b"}}', "b-a" }, { '{{1 | print | len}}', "1" }, { '{{"x" | }}', "x" },
      { '{{1 | 2}}', error = "non executable command in pipeline stage 2" }, { "{{1 2}}", error = "can't give argument to non-function 1" },
      { "{{}}", error = "missing value for command" }, { "{{foo}}", error = 'function "foo" not defined' },
      { '{{upper}}', error = "wrong number of args for upper: want 1 got 0" }, { '{{index}}', error = "want at least 1 got 0" },
    }
  end)

  it("check the types of arguments as Go does", function()
    check({
      { "{{upper .n}}", error = "wrong type for value; expected string; got json.Number" },
      { "{{upper .missing}}", error = "invalid value; expected string" }, { "{{upper nil}}", error = "cannot assign nil to string" },
      { "{{upper 1}}", error = "expected string; found 1" }, { '{{until "a"}}', error = 'expected integer; found "a"' },
      { "{{until (add 1 2)}}", error = "expected int; got int64" }, { "{{until 1.5}}", error = "expected integer; found 1.5" },
      { "{{until 2.0}} {{until 1e0}}", "[0 1] [0]" }, { "{{until (int .n)}}", "[0 1 2]" },
      { "{{ternary 1 2 3}}", error = "expected bool; found 3" }, { '{{get "a" "b"}}', error = "map[string]interface {}" },
    }, values)
  end)
end)

describe("variables", function()
  it("are seen until the end of their block", function()
    check({
      { "{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}", "12" }, { "{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21" },
      { "{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2" },
      { "{{with $x := 1}}{{$x}}{{end}}{{$x}}", error = 'undefined variable "$x"' },
      { "{{$x := 1}}{{with $x := add $x 5}}{{$x}}{{end}}{{$x}}", "61" }, { "{{$x := .map}}{{$x.deep.x}}", "y" },
      { "{{$x}}", error = "undefined variable" }, { "{{$x = 1}}", error = "undefined variable: $x" },
      { "{{$x, $y := 1}}", error = "too many declarations in command" }, { "{{if $x := .name}}{{$x}}{{end}}", "Ada" },
      { "{{($y := 1)}}{{$y}}", "11" },
    }, values)
  end)
end)

describe("if and with", function()
  it("choose by truth", function()
    check({
      { "{{if .name}}t{{else}}f{{end}}{{if .empty}}t{{else}}f{{end}}{{if .none}}t{{else}}f{{end}}{{if .missing}}t{{else}}f{{end}}",
        "tfff" },
      { "{{if .n}}t{{end}}{{if 0}}x{{else if 1}}e{{else}}f{{end}}{{if .off}}{{else}}o{{end}}", "teo" },
      { "{{with .map.deep}}{{.x}}{{$.name}}{{end}}{{with .empty}}x{{else}}{{.name}}{{end}}", "yAdaAda" },
      { "{{with 0}}a{{else with 1}}b{{.}}{{else}}c{{end}}", "b1" }, { "{{if true}}{{else}}{{else}}{{end}}", error = "expected end" },
      { "{{else}}", error = "unexpected {{else}}" },
      { "{{end}}", error = "unexpected {{end}}" },
      { "{{if}}{{end}}", error = "missing value for if" },
      { "{{range .list}}{{else if true}}{{end}}", error = "unexpected <if>" },
    }, values)
  end)
end)

describe("range", function()
  it("walks lists, sorted maps, integers and nothing", function()
    check({
      { "{{range .list}}[{{.}}]{{end}}", "[x][<no value>][z]" }, { "{{range $i, $e := .list}}{{$i}}{{$e}};{{end}}", "0x;1<no value>;2z;" },
      { "{{range $k, $v := .map}}{{$k}}={{$v}};{{end}}", "a=1;b=2;deep=map[x:y];" }, { "{{range .none}}x{{else}}none{{end}}", "none" },
      { "{{range 3}}{{.}}{{end}}{{range $i := 2}}{{$i}}{{end}}{{range 0}}x{{else}}z{{end}}", "01201z" },
      { "{{range .missing}}x{{else}}m{{end}}", "m" },
      { "{{$k := 0}}{{$v := 0}}{{range $k, $v = .list}}{{end}}{{$k}}{{$v}}", "2z" },
    }, values)
  end)

  it("stops and goes on", function()
    check({
      { "{{range until 5}}{{if eq . 3}}{{break}}{{end}}{{if eq . 1}}{{continue}}{{end}}{{.}}{{end}}", "02" },
      { "{{range until 2}}{{range until 3}}{{if eq . 1}}{{break}}{{end}}{{.}}{{end}};{{end}}", "0;0;" },
      { "{{break}}", error = "{{break}} outside {{range}}" }, { "{{range 1}}{{else}}{{continue}}{{end}}", error = "outside {{range}}" },
      { '{{range 1}}{{define "x"}}{{break}}{{end}}{{end}}', error = "unexpected <define>" },
      { "{{range 1}}{{break 1}}{{end}}", error = "in {{break}}" },
    }, values)
  end)

  it("refuses what cannot be walked", function()
    check({
      { "{{range .name}}{{end}}", error = "range can't iterate over Ada" }, { "{{range .n}}{{end}}", error = "range can't iterate over 3" },
      { "{{range true}}{{end}}", error = "range can't iterate" }, { "{{range $i, $e := 3}}{{end}}", error = "more than one variable" },
      { "{{range $a, 1 := .list}}{{end}}", error = "range can only initialize variables" },
      { "{{range $a, $b, $c := .list}}{{end}}", error = "too many declarations in range" },
      { "{{range .list}}{{.x}}{{end}}", error = "can't evaluate field x" },
    }, values)
  end)
end)

describe("templates in templates", function()
  it("are defined anywhere and called with a dot of their own", function()
    check({
      { '{{template "a" .name}}{{define "a"}}<{{.}}{{$}}>{{end}}', "<AdaAda>" },
      { '{{define "a"}}{{.}}{{end}}{{template "a"}}', "<no value>" },
      { '{{block "b" .map}}{{.a}}{{end}}{{template "b" .map}}', "11" },
      { '{{define "e"}} {{end}}{{define "e"}}x{{end}}{{template "e"}}', "x" },
      { '{{define "f"}}{{if gt (int .) 0}}{{.}}{{template "f" (sub . 1)}}{{end}}{{end}}{{template "f" 3}}', "321" },
      { '{{template "nope"}}', error = 'template "nope" not defined' }, { "{{template $x}}", error = "unexpected" },
      { '{{define "d"}}a{{end}}{{define "d"}}b{{end}}', error = "multiple definition of template" },
      { '{{$x := 1}}{{define "g"}}{{$x}}{{end}}', error = "undefined variable" }, { '{{define "h"}}', error = "unexpected EOF" },
    }, values)
  end)
end)

describe("and, or", function()
  it("stop at the first argument that decides", function()
    check {
      { '{{and 1 0 (fail "x")}} {{or 0 "" "x" (fail "y")}} {{and 1 2}} {{or 0 ""}}|', "0 x 2 |" }, { "{{1 | and 2}} {{0 | or 0}}", "1 0" },
      { "{{and}}", error = "want at least 1 got 0" }, { '{{and (fail "x") 0}}', error = "error calling fail: x" },
    }
  end)
end)
