-- step.schema.value: kinds, equality, canonical texts, multiples.

local json = require "step.json"
local value = require "step.schema.value"

describe("step.schema.value", function()
  it("tells the kinds of values", function()
    local kinds = {}
    for i, v in ipairs { json.null, true, 1, 1.0, 1.5, "a", { 1 }, json.array {}, {}, { a = 1 }, { 1, a = 1 }, print, 1e300 } do
      kinds[i] = value.kind(v)
    end
    assert.same({ "null", "boolean", "integer", "integer", "number", "string", "array", "array", "object", "object", "other", "other",
      "integer" }, kinds)
    assert.equal("null", value.kind(nil))
  end)

  it("has no integer 1.0 in draft 4, but integers beyond 64 bits", function()
    assert.equal("number", value.kind4(1.0))
    assert.equal("integer", value.kind4(1))
    assert.equal("integer", value.kind4(1e30))
    assert.equal("integer", value.kind4(-0x1p70))
  end)

  local same = { { 1, 1.0 }, { { a = { 1, {} } }, { a = { 1.0, {} } } }, { json.array {}, json.array {} },
    { 2^53, 1 << 53 }, { 0.0, -0.0 } }
  local different = { { 1, true }, { 1, "1" }, { {}, json.array {} }, { { 1, 2 }, { 2, 1 } }, { { a = 1 }, { a = 1, b = 2 } },
    { (1 << 53) + 1, 2^53 }, { math.maxinteger, 2^63 }, { "a:1", "a" }, { { "a", "b" }, { "a,1:b" } }, { { a = json.null }, {} } }

  it("compares, and makes equal texts of equal values only", function()
    for _, pair in ipairs(same) do
      assert.is_true(value.equal(pair[1], pair[2]))
      assert.equal(value.canonical(pair[1]), value.canonical(pair[2]))
    end
    for _, pair in ipairs(different) do
      assert.is_false(value.equal(pair[1], pair[2]))
      assert.is_false(value.equal(pair[2], pair[1]))
      assert.not_equal(value.canonical(pair[1]), value.canonical(pair[2]))
    end
  end)

  it("gives up on a table that contains itself", function()
    local a, b = {}, {}
    a.x, b.x = a, b
    assert.is_false(value.equal(a, b))
    assert.is_nil(value.canonical(a))
  end)

  for _, case in ipairs {                 -- number, divisor, whether
    { 10, 2, true }, { 7, 2, false }, { -9, 3, true }, { 0, 0.1, true }, { 4.5, 1.5, true }, { 35, 1.5, false }, { 0.0075, 0.0001, true },
    { 0.00751, 0.0001, false }, { 19.99, 0.01, true }, { 1.1, 0.1, true }, { -0.3, 0.1, true }, { 1e308, 0.123456789, false },
    { 1e308, 0.5, true }, { 12391239123, 1e-8, true }, { 5e-324, 1e-300, false }, { 1e-300, 5e-324, true }, { 0.5, 3, false },
    { math.maxinteger, 7, true }, { math.maxinteger, 2, false }, { math.mininteger, 2, true }, { math.mininteger, 0.5, true },
    { math.maxinteger, 0.1, true }, { 1e19, math.maxinteger, false }, { 1e22, 3, false }, { 3e22, 3, true }, { 2^70, 4.0, true },
    { 1 / 0, 2, false }, { 0 / 0, 2, false }, { 3.0, 1, true },
  } do
    it(("%s %s a multiple of %s"):format(case[1], case[3] and "is" or "is not", case[2]), function()
      assert.equal(case[3], value.is_multiple(case[1], case[2]))
    end)
  end
end)
