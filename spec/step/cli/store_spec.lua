local cli = require "spec.support.cli"
local step = require "step"
local store = require "step.cli.store"

describe("the store of a command", function()
  after_each(cli.clean)

  local function env(variables) return { getenv = function(name) return variables[name] end, err = cli.stream() } end

  it("is named by the option, else by the environment; an empty name is none", function()
    assert.equal("a.db", store.path({ store = "a.db" }, env { LUASTEP_STORE = "b.db" }))
    assert.equal("b.db", store.path({}, env { LUASTEP_STORE = "b.db" }))
    assert.is_nil(store.path({ store = "" }, env { LUASTEP_STORE = "b.db" }))
    assert.is_nil(store.path({}, env {}))
  end)

  it("is made only by those who put something into it", function()
    local path = cli.folder {} .. "/new.db"
    local where = env { LUASTEP_STORE = path }
    local none, status = store.open({}, where)
    assert.same({ nil, 3 }, { none, status })
    assert.equal(("luastep: there is no store '%s'\n"):format(path), where.err.text())
    store.open({}, where, true):close()
    store.open({}, where):close()
  end)

  it("knows a run by its whole id before others that begin with it", function()
    local engine <close> = assert(step.engine())
    engine:add(assert(step.define { name = "x", steps = { { name = "a", action = function() end } } }))
    for _, id in ipairs { "run", "run-1", "other" } do engine:start("x", { id = id }) end
    assert.equal("run", store.find(engine, "run").id)
    assert.equal("run-1", store.find(engine, "run-").id)
    assert.equal("other", store.find(engine, "o").id)
    assert.same({ nil, "the store has no run 'x'", n = 2 }, table.pack(store.find(engine, "x")))
    assert.same({ nil, "more than one run begins with 'ru': run, run-1", n = 2 }, table.pack(store.find(engine, "ru")))
  end)

  it("shows ids as short as they differ", function()
    assert.equal(8, store.length { "12345678-a", "12345679-a" })
    assert.equal(12, store.length { "12345678-a", "12345678-b", "x" })
    assert.equal("12345678", store.short "12345678-a")
    assert.equal("a", store.short "a")
  end)
end)
