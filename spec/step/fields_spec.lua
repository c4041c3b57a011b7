-- step.fields: the fields of a definition and of a step (S8.1 to S8.12), what is refused and in which words.

local fields = require "step.fields"
local json = require "step.json"
local refused = require "spec.support.refused"
local step = require "step"

local null = json.null

local echo = { type = "echo" }

local RUNNERS = "batch, cache, callback, echo, lua, script, subtask, tag, workflow"
local STATES = "TODO, WAITING, RUNNING, DONE, CLIENT_ERROR, SERVER_ERROR, FATAL_ERROR, CRASHED, PRUNE, TO_RETRY, RETRY_NOW, " ..
  "AFTERRUN_ERROR, EXPANDED, ANY"
local DOCUMENT_KEYS = "allow_all_resolver_usernames, allow_task_start_over, allowed_resolver_groups, allowed_resolver_usernames, " ..
  "allowed_watcher_groups, allowed_watcher_usernames, auto_runnable, base_configurations, blocked, deadline, description, doc_link, " ..
  "hidden, inputs, long_description, max_concurrent, name, resolver_inputs, result_format, retry_max, steps, strict, tags, " ..
  "title_format, variables"
local STEP_KEYS = "acquire_timeout, action, always, conditions, custom_states, dependencies, description, execution_delay, " ..
  "foreach, foreach_strategy, idempotent, json_schema, max_concurrent, max_retries, name, pre_hook, resources, retry, " ..
  "retry_pattern, timeout, tolerate"

--- The only finding of a definition with that field.
local function finding_of(document)
  if document.name == nil then document.name = "x" end
  if document.name == null then document.name = nil end
  if document.steps == nil then document.steps = { { name = "a", action = echo } } end
  return refused.only(refused.document(document))
end

--- The only finding of a definition with a step `a` of those fields.
local function step_finding(spec, more)
  spec.name = "a"
  if spec.action == nil then spec.action = echo end
  return refused.only(refused.steps({ spec }, more))
end

local function step_accepted(spec)
  spec.name = "a"
  if spec.action == nil then spec.action = echo end
  return assert(step.define { name = "x", steps = { spec } })
end

