-- csrc/lua/view.c: v, v.step and v.step.NAME, and run.steps.

local step = require "step"

local function ran(steps, options)
  options = options or {}
  options.clock = options.clock or step.manual_clock(7)
  local run = assert(assert(step.define { name = "view", steps = steps }):start(options))
  run:resolve()
  return run
end

describe("v", function()
  it("has input, config, task, step, and for children iterator", function()
    local seen = {}
    local def = assert(step.define { name = "view", inputs = { { name = "n", type = "number" } }, steps = {
      { name = "f", foreach = function(v) return { v.input.n, "x" } end, action = function(v)
        seen[#seen + 1] = { v.input.n, v.config.c, v.task.task_id, v.step.this.name, v.iterator, v.step.f.state, v.nothing, v[1] }
      end },
      { name = "a", action = function(v) seen[#seen + 1] = { v.step.this.name, v.iterator == nil } end },
    } })
    local run = assert(def:start { input = { n = 3 }, config = { c = "conf" }, id = "id", clock = step.manual_clock() })
    assert.equal("DONE", run:resolve())
    table.sort(seen, function(x, y) return #x < #y end)
    assert.same({ { "a", true }, { 3, "conf", "id", "f-0", 3, "EXPANDED" }, { 3, "conf", "id", "f-1", "x", "EXPANDED" } }, seen)
  end)

  it("can be walked over; steps come in the order of the definition, children last", function()
    local keys, names = {}, {}
    ran {
      { name = "z" , action = function() return 1 end },
      { name = "f", dependencies = { "z" }, foreach = function() return { 1, 2 } end, action = function(v)
        if v.iterator == 2 then
          for key in pairs(v) do keys[key] = true end
          for name, s in pairs(v.step) do names[#names + 1] = name .. "=" .. s.state end
        end
      end },
      { name = "b", dependencies = { "f" }, action = function() end },
    }
    assert.is_true(keys.step and keys.input and keys.task and keys.iterator)
    assert.same({ "z=DONE", "f=EXPANDED", "b=TODO", "f-0=DONE", "f-1=RUNNING" }, names)
  end)

  it("cannot be changed", function()
    local problems = {}
    ran { { name = "a", action = function(v)
      for _, change in ipairs {
        function() v.input = 1 end, function() v.step.a = 1 end, function() v.step.a.state = "DONE" end, function() v.new = 1 end,
          function() v.step.new = 1 end,
      } do
        local ok, why = pcall(change)
        problems[#problems + 1] = not ok and why:match "cannot be set" or "changed"
      end
    end } }
    assert.same({ "cannot be set", "cannot be set", "cannot be set", "cannot be set", "cannot be set" }, problems)
  end)

  it("steps and fields there are not are nil", function()
    local run = ran { { name = "a", action = function(v)
      assert(v.step.none == nil and v.step[1] == nil and v.step[{}] == nil and v.step.a.none == nil and v.step.a[{}] == nil)
      assert(v.step.a.output == nil and v.step.a.children == nil and v.step.a.error == nil and v.step.a.last_run == nil)
    end } }
    assert.equal("DONE", run.state)
  end)
end)

describe("run.steps", function()
  it("has every field of a step that has a value", function()
    local run = ran { { name = "a", max_retries = 5, action = function() return "out", { m = 1 }, nil, "failed" end } }
    local a, fields = run.steps.a, {}
    for key, value in pairs(a) do fields[key] = value end
    assert.same({ name = "a", state = "SERVER_ERROR", output = "out", metadata = { m = 1 }, error = "failed", try_count = 1,
      max_retries = 5,
      last_run = 7, next_retry = 17 }, fields)
  end)

  it("children have output, metadata with the iterator, state, index and error; pruned ones are left out (S5.4, D14)", function()
    local run = ran { { name = "f", custom_states = { "ODD" }, foreach = function() return { "p", "q", "r" } end,
      action = function(v) return v.iterator .. "!", { own = true } end,
      conditions = { { type = "check", ["if"] = function(v) return v.iterator == "q" end, ["then"] = { this = "PRUNE" } },
        { type = "check", ["if"] = function(v) return v.iterator == "r" end, ["then"] = { this = "ODD" }, message = "odd" } } } }
    assert.same({ { output = "p!", metadata = { own = true, iterator = "p" }, state = "DONE", index = 0 },
      { output = "r!", metadata = { own = true, iterator = "r" }, state = "ODD", index = 2, error = "odd" } }, run.steps.f.children)
    assert.is_true(step.json.is_array(run.steps.f.children))
    assert.equal(run.steps.f.children, run.steps.f.children)
    assert.is_nil(run.steps["f-0"])
  end)

  it("a child that is gone, and a run that is closed, are errors to read", function()
    local kept
    local run = ran { { name = "f", foreach = function() return { 1 } end, action = function(v) kept = v.step.this end } }
    assert.error_matches(function() return kept.state end, "not in the run any more")
    local steps, f = run.steps, run.steps.f
    run:close()
    run:close()
    assert.error_matches(function() return f.state end, "closed")
    assert.error_matches(function() return steps.f end, "closed")
    assert.error_matches(function() for _ in pairs(steps) do error "entered" end end, "closed")
    assert.error_matches(function() return run.steps end, "closed")
    assert.equal("CLOSED", run.state)
  end)

  it("a v that was kept shows nothing of a closed run", function()
    local kept
    local run = ran { { name = "a", action = function(v) kept = v end } }
    run:close()
    assert.error_matches(function() return kept.input end, "closed")
    assert.error_matches(function() return kept.step.a end, "closed")
  end)
end)
