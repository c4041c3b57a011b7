-- csrc/core/retry.c: retry policies and the three patterns (S6.5, D17).

local core = require "step.core"
local random = require("spec.support.random_graph").random

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

describe("a retry policy", function()
  it("is a formula: initial * factor^(n - 1), at most cap", function()
    local r = random(3)
    for _ = 1, 3000 do
      local policy = { initial = r:int(0, 1000) / 8, factor = 1 + r:int(0, 300) / 100, cap = 1000 + r:int(0, 100000) }
      local n = r:chance(80) and r:int(0, 40) or r:int(0, 4294967295)
      local expected = policy.initial == 0 and 0 or math.min(policy.initial * policy.factor ^ (math.max(n, 1) - 1), policy.cap)
      local got = delay(policy, n)
      assert.is_true(math.abs(got - expected) <= 1e-9 * expected, ("%s * %s^%d: %s, not %s"):format(policy.initial, policy.factor, n - 1,
        got, expected))
      assert.equal(got, delay(policy, n, r:next())) -- no jitter, no chance
    end
  end)

  it("is as the pattern `seconds` where it says nothing, and its cap no less than its first delay", function()
    for n = 0, 30 do assert.equal(delay("seconds", n), delay({}, n)) end
    assert.same({ 700, 700 }, { delay({ initial = 700 }, 1), delay({ initial = 700 }, 5) })
    assert.same({ 500, 600 }, { delay({ initial = 500 }, 1), delay({ initial = 500 }, 2) })
  end)

  it("with a jitter stays within that part of the delay, evenly, and never below 0", function()
    for _, jitter in ipairs { 0.1, 0.5, 1 } do
      local sum, low, high, count = 0, math.huge, 0, 4000
      for seed = 1, count do
        local got = delay({ initial = 100, factor = 1, jitter = jitter }, 1, seed)
        sum, low, high = sum + got, math.min(low, got), math.max(high, got)
      end
      assert.is_true(low >= 100 * (1 - jitter) and high <= 100 * (1 + jitter))
      assert.is_true(low < 100 * (1 - 0.99 * jitter) and high > 100 * (1 + 0.99 * jitter))
      assert.is_true(math.abs(sum / count - 100) < 3 * jitter)
    end
  end)

  it("with a jitter is made of seed and try: the same, and others, others", function()
    local policy, seen = { initial = 100, factor = 1, jitter = 0.5 }, {}
    for n = 1, 50 do
      assert.equal(delay(policy, n, 7), delay(policy, n, 7))
      assert.is_nil(seen[delay(policy, n, 7)])
      seen[delay(policy, n, 7)] = true
    end
    assert.are_not.equal(delay(policy, 1, 7), delay(policy, 1, 8))
  end)

  it("that is none is refused", function()
    for _, wrong in ipairs { { initial = -1 }, { factor = 0.9 }, { factor = 0 / 0 }, { cap = math.huge }, { jitter = 1.5 },
      { jitter = -0.1 }, { initial = "x" } } do
      assert.is_false((pcall(delay, wrong, 1)))
    end
  end)
end)
