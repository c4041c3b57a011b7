local number = require "step.template.number"

describe("number.parse_int", function()
  it("reads what strconv reads, to the last unit", function()
    for _, case in ipairs {
      { "0", 10, 0 }, { "-5", 10, -5 }, { "+7", 10, 7 }, { "9223372036854775807", 10, math.maxinteger },
      { "-9223372036854775808", 10, math.mininteger }, { "0x1f", 0, 31 }, { "010", 0, 8 }, { "0b11", 0, 3 }, { "1_000", 0, 1000 },
      { "777", 8, 511 },
    } do
      assert.equal(case[3], (number.parse_int(case[1], case[2])))
    end
  end)

  it("tells bad syntax from a number that is too large", function()
    for _, text in ipairs { "", "-", "12a", "1_0", " 1", "1.0" } do assert.same({ nil, "syntax" }, { number.parse_int(text) }) end
    for _, text in ipairs { "08", "0x", "1__0", "_1" } do assert.same({ nil, "syntax" }, { number.parse_int(text, 0) }) end
    assert.same({ nil, "range", math.maxinteger, true }, { number.parse_int "18446744073709551615" })
    assert.same({ nil, "range", math.maxinteger, false }, { number.parse_int "18446744073709551616" })
    assert.same({ nil, "range", math.mininteger, false }, { number.parse_int "-9223372036854775809" })
    assert.same({ nil, "range", math.maxinteger, false }, { number.parse_int "184467440737095516150" })
  end)
end)

describe("number.parse_float", function()
  it("reads decimal and hexadecimal floats", function()
    for text, expected in pairs { ["1.5"] = 1.5, ["-.5"] = -0.5, ["1e3"] = 1000.0, ["0x1p4"] = 16.0, ["3"] = 3.0, ["+Inf"] = math.huge } do
      local x = number.parse_float(text)
      assert.equal(expected, x)
      assert.equal("float", math.type(x))
    end
    assert.equal("-0.0", tostring(number.parse_float "-0"))
    for _, text in ipairs { "", ".", "1e", "1.5.2", "0x1.8", "1x", " 1" } do assert.is_nil((number.parse_float(text))) end
    assert.same({ nil, "range", math.huge }, { number.parse_float "1e400" })
  end)
end)
