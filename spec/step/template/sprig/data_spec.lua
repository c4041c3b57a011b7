-- sprig: lists, maps, arithmetic, defaults, types.

local json = require "step.json"
local render = require("spec.support.render").render
local check = require("spec.support.render").check

describe("lists", function()
  it("are made, cut and joined without being changed", function()
    check {
      { '{{list 1 "a" nil}} {{append (list 1) 2}} {{prepend (list 1) 0}} {{concat (list 1) (list 2)}} {{reverse (list 1 2)}}',
        "[1 a <nil>] [1 2] [0 1] [1 2] [2 1]" },
      { "{{$l := list 1 2}}{{$_ := append $l 3}}{{$_ := reverse $l}}{{$l}}", "[1 2]" },
      { "{{first (list 1 2)}} {{last (list 1 2)}} {{rest (list 1 2)}} {{initial (list 1 2)}} {{first (list)}} {{rest (list)}}",
        "1 2 [2] [1] <no value> []" },
      { '{{uniq (list 1 1 "1" nil nil)}} {{without (list 1 2 3) 2}} {{has 1 (list 1)}} {{has 1 nil}} {{compact (list 0 1 "" nil)}}',
        "[1 1 <nil>] [1 3] true false [1]" },
      { "{{slice (list 1 2 3) 1}} {{slice (list 1 2 3) 0 2}} {{slice (list)}} {{chunk 2 (list 1 2 3)}}",
        "[2 3] [1 2] <no value> [[1 2] [3]]" },
      { '{{first "a"}}', error = "Cannot find first on type string" },
      { "{{first nil}}", error = "Cannot find first" },
      { "{{slice (list 1) 0 5}}", error = "out of range" },
      { '{{slice "abc" 1}}', error = "Cannot slice on type string" }, { "{{chunk 0 (list 1)}}", error = "must not be 0" },
    }
  end)
end)

describe("maps", function()
  it("are made, read and merged", function()
    check {
      { '{{dict "b" 1 "a" 2}} {{dict "x"}} {{get (dict "a" 1) "a"}} {{get (dict) "z"}}| {{hasKey (dict "a" nil) "a"}}',
        "map[a:2 b:1] map[x:] 1 | true" },
      { '{{keys (dict "b" 1 "a" 2)}} {{values (dict "b" 1 "a" 2)}} {{pluck "a" (dict "a" 1) (dict) (dict "a" 2)}}', "[a b] [2 1] [1 2]" },
      { '{{pick (dict "a" 1 "b" 2) "a" "z"}} {{omit (dict "a" 1 "b" 2) "a"}} {{$d := dict "a" 1}}{{unset $d "a"}} {{$d}}',
        "map[a:1] map[b:2] map[] map[]" },
      { '{{merge (dict "a" (dict "x" 1)) (dict "a" (dict "x" 2 "y" 3) "b" nil "c" 4)}}', "map[a:map[x:1 y:3] c:4]" },
      { '{{merge (dict "a" dict "b" dict) (dict "a" (dict "x" nil "y" 1) "b" (dict "z" nil))}}', "map[a:map[y:1] b:map[z:<nil>]]" },
      { '{{dig "a" "d" (split "," "x")}}', error = "is not a map" },
      { '{{mergeOverwrite (dict "a" 1 "l" (list 1)) (dict "a" "" "l" (list 2 3))}}', "map[a: l:[2 3]]" },
      { '{{dig "a" "b" "d" (dict "a" (dict "b" 1))}} {{dig "a" "z" "d" (dict "a" (dict))}} {{deepCopy (dict "a" (list 1))}}',
        "1 d map[a:[1]]" },
      { '{{dig "a" "b" "d" (dict "a" 1)}}', error = "is not a map" },
      { '{{dig "a"}}', error = "at least three arguments" },
      { '{{set nil "a" 1}}', error = "nil map" },
      -- a map that is not there is an empty one (S4.3: as sprig)
      { '{{merge .input.zz.y (dict "a" 1)}} {{mergeOverwrite .input.zz.y (dict "a" 1) (dict "a" 2)}} {{unset .input.zz.y "a"}}',
        "map[a:1] map[a:2] map[]" },
    }
  end)

  it("of the data are changed for the rendering only (D3)", function()
    local v = { input = { obj = { k = "v", sub = { n = 1 } }, list = json.array { { id = 1 } } } }
    assert.equal("map[k:v new:5 sub:map[n:1]] 5", render('{{$_ := set .input.obj "new" 5}}{{.input.obj}} {{.input.obj.new}}', v))
    assert.equal("map[k:w sub:map[m:2 n:9]]", render('{{mergeOverwrite .input.obj (dict "k" "w" "sub" (dict "n" 9 "m" 2))}}', v))
    assert.equal("map[k:v sub:map[n:1]]", render("{{.input.obj}}", v))
    assert.equal("map[sub:map[n:1]]", render('{{unset .input.obj "k"}}', v))
    assert.equal("x", render('{{range .input.list}}{{$_ := set . "id" "x"}}{{end}}{{(index .input.list 0).id}}', v))
    assert.same({ obj = { k = "v", sub = { n = 1 } }, list = { { id = 1 } } }, v.input)
  end)
end)

