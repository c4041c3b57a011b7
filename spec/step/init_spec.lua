-- step: the public module, the seed's package one to one.

local core = require "step.core"
local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

local null = json.null

local function echo() return { type = "echo" } end

describe("step.state", function()
  it("S1.1: has the built-in states and ANY", function()
    local names = {}
    for key, value in pairs(step.state) do
      assert.equal(key, value)
      names[#names + 1] = key
    end
    table.sort(names)
    assert.same({ "AFTERRUN_ERROR", "ANY", "CLIENT_ERROR", "CRASHED", "DONE", "EXPANDED", "FATAL_ERROR", "PRUNE", "RETRY_NOW",
      "RUNNING", "SERVER_ERROR", "TODO",
      "TO_RETRY", "WAITING" }, names)
  end)
  it("S1.1: the table of states says what each allows", function()
    local function flags(flag)
      local list = {}
      for _, info in ipairs(core.states) do if info[flag] then list[#list + 1] = info.name end end
      table.sort(list)
      return list
    end
    assert.same({ "AFTERRUN_ERROR", "CLIENT_ERROR", "CRASHED", "EXPANDED", "FATAL_ERROR", "RETRY_NOW", "SERVER_ERROR", "TODO",
      "TO_RETRY", "WAITING" }, flags "runnable")
    assert.same({ "AFTERRUN_ERROR", "SERVER_ERROR", "TO_RETRY" }, flags "retriable")
    assert.same({ "DONE", "PRUNE", "any custom state" }, flags "final")
    assert.same({ "CLIENT_ERROR", "DONE", "FATAL_ERROR", "PRUNE", "RETRY_NOW", "TO_RETRY", "any custom state" }, flags "settable")
  end)
end)

describe("step.run_state", function()
  it("S6.1: has the states of a run", function()
    local names = {}
    for key, value in pairs(step.run_state) do
      assert.equal(key, value)
      names[#names + 1] = key
    end
    table.sort(names)
    assert.same({ "AUTORUNNING", "BLOCKED_BADREQUEST", "BLOCKED_DEADLOCK", "BLOCKED_FATAL", "BLOCKED_MAXRETRIES", "BLOCKED_TOCHECK",
      "CANCELLED", "CRASHED", "DONE",
      "ERROR", "PAUSED", "RETRY", "RUNNING", "TODO", "TO_AUTORUN", "TO_AUTORUN_DELAYED", "WAITING" }, names)
  end)
end)

describe("step.retry", function()
  it("S6.5: has the patterns", function()
    assert.same({ SECONDS = "seconds", MINUTES = "minutes", HOURS = "hours" }, step.retry)
  end)
  for pattern, delays in pairs {
    seconds = { [0] = 10, 10, 12.5, 15.625, [20] = 600, [100] = 600 },
      minutes = { [0] = 96, 96, 192, [18] = 1728, [19] = 1800, [50] = 1800 },
    hours = { [0] = 3600, 3600, 4200, [13] = 10800, [14] = 10800 },
  } do
    it("S6.5, D17: delays of " .. pattern, function()
      for tries, delay in pairs(delays) do assert.near(delay, core.retry_delay(pattern, tries), 1e-9) end
    end)
  end
  it("S6.5: the cap of seconds is reached at the 20th", function()
    assert.is_true(core.retry_delay("seconds", 19) < 600)
    assert.equal(600, core.retry_delay("seconds", 20))
  end)
end)

describe("step.dependency_parts", function()
  for text, case in pairs {
    ["a"] = { "a", { "DONE" } }, ["a:DONE"] = { "a", { "DONE" } }, ["a:DONE,B"] = { "a", { "DONE", "B" } }, ["a:ANY"] = { "a", { "ANY" } },
    ["a:"] = { "a", { "" } }, ["a:B,"] = { "a", { "B", "" } }, [""] = { "", { "DONE" } }, ["a:b:c"] = { "a", { "b:c" } },
  } do
    it(("S2.1: %q"):format(text), function() assert.same(case, { step.dependency_parts(text) }) end)
  end
  it("raises an error for what is no text", function()
    assert.error_matches(function() step.dependency_parts {} end, "string expected")
  end)
end)

describe("a step object", function()
  local runnable = { TODO = true, WAITING = true, CLIENT_ERROR = true, SERVER_ERROR = true, FATAL_ERROR = true, CRASHED = true,
    TO_RETRY = true, RETRY_NOW = true,
    AFTERRUN_ERROR = true, EXPANDED = true }
  local retriable = { SERVER_ERROR = true, TO_RETRY = true, AFTERRUN_ERROR = true }
  local states = { "MY_OWN", "any custom state", "todo" }
  for name in pairs(step.state) do if name ~= "ANY" then states[#states + 1] = name end end
  for _, state in ipairs(states) do
    it("S1.2: is_runnable, is_retriable, is_final in " .. state, function()
      local st = step.new { name = "a", state = state }
      assert.same({ runnable[state] or false, retriable[state] or false, not runnable[state] and state ~= "RUNNING" },
        { st:is_runnable(), st:is_retriable(), st:is_final() })
    end)
  end
  it("S1.2: without a state is TODO", function()
    for _, state in ipairs { null, false } do
      local st = step.new { name = "a", state = state or nil }
      assert.same({ true, false, false }, { st:is_runnable(), st:is_retriable(), st:is_final() })
    end
  end)
  it("is_child: when it has an item, null too (D14)", function()
    assert.is_false(step.new({ name = "a" }):is_child())
    assert.is_true(step.new({ name = "a-0", item = 1 }):is_child())
    assert.is_true(step.new({ name = "a-0", item = false }):is_child())
    assert.is_true(step.new({ name = "a-0", item = null }):is_child())
  end)

  it("executor_metadata: the runner's schema, through functions", function()
    local schema = { type = "object", properties = { code = {} } }
    step.register_runner("described", { exec = function() end, metadata_schema = function() return schema end })
    assert(step.register_function { name = "describing", action = { type = "described" } })
    assert.same(schema, step.new({ name = "a", action = { type = "described" } }):executor_metadata())
    assert.same(schema, step.new({ name = "a", action = { type = "describing" } }):executor_metadata())
    assert.is_nil(step.new({ name = "a", action = echo() }):executor_metadata())
    assert.is_nil(step.new({ name = "a", action = { type = "nobody" } }):executor_metadata())
    assert.is_nil(step.new({ name = "a", action = print }):executor_metadata())
  end)

  it("get_conditions, get_custom_states, get_pre_hook: functions included", function()
    local function check(message) return { type = "check", message = message } end
    assert(step.register_function { name = "inner", action = echo(), conditions = { check "inner" }, custom_states = { "A", "B" },
      pre_hook = { type = "echo", configuration = { output = "hook" } } })
    assert(step.register_function { name = "outer", action = { type = "inner" }, conditions = { check "outer" },
      custom_states = { "B", "C" } })
    local st = step.new { name = "a", action = { type = "outer" }, conditions = { check "own" }, custom_states = { "C", "D" } }
    local messages = {}
    for i, cond in ipairs(st:get_conditions()) do messages[i] = cond.message end
    assert.same({ "inner", "outer", "own" }, messages)
    local customs = st:get_custom_states()
    table.sort(customs)
    assert.same({ "A", "B", "C", "D" }, customs)
    assert.equal("hook", st:get_pre_hook().configuration.output)
    local own = step.new { name = "a", action = echo(), pre_hook = { type = "lua" } }
    assert.equal("lua", own:get_pre_hook().type)
    local bare = step.new { name = "a", action = print, conditions = null, custom_states = null, pre_hook = null }
    assert.same({ {}, {}, nil }, { bare:get_conditions(), bare:get_custom_states(), bare:get_pre_hook() })
  end)

  describe("valid_and_normalize", function()
    local function refusal(spec, others, name, bases)
      local steps = { a = step.new(spec) }
      for other, fields in pairs(others or {}) do steps[other] = step.new(fields) end
      local ok, err = steps.a:valid_and_normalize(name or "a", bases, steps)
      assert.is_nil(ok)
      assert.equal("definition", err.kind)
      return err
    end

    it("accepts, and makes defaults explicit", function()
      local st = step.new { action = echo(), foreach = "[]", json_schema = { type = "object", version = 6 }, custom_states = { "A" } }
      assert.is_true(st:valid_and_normalize("a", {}, { a = st }))
      assert.same({ "a", "parallel" }, { st.name, st.foreach_strategy })
      assert.matches("draft%-06", st.json_schema["$schema"])
    end)
    it("takes a step with results, as a run has it (S8.11 is the definition's)", function()
      local st = step.new { name = "a", action = echo(), state = "DONE", output = 1, try_count = 2, item = 5, tags = {} }
      assert.is_true(st:valid_and_normalize("a", nil, { a = st }))
    end)
    it("S8.1: 'this' is no name, D23: nor one with ':'", function()
      assert.matches("'this' step name is reserved", refusal({ action = echo() }, nil, "this").message, 1, true)
      assert.matches("contains no ':'", refusal({ action = echo() }, nil, "a:b").message, 1, true)
    end)
    for rule, case in pairs {
      ["S8.2: the runner"] = { { action = { type = "ehco" } }, "action.type" },
      ["S8.2: the base configuration"] = { { action = { type = "echo", base_configuration = "x" } }, "action.base_configuration" },
      ["S8.3: the pre_hook"] = { { action = echo(), pre_hook = { type = "ehco" } }, "pre_hook.type" },
      ["S8.4: foreach_strategy"] = { { action = echo(), foreach_strategy = "sequence" }, "foreach_strategy" },
      ["S8.5: execution_delay"] = { { action = echo(), execution_delay = "30s" }, "execution_delay" },
      ["S8.6: retry_pattern"] = { { action = echo(), retry_pattern = "days" }, "retry_pattern" },
      ["S8.7: custom states"] = { { action = echo(), custom_states = { "TODO" } }, "custom_states[1]" },
      ["S8.8: conditions"] = { { action = echo(), conditions = { { type = "x" } } }, "conditions[1].type" },
      ["S8.9: the schema"] = { { action = echo(), json_schema = { type = "x" } }, "json_schema.type" },
      ["S8.10: a dependency's step"] = { { action = echo(), dependencies = { "c" } }, "dependencies[1]" },
      ["S8.10: a dependency's state"] = { { action = echo(), dependencies = { "b:X" } }, "dependencies[1]" },
      ["S8.10: dependencies that are no list"] = { { action = echo(), dependencies = "b" }, "dependencies" },
    } do
      it(rule, function()
        local finding = refused.only(refusal(case[1], { b = { action = echo() } }))
        assert.same({ "a", case[2] }, { finding.step, finding.field })
      end)
    end
    it("S8.10: a cycle", function()
      local err = refusal({ action = echo(), dependencies = { "b" } }, { b = { action = echo(), dependencies = { "a" } } })
      assert.matches("circular dependency: ", err.message, 1, true)
    end)
    it("S3.6: targets of conditions", function()
      local err = refusal({ action = echo(), conditions = { { type = "check", ["then"] = { b = "DONE" } } } }, { b = { action = echo() } })
      assert.matches("not in the dependency chain", err.message, 1, true)
    end)
    it("says nothing of what is wrong with the others", function()
      local st, other = step.new { action = echo(), dependencies = { "b" } },
        step.new { action = { type = "x" }, dependencies = { "nowhere" }, retry_pattern = "x" }
      assert.is_true(st:valid_and_normalize("a", nil, { a = st, b = other }))
    end)
    it("S8: reports everything at once and leaves the step as it is", function()
      local st = step.new { action = echo(), retry_pattern = "x", execution_delay = "x", foreach = "[]" }
      local _, err = st:valid_and_normalize("a", nil, { a = st })
      assert.equal(2, #err.errors)
      assert.same({ nil, nil }, { st.name, st.foreach_strategy })
    end)
    it("raises an error for a name that is no text", function()
      assert.error_matches(function() step.new({}):valid_and_normalize(5) end,
        "bad argument #1 to 'valid_and_normalize' %(string expected, got number%)")
    end)
  end)
end)

describe("step", function()
  it("exports the modules that programs need", function()
    assert.equal(require "step.error", step.error)
    assert.equal(json, step.json)
    assert.is_function(step.schema.compile)
    assert.is_nil(step.schema.nothing)
    assert.is_string(step._VERSION)
  end)
  it("S7.1: has registered its own runners", function()
    for _, name in ipairs { "echo", "lua", "tag" } do
      local ok, err = step.register_runner(name, print)
      assert.is_nil(ok)
      assert.equal("refused", err.kind)
    end
  end)
  it("tells misuse where it happens", function()
    local here = debug.getinfo(1, "S").short_src
    for _, misuse in ipairs {
      function() step.define(5) end, function() step.register_runner(5) end, function() step.register_runner("x", 5) end,
        function() step.load(5) end,
      function() step.restore(5) end, function() step.engine(5) end, function() step.new(5) end, function() step.register_function(5) end,
      function() step.register_runner("x", {}) end, function() step.register_runner("x", { exec = 5 }) end,
    } do
      local ok, message = pcall(misuse)
      assert.is_false(ok)
      assert.equal(here, message:match "^(.-):%d+: ", message)
    end
  end)
end)
