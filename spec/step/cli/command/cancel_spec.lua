-- luastep cancel: no step of a run starts any more.

local cli = require "spec.support.cli"
local json = require "step.json"
local step = require "step"

step.register_runner("cancel-slow", function(_, _, _, ctx) ctx:sleep(5) end)

local SLOW = "name: slow\nsteps: {a: {action: {type: cancel-slow}}, b: {dependencies: [a], action: {type: cancel-slow}}}"

describe("luastep cancel", function()
  after_each(cli.clean)

  local function state(store, id) return json.decode(store.run("show", id, "--json").out).state end

  it("makes runs CANCELLED; one that cannot be does not keep the others from it", function()
    local store = cli.store { ["s.yaml"] = SLOW }
    local first, second, done = store.start "@s.yaml", store.start "@s.yaml", store.start "@s.yaml"
    store.run("resume", "-q", done)
    assert.same({ status = 1, out = ("%s is CANCELLED\n%s is CANCELLED\n"):format(first, second),
      err = ("luastep: the store has no run 'none'\nluastep: run %s: the run is DONE already\n"):format(done) },
      store.run("cancel", first, "none", done, second:sub(1, 13)))
    assert.same({ "CANCELLED", "CANCELLED", "DONE" }, { state(store, first), state(store, second), state(store, done) })
    assert.equal(0, store.run("work", "-q", "--until-idle").status)
    assert.equal("CANCELLED", state(store, first))
  end)

  it("asks the engine that works on a run; what waits there is stopped", function()
    local store = cli.store { ["s.yaml"] = SLOW }
    local id = store.start "@s.yaml"
    local engine <close> = assert(step.engine { store = store.path, clock = store.clock })
    for _ = 1, 3 do engine:step() end
    assert.same({ status = 0, err = "", out = id .. " is being worked on: the engine that does so was asked\n" }, store.run("cancel", id))
    assert.equal("RUNNING", state(store, id))
    assert(engine:work { until_idle = true })
    local shown = json.decode(store.run("show", id, "--json").out)
    assert.same({ "CANCELLED", "TO_RETRY", "TODO" }, { shown.state, shown.steps.a.state, shown.steps.b.state })
  end)

  it("runs the steps that clean up", function()
    local store = cli.store { ["c.yaml"] = [[
name: c
steps:
  a: {action: {type: echo, configuration: {error_message: broken, error_type: client}}}
  b: {dependencies: [a], always: true, action: {type: echo, configuration: {output: cleaned}}}
]], ["c.lua"] = [[return { name = "code", steps = {
      { name = "a", action = { type = "echo", configuration = { error_message = "no", error_type = "client" } } },
      { name = "b", dependencies = { "a" }, always = true, action = function() return "cleaned" end } } }]] }
    local id = store.start "@c.yaml"
    store.run("work", "-q", "--until-idle")
    assert.same({ status = 0, err = "", out = id .. " is CANCELLED\n" }, store.run("cancel", id))
    local shown = json.decode(store.run("show", id, "--json").out)
    assert.same({ "CANCELLED", "cleaned" }, { shown.state, shown.steps.b.output })

    id = store.start "@c.lua"
    store.run("work", "-q", "--until-idle", "@c.lua")
    assert.equal("BLOCKED_BADREQUEST", state(store, id))
    local words = " is to be cancelled: the next worker that has its code runs the steps that clean up\n"
    assert.same({ status = 0, err = "", out = id .. words }, store.run("cancel", id))
    store.run("work", "-q", "--until-idle", "@c.lua")
    shown = json.decode(store.run("show", id, "--json").out)
    assert.same({ "CANCELLED", "cleaned" }, { shown.state, shown.steps.b.output })
  end)
end)
