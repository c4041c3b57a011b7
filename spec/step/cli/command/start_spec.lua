-- luastep start: runs for a worker.

local cli = require "spec.support.cli"
local json = require "step.json"

local GREET = "name: greet\ninputs: [{name: who}]\nsteps: {say: {action: {type: echo, configuration: {output: '{{.input.who}}'}}}}\n"

describe("luastep start", function()
  after_each(cli.clean)

  it("stores a run and prints its id", function()
    local store = cli.store { ["g.yaml"] = GREET }
    local done = store.run("start", "@g.yaml", "-i", "who=Ada", "-t", "team=red")
    assert.equal("", done.err)
    local id = done.out:match "^(%x+%-%x+%-4%x+%-%x+%-%x+)\n$"
    local shown = json.decode(store.run("show", id, "--json").out)
    assert.same({ "TODO", { who = "Ada" }, { team = "red" }, 0 }, { shown.state, shown.input, shown.tags, shown.run_count })
  end)

  it("gives the same run for the same key", function()
    local store = cli.store { ["g.yaml"] = GREET }
    local first = store.start("@g.yaml", "-i", "who=Ada", "--key", "order 1")
    assert.equal(first, store.start("@g.yaml", "-i", "who=Bob", "--key", "order 1"))
    assert.not_equal(first, store.start("@g.yaml", "-i", "who=Bob", "--key", "order 2"))
    local done = store.run("start", "@g.yaml", "@g.yaml", "-i", "who=x", "--key", "k")
    assert.same({ 3, "luastep: --key is for one run, and here are 2 definitions\n" }, { done.status, done.err })
  end)

  it("tells it as JSON", function()
    local store = cli.store { ["g.yaml"] = GREET }
    local told = json.decode(store.run("start", "@g.yaml", "-i", "who=Ada", "-k", "one", "--json").out)
    assert.same({ "greet", "one", "TODO" }, { told.name, told.key, told.state })
    assert.equal(told.id, store.start("@g.yaml", "-i", "who=Ada", "-k", "one"))
  end)

  it("stores nothing when one of several is refused", function()
    local store = cli.store { ["a.yaml"] = "name: a\nsteps: {a: {action: {type: echo}}}", ["g.yaml"] = GREET, ["bad.yaml"] = "name: bad" }
    local done = store.run("start", "@a.yaml", "@g.yaml")
    assert.same({ 3, "luastep: greet: Missing input 'who'\n" }, { done.status, done.err })
    assert.equal(2, store.run("start", "@a.yaml", "@bad.yaml").status)
    done = store.run "list"
    assert.same({ 3, "luastep: there is no store '@/runs.db'\n" }, { done.status, done.err })
  end)

  it("needs a store that can be opened", function()
    local store = cli.store({ ["g.yaml"] = GREET, ["no.db"] = "text, and not a little of it" }, { getenv = {} })
    local done = store.run("start", "@g.yaml", "-i", "who=x")
    assert.same({ 3, "luastep: a store is expected: --store PATH, or the variable LUASTEP_STORE\n" }, { done.status, done.err })
    done = store.run("start", "@g.yaml", "-i", "who=x", "--store", "@no.db")
    assert.equal(3, done.status)
    assert.matches("^luastep: the store @/no.db: ", done.err)
    done = store.run("start", "@g.yaml", "-i", "who=x", "-t", "team")
    assert.same({ 3, "luastep: greet: -t team: NAME=VALUE is expected\n" }, { done.status, done.err })
  end)
end)