describe("a definition is refused", function()
  for name, case in pairs {
    ["without a name"] = { { name = null }, "name", "a definition needs a name" },
    ["with an empty name"] = { { name = "" }, "name", "a definition needs a name", '""' },
    ["with an unknown key"] = { { stpes = {} }, "stpes", "unknown key of a definition", nil, DOCUMENT_KEYS, "steps" },
    ["when steps is no table"] = { { steps = "a" }, "steps", "a list of steps or an object from names to steps is expected", '"a"' },
    ["when steps is null"] = { { steps = null }, "steps", "a definition needs steps", nil,
      "a list of steps, or an object from names to steps" },
    ["when a description is a list"] = { { description = { "a" } }, "description", "a text is expected", "a list" },
    ["when base_configurations is a list"] = { { base_configurations = { "a" } }, "base_configurations", "an object is expected",
      "a list" },
    ["when tags is a text"] = { { tags = "a" }, "tags", "an object is expected", '"a"' },
    ["when a tag is a list"] = { { tags = { t = { 1 } } }, "tags.t", "a text is expected", "a list" },
    ["when retry_max is negative"] = { { retry_max = -1 }, "retry_max", "a whole number from 0 is expected", "-1" },
    ["when retry_max is a decimal"] = { { retry_max = 1.5 }, "retry_max", "a whole number from 0 is expected", "1.5" },
    ["when max_concurrent is 0"] = { { max_concurrent = 0 }, "max_concurrent", "a whole number from 1 is expected", "0" },
    ["when max_concurrent is a decimal"] = { { max_concurrent = 1.5 }, "max_concurrent", "a whole number from 1 is expected", "1.5" },
    ["when auto_runnable is a text"] = { { auto_runnable = "yes" }, "auto_runnable", "true or false is expected", '"yes"' },
    ["when allowed_resolver_usernames is an object"] = { { allowed_resolver_usernames = { a = 1 } }, "allowed_resolver_usernames",
      "a list is expected", "an object" },
    ["S8.12: when inputs is no list"] = { { inputs = { a = 1 } }, "inputs", "a list of inputs is expected", "an object" },
    ["S8.12: when an input's type is unknown"] = { { inputs = { { name = "i", type = "strin" } } }, "inputs[1].type",
      "Invalid input type 'strin'", nil,
      "string, password, number, bool", "string" },
    ["S8.12: when a resolver input is named twice"] = { { resolver_inputs = { { name = "i" }, { name = "i" } } }, "resolver_inputs[2].name",
      "Invalid input 'i': duplicate name, resolver_inputs[1] has it already" },
    ["when the deadline is 0"] = { { deadline = 0 }, "deadline", "more than 0 seconds are expected", "0" },
    ["when the deadline is a date"] = { { deadline = "tomorrow" }, "deadline",
      'a text like "1.5s" is expected (units: ns, us, ms, s, m, h)', '"tomorrow"' },
    ["when a variable is no object"] = { { variables = { "x" } }, "variables[1]",
      "a variable is an object with a name and a value or an expression", '"x"' },
    ["when a variable has no name"] = { { variables = { { value = 1 } } }, "variables[1].name", "a variable needs a name" },
    ["when two variables have a name"] = { { variables = { { name = "v", value = 1 }, { name = "v", value = 2 } } },
      "variables[2].name", "two variables are named 'v'" },
    ["when a variable has neither"] = { { variables = { { name = "v" } } }, "variables[1]", "a variable needs a value or an expression" },
    ["when a variable has both"] = { { variables = { { name = "v", value = 1, expression = "2" } } }, "variables[1]",
      "a variable has a value or an expression, not both" },
    ["when a base configuration is no data"] = { { base_configurations = { b = { x = { io.stdout } } } }, "base_configurations.b.x[1]",
      "this is no JSON data: a userdata is not JSON data", "a userdata" },
  } do
    it(name, function()
      local finding = finding_of(case[1])
      assert.is_nil(finding.step)
      assert.same({ case[2], case[3], case[4], case[5], case[6] },
        { finding.field, finding.message, finding.found, finding.accepted, finding.near })
    end)
  end

  it("S8: with every error at once", function()
    local err = refused.document { nmae = "x", retry_max = "3", inputs = "i", variables = { {} }, tags = 5,
      steps = { { name = "this", action = echo }, { name = "b", action = { type = "ehco" }, retry_pattern = "days",
        dependencies = { "c", "this", "this" } } } }
    assert.same({ "-: inputs", "-: name", "-: nmae", "-: retry_max", "-: tags", "-: variables[1]", "-: variables[1].name", "b: action.type",
      "b: dependencies[1]", "b: dependencies[3]", "b: retry_pattern", "this: -" }, refused.places(err))
    assert.matches('^the definition "" is refused: 12 errors\n', tostring(err))
  end)
end)

