-- luastep delete: runs are gone.

local cli = require "spec.support.cli"
local step = require "step"

step.register_runner("delete-slow", function(_, _, _, ctx) ctx:sleep(5) end)

describe("luastep delete", function()
  after_each(cli.clean)

  it("removes runs, not one that is being worked on", function()
    local store = cli.store { ["s.yaml"] = "name: s\nsteps: {a: {action: {type: delete-slow}}}" }
    local working = store.start "@s.yaml"
    local engine <close> = assert(step.engine { store = store.path, clock = store.clock })
    for _ = 1, 3 do engine:step() end
    local first, second = store.start "@s.yaml", store.start "@s.yaml"
    local done = store.run("delete", first, working, second:sub(1, 13))
    assert.same({ 1, ("%s is deleted\n%s is deleted\n"):format(first, second) }, { done.status, done.out })
    assert.matches("is being worked on by .-: cancel it first\n$", done.err)
    assert.equal(1, store.run("show", first).status)
    assert.equal(0, store.run("show", working).status)
  end)
end)
