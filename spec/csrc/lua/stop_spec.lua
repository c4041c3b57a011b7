-- csrc/lua/stop.c and its part of loop.c and exec.c: time-outs, deadlines, cancel and pause of a run that is RUNNING, the count hook.

local random_graph = require "spec.support.random_graph"
local step = require "step"

local kinds = 0

--- An action that is a runner's exec(ctx).
local function exec(fn)
  kinds = kinds + 1
  local kind = "stop-spec" .. kinds
  assert(step.register_runner(kind, function(_, _, _, ctx) return fn(ctx) end))
  return { type = kind }
end

local function nothing() end

local function sleeper(seconds, result) return exec(function(ctx) ctx:sleep(seconds) return result or "slept" end) end

--- A run of steps, and its clock, which shows 100.
local function start(steps, more, options)
  local document = { name = "stop", steps = steps }
  for key, value in pairs(more or {}) do document[key] = value end
  options = options or {}
  options.clock = options.clock or step.manual_clock(100)
  return assert(assert(step.define(document)):start(options)), options.clock
end

--- "a=DONE b=TODO", in order of the names.
local function states(run)
  local list = {}
  for name, s in pairs(run.steps) do list[#list + 1] = name .. "=" .. s.state end
  table.sort(list)
  return table.concat(list, " ")
end

--- A clock that goes on by a quarter of a second whenever somebody looks: time passes with the looks of the count hook, as fast on
--- any machine.
local function looks()
  local time = 100
  return function()
    time = time + 0.25
    return time
  end
end

local function closer(log) return setmetatable({}, { __close = function(_, problem) log[#log + 1] = tostring(problem) end }) end

local CANCELLED = "stopped: the run was cancelled"

describe("the timeout of a step that is WAITING between its turns", function()
  --- An action that says each time that it waits for somebody, until it is told; and the times of its turns.
  local function waiter(clock, again)
    local turns, told = {}, {}
    return exec(function(ctx)
      turns[#turns + 1] = { clock.time, ctx.deadline, ctx.attempt }
      if told[1] then return told[1] end
      return nil, { turn = #turns }, nil, step.error.new("not_assigned", "waits for Ann", { again = again and again() })
    end), turns, told
  end

  it("counts from the first: the run is due then, and the step fails with a try", function()
    local clock = step.manual_clock(100)
    local action, turns = waiter(clock)
    local run = start({ { name = "a", timeout = 60, action = action } }, nil, { clock = clock })
    assert.equal("WAITING", run:resolve())
    assert.same({ 160, "waits for Ann", 0 }, { run.next_retry, run.steps.a.error, run.steps.a.try_count })
    clock.advance(59)
    assert.equal("WAITING", run:resolve())
    assert.equal(160, run.next_retry)
    clock.advance(1)
    assert.equal("ERROR", run:resolve())
    assert.same({ "SERVER_ERROR", "timed out after 60s: waits for Ann", 1 },
      { run.steps.a.state, run.steps.a.error, run.steps.a.try_count })
    assert.same({ turn = #turns }, run.steps.a.metadata)
    for _, turn in ipairs(turns) do assert.same({ 160, 1 }, { turn[2], turn[3] }) end
    assert.same(160, turns[#turns][1])
  end)

  it("is looked for while others are at work", function()
    local clock = step.manual_clock(100)
    local run = start({
      { name = "a", timeout = 60, max_retries = 0, action = (waiter(clock)) },
      { name = "b", action = exec(function(ctx)
        ctx:sleep(61)
        return ctx.run.steps.a.state
      end) },
    }, nil, { clock = clock })
    run:resolve()
    assert.equal("SERVER_ERROR", run.steps.b.output)
  end)

  it("what names a time that is over has its turn in the next resolve, not without end in this one", function()
    local clock = step.manual_clock(100)
    local action, turns = waiter(clock, function() return clock.time end)
    local run = start({ { name = "a", timeout = 60, action = action }, { name = "b", action = sleeper(5) } }, nil, { clock = clock })
    assert.equal("WAITING", run:resolve())
    assert.equal(2, #turns) -- S6.3
  end)

  it("a result that is there at the last look is taken", function()
    local clock = step.manual_clock(100)
    local action, _, told = waiter(clock)
    local run = start({ { name = "a", timeout = 60, action = action } }, nil, { clock = clock })
    run:resolve()
    told[1] = "here"
    clock.advance(1000)
    assert.equal("DONE", run:resolve())
    assert.equal("here", run.steps.a.output)
  end)

  it("the next attempt has a time of its own", function()
    local clock = step.manual_clock(100)
    local action, turns = waiter(clock)
    local run = start({ { name = "a", timeout = 60, retry = { max = 1, initial = 10 }, action = action } }, nil, { clock = clock })
    run:resolve()
    clock.advance(60)
    run:resolve()
    assert.equal(170, run.next_retry)
    clock.advance(10)
    assert.equal("WAITING", run:resolve())
    assert.same({ 170, 230, 2 }, turns[#turns])
    clock.advance(60)
    run:resolve()
    assert.same({ "SERVER_ERROR", 2 }, { run.steps.a.state, run.steps.a.try_count })
  end)

  it("a turn that takes its time has what is left", function()
    local clock = step.manual_clock(100)
    local first = true
    local run = start({ { name = "a", timeout = 60, action = exec(function(ctx)
      if not first then ctx:sleep(30) end
      first = false
      error(step.error.new("not_assigned", "not yet", { again = 140 }))
    end) } }, nil, { clock = clock })
    run:resolve() -- and once more when nothing else is to be done (S6.3)
    assert.same({ 160 - 30, "WAITING" }, { clock.time, run.steps.a.state })
    clock.advance(10)
    run:resolve()
    assert.same({ 160, "timed out after 60s" }, { clock.time, run.steps.a.error })
  end)

  it("looks when the action wants to, if that is sooner", function()
    local clock = step.manual_clock(100)
    local run = start({ { name = "a", timeout = 60, action = (waiter(clock, function() return clock.time + 25 end)) } }, nil,
      { clock = clock })
    for _, at in ipairs { 125, 150, 160 } do
      run:resolve()
      assert.equal(at, run.next_retry)
      clock.advance(at - clock.time)
    end
    run:resolve()
    assert.equal("SERVER_ERROR", run.steps.a.state)
  end)

  it("is in what is exported, and holds after a restart", function()
    local clock = step.manual_clock(100)
    local run = start({ { name = "a", timeout = 60, action = (waiter(clock)) } }, nil, { clock = clock })
    run:resolve()
    local exported = run:export()
    assert.equal("1970-01-01T00:02:40Z", exported.steps.a.expires)
    clock.advance(30)
    run = assert(step.restore(exported, nil, { clock = clock }))
    run:resolve()
    assert.equal(160, run.next_retry)
    clock.advance(30)
    run:resolve()
    assert.equal("timed out after 60s: waits for Ann", run.steps.a.error)
    assert.is_nil(run:export().steps.a.expires)
  end)

  it("a step that is begun from the beginning has all of it", function()
    local clock = step.manual_clock(100)
    local run = start({ { name = "a", timeout = 60, action = (waiter(clock)) } }, nil, { clock = clock })
    run:resolve()
    clock.advance(30)
    run:retry { from = "a" }
    run:resolve()
    assert.equal(190, run.next_retry)
  end)

  it("bounds a pre_hook that waits after the action has waited", function()
    local clock = step.manual_clock(100)
    local hook, action = 0, waiter(clock)
    local run = start({ { name = "a", timeout = 60, action = action, pre_hook = exec(function()
      hook = hook + 1
      if hook > 2 then error(step.error.not_assigned "hook waits") end
    end) } }, nil, { clock = clock })
    run:resolve()
    run:resolve()
    assert.same({ 160, "prehook: hook waits" }, { run.next_retry, run.steps.a.error })
    clock.advance(60)
    run:resolve()
    assert.same({ "timed out after 60s: prehook: hook waits", 1 }, { run.steps.a.error, run.steps.a.try_count })
  end)

  it("the policy of its retries is asked", function()
    local clock = step.manual_clock(100)
    local run = start({ { name = "a", timeout = 60, action = (waiter(clock)),
      retry = { when = function(_, _, message) return not message:find "timed out" end } } }, nil, { clock = clock })
    run:resolve()
    clock.advance(60)
    assert.equal("BLOCKED_FATAL", run:resolve())
  end)
end)

describe("a step's timeout", function()
  it("ends an attempt that waits: SERVER_ERROR, a try, its closing variables closed", function()
    local log = {}
    local run, clock = start { { name = "a", timeout = 5, action = exec(function(ctx)
      local _ <close> = closer(log)
      ctx:sleep(10)
      log[#log + 1] = "went on"
    end) } }
    assert.equal("ERROR", run:resolve())
    assert.same({ 105, "SERVER_ERROR", "timed out after 5s", 1 },
      { clock.time, run.steps.a.state, run.steps.a.error, run.steps.a.try_count })
    assert.same({ "nil" }, log) -- closed by nobody's error
    assert.is_not_nil(run.next_retry)
  end)

  it("is retried by the ordinary rules, up to max_retries", function()
    local run = start { { name = "a", timeout = "1s", max_retries = 2, action = sleeper(2) } }
    assert.equal("BLOCKED_FATAL", run:wait())
    assert.same({ 3, "Step reached max retries 2: timed out after 1s" }, { run.steps.a.try_count, run.steps.a.error })
  end)

  it("is per attempt, and cannot be caught", function()
    local run, clock = start { { name = "a", timeout = "1m30s", action = exec(function(ctx)
      while true do pcall(ctx.sleep, ctx, 7) end
    end) } }
    run:resolve()
    assert.same({ 190, "timed out after 90s" }, { clock.time, run.steps.a.error })
  end)

  it("does not hurt one that is in time, nor the next step on the same coroutine", function()
    local run, clock = start {
      { name = "a", timeout = 5, action = sleeper(4) }, { name = "b", dependencies = { "a" }, action = sleeper(20) },
      { name = "c", dependencies = { "b" }, timeout = 3, action = sleeper(2) },
    }
    assert.equal("DONE", run:resolve())
    assert.equal(126, clock.time)
  end)

  it("counts from the action's start, not while it is delayed or waits for a resource", function()
    local clock = step.manual_clock(100)
    local engine <close> = step.engine { clock = clock, resource_limits = { r = 1 } }
    engine:add(assert(step.define { name = "d", steps = {
      { name = "a", resources = { "r" }, action = sleeper(30) },
      { name = "b", resources = { "r" }, execution_delay = "2s", timeout = 4, action = sleeper(3) },
    } }))
    local run = engine:start "d"
    assert.equal("DONE", run:resolve())
    assert.equal(133, clock.time)
  end)

  it("holds for the pre_hook by itself: its failure is retried with the step (D19)", function()
    local ok = start { { name = "a", timeout = 5, pre_hook = sleeper(4), action = sleeper(4) } }
    assert.equal("DONE", ok:resolve())
    local run, clock = start { { name = "a", timeout = 5, pre_hook = sleeper(6), action = sleeper(1) } }
    assert.equal("ERROR", run:resolve())
    assert.same({ 105, "SERVER_ERROR", "prehook: timed out after 5s", 0 },
      { clock.time, run.steps.a.state, run.steps.a.error, run.steps.a.try_count })
  end)

  it("is the children's of a foreach step (D14)", function()
    local run = start { { name = "f", foreach = function() return { 1, 9 } end, timeout = 5, action = { type = "lua", configuration = {
      args = { n = "{{.iterator}}" }, fn = function(args, ctx) ctx:sleep(tonumber(args.n)) return "in time" end } } } }
    assert.equal("ERROR", run:resolve())
    assert.same({ "in time", "timed out after 5s" }, { run.steps["f-0"].output, run.steps["f-1"].error })
  end)

  it("can be judged by check conditions that name SERVER_ERROR (D13)", function()
    local run = start { { name = "a", timeout = 5, custom_states = { "LATE" }, action = sleeper(6), conditions = { { type = "check",
      states = { "SERVER_ERROR" }, ["if"] = function(v) return v.step.this.error:find "timed out" ~= nil end,
      ["then"] = { this = "LATE" } } } } }
    assert.equal("DONE", run:resolve())
    assert.equal("LATE", run.steps.a.state)
  end)

  it("gives the resources back", function()
    local clock = step.manual_clock(100)
    local engine <close> = step.engine { clock = clock, resource_limits = { r = 1 } }
    engine:add(assert(step.define { name = "d", steps = {
      { name = "a", resources = { "r" }, timeout = 5, action = sleeper(50) }, { name = "b", resources = { "r" }, action = sleeper(1) },
    } }))
    local run = engine:start "d"
    assert.equal("ERROR", run:resolve())
    assert.equal("a=SERVER_ERROR b=DONE", states(run))
    assert.equal(106, clock.time)
  end)

  it("a late result is discarded", function()
    local resume
    local run = start {
      { name = "a", timeout = 5, action = exec(function(ctx) return ctx:await(function(r) resume = r end) end) },
      { name = "b", action = exec(function(ctx) ctx:sleep(6) resume "late" ctx:sleep(1) end) },
    }
    assert.equal("ERROR", run:resolve())
    assert.same({ nil, "timed out after 5s" }, { run.steps.a.output, run.steps.a.error })
    resume "later still"
  end)

  it("a result of the same tick counts", function()
    local resume
    local clock = step.manual_clock(100)
    local run = start({
      { name = "a", timeout = 5, action = exec(function(ctx) return ctx:await(function(r) resume = r end) end) },
      { name = "b", action = exec(function(ctx) ctx:sleep(4) clock.advance(1) resume "just" end) },
    }, nil, { clock = clock })
    assert.equal("DONE", run:resolve())
    assert.same({ "just", 105 }, { run.steps.a.output, clock.time })
  end)

  it("of which the action hears too late, that waits once more, does not count", function()
    local resume
    local clock = step.manual_clock(100)
    local run = start({
      { name = "a", timeout = 5, action = exec(function(ctx)
        local got = ctx:await(function(r) resume = r end)
        ctx:sleep(0)
        return got
      end) },
      { name = "b", action = exec(function(ctx) ctx:sleep(4) clock.advance(1) resume "just" end) },
    }, nil, { clock = clock })
    assert.equal("ERROR", run:resolve())
    assert.equal("timed out after 5s", run.steps.a.error)
  end)

  it("holds for the loop's many steps, each by its own", function()
    local steps = {}
    for i = 1, 200 do
      steps[i] = { name = "s" .. i, timeout = i % 7 + 1, action = sleeper(i % 5 + 1.5) }
    end
    local run = start(steps)
    run:resolve()
    for i = 1, 200 do
      assert.equal(i % 5 + 1.5 < i % 7 + 1 and "DONE" or "SERVER_ERROR", run.steps["s" .. i].state)
    end
  end)
end)

describe("ctx.deadline", function()
  local function seen(s, more, options)
    local got
    s.name, s.action = "a", exec(function(ctx) got = ctx.deadline end)
    start({ s }, more, options):resolve()
    return got
  end
  it("is when the attempt is over", function() assert.equal(105, seen { timeout = 5 }) end)
  it("or the run, if earlier", function()
    assert.equal(103, seen({ timeout = 5 }, { deadline = 3 }))
    assert.equal(105, seen({ timeout = 5 }, { deadline = "7s" }))
    assert.equal(102, seen({}, nil, { deadline = 2 }))
  end)
  it("nil when there is none", function() assert.is_nil(seen {}) end)
  it("of a step that cleans up is its own", function() assert.is_nil(seen({ always = true }, { deadline = 3 })) end)
end)

describe("the count hook", function()
  local function spin() while true do end end
  local ENDLESS = {
    ["a loop"] = spin,
    ["a loop that catches"] = function() while true do pcall(spin) end end,
    ["many that catch"] = function() while true do pcall(pcall, pcall, pcall, spin) end end,
    ["a coroutine.wrap"] = function() coroutine.wrap(spin)() end,
    ["coroutines without end"] = function() while true do coroutine.resume(coroutine.create(spin)) end end,
    ["a coroutine that catches"] = function() coroutine.wrap(function() while true do pcall(spin) end end)() end,
    ["a callback of C"] = function() (("x"):rep(9)):gsub("x", spin) end,
    ["an iterator"] = function() for _ in spin do nothing() end end,
    ["a closing variable"] = function() do local _ <close> = setmetatable({}, { __close = spin }) end end,
    ["what has closing variables without end"] = function()
      local _ <close> = setmetatable({}, { __close = spin })
      local _ <close> = setmetatable({}, { __close = spin })
      spin()
    end,
    ["a callback that catches"] = function() (("x"):rep(9)):gsub("x", function() while true do pcall(spin) end end) end,
    ["a wait that is caught"] = function(ctx)
      while true do pcall(function() ctx:sleep(0) spin() end) end
    end,
  }
  for name, fn in pairs(ENDLESS) do
    it("stops " .. name .. " at the step's time-out and at the run's deadline", function()
      for _ = 1, 2 do -- the second time on a coroutine that has seen it
        local run <close> = start({ { name = "a", timeout = 10, action = exec(fn) } }, nil, { clock = looks() })
        assert.equal("ERROR", run:resolve())
        assert.same({ "SERVER_ERROR", "timed out after 10s", 1 }, { run.steps.a.state, run.steps.a.error, run.steps.a.try_count })
        local other <close> = start({ { name = "a", action = exec(fn) } }, nil, { clock = looks(), deadline = 10 })
        assert.equal("CANCELLED", other:resolve())
        assert.same({ "TO_RETRY", "stopped: the run's deadline has passed", 0 },
          { other.steps.a.state, other.steps.a.error, other.steps.a.try_count })
      end
    end)
  end

  it("goes by the run's clock", function()
    local clock, n = step.manual_clock(100), 0
    local run = start({ { name = "a", timeout = 5, action = function()
      while true do
        n = n + 1
        if n % 1000 == 0 then clock.advance(0.1) end
      end
    end } }, nil, { clock = clock })
    assert.equal("ERROR", run:resolve())
    assert.equal("timed out after 5s", run.steps.a.error)
    assert.is_true(n >= 50000 and n < 70000)
  end)

  it("closes what the action has open, and an error in that is not the step's", function()
    local clock, log = step.manual_clock(100), {}
    local run = start({ { name = "a", timeout = 5, action = function()
      local _ <close> = setmetatable({}, { __close = function() error "no" end })
      local _ <close> = closer(log)
      pcall(function() clock.advance(6) spin() end)
      log[1] = "caught"
    end } }, nil, { clock = clock })
    assert.equal("ERROR", run:resolve())
    assert.same({ { "nil" }, "timed out after 5s" }, { log, run.steps.a.error })
  end)

  it("lets closing variables of a failing action work, but not for ever", function()
    local worked = 0
    local run = start { { name = "a", timeout = 5, action = function()
      local _ <close> = setmetatable({}, { __close = spin })
      local _ <close> = setmetatable({}, { __close = function() for _ = 1, 100000 do worked = worked + 1 end end })
      error("begin", 0)
    end } }
    assert.equal("ERROR", run:resolve())
    assert.same({ 100000, "begin" }, { worked, run.steps.a.error })
  end)

  it("an action that is told in a coroutine of its own and returns all the same has timed out", function()
    local clock = step.manual_clock(100)
    local run = start({ { name = "a", timeout = 5, action = function()
      return coroutine.wrap(function()
        local ok, problem = pcall(function() clock.advance(6) spin() end)
        return { ok, tostring(problem), problem.kind }
      end)()
    end } }, nil, { clock = clock })
    assert.equal("ERROR", run:resolve())
    assert.same({ { false, "timed out after 5s", "timeout" }, "timed out after 5s" }, { run.steps.a.output, run.steps.a.error })
  end)

  it("one that was not told, because it is in C or short, is judged by what it returns", function()
    local clock = step.manual_clock(100)
    local run = start({ { name = "a", timeout = 5, action = function() clock.advance(60) return 1 end } }, nil, { clock = clock })
    assert.equal("DONE", run:resolve())
  end)

  it("is there while an action with a limit is at work, and at no other time", function()
    local hooks = {}
    local function look(name) return function() hooks[name] = { debug.gethook() } end end
    local run = start({
      { name = "a", action = look "plain" }, { name = "b", timeout = 5, action = look "limited" },
      { name = "c", dependencies = { "b" }, action = look "after" },
    })
    assert.equal("DONE", run:resolve())
    assert.same({ {}, { "external hook", "", 10000 }, {} }, { hooks.plain, hooks.limited, hooks.after })
    start({ { name = "a", action = look "deadline" } }, { deadline = 5 }):resolve()
    assert.equal("external hook", hooks.deadline[1])
  end)

  it("leaves a debugger's hooks on other coroutines alone, and gives back the one it took the place of", function()
    local lines, seen = 0, nil
    local co = coroutine.create(function() for _ = 1, 10 do nothing() end end)
    debug.sethook(co, function() lines = lines + 1 end, "l")
    local run = start {
      { name = "a", action = function() debug.sethook(nothing, "", 77) end },
      { name = "b", dependencies = { "a" }, timeout = 5, action = function()
        seen = { select(3, debug.gethook()) }
        coroutine.resume(co)
      end },
      { name = "c", dependencies = { "b" }, action = function()
        seen[2], seen[3] = select(3, debug.gethook()), debug.gethook() == nothing
        debug.sethook()
      end },
    }
    assert.equal("DONE", run:resolve())
    assert.same({ 10000, 77, true }, seen)
    assert.is_true(lines > 10)
  end)

  it("stops nobody else: neither a run that an action resolves, nor a coroutine that outlives it", function()
    local clock, kept = step.manual_clock(100), nil
    local function work() for _ = 1, 100000 do nothing() end return "worked" end
    local run = start({
      { name = "a", timeout = 5, action = function()
        kept = coroutine.create(function() coroutine.yield() return work() end)
        coroutine.resume(kept)
        local other = start { { name = "o", action = work } }
        clock.advance(4)
        return { other:resolve(), other.steps.o.output }
      end },
      { name = "b", dependencies = { "a" }, action = function() return select(2, coroutine.resume(kept)) end },
    }, nil, { clock = clock })
    assert.equal("DONE", run:resolve())
    assert.same({ { "DONE", "worked" }, "worked" }, { run.steps.a.output, run.steps.b.output })
  end)
end)

describe("run:cancel of a RUNNING run", function()
  --- A run in which step `z` cancels it after a second.
  local function cancelled(steps, how, options)
    local run, clock
    steps[#steps + 1] = { name = "z", action = exec(function(ctx)
      ctx:sleep(1)
      assert(run[how or "cancel"](run))
    end) }
    run, clock = start(steps, nil, options)
    local state = run:resolve()
    return run, state, clock
  end

  it("stops what waits: an error of the kind 'cancelled' out of ctx:sleep and ctx:await, TO_RETRY without a try", function()
    local log, closed = {}, {}
    local function waiting(how)
      return exec(function(ctx)
        local _ <close> = closer(closed)
        local ok, problem = pcall(how, ctx)
        log[#log + 1] = { ok, problem.kind, tostring(problem), ctx.cancelled }
        error(problem)
      end)
    end
    local run, state, clock = cancelled {
      { name = "a", action = waiting(function(ctx) ctx:sleep(9) end) },
      { name = "b", action = waiting(function(ctx) ctx:await(function() end) end) },
      { name = "c", dependencies = { "a" }, action = nothing },
    }
    assert.equal("CANCELLED", state)
    assert.equal(101, clock.time)
    assert.equal("a=TO_RETRY b=TO_RETRY c=TODO z=DONE", states(run))
    for _, name in ipairs { "a", "b" } do
      assert.same({ CANCELLED, 0 }, { run.steps[name].error, run.steps[name].try_count })
    end
    assert.same({ { false, "cancelled", CANCELLED, true }, { false, "cancelled", CANCELLED, true } }, log)
    assert.same({ CANCELLED, CANCELLED }, closed)
    assert.is_nil(run.error)
    assert.is_nil(run.steps.a.resource_count)
  end)

  it("a runner may catch it and clean up, and what it returns then does not count", function()
    local again
    local run, state = cancelled { { name = "a", action = exec(function(ctx)
      pcall(ctx.sleep, ctx, 9)
      local ok, problem = pcall(ctx.sleep, ctx, 9)
      again = { ok, problem.kind }
      return "cleaned up"
    end) } }
    assert.same({ "CANCELLED", "TO_RETRY", CANCELLED }, { state, run.steps.a.state, run.steps.a.error })
    assert.is_nil(run.steps.a.output)
    assert.same({ false, "cancelled" }, again) -- a second wait throws again
  end)

  it("one that catches it for ever is unwound in the end", function()
    local n, closed = 0, {}
    local run, state = cancelled { { name = "a", action = exec(function(ctx)
      local _ <close> = closer(closed)
      while true do
        pcall(ctx.await, ctx, function() end)
        n = n + 1
      end
    end) } }
    assert.same({ "CANCELLED", "TO_RETRY", 1, true }, { state, run.steps.a.state, #closed, n < 1000 })
  end)

  it("code that does not wait goes on to its end", function()
    local run, seen
    run = start { { name = "a", action = exec(function(ctx)
      local before = ctx.cancelled
      run:cancel()
      seen = { before, ctx.cancelled }
      return "done"
    end) } }
    assert.equal("CANCELLED", run:resolve())
    assert.same({ "DONE", "done", { false, true } }, { run.steps.a.state, run.steps.a.output, seen })
  end)

  it("and is stopped where it waits then", function()
    for _, wait in ipairs { function(ctx) ctx:sleep(1) end, function(ctx) ctx:await(function() end) end } do
      local run
      run = start { { name = "a", action = exec(function(ctx) run:cancel() wait(ctx) return "no" end) } }
      assert.equal("CANCELLED", run:resolve())
      assert.same({ "TO_RETRY", CANCELLED }, { run.steps.a.state, run.steps.a.error })
    end
    local run
    run = start { { name = "a", action = exec(function(ctx) -- while it is about to wait
      return ctx:await(function() run:cancel() end)
    end) } }
    assert.equal("CANCELLED", run:resolve())
    assert.equal(CANCELLED, run.steps.a.error)
    run = start { { name = "a", action = exec(function(ctx) -- what it waits for is there
      return ctx:await(function(resume) run:cancel() resume "got" end)
    end) } }
    assert.equal("CANCELLED", run:resolve())
    assert.equal("got", run.steps.a.output)
  end)

  it("stops what is delayed or waits for a resource, before its action", function()
    local clock, ran = step.manual_clock(100), {}
    local engine <close> = step.engine { clock = clock, resource_limits = { r = 1 } }
    local run
    local function runs(name) return function() ran[#ran + 1] = name end end
    engine:add(assert(step.define { name = "d", steps = {
      { name = "a", resources = { "r" }, action = sleeper(9) }, { name = "b", resources = { "r" }, action = runs "b" },
      { name = "c", execution_delay = "5s", action = runs "c" },
      { name = "d", execution_delay = "1s", pre_hook = nothing, action = runs "d" },
      { name = "e", pre_hook = function() run:cancel() end, execution_delay = "3s", action = runs "e" },
      { name = "f", pre_hook = exec(function(ctx) ctx:sleep(0) end), action = runs "f" },
    } }))
    run = engine:start "d"
    assert.equal("CANCELLED", run:resolve())
    assert.equal("a=TO_RETRY b=TO_RETRY c=TO_RETRY d=TO_RETRY e=TO_RETRY f=TODO", states(run))
    assert.same({}, ran)
    assert.equal(100, clock.time)
    local after = assert(step.define { name = "after", steps = { { name = "x", resources = { "r" }, action = nothing } } })
    engine:add(after)
    assert.equal("DONE", engine:start("after"):resolve()) -- the resource is free
  end)

  it("a result that has come is not taken away", function()
    local resume, run
    run = start {
      { name = "a", action = exec(function(ctx) return ctx:await(function(r) resume = r end) end) },
      { name = "b", action = function() resume "there" run:cancel() end },
    }
    assert.equal("CANCELLED", run:resolve())
    assert.same({ "DONE", "there" }, { run.steps.a.state, run.steps.a.output })
  end)

  it("a state set meanwhile is kept (D8)", function()
    local run
    run = start {
      { name = "a", action = sleeper(9) },
      { name = "b", action = function() run:set_state("a", "PRUNE", "not needed") run:cancel() end },
    }
    assert.equal("CANCELLED", run:resolve())
    assert.same({ "PRUNE", "not needed" }, { run.steps.a.state, run.steps.a.error })
  end)

  it("works on a run that waits for what never comes", function()
    local run = start { { name = "a", action = exec(function(ctx) ctx:await(function() end) end) } }
    assert.is_nil((run:resolve()))
    assert.equal("RUNNING", run.state)
    assert.is_true(run:cancel())
    assert.equal("CANCELLED", run:wait())
    assert.equal("TO_RETRY", run.steps.a.state)
  end)

  it("works from a listener, and from one that hears of the cancelled step", function()
    local run
    run = start { { name = "a", action = sleeper(3) }, { name = "b", dependencies = { "a" }, action = nothing } }
    run:on("transition", function(event)
      if event.step == "a" then run:cancel() end -- when it starts, and when it has been stopped
    end)
    assert.equal("CANCELLED", run:resolve())
    assert.equal("a=TO_RETRY b=TODO", states(run))
  end)

  it("stops in the way of its time-out nothing twice", function()
    local run, state = cancelled { { name = "a", timeout = 1, action = sleeper(9) }, { name = "b", timeout = 1, idempotent = true,
      action = exec(function(ctx) pcall(ctx.sleep, ctx, 0.5) pcall(ctx.sleep, ctx, 9) end) } }
    assert.equal("CANCELLED", state)
    assert.same({ "timed out after 1s", "timed out after 1s" }, { run.steps.a.error, run.steps.b.error })
  end)

  it("children of a foreach step are stopped like steps", function()
    local run, state = cancelled { { name = "f", foreach = function() return { 1, 2 } end, action = sleeper(9) } }
    assert.equal("CANCELLED", state)
    assert.equal("f-0=TO_RETRY f-1=TO_RETRY f=EXPANDED z=DONE", states(run))
  end)

  it("a pause stops what is idempotent and lets the rest end; nothing is lost and nothing done twice", function()
    local counts = { a = 0, b = 0 }
    local function counting(name)
      return exec(function(ctx)
        counts[name] = counts[name] + 1
        local told = ctx.cancelled
        local ok = pcall(ctx.sleep, ctx, 9)
        return { told, ok, ctx.cancelled }
      end)
    end
    local run, state, clock = cancelled({
      { name = "a", action = counting "a" }, { name = "b", idempotent = true, action = counting "b" },
      { name = "c", dependencies = { "a", "b" }, action = nothing },
    }, "pause")
    assert.equal("PAUSED", state)
    assert.equal(109, clock.time)
    assert.equal("a=DONE b=TO_RETRY c=TODO z=DONE", states(run))
    assert.same({ { false, true, false }, "stopped: the run was paused", 0 },
      { run.steps.a.output, run.steps.b.error, run.steps.b.try_count })
    run:resume()
    assert.equal("DONE", run:wait()) -- due at once
    assert.same({ a = 1, b = 2 }, counts)
  end)

  it("a pause lets nothing begin that waits for a resource or a delay, whether it could be done again or not", function()
    local counts = { a = 0, b = 0, c = 0, d = 0, hook = 0 }
    local function counting(name)
      return exec(function(ctx)
        counts[name] = counts[name] + 1
        ctx:sleep(2)
      end)
    end
    local engine <close> = assert(step.engine { clock = step.manual_clock(100), resource_limits = { r = 1 } })
    local run, state = cancelled({
      { name = "a", resources = { "r" }, action = counting "a" },
      { name = "b", resources = { "r" }, action = counting "b" },
      { name = "c", execution_delay = "3s", action = counting "c" },
      { name = "d", execution_delay = "3s", pre_hook = function() counts.hook = counts.hook + 1 end, action = counting "d" },
    }, "pause", { loop = engine.loop })
    assert.equal("PAUSED", state)
    assert.equal("a=DONE b=TO_RETRY c=TO_RETRY d=DONE z=DONE", states(run)) -- the pre_hook of d had begun with it
    assert.same({ "stopped: the run was paused", 0 }, { run.steps.b.error, run.steps.b.try_count })
    run:resume()
    assert.equal("DONE", run:wait())
    assert.same({ a = 1, b = 1, c = 1, d = 1, hook = 1 }, counts)
  end)

  it("a cancel after a pause is a cancel; a pause after a cancel is refused", function()
    local run, refused
    run = start { { name = "a", action = exec(function(ctx)
      run:pause()
      run:cancel()
      local ok, err = run:pause()
      refused = { ok, err.kind, tostring(err) }
      ctx:sleep(1)
    end) } }
    assert.equal("CANCELLED", run:resolve())
    assert.same({ nil, "refused", "the run is being cancelled" }, refused)
  end)
end)

describe("a step that is `always`", function()
  it("runs however what it depends on ended, its ancestors too", function()
    for _, ending in ipairs { "DONE", "X", "PRUNE" } do
      local log = {}
      local run = start {
        { name = "a", custom_states = { "X" }, action = nothing, conditions = { { type = "check", ["then"] = { this = ending } } } },
        { name = "b", dependencies = { "a" }, action = nothing },
        { name = "c", dependencies = { "b" }, always = true, action = function(v) log[#log + 1] = v.step.b.state end },
      }
      assert.equal("DONE", run:resolve())
      assert.same({ ending == "DONE" and "DONE" or "PRUNE" }, log)
    end
  end)

  it("waits while what it depends on may still be mended", function()
    local run = start {
      { name = "a", action = function() error(step.error.bad_request "no") end },
      { name = "b", dependencies = { "a" }, always = true, action = nothing },
    }
    assert.equal("BLOCKED_BADREQUEST", run:resolve())
    assert.equal("a=CLIENT_ERROR b=TODO", states(run))
    assert.is_true(run:cancel())
    assert.same({ "RUNNING", "CANCELLED", "a=CLIENT_ERROR b=DONE" }, { run.state, run:wait(), states(run) })
  end)

  it("runs when the run is cancelled, after what was in flight, in the order of dependencies; its waits are not stopped", function()
    local log, run = {}, nil
    local function logs(name)
      return exec(function(ctx)
        local before = ctx.cancelled
        ctx:sleep(2)
        log[#log + 1] = ("%s %s %s"):format(name, before, ctx.cancelled)
      end)
    end
    run = start {
      { name = "last", always = true, dependencies = { "first", "b" }, action = logs "last" },
      { name = "a", action = exec(function(ctx) ctx:sleep(3) log[#log + 1] = "a" run:cancel() end) },
      { name = "b", dependencies = { "a" }, action = nothing },
      { name = "first", always = true, dependencies = { "b" }, action = logs "first" },
      { name = "early", always = true, action = exec(function(ctx) ctx:sleep(4) log[#log + 1] = "early " .. tostring(ctx.cancelled) end) },
    }
    assert.equal("CANCELLED", run:resolve())
    assert.same({ "a", "early false", "first false false", "last false false" }, log)
    assert.equal("a=DONE b=TODO early=DONE first=DONE last=DONE", states(run))
    assert.equal(1, run.run_count)
  end)

  it("that fails keeps its error, holds up no other one, and the run is CANCELLED all the same", function()
    local log, run = {}, nil
    run = start {
      { name = "a", action = function() run:cancel() end },
      { name = "b", always = true, dependencies = { "a" }, max_retries = 5, action = function() log[#log + 1] = "b" error("no", 0) end },
      { name = "c", always = true, dependencies = { "b" }, foreach = function() return { 1, 2 } end, action = function(v)
        log[#log + 1] = "c" .. v.iterator
        if v.iterator == 1 then error(step.error.bad_request "bad") end
      end },
      { name = "d", always = true, dependencies = { "c" }, action = function() log[#log + 1] = "d" end },
    }
    assert.equal("CANCELLED", run:resolve())
    assert.same({ "b", "c1", "c2", "d" }, log)
    assert.same({ "SERVER_ERROR", "no", "bad", "DONE" },
      { run.steps.b.state, run.steps.b.error, run.steps["c-0"].error, run.steps.d.state })
    assert.is_nil(run.next_retry)
  end)

  it("is stopped by a second cancel, and no other one starts", function()
    local run, told
    run = start {
      { name = "a", action = function() run:cancel() end },
      { name = "b", always = true, dependencies = { "a" }, action = exec(function(ctx) -- begins when `a` has been cancelled
        local ok, problem = pcall(ctx.await, ctx, function() run:cancel() end)
        told = { ok, problem.kind, ctx.cancelled }
        error(problem)
      end) },
      { name = "c", always = true, dependencies = { "b" }, action = nothing },
    }
    assert.equal("CANCELLED", run:resolve())
    assert.same({ false, "cancelled", true }, told)
    assert.equal("a=DONE b=TO_RETRY c=TODO", states(run))
    run = start { { name = "c", always = true, action = sleeper(9) },
      { name = "a", action = exec(function(ctx) run:cancel() run:cancel() ctx:sleep(1) end) },
      { name = "b", always = true, dependencies = { "a" }, action = nothing } }
    assert.equal("CANCELLED", run:resolve())
    assert.equal("a=TO_RETRY b=TODO c=TO_RETRY", states(run))
  end)

  it("costs in proportion to what changes, however many fail one after the other (D2)", function()
    local function seconds(n)
      local run
      local steps, done = { { name = "s0", action = function() run:cancel() end } }, 0
      local function fails() done = done + 1 error "no" end
      for i = 1, n do steps[i + 1] = { name = "s" .. i, dependencies = { "s" .. i - 1 }, always = true, action = fails } end
      run = start(steps)
      local before = os.clock()
      assert.equal("CANCELLED", run:resolve())
      assert.equal(n, done)
      return os.clock() - before
    end
    assert.is_true(seconds(20000) < 60 * math.max(seconds(2000), 0.001)) -- 100 times when it grew with the square
  end)

  it("does not run when a run is cancelled that never began, and not twice", function()
    local n = 0
    local run = start { { name = "a", action = nothing },
      { name = "b", always = true, dependencies = { "a" }, action = function() n = n + 1 end } }
    assert.is_true(run:cancel())
    assert.same({ "CANCELLED", 0 }, { run.state, n })
    run = start { { name = "a", action = function() error "x" end }, { name = "b", always = true, action = function() n = n + 1 end } }
    assert.equal("ERROR", run:resolve())
    assert.is_true(run:cancel())
    assert.same({ "CANCELLED", 1, 1 }, { run.state, n, run.run_count })
  end)

  it("may be the end of a run that is closed while it works", function()
    local run
    run = start { { name = "a", action = function() run:cancel() end },
      { name = "b", always = true, dependencies = { "a" }, action = exec(function(ctx) run:close() ctx:sleep(1) end) },
      { name = "c", always = true, dependencies = { "b" }, action = nothing } }
    local state, err = run:resolve()
    assert.same({ nil, "closed" }, { state, err.kind })
  end)

  it("goes on where a turn was broken off: no cancelled run is left with its clean-up undone", function()
    local clock, fails, done = step.manual_clock(100), false, false
    local now = clock.now
    function clock.now()
      if fails then error("no clock", 0) end
      return now()
    end
    local run
    run = start({ { name = "a", action = function() run:cancel() end },
      { name = "b", always = true, dependencies = { "a" }, action = exec(function(ctx) ctx:sleep(1) done = true end) },
      { name = "c", always = true, dependencies = { "b" }, action = nothing } }, nil, { clock = clock })
    local off
    off = run:on("transition", function(event)
      if event.step == "b" and event.to == "RUNNING" then
        fails = true
        off()
      end
    end)
    assert.is_false((pcall(run.resolve, run)))
    assert.same({ "CRASHED", false, "a=DONE b=SERVER_ERROR c=TODO" }, { run.state, done, states(run) })
    fails = false
    assert.equal("CANCELLED", run:wait())
    assert.same({ true, "a=DONE b=DONE c=DONE" }, { done, states(run) })
  end)
end)

describe("a run's deadline", function()
  it("stops what is in flight, lets nothing start, cleans up, and says so", function()
    local caught = "not told"
    local run, clock = start({
      { name = "a", action = exec(function(ctx) caught = pcall(ctx.sleep, ctx, 10) end) },
      { name = "b", dependencies = { "a" }, action = nothing },
      { name = "c", always = true, dependencies = { "a" }, action = sleeper(50) },
      { name = "d", always = true, action = sleeper(20) },
    }, { deadline = "3s" })
    assert.is_nil(run.deadline)
    assert.equal("CANCELLED", run:resolve())
    assert.equal("a=TO_RETRY b=TODO c=DONE d=DONE", states(run))
    assert.same({ 170, 103, "stopped: the run's deadline has passed", "not told" }, { clock.time, run.deadline, run.steps.a.error, caught })
    assert.equal("the run's deadline of 1970-01-01T00:01:43Z has passed", run.error)
  end)

  it("counts from the first resolve, that of start from the start", function()
    local run, clock = start({ { name = "a", action = nothing } }, { deadline = 3 })
    clock.advance(100)
    assert.equal("DONE", run:resolve())
    assert.equal(203, run.deadline)
    run, clock = start({ { name = "a", action = nothing } }, { deadline = 300 }, { deadline = "3s" })
    assert.equal(103, run.deadline)
    clock.advance(3)
    assert.equal("CANCELLED", run:resolve())
    assert.equal("a=TODO", states(run))
  end)

  it("ends a run that waits for a retry when its time has come, not later", function()
    local run, clock = start({ { name = "a", action = function() error "no" end }, { name = "b", dependencies = { "a" }, always = true,
      action = nothing } }, { deadline = 25 })
    assert.equal("CANCELLED", run:wait()) -- tried at 100 and 110; due at 122.5 and 138.125
    assert.same({ 125, 3, "DONE" }, { clock.time, run.steps.a.try_count, run.steps.b.state })
    local again = step.manual_clock(100)
    local engine <close> = step.engine { clock = again }
    engine:add(assert(step.define { name = "d", deadline = 25, steps = { { name = "a", action = function() error "no" end } } }))
    local other = engine:start "d"
    engine:work { until_idle = true }
    assert.same({ "CANCELLED", 125 }, { other.state, again.time })
  end)

  it("a run of actions that do not wait ends between two of them", function()
    local clock, n = step.manual_clock(100), 0
    local steps = {}
    for i = 1, 10 do steps[i] = { name = "s" .. i, action = function() n = n + 1 clock.advance(1) end } end
    local run = start(steps, { deadline = 4.5 }, { clock = clock })
    assert.equal("CANCELLED", run:resolve())
    assert.equal(5, n)
  end)

  it("a run that is late and has all its steps is DONE", function()
    local clock = step.manual_clock(100)
    local run = start({ { name = "a", action = function() clock.advance(60) end } }, { deadline = 4.5 }, { clock = clock })
    assert.equal("DONE", run:resolve())
    assert.is_nil(run.error)
  end)

  it("of several runs of a loop each has its own", function()
    local clock = step.manual_clock(100)
    local engine <close> = step.engine { clock = clock }
    engine:add(assert(step.define { name = "d", steps = { { name = "a", action = sleeper(10) } } }))
    local runs = {}
    for i = 1, 20 do runs[i] = engine:start("d", { deadline = i }) end
    engine:work { until_idle = true }
    for i = 1, 20 do assert.equal(i < 10 and "CANCELLED" or i > 10 and "DONE" or runs[10].state, runs[i].state) end
    assert.equal(110, clock.time)
  end)

  it("is over with the run: no timer is left", function()
    local clock = step.manual_clock(100)
    local engine <close> = step.engine { clock = clock }
    engine:add(assert(step.define { name = "d", deadline = 500, steps = { { name = "a", timeout = 400, action = sleeper(1) } } }))
    local run = engine:start "d"
    assert.equal("DONE", run:resolve())
    assert.is_nil(engine.loop:timeout())
    assert.is_false(engine.loop:pause())
  end)

  it("of a cancelled run that is retried counts anew", function()
    local fails = true
    local run, clock = start({ { name = "a", action = function() if fails then error "no" end end } }, { deadline = 5 })
    assert.equal("CANCELLED", run:wait())
    fails = false
    run:retry { from = "a" }
    assert.is_nil(run.error)
    clock.advance(50)
    assert.equal("DONE", run:resolve())
    assert.equal(clock.time + 5, run.deadline)
  end)
end)

describe("acquire_timeout of a step", function()
  it("is how long it waits for its resources, in place of the engine's", function()
    local clock = step.manual_clock(100)
    local engine <close> = step.engine { clock = clock, resource_limits = { r = 1 }, acquire_timeout = 20 }
    engine:add(assert(step.define { name = "d", steps = {
      { name = "a", resources = { "r" }, action = sleeper(50) },
      { name = "b", resources = { "r" }, acquire_timeout = "5s", action = nothing },
      { name = "c", resources = { "r" }, acquire_timeout = 0, action = nothing },
      { name = "d", resources = { "r" }, acquire_timeout = 60, action = nothing },
      { name = "e", resources = { "r" }, action = nothing },
    } }))
    local run, last = engine:start "d", {}
    run:on("transition", function(event) if event.step and event.from == "RUNNING" then last[event.step] = event.time - 100 end end)
    assert.equal("ERROR", run:resolve())
    assert.equal("a=DONE b=TO_RETRY c=TO_RETRY d=DONE e=TO_RETRY", states(run))
    assert.same({ a = 50, b = 5, c = 0, d = 50, e = 20 }, last)
  end)
end)

describe("whatever happens in whatever order", function()
  local COUNT = math.tointeger(os.getenv "STEP_STOPS") or 1000

  --- An action that waits, fails, catches, cancels and pauses as the dice say.
  local function actor(r, world)
    return exec(function(ctx)
      local log = {}
      local _ <close> = closer(log)
      for _ = 1, r:int(0, 4) do
        local what = r:int(1, 12)
        if what <= 4 then
          ctx:sleep(r:int(0, 40) / 10)
        elseif what == 5 then
          pcall(ctx.sleep, ctx, r:int(0, 40) / 10)
        elseif what == 6 then
          ctx:await(function(resume) world.resumes[#world.resumes + 1] = resume end)
        elseif what == 7 then
          local resume = table.remove(world.resumes)
          if resume then resume(r:int(1, 9)) end
        elseif what == 8 and r:chance(40) then
          world.run:cancel()
        elseif what == 9 and r:chance(40) then
          world.run:pause()
        elseif what == 10 and r:chance(30) then
          error("fails", 0)
        elseif what == 11 then
          world.clock.advance(r:int(0, 30) / 10)
        else
          world.run:set_state("s" .. r:int(1, 6), r:chance(50) and "PRUNE" or "DONE")
        end
        assert(world.run.core:sound(), "the counters are wrong")
      end
      return r:int(1, 9)
    end)
  end

  local function play(seed)
    local r = random_graph.random(seed)
    local world = { resumes = {}, clock = step.manual_clock(1000) }
    local steps = {}
    for i = 1, 6 do
      local s = { name = "s" .. i, dependencies = {}, max_retries = 2, idempotent = r:chance(40),
        always = r:chance(30) or nil, action = actor(r, world) }
      for k = 1, i - 1 do if r:chance(25) then table.insert(s.dependencies, "s" .. k .. (r:chance(30) and ":ANY" or "")) end end
      if r:chance(35) then s.timeout = r:int(1, 40) / 10 end
      if r:chance(20) then s.execution_delay = "1s" end
      if r:chance(20) then s.pre_hook = actor(r, world) end
      if r:chance(20) then s.foreach = function() return { 1, 2, 3 } end end
      if r:chance(30) then s.resources, s.acquire_timeout = { "r" }, r:int(0, 3) end
      steps[i] = s
    end
    local engine <close> = step.engine { clock = world.clock, resource_limits = { r = 2 } }
    local def = assert(step.define({ name = "d", deadline = r:chance(25) and r:int(1, 90) / 10 or nil, steps = steps }, { lint = false }))
    engine:add(def)
    local run = assert(engine:start "d")
    world.run = run
    if r:chance(30) then
      local n = r:int(1, 15)
      run:on("transition", function()
        n = n - 1
        if n == 0 then run:cancel() end
      end)
    end
    for _ = 1, 6 do
      local state = run:wait { until_time = world.clock.time + 50 }
      if run.state == "RUNNING" then -- it waits for a resume function
        if r:chance(50) then run:cancel() end
        while #world.resumes > 0 do table.remove(world.resumes)(1) end
      end
      assert(run.core:sound(), "the counters are wrong")
      if state == "PAUSED" then run:resume() elseif state and state:find "^BLOCKED" and r:chance(50) then run:cancel() end
      if state == "CANCELLED" or state == "DONE" then break end
    end
    if run.state ~= "DONE" and run.state ~= "CANCELLED" then
      if run:cancel() and run.state == "RUNNING" then
        while run.state == "RUNNING" do
          run:wait()
          while #world.resumes > 0 do table.remove(world.resumes)(1) end
        end
      end
      assert.equal("CANCELLED", run.state)
    end
    assert(run.core:sound(), "the counters are wrong")
    for name, s in pairs(run.steps) do
      assert(s.state ~= "RUNNING", name)
      assert(s.error == nil or not s.error:find "context is used after", s.error)
    end
    local again = assert(step.restore(run:export(), def, { clock = world.clock }))
    assert.same(run:export().steps, again:export().steps)
    assert.is_nil(engine.loop:timeout())
    again:close()
  end

  it(("no step is lost and no counter wrong, in %d plays"):format(COUNT), function()
    local seed = math.tointeger(os.getenv "STEP_SEED") or 7
    for i = seed, seed + COUNT - 1 do
      local ok, problem = xpcall(play, debug.traceback, i)
      if not ok then error(("seed %d: %s"):format(i, problem), 0) end
    end
  end)
end)
