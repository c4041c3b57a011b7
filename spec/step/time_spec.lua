-- step.time: points in time as texts, and back.

local time = require "step.time"

describe("time.format", function()
  for expected, seconds in pairs {
    ["1970-01-01T00:00:00Z"] = 0,
    ["2000-02-29T12:30:05Z"] = 951827405,
    ["1970-01-01T00:00:00.5Z"] = 0.5,
    ["1970-01-01T00:00:01.000000001Z"] = 1.000000001,
    ["1970-01-01T00:01:00.25Z"] = 60.25,
    ["1969-12-31T23:59:59.5Z"] = -0.5,
    ["2033-05-18T03:33:20Z"] = 2000000000,
  } do
    it("gives " .. expected, function() assert.equal(expected, time.format(seconds)) end)
  end
  it("carries what rounds up to a second", function()
    assert.equal("1970-01-01T00:00:01Z", time.format(0.9999999999))
  end)
end)

describe("time.parse", function()
  for text, expected in pairs {
    ["1970-01-01T00:00:00Z"] = 0,
    ["1970-01-01T00:00:01.5Z"] = 1.5,
    ["2000-02-29T12:30:05Z"] = 951827405,
    ["2000-02-29 12:30:05z"] = 951827405,
    ["2000-03-01t00:00:00Z"] = 951868800,
    ["1970-01-01T02:00:00+02:00"] = 0,
    ["1969-12-31T22:30:00-01:30"] = 0,
    ["1969-12-31T23:59:59Z"] = -1,
    ["2400-02-29T00:00:00Z"] = 13574563200,
  } do
    it("reads " .. text, function() assert.equal(expected, time.parse(text)) end)
  end

  it("takes a number as it is", function()
    assert.equal(12.5, time.parse(12.5))
  end)

  for _, text in ipairs {
    "", "now", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T00:00Z", "1970-01-01T00:00:00+0200", "1970-13-01T00:00:00Z",
    "1970-00-01T00:00:00Z", "1970-01-32T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T00:00:61Z",
    "1970-01-01T00:00:00123Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Z ",
  } do
    it(("gives nil for %q"):format(text), function() assert.is_nil(time.parse(text)) end)
  end

  it("gives nil for what is neither text nor number", function()
    for _, value in ipairs { true, {}, print } do assert.is_nil(time.parse(value)) end
    assert.is_nil(time.parse(nil))
  end)

  it("is the inverse of format", function()
    for _, seconds in ipairs { 0, 0.5, 1, 86399, 86400, 951782400, 1583020799.25, 4102444800, -86400, -1.5 } do
      assert.equal(seconds, time.parse(time.format(seconds)))
    end
  end)
end)
