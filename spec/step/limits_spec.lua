-- step.limits: the option resource_limits of an engine, in which words it is refused and what it does (S4.4).

local limits = require "step.limits"
local step = require "step"

describe("resource_limits", function()
  for name, case in pairs {
    ["no table"] = { 5, "a table from names to limits expected, got 5" },
    ["a limit without a name"] = { { 3 }, "the name of a resource expected, got 1" },
    ["a negative limit"] = { { a = -1 }, "a = -1; a whole number from 0, or { limit = count, per = seconds }, expected" },
    ["a decimal"] = { { a = 1.5 }, "a = 1.5; a whole number from 0, or { limit = count, per = seconds }, expected" },
    ["a text"] = { { a = "1" }, "a = 1; a whole number from 0, or { limit = count, per = seconds }, expected" },
    ["more than can be counted"] = { { a = 1 << 32 },
      "a = 4294967296; a whole number from 0, or { limit = count, per = seconds }, expected" },
    ["an unknown key"] = { { a = { limits = 1, per = 1 } },
      "a: unknown key 'limits'; accepted: concurrent, limit, per (did you mean 'limit'?)" },
    ["a rate without a limit"] = { { a = { per = 1 } }, "a: limit: a whole number from 0 to 1000000 expected, got nil" },
    ["a rate too large to be kept"] = { { a = { limit = 1000001, per = 1 } },
      "a: limit: a whole number from 0 to 1000000 expected, got 1000001" },
    ["a rate without a period"] = { { a = { limit = 1 } }, "a: per: a number of seconds or a text like \"1.5s\" is expected, got nil" },
    ["a period of nothing"] = { { a = { limit = 1, per = 0 } }, "a: per: more than 0 seconds are expected, got 0" },
    ["a negative period"] = { { a = { limit = 1, per = "-1s" } }, 'a: per: more than 0 seconds are expected, got "-1s"' },
    ["an endless period"] = { { a = { limit = 1, per = math.huge } }, "a: per: not a number, got inf" },
    ["concurrent that is no count"] = { { a = { limit = 1, per = 1, concurrent = 0.5 } },
      "a: concurrent: a whole number from 0 expected, got 0.5" },
  } do
    it("refuses " .. name, function()
      assert.equal(case[2], limits.problem(case[1]))
      assert.error(function() step.engine { resource_limits = case[1] } end, ("bad option 'resource_limits' (%s)"):format(case[2]))
    end)
  end

  it("accepts counts, rates and both, periods as texts, too", function()
    local all = { a = 0, b = 3, c = { limit = 10, per = 60 }, d = { limit = 0, per = 0.5 }, e = { limit = 5, per = "1m", concurrent = 2 } }
    assert.is_nil(limits.problem(all))
    assert.is_nil(limits.problem(nil))
    local engine <close> = step.engine { resource_limits = all }
    assert.is_truthy(engine)
  end)
end)

--- Steps that need a resource and take a second each; when they started.
local function starts(limit, count)
  local clock = step.manual_clock(0)
  local engine <close> = step.engine { clock = clock, resource_limits = { api = limit }, acquire_timeout = 10000 }
  local times, steps = {}, {}
  for i = 1, count do
    steps[i] = { name = "s" .. i, resources = { "api" }, action = { type = "lua", configuration = { fn = function(_, ctx)
      times[#times + 1] = ("%g"):format(clock.time)
      ctx:sleep(1)
    end } } }
  end
  engine:add(assert(step.define { name = "x", steps = steps }))
  assert.equal("DONE", engine:start("x"):resolve())
  return table.concat(times, " ")
end

describe("a rate as an option", function()
  it("lets so many start in a period", function()
    assert.equal("0 0 0 60 60 60 120", starts({ limit = 3, per = 60 }, 7))
    assert.equal("0 0 0 60 60 60 120", starts({ limit = 3, per = "1m" }, 7))
  end)

  it("with concurrent: and no more beside each other", function()
    assert.equal("0 1 2 60 61 62 120", starts({ limit = 3, per = 60, concurrent = 1 }, 7))
    assert.equal("0 0 1 60 60 61 120", starts({ limit = 3, per = 60, concurrent = 2 }, 7))
  end)
end)
