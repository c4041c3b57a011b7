-- The checker of the torture sees what it must see: a sound store made by hand, then each rule broken once.

local checker = require "spec.torture.checker"
local json = require "step.json"
local plan = require "spec.torture.plan"
local sqlite = require "step.sqlite"
local store = require "step.store.sqlite"
local temp = require "spec.support.temp"

local KEY, ID = "k1", "run-1"

local function spec_step(name, dependencies, more)
  local made = { name = name, dependencies = {}, idempotent = true, failing = 0 }
  for i, entry in ipairs(dependencies) do made.dependencies[i] = { step = entry[1], states = entry[2] } end
  for field, value in pairs(more or {}) do made[field] = value end
  return made
end

-- a -> b (not idempotent) -> each, of two children, in sequence
local function definitions()
  local a = spec_step("a", {})
  local b = spec_step("b", { { a, { "DONE" } } }, { idempotent = false })
  local each = spec_step("each", { { b, { "DONE" } } }, { items = 2, sequence = true })
  return { { name = "d1", steps = { a, b, each }, by_name = { a = a, b = b, each = each } } }
end

--- The store and the evidence of a run that went well, as lists to be changed before they are written.
local function sound()
  local defs = definitions()
  local of = defs[1].by_name
  local output_a = plan.output(of.a, KEY, "a", {})
  local output_b = plan.output(of.b, KEY, "b", { a = plan.value(KEY, "a") })
  local children = {}
  for i = 0, 1 do
    children[i + 1] = { index = i, state = "DONE", metadata = { iterator = i },
      output = plan.output(of.each, KEY, "each-" .. i, { b = plan.value(KEY, "b") }) }
  end
  local events = {
    { nil, "TODO", "RUNNING" }, { "a", "TODO", "RUNNING" }, { "a", "RUNNING", "DONE" }, { "b", "TODO", "RUNNING" },
    { "b", "RUNNING", "DONE" }, { "each", "TODO", "EXPANDED" }, { "each-0", "TODO", "RUNNING" }, { "each-0", "RUNNING", "DONE" },
    { "each-1", "TODO", "RUNNING" }, { "each-1", "RUNNING", "DONE" }, { "each", "EXPANDED", "DONE" }, { nil, "RUNNING", "DONE" },
  }
  local marks = { a = 2, b = 4, ["each-0"] = 7, ["each-1"] = 9 }
  local effects = {}
  for name, seq in pairs(marks) do effects[#effects + 1] = { run = ID, step = name, attempt = 1, time = seq + 0.5 } end
  return {
    definitions = defs,
    row = { id = ID, key = KEY, name = "d1", state = "DONE", takeovers = 0 },
    events = events,
    steps = {
      { step = 1, child = -1, name = "a", state = "DONE", tries = 1, output = output_a },
      { step = 2, child = -1, name = "b", state = "DONE", tries = 1, output = output_b },
      { step = 3, child = -1, name = "each", state = "DONE", tries = 0, children = json.array(children) },
    },
    evidence = { effect = effects, acknowledged = { { key = KEY, run = ID } }, released = {}, lost = {}, problem = {} },
  }
end

local function effect_of(case, name)
  for i, effect in ipairs(case.evidence.effect) do
    if effect.step == name then return effect, i end
  end
end

describe("the checker", function()
  local path

  before_each(function() path = temp.path() end)
  after_each(temp.clean)

  local function write(case)
    assert(store.open(path)):close() -- its tables
    local db <close> = assert(sqlite.open(path, 1))
    local row = case.row
    assert(db:run("INSERT INTO definition (hash, name, code, document) VALUES ('h', 'd1', 0, '{}')"))
    assert(db:run("INSERT INTO run (number, id, key, definition, name, state, run_count, failed_count, run_max, created, changed, due,"
      .. " tags, requester_username, resolver_username, owner, takeovers)"
      .. " VALUES (1, ?, ?, 'h', ?, ?, 1, 0, 100, 0, 0, ?, '{}', '', '', ?, ?)",
      row.id, row.key, row.name, row.state, row.due, row.owner, row.takeovers))
    for i, event in pairs(case.events) do
      assert(db:run("INSERT INTO event (run, seq, time, step, \"from\", \"to\") VALUES (1, ?, ?, ?, ?, ?)", i, event.time or i, event[1],
        event[2], event[3]))
    end
    for _, step in ipairs(case.steps) do
      assert(db:run("INSERT INTO step (run, step, child, name, state, tries, output, children) VALUES (1, ?, ?, ?, ?, ?, ?, ?)", step.step,
        step.child, step.name, step.state, step.tries, step.output and json.encode(step.output),
        step.children and json.encode(step.children)))
    end
    for _, sql in ipairs(case.sql or {}) do assert(db:exec(sql)) end
  end

  local function violations(case)
    write(case)
    return checker.check { path = path, evidence = case.evidence, definitions = case.definitions, keys = case.keys }.violations
  end

  it("has nothing to say of a sound store", function()
    local case = sound()
    case.keys = 1
    assert.same({}, violations(case))
  end)

  --- What happens after the first `n` events instead.
  local function instead(case, n, ...)
    for i = #case.events, n + 1, -1 do case.events[i] = nil end
    for _, event in ipairs { ... } do table.insert(case.events, event) end
  end

  --- The run ends at b, which is in another state than DONE.
  local function ends_at_b(case, run_state, state, ...)
    instead(case, 4, ...)
    case.row.state = run_state
    case.steps[2], case.steps[3] = { step = 2, child = -1, name = "b", state = state, tries = 1 }, nil
    for _, name in ipairs { "each-0", "each-1" } do
      local _, i = effect_of(case, name)
      table.remove(case.evidence.effect, i)
    end
  end

  it("lets a step be that crashed with its worker, and is not idempotent (S6.6)", function()
    local case = sound()
    ends_at_b(case, "BLOCKED_TOCHECK", "CRASHED", { nil, "RUNNING", "CRASHED" }, { "b", "RUNNING", "CRASHED" },
      { nil, "CRASHED", "BLOCKED_TOCHECK" })
    assert.same({}, violations(case))
  end)

  it("lets a step be RUNNING of a run that outlived too many workers, and of no other that is blocked (D27)", function()
    for takeovers, violated in pairs { [101] = 0, [100] = 2 } do
      local case = sound()
      ends_at_b(case, "BLOCKED_TOCHECK", "RUNNING", { nil, "RUNNING", "BLOCKED_TOCHECK" })
      case.row.takeovers = takeovers
      assert.equal(violated, #violations(case))
      for _, suffix in ipairs { "", "-journal" } do os.remove(path .. suffix) end
    end
  end)

  it("lets a step be CRASHED that was RUNNING when its run had outlived too many workers (D27, S6.6)", function()
    local case = sound()
    ends_at_b(case, "BLOCKED_TOCHECK", "CRASHED", { nil, "RUNNING", "BLOCKED_TOCHECK" }, { "b", "RUNNING", "CRASHED" })
    assert.same({}, violations(case))
  end)

  it("lets a step that a person had tried once more than it may be FATAL_ERROR (S4.1)", function()
    for released, violated in pairs { [0] = 1, [1] = 0 } do
      local case = sound()
      local b = case.definitions[1].by_name.b
      b.max_retries = 0
      case.steps[2].tries = 1
      local fate = plan.fate
      finally(function() plan.fate = fate end)
      plan.fate = function(step, ...) return step == b and "bad_request" or fate(step, ...) end -- luacheck: ignore 122
      ends_at_b(case, "BLOCKED_FATAL", "FATAL_ERROR", { "b", "RUNNING", "CLIENT_ERROR" }, { nil, "RUNNING", "BLOCKED_BADREQUEST" },
        { nil, "BLOCKED_BADREQUEST", "RUNNING" }, { "b", "CLIENT_ERROR", "FATAL_ERROR" }, { nil, "RUNNING", "BLOCKED_FATAL" })
      if released == 1 then case.evidence.released[1] = { run = ID } end
      assert.equal(violated, #violations(case))
      for _, suffix in ipairs { "", "-journal" } do os.remove(path .. suffix) end
    end
  end)

  local BROKEN = {
    ["a finished step that runs again"] = { "step a was DONE and ran again", function(case)
      table.insert(case.events, 12, { "a", "DONE", "RUNNING" })
      table.insert(case.events, 13, { "a", "RUNNING", "DONE" })
    end },
    ["a second effect of a step that is not idempotent"] = { "attempt 1 of step b, which is not idempotent, had 2 effects", function(case)
      table.insert(case.evidence.effect, { run = ID, step = "b", attempt = 1, time = 5 })
    end },
    ["an effect without a mark"] = { "effect 2 of step a has no mark", function(case)
      table.insert(case.evidence.effect, { run = ID, step = "a", attempt = 1, time = 5 })
    end },
    ["an effect that was there before its mark"] = { "effect 1 of step a was there 1.000 s before its mark", function(case)
      effect_of(case, "a").time = 1
    end },
    ["a finished step without an effect"] = { "step a is DONE, was RUNNING 1 times and had no effect", function(case)
      local _, i = effect_of(case, "a")
      table.remove(case.evidence.effect, i)
    end },
    ["an effect of an unknown run"] = { "there is an effect of run other, which the store does not have", function(case)
      table.insert(case.evidence.effect, { run = "other", step = "a", attempt = 1, time = 5 })
    end },
    ["a step that starts before its dependency is met"] = { "step b became RUNNING while its dependency a was RUNNING", function(case)
      case.events[3], case.events[4] = case.events[4], case.events[3]
      effect_of(case, "b").time = 4.5
    end },
    ["a child that starts before its turn"] = { "step each%-1 became RUNNING before each%-0 was final", function(case)
      case.events[8], case.events[9] = case.events[9], case.events[8]
    end },
    ["an event that is missing"] = { "event 3 is missing", function(case) case.events[3] = nil end },
    ["events that do not fit together"] = { "event 3: step a leaves the state TODO, it was RUNNING", function(case)
      case.events[3][2] = "TODO"
    end },
    ["a run's events that do not fit together"] = { "event 12 leaves the state CRASHED, the run was RUNNING", function(case)
      case.events[12][2] = "CRASHED"
    end },
    ["a row that is not what the events say"] = { "step a is TODO, by its events DONE", function(case) case.steps[1].state = "TODO" end },
    ["a row that is not there"] = { "step a is DONE by its events and has no row", function(case) table.remove(case.steps, 1) end },
    ["a run's row that is not what its events say"] = { "its state is DONE, by its events CANCELLED", function(case)
      case.events[12][3] = "CANCELLED"
    end },
    ["an output that is not the action's"] = { "step b has not the output", function(case) case.steps[2].output.value = "other" end },
    ["a child's output that is not the action's"] = { "child 1 of step each has another result", function(case)
      case.steps[3].children[2].output.value = "other"
    end },
    ["a child that is lost"] = { "step each has 1 children in its result instead of 2", function(case)
      case.steps[3].children[2] = nil
    end },
    ["an error that no action caused"] = { "step b is SERVER_ERROR after 1 tries, which its action did not cause", function(case)
      ends_at_b(case, "ERROR", "SERVER_ERROR", { "b", "RUNNING", "SERVER_ERROR" }, { nil, "RUNNING", "ERROR" })
      case.row.due = 100
    end },
    ["a step that is not idempotent and TODO after a crash"] = { "step b is not idempotent and was made TODO after a crash", function(case)
      ends_at_b(case, "CRASHED", "TODO", { nil, "RUNNING", "CRASHED" }, { "b", "RUNNING", "TODO" })
    end },
    ["a step that crashed and nobody died"] = { "step b is CRASHED and nobody died", function(case)
      ends_at_b(case, "BLOCKED_TOCHECK", "CRASHED", { "b", "RUNNING", "CRASHED" }, { nil, "RUNNING", "BLOCKED_TOCHECK" })
    end },
    ["a crashed step that ran again without a person"] = { "step b was CRASHED and ran again without a person", function(case)
      ends_at_b(case, "RUNNING", "RUNNING", { nil, "RUNNING", "CRASHED" }, { "b", "RUNNING", "CRASHED" },
        { nil, "CRASHED", "RUNNING" }, { "b", "CRASHED", "RUNNING" })
    end },
    ["an idempotent step that crashed after one death"] = { "step b is idempotent and CRASHED after 1 deaths", function(case)
      ends_at_b(case, "BLOCKED_TOCHECK", "CRASHED", { nil, "RUNNING", "CRASHED" }, { "b", "RUNNING", "CRASHED" },
        { nil, "CRASHED", "BLOCKED_TOCHECK" })
      case.definitions[1].by_name.b.idempotent = true
    end },
    ["a step that is tried again after three deaths"] = { "step a was RUNNING at 3 deaths and was made TODO", function(case)
      for _ = 1, 3 do
        for i, event in ipairs { { nil, "RUNNING", "CRASHED" }, { "a", "RUNNING", "TODO" }, { nil, "CRASHED", "RUNNING" },
          { "a", "TODO", "RUNNING" } } do table.insert(case.events, 2 + i, event) end
      end
    end },
    ["a run that is blocked without a reason"] = { "it is BLOCKED_TOCHECK, and no step is CRASHED", function(case)
      case.events[12][3], case.row.state = "BLOCKED_TOCHECK", "BLOCKED_TOCHECK"
    end },
    ["a run that nobody goes on with"] = { "it is ERROR and nobody will ever go on with it", function(case)
      case.events[12][3], case.row.state = "ERROR", "ERROR"
    end },
    ["a run that nobody went on with"] = { "it is ERROR though all workers had nothing left to do", function(case)
      case.events[12][3], case.row.state, case.row.due = "ERROR", "ERROR", 100
    end },
    ["a run that is DONE too early"] = { "it is DONE, its step b is TODO", function(case)
      ends_at_b(case, "DONE", "TODO", { nil, "RUNNING", "DONE" })
      case.events[4], case.events[5] = case.events[5], nil
      case.steps[2] = nil
      local _, i = effect_of(case, "b")
      table.remove(case.evidence.effect, i)
    end },
    ["a run that is DONE and owned"] = { "it still has an owner", function(case) case.row.owner = "somebody" end },
    ["an acknowledged run that is lost"] = { "key k2 was acknowledged with run run%-2 and is lost", function(case)
      table.insert(case.evidence.acknowledged, { key = "k2", run = "run-2" })
    end },
    ["a key with another run"] = { "key k1 was acknowledged with run run%-2 and has run run%-1", function(case)
      table.insert(case.evidence.acknowledged, { key = "k1", run = "run-2" })
    end },
    ["a key that nobody acknowledged"] = { "key k2 was never acknowledged", function(case) case.keys = 2 end },
    ["a run of a definition that nobody asked for"] = { "nobody asked for it", function(case) case.row.name = "d9" end },
    ["rows of no run"] = { "1 rows are of no run", function(case)
      case.sql = { "INSERT INTO event (run, seq, time, \"from\", \"to\") VALUES (7, 1, 0, 'TODO', 'RUNNING')" }
    end },
    ["a worker's problem"] = { "a worker had a problem: constraint: why", function(case)
      case.evidence.problem[1] = { code = "constraint", message = "why" }
    end },
  }

  for name, entry in pairs(BROKEN) do
    it("sees " .. name, function()
      local case = sound()
      entry[2](case)
      local found = violations(case)
      local hit = false
      for _, violation in ipairs(found) do hit = hit or violation:find(entry[1]) ~= nil end
      assert.is_true(hit, table.concat(found, "\n"))
    end)
  end

  it("sees a file that is damaged", function()
    local case = sound()
    case.sql = { "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'UNIQUE', '') WHERE name = 'run'" }
    local good, found = pcall(violations, case)
    assert.is_true(not good or #found > 0)
  end)
end)
