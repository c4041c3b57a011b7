-- step.retry: the `retry` of a step, in which words it is refused, and what it does to a run.

local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

local null = json.null

local function finding(spec)
  spec.name, spec.action = "a", spec.action or { type = "echo" }
  return refused.only(refused.steps { spec })
end

local KEYS = "cap, factor, initial, jitter, max, when"
local SPAN = 'a number of seconds or a text like "1.5s" is expected'

describe("retry is refused", function()
  for name, case in pairs {
    ["when it is a number"] = { 5, "retry", "an object is expected", "5", KEYS },
    ["when it is a list"] = { { 1, 2 }, "retry", "an object is expected", "a list", KEYS },
    ["with an unknown key"] = { { maxx = 3 }, "retry.maxx", "unknown key of a retry", nil, KEYS, "max" },
    ["when max is a decimal"] = { { max = 1.5 }, "retry.max", "a whole number is expected", "1.5" },
    ["when initial is no duration"] = { { initial = "soon" }, "retry.initial",
      'a text like "1.5s" is expected (units: ns, us, ms, s, m, h)', '"soon"' },
    ["when initial is a boolean"] = { { initial = true }, "retry.initial", SPAN, "true" },
    ["when initial is negative"] = { { initial = -1 }, "retry.initial", "0 seconds or more are expected", "-1" },
    ["when cap is shorter than initial"] = { { initial = 10, cap = "9s" }, "retry.cap",
      "the longest delay is shorter than the first one", '"9s"' },
    ["when factor is below 1"] = { { factor = 0.5 }, "retry.factor", "a number from 1 is expected", "0.5" },
    ["when factor is no number"] = { { factor = 0 / 0 }, "retry.factor", "a number from 1 is expected", tostring(0 / 0) },
    ["when factor has no end"] = { { factor = math.huge }, "retry.factor", "a number from 1 is expected", "inf" },
    ["when jitter is above 1"] = { { jitter = 1.1 }, "retry.jitter", "a number from 0 to 1 is expected", "1.1" },
    ["when jitter is a text"] = { { jitter = "10%" }, "retry.jitter", "a number from 0 to 1 is expected", '"10%"' },
    ["when `when` is a text"] = { { when = "SERVER_ERROR" }, "retry.when", "a list of states or a function of v is expected",
      '"SERVER_ERROR"', "SERVER_ERROR, TO_RETRY" },
    ["when `when` is an object"] = { { when = { a = 1 } }, "retry.when", "a list of states or a function of v is expected", "an object",
      "SERVER_ERROR, TO_RETRY" },
    ["when `when` has another state"] = { { when = { "TO_RETRY", "SERVER_EROR" } }, "retry.when[2]",
      "not a state in which an action is tried again", '"SERVER_EROR"', "SERVER_ERROR, TO_RETRY", "SERVER_ERROR" },
    ["when `when` has a state that blocks"] = { { when = { "CLIENT_ERROR" } }, "retry.when[1]",
      "not a state in which an action is tried again", '"CLIENT_ERROR"', "SERVER_ERROR, TO_RETRY" },
  } do
    it(name, function()
      local f = finding { retry = case[1] }
      assert.same({ case[2], case[3], case[4], case[5], case[6] }, { f.field, f.message, f.found, f.accepted, f.near })
    end)
  end

  it("beside a retry_pattern, and its max beside max_retries", function()
    local f = finding { retry = { max = 3 }, retry_pattern = "hours" }
    assert.same({ "retry_pattern", "a step has a retry_pattern or a retry, not both" }, { f.field, f.message })
    f = finding { retry = { max = 3 }, max_retries = 3 }
    assert.same({ "retry.max", "a step has max_retries or retry.max, not both" }, { f.field, f.message })
  end)

  it("with all that is wrong at once", function()
    local err = refused.steps { { name = "a", action = { type = "echo" }, retry_pattern = "seconds", max_retries = 1,
      retry = { max = 1, initial = "x", factor = 0, cap = -1, jitter = 2, when = { "DONE" }, more = 1 } } }
    assert.same({ "a: retry.cap", "a: retry.factor", "a: retry.initial", "a: retry.jitter", "a: retry.max", "a: retry.more",
      "a: retry.when[1]", "a: retry_pattern" }, refused.places(err))
  end)
end)

