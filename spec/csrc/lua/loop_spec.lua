-- csrc/lua/loop.c: coroutines of actions, what they wait for, several resolves in one loop.

local json = require "step.json"
local proc = require "spec.support.proc"
local step = require "step"

local kinds = 0

--- A definition of steps; an exec is given as a function(ctx, step_name).
local function define(steps)
  for _, s in ipairs(steps) do
    if s.exec then
      kinds = kinds + 1
      local exec, kind = s.exec, "loop-spec" .. kinds
      s.exec = nil
      assert(step.register_runner(kind, function(name, _, _, ctx) return exec(ctx, name) end))
      s.action = { type = kind }
    end
    s.action = s.action or function() end
  end
  return assert(step.define { name = "loop", steps = steps })
end

local function start(steps, options)
  options = options or {}
  options.clock = options.clock or (not options.loop and step.manual_clock(100)) or nil
  local run = assert(define(steps):start(options))
  return run, options.clock
end

describe("ctx:sleep", function()
  it("lets time pass for one step while others go on", function()
    local log = {}
    local run, clock
    run, clock = start {
      { name = "a", exec = function(ctx)
        ctx:sleep(5)
        log[#log + 1] = "a"
        ctx:sleep(0.5)
        log[#log + 1] = "a" .. clock.time
      end },
      { name = "b", exec = function(ctx) ctx:sleep(2) log[#log + 1] = "b" end },
      { name = "c", action = function() log[#log + 1] = "c" end },
    }
    assert.equal("DONE", run:resolve())
    assert.equal("c b a a105.5", table.concat(log, " "))
  end)

  it("returns nothing; 0 lets the others go first", function()
    local log = {}
    local run = start {
      { name = "a", exec = function(ctx) log[1] = select("#", ctx:sleep(0)) log[#log + 1] = "a" end },
      { name = "b", action = function() log[#log + 1] = "b" end },
    }
    run:resolve()
    assert.same({ 0, "a" }, { log[1], log[#log] })
  end)

  it("refuses what is no time", function()
    for _, seconds in ipairs { -1, math.huge, 0 / 0, "x", {} } do
      local run = start { { name = "a", exec = function(ctx) ctx:sleep(seconds) end } }
      assert.equal("ERROR", run:resolve())
      assert.matches("bad argument", run.steps.a.error)
    end
  end)

  it("of ten thousand steps at a time ends at the same moment, in the order of the steps, without a thread", function()
    local before, asleep, most, began, ended, times, items = proc.threads(), 0, 0, {}, {}, {}, {}
    for i = 1, 5000 do items[i] = i end
    assert(step.register_runner("loop-spec-sleeps", function(name, _, _, ctx)
      began[#began + 1] = name
      asleep = asleep + 1
      most = math.max(most, asleep)
      ctx:sleep(1)
      asleep = asleep - 1
      ended[#ended + 1] = name
    end))
    local steps = { { name = "each", foreach = function() return items end, action = { type = "loop-spec-sleeps" } } }
    for i = 1, 5000 do steps[i + 1] = { name = "s" .. i, action = { type = "loop-spec-sleeps" } } end
    local run, clock = start(steps)
    run:on("transition", function(event) if event.to == "DONE" then times[event.time] = true end end)
    assert.equal("DONE", run:resolve())
    assert.same({ 10000, 10000, 0, 101 }, { most, #ended, asleep, clock.time })
    assert.same({ [101] = true }, times)
    assert.equal(table.concat(began, " "), table.concat(ended, " "))
    assert.equal(before, proc.threads())
  end)

  it("works below pcall, metamethods, iterators and deep calls", function()
    local run = start { { name = "a", exec = function(ctx)
      assert(pcall(ctx.sleep, ctx, 1))
      local t = setmetatable({}, { __index = function(_, k) ctx:sleep(1) return k end })
      assert(t.x == "x")
      for i in function(_, i) ctx:sleep(1) if i < 3 then return i + 1 end end, nil, 0 do assert(i) end
      local function deep(n) if n == 0 then ctx:sleep(1) return 0 end return 1 + deep(n - 1) end
      return deep(500)
    end } }
    assert.equal("DONE", run:resolve())
    assert.equal(500, run.steps.a.output)
  end)

  it("is refused where Lua cannot yield, in other coroutines, and after its step", function()
    local kept, sleep
    local run = start { { name = "a", exec = function(ctx)
      kept, sleep = ctx, ctx.sleep
      local ok, why = pcall(table.sort, { 1, 2, 3 }, function() ctx:sleep(1) end)
      assert(not ok and why:find "cannot yield", why)
      ok, why = coroutine.resume(coroutine.create(function() ctx:sleep(1) end))
      assert(not ok and why:find "own coroutine", why)
      return "fine"
    end } }
    run:resolve()
    assert.equal("fine", run.steps.a.output)
    assert.error_matches(function() kept:sleep(1) end, "after its step has ended")
    assert.error_matches(function() return kept.attempt end, "after its step has ended")
    assert.error_matches(function() sleep(kept, 1) end, "after its step has ended")
    assert.error_matches(function() sleep({}, 1) end, "bad argument #1")
  end)
end)

describe("ctx:await", function()
  --- What the action gets when `how(resume)` is called, and the run.
  local function awaited(how, after)
    local got
    local run = start {
      { name = "a", exec = function(ctx)
        got = table.pack(ctx:await(how))
        if after then after(ctx, got) end
      end },
    }
    local state, err = run:resolve()
    return got, state, err, run
  end

  it("returns what resume was given, at once", function()
    local got, state = awaited(function(resume) resume(1, nil, "x", nil) end)
    assert.equal("DONE", state)
    assert.same({ 1, nil, "x", nil, n = 4 }, got)
    assert.same({ n = 0 }, (awaited(function(resume) resume() end)))
  end)

  it("or later, from another step", function()
    local resume
    local run = start {
      { name = "a", exec = function(ctx) return ctx:await(function(r) resume = r end) end },
      { name = "b", action = function() resume("out", { m = 1 }, { t = "x" }) end },
    }
    assert.equal("DONE", run:resolve())
    assert.same({ "out", { m = 1 }, { t = "x" } }, { run.steps.a.output, run.steps.a.metadata, run.tags })
  end)

  it("counts the first call only, and none after it", function()
    local kept
    local got, state = awaited(function(resume)
      kept = resume
      resume(1)
      resume(2)
    end, function(ctx)
      kept(3)
      ctx:sleep(1)
      kept(4)
      assert.same({ 5, n = 1 }, table.pack(ctx:await(function(r) kept(6) r(5) end)))
    end)
    assert.equal("DONE", state)
    assert.same({ 1, n = 1 }, got)
    kept(7)
  end)

  it("takes many values", function()
    local got = awaited(function(resume) resume(table.unpack({}, 1, 5000)) end)
    assert.equal(5000, got.n)
  end)

  it("too many of them fail the step, nothing else", function()
    local got, _, _, run = awaited(function(resume)
      local list = {}
      for i = 1, 600000 do list[i] = i end
      pcall(function() resume(table.unpack(list)) end)
      resume "few"
    end)
    assert.is_true(got == nil or got.n == 600000 or got[1] == "few")
    assert.is_true(run.state ~= "RUNNING")
  end)

  it("a function that throws is an error of the action, which may catch it; its resume does not count", function()
    local kept, got
    local run, clock
    run, clock = start {
      { name = "a", exec = function(ctx)
        got = table.pack(pcall(ctx.await, ctx, function(resume)
          kept = resume
          resume(1)
          error("no", 0)
        end))
        ctx:sleep(10)
        return clock.time
      end },
      { name = "b", action = function() kept("early") end },
    }
    assert.equal("DONE", run:resolve())
    assert.same({ false, "no", n = 2 }, got)
    assert.equal(110, run.steps.a.output)
  end)

  it("needs a function", function()
    local run = start { { name = "a", exec = function(ctx) ctx:await "x" end } }
    run:resolve()
    assert.matches("bad argument", run.steps.a.error)
  end)

  it("a resume that comes after the run was closed, or dropped, does nothing", function()
    local resume
    local function wait(ctx) return ctx:await(function(r) resume = r end) end
    local run = start { { name = "a", exec = wait } }
    assert.same({ nil, "pending" }, { (run:resolve()), select(2, run:resolve()) and "pending" })
    run:close()
    resume(1)
    do
      local dropped = start { { name = "a", exec = wait } }
      dropped:resolve()
    end
    collectgarbage()
    collectgarbage()
    resume(1)
  end)

  it("a run that waits for nothing that can come says so, and can be taken up again", function()
    local resume
    local engine <close> = step.engine { clock = step.manual_clock() }
    engine:add(define { { name = "a", exec = function(ctx) return ctx:await(function(r) resume = r end) end } })
    local run = engine:start "loop"
    local state, err = run:resolve()
    assert.is_nil(state)
    assert.equal("pending", err.kind)
    assert.equal("RUNNING", run.state)
    resume "late"
    engine:work { until_idle = true }
    assert.same({ "DONE", "late" }, { run.state, run.steps.a.output })
  end)

  it("closing variables of what is given up are closed, in order; they cannot wait", function()
    local log = {}
    local function guard(name, ctx)
      return setmetatable({}, { __close = function()
        log[#log + 1] = name
        log[#log + 1] = pcall(ctx.sleep, ctx, 1)
      end })
    end
    local run
    run = start {
      { name = "a", exec = function(ctx)
        local _ <close> = guard("outer", ctx)
        local _ <close> = guard("inner", ctx)
        ctx:sleep(1)
      end },
      { name = "b", action = function() run:close() end },
    }
    run:resolve()
    assert.same({ "inner", false, "outer", false }, log)
  end)
end)

describe("ctx", function()
  it("has run_id, step_name, attempt, key, names of people, log, cancelled (design, chapter 2)", function()
    local seen, logged, run = {}, {}, nil
    run = start({ { name = "a", exec = function(ctx)
      seen[#seen + 1] = { ctx.run_id, ctx.step_name, ctx.attempt, ctx.key, ctx.requester_username, ctx.resolver_username, ctx.task_id,
        ctx.cancelled }
      ctx.log("said", 1)
      assert(ctx.nothing == nil and ctx.context == nil and type(ctx.created) == "string")
      run:cancel()
      assert(ctx.cancelled == true)
      if ctx.attempt < 2 then error "again" end
    end } }, { id = "id", requester_username = "req", resolver_username = "res", log = function(...) logged[#logged + 1] = { ... } end })
    run:resolve()
    assert.same({ "id", "a", 1, "id/a", "req", "res", "id", false }, seen[1])
    assert.same({ { "said", 1 } }, logged)
  end)

  it("attempt counts tries, key does not change with them; of a child it is the child's", function()
    local seen = {}
    local run = start({ { name = "f", foreach = function() return { 1, 2 } end, exec = function(ctx)
      seen[#seen + 1] = ctx.key .. "#" .. ctx.attempt
      if ctx.attempt < 2 then error "again" end
    end } }, { id = "id" })
    run:resolve()
    run:resolve()
    assert.same({ "id/f-0#1", "id/f-1#1", "id/f-0#2", "id/f-1#2" }, seen)
  end)

  it("log does nothing by itself", function()
    local run = start { { name = "a", exec = function(ctx) return select("#", ctx.log("x")) end } }
    run:resolve()
    assert.equal(0, run.steps.a.output)
  end)
end)

describe("a coroutine of an action", function()
  it("that yields by itself ends its step (S4.5)", function()
    for _, yields in ipairs { function() coroutine.yield() end, function() return coroutine.yield(1, 2) end,
      function() pcall(coroutine.yield) end } do
      local run = start { { name = "a", action = yields }, { name = "b" } }
      assert.equal("ERROR", run:resolve())
      assert.matches("yielded", run.steps.a.error)
      assert.equal("DONE", run.steps.b.state)
    end
  end)

  it("resumed by somebody else goes on waiting", function()
    local co, resume
    local run = start {
      { name = "a", exec = function(ctx)
        co = coroutine.running()
        ctx:sleep(1)
        return ctx:await(function(r) resume = r end)
      end },
      { name = "b", exec = function(ctx)
        for _ = 1, 5 do
          assert.same({ true, n = 1 }, table.pack(coroutine.resume(co, "mine", 1, 2)))
          ctx:sleep(1)
        end
        resume "right"
      end },
    }
    assert.equal("DONE", run:resolve())
    assert.equal("right", run.steps.a.output)
  end)

  it("closed by somebody else fails its step", function()
    for _, values in ipairs { {}, { 1 }, { print, 2, 3, 4, 5, 6, 7, 8, 9 }, { print, 2, 3, 4, 5, 6, 7, 8, 9, 10 } } do
      local co, resume
      local run = start {
        { name = "a", exec = function(ctx)
          co = coroutine.running()
          return ctx:await(function(r) resume = r end)
        end },
        { name = "b", action = function()
          coroutine.close(co)
          resume(table.unpack(values))
        end },
      }
      assert.equal("ERROR", run:resolve())
      assert.matches("closed by somebody else", run.steps.a.error)
    end
  end)

  it("has its own pcall, coroutines and error values", function()
    local run = start { { name = "a", exec = function(ctx)
      local sum = 0
      for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do
        ctx:sleep(1)
        sum = sum + i
      end
      return sum
    end } }
    assert.equal("DONE", run:resolve())
    assert.equal(6, run.steps.a.output)
  end)
end)

describe("several runs in one loop", function()
  it("go on side by side (engine:work)", function()
    local clock, log = step.manual_clock(0), {}
    local engine <close> = step.engine { clock = clock }
    engine:add(define { { name = "a", exec = function(ctx) ctx:sleep(3) log[#log + 1] = clock.time end }, { name = "b",
      dependencies = { "a" } } })
    for _ = 1, 5 do engine:start "loop" end
    assert.is_true(engine:work { until_idle = true })
    assert.same({ 3, 3, 3, 3, 3 }, log)
    for run in engine:list {} do assert.equal("DONE", run.state) end
  end)

  it("an action may resolve another run of the same loop, any number deep", function()
    local clock = step.manual_clock(0)
    local engine <close> = step.engine { clock = clock }
    local depth = 0
    engine:add(define { { name = "a", exec = function(ctx)
      ctx:sleep(1)
      depth = depth + 1
      if depth < 10 then return engine:start("loop"):resolve() end
    end } })
    local run = engine:start "loop"
    assert.equal("DONE", run:resolve())
    assert.equal("DONE", run.steps.a.output)
    assert.equal(10, depth)
  end)

  it("a run that ends while another is looked at is not looked at any more", function()
    local engine <close> = step.engine { clock = step.manual_clock(0) }
    local small = define { { name = "x" } }
    engine:add(define { { name = "a", action = function()
      small:start { loop = engine.loop }:resolve()
      collectgarbage()
      collectgarbage()
    end } })
    local run = engine:start "loop"
    engine.loop:begin(run.core)
    engine.loop:begin(small:start({ loop = engine.loop }).core) -- nobody else holds it
    assert.is_true(engine.loop:finish(run.core))
    assert.equal("DONE", run.state)
  end)

  it("resolving the run itself is refused (S6.1)", function()
    local run, state, err
    run = start { { name = "a", action = function() state, err = run:resolve() end } }
    assert.equal("DONE", run:resolve())
    assert.is_nil(state)
    assert.matches("already running", tostring(err))
  end)

  it("endless nesting is an error, not a crash", function()
    local def, n = nil, 0
    def = define { { name = "a", action = function()
      n = n + 1
      local run = def:start()
      assert(assert(run:resolve()) == "DONE", run.steps.a.error)
    end } }
    local run = def:start()
    assert.equal("ERROR", run:resolve())
    assert.matches("stack overflow", run.steps.a.error)
    assert.is_true(n > 10)
  end)

  it("max_concurrent bounds the actions in flight", function()
    for _, most in ipairs { 1, 2, 7 } do
      local now, peak = 0, 0
      local engine <close> = step.engine { clock = step.manual_clock(0), max_concurrent = most }
      local steps = {}
      for i = 1, 20 do
        steps[i] = { name = "s" .. i, exec = function(ctx)
          now = now + 1
          peak = math.max(peak, now)
          ctx:sleep(1)
          now = now - 1
        end }
      end
      engine:add(define(steps))
      local run = engine:start "loop"
      assert.equal("DONE", run:resolve())
      assert.equal(most, peak)
    end
  end)
end)

describe("another event loop outside", function()
  local core = require "step.core"
  local uv = require "step.outside".luv() -- for a descriptor that nothing comes through

  --- A loop, a run in it whose step waits for what is outside, and how to bring that.
  local function waiting(options)
    local t = { loop = core.loop(options), driven = 0, fd = uv.backend_fd() }
    t.run = start({ { name = "a", exec = function(ctx)
      assert(core.loop_of(ctx) == t.loop)
      return core.await_outside(ctx, function(resume) t.resume = resume end)
    end } }, { loop = t.loop })
    t.loop:outside(function()
      t.driven = t.driven + 1
      if t.on_drive then t.on_drive() end
      return t.fd, t.within or -1
    end, function() t.shut = true end)
    t.loop:begin(t.run.core)
    t.loop:turn()
    return t
  end

  it("is driven in every turn, and waited for", function()
    local t = waiting()
    local before = t.driven
    t.loop:turn()
    assert.equal(before + 1, t.driven)
    t.on_drive = function() if t.driven > before + 3 then t.resume "came" end end
    assert.is_true(t.loop:finish(t.run.core))
    assert.equal("came", t.run.steps.a.output)
    t.loop:close()
    assert.is_true(t.shut)
  end)

  it("is waited for no longer than it has time, or somebody says", function()
    local t = waiting()
    t.within = 1
    local from = uv.hrtime()
    assert.is_true(t.loop:pause(10))
    t.within = -1
    assert.is_true(t.loop:pause(0.001))
    assert.is_true(uv.hrtime() - from < 0.5e9)
    t.loop:close()
  end)

  it("timeout: it is to be looked for often, at once when something has come", function()
    local t = waiting()
    assert.equal(0.05, t.loop:timeout())
    t.resume()
    assert.equal(0, t.loop:timeout())
    t.loop:turn()
    assert.is_nil(t.loop:timeout())
    t.loop:close()
  end)

  it("that cannot be waited for now leaves the run pending", function()
    local t = waiting()
    t.fd = nil
    assert.is_false(t.loop:pause())
    assert.is_false(t.loop:finish(t.run.core))
    t.resume "late"
    assert.is_true(t.loop:finish(t.run.core))
    assert.equal("late", t.run.steps.a.output)
    t.loop:close()
  end)

  it("keeps a manual clock where it is until nobody waits for it", function()
    local clock = step.manual_clock(5)
    local t = waiting { clock = clock.now, wait = clock.sleep }
    t.loop:pause(0.001)
    assert.equal(5, clock.time)
    t.resume()
    t.loop:turn()
    t.loop:pause(3)
    assert.equal(8, clock.time)
    t.loop:close()
  end)

  it("is not waited for any more once the waiting action is given up", function()
    local t = waiting()
    t.run:close()
    assert.is_nil(t.loop:timeout())
    assert.is_false(t.loop:pause())
    t.resume "too late"
    t.loop:turn()
    t.loop:outside(nil, nil)
    local before = t.driven
    t.loop:turn()
    assert.equal(before, t.driven)
    t.loop:close()
    assert.is_nil(t.shut)
  end)

  it("what closes the loop while it is driven ends the wait", function()
    local t = waiting()
    t.on_drive = function() t.loop:close() end
    assert.is_false(t.loop:pause())
    assert.error_matches(function() t.loop:turn() end, "closed")
  end)

  it("an error of its end does not keep a loop from closing", function()
    local loop = core.loop()
    loop:outside(function() end, function() error "no" end)
    loop:close()
    loop:close()
  end)

  it("core.here is the ctx of the action at work, in its own coroutine", function()
    local seen = {}
    assert.is_nil(core.here())
    local run = start { { name = "a", exec = function(ctx)
      seen[1] = rawequal(core.here(), ctx)
      coroutine.wrap(function() seen[2] = core.here() or false end)()
      ctx:sleep(1)
      seen[3] = core.here().step_name
    end } }
    run:resolve()
    assert.same({ true, false, "a" }, seen)
  end)

  it("a module is loaded apart once, and its error is raised", function()
    assert.equal(uv, core.load_apart "luv")
    package.preload["spec.apart"] = function()
      assert(not select(2, coroutine.running()))
      return { co = coroutine.running() }
    end
    local first = core.load_apart "spec.apart"
    assert.equal(first, core.load_apart "spec.apart")
    assert.is_true(first.co ~= coroutine.running())
    package.preload["spec.apart_broken"] = function() error "broken" end
    assert.error_matches(function() core.load_apart "spec.apart_broken" end, "broken")
    package.preload["spec.apart_yields"] = function() coroutine.yield() end
    assert.error_matches(function() core.load_apart "spec.apart_yields" end, "yield")
    for _, name in ipairs { "spec.apart", "spec.apart_broken", "spec.apart_yields" } do package.preload[name] = nil end
  end)
end)

describe("clocks", function()
  it("that fail end the resolve with their error; the run can be resolved again", function()
    for k = 1, 12 do
      local calls, manual = 0, step.manual_clock(0)
      local clock = { sleep = manual.sleep, now = function()
        calls = calls + 1
        if calls == k then error("tick", 0) end
        return manual.now()
      end }
      local def = define { { name = "a" }, { name = "b", exec = function(ctx) ctx:sleep(1) end }, { name = "c", dependencies = { "b" } } }
      local started, run = pcall(def.start, def, { clock = clock })
      if started then
        local ok, err = pcall(run.resolve, run)
        if not ok then assert.equal("tick", err) end
        assert.is_true(run.state ~= "RUNNING")
        assert.is_true(run.core:sound())
        if run.state ~= "DONE" then assert.equal("DONE", run:resolve()) end
      else
        assert.equal("tick", run)
      end
    end
  end)

  it("that tell no time are refused", function()
    for _, time in ipairs { 0 / 0, math.huge, -math.huge, "x", {}, false } do
      local run = define { { name = "a" } }
      assert.error_matches(function() run:start { clock = function() return time end } end, "returned no time")
    end
    assert.error_matches(function() define { { name = "a" } }:start { clock = function() end } end, "returned no time")
  end)

  it("that go back let timers wait longer", function()
    local clock = step.manual_clock(100)
    local run = start({ { name = "a", exec = function(ctx) clock.time = 50 ctx:sleep(1) clock.time = 10 ctx:sleep(1) end } },
      { clock = clock })
    assert.equal("DONE", run:resolve())
  end)
end)

describe("finalizers", function()
  it("may use what is garbage with them", function()
    local log = {}
    for _, use in ipairs {
      function(o) return o.ctx.attempt end, function(o) return o.ctx.key end, function(o) return o.ctx:sleep(1) end,
      function(o) o.resume(1) return "resumed" end, function(o) return o.run:resolve() end, function(o) return o.run:cancel() end,
      function(o) return o.run:set_state("a", "DONE") end, function(o) return o.run:close() end,
        function(o) return json.encode(o.run:export()) end,
      function(o) return o.run.loop:turn() end, function(o) return o.run.loop:close() end,
        function(o) return tostring(o.v.step.a.state) end,
    } do
      for _, early in ipairs { true, false } do
        local object = {}
        local function arm() setmetatable(object, { __gc = function(o) log[#log + 1] = table.pack(pcall(use, o)) end }) end
        if early then arm() end -- finalizers are called in reverse order
        local run = start { { name = "a", exec = function(ctx)
          object.ctx = ctx
          if not early then arm() end
          ctx:await(function(resume) object.resume = resume end)
        end }, { name = "b", action = function(v) object.v = v end } }
        object.run = run
        run:resolve()
        object.own = object
        run = nil -- luacheck: ignore
        object = nil -- luacheck: ignore
        collectgarbage()
        collectgarbage()
      end
    end
    assert.equal(24, #log)
  end)
end)
