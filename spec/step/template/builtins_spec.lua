local json = require "step.json"
local check = require("spec.support.render").check

local values = {
  n = 42, f = 2.5, s = "abc", nul = json.null, list = json.array { 1, "a", json.null }, map = { k = "v", n = 1, nul = json.null },
}

describe("index and slice", function()
  it("go into lists, maps and texts", function()
    check({
      { '{{index .list 1}} {{index .map "k"}} {{index .s 1}} {{index .map "zz"}} {{index .map "nul"}} {{index .list 2}}',
        "a v 98 <no value> <no value> <no value>" },
      { '{{index (dict "a" (list 1 2)) "a" 1}} {{index .list}}', "2 [1 a <nil>]" }, { '{{printf "%T" (index .s 0)}}', "uint8" },
      { '{{index (split "," "a,b") "_9"}}|', "|" },
    }, values)
  end)

  it("refuse what is out of range or of the wrong type", function()
    check({
      { "{{index .list 3}}", error = "index out of range: 3" }, { "{{index .list -1}}", error = "index out of range: -1" },
      { "{{index .list nil}}", error = "cannot index slice/array with nil" }, { "{{index .list .n}}", error = "with type json.Number" },
      { "{{index .map 1}}", error = "value has type int; should be string" }, { "{{index nil 1}}", error = "index of untyped nil" },
      { "{{index .missing 0}}", error = "index of untyped nil" }, { "{{index 1 0}}", error = "can't index item of type int" },
    }, values)
  end)
end)

describe("len, not, call", function()
  it("follow Go's kinds", function()
    check({
      { '{{len .list}} {{len .map}} {{len "é"}} {{len .n}} {{len (dict)}}', "3 3 2 2 0" },
      { "{{not 0}} {{not .n}} {{not .missing}}", "true false true" },
      { "{{len 3}}", error = "len of type int" }, { "{{len nil}}", error = "len of nil" }, { "{{call .s}}", error = "non-function" },
      { "{{call nil}}", error = "call of nil" },
    }, values)
  end)
end)

describe("comparison", function()
  it("compares by kind, a json.Number being a text", function()
    check({
      { '{{eq 1 2 1}} {{eq "a" "b"}} {{ne 1 2}} {{eq 1.5 1.5}} {{eq true true}} {{eq 1i 1i}}', "true false true true true true" },
      { '{{eq .n "42"}} {{eq .n .n}} {{lt .n "5"}} {{eq (int .n) 42}}', "true true true true" },
      { "{{eq (index .s 0) 97}} {{lt (index .s 0) 98}}", "true true" },
      { '{{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 3 2}} {{lt "a" "b"}} {{lt 1.0 2.0}}', "true true false true true true" },
      { '{{eq .missing "x"}} {{ne .missing "x"}} {{eq .nul nil}} {{eq .missing .nul}} {{eq .list nil}}', "false true true true false" },
    }, values)
  end)

  it("refuses what cannot be compared", function()
    check({
      { "{{eq .n 42}}", error = "incompatible types for comparison" }, { "{{eq 1 1.0}}", error = "incompatible types" },
      { "{{lt 1 2.5}}", error = "incompatible types" },
      { "{{lt true false}}", error = "invalid type for comparison" },
      { "{{lt nil 1}}", error = "invalid type" },
      { "{{eq .list .list}}", error = "non-comparable type []interface {}" }, { "{{eq .map .list}}", error = "non-comparable types" },
      { "{{eq 1}}", error = "missing argument for comparison" }, { "{{lt 1i 2i}}", error = "invalid type for comparison" },
    }, values)
  end)
end)

describe("html, js, urlquery", function()
  it("escape", function()
    check({
      { [[{{html "<a href='x'>&\""}}]], "&lt;a href=&#39;x&#39;&gt;&amp;&#34;" }, { "{{html nil}} {{html .n 1}}", "&lt;no value&gt; 421" },
      { [[{{js "a'b\"<>&=\\\n\u2028é"}}]], [[a\'b\"\u003C\u003E\u0026\u003D\\\u000A\u2028é]] },
      { '{{urlquery "a b/c?d=é~" }}', "a+b%2Fc%3Fd%3D%C3%A9~" },
    }, values)
  end)
end)
