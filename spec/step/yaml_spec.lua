-- step.yaml: what µTask's YAML reader makes of a text, and where it says no.

local err = require "step.error"
local json = require "step.json"
local yaml = require "step.yaml"

local null = json.null

--- Decodes a text that must be accepted.
local function read(text)
  local value, positions = yaml.decode(text)
  if value == nil then error(positions, 2) end
  return value, positions
end

--- The error of a text that must be refused.
local function refused(text)
  local value, problem = yaml.decode(text)
  assert.is_nil(value)
  assert.is_true(err.is(problem))
  assert.equal("yaml", problem.kind)
  assert.equal(("line %d, column %d: "):format(problem.line, problem.column),
    problem.message:match "^line %d+, column %d+: ")
  return problem
end

describe("yaml.decode", function()
  describe("plain scalars, as go-yaml v2 resolves them", function()
    local cases = {
      { true, "y Y yes Yes YES true True TRUE on On ON" },
      { false, "n N no No NO false False FALSE off Off OFF" },
      { null, "~ null Null NULL" },
      { "yEs", "yEs" }, { "tRUE", "tRUE" }, { "nULL", "nULL" }, { "oN", "oN" }, { "<<", "<<" },
      { 0, "0 -0 +0 0x0 0b0 0o0 00" }, { 15, "15 +15 017 0o17 0O17 0xF 0Xf 0b1111 0B1111 1_5 0x_f" }, { -15, "-15 -017 -0xF -0b1111" },
      { 8, "08" }, { 1000000, "1_000_000" },
      { math.maxinteger, "9223372036854775807 0x7FFFFFFFFFFFFFFF" },
      { math.mininteger, "-9223372036854775808 -0x8000000000000000" },
      { 2.0 ^ 63, "9223372036854775808 0x8000000000000000 0o1000000000000000000000" },
      { 1e20, "100000000000000000000 1e20" }, { -1e20, "-100000000000000000000" },
      { 18446744073709551615.0, "18446744073709551615 0xFFFFFFFFFFFFFFFF" },
      { 1.5, "1.5 +1.5 1.50 15e-1 0.15E+1 .15e1 0_1.5" },
      { 0.1, "0.1 .1 +.1 1e-1" }, { 1.0, "1.0 1. 1e0" }, { 0.0, "1e-400" },
      { 3.141592653589793, "3.141592653589793" }, { 0.30000000000000004, "0.30000000000000004" },
    }
    for _, case in ipairs(cases) do
      for text in case[2]:gmatch "%S+" do
        it(("%s is %s"):format(text, err.show(case[1])), function()
          local value = read("- " .. text)[1]
          assert.equal(case[1], value)
          assert.equal(math.type(case[1]), math.type(value))
        end)
      end
    end

    for text in ([[1e400 -1e400 0x 0b2 0o8 0xG 0x1p3 0x1.8 0x1FFFFFFFFFFFFFFFF 1e 1e+ .e3 . .5_0 1.2.3 190:20:30 + -x 12a _1
        2001-12-14 2001-12-14t21:59:43.10-05:00 .Nan .INf 1,5 0x8000000000000000- inf NaN]]):gmatch "%S+" do
      it(text .. " stays a text", function() assert.equal(text, read("- " .. text)[1]) end)
    end

    it("nothing is null, quoted is a text", function()
      assert.same({ a = null, b = "", c = "yes", d = "12", e = "~" }, read "{a: , b: '', c: 'yes', d: \"12\", e: \"~\"}")
    end)
  end)

  describe("tags", function()
    it("!!str, !!int, !!float, !!bool, !!null, !!timestamp", function()
      assert.same({ "12", 12, 12.0, true, null, "2001-01-01", "0x1" },
        read "[!!str 12, !!int '12', !!float 12, !!bool 'y', !!null '', !!timestamp 2001-01-01, ! 0x1]")
      assert.equal("float", math.type(read "!!float 12"))
    end)
    it("!!binary is decoded", function()
      assert.same({ "hello", "", "any carnal pleas", "é" },
        read '[!!binary aGVsbG8=, !!binary "", !!binary "YW55IGNhcm5hbCBw\\nbGVhcw==", !!binary w6k=]')
    end)
    it("other tags do not count", function()
      assert.same({ { "x" }, { a = 1 }, "5" }, read "[!list [x], !!map {a: 1}, !local 5]")
    end)
    for text, message in pairs {
      ["!!int x"] = '"x" is not a value of type !!int', ["!!bool maybe"] = "not a value of type !!bool",
      ["!!int 1.5"] = "type !!int", ["!!null x"] = "type !!null", ["!!float x"] = "type !!float",
      ["!!timestamp soon"] = "type !!timestamp", ["!!binary a"] = "not base64", ["!!binary a==="] = "not base64",
      ["!!binary /w=="] = "no UTF-8 text", ["!un!known x"] = "undefined tag handle",
    } do
      it("refuses " .. text, function() assert.matches(message, refused(text).message, 1, true) end)
    end
  end)

  describe("collections", function()
    it("keeps {} and [] apart (D22)", function()
      local value = read "a: {}\nb: []\nc:\n- {}\n- []\n"
      assert.is_false(json.is_array(value.a))
      assert.is_true(json.is_array(value.b))
      assert.is_false(json.is_array(value.c[1]))
      assert.is_true(json.is_array(value.c[2]))
      assert.is_true(json.is_array(value.c))
    end)
    it("keeps nulls of a list", function() assert.same({ null, 1, null }, read "[~, 1, ~]") end)
    it("makes keys texts, as ghodss does", function()
      assert.same({ ["true"] = 1, ["false"] = 2, ["1"] = 3, ["16"] = 4, ["1.5"] = 5, ["01"] = 6, ["1000"] = 7, ["-.inf"] = 8 },
        read "{on: 1, n: 2, 1: 3, 0x10: 4, 1.50: 5, '01': 6, 1e3: 7, -.inf: 8}")
    end)
    it("block texts", function()
      assert.same({ a = "x\n y\n", b = "p q", c = "z" }, read "a: |\n  x\n   y\nb: >-\n  p\n  q\nc: |-\n  z\n")
    end)
    for text, message in pairs {
      ["~: 1"] = "a mapping key cannot be null", ["'k' : 1\nnull: 2"] = "cannot be null",
      ["[a]: 1"] = "a mapping key cannot be a list", ["a: {{.input.x}}"] = 'needs quotes: "{{ ... }}"',
      ["[.inf]"] = ".inf is not a number of JSON", ["a: -.Inf"] = "-.Inf is not a number", [".nan"] = ".nan is not a number",
    } do
      it("refuses " .. text, function() assert.matches(message, refused(text).message, 1, true) end)
    end
  end)

  describe("anchors, aliases, merge keys", function()
    it("an alias is a value of its own", function()
      local value, positions = read "a: &x {k: [1], s: &y text}\nb: *x\nc: *y\n"
      assert.same(value.a, value.b)
      assert.not_equal(value.a, value.b)
      assert.not_equal(value.a.k, value.b.k)
      assert.is_true(json.is_array(value.b.k))
      assert.equal("text", value.c)
      assert.same({ 1, 8 }, { positions:of(value.b, "k") })
    end)
    it("a later anchor of the same name wins", function() assert.same({ 1, 1, 2, 2 }, read "[&a 1, *a, &a 2, *a]") end)
    it("an alias may be a key", function() assert.same({ a = "k", k = 1 }, read "{a: &x k, *x : 1}") end)
    it("merges: the last in the text wins, in a list the first", function()
      assert.same({ k = 2, l = 1 }, read "{a: &x {k: 1, l: 1}, b: {<<: *x, k: 2}}".b)
      assert.same({ k = 1, l = 1 }, read "{a: &x {k: 1, l: 1}, b: {k: 2, <<: *x}}".b)
      assert.same({ k = 1, m = 3 }, read "{a: &x {k: 1}, b: {<<: [*x, {k: 2, m: 3}]}}".b)
      assert.same({ k = 1 }, read "{!!merge <<: {k: 1}}")
      assert.same({ ["<<"] = 1 }, read "{'<<': 1}")
    end)
    for text, message in pairs {
      ["*x"] = "unknown anchor 'x'", ["&x [*x]"] = "the value of anchor 'x' contains itself",
      ["<<: 1"] = "<< needs a mapping or a list of mappings, found 1", ["<<: ~"] = "found null",
      ["<<: [{a: 1}, 2]"] = "found 2", ["a: &x [1]\nb: {<<: [*x]}"] = "found a list",
    } do
      it("refuses " .. text, function() assert.matches(message, refused(text).message, 1, true) end)
    end
    it("stops an alias bomb", function()
      local lines = { "a0: &a0 [x,x,x,x,x,x,x,x,x]" }
      for i = 1, 20 do lines[i + 1] = ("a%d: &a%d [%s]"):format(i, i, (("*a%d,"):format(i - 1)):rep(9)) end
      assert.matches("excessive aliasing", refused(table.concat(lines, "\n")).message)
    end)
    it("stops aliases that nest too deep", function()
      local lines = { "a0: &a0 [x]" }
      for i = 1, 1200 do lines[i + 1] = ("a%d: &a%d [*a%d]"):format(i, i, i - 1) end
      assert.matches("excessive aliasing", refused(table.concat(lines, "\n")).message)
    end)
  end)

  describe("places", function()
    it("of keys and items", function()
      local value, positions = read "name: x\nsteps:\n  é: {a: 1,  b: 2}\n  list:\n  - p\n  - q\n"
      assert.same({ 1, 1 }, { positions:of(value, "name") })
      assert.same({ 3, 3 }, { positions:of(value.steps, "é") })
      assert.same({ 3, 14 }, { positions:of(value.steps["é"], "b") })
      assert.same({ 6, 5 }, { positions:of(value.steps.list, 2) })
      assert.is_nil(positions:of(value, "nope"))
      assert.is_nil(positions:of({}, "nope"))
    end)
    it("of merged keys: where they were written", function()
      local value, positions = read "a: &x\n  k: 1\nb:\n  <<: *x\n"
      assert.same({ 2, 3 }, { positions:of(value.b, "k") })
    end)
  end)

  describe("refusals name the place", function()
    for text, place in pairs {
      ["a: 1\nb: 2\na: 3\n"] = { 3, 1, 'duplicate key "a", it stands already at line 1, column 1' },
      ["x:\n  on: 1\n  yes: 2\n"] = { 3, 3, 'duplicate key "true" (written yes)' },
      ["{1: a, '1': b}"] = { 1, 8, 'duplicate key "1"' },
      ["a:\n\tb: 1\n"] = { 2, 1, "a tab cannot indent, use spaces" },
      ["a: 1\n\tb: 2\n"] = { 2, 1, "a tab cannot indent, use spaces" },
      ["a: [1\nb: 2\n"] = { 2, 2, "did not find expected ',' or ']', while parsing a flow sequence that starts at line 1, column 4" },
      ["a: b: c"] = { 1, 5, 'a text that contains ": " needs quotes' },
      ["a: @x"] = { 1, 4, '"@" cannot start a value, quote the text' },
      ["a: 'x"] = { 1, 6, "unexpected end of stream" },
      ["é: \"\\ud800\""] = { 1, 7, "invalid Unicode character escape" },
      ["a: x\xFF"] = { 1, 5, "no UTF-8" },
      ["a: 1\nb: \0"] = { 2, 4, "a control character" },
      ["é: \27"] = { 1, 4, "a control character" },
      ["a: 1\nb: \"x\\0y\""] = { 2, 4, "a NUL character in a string is not supported" },
      ["a: 1\n---\nb: 2\n"] = { 2, 1, "a second document" },
      ["- ]"] = { 1, 3, "did not find expected" },
    } do
      it(("%q"):format(text), function()
        local problem = refused(text)
        assert.matches(place[3], problem.message, 1, true)
        assert.same({ place[1], place[2] }, { problem.line, problem.column })
        assert.equal(place[1], problem.errors[1].line)
      end)
    end
    it("deep nesting", function()
      for _, text in ipairs { ("["):rep(100000), ("{a: "):rep(100000), ("- "):rep(100000) } do
        assert.matches("nested deeper than 1000 levels", refused(text).message)
      end
      assert.is_table(read(("["):rep(1000) .. ("]"):rep(1000)))
    end)
  end)

  it("takes no document for null, and a byte order mark for nothing", function()
    for _, text in ipairs { "", "# only a comment\n", "---\n", "---\n...\n", "\n\n" } do assert.equal(null, read(text)) end
    assert.same({ a = 1 }, read "\xEF\xBB\xBFa: 1")
    assert.same({ a = "\\0", b = "é" }, read '\xEF\xBB\xBF{b: é, a: "\\\\0"}')
  end)

  it("reads JSON", function()
    assert.same({ a = { 1, 2.5, true, null, "x\ny/" }, b = {} }, read '{"a": [1, 2.5, true, null, "x\\ny\\/"], "b": {}}')
  end)

  it("raises on misuse only", function()
    assert.error_matches(function() yaml.decode(nil) end, "bad argument #1 to 'decode'")
  end)

  it("answers garbage with a value or a place", function()
    local tokens = { "a", "b: ", "- ", "\n", "  ", "\t", "{", "}", "[", "]", ",", ": ", "? ", "&x ", "*x", "<<: ", "!!int ",
      "!!binary ", "!foo ", "'", '"', "|", ">", "#", "~", "on", "---\n", "...\n", "%YAML 1.1\n", "\\0", "\\", "\xFF", "\0", "\r\n" }
    local state = 42
    local function random(n)
      state = (state * 1103515245 + 12345) & 0x7FFFFFFF
      return (state >> 8) % n + 1
    end
    for _ = 1, 3000 do
      local parts = {}
      for i = 1, random(30) do parts[i] = tokens[random(#tokens)] end
      local value, problem = yaml.decode(table.concat(parts))
      assert.is_true(value ~= nil or (err.is(problem) and problem.line >= 1 and problem.column >= 1))
    end
  end)
end)
