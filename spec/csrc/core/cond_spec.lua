-- csrc/core/cond.c: the operators of assertions (S3.2, D12).

local core = require "step.core"

local compare = core.compare

local function all(expected, cases)
  for _, case in ipairs(cases) do
    assert.equal(expected, (compare(case[1], case[2], case[3], case[4])), table.concat(case, " "))
  end
end

describe("operators", function()
  it("are known by name in any case (D12)", function()
    assert.same({ "EQ", "NE", "GT", "LT", "GE", "LE", "REGEXP", "NOTREGEXP", "IN", "NOTIN" }, core.operators)
    assert.same({ "EQ", "NOTREGEXP", "IN" }, { core.operator "eq", core.operator "NotRegExp", core.operator "iN" })
    for _, name in ipairs { "", "E", "EQ ", "EQUALS", "=", "IN\0" } do assert.is_nil((core.operator(name))) end
  end)

  it("EQ and NE compare texts byte by byte", function()
    all(true, { { "EQ", "", "" }, { "EQ", "a\0b", "a\0b" }, { "NE", "a\0b", "a\0c" }, { "NE", "1", "1.0" }, { "NE", "a", "A" }, { "eq",
      "x", "x" } })
    all(false, { { "EQ", "a", "ab" }, { "NE", "é", "é" } })
  end)

  it("GT, LT, GE, LE compare numbers exactly, of any length (D12, D22)", function()
    all(true, {
      { "GT", "10", "9" }, { "LT", "-10", "-9" }, { "GE", "1", "1.0" }, { "LE", "1e3", "1000" }, { "GE", "-0", "0" }, { "LE", "0.0",
        "-0e9" },
      { "GT", "9007199254740993", "9007199254740992" }, { "LT", "9223372036854775807", "9223372036854775808" },
      { "GT", "0.1000000000000000000000000001", "0.1" }, { "LT", "1e-400", "1e-399" }, { "GT", "1e400", "9e399" }, { "GE", "+5", "5" },
      { "GT", "123456789012345678901234567890", "123456789012345678901234567889" }, { "LT", ".5", "0.51" }, { "GE", "5.", "5" },
      { "LE", "0.001e3", "1" }, { "GE", "100e-2", "1" }, { "LT", "-1e400", "1" }, { "GT", "1E+2", "99" }, { "LE", "000012", "12.000" },
    })
    all(false, { { "GT", "1", "1" }, { "LT", "1", "1" }, { "GE", "-2", "-1" }, { "LE", "2", "1" }, { "GT", "-1", "0" } })
  end)

  it("what is no number cannot be compared: the text is told", function()
    for _, bad in ipairs { "", " 1", "1 ", "a", "1a", "0x10", "--1", "1e", "1e+", ".", "+", "-", "1.2.3", "1,5", "inf", "nan", "1\0",
      "é" } do
      assert.same({ nil, bad, n = 2 }, table.pack(compare("GT", bad, "1")))
      assert.same({ nil, bad, n = 2 }, table.pack(compare("LE", "1", bad)))
    end
    assert.same({ nil, "first", n = 2 }, table.pack(compare("LT", "first", "second")))
  end)

  it("IN and NOTIN: value is the list, blanks are trimmed on both sides", function()
    all(true, {
      { "IN", "a,b,c", "b" }, { "IN", " a , b ", "b" }, { "IN", "a,b", " a " }, { "IN", "a", "a" }, { "IN", "a;b", "b", ";" },
      { "IN", "a--b", "b", "--" }, { "IN", "", "" }, { "IN", "a,,b", "" }, { "IN", "a,", "" }, { "IN", "a\t\n,b", "a" },
      { "NOTIN", "a,b", "c" }, { "NOTIN", "ab", "a" }, { "NOTIN", "a,b", "a,b" }, { "IN", "a,b", "a,b", ";" }, { "NOTIN", "", "a" },
      { "IN", "a,b", "a,b", "" }, { "NOTIN", "a-b", "a", "--" }, { "IN", "a,b", "a", "," }, { "NOTIN", "aXb", "a", "XY" },
    })
    all(false, { { "IN", "a,b", "c" }, { "NOTIN", "a,b", "b" } })
  end)

  it("random integers and decimals compare as Lua does", function()
    math.randomseed(11)
    for _ = 1, 2000 do
      local x, y = math.random(-1000, 1000), math.random(-1000, 1000)
      if math.random() < 0.5 then x, y = x / 8, y / 4 end
      assert.equal(x > y, (compare("GT", tostring(x), tostring(y))))
      assert.equal(x <= y, (compare("LE", tostring(x), ("%.10e"):format(y))))
    end
  end)

  it("regular expressions are not the core's", function()
    assert.is_false((pcall(compare, "REGEXP", "a", "a")))
    assert.is_false((pcall(compare, "nonsense", "a", "a")))
  end)

  it("dependency_parts takes a dependency apart (S2.1)", function()
    for written, parts in pairs {
      ["a"] = { "a", { "DONE" } }, ["a:DONE,B"] = { "a", { "DONE", "B" } }, ["a:"] = { "a", { "" } }, ["a:,"] = { "a", { "", "" } },
      [":x"] = { "", { "x" } }, [""] = { "", { "DONE" } }, ["a:b:c"] = { "a", { "b:c" } }, ["a:ANY"] = { "a", { "ANY" } },
    } do
      assert.same(parts, { core.dependency_parts(written) })
    end
  end)
end)
