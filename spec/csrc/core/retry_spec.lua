-- csrc/core/retry.c: the three patterns (S6.5, D17).

local core = require "step.core"

local delay = core.retry_delay

describe("retry delay", function()
  it("seconds: 8 s * 1.25^n, at most 10 minutes", function()
    assert.equal(10, delay("seconds", 1))
    assert.equal(12.5, delay("seconds", 2))
    assert.equal(15.625, delay("seconds", 3))
    assert.is_true(delay("seconds", 19) < 600)
    for _, n in ipairs { 20, 21, 1000, 4294967295 } do assert.equal(600, delay("seconds", n)) end
    assert.equal(delay("seconds", 3), delay("", 3))
  end)

  it("minutes: 96 s each, at most 30 minutes", function()
    assert.same({ 96, 192, 1728, 1800, 1800 }, { delay("minutes", 1), delay("minutes", 2), delay("minutes", 18), delay("minutes", 19),
      delay("minutes", 4294967295) })
  end)

  it("hours: one, then 10 minutes more each, and the cap of 3 hours is reached", function()
    assert.same({ 3600, 4200, 10200, 10800, 10800 }, { delay("hours", 1), delay("hours", 2), delay("hours", 12), delay("hours", 13),
      delay("hours", 4294967295) })
  end)

  it("is never less than the first one (D17)", function()
    for pattern, first in pairs { seconds = 10, minutes = 96, hours = 3600 } do assert.equal(first, delay(pattern, 0)) end
  end)

  it("grows", function()
    for _, pattern in ipairs { "seconds", "minutes", "hours" } do
      for n = 1, 40 do assert.is_true(delay(pattern, n + 1) >= delay(pattern, n)) end
    end
  end)

  it("S8.6: there are no other patterns", function()
    for _, pattern in ipairs { "second", "SECONDS", "days" } do assert.is_false((pcall(delay, pattern, 1))) end
    assert.is_false((pcall(delay, "seconds", -1)))
  end)
end)
