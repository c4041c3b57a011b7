-- luastep retry: once more, all of it or what failed.

local cli = require "spec.support.cli"
local json = require "step.json"
local step = require "step"

local ran = {}
step.register_runner("retry-count", function(name, _, config)
  ran[#ran + 1] = name
  if config.fails == "yes" then return nil, nil, nil, step.error.bad_request "it broke" end
end)

local WORK = [[
name: work
resolver_inputs: []
steps:
  a: {action: {type: retry-count, configuration: {}}}
  b: {dependencies: [a], action: {type: retry-count, configuration: {fails: "yes"}}}
  c: {dependencies: [a], action: {type: retry-count, configuration: {}}}
  d: {dependencies: [b], action: {type: retry-count, configuration: {}}}
]]

describe("luastep retry", function()
  before_each(function() ran = {} end)
  after_each(cli.clean)

  local function failed()
    local store = cli.store { ["w.yaml"] = WORK }
    local id = store.start "@w.yaml"
    assert.equal(1, store.run("resume", "-q", id).status)
    assert.same({ "a", "b", "c" }, ran)
    ran = {}
    return store, id
  end

  it("from a step: it and all that depends on it, as if they had never run", function()
    local store, id = failed()
    local done = store.run("retry", "-q", id, "--from", "a")
    assert.same({ 1, ("luastep: work (run %s) is BLOCKED_BADREQUEST: step 'b' is CLIENT_ERROR: it broke\n"):format(id) },
      { done.status, done.err })
    assert.same({ "a", "b", "c" }, ran)
    assert.equal(1, json.decode(store.run("show", "--json", id).out).steps.b.try_count)
  end)

  it("only what failed, its tries forgotten", function()
    local store, id = failed()
    store.run("retry", "-q", id, "--only-failed")
    assert.same({ "b" }, ran)
    assert.equal(1, json.decode(store.run("show", "--json", id).out).steps.b.try_count)
  end)

  it("without options, as resume does: the try counts", function()
    local store, id = failed()
    store.run("retry", "-q", id)
    assert.same({ "b" }, ran)
    assert.equal(2, json.decode(store.run("show", "--json", id).out).steps.b.try_count)
  end)

  it("leaves it to a worker with --detach", function()
    local store, id = failed()
    assert.same({ status = 0, err = "", out = id .. " is TODO: the next worker takes it\n" },
      store.run("retry", "--detach", "--only-failed", id))
    assert.same({}, ran)
    store.run("work", "-q", "--until-idle")
    assert.same({ "b" }, ran)
    local done = store.run("retry", "--detach", id)
    assert.equal(3, done.status)
    assert.matches("^luastep: %-%-detach needs %-%-from STEP or %-%-only%-failed", done.err)
  end)

  it("refuses a step that is none, both options, and a run of which nothing has failed", function()
    local store, id = failed()
    local done = store.run("retry", "-q", id, "--from", "x")
    assert.same({ 1, ("luastep: run %s: the run has no step 'x'; it has: a, b, c, d\n"):format(id) }, { done.status, done.err })
    assert.equal(3, store.run("retry", id, "--from", "a", "--only-failed").status)
    store.run("set-state", id, "b", "DONE")
    done = store.run("retry", "-q", id, "--only-failed")
    assert.same({ 1, ("luastep: run %s: no step of the run has failed\n"):format(id) }, { done.status, done.err })
  end)
end)
