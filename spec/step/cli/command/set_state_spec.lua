-- luastep set-state: a step's state, by hand.

local cli = require "spec.support.cli"
local json = require "step.json"
local step = require "step"

step.register_runner("set-state-slow", function(_, _, _, ctx) ctx:sleep(5) end)

local CHAIN = [[
name: chain
steps:
  a: {custom_states: [EMPTY], action: {type: set-state-slow}}
  b: {dependencies: [a], action: {type: set-state-slow}}
  c: {dependencies: ["a:EMPTY"], action: {type: set-state-slow}}
]]

describe("luastep set-state", function()
  after_each(cli.clean)

  local function show(store, id) return json.decode(store.run("show", id, "--json").out) end

  it("sets it, with what follows from it", function()
    local store = cli.store { ["c.yaml"] = CHAIN }
    local id = store.start "@c.yaml"
    assert.same({ status = 0, err = "", out = id .. " is TODO, its step a is EMPTY\n" },
      store.run("set-state", id, "a", "EMPTY", "-m", "looked at it"))
    local shown = show(store, id)
    assert.same({ "EMPTY", "looked at it", "PRUNE", "TODO" },
      { shown.steps.a.state, shown.steps.a.error, shown.steps.b.state, shown.steps.c.state })
    assert.equal("looked at it", json.decode(store.run("show", id, "--json", "--events").out).events[1].message)
  end)

  it("asks the engine that works on the run", function()
    local store = cli.store { ["c.yaml"] = CHAIN }
    local id = store.start "@c.yaml"
    local engine <close> = assert(step.engine { store = store.path, clock = store.clock })
    for _ = 1, 3 do engine:step() end
    assert.same({ status = 0, err = "", out = id .. " is being worked on: the engine that does so was asked\n" },
      store.run("set-state", id, "a", "EMPTY"))
    for _, case in ipairs {
      { "x", "DONE", "the run has no step 'x'; it has: a, b, c" },
      { "b", "EMPTY", "step 'b' cannot be set to \"EMPTY\": the step has no such state; accepted: TODO, WAITING, DONE, CLIENT_ERROR, "
        .. "SERVER_ERROR, FATAL_ERROR, CRASHED, PRUNE, TO_RETRY, RETRY_NOW, AFTERRUN_ERROR" },
      { "a", "empty", "step 'a' cannot be set to \"empty\": the step has no such state (did you mean 'EMPTY'?)" },
      { "b", "RUNNING", "step 'b' cannot be set to \"RUNNING\": only the engine sets this state" },
    } do
      assert.same({ status = 1, out = "", err = ("luastep: run %s: %s\n"):format(id, case[3]) },
        store.run("set-state", id, case[1], case[2]))
    end
    assert(engine:work { until_idle = true })
    local shown = show(store, id)
    assert.same({ "DONE", "EMPTY", "PRUNE", "DONE" }, { shown.state, shown.steps.a.state, shown.steps.b.state, shown.steps.c.state })
  end)

  it("says what has a blocked run go on", function()
    local store = cli.store {
      ["f.yaml"] = "name: f\nsteps: {a: {action: {type: echo, configuration: {error_message: x, error_type: client}}}}",
    }
    local id = store.start "@f.yaml"
    store.run("work", "-q", "--until-idle")
    assert.equal(id .. " is BLOCKED_BADREQUEST, its step a is DONE: `luastep resume` has it go on\n",
      store.run("set-state", id, "a", "DONE").out)
  end)

  it("says what has a run go on that is WAITING or PAUSED: no worker does", function()
    local store = cli.store { ["w.yaml"] = [[
name: w
steps:
  ask: {action: {type: callback, configuration: {action: create}}}
  a: {dependencies: [ask], action: {type: callback, configuration: {action: wait, id: "{{.step.ask.output.id}}"}}}
  b: {dependencies: [a], action: {type: echo}}
]] }
    local id = store.start "@w.yaml"
    store.run("work", "-q", "--until-idle")
    local state = show(store, id).state
    assert.equal((" is %s, its step a is DONE: `luastep resume` has it go on\n"):format(state),
      store.run("set-state", id, "a", "DONE").out:sub(#id + 1))
    assert.equal("WAITING", state)
    store.run("work", "-q", "--until-idle")
    assert.equal("WAITING", show(store, id).state)
    store.run("pause", id)
    assert.equal(id .. " is PAUSED, its step b is PRUNE: `luastep resume` has it go on\n", store.run("set-state", id, "b", "PRUNE").out)
    assert.equal(0, store.run("resume", "-q", id).status)
  end)

  it("refuses a step and a state that are none", function()
    local store = cli.store { ["c.yaml"] = CHAIN }
    local id = store.start "@c.yaml"
    local done = store.run("set-state", id, "x", "DONE")
    assert.same({ 1, ("luastep: run %s: the run has no step 'x'; it has: a, b, c\n"):format(id) }, { done.status, done.err })
    done = store.run("set-state", id, "b", "EMPTY")
    assert.equal(1, done.status)
    assert.matches("^luastep: run [%x-]+: "
      .. "step 'b' cannot be set to \"EMPTY\": the step has no such state; accepted: TODO, .-, AFTERRUN_ERROR\n$", done.err)
    assert.equal(1, store.run("set-state", id, "b", "RUNNING").status)
  end)
end)