--- Runs a step that fails until its try `until`. The times of its tries, the run.
local function play(retry, options)
  options = options or {}
  local clock = step.manual_clock(1000)
  local times = {}
  local spec = { name = "a", retry = retry, max_retries = options.max_retries, conditions = options.conditions }
  spec.action = function()
    times[#times + 1] = ("%g"):format(clock.time - 1000)
    if #times < (options["until"] or math.huge) then error(options.error or "down", 0) end
  end
  local run = assert(assert(step.define { name = "x", steps = { spec } }):start { clock = clock })
  run:wait()
  return table.concat(times, " "), run
end

describe("retry", function()
  it("waits the first delay, each next one longer by the factor, up to the cap", function()
    assert.equal("0 2 8 26 56 86", (play({ initial = 2, factor = 3, cap = "30s" }, { ["until"] = 6 })))
    assert.equal("0 90 180", (play({ initial = "1m30s", factor = 1 }, { ["until"] = 3 })))
  end)

  it("is as the pattern `seconds` where it says nothing (S6.5)", function()
    assert.equal("0 10 22.5 38.125", (play({}, { ["until"] = 4 })))
    assert.equal("0 10 20", (play({ factor = 1, cap = null, jitter = null, when = null, max = null }, { ["until"] = 3 })))
    assert.equal("0 1000 2000", (play({ initial = 1000 }, { ["until"] = 3 }))) -- the first delay is the longest, too
  end)

  it("ends after max tries beside the first, and max_retries is the same (S4.1)", function()
    for _, how in ipairs { { { initial = 1, factor = 1, max = 2 } }, { { initial = 1, factor = 1 }, { max_retries = 2 } } } do
      local times, run = play(how[1], how[2])
      assert.equal("0 1 2", times)
      assert.same({ "BLOCKED_FATAL", "FATAL_ERROR", "Step reached max retries 2: down" }, { run.state, run.steps.a.state,
        run.steps.a.error })
      assert.equal(2, run.steps.a.max_retries)
    end
    assert.equal("0", (play { max = 0 })) -- D18
  end)

  it("at once means in the next resolve", function()
    local times, run = play({ initial = 0 }, { ["until"] = 3 })
    assert.same({ "0 0 0", "DONE", 3 }, { times, run.state, run.run_count })
  end)

  it("with a jitter spreads the delays, the same way in the same run", function()
    local function delays(id)
      local clock = step.manual_clock(0)
      local steps, list = {}, {}
      for i = 1, 20 do
        steps[i] = { name = "s" .. i, retry = { initial = 100, factor = 1, jitter = 0.5 }, action = function() error("no", 0) end }
      end
      local run = assert(assert(step.define { name = "x", steps = steps }):start { clock = clock, id = id })
      run:resolve()
      for i = 1, 20 do list[i] = run.steps["s" .. i].next_retry end
      return list
    end
    local first = delays "one"
    local low, high, seen, different = math.huge, 0, {}, 0
    for _, delay in ipairs(first) do
      low, high = math.min(low, delay), math.max(high, delay)
      if not seen[delay] then different = different + 1 end
      seen[delay] = true
    end
    assert.is_true(low >= 50 and high <= 150 and high - low > 50)
    assert.equal(20, different)
    assert.same(first, delays "one")
    assert.are_not.same(first, delays "two")
  end)

  it("`when`: what is not to be tried again is FATAL_ERROR at once, its error kept", function()
    local times, run = play { when = { "TO_RETRY" } }
    assert.same({ "0", "BLOCKED_FATAL", "FATAL_ERROR", "down", 1 }, { times, run.state, run.steps.a.state, run.steps.a.error,
      run.steps.a.try_count })
    times = play({ when = { "TO_RETRY" }, initial = 1, factor = 1 }, { ["until"] = 2, error = step.error.not_provisioned "later" })
    assert.equal("0 1", times)
    assert.equal("0", (play { when = {} }))
  end)

  it("`when` as a function sees the step as it failed", function()
    local seen = {}
    local times, run = play { initial = 1, factor = 1, when = function(v, state, message)
      local this = v.step.this
      assert.same({ this.state, this.error }, { state, message })
      seen[#seen + 1] = ("%s %s %d"):format(this.state, this.error, this.try_count)
      return this.try_count < 3
    end }
    assert.same({ "0 1 2", "FATAL_ERROR", "down" }, { times, run.steps.a.state, run.steps.a.error })
    assert.same({ "SERVER_ERROR down 1", "SERVER_ERROR down 2", "SERVER_ERROR down 3" }, seen)
  end)

  it("`when` that fails ends the tries, and says so", function()
    local _, run = play { when = function() error("no idea", 0) end }
    assert.same({ "FATAL_ERROR", "retry.when: no idea" }, { run.steps.a.state, run.steps.a.error })
  end)

  it("`when` is not asked about what a condition has decided (S3.3), what is no failure, or no try (D18)", function()
    local asked = 0
    local function when() asked = asked + 1 return false end
    local function always() return true end
    local _, run = play({ when = when }, { conditions = {
      { type = "check", states = { "SERVER_ERROR" }, ["if"] = always, ["then"] = { this = "DONE" } } } })
    assert.equal("DONE", run.state)
    _, run = play({ when = when }, { error = step.error.bad_request "wrong" })
    assert.equal("CLIENT_ERROR", run.steps.a.state)
    _, run = play({ when = when }, { ["until"] = 1 })
    assert.equal("DONE", run.state)
    local clock = step.manual_clock(0)
    local engine <close> = step.engine { clock = clock, resource_limits = { gone = 0 } }
    engine:add(assert(step.define { name = "x", steps = { { name = "a", resources = { "gone" }, retry = { when = when },
      action = function() end } } }))
    run = engine:start "x"
    run:resolve()
    assert.equal("TO_RETRY", run.steps.a.state)
    assert.equal(0, asked)
  end)

  it("of a foreach step is that of its children (D14)", function()
    local clock = step.manual_clock(0)
    local tries = {}
    local run = assert(assert(step.define { name = "x", steps = { { name = "a", foreach = function() return { "p", "q" } end,
      tolerate = 1, retry = { initial = 7, max = 1, when = function(v) return v.iterator == "p" end },
      action = function(v)
        tries[#tries + 1] = ("%s%g"):format(v.iterator, clock.time)
        error("no", 0)
      end } } }):start { clock = clock })
    run:resolve()
    assert.same({ 7, "FATAL_ERROR" }, { run.steps["a-0"].next_retry, run.steps["a-1"].state })
    clock.advance(7)
    run:resolve_as(true)
    assert.equal("p0 q0 p7", table.concat(tries, " "))
  end)

  it("comes back with an exported run; a function in it is no data", function()
    local def = assert(step.define { name = "x", steps = { { name = "a",
      retry = { initial = 5, max = 1, jitter = 0.1, when = { "TO_RETRY" } },
      action = { type = "echo", configuration = { error_type = "server", error_message = "e" } } } } })
    local clock = step.manual_clock(0)
    local exported = assert(assert(def:start { clock = clock }):export())
    assert.same({ initial = 5, max = 1, jitter = 0.1, when = json.array { "TO_RETRY" } }, exported.steps.a.retry)
    local again = assert(step.restore(exported, nil, { clock = clock }))
    again:resolve()
    assert.equal("FATAL_ERROR", again.steps.a.state)
    def = assert(step.define { name = "x", steps = { { name = "a", action = { type = "echo" },
      retry = { when = function() end } } } })
    local _, err = step.restore(assert(def:start()):export())
    assert.equal("definition", err.kind)
  end)
end)
