local json = require "step.json"
local check = require("spec.support.render").check

local values = {
  n = 42, f = 2.5, whole = 2.0, big = 1e21, map = { b = json.array {}, a = json.null }, list = json.array { 1, "x", json.null },
}

describe("printing", function()
  it("shows values as %v does", function()
    check({
      { "{{.n}} {{.f}} {{.whole}} {{.big}} {{.map}} {{.list}}", "42 2.5 2.0 1e+21 map[a:<nil> b:[]] [1 x <nil>]" },
      { "{{1e6}} {{100000.0}} {{1e20}} {{0.0001}} {{0.00001}} {{123456789.0}} {{1.0}}",
        "1e+06 100000 1e+20 0.0001 1e-05 1.23456789e+08 1" },
    }, values)
  end)

  it("puts spaces between operands when neither is a text", function()
    check({
      { '{{print 1 2 "a" 3 "b" "c" true nil}} {{print .n .n}} {{print}}|', "1 2a3bctrue <nil> 4242 |" },
      { '{{println "a" 1 nil}}', "a 1 <nil>\n" },
    }, values)
  end)
end)

describe("printf", function()
  local function is(cases)
    for i, case in ipairs(cases) do cases[i] = { "{{printf " .. case[1] .. "}}", case[2] } end
    check(cases, values)
  end

  it("knows integers", function()
    is {
      { '"%d|%5d|%-5d|%05d|%+d|% d" 42 42 42 42 42 42', "42|   42|42   |00042|+42| 42" },
      { '"%b %o %O %x %X %#x %#o %#b" 5 8 8 255 255 255 8 5', "101 10 0o10 ff FF 0xff 010 0b101" },
      { '"%c %q %U %#U" 9731 65 9731 9731', "☃ 'A' U+2603 U+2603 '☃'" },
      { '"%.3d|%6.3d|%-06d|%x" 5 5 5 -255', "005|   005|5     |-ff" },
      { '"%.0d|" 0', "|" },
    }
  end)

  it("knows floats", function()
    is {
      { '"%f %.2f %8.3f|%-8.2f|%08.3f %+.1f" 1.5 3.14159 2.5 2.5 -3.14159 2.0', "1.500000 3.14    2.500|2.50    |-003.142 +2.0" },
      { '"%e %E %.3e" 12345.678 1.5 1.0', "1.234568e+04 1.500000E+00 1.000e+00" },
      { '"%g %G %.3g %.10g %#g" 1e-10 1e-10 1234.5678 1234.5678 1.0', "1e-10 1E-10 1.23e+03 1234.5678 1.00000" },
      { '"%x %v" 1.0 0.1', "0x1p+00 0.1" }, { '"%.1f" 1.5i', "(0.0+1.5i)" },
    }
  end)

  it("knows texts", function()
    is {
      { '"%s|%10s|%-10s|%.3s|%5.1s|" "hello" "right" "left" "truncate" "éa"', "hello|     right|left      |tru|    é|" },
      { '"%q %+q %#q %x %X % x %#x" "é\\n" "é" "hi" "hé" "hi" "abc" "abc"', [["é\n" "\u00e9" `hi` 68c3a9 6869 61 62 63 0x616263]] },
      { '"%t %v %5t" true false true', "true false  true" }, { '"%s %v" .n .f', "42 2.5" },
    }
  end)

  it("knows lists, maps and types", function()
    is {
      { '"%v %d %q %s" (list 1 "a" nil) (list 1 2) (list "a") (list "a" 1)', '[1 a <nil>] [1 2] ["a"] [a %!s(int=1)]' },
      { '"%T %T %T %T" .n .list .map nil', "json.Number []interface {} map[string]interface {} <nil>" },
      { '"%#v %#v %#v" .map (list 1 "a" nil) (splitList "," "a")',
        'map[string]interface {}{"a":interface {}(nil), "b":[]interface {}{}} []interface {}{1, "a", interface {}(nil)} []string{"a"}' },
    }
  end)

  it("says what is wrong in the way of fmt", function()
    is {
      { '"%d %d" 1', "1 %!d(MISSING)" },
      { '"%d" 1 2 "x"', "1%!(EXTRA int=2, string=x)" },
      { '"%d" "s"', "%!d(string=s)" },
      { '"%d" .n', "%!d(json.Number=42)" },
      { '"%z" 3', "%!z(int=3)" }, { '"%"', "%!(NOVERB)" }, { '"%s" nil', "%!s(<nil>)" }, { '"100%%"', "100%" }, { '"%!" ', "%!!(MISSING)" },
      { '"%[2]d %[1]d" 1 2', "2 1" },
      { '"%[3]d" 1', "%!d(BADINDEX)" },
      { '"%[x]d" 1', "%!d(BADINDEX)" },
      { '"%*d|%-*d|" 5 42 5 42', "   42|42   |" },
      { '"%*d" "a" 1', "%!(BADWIDTH)1" }, { '"%.*f" 2 3.14159', "3.14" }, { '"%.*d" "x" 1', "%!(BADPREC)1" },
    }
  end)
end)