describe("arithmetic", function()
  it("takes anything for an integer", function()
    check({
      { '{{add 1 "2" 3.7 true nil}} {{sub 1 2}} {{mul 2 "3"}} {{div -7 2}} {{mod -7 2}} {{max 1 "5" 3}} {{min 1 -5}} {{add1 "x"}}',
        "7 -1 6 -3 -1 5 -5 1" },
      { '{{add .n 1}} {{add .f 1}} {{int .f}} {{float64 .f}} {{int "0x1F"}} {{int "12.0"}} {{int "12.5"}}'
        .. ' {{atoi "12a"}} {{toDecimal "777"}}',
        "43 1 0 2.5 31 12 0 0 511" },
      { "{{div 1 0}}", error = "integer divide by zero" },
      { "{{mod 1 0}}", error = "integer divide by zero" },
      { "{{add 9223372036854775807 1}}", "-9223372036854775808" },
    }, { n = 42, f = 2.5 })
  end)

  it("computes with decimals, not with floats", function()
    check {
      { "{{addf 0.1 0.2}} {{subf 1 0.9}} {{mulf 1.1 1.1}} {{divf 1 3}} {{divf 10 4 2}} {{add1f 0.1}} {{maxf 1 2.5}} {{minf 1.5 1}}",
        "0.3 0.1 1.21 0.3333333333333333 1.25 1.1 2.5 1" },
      { '{{ceil 0}} {{ceil "x"}} {{ceil 0.0 | toJson}} {{ceil -0.5}} {{floor 0}} {{floor -0.0}} {{round 0 0}} {{-0.0}} {{float64 "-0"}}',
        "0 0 0 -0 0 -0 0 -0 -0" }, -- (S4.3: as Go)
      { "{{floor 2.9}} {{ceil 2.1}} {{round 2.567 1}} {{round -1.5 0}} {{round 3.1 2 0.9}} {{floor -2.1}}", "2 3 2.6 -2 3.1 -3" },
      { "{{divf 1 0}}", error = "division by 0" },
    }
  end)

  it("counts", function()
    check {
      { "{{until 3}} {{until -2}} {{untilStep 2 9 3}} {{untilStep 5 0 -2}} {{untilStep 0 5 0}} {{untilStep 0 5 -1}}",
        "[0 1 2] [0 -1] [2 5 8] [5 3 1] [] []" },
      { "{{seq 3}}|{{seq 0}}|{{seq 2 4}}|{{seq 4 2}}|{{seq 1 2 7}}|{{seq 3 -3 2}}|{{seq 5 1 2}}|{{seq}}",
        "1 2 3|1 0|2 3 4|4 3 2|1 3 5 7|3||" },
      { "{{typeOf (until 1)}} {{typeOf (add 1)}} {{typeOf (addf 1)}} {{typeOf (int 1)}}", "[]int int64 float64 int" },
    }
  end)
end)

describe("defaults and JSON", function()
  it("go by emptiness", function()
    check({
      { '{{default "d" ""}} {{default "d" 0}} {{default "d" .zero}} {{default "d" .m}} {{default "d"}} {{coalesce nil 0 "x"}} {{coalesce}}',
        "d d 0 d d x <no value>" },
      { '{{empty (list)}} {{empty .zero}} {{all 1 "a"}} {{all}} {{any 0 ""}} {{ternary "t" "f" true}} {{false | ternary 1 2}}',
        "true false true true false t 2" },
      { '{{fail "stop"}}', error = "error calling fail: stop" },
    }, { zero = 0 })
  end)

  it("is written as Go writes it", function()
    check({
      { '{{toJson (dict "b" (list 1 nil) "a" 1.5)}} {{toJson "<é>\\u2028"}} {{toRawJson "<&>"}} {{toJson 1e21}}'
        .. ' {{toJson 1e20}} {{toJson (rest (list))}}',
        [[{"a":1.5,"b":[1,null]} "\u003cé\u003e\u2028" "<&>" 1e+21 100000000000000000000 null]] },
      { "{{toJson .}}", '{"a":[],"n":2.0,"o":{}}' },
      { '{{toPrettyJson (dict "a" (list 1) "b" (dict))}}', '{\n  "a": [\n    1\n  ],\n  "b": {}\n}' },
      { '{{mustToJson (float64 "inf")}}', error = "unsupported value" }, { '{{toJson (float64 "inf")}}|', "|" },
    }, { a = json.array {}, n = 2.0, o = {} })
  end)
end)

describe("types", function()
  it("are Go's", function()
    check({
      { '{{kindOf 1}} {{kindOf "s"}} {{kindOf (list)}} {{kindOf (dict)}} {{kindOf nil}} {{kindOf .n}} {{kindOf now}}',
        "int string slice map invalid string struct" },
      { '{{typeOf .n}} {{typeOf nil}} {{typeIs "string" "a"}} {{kindIs "map" (dict)}} {{typeIsLike "semver.Version" (semver "1.0.0")}}',
        "json.Number <nil> true true true" },
      { '{{deepEqual (list 1) (list 1)}} {{deepEqual 1 1.0}} {{deepEqual (dict "a" 1) (dict "a" 1)}}'
        .. ' {{deepEqual (list "a") (splitList "," "a")}}',
        "true false true false" },
    }, { n = 1 })
  end)
end)
