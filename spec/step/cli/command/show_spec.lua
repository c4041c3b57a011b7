-- luastep show: all that is known of a run.

local cli = require "spec.support.cli"
local json = require "step.json"
local step = require "step"

step.register_runner("show-slow", function(_, _, config, ctx)
  ctx:sleep(config.seconds)
  if config.kind then return nil, nil, nil, step.error.new(config.kind, "it broke\nbadly") end
  return 1
end)

local WORK = [[
name: work
title_format: Works for {{.input.who}}
inputs: [{name: who, default: you}]
retry_max: 5
steps:
  a: {action: {type: show-slow, configuration: {seconds: 2}}}
  b: {dependencies: [a], action: {type: show-slow, configuration: {seconds: 3, kind: server}}}
  c: {dependencies: [b], action: {type: echo}}
  each: {dependencies: [a], foreach: '["x", "y"]', action: {type: show-slow, configuration: {seconds: 1, kind: not_assigned}}}
]]

describe("luastep show", function()
  after_each(cli.clean)

  local function worked()
    local store = cli.store { ["w.yaml"] = WORK }
    local id = store.start("@w.yaml", "-t", "team=red", "--key", "order 7", "--requester", "me")
    assert.equal(1, store.run("resume", "-q", "--no-wait", id).status)
    return store, id
  end

  it("says once when a run that waits for somebody comes to its deadline", function()
    local store = cli.store { ["q.yaml"] = [[
name: q
deadline: 1h
steps:
  a: {action: {type: callback, configuration: {action: create}}}
  b: {dependencies: [a], action: {type: callback, configuration: {action: wait, id: a}}}
]] }
    local id = store.start "@q.yaml"
    assert.equal(1, store.run("resume", "-q", "--no-wait", id).status)
    local shown = store.run("show", id).out
    assert.matches("\n  state      … WAITING\n", shown, 1, true)
    assert.matches("\n  deadline   1970-01-01T01:00:00Z\n", shown, 1, true)
    assert.is_nil(shown:find("next try", 1, true))
  end)

  it("shows the run and its steps, times and errors", function()
    local store, id = worked()
    local done = store.run("show", id:sub(1, 10))
    assert.same({ status = 0, err = "", out = ([[
Works for you
  run        ID
  state      ↻ ERROR
  definition work
  error      step 'b' is SERVER_ERROR: it broke badly
  key        order 7
  created    1970-01-01T00:00:00Z by me
  changed    1970-01-01T00:00:05Z
  resolves   1, 1 of at most 5 failed
  next try   1970-01-01T00:00:15Z, in 10.0s
  tags       team=red

  STEP      STATE            TRIES  STARTED                  TOOK
✔ a         DONE                 1  1970-01-01T00:00:00Z     2.0s
↻ b         SERVER_ERROR         1  1970-01-01T00:00:02Z     3.0s  it broke badly
· c         TODO
▼ each      EXPANDED                1970-01-01T00:00:02Z
…   each-0  WAITING                 1970-01-01T00:00:02Z     1.0s  it broke badly
…   each-1  WAITING                 1970-01-01T00:00:02Z     1.0s  it broke badly
]]):gsub("ID", id) }, done)
  end)

  it("shows what happened to it", function()
    local store, id = worked()
    local lines = {}
    for line in store.run("show", id, "--events").out:match("\n\n.-\n\n(.*)$"):gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal("    1  1970-01-01T00:00:00.000Z  run  TODO -> RUNNING", lines[1])
    assert.equal("    2  1970-01-01T00:00:00.000Z  a  TODO -> RUNNING", lines[2])
    assert.equal("   11  1970-01-01T00:00:05.000Z  run  RUNNING -> ERROR", lines[#lines])
    assert.equal("   10  1970-01-01T00:00:05.000Z  b  RUNNING -> SERVER_ERROR  it broke badly", lines[#lines - 1])
  end)

  it("shows everything as JSON", function()
    local store, id = worked()
    local shown = json.decode(store.run("show", "--json", id).out)
    assert.same({ id, "ERROR", "Works for you", "order 7", "1970-01-01T00:00:05Z", "1970-01-01T00:00:15Z" },
      { shown.id, shown.state, shown.title, shown.key, shown.changed, shown.next_retry })
    assert.same({ 1, "it broke\nbadly", "WAITING" }, { shown.steps.a.output, shown.steps.b.error, shown.steps["each-1"].state })
    assert.is_nil(shown.events)
    shown = json.decode(store.run("show", "--json", "--events", id).out)
    assert.same({ seq = 10, time = "1970-01-01T00:00:05Z", step = "b", from = "RUNNING", to = "SERVER_ERROR", message = "it broke\nbadly" },
      shown.events[10])
  end)

  it("shows who works on it", function()
    local store = cli.store { ["w.yaml"] = WORK }
    local id = store.start "@w.yaml"
    local engine <close> = assert(step.engine { store = store.path, clock = store.clock })
    for _ = 1, 3 do engine:step() end
    assert.matches("\n  worker     %x+%-.-, lease until 1970%-01%-01T00:00:30Z\n", store.run("show", id).out)
    assert.matches("\n▶ a     RUNNING +1970%-01%-01T00:00:00Z\n", store.run("show", id).out)
    store.clock.advance(31)
    assert.matches("lease until 1970%-01%-01T00:00:30Z %(over%)\n", store.run("show", id).out)
  end)

  it("shows one of code that is not here", function()
    local store = cli.store { ["c.lua"] = [[return { name = "code", result_format = { n = function() return 1 end },
      steps = { { name = "a", action = function() return 1 end } } }]] }
    local id = store.start "@c.lua"
    local done = store.run("show", id)
    assert.same({ 0, "" }, { done.status, done.err })
    assert.matches("^code\n.-\n· a     TODO\n", done.out)
  end)

  it("refuses a run that is none, or more than one", function()
    local store = cli.store { ["w.yaml"] = WORK }
    local ids = {}
    for i = 1, 17 do ids[i] = store.start "@w.yaml" end -- two of them begin alike
    local done = store.run("show", "nope")
    assert.same({ 1, "luastep: the store has no run 'nope'\n" }, { done.status, done.err })
    local first, twice = {}, nil
    for _, id in ipairs(ids) do
      local letter = id:sub(1, 1)
      twice = twice or first[letter] and letter
      first[letter] = true
    end
    done = store.run("show", twice)
    assert.equal(1, done.status)
    assert.matches(("^luastep: more than one run begins with '%s': %s"):format(twice, twice), done.err)
  end)
end)
