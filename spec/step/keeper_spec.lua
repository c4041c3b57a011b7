-- step.keeper: who works on a stored run: claims and leases, dead owners and takeovers, a store that fails, a host with a loop of its
-- own, a worker that is to stop (S6.5, S6.6, D26, D27). The store is SQLite in a file of its own; time is a manual clock.

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

describe("a run that is held", function()
  after_each(stores.clean)

  it("is not changed by two engines at a time", function()
    local file, clock = path(), step.manual_clock(0)
    local seen = {}
    local other
    local def = define { { name = "a", action = function(v)
      local run = other:run(v.task.task_id)
      seen.state = run.state
      seen.resolve = { refusal(run:resolve()) }
      seen.retry = (refusal(run:retry { from = "a" }))
      seen.delete = { refusal(other:delete(run.id)) }
    end } }
    local engine = open(file, clock, def)
    other = open(file, clock, def)
    local run = assert(engine:start "x")
    assert.equal("DONE", run:resolve())
    assert.equal("RUNNING", seen.state)
    assert.equal("busy", seen.resolve[1])
    assert.matches("is being worked on by another engine %(.*%), whose lease ends at 1970%-01%-01T00:00:30", seen.resolve[2])
    assert.equal("busy", seen.retry)
    assert.equal("refused", seen.delete[1])
    assert.matches("is being worked on by .*: cancel it first$", seen.delete[2])
    assert.same({ "refused", "the engine has no run 'none'" }, { refusal(other:delete "none") })
  end)

  it("shows others its tags and what has happened last, though its row is written for the tags alone", function()
    local file, clock = path(), step.manual_clock(10)
    local other, id, seen
    local def = define {
      { name = "a", action = { type = "tag", configuration = { tags = { colour = "red" } } } },
      { name = "b", dependencies = { "a" }, action = function() clock.advance(0.5) end },
      { name = "c", dependencies = { "b" }, action = function()
        local row = assert(other.store:get(id))
        seen = { row.state, row.tags, row.events, row.changed, other.store.db:all("SELECT changed FROM run")[1].changed }
      end },
    }
    local engine = open(file, clock, def)
    other = open(file, clock, def)
    local run = assert(engine:start "x")
    id = run.id
    assert.equal("DONE", run:resolve())
    assert.same({ "RUNNING", { colour = "red" }, 6, 10.5, 10.0 }, seen)
    assert.same({ 8, 10.5, 10.5 }, { other.store:get(id).events, other.store:get(id).changed,
      other.store.db:all("SELECT changed FROM run")[1].changed })
  end)

  for what, action in pairs { ["nothing of its row"] = function() end,
    ["its tags"] = { type = "tag", configuration = { tags = { colour = "red" } } } } do
    it("is lost when somebody else has claimed it, were " .. what .. " to be written (D27)", function()
      local file, clock = path(), step.manual_clock(10)
      local engine
      local def = define {
        { name = "a", action = function() assert(engine.store.db:run "UPDATE run SET epoch = epoch + 1") end },
        { name = "b", action = action },
      }
      engine = open(file, clock, def)
      local run = assert(engine:start "x")
      local id, number = run.id, run.row.number
      assert.equal("lost", (refusal(run:resolve())))
      for row in engine.store:each_step(number) do assert.equal("RUNNING", row.state) end
      assert.same({ 3, "{}" }, { engine.store:get(id).events, engine.store.db:all("SELECT tags FROM run")[1].tags })
    end)
  end

  it("is read again when others have begun with it before who started it had looked (D27)", function()
    local file, clock = path(), step.manual_clock(0)
    local fails = 1
    local def = define { { name = "a", action = function()
      fails = fails - 1
      if fails >= 0 then error "not yet" end
    end } }
    local engine, other = open(file, clock, def), open(file, clock, def)
    local create = engine.store.create
    function engine.store.create(...)
      local id, created, number = create(...)
      assert.equal("ERROR", other:resolve(id))
      return id, created, number
    end
    local run = assert(engine:start "x")
    assert.equal("DONE", run:resolve())
    assert.same({ "- TODO>RUNNING", "a TODO>RUNNING", "a RUNNING>SERVER_ERROR", "- RUNNING>ERROR", "- ERROR>RUNNING",
      "a SERVER_ERROR>RUNNING", "a RUNNING>DONE", "- RUNNING>DONE" }, transitions(engine, run.id))
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
      assert.matches("^the run was taken over too often", run.error)
      assert.matches("too many of the processes that worked on it are gone", run:why("a").reasons[2].text)
      assert.equal(idempotent and "DONE" or "BLOCKED_TOCHECK", run:resolve())
      assert.equal(idempotent and "DONE" or "CRASHED", run.steps.a.state)
      assert.equal(not idempotent and "step 'a' is CRASHED" or nil, run.error)
      if not idempotent then assert.equal("DONE", run:resolve()) end
    end
  end)

  it("that was taken over too often says so also when it was between two steps, and until a person has it go on (D27)", function()
    local file, clock = path(), step.manual_clock(0)
    local def = define { { name = "a", action = function() return "done" end }, { name = "b", action = function() return "done" end } }
    local engine <close> = open(file, clock, def)
    local id = assert(engine:start "x").id
    local told = {}
    engine:on("state", function(run, from, to) told[#told + 1] = ("%s %s>%s"):format(run.id == id, from, to) end)
    engine:on("blocked", function(run) told[#told + 1] = run.state end)
    engine:on("transition", function(event) told[#told + 1] = event.message end)
    assert(engine.store.db:run "UPDATE run SET takeovers = 100, state = 'RUNNING', due = 0")
    assert(engine:work { until_idle = true })
    assert.same({ "taken over too often", "true RUNNING>BLOCKED_TOCHECK", "BLOCKED_TOCHECK" }, told)
    local run = assert(engine:run(id))
    assert.same({ "BLOCKED_TOCHECK", "TODO" }, { run.state, run.steps.a.state })
    assert.matches("^the run was taken over too often", run.error)
    assert.equal("taken over more than 100 times", engine:events(id)[1].message)
    assert.equal("DONE", run:resolve())
  end)

  it("taken over too often is refused to who was to take it over, not as if somebody worked on it (D27)", function()
    local file, clock = path(), step.manual_clock(0)
    local engine <close> = open(file, clock, define { { name = "a", action = function() return "done" end } })
    local id = assert(engine:start "x").id
    assert(engine.store.db:run "UPDATE run SET takeovers = 100, state = 'RUNNING', due = 0")
    local kind, message = refusal(engine:resolve(id))
    assert.equal("refused", kind)
    assert.matches("is BLOCKED_TOCHECK: the run was taken over too often", message)
    assert.equal("DONE", engine:resolve(id))
  end)

  it("goes on at its hundredth takeover (D27)", function()
    local file, clock = path(), step.manual_clock(0)
    local engine <close> = open(file, clock, define { { name = "a", action = function() return "done" end } })
    local run = assert(engine:start "x")
    assert(engine.store.db:run "UPDATE run SET takeovers = 99, state = 'RUNNING', due = 0")
    assert(engine:work { until_idle = true })
    assert.equal("DONE", engine:run(run.id).state)
  end)

  it("of code that is not here is told of by a worker, once for each version", function()
    local file, clock = path(), step.manual_clock(0)
    local function version(...) return define { { name = "a", action = function() return 1 end }, ... } end
    local engine <close> = open(file, clock, version())
    local first = assert(engine:start "x").id
    assert(engine:start "x")
    assert(engine:start("x", { key = "later", delay = 1000 }))
    engine:close()
    local told = {}
    local function worker(def)
      local made = open(file, clock, def)
      made:on("refused", function(run, err) told[#told + 1] = { run.id, err.kind, err.message } end)
      for _ = 1, 3 do
        assert(made:work { until_idle = true })
        clock.advance(10)
      end
      made:close()
    end
    worker()
    local words = ("run '%s' is of the definition 'x', which holds Lua functions: add it with engine:add"):format(first)
    assert.same({ { first, "refused", words } }, told)
    told = {}
    worker(version { name = "b", action = function() end })
    assert.equal(1, #told)
    assert.matches("was started with another version of the definition 'x': new: 'b'; pass upgrade = true", told[1][3])
    told = {}
    worker(version())
    assert.same({}, told)
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

  it("reports a store that can be written no more at once, not when the lease of what it held has ended", function()
    local file, clock = path(), step.manual_clock(0)
    local engine = open(file, clock, define {
      { name = "a", action = function() return ("x"):rep(1000) end },
      { name = "b", dependencies = { "a" }, action = function() return ("x"):rep(1000000) end },
    })
    local run = assert(engine:start "x")
    local pages = engine.store.db:all("PRAGMA page_count")[1].page_count
    assert(engine.store.db:all(("PRAGMA max_page_count = %d"):format(pages + 20)))
    local lost
    engine:on("lost", function(_, err) lost = (lost or 0) + 1 assert.equal("full", err.code) end)
    local ok, err = engine:work { until_idle = true }
    assert.is_nil(ok)
    assert.equal("full", err.code)
    assert.same({ 1, 0 }, { lost, clock.now() })
    assert.equal(err, select(2, engine:step()))
    engine:close()
    engine = open(file, clock)
    assert.equal("DONE", engine:run(run.id).steps.a.state)
  end)

  it("does not take others with it when it cannot be stored", function()
    local file, clock = path(), step.manual_clock(0)
    local deep = step.json.array {} -- as deep as JSON may be: what its parent makes of it has no text
    for _ = 1, 999 do deep = step.json.array { deep } end
    local engine = open(file, clock, stores.define("x", { { name = "a", action = function() return 1 end } }),
      stores.define("deep", { { name = "d", foreach = function() return { 1 } end, idempotent = true,
        action = function() return deep end } }))
    local lost = {}
    engine:on("lost", function(run, err) lost[#lost + 1] = { run.id, err.code } end)
    local list = {}
    for i = 1, 5 do list[i] = assert(engine:start(i == 3 and "deep" or "x")) end
    assert(engine:work { until_time = 20 })
    assert.same({ { list[3].id, "json" } }, lost)
    for i, run in ipairs(list) do
      if i ~= 3 then assert.equal("DONE", engine:run(run.id).state) end
    end
    local run = assert(engine:start "deep")
    local ok, err = run:resolve()
    assert.is_nil(ok)
    assert.matches("a result cannot be written as JSON: %$.*1000 levels", tostring(err))
    assert(engine:work { until_idle = true })
    assert.equal("BLOCKED_TOCHECK", engine:run(run.id).state) -- after three deaths (D27)
  end)

  it("is not read again when it is claimed as it was left", function()
    local file, clock = path(), step.manual_clock(0)
    local tries = 0
    local def = define { { name = "a", action = function()
      tries = tries + 1
      if tries < 3 then error("not yet", 0) end
    end } }
    local engine, other = open(file, clock, def), open(file, clock, def)
    local run = assert(engine:start "x")
    local each_step, read = engine.store.each_step, 0
    engine.store.each_step = function(...)
      read = read + 1
      return each_step(...)
    end
    assert(engine:work { until_idle = true })
    assert.same({ "DONE", 3, 0 }, { run.state, tries, read })
    tries = 1
    run = assert(engine:start "x")
    run:resolve()
    assert(other:run(run.id):set_state("a", "TODO"))
    assert(engine:work { until_idle = true })
    assert.same({ "DONE", 1 }, { run.state, read }) -- it was another's meanwhile
  end)

  it("does not have a host ask again at once while the store is busy", function()
    local file, clock = path(), step.manual_clock(0)
    local engine = open(file, clock, define { { name = "a", action = function() end } })
    local run = assert(engine:start "x")
    local claim = engine.store.claim
    engine.store.claim = function() return nil, step.error.new("store", "busy", { code = "busy" }) end
    assert.is_false(engine:step())
    assert.equal(1, engine:timeout())
    engine.store.claim = claim
    clock.advance(1)
    while engine:step() do end
    assert.equal("DONE", engine:run(run.id).state)
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

  describe("with steps that wait for a resource, and its owner dies (S4.4, S6.6),", function()
    local began, seen
    local RUNNER = "keeper-resource"
    step.register_runner(RUNNER, function(_, _, _, ctx)
      began[#began + 1] = ctx.step_name
      if seen then seen(ctx) end
      ctx:sleep(5)
    end)
    local function site(steps)
      local file, clock = path(), step.manual_clock(0)
      local function start()
        local engine = assert(step.engine { store = file, clock = clock, resource_limits = { db = 1 } })
        engine:add(define(steps))
        return engine
      end
      began, seen = {}, nil
      local engine = start()
      return engine, clock, start, assert(engine:start "x")
    end
    local function asking(name, more)
      local spec = { name = name, resources = { "db" }, action = { type = RUNNER } }
      for key, value in pairs(more or {}) do spec[key] = value end
      return spec
    end

    it("has begun with those that had it, and with no other", function()
      local engine, clock, start, run = site { asking "a", asking "b", asking "c", asking "d" }
      assert(engine:work { until_time = 6 })
      assert.same({ "a", "b" }, began)
      die(engine)
      clock.advance(60)
      local other <close> = start()
      assert(other:work { until_idle = true })
      run = other:run(run.id)
      assert.same({ "BLOCKED_TOCHECK", "DONE", "CRASHED", "TODO", "TODO" },
        { run.state, run.steps.a.state, run.steps.b.state, run.steps.c.state, run.steps.d.state })
      assert(run:set_state("b", "DONE"))
      assert.equal("DONE", run:resolve())
      assert.same({ "a", "b", "c", "d" }, began)
    end)

    it("counts the deaths that found them at work, and no others (D27)", function()
      local engine, clock, start, run = site { asking("a", { idempotent = true }), asking "b" }
      for _ = 1, 3 do
        assert(engine:work { until_time = clock.now() + 3 })
        die(engine)
        clock.advance(60)
        engine = start()
      end
      assert(engine:work { until_idle = true })
      run = engine:run(run.id)
      assert.same({ "a", "a", "a" }, began)
      assert.same({ "CRASHED", "TODO" }, { run.steps.a.state, run.steps.b.state })
      assert.same({ takeovers = 3 }, run.core:extra(1))
      assert.is_nil(run.core:extra(2).takeovers)
      engine:close()
    end)

    it("has stored that an action begins before it does (D26)", function()
      local engine, _, start, run = site { asking "a", asking "b" }
      local other <close> = start()
      local rows = {}
      seen = function()
        for row in other.store:each_step(other:run(run.id).row.number) do
          rows[#rows + 1] = { row.name, row.state, row.extra and row.extra.unbegun }
        end
      end
      assert(engine:work { until_time = 3 })
      seen()
      assert(engine:work { until_idle = true })
      assert.same({
        { "a", "RUNNING" }, { "b", "RUNNING" }, -- a begins
        { "a", "RUNNING" }, { "b", "RUNNING", true }, -- b waits
        { "a", "DONE" }, { "b", "RUNNING" }, -- b begins
      }, rows)
      assert.equal("DONE", engine:run(run.id).state)
      engine:close()
    end)

    it("has begun when its pre_hook has run", function()
      local engine, clock, start, run = site { asking "a", asking("b", { pre_hook = { type = "echo" } }) }
      assert(engine:work { until_time = 3 })
      die(engine)
      clock.advance(60)
      local other <close> = start()
      assert(other:work { until_idle = true })
      run = other:run(run.id)
      assert.same({ "CRASHED", "CRASHED" }, { run.steps.a.state, run.steps.b.state })
    end)
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
end)
