-- The command as a process of its own.

local cli = require "spec.support.cli"
local json = require "step.json"

describe("luastep", function()
  after_each(cli.clean)

  it("tells its version, and helps", function()
    assert.matches("^luastep, step .-, Lua 5.4\n$", cli.process({ "version" }).out)
    assert.same(cli.process { "version" }, cli.process { "--version" })
    local done = cli.process { "help", "run" }
    assert.same({ 0, "" }, { done.status, done.err })
    assert.matches("^Usage: luastep run ", done.out)
    assert.equal(done.out, cli.process({ "run", "-h" }).out)
    assert.matches("Commands:", cli.process({ "help" }).out)
  end)

  it("exits with 0, 1, 2 or 3", function()
    local folder = cli.folder {
      ["good.yaml"] = "name: good\nsteps: {a: {action: {type: echo}}}",
      ["fails.yaml"] = "name: fails\nsteps: {a: {action: {type: echo, configuration: {error_message: it broke, error_type: client}}}}",
      ["bad.yaml"] = "name: bad",
    }
    for name, status in pairs { good = 0, fails = 1, bad = 2, none = 3 } do
      assert.equal(status, cli.process({ "run", folder .. "/" .. name .. ".yaml" }).status, name)
    end
    local done = cli.process {}
    assert.equal(3, done.status)
    assert.matches("^luastep: a command is expected: run, validate, graph, render, start, .+, version, help\n$", done.err)
  end)

  it("stops when it is asked to; the run is PAUSED in its store and goes on later", function()
    local folder = cli.folder { ["slow.lua"] = [[
      local function ask(signal) io.popen("kill -" .. signal .. " $PPID"):close() end
      return { name = "slow", steps = {
        { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx) ask("TERM") ctx:sleep(0.01) return 1 end } } },
        { name = "b", dependencies = { "a" }, action = function(v) return v.step.a.output + 1 end },
      } }]] }
    local store, file = folder .. "/runs.db", folder .. "/slow.lua"
    local done = cli.process { "run", "-q", "--store", store, file }
    assert.equal(1, done.status)
    assert.matches("^luastep: interrupted: the run stops as soon as it can; once more to give up\n"
      .. "luastep: slow %(run .-%) is PAUSED\n$", done.err)
    local id = done.err:match "run (%x+)"
    assert.matches("b%s+TODO", cli.process({ "show", "--store", store, id }).out)
    assert.same({ status = 0, out = "", err = "" }, cli.process { "resume", "-q", "--store", store, "-d", file, id })
    local shown = json.decode(cli.process({ "show", "--store", store, "--json", id }).out)
    assert.same({ "DONE", 1, 2 }, { shown.state, shown.steps.a.try_count, shown.steps.b.output })
  end)

  it("runs with inputs from the standard input, and shows no colour in a pipe", function()
    local folder = cli.folder {
      ["a.yaml"] = "name: a\ninputs: [{name: who}]\nresult_format: {who: '{{.input.who}}'}\nsteps: {a: {action: {type: echo}}}",
    }
    local done = cli.process({ "run", folder .. "/a.yaml", "--inputs", "-" }, "who: me")
    assert.equal(0, done.status)
    assert.matches('{\n  "who": "me"\n}\n$', done.out)
    assert.is_nil(done.out:find "\27")
    done = cli.process({ "run", folder .. "/a.yaml", "--inputs", "-", "--json" }, "who: me")
    assert.equal("me", assert(json.decode(done.out)).result.who)
  end)

  it("runs a definition written in Lua", function()
    local folder = cli.folder { ["a.lua"] = [[
      return { name = "a", result_format = { n = function(v) return v.step.one.output + 1 end },
        steps = { { name = "one", action = function() return 1 end } } }]] }
    assert.equal('{\n  "n": 2\n}\n', cli.process({ "run", "-q", folder .. "/a.lua" }).out)
  end)
end)
