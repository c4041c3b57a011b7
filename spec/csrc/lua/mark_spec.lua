-- csrc/lua/mark.c: steps that are RUNNING and wait until that is stored (D26).

local step = require "step"

--- Has a store that keeps nothing take the run's changes. `before`: called first; when it gives something else than nil, that is what
--- the save gives, and nothing is stored.
local function keep(run, before)
  local kept = { saves = 0, stored = {} }
  run.core:keep(0)
  run.loop:keeper(function(cores)
    kept.saves = kept.saves + 1
    local answer = before and before(kept, cores)
    if answer ~= nil then return answer end
    for _, c in ipairs(cores) do
      for _, event in ipairs((c:changes())) do
        if event.to == "RUNNING" and event.step then kept.stored[event.step] = true end
      end
      c:saved()
      c:fresh(run.loop:now() + 20)
    end
  end, function() return 1000 end)
  return kept
end

local function start(document, loop)
  document.name = "marks"
  local run = assert(assert(step.define(document)):start { loop = loop, clock = not loop and step.manual_clock(0) or nil })
  return run
end

--- So many steps that depend on nothing.
local function fan(n, action)
  local steps = {}
  for i = 1, n do steps[i] = { name = "s" .. i, action = action } end
  return steps
end

local function states(run)
  local found = {}
  for i = 1, run.core:top() do
    local state = run.core:step(i)
    found[state] = (found[state] or 0) + 1
  end
  return found
end

describe("steps whose marks are being stored", function()
  it("have no coroutine each: one does them all when nothing waits", function()
    local coroutines, count = {}, 0
    local run = start { steps = fan(500, function()
      local co = coroutine.running()
      if not coroutines[co] then coroutines[co], count = true, count + 1 end
    end) }
    keep(run)
    assert.equal("DONE", run:resolve())
    assert.equal(1, count)
  end)

  it("start in the order in which they were marked, each with a coroutine of its own when it waits", function()
    local order = {}
    local run = start { steps = fan(20, { type = "lua", configuration = { fn = function(_, ctx)
      order[#order + 1] = ctx.step_name
      ctx:sleep(1)
    end } }) }
    keep(run)
    assert.equal("DONE", run:resolve())
    for i = 1, 20 do assert.equal("s" .. i, order[i]) end
  end)

  it("have their skip conditions evaluated before, and only once", function()
    local looked, ran = 0, 0
    local run = start { steps = { { name = "a", action = function() ran = ran + 1 end, conditions = { { type = "skip",
      ["if"] = function()
        looked = looked + 1
        return false
      end, ["then"] = { this = "PRUNE" } } } } } }
    local kept = keep(run)
    assert.equal("DONE", run:resolve())
    assert.same({ 1, 1, 2 }, { looked, ran, kept.saves })
  end)

  it("count as at work (max_concurrent)", function()
    local most = 0
    local run = start { max_concurrent = 3, steps = fan(20, function() end) }
    keep(run, function() most = math.max(most, states(run).RUNNING or 0) end)
    assert.equal("DONE", run:resolve())
    assert.equal(3, most)
  end)

  it("give their places back when their run is closed", function()
    local engine = step.engine { clock = step.manual_clock(0), max_concurrent = 2 }
    local ran = 0
    engine:add(assert(step.define { name = "marks", steps = fan(5, function() ran = ran + 1 end) }))
    local first, second = assert(engine:start "marks"), assert(engine:start "marks")
    keep(first, function()
      first:close()
      return true
    end)
    assert.equal("closed", select(2, first:resolve()).kind)
    assert.equal(0, ran)
    assert.equal("DONE", second:resolve())
    assert.equal(5, ran)
  end)

  it("have something to do for the next turn, and nothing while they are not stored", function()
    local ready, ran = false, false
    local run = start { steps = { { name = "a", action = function() ran = true end } } }
    keep(run, function()
      if not ready then return false end
    end)
    assert.is_true(run.loop:begin(run.core, false))
    run.loop:turn()
    assert.is_true(run.loop:timeout() > 0)
    ready = true
    run.loop:turn()
    assert.equal(0, run.loop:timeout())
    assert.is_false(ran)
    run.loop:turn()
    assert.is_true(ran)
  end)

  it("do not start when a save succeeds that has not stored their run", function()
    local ran = 0
    local run = start { steps = fan(3, function() ran = ran + 1 end) }
    local kept = keep(run, function(saving)
      if saving.saves <= 3 then assert.equal(0, ran) end
      if saving.saves < 3 then return true end
    end)
    assert.equal("DONE", run:resolve())
    assert.same({ 3, 4 }, { ran, kept.saves })
  end)

  it("do not start when their run is cancelled meanwhile (they are TO_RETRY, without a try)", function()
    local ran = 0
    local run = start { steps = fan(3, function() ran = ran + 1 end) }
    local cancelled
    keep(run, function()
      if cancelled then return end
      cancelled = true
      run.core:stop("CANCELLED", 0)
    end)
    assert.equal("CANCELLED", run:resolve())
    assert.equal(0, ran)
    assert.same({ TO_RETRY = 3 }, states(run))
  end)

  it("do not start while the change to RUNNING is being told to a listener, as it is not stored before that is over", function()
    local kept, run
    local early, turned = {}, false
    run = start { steps = fan(3, { type = "lua", configuration = { fn = function(_, ctx)
      if not kept.stored[ctx.step_name] then early[#early + 1] = ctx.step_name end
    end } }) }
    kept = keep(run)
    run:on("transition", function(event)
      if turned or event.step ~= "s1" then return end
      turned = true
      for _ = 1, 5 do run.loop:turn() end
    end)
    assert.equal("DONE", run:resolve())
    assert.same({}, early)
  end)
end)
