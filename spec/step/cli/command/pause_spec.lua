-- luastep pause: no step of a run starts any more.

local cli = require "spec.support.cli"
local json = require "step.json"
local step = require "step"

step.register_runner("pause-slow", function(_, _, _, ctx) ctx:sleep(5) end)

local SLOW = "name: slow\nsteps: {a: {action: {type: pause-slow}}, b: {dependencies: [a], action: {type: pause-slow}}}"

describe("luastep pause", function()
  after_each(cli.clean)

  local function state(store, id) return json.decode(store.run("show", id, "--json").out).state end

  it("makes runs PAUSED; one that cannot be does not keep the others from it", function()
    local store = cli.store { ["s.yaml"] = SLOW }
    local first, second, done = store.start "@s.yaml", store.start "@s.yaml", store.start "@s.yaml"
    store.run("resume", "-q", done)
    assert.same({ status = 1, out = ("%s is PAUSED\n%s is PAUSED\n"):format(first, second),
      err = ("luastep: the store has no run 'none'\nluastep: run %s: the run is DONE already\n"):format(done) },
      store.run("pause", first, "none", done, second:sub(1, 13)))
    assert.same({ "PAUSED", "PAUSED", "DONE" }, { state(store, first), state(store, second), state(store, done) })
    assert.equal(0, store.run("work", "-q", "--until-idle").status)
    assert.equal("PAUSED", state(store, first))
  end)

  it("asks the engine that works on a run; what is in flight ends first", function()
    local store = cli.store { ["s.yaml"] = SLOW }
    local id = store.start "@s.yaml"
    local engine <close> = assert(step.engine { store = store.path, clock = store.clock })
    for _ = 1, 3 do engine:step() end
    assert.same({ status = 0, err = "", out = id .. " is being worked on: the engine that does so was asked\n" }, store.run("pause", id))
    assert.equal("RUNNING", state(store, id))
    assert(engine:work { until_idle = true })
    local shown = json.decode(store.run("show", id, "--json").out)
    assert.same({ "PAUSED", "DONE", "TODO" }, { shown.state, shown.steps.a.state, shown.steps.b.state })
  end)
end)
