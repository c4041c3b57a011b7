-- Runs on a store, through the engine: what survives a process, who may change a run, what happens when its owner is gone
-- (S6.5 to S6.7, D17, D18, D26, D27). The store is SQLite in a file of its own; time is a manual clock.

local step = require "step"
local stores = require "spec.support.stores"
local temp = require "spec.support.temp"

local open, path, refusal = stores.open, stores.path, stores.refusal

local function define(steps, more) return stores.define("x", steps, more) end

local function transitions(engine, id)
  local list = {}
  for i, event in ipairs(assert(engine:events(id))) do
    assert.equal(i, event.seq)
    list[i] = ("%s %s>%s"):format(event.step or "-", event.from, event.to)
  end
  return list
end

local die = stores.die

describe("a stored run", function()
  after_each(stores.clean)

  it("is there in another engine, with all of its results", function()
    local file, clock = path(), step.manual_clock(1000)
    local def = assert(step.define { name = "x", inputs = { { name = "n", type = "number" } }, tags = { team = "t" }, steps = {
      { name = "a", action = function(v) return { big = math.maxinteger, list = step.json.array {}, text = "\0ü", in_ = v.input.n } end },
      { name = "each", foreach = function() return { "x", step.json.null, 3 } end, action = function(v) return { v.iterator } end },
      { name = "bad", action = function() error("no luck", 0) end, max_retries = 1 },
    } })
    local engine = open(file, clock, def)
    local run = assert(engine:start("x", { input = { n = 7 }, tags = { more = "1" }, requester_username = "me" }))
    assert.equal("ERROR", run:resolve())
    local exported = run:export()
    engine:close()
    local other = open(file, clock, def)
    local again = assert(other:run(run.id))
    assert.same(exported, again:export())
    assert.equal(run.id, again.id)
    assert.same({ team = "t", more = "1" }, again.tags)
    assert.equal(math.maxinteger, again.steps.a.output.big)
    clock.advance(10)
    assert.equal("ERROR", again:wait { until_time = clock.now() })
    assert.equal(2, again.steps.bad.try_count)
  end)

  it("is started once for a key, also by another engine", function()
    local file, clock = path(), step.manual_clock(0)
    local def = define { { name = "a", action = function() end } }
    local one, two = open(file, clock, def), open(file, clock, def)
    local run = assert(one:start("x", { key = "k" }))
    assert.equal(run, one:start("x", { key = "k" }))
    assert.equal(run.id, two:start("x", { key = "k" }).id)
    assert.equal("DONE", two:start("x", { key = "k" }):resolve())
    assert.equal("DONE", one:run(run.id).state)
  end)

  it("shows in its engine what another one did with it", function()
    local file, clock = path(), step.manual_clock(0)
    local def = define { { name = "a", action = function() return 1 end } }
    local one, two = open(file, clock, def), open(file, clock, def)
    local run = assert(one:start "x")
    assert.equal("TODO", run.state)
    assert(two:work { until_idle = true })
    assert.equal("TODO", run.state)
    assert.equal(run, one:run(run.id))
    assert.equal("DONE", run.state)
    assert.equal(1, run.steps.a.output)
    assert.equal("DONE", run:wait())
    assert.same({ "refused", "Can't run resolution: already done" }, { refusal(run:resolve()) })
  end)

  it("is retried when due, by whoever is there (D17)", function()
    local file, clock = path(), step.manual_clock(1000)
    local tries = 0
    local def = define { { name = "a", action = function()
      tries = tries + 1
      if tries < 3 then error("not yet", 0) end
    end } }
    local engine = open(file, clock, def)
    local run = assert(engine:start "x")
    assert.equal("ERROR", run:resolve())
    engine:close()
    engine = open(file, clock, def)
    assert(engine:work { until_idle = true })
    assert.equal("DONE", engine:run(run.id).state)
    assert.equal(3, tries)
    assert.equal(1022.5, clock.now())
  end)

  it("keeps tags, state set by a person, pause and resume", function()
    local file, clock = path(), step.manual_clock(0)
    local def = define {
      { name = "a", action = { type = "tag", configuration = { tags = { colour = "red" } } } },
      { name = "b", action = function() error("no", 0) end },
    }
    local engine = open(file, clock, def)
    local run = assert(engine:start "x")
    run:resolve()
    assert(run:set_state("b", "DONE", "by hand"))
    assert(run:pause())
    engine:close()
    engine = open(file, clock, def)
    run = engine:run(run.id)
    assert.equal("PAUSED", run.state)
    assert.same({ colour = "red" }, run.tags)
    assert.equal("by hand", run.steps.b.error)
    assert(engine:work { until_idle = true })
    assert.equal("PAUSED", run.state)
    assert(run:resume())
    assert(engine:work { until_idle = true })
    assert.equal("DONE", engine:run(run.id).state)
  end)

  it("is one of a list, page by page", function()
    local file, clock = path(), step.manual_clock(0)
    local engine = open(file, clock, define { { name = "a", action = function() end } })
    local ids = {}
    for i = 1, 250 do ids[i] = assert(engine:start("x", { tags = { n = tostring(i % 2) } })).id end
    local seen = {}
    for run in engine:list() do seen[#seen + 1] = run.id end
    assert.same(ids, seen)
    assert.equal("DONE", engine:resolve(ids[4]))
    seen = {}
    for run in engine:list { tag = { n = "0" }, state = "TODO" } do seen[#seen + 1] = run.id end
    assert.equal(124, #seen)
  end)

  it("is not changed by two engines at a time", function()
    local file, clock = path(), step.manual_clock(0)
    local seen = {}
    local other
    local def = define { { name = "a", action = function(v)
      local run = other:run(v.task.task_id)
      seen.state = run.state
      seen.resolve = { refusal(run:resolve()) }
      seen.retry = (refusal(run:retry { from = "a" }))
      seen.delete = (refusal(other:delete(run.id)))
    end } }
    local engine = open(file, clock, def)
    other = open(file, clock, def)
    local run = assert(engine:start "x")
    assert.equal("DONE", run:resolve())
    assert.equal("RUNNING", seen.state)
    assert.equal("busy", seen.resolve[1])
    assert.matches("is being worked on by another engine %(.*%), whose lease ends at 1970%-01%-01T00:00:30", seen.resolve[2])
    assert.equal("busy", seen.retry)
    assert.is_not_nil(seen.delete)
  end)

  it("is cancelled by another engine while one works on it", function()
    local file, clock = path(), step.manual_clock(0)
    local other, id
    step.register_runner("stored spec sleeps", function(_, _, _, ctx) ctx:sleep(5) end)
    local def = define {
      { name = "a", action = function() assert(other:run(id):cancel()) end },
      { name = "b", action = { type = "stored spec sleeps" } },
      { name = "c", dependencies = { "b" }, action = function() error "never" end },
    }
    local engine = open(file, clock, def)
    other = open(file, clock, def)
    local run = assert(engine:start "x")
    id = run.id
    assert.equal("CANCELLED", run:resolve())
    assert.equal("TODO", run.steps.c.state)
    assert.equal("CANCELLED", other:run(id).state)
  end)

  it("keeps its deadline, and is cancelled at it, when it waits for a retry then by whoever is there", function()
    local file, clock = path(), step.manual_clock(1000)
    local cleaned = {}
    local def = define({ { name = "a", action = function() error("no", 0) end },
      { name = "b", dependencies = { "a" }, always = true, action = function() cleaned[#cleaned + 1] = clock.now() end } },
      { deadline = "25s" })
    local engine = open(file, clock, def)
    local run, soon = assert(engine:start "x"), assert(engine:start("x", { deadline = 3 }))
    assert.same({ nil, 1003 }, { run.deadline, soon.deadline })
    clock.advance(2)
    assert.equal("ERROR", run:resolve())
    engine:close()
    engine = open(file, clock, def)
    assert.same({ 1027, 1003 }, { engine:run(run.id).deadline, engine:run(soon.id).deadline })
    assert(engine:work { until_idle = true })
    run, soon = engine:run(run.id), engine:run(soon.id)
    assert.same({ "CANCELLED", "CANCELLED" }, { run.state, soon.state })
    assert.equal("the run's deadline of 1970-01-01T00:17:07Z has passed", run.error)
    assert.equal("the run's deadline of 1970-01-01T00:16:43Z has passed", soon.error)
    table.sort(cleaned)
    assert.same({ 1003, 1027 }, cleaned)
    engine:close()
    assert.equal("the run's deadline of 1970-01-01T00:17:07Z has passed", open(file, clock, def):run(run.id).error)
  end)

  it("that is blocked and cancelled cleans up, also when the canceller is gone", function()
    local file, clock = path(), step.manual_clock(1000)
    local def = define { { name = "a", action = function() error(step.error.bad_request "no") end },
      { name = "b", dependencies = { "a" }, always = true, action = function() end } }
    for _, gone in ipairs { false, true } do
      local engine = open(file, clock, def)
      local run = assert(engine:start "x")
      assert.equal("BLOCKED_BADREQUEST", run:resolve())
      assert.is_true(run:cancel())
      if gone then
        die(engine)
        engine = open(file, clock, def)
        clock.advance(31) -- its lease
        assert(engine:work { until_idle = true })
        run = engine:run(run.id)
      else
        assert.equal("CANCELLED", run:wait())
      end
      assert.same({ "CANCELLED", "CLIENT_ERROR", "DONE" }, { run.state, run.steps.a.state, run.steps.b.state })
    end
  end)

  it("whose owner dies while it cleans up is cleaned by the next one, and nothing else of it runs", function()
    local file, clock = path(), step.manual_clock(1000)
    local log, dead = {}, false
    local function clean(name)
      return { type = "lua", configuration = { fn = function(_, ctx)
        log[#log + 1] = name
        if not dead then ctx:await(function() end) end
      end } }
    end
    local run
    local def = define {
      { name = "a", action = function() run:cancel() end },
      { name = "b", dependencies = { "a" }, action = function() log[#log + 1] = "b" end },
      { name = "c", dependencies = { "b" }, always = true, idempotent = true, action = clean "c" },
      { name = "d", dependencies = { "c" }, always = true, action = clean "d" },
    }
    local engine = open(file, clock, def)
    run = assert(engine:start "x")
    engine:step()
    for _ = 1, 5 do engine:step() end
    assert.same({ "c" }, log)
    dead = true
    die(engine)
    clock.advance(31)
    engine = open(file, clock, def)
    assert(engine:work { until_idle = true })
    assert.same({ "c", "c", "d" }, log)
    run = engine:run(run.id)
    assert.same({ "CANCELLED", "DONE", "TODO" }, { run.state, run.steps.a.state, run.steps.b.state })
  end)

  it("has its waiting actions stopped when another engine cancels it, and those that wait for their marks do not start", function()
    local file, clock = path(), step.manual_clock(1000)
    local started, two, other = 0, nil, nil
    local def = define {
      { name = "a", timeout = 500, action = { type = "lua", configuration = { fn = function(_, ctx)
        ctx:sleep(5)
        other = other or assert(two:run(ctx.run_id))
        assert(other:cancel())
        ctx:sleep(100)
      end } } },
      { name = "b", action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(50) end } } },
      { name = "c", dependencies = { "a" }, always = true, action = function() started = started + 1 end },
    }
    local one = open(file, clock, def)
    two = open(file, clock, def)
    local run = assert(one:start "x")
    assert.equal("CANCELLED", run:resolve())
    assert.is_true(clock.now() < 1010)
    assert.same({ "TO_RETRY", "stopped: the run was cancelled", "TO_RETRY", 1 },
      { run.steps.a.state, run.steps.a.error, run.steps.b.state, started })
    assert.equal("CANCELLED", other:wait())
    local own = define { { name = "a", action = function() end }, { name = "b", action = function() started = started + 1 end } }
    one:add(own)
    run = assert(one:start "x")
    local off
    off = run:on("transition", function(event)
      if event.step == "b" and event.to == "RUNNING" then
        off()
        run:cancel()
      end
    end)
    assert.equal("CANCELLED", run:resolve())
    assert.equal(1, started)
  end)

  it("a listener may go on with it when it hears of its end", function()
    local clock = step.manual_clock(0)
    local engine = open(path(), clock, (define { { name = "a", action = function() error("no", 0) end } }))
    local run, n = assert(engine:start "x"), 0
    run:on("transition", function(event)
      if event.to ~= "ERROR" or event.step or n > 0 then return end
      n = n + 1
      run:resolve()
    end)
    run:resolve()
    assert.same({ 2, "ERROR", 2 }, { run.run_count, run.state, run.steps.a.try_count })
  end)

  it("goes on where its dead owner had marked an idempotent step, and blocks at another (S6.6)", function()
    for _, idempotent in ipairs { true, false } do
      local file, clock = path(), step.manual_clock(1000)
      local effects, victim = {}, nil
      local function def()
        return define {
          { name = "a", action = function() effects[#effects + 1] = "a" end },
          { name = "b", dependencies = { "a" }, idempotent = idempotent, action = function()
            effects[#effects + 1] = "b"
            if victim then
              local dying = victim
              victim = nil
              die(dying)
            end
          end },
          { name = "c", dependencies = { "b" }, action = function() effects[#effects + 1] = "c" end },
        }
      end
      victim = open(file, clock, def())
      local id = assert(victim:start "x").id
      assert.is_nil((victim:resolve(id)))
      local engine = open(file, clock, def())
      local took_over = 0
      engine:on("takeover", function() took_over = took_over + 1 end)
      assert.equal("RUNNING", engine:run(id).state)
      assert.equal("busy", (refusal(engine:resolve(id))))
      assert(engine:work { until_idle = true })
      assert.equal(1, took_over)
      assert.is_true(clock.now() >= 1030)
      local run = engine:run(id)
      if idempotent then
        assert.equal("DONE", run.state)
        assert.same({ "a", "b", "b", "c" }, effects)
        assert.equal(2, run.run_count)
      else
        assert.equal("BLOCKED_TOCHECK", run.state)
        assert.equal("CRASHED", run.steps.b.state)
        assert.same({ "a", "b" }, effects)
        assert.equal(1, run.run_count)
        assert.equal("DONE", run:resolve())
        assert.same({ "a", "b", "b", "c" }, effects)
      end
    end
  end)

  it("leaves no process behind when its engine was killed and another one has taken it over", function()
    local uv = require "luv"
    local file = path()
    local program = [[
      local step = require "step"
      step.register_runner("sleeper", function(_, _, _, ctx) return ctx:spawn { "sleep", "60" } end)
      local engine = step.engine { store = arg[1], lease = 1 }
      engine:add(step.define { name = "x", steps = { { name = "a", idempotent = true, action = { type = "sleeper" } } } })
      engine:start("x"):resolve()
    ]]
    local script = temp.file(program)
    local worker, pid = uv.spawn(arg[-1], { args = { script, file }, stdio = { nil, nil, 2 } }, function() end)
    assert(worker, pid)
    local function sleepers() -- that the worker has started
      local found, folder = {}, assert(uv.fs_scandir "/proc")
      for id in function() return (uv.fs_scandir_next(folder)) end do
        local environ = id:find "^%d+$" and io.open("/proc/" .. id .. "/environ", "rb")
        local text = environ and environ:read "a" or ""
        if environ then environ:close() end
        if text:find("STEP_PROCESS=" .. pid .. ":", 1, true) then found[#found + 1] = tonumber(id) end
      end
      return found
    end
    for _ = 1, 500 do
      if #sleepers() == 1 then break end
      uv.sleep(10)
    end
    assert.equal(1, #sleepers())
    uv.kill(pid, "sigkill")
    uv.run "nowait"
    for _ = 1, 500 do
      if worker:is_closing() or not worker:is_active() then break end
      uv.sleep(2)
      uv.run "nowait"
    end
    worker:close()
    uv.run "nowait"
    assert.equal(1, #sleepers())
    step.register_runner("sleeper", function() return "awake" end)
    local clock = step.manual_clock(os.time() + 10)
    local engine = open(file, clock, define { { name = "a", idempotent = true, action = { type = "sleeper" } } })
    assert(engine:work { until_idle = true })
    assert.equal(0, #sleepers())
    local run = engine:list()()
    assert.equal("DONE", run.state)
    assert.equal("awake", run.steps.a.output)
  end)

  it("blocks when a step was RUNNING at three deaths, idempotent or not (D27)", function()
    local file, clock = path(), step.manual_clock(0)
    local deaths, engine = 0, nil
    local def = define { { name = "poison", idempotent = true, action = function()
      deaths = deaths + 1
      die(engine)
    end } }
    local id
    for _ = 1, 3 do
      engine = open(file, clock, def)
      id = id or assert(engine:start "x").id
      clock.advance(31)
      assert(not engine:work { until_idle = true })
    end
    engine = open(file, clock, def)
    clock.advance(31)
    assert(engine:work { until_idle = true })
    assert.equal(3, deaths)
    assert.equal("BLOCKED_TOCHECK", engine:run(id).state)
    assert.equal("CRASHED", engine:run(id).steps.poison.state)
  end)

  it("counts these deaths, whatever the step came to between them (D27)", function()
    local file, clock = path(), step.manual_clock(0)
    local fails, engine = false, nil
    local def = define { { name = "poison", idempotent = true, action = function()
      if fails then error("no", 0) end
      die(engine)
    end } }
    engine = open(file, clock, def)
    local id = assert(engine:start "x").id
    for death = 1, 3 do
      fails = false
      assert(not engine:work { until_idle = true })
      engine = open(file, clock, def)
      clock.advance(31)
      fails = true
      assert(engine:work { until_time = clock.now() + 1 })
      assert.equal(death < 3 and "ERROR" or "BLOCKED_TOCHECK", engine:run(id).state)
      clock.advance(60)
    end
    assert.equal("CRASHED", engine:run(id).steps.poison.state)
  end)

  it("taken over too often goes on as after a crash when a person has it go on (D27, S6.6)", function()
    for _, idempotent in ipairs { true, false } do
      local file, clock = path(), step.manual_clock(0)
      local dies, engine = true, nil
      local def = define { { name = "a", idempotent = idempotent, action = function()
        if dies then die(engine) end
        return "done"
      end } }
      engine = open(file, clock, def)
      local id = assert(engine:start "x").id
      assert(not engine:work { until_idle = true })
      local db = assert(require("step.sqlite").open(file, 1))
      assert(db:run "UPDATE run SET takeovers = 100")
      db:close()
      dies = false
      engine = open(file, clock, def)
      clock.advance(31)
      assert(engine:work { until_idle = true })
      local run = assert(engine:run(id))
      assert.same({ "BLOCKED_TOCHECK", "RUNNING" }, { run.state, run.steps.a.state })
      assert.equal(idempotent and "DONE" or "BLOCKED_TOCHECK", run:resolve())
      assert.equal(idempotent and "DONE" or "CRASHED", run.steps.a.state)
      if not idempotent then assert.equal("DONE", run:resolve()) end
    end
  end)

  it("is given back when what was posted to it cannot be read", function()
    local file, clock = path(), step.manual_clock(0)
    local engine = open(file, clock, define { { name = "a", action = function() return "done" end } })
    local run = assert(engine:start "x")
    engine:close()
    engine = open(file, clock, define { { name = "a", action = function() return "done" end } })
    local take_inbox = engine.store.take_inbox
    engine.store.take_inbox = function() return nil, step.error.new("store", "no such luck") end
    local state, err = engine:resolve(run.id)
    assert.same({ nil, "no such luck" }, { state, err and err.message })
    local row = assert(engine.store:get(run.id))
    assert.is_nil(row.owner)
    engine.store.take_inbox = take_inbox
    assert.equal("DONE", engine:resolve(run.id))
  end)

  it("is lost to the engine that slept longer than its lease: nothing of it is stored (D27)", function()
    local file, clock = path(), step.manual_clock(0)
    local other, lost = nil, {}
    local def = define {
      { name = "a", idempotent = true, action = function(v)
        if not lost.slept then
          lost.slept = true
          clock.advance(31)
          assert(other:work { until_idle = true })
          assert.equal("DONE", other:run(v.task.task_id).state)
        end
        return lost.slept and "again" or "first"
      end },
      { name = "b", dependencies = { "a" }, action = function() lost.b = (lost.b or 0) + 1 end },
    }
    local engine = open(file, clock, def)
    other = open(file, clock, def)
    engine:on("lost", function(run, err) lost[#lost + 1] = { run.id, err.kind } end)
    local run = assert(engine:start "x")
    local kind, text = refusal(run:resolve())
    assert.equal("lost", kind)
    assert.matches("was taken over by another engine", text)
    assert.same({ { run.id, "lost" } }, { lost[1] })
    assert.equal(1, lost.b)
    assert.equal("DONE", engine:run(run.id).state)
    assert.equal("CLOSED", run.state)
  end)

  it("starts nothing when its store fails (D26)", function()
    local file, clock = path(), step.manual_clock(0)
    local ran = 0
    local engine = open(file, clock, define { { name = "a", action = function() ran = ran + 1 end } })
    local run = assert(engine:start "x")
    local broken = step.error.new("store", "the disk is full", { code = "full" })
    engine.store.save = function() return nil, broken end
    assert.equal(broken, select(2, run:resolve()))
    assert.equal(0, ran)
    engine.store.save = nil
    assert.equal("TODO", engine.store:get(run.id).state)
  end)

  it("waits for a store that is busy", function()
    local file, clock = path(), step.manual_clock(0)
    local ran = 0
    local engine = open(file, clock, define { { name = "a", action = function() ran = ran + 1 end } })
    local run = assert(engine:start "x")
    local save, refused = engine.store.save, 0
    engine.store.save = function(...)
      refused = refused + 1
      if refused < 3 then
        assert.equal(0, ran)
        return nil, step.error.new("store", "busy", { code = "busy" })
      end
      return save(...)
    end
    assert.equal("DONE", run:resolve())
    assert.equal(1, ran)
  end)

  it("keeps its lease while a step waits for long", function()
    local file, clock = path(), step.manual_clock(0)
    local other
    step.register_runner("stored spec waits", function(_, _, _, ctx)
      ctx:sleep(100)
      assert(other:work { until_idle = false, until_time = 0 })
    end)
    local def = define { { name = "a", action = { type = "stored spec waits" } } }
    local engine = open(file, clock, def)
    other = open(file, clock, def)
    local run = assert(engine:start "x")
    assert.equal("DONE", run:resolve())
    assert.same({ "- TODO>RUNNING", "a TODO>RUNNING", "a RUNNING>DONE", "- RUNNING>DONE" }, transitions(engine, run.id))
  end)

  describe("of code whose new version", function()
    local function fails() error(step.error.bad_request "no") end

    --- Starts a run of one version, resolves it, and again with another one.
    local function upgraded(old, new)
      local file, clock = path(), step.manual_clock(0)
      local engine = open(file, clock, define(old))
      local id = assert(engine:start "x").id
      assert.equal("BLOCKED_BADREQUEST", engine:resolve(id))
      engine:close()
      engine = open(file, clock, define(new))
      local state, err = engine:resolve(id, { upgrade = true })
      return state, err, engine:run(id)
    end

    it("has no loop where there was one begins with that step anew, its children gone", function()
      local state, _, run = upgraded({ { name = "f", foreach = function() return { 1, 2 } end, action = fails } },
        { { name = "f", action = function() return 1 end } })
      assert.equal("DONE", state)
      assert.equal(1, run.steps.f.output)
      assert.is_nil(run.steps["f-0"])
    end)

    it("has a loop where there was none expands it", function()
      local state, _, run = upgraded({ { name = "f", action = fails } },
        { { name = "f", foreach = function() return { 1, 2 } end, action = function(v) return v.iterator end } })
      assert.equal("DONE", state)
      assert.equal(2, run.steps.f.children[2].output)
    end)

    it("lacks the state that a step has is refused, and says which", function()
      local state, err, run = upgraded({ { name = "a", custom_states = { "MY" }, action = function() end, conditions = {
        { type = "check", ["if"] = function() return true end, ["then"] = { this = "MY" } } } },
        { name = "b", dependencies = { "a:MY" }, action = fails } }, { { name = "a", action = function() end } })
      assert.is_nil(state)
      assert.equal(("run '%s' cannot be read: step 'a': the step has no state 'MY'"):format(run.id), tostring(err))
      assert.equal("MY", run.steps.a.state)
    end)
  end)

  it("of code that has changed is refused with what differs, or goes on with the new version", function()
    local file, clock = path(), step.manual_clock(0)
    local engine = open(file, clock, define {
      { name = "a", action = function() return "kept" end }, { name = "b", dependencies = { "a" }, action = function() error("no", 0) end },
      { name = "old", action = function() end },
    })
    local run = assert(engine:start "x")
    assert.equal("ERROR", run:resolve())
    engine:close()
    local def = define {
      { name = "new", action = function() return "new" end }, { name = "a", action = function() return "again" end },
      { name = "b", dependencies = { "a", "new" }, action = function(v) return v.step.a.output .. v.step.new.output end },
    }
    engine = open(file, clock, def)
    local kind, text = refusal(engine:resolve(run.id))
    assert.equal("refused", kind)
    assert.equal(("run '%s' was started with another version of the definition 'x': step 'b' has changed (dependencies); gone: 'old'; "
      .. "new: 'new'; pass upgrade = true to go on with the new one"):format(run.id), text)
    clock.advance(100)
    assert(engine:work { until_idle = true }) -- leaves it alone
    assert.equal("ERROR", engine:run(run.id).state)
    assert.equal("kept", engine:run(run.id).steps.a.output) -- it can be looked at
    assert.equal("DONE", engine:resolve(run.id, { upgrade = true }))
    assert.equal("keptnew", engine:run(run.id).steps.b.output)
    engine:close()
    engine = open(file, clock, def)
    assert.equal("keptnew", engine:run(run.id).steps.b.output)
    assert.same({ "a", "b", "new" }, (function()
      local names = {}
      for name in pairs(engine:run(run.id):export().steps) do names[#names + 1] = name end
      table.sort(names)
      return names
    end)())
  end)

  it("of a file goes on with its snapshot (D4)", function()
    local file, clock = path(), step.manual_clock(0)
    local text = "name: f\nsteps:\n  a:\n    action: {type: echo, configuration: {output: {v: %s}}}\n"
    local engine = open(file, clock, assert(step.load { text = text:format "1", format = "yaml" }))
    local run = assert(engine:start "f")
    engine:close()
    engine = open(file, clock, assert(step.load { text = text:format "2", format = "yaml" }))
    assert.equal("DONE", engine:resolve(run.id))
    assert.equal(1, engine:run(run.id).steps.a.output.v)
    engine:close()
    engine = open(file, clock) -- nor does it need the file
    local other = open(file, clock, assert(step.load { text = text:format "3", format = "yaml" })):start "f"
    assert(engine:work { until_idle = true })
    assert.equal(3, engine:run(other.id).steps.a.output.v)
  end)

  it("is deleted, and pruned when it has ended for long", function()
    local file, clock = path(), step.manual_clock(0)
    local engine = open(file, clock, define { { name = "a", action = function() end } })
    local first, second = engine:start "x", engine:start "x"
    assert.equal("DONE", first:resolve())
    clock.advance(100)
    assert.equal("DONE", second:resolve())
    assert.equal(1, engine:prune { older_than = 50 })
    assert.equal("refused", (refusal(engine:run(first.id))))
    assert(engine:delete(second.id))
    assert.is_nil(engine:list()())
    assert.is_nil((engine:delete(second.id)))
  end)

  it("is carried on by a host with a loop of its own", function()
    local file, clock = path(), step.manual_clock(0)
    local engine = open(file, clock, define { { name = "a", execution_delay = "5s", action = function() end } })
    local run = assert(engine:start "x")
    local rounds = 0
    repeat
      rounds = rounds + 1
      if not engine:step() then clock.advance(engine:timeout() or 0) end
    until engine:run(run.id).state == "DONE" or rounds > 100
    assert.equal("DONE", engine:run(run.id).state)
    assert.is_true(clock.now() >= 5 and clock.now() < 7)
  end)

  it("tells such a host when its lease is to be renewed, however seldom it looks for others", function()
    local clock = step.manual_clock(0)
    local engine <close> = step.engine { store = path(), clock = clock, lease = 30, poll = 1000 }
    engine:add(define { { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(100) end } } } })
    local run = assert(engine:start "x")
    local lost
    engine:on("lost", function() lost = true end)
    while run.state ~= "DONE" do
      if not engine:step() then
        assert.is_true(engine:timeout() <= 10)
        clock.advance(engine:timeout())
      end
    end
    assert.same({ 100 }, { clock.now(), lost })
  end)

  it("does not keep such a host awake that holds as many as it may", function()
    local clock = step.manual_clock(0)
    local engine <close> = step.engine { store = path(), clock = clock, lease = 30, durability = "relaxed" }
    engine:add(define { { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(1) end } } } })
    local list = {}
    for i = 1, 1100 do list[i] = { key = "k" .. i } end
    assert(engine:start_all("x", list))
    while engine:step() do end
    assert.is_true(engine:timeout() > 0)
    while clock.now() < 1 do
      clock.advance(engine:timeout())
      while engine:step() do end
    end
    clock.advance(1)
    while engine:step() do end
    assert.is_nil(engine:list { state = "RUNNING" }())
    assert.is_nil(engine:list { state = "TODO" }())
  end)

  it("is found by the beginning of its id, and the newest first", function()
    local file, clock = path(), step.manual_clock(0)
    local engine = open(file, clock, define { { name = "a", action = function() end } })
    local ids = { "aab-1", "aab_2", "ab%3", "AAB4" }
    for i, id in ipairs(ids) do ids[i] = assert(engine:start("x", { id = id })).id end
    local function listed(filter)
      local found = {}
      for run in engine:list(filter) do found[#found + 1] = run.id end
      return table.concat(found, " ")
    end
    assert.equal("aab-1 aab_2", listed { id_prefix = "aab" })
    assert.equal("aab_2", listed { id_prefix = "aab_" })
    assert.equal("ab%3", listed { id_prefix = "ab%" })
    assert.equal("", listed { id_prefix = "b" })
    assert.equal("AAB4 ab%3 aab_2 aab-1", listed { newest = true })
    assert.equal("AAB4 ab%3", listed { newest = true, limit = 2 })
    assert.equal("AAB4 ab%3 aab_2 aab-1", listed { newest = true, limit = 1000 })
    assert.equal("aab_2 aab-1", listed { newest = true, id_prefix = "aab" })
  end)

  describe("of a worker that is to stop", function()
    local function sleeping(log)
      local function work(name)
        return { type = "lua", configuration = { fn = function(_, ctx)
          ctx:sleep(5)
          log[#log + 1] = name
        end } }
      end
      return define { { name = "a", action = work "a" }, { name = "b", dependencies = { "a" }, action = work "b" } }
    end

    it("ends what is in flight, and is due for the next one", function()
      local file, clock, log = path(), step.manual_clock(0), {}
      local def = sleeping(log)
      local engine = open(file, clock, def)
      local run, other = assert(engine:start "x"), nil
      local asked = 0
      assert(engine:work { stop = function()
        asked = asked + 1
        if clock.now() < 2 then return false end
        other = assert(engine:start "x") -- too late for this worker
        return true
      end })
      assert.same({ "a" }, log)
      assert.is_true(asked >= 20)
      assert.same({ "TO_AUTORUN", "DONE", "TODO", "TODO" }, { run.state, run.steps.a.state, run.steps.b.state, other.state })
      assert.near(5, clock.now(), 1e-6)
      local id = run.id
      engine:close()
      engine = open(file, clock, def)
      assert(engine:work { until_idle = true })
      assert.same({ "DONE", "DONE" }, { engine:run(id).state, engine:run(other.id).state })
      assert.same({ "- TODO>RUNNING", "a TODO>RUNNING", "a RUNNING>DONE", "- RUNNING>TO_AUTORUN", "- TO_AUTORUN>RUNNING", "b TODO>RUNNING",
        "b RUNNING>DONE", "- RUNNING>DONE" }, transitions(engine, id))
    end)

    it("stays cancelled when that was asked for", function()
      local file, clock = path(), step.manual_clock(0)
      local def = sleeping {}
      local engine, other = open(file, clock, def), open(file, clock, def)
      local run = assert(engine:start "x")
      assert(engine:work { stop = function()
        if clock.now() < 2 then return false end
        assert(run:cancel())
        return true
      end })
      assert.equal("CANCELLED", other:run(run.id).state)
    end)

    it("in memory likewise", function()
      local log, clock = {}, step.manual_clock(0)
      local engine <close> = assert(step.engine { clock = clock })
      local run = assert(engine:add(sleeping(log)):start "x")
      assert(engine:work { stop = function() return clock.now() >= 2 end })
      assert.same({ "TO_AUTORUN", "DONE", "TODO" }, { run.state, run.steps.a.state, run.steps.b.state })
      assert(engine:work { until_idle = true })
      assert.same({ "DONE", { "a", "b" } }, { run.state, log })
    end)
  end)

  it("of code can be looked at and steered where that code is not", function()
    local file, clock = path(), step.manual_clock(0)
    local def = define { { name = "a", action = function() return 1 end }, { name = "b", dependencies = { "a" }, action = function() end } }
    local engine, other = open(file, clock, def), open(file, clock)
    local run = assert(engine:start "x")
    local seen = assert(other:run(run.id))
    assert.is_true(seen:set_state("a", "DONE", "by hand"))
    assert.is_true(seen:pause())
    assert.is_true(seen:resume())
    assert.equal(2, seen:retry { from = "a" })
    assert.is_true(seen:set_state("a", "DONE"))
    assert.equal("refused", (refusal(seen:resolve())))
    assert.equal("TODO", other:run(run.id).state) -- nothing has started, and nobody holds it
    assert.is_true(other:run(run.id):cancel())
    assert.equal("CANCELLED", engine:run(run.id).state)
  end)

  it("explains itself as it is in the store now", function()
    local file, clock = path(), step.manual_clock(0)
    local def = define { { name = "a", action = function() end } }
    local engine, other = open(file, clock, def), open(file, clock, def)
    local run = assert(engine:start "x")
    assert.equal("TODO", run:why("a").state)
    assert(other:run(run.id):pause())
    assert.equal("The run is PAUSED: resume it, then it goes on.", run:why("a").reasons[1].text)
  end)
end)
