-- step.why: what holds a step, the root first, and what a person can do about it.

local explain = require "step.why".explain
local step = require "step"
local temp = require "spec.support.temp"

--- A runner that ends as it is told.
step.register_runner("why-ending", function(_, _, config, ctx)
  if config.waits then ctx:sleep(config.waits) end
  if config.kind then return nil, nil, nil, step.error.new(config.kind, "it broke") end
  return config.output
end)

local function ending(name, kind, more)
  local spec = more or {}
  spec.name = name
  spec.action = { type = "why-ending", configuration = { kind = kind, waits = spec.waits, output = spec.gives } }
  spec.waits, spec.gives = nil, nil
  return spec
end

local function after(name, ...) return ending(name, nil, { dependencies = { ... } }) end

local function begin(steps, more)
  local document = { name = "why", steps = steps }
  for key, value in pairs(more or {}) do document[key] = value end
  return assert(assert(step.define(document)):start { clock = step.manual_clock(0) })
end

local function resolved(...)
  local run = begin(...)
  run:resolve()
  return run
end

--- The reasons as "kind step: text".
local function told(run, name)
  local explanation = assert(explain(run, name))
  local lines = {}
  for i, reason in ipairs(explanation.reasons) do
    lines[i] = ("%s %s: %s"):format(reason.kind, reason.step or "-", reason.text)
    assert.is_table(reason.can)
  end
  return lines, explanation
end

local function kinds(run, name)
  local list = {}
  for i, reason in ipairs(assert(explain(run, name)).reasons) do list[i] = reason.kind .. " " .. (reason.step or "-") end
  return list
end

local BLOCKED = "run -: The run is BLOCKED_BADREQUEST: no worker goes on with it, a person has to resolve it."

