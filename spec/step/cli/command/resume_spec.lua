-- luastep resume: what was paused or has got stuck goes on.

local cli = require "spec.support.cli"
local json = require "step.json"
local step = require "step"

local tries = {}
step.register_runner("resume-once", function(_, _, config, ctx)
  tries[ctx.run_id] = (tries[ctx.run_id] or 0) + 1
  if tries[ctx.run_id] <= config.failures then return nil, nil, nil, step.error.new(config.kind, "it broke") end
  return tries[ctx.run_id]
end)

local function definition(kind, failures)
  return ("name: once\nresult_format: {tries: '{{.step.a.output}}'}\n"
    .. "steps: {a: {action: {type: resume-once, configuration: {kind: %s, failures: %d}}}}"):format(kind, failures)
end

describe("luastep resume", function()
  after_each(cli.clean)

  it("lets a PAUSED run go on", function()
    local store = cli.store { ["o.yaml"] = definition("server", 0) }
    local id = store.start "@o.yaml"
    store.run("pause", id)
    assert.equal("", store.run("work", "--until-idle").out)
    local done = store.run("resume", id)
    assert.same({ status = 0, err = "", out = ([[
once  run ID
  0.000s  ▶  run   RUNNING
  0.000s  ▶  a     RUNNING
  0.000s  ✔  a     DONE  after 0.000s
  0.000s  ✔  run   DONE
{
  "tries": "1"
}
]]):gsub("ID", id) }, done)
  end)

  it("leaves a PAUSED run to a worker with --detach, no other", function()
    local store = cli.store { ["o.yaml"] = definition("server", 0) }
    local id = store.start "@o.yaml"
    store.run("pause", id)
    assert.same({ status = 0, err = "", out = id .. " is TODO: the next worker takes it\n" }, store.run("resume", "--detach", id))
    local done = store.run("resume", "--detach", id)
    assert.same({ 1, ("luastep: run %s: only a PAUSED run can be resumed, this one is TODO\n"):format(id) }, { done.status, done.err })
    assert.equal(0, store.run("work", "-q", "--until-idle").status)
    assert.equal("DONE", json.decode(store.run("show", "--json", id).out).state)
  end)

  it("resolves a blocked run, as a person", function()
    local store = cli.store { ["o.yaml"] = definition("bad_request", 1) }
    local id = store.start "@o.yaml"
    assert.equal(0, store.run("work", "-q", "--until-idle").status)
    local done = store.run("resume", "-q", id)
    assert.same({ status = 0, out = '{\n  "tries": "2"\n}\n', err = "" }, done)
  end)

  it("does not wait for the retry that is due later, but for those after it, unless told otherwise", function()
    local store = cli.store { ["o.yaml"] = definition("server", 3) }
    local id = store.start "@o.yaml"
    local words = ("luastep: once (run %s) is ERROR: step 'a' is SERVER_ERROR: it broke; it can be tried again in 10.0s\n"):format(id)
    assert.same({ status = 1, out = "", err = words }, store.run("resume", "-q", "--no-wait", id))
    assert.equal(0, store.clock.now())
    assert.equal(0, store.run("resume", "-q", id).status)
    assert.near(12.5 + 15.625, store.clock.now(), 1e-6) -- at once, then after the second and the third failure
  end)

  it("says what a run waits for, and how to find out what to do", function()
    local store = cli.store { ["w.yaml"] = [[
name: waits
steps:
  ask: {action: {type: callback, configuration: {action: create}}}
  answer: {dependencies: [ask], action: {type: callback, configuration: {action: wait, id: "{{.step.ask.output.id}}", timeout: 24h}}}
]] }
    local id = store.start "@w.yaml"
    local words = ("luastep: waits (run %s) is WAITING: step 'answer' is WAITING: waits for the callback 'ask'; `luastep why RUN answer` "
      .. "tells how it goes on\n"):format(id)
    assert.same({ status = 1, out = "", err = words }, store.run("resume", "-q", id))
    assert.matches("\n  next look  1970-01-02T00:00:00Z, in 24h00m\n", store.run("show", id).out, 1, true)
  end)

  it("prints the run as JSON", function()
    local store = cli.store { ["o.yaml"] = definition("server", 0) }
    local id = store.start "@o.yaml"
    local done = store.run("resume", "--json", id)
    assert.same({ id, "DONE", { tries = "1" } }, { json.decode(done.out).id, json.decode(done.out).state, json.decode(done.out).result })
  end)

  it("needs the definition of a run that is code", function()
    local store = cli.store { ["c.lua"] = [[return { name = "code", steps = { { name = "a", action = function() return 1 end } } }]] }
    local id = store.start "@c.lua"
    local done = store.run("resume", "-q", id)
    assert.equal(1, done.status)
    assert.matches("is of the definition 'code', which holds Lua functions: name its file: %-%-definition FILE, or `luastep work FILE`\n$",
      done.err)
    assert.equal(0, store.run("resume", "-q", id, "--definition", "@c.lua").status)
  end)

  it("refuses a run that has ended, and one that another engine works on", function()
    step.register_runner("resume-slow", function(_, _, _, ctx) ctx:sleep(5) end)
    local store = cli.store { ["o.yaml"] = definition("server", 0), ["s.yaml"] = "name: s\nsteps: {a: {action: {type: resume-slow}}}" }
    local id = store.start "@o.yaml"
    store.run("resume", "-q", id)
    local done = store.run("resume", "-q", id)
    assert.equal(1, done.status)
    assert.matches("Can't run resolution: already done; `luastep retry RUN %-%-from STEP` has it run again from a step\n", done.err)
    id = store.start "@s.yaml"
    local engine <close> = assert(step.engine { store = store.path, clock = store.clock })
    for _ = 1, 3 do engine:step() end
    done = store.run("resume", "-q", id)
    assert.equal(1, done.status)
    assert.matches("^luastep: run '" .. id:gsub("%-", "%%-") .. "' is being worked on by another engine %(%S+%), whose lease ends at "
      .. "1970%-01%-01T00:00:%d%dZ: pause it to have it here\n$", done.err)
  end)
end)
