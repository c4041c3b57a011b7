-- step.tolerance: how many of several may fail.

local tolerance = require "step.tolerance"

describe("step.tolerance", function()
  for value, expected in pairs {
    [0] = { 0, false }, [3] = { 3, false }, ["0%"] = { 0, true }, ["25%"] = { 25, true }, [" 12.5 % "] = { 12.5, true },
    ["100%"] = { 100, true },
  } do
    it(("reads %s"):format(value), function() assert.same(expected, { tolerance.read(value) }) end)
  end

  for _, value in ipairs { -1, 0.5, "3", "", "%", "-1%", "101%", "1e1%", "most", true, {} } do
    it("refuses " .. tostring(value), function()
      assert.same({ nil, 'a whole number from 0, or a part of all children like "25%", is expected' }, { tolerance.read(value) })
    end)
  end

  it("rounds a part down", function()
    assert.same({ 0, 1, 2, 3, 7 }, { tolerance.of(49, true, 2), tolerance.of(50, true, 2), tolerance.of(99.9, true, 3),
      tolerance.of(100, true, 3), tolerance.of(7, false, 3) })
  end)

  it("rounds as its decimals say, not as they are in binary", function()
    for digits, scale in pairs { [0] = 1, 10, 100 } do
      for k = 0, 100 * scale do
        local text = ("%%.%df%%%%"):format(digits):format(k / scale)
        local amount, percent = tolerance.read(text)
        for _, n in ipairs { 1, 3, 7, 100, 625, 750, 999, 1000, 1000000 } do
          local got, expected = tolerance.of(amount, percent --[[@as boolean]], n), k * n // (100 * scale)
          if got ~= expected then error(("%s of %d: %d, not %d"):format(text, n, got, expected)) end
        end
      end
    end
  end)
end)
