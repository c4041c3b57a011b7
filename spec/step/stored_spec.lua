-- Runs on a store, through the engine: what survives a process, and what is found and shown there (S6.5 to S6.7, D17, D18). The store
-- is SQLite in a file of its own; time is a manual clock.

local step = require "step"
local stores = require "spec.support.stores"

local open, path, refusal = stores.open, stores.path, stores.refusal

local function define(steps, more) return stores.define("x", steps, more) end

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

  it("shows steps and a state of the same moment, though its steps are read when they are asked for", function()
    local file, clock = path(), step.manual_clock(0)
    local def = define { { name = "a", action = function() end } }
    local engine <close> = open(file, clock, def)
    local other <close> = open(file, clock, def)
    local run = assert(engine:start "x")
    local seen = other:run(run.id)
    assert.equal("TODO", seen.state)
    run:resolve()
    assert.same({ "DONE", "DONE" }, { seen.steps.a.state, seen.state })
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

  it("keeps the max_concurrent that it was started with, whoever goes on with it", function()
    local file, clock, at, most = path(), step.manual_clock(0), 0, 0
    step.register_runner("stored-count", function(_, _, _, ctx)
      at, most = at + 1, math.max(most, at + 1)
      ctx:sleep(5)
      at = at - 1
    end)
    local def = define({ { name = "a", foreach = function() return { 1, 2, 3, 4, 5 } end, action = { type = "stored-count" } } },
      { max_concurrent = 4 })
    local engine = open(file, clock, def)
    local mine, usual = assert(engine:start("x", { max_concurrent = 2 })), assert(engine:start "x")
    engine:close()
    engine = open(file, clock, def)
    assert.equal("DONE", engine:resolve(mine.id))
    assert.equal(2, most)
    assert.equal("DONE", engine:resolve(usual.id))
    assert.equal(4, most)
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