describe("step.why", function()
  it("refuses a step that is none, with the nearest", function()
    local none, err = explain(begin { ending "fetch" }, "fecth")
    assert.is_nil(none)
    assert.same({ "refused", "the run has no step 'fecth' (did you mean 'fetch'?)" }, { err.kind, err.message })
  end)

  it("is a method of the run", function()
    local run = begin { ending "a" }
    assert.same(explain(run, "a"), run:why "a")
    run:close()
    assert.equal("closed", select(2, run:why "a").kind)
  end)

  it("has nothing but the run to name for one that is ready", function()
    local run = begin { ending "a" }
    local lines, explanation = told(run, "a")
    assert.same({ "run -: The run is TODO: it goes on when it is resolved.",
      "turn a: 'a' has all that it needs: it starts when the run goes on." }, lines)
    assert.same({ "TODO", true }, { explanation.state, explanation.ready })
  end)

  it("tells how a step ended", function()
    local lines, explanation = told(resolved { ending "a" }, "a")
    assert.same({ "ended a: 'a' has ended as DONE." }, lines)
    assert.is_false(explanation.ready)
  end)

  it("S2.2: begins at the end of the chain, and says what it needs itself", function()
    local run = resolved { ending("a", "bad_request"), after("b", "a"), after("c", "b") }
    assert.same({
      "failed a: 'a' is CLIENT_ERROR: what it was asked for is wrong: it broke. It is not tried again by itself: put that right and "
        .. "resolve the run, or set its state.",
      BLOCKED,
      "dependency b: 'c' needs 'b' to be DONE; that is TODO, held by 'a'.",
    }, (told(run, "c")))
    assert.same({ "failed a", "run -", "dependency a" }, kinds(run, "b"))
    assert.same({ "failed a", "run -" }, kinds(run, "a"))
    assert.same({ "resolve", "set state" }, explain(run, "c").reasons[1].can)
  end)

  it("names the states that would do", function()
    local run = begin { ending("a", nil, { custom_states = { "EMPTY" } }), after("b", "a:DONE,EMPTY"), after("c", "a:ANY") }
    assert.same("dependency a: 'b' needs 'a' to be DONE or EMPTY; that is TODO.", told(run, "b")[3])
    assert.same("dependency a: 'c' needs 'a' to be in a final state, and all before it; that is TODO.", told(run, "c")[3])
  end)

  it("S2.2: looks for what is open before an ANY that has ended itself", function()
    local run = begin { ending "a", after("b", "a"), after("c", "b:ANY") }
    run:set_state("b", "DONE")
    assert.same({ "run -", "turn a", "dependency b" }, kinds(run, "c"))
    assert.matches("'c' needs 'b' to be in a final state, and all before it; that is DONE, held by 'a'", told(run, "c")[3])
    run:set_state("a", "DONE")
    assert.is_true(explain(run, "c").ready)
  end)

  it("tells the most urgent of several roots first, five of a kind at most", function()
    local steps, names = { ending("w", "not_assigned"), ending("s", "server"), ending("f", "bad_request") }, { "w", "s", "f" }
    for i = 1, 9 do
      steps[#steps + 1] = ending("r" .. i, "server")
      names[#names + 1] = "r" .. i
    end
    steps[#steps + 1] = after("all", table.unpack(names))
    local list = kinds(resolved(steps), "all")
    assert.same({ "failed f", "waiting w", "retry s", "retry r1", "retry r2", "dependency all", "run -" }, { table.unpack(list, 1, 7) })
    assert.equal(13, #list) -- and five dependencies, and that there are more
    assert.matches("7 more before 'all'", told(resolved(steps), "all")[6])
  end)

  it("looks at each step once, however long the chain is", function()
    local steps = { ending("s1", "bad_request") }
    steps[2] = after("s2", "s1")
    for i = 3, 20000 do steps[i] = after("s" .. i, ("s%d"):format(i - 1), ("s%d:ANY"):format(i - 2)) end
    assert.same({ "failed s1", "run -", "dependency s19999", "dependency s19998" }, kinds(resolved(steps), "s20000"))
  end)

  describe("of a step's own state", function()
    it("D17: says when it is tried again", function()
      local run = resolved { ending("a", "server"), after("b", "a") }
      assert.same({ "retry a: 'a' is SERVER_ERROR: it broke. It is tried again at 1970-01-01T00:00:10Z; resolve the run to try it now." },
        (told(run, "a")))
      assert.is_false(explain(run, "a").ready)
      run.loop:pause(10)
      assert.same({ "retry a: 'a' is SERVER_ERROR: it broke. It is due: it is tried again as soon as there is a worker, or when the run is "
        .. "resolved." }, (told(run, "a")))
      assert.is_true(explain(run, "a").ready)
      assert.is_false(explain(run, "b").ready)
    end)

    it("WAITING: for somebody", function()
      local run = resolved { ending("a", "not_assigned"), after("b", "a") }
      assert.same({ "waiting a: 'a' is WAITING for somebody to act: it broke. When that is done, resolve the run; or set its state.",
        "dependency a: 'b' needs 'a' to be DONE; that is WAITING." }, (told(run, "b")))
      run = resolved { ending("a", "not_assigned", { timeout = 60 }) }
      assert.same({ "waiting a: 'a' is WAITING for somebody to act: it broke. When that is done, resolve the run; or set its state. Its "
        .. "timeout ends this at 1970-01-01T00:01:00Z." }, (told(run, "a")))
    end)

    it("WAITING: for a callback", function()
      local run = resolved { { name = "ask", action = { type = "callback", configuration = { action = "create", name = "yes?" } } },
        { name = "a", dependencies = { "ask" }, action = { type = "callback", configuration = { action = "wait", id = "yes?" } } } }
      assert.same({ "waiting a: 'a' is WAITING for somebody to call back: waits for the callback 'yes?'. A signal has it go on; or set "
        .. "its state." }, (told(run, "a")))
      local reason = explain(run, "a").reasons[1]
      assert.same({ "yes?", { "signal", "set state" } }, { reason.callback, reason.can })
    end)

    it("WAITING: for other runs", function()
      local engine <close> = step.engine { clock = step.manual_clock(0) }
      engine:add(assert(step.define { name = "kid", steps = { ending("a", "not_assigned") } }))
      engine:add(assert(step.define { name = "top", steps = {
        { name = "one", action = { type = "workflow", configuration = { definition = "kid" } } },
        { name = "many", action = { type = "batch", configuration = { definition = "kid", inputs = { {} } } } },
      } }))
      local run = assert(engine:start "top")
      assert(engine:work { until_idle = true })
      local kid = run.steps.one.metadata.id
      assert.same({ ("waiting one: 'one' is WAITING: waits for the run %s ('kid'). It goes on when that run has ended; or set its state.")
        :format(kid) }, (told(run, "one")))
      assert.equal(kid, explain(run, "one").reasons[1].run)
      assert.same({ "waiting many: 'many' is WAITING: 0 of 1 runs of 'kid' have ended. It goes on when all of them have ended; or set its "
        .. "state." }, (told(run, "many")))
    end)

    it("S4.1: tries that are used up", function()
      local run = begin { ending("a", "server", { max_retries = 1 }) }
      for _ = 1, 3 do run:resolve() end
      assert.same({ "exhausted a: 'a' is FATAL_ERROR: its tries are used up: Step reached max retries 1: it broke. Resolving the run does "
        .. "not run it again: retry it, its tries forgotten, or set its state." }, { (told(run, "a"))[1] })
      assert.equal(1, run:retry { only_failed = true })
      assert.is_true(explain(run, "a").ready)
    end)

    it("FATAL_ERROR with tries left", function()
      local run = resolved { { name = "a", action = { type = "echo", configuration = { output = '{{fail "no"}}' } } } }
      assert.matches("^failed a: 'a' is FATAL_ERROR: it cannot go on: .-no%. It is not tried again by itself", told(run, "a")[1])
    end)

    it("S6.6: CRASHED, a person has to look", function()
      local exported = begin({ ending "a" }):export()
      exported.state, exported.steps.a.state = "RUNNING", "RUNNING"
      local run = assert(step.restore(exported, nil, { clock = step.manual_clock(0) }))
      assert.matches("^crashed a: 'a' is RUNNING, but the process that ran it is gone%.", told(run, "a")[1])
      run:resolve()
      assert.same({
        "crashed a: 'a' is CRASHED: the process that ran it is gone, and nobody knows whether its action took effect. Find out; then "
          .. "resolve the run to run it again, or set its state to what it came to.",
        "run -: The run is BLOCKED_TOCHECK: no worker goes on with it, a person has to resolve it.",
      }, (told(run, "a")))
    end)

    it("D27: tells how often, and when it was the run that was taken over too often", function()
      local exported = begin({ ending "a" }):export()
      exported.state, exported.steps.a.state, exported.steps.a.takeovers = "BLOCKED_TOCHECK", "CRASHED", 3
      local run = assert(step.restore(exported, nil, { clock = step.manual_clock(0) }))
      assert.matches("the process that ran it is gone, for the 3%. time, and", told(run, "a")[1])
      exported.steps.a.state = "RUNNING" -- as it was when there was an end to it
      run = assert(step.restore(exported, nil, { clock = step.manual_clock(0) }))
      assert.matches("^run %-: The run is BLOCKED_TOCHECK: too many of the processes that worked on it are gone%.", told(run, "a")[2])
    end)

    it("S6.6: that a person has to resolve a run in which nothing is CRASHED any more", function()
      local exported = begin({ ending "a", ending "b" }):export()
      exported.state, exported.steps.a.state = "BLOCKED_TOCHECK", "CRASHED"
      local run = assert(step.restore(exported, nil, { clock = step.manual_clock(0) }))
      assert(run:set_state("a", "DONE"))
      assert.equal("run -: The run is BLOCKED_TOCHECK: no worker goes on with it, a person has to resolve it.", told(run, "b")[1])
      assert.is_nil(run.error)
    end)

    it("AFTERRUN_ERROR: only the conditions are done again", function()
      local run = resolved { ending("a", nil, { conditions = { { type = "check", ["if"] = function() error "no" end, ["then"] = {} } } }) }
      assert.matches("^retry a: 'a' is AFTERRUN_ERROR: its action has ended, but its check conditions could not be evaluated: .- "
        .. "Only they are done again%. It is tried again at ", told(run, "a")[1])
    end)

    it("S4.4: resources that could not be had", function()
      local engine <close> = assert(step.engine { resource_limits = { db = 0 }, clock = step.manual_clock(0) })
      engine:add(assert(step.define { name = "why", steps = { ending("a", nil, { resources = { "db" } }) } }))
      local run = assert(engine:start "why")
      run:resolve()
      assert.same({ "resource a: 'a' is TO_RETRY: it could not have its resources: failed to acquire resources: db has the limit 0, it is "
        .. "never available. It is tried again at 1970-01-01T00:00:10Z; resolve the run to try it now. How many may use them is the "
        .. "engine's resource_limits." }, (told(run, "a")))
    end)
  end)

  describe("while the run goes on", function()
    it("names what is in flight, and what the resources are wanted for", function()
      local run = begin { ending("a", nil, { waits = 5, resources = { "db" } }),
        ending("b", nil, { waits = 5, resources = { "db", "net" } }), after("c", "a") }
      run.loop:begin(run.core, false)
      run.loop:turn()
      assert.same({ "running a: 'a' is RUNNING: its action has not ended yet. It may have to wait for its resources (db); steps in flight "
        .. "that use them, too: 'b'.", "dependency a: 'c' needs 'a' to be DONE; that is RUNNING." }, (told(run, "c")))
      assert.is_false(explain(run, "a").ready)
    end)

    it("says of one that could start that it is not its turn", function()
      local engine <close> = assert(step.engine { max_concurrent = 1, clock = step.manual_clock(0) })
      engine:add(assert(step.define { name = "why", steps = { ending("a", nil, { waits = 5 }), ending "b" } }))
      local run = assert(engine:start "why")
      engine:step()
      assert.same({ "turn b: 'b' has all that it needs: it starts when it is its turn and the engine may have one more action in flight "
        .. "(max_concurrent)." }, (told(run, "b")))
      assert.is_true(explain(run, "b").ready)
    end)
  end)

  it("knows the limits of the run and of a loop", function()
    local each = ending("each", nil, { waits = 5, max_concurrent = 2 })
    each.foreach = "[1, 2, 3]"
    local run = begin { each }
    run.loop:begin(run.core, false)
    run.loop:turn()
    assert.same({ "turn each-2: 'each-2' has all that it needs, but its foreach step's max_concurrent is 2, and 2 are in flight: it starts "
      .. "when one of them ends." }, (told(run, "each-2")))
    run = begin({ ending("a", nil, { waits = 5 }), ending "b" }, { max_concurrent = 1 })
    run.loop:begin(run.core, false)
    run.loop:turn()
    assert.same({ "turn b: 'b' has all that it needs, but the run's max_concurrent is 1, and 1 is in flight: it starts when one of them "
      .. "ends." }, (told(run, "b")))
  end)

  it("looks at steps whose action is a Lua function", function()
    local run = resolved { { name = "a", idempotent = true, action = function() error("it broke", 0) end }, after("b", "a") }
    assert.matches("^retry a: 'a' is SERVER_ERROR: it broke%.", told(run, "b")[1])
  end)

  it("knows the failed children that a foreach step accepts", function()
    local run = begin { { name = "each", foreach = "[1, 2]", tolerate = 1, action = { type = "why-ending", configuration = {
      kind = "bad_request", waits = function(v) return v.iterator == 2 and 5 or 0 end,
    } } } }
    run.loop:begin(run.core, false)
    for _ = 1, 3 do run.loop:turn() end
    assert.same({ "ended each-0: 'each-0' has failed as CLIENT_ERROR: it broke, which its foreach step accepts (tolerate)." },
      (told(run, "each-0")))
    assert.same({ "running each-1", "children each" }, kinds(run, "each"))
    assert.matches("1 of its 2 children have ended; it waits for 'each%-1' %(RUNNING%)", told(run, "each")[2])
  end)

  describe("of a foreach step", function()
    local function loop(kind, more)
      local spec = ending("each", kind, more)
      spec.foreach = "[1, 2, 3]"
      return { spec, after("last", "each") }
    end

    it("S5.6: names the children that hold it", function()
      local run = resolved(loop "bad_request")
      run:set_state("each-1", "DONE")
      local lines = told(run, "each")
      assert.matches("^failed each%-0: 'each%-0' is CLIENT_ERROR", lines[1])
      assert.equal("children each: 'each' is EXPANDED: 1 of its 3 children have ended; it waits for 'each-0' (CLIENT_ERROR) and 'each-2' "
        .. "(CLIENT_ERROR).", lines[3])
      assert.same({ "failed each-0", "failed each-2", "run -", "dependency each" }, kinds(run, "last"))
      assert.same({ "failed each-0", "run -" }, kinds(run, "each-0"))
    end)

    it("S5.2: a child waits for the one before it, in a sequence", function()
      local run = resolved(loop("not_assigned", { foreach_strategy = "sequence" }))
      assert.same({ "waiting each-0", "dependency each-1" }, kinds(run, "each-2"))
      assert.matches("'each%-2' comes after 'each%-1', one child after the other; that is TODO, held by 'each%-0'", told(run, "each-2")[2])
    end)

    it("S5.4: waits for what is before it, when the children have ended", function()
      local each = ending("each", "not_assigned", { dependencies = { "a" } })
      each.foreach = "[1]"
      local run = resolved { ending "a", each }
      run:set_state("each-0", "DONE")
      run:set_state("a", "CLIENT_ERROR", "looked at again")
      assert.same({ "failed a", "children each", "run -" }, kinds(run, "each"))
      assert.equal("children each: 'each' is EXPANDED: its children have ended, it waits for what is before them.", told(run, "each")[2])
    end)
  end)

  describe("of PRUNE", function()
    it("S2.3: goes back to the step that began it", function()
      local run = resolved {
        ending("a", nil, { custom_states = { "EMPTY" }, gives = {},
          conditions = { { type = "check", ["if"] = {}, ["then"] = { this = "EMPTY" }, message = "nothing there" } } }),
        after("b", "a"), after("c", "b"), after("d", "c"),
      }
      assert.same({ "pruned a: 'b' is PRUNE: 'a' ended as EMPTY: nothing there (set by a condition of 'a'), and 'b' needs it to be DONE. "
        .. "Retry from 'a' to decide anew." }, (told(run, "b")))
      assert.same({ "pruned a: 'd' is PRUNE, as 'c' and 'b' are: 'a' ended as EMPTY: nothing there (set by a condition of 'a'), and 'b' "
        .. "needs it to be DONE. Retry from 'a' to decide anew." }, (told(run, "d")))
      assert.same({ "ended a: 'a' has ended as EMPTY: nothing there (set by a condition of 'a')." }, (told(run, "a")))
    end)

    it("by a condition or a person", function()
      local run = resolved {
        ending("a", nil, {
          conditions = { { type = "check", ["if"] = {}, ["then"] = { b = "PRUNE" }, message = "not {{.step.a.state}}" } } }),
        after("b", "a"), after("c", "b"),
      }
      assert.same({ "pruned b: 'c' is PRUNE, as 'b' is: not DONE (as a condition of 'a' may have set it): a condition or a person has cut "
        .. "'b' off. Retry from 'b' to decide anew." }, (told(run, "c")))
    end)
  end)

  it("S3.3: names the condition that has set a state, by its message or as the only one without", function()
    local function set(message, text)
      local run = resolved {
        ending("a", nil, { conditions = { { type = "check", ["if"] = {}, ["then"] = { this = "CLIENT_ERROR" }, message = message } } }),
      }
      assert.matches(text, told(run, "a")[1], 1, true)
    end
    set("no good", "is wrong: no good (set by a condition of 'a').")
    set(nil, "is wrong (set by a condition of 'a').")
    set("{{print 1}}", "is wrong: 1 (as a condition of 'a' may have set it).")
    step.register_function { name = "why-fn", action = { type = "echo" },
      conditions = { { type = "check", ["if"] = {}, ["then"] = { this = "CLIENT_ERROR" }, message = "the function's" } } }
    assert.matches("the function's (set by a condition of 'a')",
      told(resolved { { name = "a", action = { type = "why-fn", configuration = {} } } }, "a")[1], 1, true)
  end)

  it("S2.4: a dependency that will not be met any more", function()
    local run = begin { ending("a", nil, { custom_states = { "OTHER" } }), after("b", "a"), after("c", "b") }
    run:set_state("a", "OTHER")
    run:set_state("b", "TODO")
    run:set_state("c", "TODO")
    assert.equal("BLOCKED_DEADLOCK", run:resolve())
    assert.same({
      "dependency a: 'b' needs 'a' to be DONE, and that has ended as OTHER. Neither changes by itself: retry from 'a', or set the state "
        .. "of one of them.",
      "run -: The run is BLOCKED_DEADLOCK: no worker goes on with it, a person has to resolve it.",
      "dependency b: 'c' needs 'b' to be DONE; that is TODO, held by 'a'.",
    }, (told(run, "c")))
  end)

  describe("of its run", function()
    it("names the step that blocks it, when the step itself does not wait for that", function()
      local run = resolved { ending("a", "bad_request"), ending("b", "server") }
      assert.equal("run -: The run is BLOCKED_BADREQUEST: no worker goes on with it, a person has to resolve it (step 'a' is CLIENT_ERROR: "
        .. "it broke).", told(run, "b")[2])
    end)

    it("PAUSED and CANCELLED", function()
      local run = begin { ending "a", after("b", "a") }
      run:pause()
      assert.same({ "run -: The run is PAUSED: resume it, then it goes on.",
        "turn a: 'a' has all that it needs: it starts when the run goes on." }, (told(run, "a")))
      assert.is_false(explain(run, "a").ready)
      assert.same({ "resume" }, explain(run, "b").reasons[1].can)
      run:resume()
      run:cancel()
      assert.matches("^run %-: The run is CANCELLED: nothing of it starts any more, unless it is retried from a step%.", told(run, "b")[1])
      run:retry { from = "a" }
      assert.equal("DONE", run:resolve())
    end)

    it("being cancelled: only what cleans up still runs", function()
      local run = begin { ending("a", nil, { waits = 5, idempotent = true }), after("b", "a"),
        ending("c", nil, { dependencies = { "a" }, always = true, waits = 5 }),
        ending("d", nil, { dependencies = { "c" }, always = true }) }
      run.loop:begin(run.core, false)
      run.loop:turn()
      run:cancel()
      for _ = 1, 3 do run.loop:turn() end
      assert.same({ "run -: The run is being cancelled: nothing of it starts any more but the steps that clean up (always)." },
        (told(run, "b")))
      assert.same({ "running c", "run -", "dependency c" }, kinds(run, "d"))
      run:wait()
      assert.equal("CANCELLED", run.state)
    end)

    it("CANCELLED by its deadline", function()
      local run = begin({ ending("a", nil, { waits = 50 }), after("b", "a") }, { deadline = "10s" })
      run:resolve()
      assert.matches("^run %-: The run is CANCELLED %(the run's deadline of 1970%-01%-01T00:00:10Z has passed%): nothing of it starts",
        told(run, "b")[1])
    end)

    it("BLOCKED_MAXRETRIES: retrying what failed begins anew", function()
      local run = begin({ ending("a", "server") }, { retry_max = 2 })
      run:resolve()
      assert.equal("BLOCKED_MAXRETRIES", run:resolve())
      assert.same({ "retry a", "run -" }, kinds(run, "a"))
      assert.matches("It is tried again when the run goes on%.$", told(run, "a")[1])
      assert.same({ "retry failed", "resolve" }, explain(run, "a").reasons[2].can)
      run:retry { only_failed = true }
      assert.equal("ERROR", run:resolve())
    end)
  end)

  describe("on a store", function()
    after_each(temp.clean)

    it("says who works on the run, and until when", function()
      local path, clock = temp.path(), step.manual_clock(0)
      local def = assert(step.define { name = "why", steps = { ending("a", nil, { waits = 5 }), after("b", "a") } })
      local engine <close> = assert(step.engine { store = path, clock = clock })
      local other <close> = assert(step.engine { store = path, clock = clock })
      local id = engine:add(def):start("why").id
      assert.same({ "run -", "turn a" }, kinds(other:run(id), "a"))
      assert.matches("as soon as there is a worker", told(other:run(id), "a")[1])
      for _ = 1, 3 do engine:step() end
      assert.same({ "running a", "run -" }, kinds(other:run(id), "a"))
      assert.equal("run -: Another engine works on the run; its lease ends at 1970-01-01T00:00:30Z unless it is renewed.",
        told(other:run(id), "b")[2])
      assert.same({ "running a", "dependency a" }, kinds(engine:run(id), "b"))
      clock.advance(31)
      assert.matches("^run %-: The engine that worked on the run has given no sign of life until 1970%-01%-01T00:00:30Z",
        told(other:run(id), "b")[2])
    end)
  end)
end)
