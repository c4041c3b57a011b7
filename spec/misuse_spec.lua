-- Misuse of the API is raised, with the position of the program that called.

local step = require "step"

local function nothing() end

local def = assert(step.define { name = "misused", steps = { { name = "a", action = nothing } } })

describe("misuse is raised where the program called:", function()
  --- message -> call, a pair for each line
  local function each(group, calls)
    it(group, function()
      local here = debug.getinfo(1, "S").short_src
      for message, call in pairs(calls) do
        local ok, raised = pcall(call)
        assert.is_false(ok, message)
        assert.matches(message, raised, 1, true)
        assert.equal(here, tostring(raised):match "^(.-):%d+: ", raised)
      end
    end)
  end

  each("the seed's functions", {
    ["'dependency_parts' (string expected, got nil)"] = function() local _ = step.dependency_parts() end,
    ["'dependency_parts' (string expected, got table)"] = function() local _ = step.dependency_parts {} end,
    ["'valid_condition' (string expected, got nil)"] = function() local _ = step.valid_condition({}, nil, {}) end,
    ["'valid_condition' (table expected, got nil)"] = function() local _ = step.valid_condition({}, "a") end,
  })

  local st, values = step.new { name = "a", action = { type = "echo" } }, step.values()
  each("a step", {
    ["'valid_and_normalize' (string expected, got nil)"] = function() local _ = st:valid_and_normalize() end,
    ["'valid_and_normalize' (table expected, got number)"] = function() local _ = st:valid_and_normalize("a", 3) end,
    ["#3 to 'valid_and_normalize' (table expected, got string)"] = function() local _ = st:valid_and_normalize("a", {}, "x") end,
    ["'pre_run' (step expected, got nil)"] = function() step.pre_run() end,
    ["'pre_run' (step.values() expected, got an empty table)"] = function() step.pre_run(st, {}, nothing) end,
    ["'pre_run' (function expected, got nil)"] = function() step.pre_run(st, values) end,
    ["#4 to 'pre_run' (table expected, got number)"] = function() step.pre_run(st, values, nothing, 3) end,
    ["'run' (step expected, got nil)"] = function() step.run() end,
    ["'run' (table expected, got number)"] = function() step.run(st, 3, values, nothing) end,
    ["'run' (step.values() expected, got nil)"] = function() step.run(st, {}) end,
    ["'run' (function expected, got nil)"] = function() step.run(st, {}, values) end,
    ["'after_run' (step expected, got number)"] = function() step.after_run(3, values, nothing) end,
    ["'after_run' (step.values() expected, got 5)"] = function() step.after_run(st, 5, nothing) end,
    ["'is_final' on bad self (a step expected, got nil): write step:is_final(...)"] = function() local _ = st.is_final() end,
    ["'get_custom_states' on bad self"] = function() local _ = st.get_custom_states(1) end,
  })

  each("values", {
    ["#1 (step name expected, got nil)"] = function() local _ = values:get_output() end,
    ["#1 (step name expected, got number)"] = function() values:unset_state(1) end,
    ["'set_input' (table expected, got number)"] = function() values:set_input(3) end,
    ["'set_config' (table expected, got string)"] = function() values:set_config "x" end,
    ["'set_variables' (table expected, got boolean)"] = function() values:set_variables(true) end,
  })

  each("definitions and runs", {
    ["'load' (unknown option 'lau'; accepted: lua)"] = function() local _ = step.load("x.yaml", { lau = true }) end,
    ["'register_function' (table expected, got true)"] = function() local _ = step.register_function("x.yaml", true) end,
    ["#2 to 'restore' (definition expected, got an empty table)"] = function() local _ = step.restore({ steps = {} }, {}) end,
    ["#3 to 'restore' (table expected, got 3)"] = function() local _ = step.restore({ steps = {} }, nil, 3) end,
    ["'manual_clock' (seconds expected, got string)"] = function() local _ = step.manual_clock "noon" end,
    ["'start' (unknown option 'inputs'"] = function() local _ = def:start { inputs = {} } end,
    ["'wait' (unknown option 'untill_time'; accepted: until_time)"] = function() local _ = def:start():wait { untill_time = 1 } end,
    ["'until_time' (seconds since 1970 expected, got \"x\")"] = function() local _ = def:start():wait { until_time = "x" } end,
    ["'why' (text expected, got nil)"] = function() local _ = def:start():why() end,
    ["'signal' (a callback's name or id expected, got nil)"] = function() local _ = def:start():signal() end,
    ["#2 to 'signal' ($: a function is not JSON data)"] = function() local _ = def:start():signal("x", nothing) end,
    ["a run's state cannot be set: its methods change it"] = function() def:start().state = "DONE" end,
    ["a run's resolve cannot be set"] = function() def:start().resolve = nothing end,
  })

  local engine = step.engine()
  engine:add(def)
  each("engines", {
    ["'store' (a path expected, got 3)"] = function() local _ = step.engine { store = 3 } end,
    ["'store' (a path expected, got \"\")"] = function() local _ = step.engine { store = "" } end,
    ["a clock is a function"] = function() local _ = step.engine { clock = 3 } end,
    ["'upgrade' (true or false expected, got \"no\")"] = function() local _ = step.engine { upgrade = "no" } end,
    ["'config' (table expected, got boolean)"] = function() local _ = engine:start("misused", { config = false }) end,
    ["'loop'"] = function() local _ = def:start { loop = 5 } end,
    ["'config' (table expected, got number)"] = function() local _ = engine:start("misused", { config = 3 }) end,
    ["'tags' ($.a: a function is not JSON data)"] = function() local _ = engine:start("misused", { tags = { a = nothing } }) end,
    ["'deadline' ("] = function() local _ = engine:start("misused", { deadline = "x" }) end,
    ["'max_concurrent' ("] = function() local _ = engine:start("misused", { max_concurrent = 0 }) end,
    ["'backup' (text expected, got nil)"] = function() local _ = engine:backup() end,
    ["#2 to 'signal' (text expected, got nil)"] = function() local _ = engine:signal "x" end,
  })

  it("what a runner is given", function()
    local raised, here = {}, debug.getinfo(1, "S").short_src
    local function runner(_, _, _, ctx)
      for _, call in ipairs {
        function() local _ = ctx:thread("return 1", 3) end, function() local _ = ctx:thread(3) end,
        function() local _ = step.thread("return 1", { nothing }) end, function() local _ = step.thread(3) end,
        function() local _ = ctx:spawn "ls" end, function() local _ = ctx:spawn({ "ls" }, { cdw = "/" }) end,
        function() ctx:sleep "x" end, function() local _ = ctx:await(3) end,
      } do raised[#raised + 1] = select(2, pcall(call)) end
    end
    step.register_runner("misuses ctx", runner)
    local run = assert(assert(step.define { name = "x", steps = { { name = "a", action = { type = "misuses ctx" } } } }):start())
    assert.equal("DONE", run:resolve())
    assert.equal(8, #raised)
    for _, message in ipairs(raised) do assert.equal(here, tostring(message):match "^(.-):%d+: bad argument #", message) end
    local _, outside = pcall(function() local _ = step.thread "return 1" end)
    assert.equal(here, outside:match "^(.-):%d+: step.thread waits for its thread", outside)
  end)
end)
