-- persist.c: what of a run is still to be stored, and that nothing starts before it is (S6.7, D26, D27).

local json = require "step.json"
local step = require "step"

--- A store made of tables: what rows would be there after each save.
local function keeper(run, options)
  options = options or {}
  local kept = { events = {}, steps = {}, saves = 0, lease = options.lease or 20 }
  run.core:keep(0)
  run.loop:keeper(function(cores)
    kept.saves = kept.saves + 1
    if options.save then
      local answer = options.save(kept, cores)
      if answer ~= nil then return answer end
    end
    for _, c in ipairs(cores) do
      local events, forget, steps, tags = c:changes()
      for _, event in ipairs(events) do kept.events[#kept.events + 1] = event end
      for _, number in ipairs(forget) do
        for key, row in pairs(kept.steps) do
          if row.step == number and row.child >= 0 then kept.steps[key] = nil end
        end
      end
      for _, row in ipairs(steps) do kept.steps[row.step .. "/" .. row.child] = row end
      kept.tags = tags or kept.tags
      c:saved()
      c:fresh(run.loop:now() + kept.lease)
    end
  end, function()
    if options.tick then return options.tick(kept) end
    return 1000
  end)
  return kept
end

--- The rows by the steps' names.
local function by_name(kept)
  local found = {}
  for _, row in pairs(kept.steps) do
    assert.is_nil(found[row.name])
    found[row.name] = row
  end
  return found
end

local function transitions(kept)
  local list = {}
  for i, event in ipairs(kept.events) do
    assert.equal(i, event.seq)
    list[i] = ("%s %s>%s"):format(event.step or "-", event.from, event.to)
  end
  return list
end

local function start(steps, options)
  local clock = step.manual_clock(1000)
  local run = assert(assert(step.define { name = "x", steps = steps }):start { clock = clock })
  return run, keeper(run, options), clock
end

--- What is stored is what the run shows.
local function assert_stored(run, kept)
  local rows, c = by_name(kept), run.core
  for i = 1, c:top() do
    if c:exists(i) then
      local name = c:name(i)
      local row = rows[name]
      rows[name] = nil
      local state, tries, last_run = c:step(i)
      local output, metadata, text, children = c:results(i)
      if not row then
        assert.same({ name, "TODO", 0 }, { name, state, tries })
      else
        assert.same({ name, state, tries, last_run }, { name, row.state, row.tries, row.last_run })
        assert.same({ output, metadata, children },
          { row.output and json.decode(row.output), row.metadata and json.decode(row.metadata),
            row.children and json.decode(row.children) })
        assert.equal(text, row.error)
        assert.same(c:extra(i), row.extra and json.decode(row.extra))
      end
    end
  end
  assert.same({}, rows)
end

describe("persist", function()
  it("stores a step's mark before its action starts, its result with the mark of the next (S6.7)", function()
    local seen = {}
    local kept
    local function look() seen[#seen + 1] = table.concat(transitions(kept), ", ") end
    local run
    run, kept = start {
      { name = "a", action = look }, { name = "b", dependencies = { "a" }, action = look },
    }
    assert.equal("DONE", run:resolve())
    assert.same({
      "- TODO>RUNNING, a TODO>RUNNING",
      "- TODO>RUNNING, a TODO>RUNNING, a RUNNING>DONE, b TODO>RUNNING",
    }, seen)
    assert.equal(3, kept.saves)
    assert.equal("- RUNNING>DONE", transitions(kept)[6])
    assert_stored(run, kept)
  end)

  it("stores the marks of independent steps at once, and their results", function()
    local steps = {}
    for i = 1, 1000 do steps[i] = { name = "s" .. i, action = function() return i end } end
    local run, kept = start(steps)
    assert.equal("DONE", run:resolve())
    assert.equal(2, kept.saves)
    assert_stored(run, kept)
  end)

  it("holds no more than 1024 steps for one save", function()
    local steps, most, at_work = {}, 0, 0
    for i = 1, 3000 do
      steps[i] = { name = "s" .. i, action = function()
        at_work = at_work + 1
      end }
    end
    local run, kept = start(steps, { save = function()
      most, at_work = math.max(most, at_work), 0
    end })
    assert.equal("DONE", run:resolve())
    assert.is_true(most <= 1024 and most > 500)
    assert_stored(run, kept)
  end)

  it("stores foreach children under their index, and forgets them when their parent contracts (S5.4)", function()
    local names = {}
    local run, kept = start({
      { name = "l", foreach = function() return { "x", "y" } end, action = function(v) return v.iterator .. "!" end },
      { name = "after", dependencies = { "l" }, action = function(v) return #v.step.l.children end },
    }, { save = function(kept)
      local list = {}
      for _, row in pairs(kept.steps) do list[#list + 1] = row.name end
      table.sort(list)
      names[#names + 1] = table.concat(list, " ")
    end })
    assert.equal("DONE", run:resolve())
    assert.same({ "", "l l-0 l-1", "after l" }, names)
    assert.is_nil(by_name(kept).l.items)
    assert.same({ "- TODO>RUNNING", "l TODO>EXPANDED", "l-0 TODO>RUNNING", "l-1 TODO>RUNNING", "l-0 RUNNING>DONE", "l-1 RUNNING>DONE",
      "l EXPANDED>DONE", "after TODO>RUNNING", "after RUNNING>DONE", "- RUNNING>DONE" }, transitions(kept))
    assert_stored(run, kept)
  end)

  it("stores the list of a foreach step that has its children", function()
    local run, kept = start {
      { name = "l", foreach = function() return { 1, 2.5, json.null } end, action = function() error "no" end },
    }
    assert.equal("ERROR", run:resolve())
    assert.equal("[1,2.5,null]", by_name(kept).l.items)
    assert_stored(run, kept)
  end)

  it("stores when a failed step is due, although that is no transition (D17)", function()
    local run, kept = start { { name = "a", action = function() error("no", 0) end } }
    assert.equal("ERROR", run:resolve())
    assert.same({ next_retry = 1010.0 }, json.decode(by_name(kept).a.extra))
    assert.equal("no", by_name(kept).a.error)
    assert.equal("no", kept.events[3].message)
    assert_stored(run, kept)
  end)

  it("gives a change again until it was saved", function()
    local run = start { { name = "a", action = function() return 1 end } }
    run.core:set(1, "DONE", nil, 1000)
    local events, _, rows = run.core:changes()
    local again, _, rows_again = run.core:changes()
    assert.same(events, again)
    assert.same(rows, rows_again)
    assert.equal(1, #rows)
    run.core:saved()
    assert.same({ {}, {}, {} }, { run.core:changes() })
  end)

  it("starts nothing while the store is not ready, and goes on when it is", function()
    local ran, tried = 0, 0
    local run = start({ { name = "a", action = function() ran = ran + 1 end } }, { save = function()
      tried = tried + 1
      if tried < 4 then
        assert.equal(0, ran)
        return false
      end
    end })
    assert.equal("DONE", run:resolve())
    assert.equal(1, ran)
    assert.equal(5, tried)
  end)

  it("starts nothing when the run could not be stored (D26)", function()
    local ran = 0
    local run = start({ { name = "a", action = function() ran = ran + 1 end } }, { save = function(_, cores)
      cores[1]:close()
      return true
    end })
    assert.same({ nil, "closed" }, { nil, select(2, run:resolve()).kind })
    assert.equal(0, ran)
  end)

  it("stores again before it starts an action when the lease is no longer fresh (D27)", function()
    local clock, kept, run
    local saves = {}
    local function slow()
      saves[#saves + 1] = kept.saves
      clock.advance(15)
    end
    run, kept, clock = start { { name = "a", action = slow }, { name = "b", action = slow }, { name = "c", action = slow } }
    assert.equal("DONE", run:resolve())
    assert.same({ 1, 1, 2 }, saves) -- at 0 and 15 seconds; at 30 only after another save
    assert_stored(run, kept)
  end)

  it("does the same before a configured action that had to wait for its delay", function()
    local saves, kept = {}, nil
    step.register_runner("persist spec", function() saves[#saves + 1] = kept.saves end)
    local action = { type = "persist spec", configuration = { x = "{{1}}" } }
    local run, stored, clock = start({ { name = "a", execution_delay = "15s", action = action } }, { lease = 10 })
    kept = stored
    assert.equal("DONE", run:resolve())
    assert.same({ 2 }, saves)
    assert.is_true(clock.now() >= 1015)
  end)

  it("calls the tick while a run is active, as often as it asks for", function()
    local times = {}
    step.register_runner("persist wait", function(_, _, _, ctx) ctx:sleep(35) end)
    local run
    run = start({ { name = "a", action = { type = "persist wait" } } }, { tick = function()
      times[#times + 1] = run.loop:now()
      return 10
    end })
    assert.equal("DONE", run:resolve())
    assert.same({ 1000, 1010, 1020, 1030 }, times)
  end)

  it("stores all of a run that is kept anew", function()
    local run = assert(assert(step.define { name = "x", steps = {
      { name = "a", action = function() return { 1 } end }, { name = "b", action = function() error "no" end },
      { name = "c", dependencies = { "b" }, action = function() end },
    } }):start { clock = step.manual_clock(1000) })
    assert.equal("ERROR", run:resolve())
    run.core:keep(7, true)
    local events, _, rows = run.core:changes()
    assert.same({}, events)
    local states = {}
    for _, row in ipairs(rows) do states[row.name] = row.state end
    assert.same({ a = "DONE", b = "SERVER_ERROR" }, states)
    run.core:saved()
    run.core:set(3, "DONE", nil, 1000)
    assert.equal(8, run.core:changes()[1].seq)
  end)

  it("reports the same to a listener, without gaps", function()
    local run, kept = start { { name = "a", action = function() error "no" end }, { name = "b", action = function() end } }
    local heard = {}
    run:on("transition", function(event) heard[event.seq] = ("%s %s>%s"):format(event.step or "-", event.from, event.to) end)
    run:resolve()
    run:resolve()
    assert.same(transitions(kept), heard)
  end)

  it("leaves a random run stored as it is", function()
    for seed = 1, tonumber(os.getenv "STEP_PERSIST" or 60) do
      math.randomseed(seed)
      local steps = {}
      for i = 1, math.random(1, 12) do
        local spec = { name = "s" .. i, dependencies = {}, max_retries = 3 }
        for k = 1, i - 1 do
          if math.random() < 0.3 then table.insert(spec.dependencies, ("s%d%s"):format(k, math.random() < 0.3 and ":ANY" or "")) end
        end
        local fails = math.random(0, 3)
        spec.action = function(_, _)
          local dice = math.random(0, 9)
          if dice < fails then error(("fails %d"):format(dice), 0) end
          return math.random() < 0.5 and { n = dice } or nil, math.random() < 0.2 and { m = dice } or nil
        end
        if math.random() < 0.3 then
          spec.foreach = function() return json.array { 1, 2, math.random(3) > 1 and 3 or nil } end
          spec.foreach_strategy = math.random() < 0.5 and "sequence" or "parallel"
        end
        if math.random() < 0.3 then
          spec.conditions = { { type = "check", ["if"] = function() return math.random() < 0.3 end,
            ["then"] = { this = ({ "TO_RETRY", "RETRY_NOW", "PRUNE", "CLIENT_ERROR" })[math.random(4)] },
            message = "said" } }
        end
        steps[i] = spec
      end
      local run, kept, clock = start(steps)
      for _ = 1, 4 do
        run:resolve()
        assert_stored(run, kept)
        transitions(kept)
        if run.state == "DONE" then break end
        clock.advance(math.random(0, 20))
      end
    end
  end)
end)
