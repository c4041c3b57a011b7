-- step.object: step objects, and PreRun, Run and AfterRun of one step outside of a run.

local errors = require "step.error"
local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

local null = json.null

--- A driver of one step as a program writes it: the values, and a set_state that keeps both up to date.
local function driver(st)
  local d = { values = step.values(), set = {}, done = 0 }
  function d.set_state(name, state, message)
    d.set[#d.set + 1] = { name, state, message }
    if name == st.name then st.state, st.error = state, message end
    d.values:set_state(name, state)
  end
  function d.finished(same)
    assert.equal(st, same)
    d.done = d.done + 1
    d.values:set_output(st.name, st.output)
    d.values:set_metadata(st.name, st.metadata)
    d.values:set_state(st.name, st.state)
  end
  --- PreRun, Run and AfterRun, as the engine does them.
  function d.go(bases)
    local executed = {}
    step.pre_run(st, d.values, d.set_state, executed)
    local ok, err = step.run(st, bases, d.values, d.finished)
    step.after_run(st, d.values, d.set_state)
    return ok, err, executed
  end
  return d
end

local function echo(configuration) return { type = "echo", configuration = configuration } end

describe("step.new", function()
  it("D3: copies the fields", function()
    local fields = { name = "a", action = echo { output = { 1 } }, state = "DONE" }
    local st = step.new(fields)
    fields.action.configuration.output[1] = 2
    fields.name = "b"
    assert.same({ "a", 1, "DONE" }, { st.name, st.action.configuration.output[1], st.state })
  end)
  it("is readable", function()
    assert.equal("step.Step: a (TODO)", tostring(step.new { name = "a" }))
    assert.equal("step.Step: a (DONE)", tostring(step.new { name = "a", state = "DONE" }))
  end)
  it("raises an error for what is no table", function()
    assert.error_matches(function() step.new(5) end, "bad argument #1 to 'new' %(table expected, got number%)")
  end)
end)

describe("pre_run", function()
  it("S3.4: a skip condition that holds skips the action and the check conditions", function()
    local st = step.new { name = "a", action = echo { output = 1 }, conditions = {
      { type = "skip", ["if"] = { { value = "{{.input.skip}}", operator = "EQ", expected = "yes" } },
        ["then"] = { this = "DONE", other = "PRUNE" }, message = "skipped {{.input.skip}}" },
      { type = "check", ["then"] = { this = "FATAL_ERROR" } },
    } }
    local d = driver(st)
    d.values:set_input { skip = "yes" }
    local ok, _, executed = d.go()
    assert.is_true(ok)
    assert.same({ { "other", "PRUNE", "skipped yes" }, { "a", "DONE", "skipped yes" } }, d.set)
    assert.same({ a = true }, executed)
    assert.same({ "DONE", nil, nil, 1 }, { st.state, st.output, st.try_count, d.done })
  end)

  it("D7: skipped holds for one attempt only", function()
    local st = step.new { name = "a", action = echo { output = 1 }, conditions = {
      { type = "skip", ["if"] = { { value = "{{.input.skip}}", operator = "EQ", expected = "yes" } }, ["then"] = { this = "TO_RETRY" } },
      { type = "check", ["then"] = { this = "DONE" }, message = "checked" },
    } }
    local d = driver(st)
    d.values:set_input { skip = "yes" }
    d.go()
    assert.equal("TO_RETRY", st.state)
    d.values:set_input { skip = "no" }
    local _, _, executed = d.go()
    assert.same({ "DONE", 1, "checked" }, { st.state, st.output, st.error })
    assert.same({}, executed)
  end)

  it("S3.4: one that does not hold does nothing", function()
    local st = step.new { name = "a", action = echo(), conditions = { { type = "skip", ["if"] = function() return false end,
      ["then"] = { this = "DONE" } } } }
    local d, executed = driver(st), {}
    step.pre_run(st, d.values, d.set_state, executed)
    assert.same({ {}, {} }, { d.set, executed })
  end)

  for name, text in pairs { ["cannot be evaluated"] = '{{fail "broken"}}', ["does not parse"] = "{{.broken" } do
    it("S3.4: one that " .. name .. " is SERVER_ERROR and prevents the action", function()
      local st = step.new { name = "a", action = echo { output = 1 },
        conditions = { { type = "skip", ["if"] = { { value = text, operator = "EQ" } }, ["then"] = { this = "DONE" } } } }
      local d = driver(st)
      local _, _, executed = d.go()
      assert.same({ "SERVER_ERROR", nil, { a = true } }, { st.state, st.output, executed })
      assert.is_true(#st.error > 0)
    end)
  end

  it("S3.3: conditions of functions come first", function()
    assert(step.register_function { name = "skipping", action = echo(),
      conditions = { { type = "skip", ["then"] = { this = "DONE" }, message = "function" } } })
    local st = step.new { name = "a", action = { type = "skipping" },
      conditions = { { type = "skip", ["then"] = { this = "PRUNE" }, message = "own" } } }
    local d = driver(st)
    step.pre_run(st, d.values, d.set_state)
    assert.same({ { "a", "DONE", "function" }, { "a", "PRUNE", "own" } }, d.set)
  end)

  it("S3.1: of a foreach step's skip conditions only those of the parent", function()
    local conditions = { { type = "skip", ["then"] = { this = "DONE" }, message = "children" },
      { type = "skip", foreach = "parent", ["then"] = { this = "DONE" }, message = "parent" } }
    local st = step.new { name = "a", action = echo(), foreach = "[1]", conditions = conditions }
    local d = driver(st)
    step.pre_run(st, d.values, d.set_state)
    assert.same({ { "a", "DONE", "parent" } }, d.set)
  end)

  it("S5.3: a child sees its item", function()
    local st = step.new { name = "a-0", action = echo(), item = { n = 5 }, conditions = {
      { type = "skip", ["if"] = { { value = "{{.iterator.n}}", operator = "EQ", expected = 5 } }, ["then"] = { this = "DONE" } } } }
    local d = driver(st)
    step.pre_run(st, d.values, d.set_state)
    assert.same({ { "a-0", "DONE", "" } }, d.set)
  end)
end)

describe("run", function()
  it("S4.9: carries out the action and calls done once", function()
    local st = step.new { name = "a", action = echo { output = "{{.input.x}} {{.step.other.output}}", metadata = { m = 1 } },
      try_count = 2, error = "old" }
    local d = driver(st)
    d.values:set_input { x = "in" }
    d.values:set_output("other", "out")
    assert.is_true((d.go()))
    assert.same({ "DONE", "in out", { m = 1 }, 3, nil, 1 }, { st.state, st.output, st.metadata, st.try_count, st.error, d.done })
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT", st.last_run)
  end)
  it("S4.5: puts the error and its state into the step", function()
    for kind, state in pairs { bad_request = "CLIENT_ERROR", not_assigned = "WAITING", not_provisioned = "TO_RETRY",
      other = "SERVER_ERROR" } do
      local st = step.new { name = "a", action = function() error(errors.new(kind, "why")) end }
      driver(st).go()
      assert.same({ state, "why" }, { st.state, st.error })
    end
  end)
  it("takes a Lua function as the action", function()
    local st = step.new { name = "a", action = function(v) return v.input.x + 1, { seen = v.step.this.state } end }
    local d = driver(st)
    d.values:set_input { x = 1 }
    d.values:set_state("a", "TODO")
    d.go()
    assert.same({ 2, { seen = "TODO" } }, { st.output, st.metadata })
  end)
  it("S4.2: runs the pre_hook first", function()
    local st = step.new { name = "a", action = echo { output = "{{.pre_hook.output}}" }, pre_hook = echo { output = "hook" } }
    driver(st).go()
    assert.equal("hook", st.output)
  end)
  it("S4.3: uses the base configurations given", function()
    local st = step.new { name = "a", action = { type = "echo", base_configuration = "b" } }
    driver(st).go { b = { output = "base" } }
    assert.equal("base", st.output)
  end)
  it("S4.6, S4.7: applies the output strategy and the schema", function()
    local st = step.new { name = "a", action = { type = "echo", configuration = { output = { a = 1 } },
      output = { strategy = "merge", format = { b = 2 } } },
      json_schema = { type = "object", required = { "c" } } }
    driver(st).go()
    assert.same({ "FATAL_ERROR", { a = 1, b = 2 } }, { st.state, st.output })
    assert.is_true(#st.error > 0)
  end)
  it("S4.1: an exhausted step is FATAL_ERROR", function()
    local calls = 0
    local st = step.new { name = "a", action = function() calls = calls + 1 end, max_retries = 2, try_count = 3, error = "before" }
    driver(st).go()
    assert.same({ "FATAL_ERROR", "Step reached max retries 2: before", 0 }, { st.state, st.error, calls })
  end)
  it("D18: max_retries 0 is no retry", function()
    local st = step.new { name = "a", action = function() error "x" end, max_retries = 0 }
    driver(st).go()
    assert.equal("SERVER_ERROR", st.state)
    driver(st).go()
    assert.equal("FATAL_ERROR", st.state)
  end)
  it("its retry says whether there is another try", function()
    local st = step.new { name = "a", action = function() error("x", 0) end, retry = { max = 1,
      when = function(_, state, message) return state .. message ~= "SERVER_ERRORx" end } }
    driver(st).go()
    assert.same({ "FATAL_ERROR", "x" }, { st.state, st.error })
    st = step.new { name = "a", action = function() error("x", 0) end, retry = { when = { "SERVER_ERROR" } } }
    driver(st).go()
    assert.equal("SERVER_ERROR", st.state)
    st = step.new { name = "a", action = function() error "x" end, retry = { max = 0 } }
    driver(st).go()
    driver(st).go()
    assert.equal("FATAL_ERROR", st.state)
  end)
  it("S4.10: returns the tags in the step", function()
    local st = step.new { name = "a", action = { type = "tag", configuration = { tags = { t = "1" } } } }
    driver(st).go()
    assert.same({ t = "1" }, st.tags)
  end)
  it("S5.3: a child's action sees its item", function()
    local st = step.new { name = "a-0", action = echo { output = "{{.iterator}}" }, item = "item" }
    driver(st).go()
    assert.equal("item", st.output)
  end)
  it("S8.2: an action that is none is refused: the step is FATAL_ERROR, and comes back as any other", function()
    local st = step.new { name = "a", action = { type = "nobody" } }
    local d = driver(st)
    local ok, err = d.go()
    assert.is_nil(ok)
    assert.same({ "definition", 1, "FATAL_ERROR" }, { err.kind, d.done, st.state })
    assert.matches('no runner and no function has the type "nobody"', st.error, 1, true)
  end)
  describe("an action that waits for somebody else's loop", function()
    --- A step whose action waits `times` times, and what resumes it.
    local function waiting(times)
      local w = {}
      w.st = step.new { name = "a", action = function() return nil end }
      step.register_runner("waiting " .. times, function(_, _, _, ctx)
        local all = {}
        for _ = 1, times do all[#all + 1] = ctx:await(function(resume) w.resume = resume end) end
        all[#all + 1] = ctx:await(function(resume) resume "at once" end)
        if all[1] == "fail" then error(step.error.bad_request "no") end
        return table.concat(all, " ")
      end)
      w.st.action = { type = "waiting " .. times }
      w.d = driver(w.st)
      return w
    end
    it("goes on when it is resumed; done is called once, then", function()
      local w = waiting(2)
      assert.is_true(step.run(w.st, nil, w.d.values, w.d.finished))
      assert.same({ 0 }, { w.d.done, w.st.state })
      w.resume "one"
      assert.same({ 0 }, { w.d.done, w.st.state })
      local last = w.resume
      last "two"
      assert.same({ 1, "DONE", "one two at once", 1 }, { w.d.done, w.st.state, w.st.output, w.st.try_count })
      last "again"
      assert.same({ 1, "one two at once" }, { w.d.done, w.st.output })
    end)
    it("may be resumed by another run's action, and fail", function()
      local w = waiting(1)
      assert.is_true(step.run(w.st, nil, w.d.values, w.d.finished))
      local def = assert(step.define { name = "x", steps = { { name = "a", action = function() w.resume "fail" end } } })
      assert.equal("DONE", assert(def:start()):resolve())
      assert.same({ 1, "CLIENT_ERROR", "no" }, { w.d.done, w.st.state, w.st.error })
    end)
  end)
  it("D3: neither the step's configuration nor the values are written to", function()
    local st = step.new { name = "a", action = { type = "lua",
      configuration = { fn = function(args) args.list[1] = 9 end, args = { list = { 1 }, t = "{{.input.x}}" } } } }
    local d = driver(st)
    d.values:set_input { x = "in" }
    d.go()
    assert.same({ list = { 1 }, t = "{{.input.x}}" }, st.action.configuration.args)
    assert.equal("<no value>", assert(d.values:apply "{{.iterator}}"))
  end)
end)

describe("after_run", function()
  local function checked(state, conditions)
    local st = step.new { name = "a", action = echo(), state = state, error = "e", conditions = conditions }
    local d = driver(st)
    d.values:set_state("a", state)
    step.after_run(st, d.values, d.set_state)
    return d.set, st
  end
  local condition = { type = "check", ["then"] = { this = "DONE", other = "PRUNE" }, message = "m" }
  local set = { { "other", "PRUNE", "m" }, { "a", "DONE", "m" } }

  it("S3.5: evaluates check conditions in DONE and CLIENT_ERROR only", function()
    assert.same(set, (checked("DONE", { condition })))
    assert.same(set, (checked("CLIENT_ERROR", { condition })))
    for _, state in ipairs { "SERVER_ERROR", "FATAL_ERROR", "WAITING", "TO_RETRY", "PRUNE" } do assert.same({},
      (checked(state, { condition }))) end
  end)
  it("D13: states replaces the default", function()
    local own = { type = "check", states = { "SERVER_ERROR" }, ["then"] = { this = "DONE", other = "PRUNE" }, message = "m" }
    assert.same(set, (checked("SERVER_ERROR", { own })))
    assert.same({}, (checked("DONE", { own })))
  end)
  it("S3.5: a foreach parent has none", function()
    local st = step.new { name = "a", action = echo(), state = "DONE", foreach = "[]", conditions = { condition } }
    local d = driver(st)
    step.after_run(st, d.values, d.set_state)
    assert.same({}, d.set)
  end)
  it("S3.5, D6: one that cannot be evaluated is AFTERRUN_ERROR; the next attempt restores the state and does no action", function()
    local calls, fail = 0, true
    local st = step.new { name = "a", action = function() calls = calls + 1 error(step.error.bad_request "refused") end, conditions = {
      { type = "check", ["if"] = function(v) if fail then error("broken", 0) end return v.step.this.state == "CLIENT_ERROR" end,
        ["then"] = { other = "PRUNE" } } } }
    local d = driver(st)
    d.go()
    assert.same({ "AFTERRUN_ERROR", "broken", 1 }, { st.state, st.error, calls })
    d.go()
    assert.same({ "AFTERRUN_ERROR", "broken", 1 }, { st.state, st.error, calls })
    fail = false
    d.go()
    assert.same({ "CLIENT_ERROR", "refused", 1 }, { st.state, st.error, calls })
    assert.same({ "other", "PRUNE", "" }, d.set[#d.set])
  end)
  it("D6: AFTERRUN_ERROR without anything remembered was DONE", function()
    local _, st = checked("AFTERRUN_ERROR", {})
    assert.equal("DONE", st.state)
  end)
end)

describe("valid_condition", function()
  local function steps()
    return { a = step.new { name = "a", action = echo(), dependencies = { "b" }, custom_states = { "MINE" } },
      b = step.new { name = "b", action = echo() },
      far = step.new { name = "far", action = echo() }, each = step.new { name = "each", action = echo(), foreach = "[]" } }
  end
  it("S8.8: takes a good one", function()
    assert.is_true(step.valid_condition({ type = "check", ["if"] = { { value = "x", operator = "EQ", expected = "x" } },
      ["then"] = { this = "MINE", b = "DONE" } }, "a", steps()))
    assert.is_true(step.valid_condition({ type = "skip", foreach = "parent", ["then"] = { each = "DONE" } }, "each", steps()))
  end)
  it("S8.8: says what is wrong with one, and only with it", function()
    local all = steps()
    all.a.retry_pattern, all.b.dependencies = "nonsense", { "nowhere" }
    local ok, err = step.valid_condition({ type = "check", ["then"] = { this = "GONE" } }, "a", all)
    assert.is_nil(ok)
    assert.equal("definition", err.kind)
    local finding = refused.only(err)
    assert.same({ "a", "conditions[1].then[this]", "invalid state" }, { finding.step, finding.field, finding.message })
    assert.matches("^a condition of the step 'a' is refused: 1 error\n", tostring(err))
  end)
  it("S3.6: looks at the dependencies", function()
    local finding = refused.only(select(2, step.valid_condition({ type = "check", ["then"] = { far = "DONE" } }, "a", steps())))
    assert.matches("not in the dependency chain", finding.message, 1, true)
  end)
  it("S1.3: knows the custom states of functions", function()
    assert(step.register_function { name = "with-state", action = echo(), custom_states = { "FROM_FUNCTION" } })
    local all = steps()
    all.a.action = { type = "with-state" }
    assert.is_true(step.valid_condition({ type = "check", ["then"] = { this = "FROM_FUNCTION" } }, "a", all))
  end)
  it("S8.8: null is none", function()
    for _, value in ipairs { null, "text", false } do
      assert.matches("a condition is an object", tostring(select(2, step.valid_condition(value, "a", steps()))), 1, true)
    end
    assert.matches("a condition is an object", tostring(select(2, step.valid_condition(nil, "a", steps()))), 1, true)
  end)
end)
