-- step.duration: durations as definitions write them.

local duration = require "step.duration"

local seconds = duration.seconds

describe("duration.seconds", function()
  for text, expected in pairs {
    ["0"] = 0, ["1s"] = 1, ["1.5s"] = 1.5, [".5s"] = 0.5, ["2m30s"] = 150, ["1h1m1s"] = 3661, ["250ms"] = 0.25, ["-3s"] = -3, ["+3s"] = 3,
    ["20000ms"] = 20, ["1.5h"] = 5400,
  } do
    it("reads " .. text, function() assert.equal(expected, (seconds(text))) end)
  end

  for text, expected in pairs { ["5us"] = 5e-6, ["5µs"] = 5e-6, ["5μs"] = 5e-6, ["7ns"] = 7e-9 } do
    it("reads " .. text, function() assert.near(expected, (seconds(text)), 1e-15) end)
  end

  it("counts a number in nanoseconds, exactly", function()
    assert.equal(0, (seconds(0)))
    assert.equal(1, (seconds(1000000000)))
    assert.equal(20, (seconds(20000000000)))
    assert.equal(1.5, (seconds(1.5e9)))
    assert.equal(-1, (seconds(-1000000000)))
  end)

  for _, text in ipairs { "", "s", "1", "1x", "1 s", " 1s", "1s ", "1.2.3s", ".s", "+", "-", "1s2", "--1s", "1d", "0x1s", "1e3s" } do
    it(("refuses %q"):format(text), function()
      local value, message = seconds(text)
      assert.is_nil(value)
      assert.matches('a text like "1.5s" is expected', message, 1, true)
    end)
  end

  it("tells the units", function()
    local _, message = seconds "1d"
    assert.matches("units: ns, us, ms, s, m, h", message, 1, true)
  end)

  it("refuses what is neither text nor number", function()
    for _, value in ipairs { true, {}, print } do
      local result, message = seconds(value)
      assert.is_nil(result)
      assert.matches("a number of nanoseconds", message, 1, true)
    end
    assert.is_nil((seconds(nil)))
  end)

  it("refuses what is no number", function()
    for _, value in ipairs { 0 / 0, math.huge, -math.huge } do
      local result, message = seconds(value)
      assert.is_nil(result)
      assert.equal("not a number", message)
    end
  end)
end)

describe("duration.span", function()
  for value, expected in pairs { [5] = 5, [0.25] = 0.25, ["1m30s"] = 90, ["250ms"] = 0.25 } do
    it("takes " .. tostring(value), function() assert.equal(expected, (duration.span(value))) end)
  end

  for value, expected in pairs {
    [math.huge] = "not a number", [-math.huge] = "not a number", [true] = 'a number of seconds or a text like "1.5s" is expected',
    ["5"] = 'a text like "1.5s" is expected', [""] = 'a text like "1.5s" is expected',
    [0] = "more than 0 seconds are expected", ["-1s"] = "more than 0 seconds are expected",
  } do
    it("refuses " .. tostring(value), function()
      local result, message = duration.span(value)
      assert.is_nil(result)
      assert.matches(expected, message, 1, true)
    end)
  end

  it("takes 0 where that is allowed, and nothing below", function()
    assert.equal(0, duration.span(0, true))
    assert.equal(0, duration.span("0", true))
    for _, value in ipairs { -1, "-1ms" } do
      assert.same({ nil, "0 seconds or more are expected" }, { duration.span(value, true) })
    end
  end)
end)
