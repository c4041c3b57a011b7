-- csrc/core/verdict.c: the state a resolve ends in (S6.4), failed children that are tolerated, retry times by policy.

local make = require("spec.support.core_graph").run
local random = require("spec.support.random_graph").random
local step = require "step"

local function items(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return function() return list end
end

--- A run of "f*" with so many children, of which those in `bad` (a set) fail for good; b comes after f.
local function play(count, bad, settings, graph)
  local fails = { action = function(v) if bad[v.iterator] then error(step.error.bad_request "bad") end return v.iterator end,
    foreach = items(count) }
  return make(graph or "f*\nb: f", { f = fails }, { settings = { f = settings } })
end

describe("tolerate", function()
  it("accepts so many failed children: the parent contracts, they are in its children (S5.4)", function()
    local r = play(3, { [2] = true }, { tolerate = 1 })
    assert.equal("DONE", r:resolve())
    assert.equal("f=DONE b=DONE", r:states())
    local children = select(4, r.run:results(1))
    assert.same({ "DONE", "CLIENT_ERROR", "DONE" }, { children[1].state, children[2].state, children[3].state })
    assert.same({ "bad", 2, 1 }, { children[2].error, children[2].metadata.iterator, children[2].index })
  end)

  it("not one more: the run is blocked as without it (S5.6)", function()
    local r = play(3, { [1] = true, [2] = true }, { tolerate = 1 })
    assert.equal("BLOCKED_BADREQUEST", r:resolve())
    assert.equal("f=EXPANDED b=TODO f-0=CLIENT_ERROR f-1=CLIENT_ERROR f-2=DONE", r:states())
    r:set("f-0", "DONE") -- a person accepts one
    assert.equal("DONE", r:resolve(true))
  end)

  it("is a part of all children, rounded down", function()
    for _, case in ipairs { { 10, 25, 2 }, { 3, 25, 0 }, { 4, 25, 1 }, { 100, 29, 29 }, { 1, 100, 1 }, { 8, 12.5, 1 },
      { 1000, 65.1, 651 }, { 625, 32.48, 203 }, { 1000, 65.09, 650 } } do
      local count, percent, allowed = table.unpack(case)
      local bad = {}
      for i = 1, allowed do bad[i] = true end
      assert.equal("DONE", play(count, bad, { tolerate = percent, percent = true }):resolve())
      bad[allowed + 1] = true
      if allowed < count then
        assert.equal("BLOCKED_BADREQUEST", play(count, bad, { tolerate = percent, percent = true }):resolve())
      end
    end
  end)

  it("of more than there are accepts all", function()
    local r = play(2, { true, true }, { tolerate = 5 })
    assert.equal("DONE", r:resolve())
    assert.equal("f=DONE b=DONE", r:states())
  end)

  it("waits for those that are retried, and takes those whose tries are used up (S4.1)", function()
    local r = make("f* 1", { f = { foreach = items(2), action = function(v) if v.iterator == 1 then error("no", 0) end end } },
      { settings = { f = { tolerate = 1 } } })
    assert.equal("ERROR", r:resolve())
    assert.equal("f=EXPANDED f-0=SERVER_ERROR f-1=DONE", r:states())
    r.time = 2000
    assert.equal("ERROR", r:resolve(true))
    r.time = 3000
    assert.equal("DONE", r:resolve(true))
    assert.equal("Step reached max retries 1: no", select(4, r.run:results(1))[1].error)
  end)

  it("a failed child that is tolerated does not block the run, and is left alone until a person resolves it (D17)", function()
    local times = 0
    local r = make("f*", { f = { foreach = items(2), action = function(v)
      if v.iterator == 1 then error({ kind = "bad_request", message = "bad" }) end
      times = times + 1
      if times == 1 then error("later", 0) end
    end } }, { settings = { f = { tolerate = 1 } } })
    assert.equal("ERROR", r:resolve())
    assert.equal("f=EXPANDED f-0=CLIENT_ERROR f-1=SERVER_ERROR", r:states())
    assert.is_true(r.run:tolerated(r.run:find "f-0"))
    assert.is_false(r.run:tolerated(r.run:find "f-1"))
    assert.is_false(r.run:tolerated(1))
    r.time = 2000
    assert.equal("DONE", r:resolve(true))
    assert.equal("f f f", table.concat(r.log, " "))
  end)

  it("lets a sequence go on (S5.2, D15), and ends it with one more", function()
    local r = play(4, { [1] = true, [3] = true }, { tolerate = 2 }, "f>\nb: f")
    assert.equal("DONE", r:resolve())
    assert.equal("f f f f b", table.concat(r.log, " "))
    r = play(4, { [1] = true, [2] = true }, { tolerate = 1 }, "f>\nb: f")
    assert.equal("BLOCKED_BADREQUEST", r:resolve())
    assert.equal("f=EXPANDED b=TODO f-0=CLIENT_ERROR f-1=CLIENT_ERROR f-2=TODO f-3=TODO", r:states())
    r:set("f-0", "DONE") -- now the other one is tolerated
    assert.equal("DONE", r:resolve(true))
    assert.equal("f f f f b", table.concat(r.log, " "))
  end)

  it("holds for ANY, too, where a condition has ended the parent (S2.2)", function()
    local r = make("f*\nb: f:ANY", { f = { foreach = items(2), action = function(v)
      if v.iterator == 1 then error({ kind = "bad_request", message = "bad" }) end
    end, check = { { function(v) return v.iterator == 2 end, { "f", "DONE" } } } } }, { settings = { f = { tolerate = 1 } } })
    assert.equal("DONE", r:resolve())
    assert.equal("f=DONE b=DONE f-0=CLIENT_ERROR f-1=DONE", r:states())
  end)

  it("of one loop does not excuse the failures of another, or of a step", function()
    local bad = { foreach = items(1), action = function() error({ kind = "bad_request", message = "bad" }) end }
    local r = make("a\nf*: a:ANY\ng*: a:ANY", { f = bad, g = bad, a = { check = { { function() return true end, { "this", "DONE" } } } } },
      { settings = { f = { tolerate = 1 } } })
    assert.equal("BLOCKED_BADREQUEST", r:resolve())
    assert.equal("a=DONE f=DONE g=EXPANDED g-0=CLIENT_ERROR", r:states())
  end)

  it("counts as the rules say, whatever fails", function()
    local q = random(21)
    for _ = 1, 300 do
      local count, bad, failed = q:int(1, 12), {}, 0
      for i = 1, count do
        bad[i] = q:chance(30) or nil
        failed = failed + (bad[i] and 1 or 0)
      end
      local tolerate, percent = q:int(0, q:chance(50) and 4 or 100), q:chance(50)
      local allowed = percent and count * tolerate // 100 or tolerate
      local r = play(count, bad, { tolerate = tolerate, percent = percent, most = q:chance(50) and q:int(1, 3) or nil })
      assert.equal(failed <= allowed and "DONE" or "BLOCKED_BADREQUEST", r:resolve())
    end
  end)

  it("costs in proportion to the children, also when many fail", function()
    local function seconds(count)
      local def = assert(step.define { name = "x", steps = { { name = "f", foreach = items(count), tolerate = "50%", max_concurrent = 3,
        action = function(v) if v.iterator % 2 == 0 then error(step.error.bad_request "bad") end end } } })
      local started = os.clock()
      assert.equal("DONE", def:start():resolve())
      return os.clock() - started
    end
    assert.is_true(seconds(50000) < 40 * math.max(seconds(5000), 0.001)) -- 100 times when it grew with the square
  end)
end)

describe("a run with tolerated failures", function()
  it("names the step that blocks it, not those", function()
    local function bad() error(step.error.bad_request "bad") end
    local run = assert(assert(step.define { name = "x", steps = {
      { name = "f", foreach = function() return { 1, 2 } end, tolerate = 1,
        action = function(v) if v.iterator == 1 then bad() end error("later", 0) end },
      { name = "g", foreach = function() return { 1 } end, action = bad },
    } }):start { clock = step.manual_clock(0) })
    assert.equal("BLOCKED_BADREQUEST", run:resolve())
    assert.equal("step 'g-0' is CLIENT_ERROR: bad", run.error)
  end)

  it("comes back from an export with its limits (D14)", function()
    local def = assert(step.define { name = "x", steps = { { name = "f", foreach = "[1,2,3,4]", tolerate = "50%", max_concurrent = 2,
      action = { type = "echo", configuration = { error_message = "{{if lt .iterator 3.0}}bad{{end}}", error_type = "client" } },
      conditions = { { type = "check", ["if"] = { { value = "{{.iterator}}", operator = "EQ", expected = "4" } },
        ["then"] = { this = "TO_RETRY" } } } } } })
    local clock = step.manual_clock(0)
    local run = assert(def:start { clock = clock })
    run:resolve()
    local exported = assert(run:export())
    assert.same({ "50%", 2 }, { exported.steps.f.tolerate, exported.steps.f.max_concurrent })
    for name, one in pairs(exported.steps) do
      if name ~= "f" then assert.same({}, { one.tolerate, one.max_concurrent }) end
    end
    local again = assert(step.restore(exported, nil, { clock = clock }))
    assert.same(exported.steps, again:export().steps)
    again:resolve()
    assert.same(run.state, again.state)
  end)
end)