describe("a definition is accepted", function()
  it("with every field of its own", function()
    local def = assert(step.define {
      name = "full", description = "d", long_description = "l", doc_link = "k", title_format = "t", result_format = { a = "b" },
        inputs = { { name = "i", optional = true } },
      resolver_inputs = { { name = "r", default = "d" } }, variables = { { name = "v", value = 1 }, { name = "w", expression = print },
        { name = "n", value = false } },
      tags = { a = "b", n = 5, b = true }, base_configurations = { base = { a = 1 } }, retry_max = 3, max_concurrent = 4, strict = true,
      auto_runnable = false,
      allow_all_resolver_usernames = true, allow_task_start_over = true, blocked = false, hidden = true,
        allowed_resolver_usernames = { "a" },
      allowed_resolver_groups = {}, allowed_watcher_usernames = null, allowed_watcher_groups = json.array(), steps = {},
    })
    assert.same({ "full", "d", 3, 4, 0 }, { def.name, def.description, def.retry_max, def.max_concurrent, #def })
    assert.same({ a = "b", n = "5", b = "true" }, assert(def:start()).tags)
  end)
  it("S6.5: with the default retry_max of 100", function()
    assert.equal(100, step_accepted({}).retry_max)
  end)
  it("with a number as its name", function()
    assert.equal("5", assert(step.define { name = 5, steps = {} }).name)
  end)
end)

describe("a step is refused", function()
  for name, case in pairs {
    ["with an unknown key"] = { { dependancies = {} }, "dependancies", "unknown key of a step", nil, STEP_KEYS, "dependencies" },
    ["S8.2: with an unknown runner"] = { { action = { type = "ehco" } }, "action.type",
      'no runner and no function has the type "ehco"', nil, RUNNERS, "echo" },
    ["S8.2: without a type"] = { { action = {} }, "action.type", "an action needs a type", nil, RUNNERS },
    ["S8.2: with an action that is a text"] = { { action = "echo" }, "action", "an object with a type, or a Lua function, is expected",
      '"echo"' },
    ["S8.2: with null as its action"] = { { action = null }, "action", "an object with a type, or a Lua function, is expected", "null" },
    ["S7.2: with an unknown key in its action"] = { { action = { type = "echo", config = {} } }, "action.config",
      "unknown key of an action", nil,
      "base_configuration, base_output, configuration, output, type" },
    ["S8.2: when the runner refuses the configuration"] = { { action = { type = "echo", configuration = { metadata = 5 } } },
      "action.configuration",
      "metadata: an object is expected, found 5" },
    ["S8.2: when its base configuration does not exist"] = { { action = { type = "echo", base_configuration = "bose" } },
      "action.base_configuration",
      "BaseConfiguration key not found", '"bose"', "none, the definition has no base_configurations" },
    ["S4.3: when its configuration is no data"] = { { action = { type = "echo", configuration = { output = { a = io.stdout } } } },
      "action.configuration.output.a",
      "this is no JSON data: a userdata is not JSON data", "a userdata" },
    ["S4.3: when a key of its configuration is no text"] = { { action = { type = "echo",
      configuration = { output = { a = 1, [5] = 2 } } } },
      "action.configuration.output.5", "the keys of an object are texts, those of a list 1, 2, 3 ...", "5" },
    ["S4.6: when its output is no object"] = { { action = { type = "echo", output = "merge" } }, "action.output",
      "an object with strategy and format is expected", '"merge"' },
    ["S4.6: with an unknown strategy"] = { { action = { type = "echo", output = { strategy = "marge", format = {} } } },
      "action.output.strategy",
      "unknown output strategy", '"marge"', "merge, none, template", "merge" },
    ["S4.6: with an unknown key in its output"] = { { action = { type = "echo", output = { strategie = "merge" } } },
      "action.output.strategie",
      "unknown key of an output", nil, "format, strategy", "strategy" },
    ["S8.3: with an unknown runner in its pre_hook"] = { { pre_hook = { type = "ehco" } }, "pre_hook.type",
      'prehook: no runner and no function has the type "ehco"', nil,
      RUNNERS, "echo" },
    ["S8.3: when its pre_hook is a text"] = { { pre_hook = "echo" }, "pre_hook",
      "prehook: an object with a type, or a Lua function, is expected", '"echo"' },
    ["S8.3: when the pre_hook's runner refuses the configuration"] = { { pre_hook = { type = "lua" } }, "pre_hook.configuration",
      "prehook: configuration.fn must be a function, found nil" },
    ["S8.4: with a strategy and no foreach"] = { { foreach_strategy = "parallel" }, "foreach_strategy",
      "foreach_strategy is only for foreach steps", '"parallel"' },
    ["S8.4: with an unknown strategy"] = { { foreach = "[]", foreach_strategy = "sequense" }, "foreach_strategy",
      "unknown foreach_strategy", '"sequense"',
      "parallel, sequence", "sequence" },
    ["S5.1: when foreach is an object"] = { { foreach = { a = 1 } }, "foreach", "an expression that gives a list is expected",
      "an object" },
    ["S5.1: when foreach is a number"] = { { foreach = 5 }, "foreach", "an expression that gives a list is expected", "5" },
    ["with max_concurrent and no foreach"] = { { max_concurrent = 2 }, "max_concurrent", "max_concurrent is only for foreach steps", "2" },
    ["when max_concurrent is 0"] = { { foreach = "[]", max_concurrent = 0 }, "max_concurrent", "a whole number from 1 is expected", "0" },
    ["when max_concurrent is a text"] = { { foreach = "[]", max_concurrent = "2" }, "max_concurrent", "a whole number from 1 is expected",
      '"2"' },
    ["with tolerate and no foreach"] = { { tolerate = "10%" }, "tolerate", "tolerate is only for foreach steps", '"10%"' },
    ["when tolerate is a decimal"] = { { foreach = "[]", tolerate = 0.1 }, "tolerate",
      'a whole number from 0, or a part of all children like "25%", is expected', "0.1" },
    ["when tolerate is negative"] = { { foreach = "[]", tolerate = -1 }, "tolerate",
      'a whole number from 0, or a part of all children like "25%", is expected', "-1" },
    ["when tolerate is more than all"] = { { foreach = "[]", tolerate = "101%" }, "tolerate",
      'a whole number from 0, or a part of all children like "25%", is expected', '"101%"' },
    ["when tolerate is a text without %"] = { { foreach = "[]", tolerate = "10" }, "tolerate",
      'a whole number from 0, or a part of all children like "25%", is expected', '"10"' },
    ["S8.5: with an execution_delay above 20 s"] = { { execution_delay = 20000000001 }, "execution_delay",
      "execution_delay is from 0 to 20 seconds (a number counts nanoseconds)", "20000000001" },
    ["S8.5: with a text above 20 s"] = { { execution_delay = "21s" }, "execution_delay",
      "execution_delay is from 0 to 20 seconds (a number counts nanoseconds)", '"21s"' },
    ["S8.5: with a negative execution_delay"] = { { execution_delay = "-1s" }, "execution_delay",
      "execution_delay is from 0 to 20 seconds (a number counts nanoseconds)", '"-1s"' },
    ["S8.5: with an execution_delay that is none"] = { { execution_delay = true }, "execution_delay",
      'execution_delay: a number of nanoseconds or a text like "1.5s" is expected', "true" },
    ["S8.6: with an unknown retry_pattern"] = { { retry_pattern = "second" }, "retry_pattern", "Invalid retry pattern", '"second"',
      "seconds, minutes, hours", "seconds" },
    ["S8.7: with a built-in custom state"] = { { custom_states = { "DONE" } }, "custom_states[1]",
      "Custom state 'DONE' is not allowed as it is a reserved state", nil,
      "any name but " .. STATES },
    ["S1.1: with ANY as a custom state"] = { { custom_states = { "ANY" } }, "custom_states[1]",
      "Custom state 'ANY' is not allowed as it is a reserved state", nil,
      "any name but " .. STATES },
    ["D23: with an empty custom state"] = { { custom_states = { "A", "" } }, "custom_states[2]",
      "a custom state is a text that is not empty", '""' },
    ["D23: with a custom state that is no text"] = { { custom_states = { 5 } }, "custom_states[1]",
      "a custom state is a text that is not empty", "5 (quote it to make it a text)" },
    ["D23: with a custom state that has a comma"] = { { custom_states = { "A,B" } }, "custom_states[1]",
      "a custom state contains no ','", '"A,B"' },
    ["D23: with a custom state twice"] = { { custom_states = { "A", "A" } }, "custom_states[2]", "the custom state is listed twice",
      '"A"' },
    ["when custom_states is a text"] = { { custom_states = "A" }, "custom_states", "a list is expected", '"A"' },
    ["when conditions is an object"] = { { conditions = { type = "skip" } }, "conditions", "a list is expected", "an object" },
    ["when a timeout is 0"] = { { timeout = 0 }, "timeout", "more than 0 seconds are expected", "0" },
    ["when a timeout is negative"] = { { timeout = "-1s" }, "timeout", "more than 0 seconds are expected", '"-1s"' },
    ["when a timeout has no unit"] = { { timeout = "10" }, "timeout",
      'a text like "1.5s" is expected (units: ns, us, ms, s, m, h)', '"10"' },
    ["when a timeout is a list"] = { { timeout = { 1 } }, "timeout", 'a number of seconds or a text like "1.5s" is expected', "a list" },
    ["when a timeout is endless"] = { { timeout = math.huge }, "timeout", "not a number", "inf" },
    ["when an acquire_timeout is negative"] = { { acquire_timeout = -1 }, "acquire_timeout",
      "0 seconds or more are expected", "-1" },
    ["when always is a text"] = { { always = "yes" }, "always", "true or false is expected", '"yes"' },
    ["when idempotent is a text"] = { { idempotent = "yes" }, "idempotent", "true or false is expected", '"yes"' },
    ["when max_retries is a decimal"] = { { max_retries = 1.5 }, "max_retries", "a whole number is expected", "1.5" },
    ["when max_retries is a text"] = { { max_retries = "3" }, "max_retries", "a whole number is expected", '"3"' },
    ["when a resource is no text"] = { { resources = { "a", 5 } }, "resources[2]", "the name of a resource is expected", "5" },
    ["when a resource is empty"] = { { resources = { "" } }, "resources[1]", "the name of a resource is expected", '""' },
    ["when resources is an object"] = { { resources = { a = 1 } }, "resources", "a list is expected", "an object" },
    ["when dependencies is a text"] = { { dependencies = "b" }, "dependencies", "a list of texts is expected", '"b"' },
    ["when dependencies is an object"] = { { dependencies = { b = 1 } }, "dependencies", "a list of texts is expected", "an object" },
    ["when a description is a list"] = { { description = { "a" } }, "description", "a text is expected", "a list" },
  } do
    it(name, function()
      local finding = step_finding(case[1])
      assert.equal("a", finding.step)
      assert.same({ case[2], case[3], case[4], case[5], case[6] },
        { finding.field, finding.message, finding.found, finding.accepted, finding.near })
    end)
  end

  it("S8.9, D25: when its json_schema does not compile", function()
    for _, schema in ipairs { { type = "strin" }, { properties = 5 }, { ["$ref"] = "#/nowhere" }, "text" } do
      local finding = step_finding { json_schema = schema }
      assert.matches("^json_schema", finding.field)
      assert.matches("^Jsonschema: ", finding.message)
    end
  end)

  it("S8.11: when it sets what only a run sets", function()
    for field, value in pairs {
      state = "DONE", output = 1, metadata = { a = 1 }, tags = { a = "b" }, children = { 1 }, children_steps = { "a-0" },
        children_steps_map = { ["a-0"] = true },
      error = "e", try_count = 1, last_run = "2020-01-01T00:00:00Z", item = 5,
    } do
      local finding = step_finding { [field] = value }
      assert.same({ field, field .. " must not be set in a definition: only a run sets it" }, { finding.field, finding.message })
    end
  end)

  it("D21: when a function's action has a base configuration that does not exist", function()
    assert(step.register_function { name = "wrong-base", action = { type = "echo", base_configuration = "nowhere" } })
    assert.equal("action (function 'wrong-base').base_configuration", step_finding({ action = { type = "wrong-base" } }).field)
  end)

  it("S8: with every error at once", function()
    local err = refused.steps { { name = "a", action = { type = "echo", base_configuration = "b", configuration = { metadata = 1 } },
      pre_hook = { type = "p" },
      foreach_strategy = "x", execution_delay = "x", retry_pattern = "x", custom_states = { "DONE", "DONE" },
        json_schema = { type = "x" }, state = "DONE",
      max_retries = "x", unknown = 1, resources = { 1 }, conditions = { { type = "x" } }, dependencies = { "a" } } }
    assert.same({
      "a: action.base_configuration", "a: action.configuration", "a: conditions[1].type", "a: custom_states[1]", "a: custom_states[2]",
        "a: dependencies",
      "a: execution_delay", "a: foreach_strategy", "a: json_schema.type", "a: max_retries", "a: pre_hook.type", "a: resources[1]",
        "a: retry_pattern", "a: state",
      "a: unknown",
    }, refused.places(err))
  end)
end)

describe("a step is accepted", function()
  it("with every field, and with null for none", function()
    step_accepted { description = "d", idempotent = true, action = { type = "echo", configuration = {}, output = { strategy = "none" },
      base_output = { a = 1 } },
      pre_hook = echo, json_schema = { type = "object" }, retry_pattern = "hours", max_retries = -1, execution_delay = "1.5s",
        dependencies = {},
      custom_states = { "A" }, conditions = {}, foreach = "[1]", foreach_strategy = "sequence", resources = { "r", "r" },
      timeout = "1m30s", acquire_timeout = 0, always = true,
      max_concurrent = 3, tolerate = "12.5%" }
    step_accepted { retry = { max = 3, initial = "1s", factor = 2, cap = 60, jitter = 0.5, when = { "TO_RETRY" } }, foreach = "[]",
      tolerate = 0 }
    step_accepted { description = null, idempotent = null, pre_hook = null, json_schema = null, retry_pattern = null,
      max_retries = null, execution_delay = null,
      dependencies = null, custom_states = null, conditions = null, foreach = null, foreach_strategy = null, resources = null,
      timeout = null, acquire_timeout = null, always = null, max_concurrent = null, tolerate = null, retry = null }
  end)
  it("with spans of time as texts and as seconds", function()
    for _, span in ipairs { 1, 0.001, "1ns", "2h45m", 1e9 } do step_accepted { timeout = span, acquire_timeout = span } end
    for deadline, seconds in pairs { [5] = 5, ["1m30s"] = 90 } do
      assert.equal(seconds, assert(step.define { name = "x", steps = {}, deadline = deadline }).deadline)
    end
  end)
  it("S8.4: the default strategy is made explicit", function()
    assert.equal("parallel", step_accepted({ foreach = "[]" }):step(1).foreach_strategy)
    assert.equal("sequence", step_accepted({ foreach = "[]", foreach_strategy = "sequence" }):step(1).foreach_strategy)
    assert.is_nil(step_accepted({ foreach = "", idempotent = true }):step(1).foreach_strategy)
  end)
  it("S4.7: $schema is made explicit", function()
    assert.matches("draft%-07", step_accepted({ json_schema = { type = "object" } }):step(1).json_schema["$schema"])
    assert.matches("draft%-04", step_accepted({ json_schema = { type = "object", version = 4 } }):step(1).json_schema["$schema"])
    assert.matches("draft%-06", step_accepted({ json_schema = { type = "object", version = 6 } }):step(1).json_schema["$schema"])
    local own = "http://json-schema.org/draft-06/schema#"
    assert.equal(own, step_accepted({ json_schema = { ["$schema"] = own } }):step(1).json_schema["$schema"])
  end)
  it("S8.5: with an execution_delay of 0 and of 20 s", function()
    for _, delay in ipairs { 0, "0", "20s", 20000000000, "20000ms" } do step_accepted { execution_delay = delay } end
  end)
  it("S8.6: with every retry_pattern", function()
    for _, pattern in ipairs { "", "seconds", "minutes", "hours" } do step_accepted { retry_pattern = pattern } end
  end)
  it("S8.11: with empty results, as an exported definition has", function()
    step_accepted { state = "", output = null, children = {}, try_count = 0, error = "", tags = {}, children_steps_map = {} }
  end)
  it("with a Lua function as its action and as its pre_hook", function()
    local def = step_accepted { action = function(v) return v.pre_hook.output end,
      pre_hook = function(v) return v.step.this.name .. "!" end }
    local run = assert(def:start { clock = step.manual_clock() })
    assert.equal("DONE", run:resolve())
    assert.equal("a!", run.steps.a.output)
  end)
end)

describe("fields.custom_states", function()
  it("S1.3: takes those of the step and of its functions, wrong ones passed over", function()
    local function find(name) return ({ f = { action = echo, custom_states = { "B", "C" } } })[name] end
    assert.same({ "A", "B", "C" }, fields.custom_states({ action = { type = "f" }, custom_states = { "A", 5, "B" } }, find))
    assert.same({ "A" }, fields.custom_states({ action = print, custom_states = { "A" } }, find))
    assert.is_nil(fields.custom_states({ action = echo }, find))
    assert.is_nil(fields.custom_states({ action = echo, custom_states = "A" }, find))
  end)
end)
