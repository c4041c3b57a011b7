-- luastep why: what holds a step. (What there is to say: spec/step/why_spec.lua.)

local cli = require "spec.support.cli"
local json = require "step.json"

local CHAIN = [[
name: chain
steps:
  "a b": {action: {type: echo, configuration: {error_message: it broke, error_type: %s}}, max_retries: 0}
  last: {dependencies: ["a b"], action: {type: echo}}
]]

describe("luastep why", function()
  after_each(cli.clean)

  local function blocked(kind)
    local store = cli.store { ["c.yaml"] = CHAIN:format(kind or "client") }
    local id = store.start "@c.yaml"
    store.run("resume", "-q", "--no-wait", id)
    return store, id
  end

  it("says it in sentences, and the commands that help", function()
    local store, id = blocked()
    assert.same({ status = 0, err = "", out = ([[
· last  TODO
  'a b' is CLIENT_ERROR: what it was asked for is wrong: it broke. It is not tried again by itself: put that right and REST
  The run is BLOCKED_BADREQUEST: no worker goes on with it, a person has to resolve it.
  'last' needs 'a b' to be DONE; that is CLIENT_ERROR.
What you can do:
  luastep resume ID
  luastep set-state ID 'a b' DONE
]]):gsub("ID", id:sub(1, 8)):gsub("REST", "resolve the run, or set its state.") }, store.run("why", id, "last"))
  end)

  it("names the store in the commands when the command line did", function()
    local store, id = blocked()
    assert.matches("  luastep resume " .. id:sub(1, 8) .. " %-%-store @/runs.db\n", store.run("why", id, "last", "--store", "@runs.db").out)
  end)

  it("knows the way out of tries that are used up", function()
    local store, id = blocked "server"
    store.run("resume", "-q", "--no-wait", id)
    local done = store.run("why", id, "a b")
    assert.matches("^✖ a b  FATAL_ERROR\n  'a b' is FATAL_ERROR: its tries are used up: ", done.out)
    assert.matches("\n  luastep retry %x+ %-%-only%-failed\n  luastep retry %x+ %-%-from 'a b'\n  luastep set%-state %x+ 'a b' DONE\n$",
      done.out)
  end)

  it("says of a step that may start that it is ready, and of one that has ended how", function()
    local store = cli.store { ["c.yaml"] = CHAIN:format "client" }
    local id = store.start "@c.yaml"
    assert.matches("^· a b  TODO  ready\n  The run is TODO: it goes on as soon as there is a worker", store.run("why", id, "a b").out)
    store.run("set-state", id, "a b", "DONE")
    assert.matches("^✔ a b  DONE\n  'a b' has ended as DONE%.\n", store.run("why", id, "a b").out)
  end)

  it("names what a cancelled run is retried from: of a child its foreach step", function()
    local store = cli.store { ["s.yaml"] = [[
name: s
steps:
  each: {foreach: '[1, 2]', action: {type: echo, configuration: {error_message: broken}}}
  last: {dependencies: [each], action: {type: echo}}
]] }
    local id = store.start "@s.yaml"
    store.run("resume", "-q", "--no-wait", id)
    store.run("cancel", id)
    local short = id:sub(1, 8)
    for name, from in pairs { ["each-1"] = "each", last = "last" } do
      local words = ("What you can do:\n  luastep retry %s --from %s\n$"):format(short, from):gsub("%-", "%%-")
      assert.matches(words, store.run("why", id, name).out)
    end
    assert.equal(0, store.run("retry", short, "--from", "each", "--detach").status)
  end)

  it("says of a run of code that a worker has to have that", function()
    local store = cli.store { ["c.lua"] = [[return { name = "code", steps = { { name = "a", action = function() error "no" end } } }]] }
    local id = store.start "@c.lua"
    local words = ", of a definition that holds Lua functions: only a worker that has it goes on with the run, or who resolves it with "
      .. "that."
    assert.matches("The run is TODO" .. words, store.run("why", id, "a").out, 1, true)
    store.run("resume", "-q", "--no-wait", "-d", "@c.lua", id)
    assert.not_matches("holds Lua functions", store.run("why", id, "a").out)
    store.clock.advance(60)
    assert.matches("The run is ERROR" .. words, store.run("why", id, "a").out, 1, true)
  end)

  it("knows what a step waits for: a signal, another run", function()
    local store = cli.store { ["k.yaml"] = [[
name: kid
steps:
  ask: {action: {type: callback, configuration: {action: create, name: is it so}}}
  wait: {dependencies: [ask], action: {type: callback, configuration: {action: wait, id: is it so}}}
]], ["t.yaml"] = "name: top\nsteps: {call: {action: {type: workflow, configuration: {definition: kid}}}}" }
    local id = store.start "@t.yaml"
    assert.equal(0, store.run("work", "-q", "--until-idle", "@k.yaml").status)
    local kid = store.run("why", id, "call").out:match "\n  luastep show (%x+)\n  luastep set%-state %x+ call DONE\n$"
    assert.matches(("\n  luastep signal %s 'is it so' DATA\n  luastep set%%-state %s wait DONE\n$"):format(kid, kid),
      store.run("why", kid, "wait").out)
  end)

  it("says it as JSON", function()
    local store, id = blocked()
    local told = json.decode(store.run("why", id, "last", "--json").out)
    assert.same({ "TODO", false, 3 }, { told.state, told.ready, #told.reasons })
    assert.same({ "failed", "a b", { "resolve", "set state" } },
      { told.reasons[1].kind, told.reasons[1].step, { table.unpack(told.reasons[1].can) } })
  end)

  it("refuses a step that is none", function()
    local store, id = blocked()
    local done = store.run("why", id, "lost")
    assert.same({ 1, "luastep: the run has no step 'lost' (did you mean 'last'?)\n" }, { done.status, done.err })
  end)
end)
