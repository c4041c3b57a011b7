-- luastep work: the worker.

local cli = require "spec.support.cli"
local json = require "step.json"
local step = require "step"
local stores = require "spec.support.stores"

local CHAIN = [[
name: chain
steps:
  a: {action: {type: echo, configuration: {output: 1}}}
  b: {dependencies: [a], action: {type: echo, configuration: {output: 2}}}
]]
local FAILS = "name: fails\nsteps: {a: {action: {type: echo, configuration: {error_message: it broke, error_type: %s}}}}\n"

step.register_runner("work-flaky", function(_, _, _, ctx)
  if ctx.attempt < 3 then return nil, nil, nil, "not yet" end
end)
step.register_runner("work-slow", function(_, _, _, ctx) ctx:sleep(5) end)

describe("luastep work", function()
  after_each(cli.clean)

  local function state(store, id) return json.decode(store.run("show", id, "--json").out).state end

  it("carries on what is there, a line an event", function()
    local store = cli.store { ["c.yaml"] = CHAIN, ["f.yaml"] = FAILS:format "client" }
    local first, second = store.start "@c.yaml", store.start "@f.yaml"
    local done = store.run("work", "--until-idle")
    assert.same({ 0, "" }, { done.status, done.err })
    assert.equal([[
  0.000s  ▶  FIRST  chain  RUNNING
  0.000s  ▶  SECOND  fails  RUNNING
  0.000s  ▶  FIRST  a      RUNNING
  0.000s  ▶  SECOND  a      RUNNING
  0.000s  ✔  FIRST  a      DONE
  0.000s  ▶  FIRST  b      RUNNING
  0.000s  ✖  SECOND  a      CLIENT_ERROR  - it broke
  0.000s  ✖  SECOND  fails  BLOCKED_BADREQUEST  after 0.000s
  0.000s  ✔  FIRST  b      DONE
  0.000s  ✔  FIRST  chain  DONE  after 0.000s
]], (done.out:gsub(first:sub(1, 8), "FIRST"):gsub(second:sub(1, 8), "SECOND")))
    assert.same({ "DONE", "BLOCKED_BADREQUEST" }, { state(store, first), state(store, second) })
  end)

  it("retries when it is time (D17)", function()
    local store = cli.store { ["f.yaml"] = "name: f\nsteps: {a: {action: {type: work-flaky}}}" }
    local id = store.start "@f.yaml"
    assert.same({ status = 0, out = "", err = "" }, store.run("work", "--until-idle", "-q"))
    assert.equal("DONE", state(store, id))
    assert.near(22.5, store.clock.now(), 1e-6)
  end)

  it("shows a table of runs on a terminal", function()
    local store = cli.store({ ["c.yaml"] = CHAIN }, { terminal = true })
    local id = store.start "@c.yaml"
    local done = store.run("work", "--until-idle")
    assert.matches("✔\27%[0m chain " .. id:sub(1, 8) .. "  \27%[32mDONE   \27%[0m   0.000s  \27%[2m2 of 2\27%[0m\27%[K\n.-1 of 1  "
      .. ".-\27%[J$", done.out)
  end)

  it("stops when it is asked to: what is in flight ends, the rest is for the next worker", function()
    local store
    local text = "name: s\nsteps: {a: {action: {type: work-slow}}, b: {dependencies: [a], action: {type: work-slow}}}"
    store = cli.store({ ["s.yaml"] = text }, {
      interrupts = { watch = function() end, asked = function() return store.clock.now() >= 2 end },
    })
    local id = store.start "@s.yaml"
    local done = store.run("work", "-q")
    assert.same({ 0, "luastep: stopping: what is running ends first; once more to give up\n" }, { done.status, done.err })
    local shown = json.decode(store.run("show", id, "--json").out)
    assert.same({ "TO_AUTORUN", "DONE", "TODO" }, { shown.state, shown.steps.a.state, shown.steps.b.state })
    assert.near(5, store.clock.now(), 1e-6)
    assert.equal(1, store.run("work", "-q", "--until-idle").status) -- stopped, not idle
  end)

  it("leaves runs of code alone, unless it has the definition", function()
    local store = cli.store { ["c.lua"] = [[return { name = "code", steps = { { name = "a", action = function() return 1 end } } }]] }
    local id = store.start "@c.lua"
    store.start "@c.lua"
    assert.same({ status = 0, out = "", err = ("luastep: run '%s' is of the definition 'code', which holds Lua functions: name its file: "
      .. "--definition FILE, or `luastep work FILE`\n"):format(id) }, store.run("work", "--until-idle"))
    assert.equal("TODO", state(store, id))
    assert.same({ 0, "" }, { store.run("work", "--until-idle", "@c.lua").status, store.run("work", "--until-idle").err })
    assert.equal("DONE", state(store, id))
  end)

  it("goes on with code that has changed only when it is told to", function()
    local text = [[return { name = "code", steps = { { name = "a", action = function() return 1 end } %s } }]]
    local store = cli.store { ["old.lua"] = text:format "", ["new.lua"] = text:format ", { name = 'b', action = function() end }" }
    local id = store.start "@old.lua"
    assert.equal(("luastep: run '%s' was started with another version of the definition 'code': new: 'b'; use the option --upgrade to go "
      .. "on with the new one\n"):format(id), store.run("work", "--until-idle", "@new.lua").err)
    assert.equal("TODO", state(store, id))
    store.run("work", "--until-idle", "--upgrade", "@new.lua")
    assert.equal("DONE", state(store, id))
    assert.equal("DONE", json.decode(store.run("show", id, "--json").out).steps.b.state)
  end)

  it("takes over what a process left that is gone, and says so", function()
    local store = cli.store { ["s.yaml"] = "name: s\nsteps: {a: {action: {type: work-slow}}}" }
    local id = store.start "@s.yaml"
    local engine = assert(step.engine { store = store.path, clock = store.clock })
    for _ = 1, 3 do engine:step() end
    stores.die(engine)
    store.clock.advance(31)
    local done = store.run("work", "--until-idle", "-q")
    assert.same({ 0, ("luastep: run %s is taken over: the process that worked on it is gone\n"):format(id) }, { done.status, done.err })
    assert.equal("BLOCKED_TOCHECK", state(store, id))
  end)

  it("refuses a bad definition", function()
    local store = cli.store { ["bad.yaml"] = "name: bad" }
    assert.equal(2, store.run("work", "--until-idle", "@bad.yaml").status)
    assert.equal(3, store.run("work", "--until-idle", "@none.yaml").status)
  end)
end)
