-- A process may die at any moment (S6.6, S6.7, D26, D27): random runs on a store lose their engine just before and just after every
-- transaction, and go on in another one. What the actions did is written down outside of the store and compared with its events.

local step = require "step"
local stores = require "spec.support.stores"
local temp = require "spec.support.temp"

local SEEDS = tonumber(os.getenv "STEP_CRASHES" or 6)

--- A definition whose steps write down what they do, and fail as a hash of the step and the attempt says.
local function definition(seed, effects)
  math.randomseed(seed)
  local steps, count = {}, math.random(2, 8)
  for i = 1, count do
    local name = "s" .. i
    local fails = math.random() < 0.3 and math.random(2) or 0
    local spec = { name = name, dependencies = {}, idempotent = math.random() < 0.6, max_retries = 5 }
    for k = 1, i - 1 do
      if math.random() < 0.4 then table.insert(spec.dependencies, ("s%d%s"):format(k, math.random() < 0.2 and ":ANY" or "")) end
    end
    spec.action = function(v)
      local this = v.step.this
      effects[#effects + 1] = { step = this.name or name, item = v.iterator }
      if (this.try_count or 0) < fails then error("not yet", 0) end
      return { step = name, item = v.iterator }
    end
    if math.random() < 0.3 then
      spec.foreach = function() return { "x", "y", "z" } end
      spec.foreach_strategy = math.random() < 0.5 and "sequence" or "parallel"
    elseif math.random() < 0.2 then
      spec.conditions = { { type = "check", ["if"] = function(v) return (v.step.this.try_count or 0) < 2 end,
        ["then"] = { this = "RETRY_NOW" } } }
    end
    steps[i] = spec
  end
  return assert(step.define { name = "x", steps = steps })
end

--- Runs a definition to its end. The engine dies at the `at`-th transaction, before it or after it; persons release what is blocked.
local function carry_on(seed, at, after)
  local path, effects, clock = temp.path(), {}, step.manual_clock(1000)
  local saves, released = 0, 0
  for _ = 1, 20 do
    local engine = assert(step.engine { store = path, clock = clock, lease = 30, poll = 30, exclusive = true, durability = "relaxed" })
    engine:add(definition(seed, effects))
    local save, dead = engine.store.save, false
    function engine.store:save(cores, options)
      saves = saves + 1
      if saves == at and after then assert(save(self, cores, options)) end
      if saves == at then
        dead = true
        for _, core in ipairs(cores) do core:close() end
        return nil, step.error.new("store", "dead", { code = "dead" })
      end
      return save(self, cores, options)
    end
    local run = assert(engine:start("x", { key = "k" }))
    local id = run.id
    assert(engine:work { until_idle = true })
    if dead then
      stores.die(engine)
      clock.advance(31)
    else
      run = engine:run(id)
      if run.state == "DONE" then
        local events, exported = assert(engine:events(id)), run:export()
        assert(engine.store:check())
        engine:close()
        return { events = events, effects = effects, steps = exported.steps, saves = saves, released = released }
      end
      assert.equal("BLOCKED_TOCHECK", run.state)
      released = released + 1
      run:resolve()
      engine:close()
    end
  end
  error("the run does not end")
end

local FINAL = { DONE = true, PRUNE = true }

--- What must hold of any run, however often its engine died.
local function check(result, def)
  local state, marks = {}, {}
  for i, event in ipairs(result.events) do
    assert.equal(i, event.seq)
    if event.step then
      local before = state[event.step]
      -- a child is new each time its parent expands
      if before and not event.step:find "%-" then assert.equal(before, event.from, event.step) end
      if event.to == "RUNNING" then
        assert.is_falsy(FINAL[event.from], event.step .. " runs after its end")
        marks[event.step] = (marks[event.step] or 0) + 1
      end
      state[event.step] = event.to
    end
  end
  local by_step = {}
  for _, effect in ipairs(result.effects) do by_step[effect.step] = (by_step[effect.step] or 0) + 1 end
  for name, count in pairs(by_step) do
    local all = marks[name] or 0
    for child, n in pairs(marks) do
      if child:match "^(.*)%-%d+$" == name then all = all + n end
    end
    assert.is_true(count <= all, ("%s: %d effects, %d marks"):format(name, count, all))
  end
  for i = 1, #def do
    local name = def.graph:name(i)
    assert.equal("DONE", result.steps[name].state)
  end
end

local function outputs(result)
  local found = {}
  for name, one in pairs(result.steps) do found[name] = { one.output, one.children } end
  return found
end

describe("a run whose engine dies at any transaction", function()
  after_each(temp.clean)

  for seed = 1, SEEDS do
    it(("goes on and ends as if nothing had happened, random run %d"):format(seed), function()
      local def = definition(seed, {})
      local whole = carry_on(seed)
      check(whole, def)
      local crashed = 0
      for at = 1, whole.saves do
        for _, after in ipairs { false, true } do
          local result = carry_on(seed, at, after)
          check(result, def)
          assert.same(outputs(whole), outputs(result))
          crashed = crashed + 1
          local idempotent = true
          for i = 1, #def do idempotent = idempotent and def.specs[i].idempotent end
          if idempotent then assert.equal(0, result.released) end
        end
      end
      assert.is_true(crashed > 0)
    end)
  end
end)
