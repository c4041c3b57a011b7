-- luastep signal: what somebody outside says to a run.

local cli = require "spec.support.cli"
local json = require "step.json"

local QUESTION = [[
name: question
steps:
  ask: {action: {type: callback, configuration: {action: create, schema: {type: object, required: [ok]}}}}
  answer: {dependencies: [ask], action: {type: callback, configuration: {action: wait, id: "{{.step.ask.output.id}}"}}}
]]

describe("luastep signal", function()
  after_each(cli.clean)

  local function show(store, id) return json.decode(store.run("show", id, "--json").out) end

  local function waiting(given)
    local store = cli.store({ ["q.yaml"] = QUESTION }, given)
    local id = store.start "@q.yaml"
    assert.equal(0, store.run("work", "-q", "--until-idle").status)
    assert.equal("WAITING", show(store, id).state)
    return store, id
  end

  it("tells a run by the callback's name, which a worker then carries on", function()
    local store, id = waiting()
    assert.same({ status = 0, err = "", out = id .. " was told\n" }, store.run("signal", id:sub(1, 8), "ask", '{"ok": [1, 2]}'))
    assert.equal(0, store.run("work", "-q", "--until-idle").status)
    local shown = show(store, id)
    assert.same({ "DONE", { ok = { 1, 2 } } }, { shown.state, shown.steps.answer.output.body })
  end)

  it("takes the callback's id, and reads the standard input", function()
    local store, id = waiting { input = '{"ok": true}\n' }
    assert.equal(0, store.run("signal", id, show(store, id).steps.ask.output.id, "-").status)
    store.run("work", "-q", "--until-idle")
    assert.same({ ok = true }, show(store, id).steps.answer.output.body)
  end)

  it("refuses what is no JSON, what the schema does not accept, a callback and a run that are none", function()
    local store, id = waiting()
    local done = store.run("signal", id, "ask", "{")
    assert.same({ 3, "" }, { done.status, done.out })
    assert.matches("^luastep: the data is no JSON: ", done.err)
    done = store.run("signal", id, "ask")
    assert.equal(1, done.status)
    assert.matches("^luastep: run [%x-]+: the data for the callback 'ask' is refused: ", done.err)
    assert.same({ status = 1, out = "", err = ("luastep: run %s: the run has no callback \"aks\" (did you mean 'ask'?)\n"):format(id) },
      store.run("signal", id, "aks", "{}"))
    assert.same({ status = 1, out = "", err = "luastep: the store has no run 'none'\n" }, store.run("signal", "none", "ask", "{}"))
    assert.equal(3, store.run("signal", id).status)
  end)
end)
