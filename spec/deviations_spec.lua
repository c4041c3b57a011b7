-- The deliberate differences from µTask (chapter 9 of the semantics): a spec for each that is not about storing. What is
-- asserted is what the rule says, where µTask does something else.

local json = require "step.json"
local probe = require "spec.support.probe"
local replay = require "spec.support.replay"
local step = require "step"

local null = json.null

--- The text of a definition whose steps, and what else it has, are given as YAML.
local function flow(text)
  return "name: flow\ndescription: a flow\ntitle_format: a flow\n" .. text
end

--- Plays steps written in YAML; `more` has the further fields of a case.
local function play(steps, more)
  local case = more or {}
  case.template = flow(steps)
  local played = replay.play(case)
  if played.refused or played.start_refused then error(played.refused or played.start_refused, 2) end
  return played
end

--- Plays and gives the steps as they are in the end, the state of the run, and everything.
local function outcome(steps, more)
  local played = play(steps, more)
  local last = played.resolves[#played.resolves]
  return last.steps, last.state, played
end

--- The text of the error with which a definition is refused.
local function refusal(steps, functions)
  local played = replay.play { template = flow(steps), functions = functions }
  assert.is_truthy(played.refused, "the definition was accepted")
  return tostring(played.refused)
end

--- How often a step was executed.
local function count(played, name)
  local n = 0
  for _, execution in ipairs(played.executions) do
    if execution[1] == name then n = n + 1 end
  end
  return n
end

local function states(steps)
  local result = {}
  for name, s in pairs(steps) do result[name] = s.state end
  return result
end

--- A definition of actions that only write down their names.
local function recorded(steps)
  local calls = {}
  for name, s in pairs(steps) do
    local own = s.name or name
    s.action = function() calls[#calls + 1] = own end
  end
  return assert(step.define { name = "recorded", steps = steps }), calls
end

describe("deliberate differences:", function()
  setup(function() probe.register(step) end)

  describe("D1", function()
    it("steps of a list run in the order of the list", function()
      for _ = 1, 3 do
        local definition, calls = recorded { { name = "z" }, { name = "m" }, { name = "a" }, { name = "last", dependencies = { "m" } } }
        assert.equal("DONE", assert(definition:start()):resolve())
        assert.same({ "z", "m", "a", "last" }, calls)
      end
    end)
    it("steps of a map run sorted by name", function()
      local definition, calls = recorded { z = {}, m = {}, a = {}, b = { dependencies = { "z" } } }
      assert.equal("DONE", assert(definition:start()):resolve())
      assert.same({ "a", "m", "z", "b" }, calls)
    end)
    it("the same definition gives the same transitions", function()
      local function transitions()
        local definition = recorded { z = {}, m = {}, a = { dependencies = { "z:ANY", "m" } } }
        local run, seen = assert(definition:start()), {}
        run:on("transition", function(event) seen[#seen + 1] = (event.step or "run") .. ":" .. event.to end)
        run:resolve()
        return seen
      end
      local first = transitions()
      assert.is_true(#first >= 6)
      assert.same(first, transitions())
    end)
  end)

  describe("D2", function()
    it("ANY costs no walk over all paths to the ancestors", function()
      local steps = {}
      for layer = 1, 60 do
        for i = 1, 3 do
          local s = { name = ("s%d-%d"):format(layer, i), dependencies = {} }
          for j = 1, layer > 1 and 3 or 0 do s.dependencies[j] = ("s%d-%d:ANY"):format(layer - 1, j) end
          steps[#steps + 1] = s
        end
      end
      local definition, calls = recorded(steps)
      assert.equal("DONE", assert(definition:start()):resolve())
      assert.equal(180, #calls)
    end)
    it("ten thousand steps are no burden", function()
      local began, steps = os.clock(), {}
      for i = 1, 10000 do steps[i] = { name = "s" .. i, dependencies = i > 1 and { "s" .. (i - 1) } or nil } end
      local definition, calls = recorded(steps)
      assert.equal("DONE", assert(definition:start()):resolve())
      assert.equal(10000, #calls)
      assert.is_true(os.clock() - began < 20)
    end)
  end)

  describe("D3", function()
    it("an output format is rendered for each child", function()
      local steps = outcome [[
steps:
  each:
    foreach: '["p","q"]'
    foreach_strategy: sequence
    action:
      type: probe
      configuration: {output: {x: 1}}
      output: {strategy: merge, format: {it: '{{.iterator}}'}}
]]
      assert.same({ it = "p", x = 1 }, steps.each.children[1].output)
      assert.same({ it = "q", x = 1 }, steps.each.children[2].output)
    end)
    it("an output format of a function is rendered for each call", function()
      local steps = outcome([[
steps:
  a: {action: {type: d3, configuration: {v: first}}}
  b: {dependencies: [a], action: {type: d3, configuration: {v: second}}}
]], { functions = { [[
name: d3
action:
  type: probe
  configuration: {output: {x: 1}}
  output: {strategy: merge, format: {it: '{{.function_args.v}}'}}
]] } })
      assert.same({ it = "first", x = 1 }, steps.a.output)
      assert.same({ it = "second", x = 1 }, steps.b.output)
    end)
    it("a message is rendered each time, for each child", function()
      local _, _, played = outcome([[
steps:
  a:
    action: {type: probe, configuration: {output: 1}}
    conditions: [{type: check, if: [], then: {this: TO_RETRY}, message: 'try {{.step.this.try_count}}'}]
]], { resolves = 3 })
      for i = 1, 3 do assert.equal("try " .. i, played.resolves[i].steps.a.error) end
      local steps = outcome [[
steps:
  each:
    foreach: '["p","q"]'
    action: {type: probe, configuration: {output: 1}}
    conditions: [{type: check, if: [], then: {this: CLIENT_ERROR}, message: 'item {{.iterator}}'}]
]]
      assert.equal("item p", steps["each-0"].error)
      assert.equal("item q", steps["each-1"].error)
    end)
    it("a second run starts from the same definition", function()
      local definition = assert(step.load { format = "yaml", text = flow [[
steps:
  each:
    foreach: '[1,2]'
    action: {type: probe, configuration: {output: '{{.iterator}}'}, output: {strategy: template, format: {o: '{{.step.this.output}}'}}}
]] })
      local runs = {}
      for i = 1, 2 do
        probe.reset()
        local run = assert(definition:start())
        local before = json.encode(run:export().steps)
        run:resolve()
        runs[i] = before .. json.encode(run.steps.each.children)
      end
      assert.equal(runs[1], runs[2])
    end)
  end)

  it("D4: a run keeps the functions it started with", function()
    local function register(output)
      assert(step.register_function { format = "yaml",
        text = "name: d4\naction: {type: probe, configuration: {output: " .. output .. "}}\n" })
    end
    register "old"
    local definition = assert(step.load { format = "yaml", text = flow "steps: {a: {action: {type: d4, configuration: {}}}}\n" })
    local run = assert(definition:start())
    register "new"
    probe.reset()
    assert.equal("DONE", run:resolve())
    assert.equal("old", run.steps.a.output)
    local later = assert(step.load { format = "yaml", text = flow "steps: {a: {action: {type: d4, configuration: {}}}}\n" }):start()
    assert.equal("DONE", later:resolve())
    assert.equal("new", later.steps.a.output)
  end)

  describe("D5", function()
    local pair = [[
steps:
  a: {action: {type: probe, configuration: {output: 1}}}
  b: {dependencies: [a], action: {type: probe, configuration: {output: 2}}}
]]
    it("a step left open without another reason is a deadlock", function()
      local steps, state = outcome(pair, { edits = { { before_resolve = 1, set = { a = "PRUNE" } } } })
      assert.equal("BLOCKED_DEADLOCK", state)
      assert.equal("TODO", steps.b.state)
    end)
    it("a CRASHED step left open is to be checked", function()
      local steps, state = outcome(pair, { edits = { { before_resolve = 1, state = "ERROR", set = { a = "PRUNE", b = "CRASHED" } } } })
      assert.equal("BLOCKED_TOCHECK", state)
      assert.equal("CRASHED", steps.b.state)
    end)
    it("an empty list beside a skipped step is done", function()
      local steps, state = outcome [[
steps:
  empty: {foreach: '[]', action: {type: probe, configuration: {output: 1}}}
  skipped:
    action: {type: probe, configuration: {output: 1}}
    conditions: [{type: skip, if: [], then: {this: DONE}, message: skipped}]
]]
      assert.equal("DONE", state)
      assert.same({ empty = "DONE", skipped = "DONE" }, states(steps))
      assert.is_true(replay.is_empty(steps.empty.children))
    end)
  end)

  describe("D6: AFTERRUN_ERROR gives back the state the action ended in", function()
    for ending, error_type in pairs { DONE = "", CLIENT_ERROR = "error_type: client, " } do
      it(ending, function()
        local steps, state, played = outcome(([[
steps:
  a:
    action: {type: probe, configuration: {%soutput: kept}}
    conditions:
    - {type: check, if: [{value: '{{.step.b.output.x}}', operator: GT, expected: '5'}], then: {this: PRUNE}}
  c: {action: {type: probe, configuration: {error_type: server, fail_times: 1}}}
  b: {dependencies: [c], action: {type: probe, configuration: {output: {x: '3'}}}}
]]):format(error_type), { resolves = 3 })
        assert.equal("AFTERRUN_ERROR", played.resolves[1].steps.a.state)
        assert.equal("ERROR", played.resolves[1].state)
        assert.equal(ending, steps.a.state)
        assert.equal("kept", steps.a.output)
        assert.equal(1, count(played, "a"))
        assert.equal(ending == "DONE" and "DONE" or "BLOCKED_BADREQUEST", state)
      end)
    end
    it("and the conditions then apply to it", function()
      local steps, state = outcome([[
steps:
  a:
    custom_states: [ALT]
    action: {type: probe, configuration: {output: kept}}
    conditions:
    - {type: check, if: [{value: '{{.step.b.output.x}}', operator: GT, expected: '1'}], then: {this: ALT}, message: late}
  c: {action: {type: probe, configuration: {error_type: server, fail_times: 1}}}
  b: {dependencies: [c], action: {type: probe, configuration: {output: {x: '3'}}}}
]], { resolves = 3 })
      assert.equal("ALT", steps.a.state)
      assert.equal("late", steps.a.error)
      assert.equal("DONE", state)
    end)
  end)

  it("D7: a step skipped once has its check conditions evaluated the next time", function()
    local steps, _, played = outcome([[
steps:
  a:
    custom_states: [ALT]
    action: {type: probe, configuration: {output: 1}}
    conditions:
    - {type: skip, if: [{value: '{{.step.this.error}}', operator: EQ, expected: ''}], then: {this: TO_RETRY}, message: not yet}
    - {type: check, if: [], then: {this: ALT}}
]], { resolves = 2 })
    assert.equal("TO_RETRY", played.resolves[1].steps.a.state)
    assert.equal("ALT", steps.a.state)
    assert.equal(1, steps.a.try_count)
  end)

  describe("D8", function()
    it("a step that has ended is not pruned", function()
      local steps, state = outcome [[
steps:
  a: {custom_states: [ALT], action: {type: probe, configuration: {output: 1}}}
  b:
    dependencies: [a]
    action: {type: probe, configuration: {output: 2}}
    conditions: [{type: check, if: [], then: {a: ALT}, message: after all}]
  c: {dependencies: [b], action: {type: probe, configuration: {output: 3}}}
]]
      assert.same({ a = "ALT", b = "DONE", c = "DONE" }, states(steps))
      assert.equal("after all", steps.a.error)
      assert.equal("DONE", state)
    end)
    it("a state set on a RUNNING step waits for its result", function()
      local steps, state, played = outcome [[
steps:
  a: {custom_states: [ALT], action: {type: probe, configuration: {output: kept, sleep_ms: 100}}}
  again:
    dependencies: [a]
    action: {type: probe, configuration: {}}
    conditions:
    - {type: check, if: [{value: '{{.step.a.try_count}}', operator: EQ, expected: '1'}], then: {a: RETRY_NOW}}
  setter:
    dependencies: [a]
    action: {type: probe, configuration: {sleep_ms: 50}}
    conditions: [{type: check, if: [], then: {a: ALT}, message: set meanwhile}]
]]
      assert.equal(2, count(played, "a"))
      assert.same({ a = "ALT", again = "DONE", setter = "DONE" }, states(steps))
      assert.equal("kept", steps.a.output)
      assert.equal("set meanwhile", steps.a.error)
      assert.equal(2, steps.a.try_count)
      assert.equal("DONE", state)
    end)
  end)

  it("D9: ANY is looked at again when an ancestor ends", function()
    local steps, state, played = outcome [[
steps:
  slow: {action: {type: probe, configuration: {sleep_ms: 50}}}
  cutter:
    action: {type: probe, configuration: {}}
    conditions: [{type: check, if: [], then: {cut: PRUNE}}]
  cut: {dependencies: [slow, cutter], action: {type: probe, configuration: {}}}
  after: {dependencies: ['cut:ANY'], action: {type: probe, configuration: {}}}
]]
    assert.same({ slow = "DONE", cutter = "DONE", cut = "PRUNE", after = "DONE" }, states(steps))
    assert.equal(1, count(played, "after"))
    assert.equal("DONE", state)
  end)

  describe("D10", function()
    it("a skip condition must set the state of its own step", function()
      assert.matches("this", refusal [[
steps:
  a:
    action: {type: probe, configuration: {}}
    conditions: [{type: skip, if: [], then: {b: PRUNE}}]
  b: {dependencies: [a], action: {type: probe, configuration: {}}}
]])
    end)
    it("a skip condition cannot set RETRY_NOW", function()
      assert.matches("RETRY_NOW", refusal [[
steps:
  a:
    action: {type: probe, configuration: {}}
    conditions: [{type: skip, if: [], then: {this: RETRY_NOW}}]
]])
    end)
    it("RETRY_NOW is a try", function()
      local steps, state, played = outcome [[
steps:
  a:
    max_retries: 2
    action: {type: probe, configuration: {output: 1}}
    conditions: [{type: check, if: [], then: {this: RETRY_NOW}, message: again}]
]]
      assert.equal(3, count(played, "a"))
      assert.equal("FATAL_ERROR", steps.a.state)
      assert.equal("Step reached max retries 2: again", steps.a.error)
      assert.equal("BLOCKED_FATAL", state)
    end)
  end)

  describe("D11", function()
    it("RETRY_NOW on a foreach parent expands it again, max_retries times", function()
      local steps, state, played = outcome [[
steps:
  each:
    foreach: '[1]'
    max_retries: 2
    action: {type: probe, configuration: {output: 1}}
    conditions: [{type: check, if: [], then: {each: RETRY_NOW}, message: again}]
]]
      assert.equal(3, count(played, "each-0"))
      assert.same({ each = "FATAL_ERROR" }, states(steps))
      assert.matches("^Step reached max retries 2", steps.each.error)
      assert.equal("BLOCKED_FATAL", state)
    end)
    it("TO_RETRY on a foreach parent expands it again in a later resolve, max_retries times", function()
      local steps, state, played = outcome([[
steps:
  each:
    foreach: '[1]'
    max_retries: 1
    action: {type: probe, configuration: {output: 1}}
    conditions: [{type: check, if: [], then: {each: TO_RETRY}, message: again}]
]], { resolves = 3 })
      assert.equal("TO_RETRY", played.resolves[1].steps.each.state)
      assert.equal(1, played.resolves[1].steps.each.try_count)
      assert.equal(1, #played.resolves[1].steps.each.children)
      assert.is_nil(played.resolves[1].steps["each-0"])
      assert.equal(2, count(played, "each-0"))
      assert.equal("FATAL_ERROR", steps.each.state)
      assert.equal("BLOCKED_FATAL", state)
    end)
    it("a foreach parent whose skip condition could not be evaluated is retried", function()
      local steps, state, played = outcome([[
steps:
  c: {action: {type: probe, configuration: {output: {x: '0'}, error_type: server, fail_times: 1}}}
  b: {dependencies: [c], action: {type: probe, configuration: {output: {x: '0'}}}}
  each:
    foreach: '[1]'
    action: {type: probe, configuration: {output: 1}}
    conditions:
    - {type: skip, foreach: parent, if: [{value: '{{.step.b.output.x}}', operator: GT, expected: '1'}], then: {this: PRUNE}}
]], { resolves = 3 })
      assert.equal("SERVER_ERROR", played.resolves[1].steps.each.state)
      assert.equal("DONE", steps.each.state)
      assert.equal(1, #steps.each.children)
      assert.equal("DONE", state)
    end)
  end)

  describe("D12", function()
    --- The state of a step after a check condition that sets HELD, and its error.
    local function checked(value, operator, expected, inputs)
      local steps = outcome(([[
inputs: [{name: rx, optional: true}]
steps:
  a:
    custom_states: [HELD]
    action: {type: probe, configuration: {output: 1}}
    conditions: [{type: check, if: [{value: '%s', operator: '%s', expected: '%s'}], then: {this: HELD}}]
]]):format(value, operator, expected), { inputs = inputs })
      return steps.a.state, steps.a.error
    end
    for _, case in ipairs {
      { "1", "gt", "100", "DONE" }, { "101", "Gt", "100", "HELD" }, { "9", "Lt", "1", "DONE" }, { "1", "ge", "2", "DONE" },
      { "3", "le", "2", "DONE" }, { "3000000000", "GT", "5", "HELD" }, { "9223372036854775807", "GT", "9223372036854775806", "HELD" },
      { "2.5", "GT", "2", "HELD" }, { "2.50", "LE", "2.5", "HELD" }, { "-0.5", "LT", "0", "HELD" },
      { " a , b ", "IN", " b ", "HELD" }, { "a,b", "NOTIN", " b", "DONE" }, { "x", "regexp", "^x$", "HELD" },
      { "x", "NotRegexp", "x", "DONE" },
    } do
      it(("%q %s %q: %s"):format(table.unpack(case)), function() assert.equal(case[4], (checked(table.unpack(case, 1, 3)))) end)
    end
    it("what is no number cannot be compared", function()
      local state, message = checked("five", "GT", "5")
      assert.equal("AFTERRUN_ERROR", state)
      assert.is_false(replay.is_empty(message))
    end)
    it("a regular expression that does not compile is an evaluation error", function()
      assert.equal("AFTERRUN_ERROR", (checked("x", "REGEXP", "{{.input.rx}}", { rx = "(" })))
    end)
    it("a regular expression that exceeds its budget is an evaluation error", function()
      assert.equal("AFTERRUN_ERROR", (checked(("a"):rep(64) .. "b", "REGEXP", "{{.input.rx}}", { rx = "^(a+)+$" })))
    end)
    it("an unknown operator is refused, in a function too", function()
      local conditions = "conditions: [{type: check, if: [{value: '1', operator: EQUALZ, expected: '2'}], then: {this: PRUNE}}]"
      local action = "action: {type: probe, configuration: {}}"
      assert.matches("EQUALZ", refusal(("steps: {a: {%s, %s}}\n"):format(action, conditions)))
      assert.matches("EQUALZ", refusal("steps: {a: {action: {type: d12, configuration: {}}}}\n",
        { ("{name: d12, %s, %s}\n"):format(action, conditions) }))
    end)
    it("a function's condition cannot set a state that nobody declares", function()
      assert.matches("WHATEVER", refusal("steps: {a: {action: {type: d12b, configuration: {}}}}\n",
        { "{name: d12b, action: {type: probe, configuration: {}}, conditions: [{type: check, if: [], then: {this: WHATEVER}}]}\n" }))
    end)
    it("a condition that is null is refused", function()
      assert.matches("conditions", refusal "steps: {a: {action: {type: probe, configuration: {}}, conditions: [null]}}\n")
    end)
  end)

  it("D13: a check condition may name the states it is for", function()
    local steps, state = outcome [[
steps:
  a:
    custom_states: [GONE]
    action: {type: probe, configuration: {error_type: server, error_message: gone for good}}
    conditions:
    - type: check
      states: [SERVER_ERROR]
      if: [{value: '{{.step.this.error}}', operator: REGEXP, expected: gone}]
      then: {this: GONE}
      message: it is gone
  usual: {dependencies: [a], action: {type: probe, configuration: {}}}
  other: {dependencies: ['a:GONE'], action: {type: probe, configuration: {}}}
]]
    assert.same({ a = "GONE", usual = "PRUNE", other = "DONE" }, states(steps))
    assert.equal("it is gone", steps.a.error)
    assert.equal("DONE", state)
  end)

  describe("D14", function()
    it("children have the pre_hook", function()
      local steps = outcome [[
steps:
  each:
    foreach: '["p"]'
    pre_hook: {type: probe, configuration: {output: {t: 'token of {{.iterator}}'}}}
    action: {type: probe, configuration: {output: '{{.pre_hook.output.t}}'}}
]]
      assert.equal("token of p", steps.each.children[1].output)
    end)
    it("children have the execution_delay", function()
      local _, _, played = outcome [[
steps:
  each:
    foreach: '[1]'
    execution_delay: 2000000000
    action: {type: probe, configuration: {error_type: server}}
]]
      assert.equal(2000000000, played.resolves[1].steps["each-0"].execution_delay)
    end)
    it("null is an item; an entry has its position and its error", function()
      local steps = outcome [[
steps:
  each:
    foreach: '[null,1,2]'
    custom_states: [ALT]
    action: {type: probe, configuration: {output: 'o{{.step.this.state}}'}}
    conditions:
    - {type: skip, if: [{value: '{{.iterator}}', operator: EQ, expected: '1'}], then: {this: PRUNE}}
    - {type: check, if: [{value: '{{.iterator}}', operator: EQ, expected: '2'}], then: {this: ALT}, message: second}
]]
      local children = steps.each.children
      assert.equal(2, #children)
      assert.equal(null, children[1].metadata.iterator)
      assert.equal(0, children[1].index)
      assert.is_true(replay.is_empty(children[1].error))
      assert.same({ 2, "ALT", "second" }, { children[2].index, children[2].state, children[2].error })
    end)
  end)

  describe("D15", function()
    local template = [[
steps:
  each:
    foreach: '["p","q","r"]'
    foreach_strategy: sequence
    custom_states: [ALT]
    action: {type: probe, configuration: {output: '{{.iterator}}'}}
    conditions: [{type: %s, if: [{value: '{{.iterator}}', operator: EQ, expected: q}], then: {this: %s}}]
]]
    it("a skipped item does not cut the rest", function()
      local steps = outcome(template:format("skip", "PRUNE"))
      local children = steps.each.children
      assert.same({ 0, 2 }, { children[1].index, children[2].index })
      assert.equal("r", children[2].output)
    end)
    it("nor does one in a custom state", function()
      local steps = outcome(template:format("check", "ALT"))
      assert.equal(3, #steps.each.children)
      assert.same({ "DONE", "ALT", "DONE" }, { steps.each.children[1].state, steps.each.children[2].state, steps.each.children[3].state })
    end)
  end)

  it("D16: a step cannot have the name of a child", function()
    local text = [[
steps:
  x: {foreach: '[1]', action: {type: probe, configuration: {}}}
  x-%s: {action: {type: probe, configuration: {}}}
]]
    assert.matches("x-12", refusal(text:format "12"))
    assert.is_truthy(outcome(text:format "a"))
    local no_foreach = text:format "12" :gsub("foreach: '%[1%]', ", "")
    assert.is_truthy(outcome(no_foreach))
  end)

  describe("D17", function()
    it("next_retry is kept for each step, the run's is the earliest; only what is due is retried by itself", function()
      local now = 1000.0
      local definition = assert(step.load { format = "yaml", text = flow [[
steps:
  soon: {action: {type: probe, configuration: {error_type: server}}}
  late: {retry_pattern: hours, action: {type: probe, configuration: {error_type: server}}}
]] })
      probe.reset()
      local run = assert(definition:start { clock = { now = function() return now end, sleep = function(s) now = now + s end } })
      assert.equal("ERROR", run:resolve())
      assert.is_true(math.abs(run.next_retry - 1010) < 1e-6)
      now = 1011
      run:wait { until_time = 1012 }
      assert.same({ soon = 2, late = 1 }, probe.calls)
      assert.equal("ERROR", run:resolve())      -- a person: everything
      assert.same({ soon = 3, late = 2 }, probe.calls)
    end)
    it("the hours pattern ends at three hours", function()
      local _, _, played = outcome([[
steps:
  a: {retry_pattern: hours, action: {type: probe, configuration: {error_type: server}}}
]], { edits = { { before_resolve = 1, state = "ERROR", steps = { a = { state = "SERVER_ERROR", try_count = 40 } } } } })
      assert.is_true(math.abs(played.resolves[1].next_retry_in_seconds - 10800) < 1e-3)
    end)
    for pattern, seconds in pairs { seconds = 10, minutes = 96, hours = 3600 } do
      it("a retry waits at least the first delay: " .. pattern, function()
        local _, _, played = outcome(("steps:\n  a: {retry_pattern: %s, resources: [gone], action: {type: probe, configuration: {}}}\n")
          :format(pattern), { resource_limits = { gone = 0 } })
        assert.equal("TO_RETRY", played.resolves[1].steps.a.state)
        assert.is_true(math.abs(played.resolves[1].next_retry_in_seconds - seconds) < 1e-3)
      end)
    end
  end)

  describe("D18", function()
    it("max_retries 0 is no retry, and its message is added once", function()
      local steps, state, played = outcome([[
steps:
  a: {max_retries: 0, action: {type: probe, configuration: {error_type: server}}}
]], { resolves = 4 })
      assert.equal(1, count(played, "a"))
      assert.equal("Step reached max retries 0: probe error", steps.a.error)
      assert.equal("BLOCKED_FATAL", state)
    end)
    it("waiting is no try", function()
      local steps, state, played = outcome([[
steps:
  a: {max_retries: 1, action: {type: probe, configuration: {error_type: waiting}}}
]], { resolves = 4 })
      assert.equal("WAITING", steps.a.state)
      assert.is_true(replay.is_empty(steps.a.try_count))
      assert.equal("WAITING", state)
      assert.is_true(count(played, "a") >= 4)
    end)
    it("to get no resource is no try", function()
      local steps, state, played = outcome([[
steps:
  a: {max_retries: 1, resources: [gone], action: {type: probe, configuration: {}}}
]], { resolves = 4, resource_limits = { gone = 0 } })
      assert.equal("TO_RETRY", steps.a.state)
      assert.is_true(replay.is_empty(steps.a.try_count))
      assert.equal(0, count(played, "a"))
      assert.equal("ERROR", state)
    end)
    it("a skip condition that cannot be evaluated is no try", function()
      local steps = outcome([[
steps:
  a:
    max_retries: 1
    action: {type: probe, configuration: {}}
    conditions: [{type: skip, if: [{value: x, operator: GT, expected: '1'}], then: {this: PRUNE}}]
]], { resolves = 4 })
      assert.equal("SERVER_ERROR", steps.a.state)
      assert.is_true(replay.is_empty(steps.a.try_count))
    end)
    it("only resolves that ended in ERROR or CRASHED count against retry_max", function()
      local _, state, played = outcome([[
retry_max: 2
steps:
  a: {action: {type: probe, configuration: {error_type: client, fail_times: 3}}}
  b: {dependencies: [a], action: {type: probe, configuration: {error_type: server}}}
]], { resolves = 5 })
      assert.equal("BLOCKED_BADREQUEST", played.resolves[3].state)
      assert.equal("ERROR", played.resolves[4].state)
      assert.equal("BLOCKED_MAXRETRIES", state)
    end)
  end)

  describe("D19: a pre_hook", function()
    local template = [[
steps:
  a:
    pre_hook: {type: probe, configuration: {output: 1, error_type: %s, fail_times: 1}}
    action: {type: probe, configuration: {output: 2}}
]]
    for error_type, state in pairs { server = "SERVER_ERROR", notprovisioned = "TO_RETRY" } do
      it("that fails for a transient reason is retried: " .. state, function()
        local steps, run_state, played = outcome(template:format(error_type), { resolves = 2 })
        assert.equal(state, played.resolves[1].steps.a.state)
        assert.matches("probe error", played.resolves[1].steps.a.error)
        assert.equal("ERROR", played.resolves[1].state)
        assert.equal("DONE", steps.a.state)
        assert.equal("DONE", run_state)
      end)
    end
    it("that waits does not block the run", function()
      local steps, run_state, played = outcome(template:format "waiting", { resolves = 2 })
      assert.is_not.equal("FATAL_ERROR", played.resolves[1].steps.a.state)
      assert.equal("DONE", steps.a.state)
      assert.is_truthy(run_state == "DONE" or played.resolves[1].state == "DONE")
    end)
    it("whose request is wrong is fatal", function()
      local steps = outcome(template:format "client")
      assert.equal("FATAL_ERROR", steps.a.state)
      assert.equal("prehook: probe error", steps.a.error)
    end)
    it("has its output strategy", function()
      local steps = outcome [[
steps:
  a:
    pre_hook:
      type: probe
      configuration: {output: {x: 1}}
      output: {strategy: template, format: {z: 'z{{.step.this.output.x}}'}}
    action: {type: probe, configuration: {output: '{{.pre_hook.output.z}}{{.pre_hook.output.x}}'}}
]]
      assert.equal("z1<no value>", steps.a.output)
    end)
  end)

  it("D20: merging onto an output that is no object is an error", function()
    for output, state in pairs { text = "FATAL_ERROR", ["[1]"] = "FATAL_ERROR", ["null"] = "DONE", ["{b: 2}"] = "DONE" } do
      local steps = outcome(([[
steps:
  a: {action: {type: probe, configuration: {output: %s}, output: {strategy: merge, format: {f: 1}}}}
]]):format(output))
      assert.equal(state, steps.a.state)
      if state == "FATAL_ERROR" then assert.matches("^unable to format output: ", steps.a.error) end
    end
  end)

  describe("D21", function()
    it("the base configuration and output strategy of a function's own action count", function()
      local steps = outcome([[
base_configurations: {bc: {output: {x: base}}}
steps:
  a: {action: {type: d21, configuration: {}, output: {strategy: template, format: {outer: '{{.step.this.output}}'}}}}
]], { functions = { [[
name: d21
action:
  type: probe
  base_configuration: bc
  configuration: {metadata: {m: 1}}
  output: {strategy: template, format: {inner: '{{.step.this.output.x}}'}}
]] } })
      assert.same({ outer = "map[inner:base]" }, steps.a.output)
      assert.same({ m = 1 }, steps.a.metadata)
    end)
    it("a base configuration that does not exist is refused", function()
      assert.matches("nobase", refusal("steps: {a: {action: {type: d21b, configuration: {}}}}\n",
        { "{name: d21b, action: {type: probe, base_configuration: nobase, configuration: {}}}\n" }))
    end)
    it("a dependency may name a custom state of a function", function()
      local steps = outcome([[
steps:
  a: {action: {type: d21c, configuration: {}}}
  b: {dependencies: ['a:FOUND'], action: {type: probe, configuration: {}}}
]], { functions = { [[
name: d21c
custom_states: [FOUND]
conditions: [{type: check, if: [], then: {this: FOUND}}]
action: {type: probe, configuration: {}}
]] } })
      assert.same({ a = "FOUND", b = "DONE" }, states(steps))
    end)
    it("functions in a circle are refused when they are registered", function()
      local function register(name, uses)
        return step.register_function { format = "yaml", text = ("{name: %s, action: {type: %s, configuration: {}}}\n"):format(name, uses) }
      end
      local ok, problem = register("d21x", "d21x")
      assert.is_falsy(ok)
      assert.matches("d21x -> d21x", tostring(problem), 1, true)
      local first, first_problem = register("d21y", "d21z")
      local second, second_problem = register("d21z", "d21y")
      assert.is_falsy(first and second)
      assert.matches("d21", tostring(second_problem or first_problem))
    end)
  end)

  describe("D22", function()
    it("numbers, [] and {} come through as they are written", function()
      local text = '{"a":9007199254740993,"b":0.1,"c":[],"d":{},"e":[[],{}],"f":-9223372036854775808,"g":12345678901234567,'
        .. '"h":1.7976931348623157e+308,"i":null}'
      local steps = outcome("steps: {a: {action: {type: probe, configuration: {output: " .. text .. "}}}}\n")
      assert.is_true(replay.same(json.decode(text), steps.a.output))
      assert.equal("integer", math.type(steps.a.output.a))
    end)
    it("a runner's context is templated as a structure", function()
      local _, _, played = outcome [[
steps:
  a: {action: {type: probe, configuration: {output: {q: "say \"hi\"\n{"}}}}
  b: {dependencies: [a], action: {type: probe, configuration: {context: {l: ['{{.step.a.output.q}}', 9007199254740993]}}}}
]]
      assert.same({ { "b", { l = { 'say "hi"\n{', 9007199254740993 } } } }, played.contexts)
    end)
  end)

  describe("D23", function()
    for _, name in ipairs { "''", "'a:b'", "'a,b'" } do
      it("a step cannot be called " .. name, function()
        refusal(("steps: {%s: {action: {type: probe, configuration: {}}}}\n"):format(name))
      end)
    end
    for _, list in ipairs { "['']", "['A,B']", "[A, A]" } do
      it("custom states cannot be " .. list, function()
        assert.matches("custom_states",
          refusal(("steps: {a: {custom_states: %s, action: {type: probe, configuration: {}}}}\n"):format(list)))
      end)
    end
    it("a function needs a name", function()
      assert.is_falsy((step.register_function { format = "yaml", text = "{name: '', action: {type: probe, configuration: {}}}" }))
    end)
  end)

  it("D24: registering a runner twice is an error and nothing else", function()
    assert(step.register_runner("d24", function() return "first" end))
    local called, registered = pcall(step.register_runner, "d24", function() return "second" end)
    assert.is_falsy(called and registered)
    local definition = assert(step.define { name = "d24", steps = { a = { action = { type = "d24" } } } })
    local run = assert(definition:start())
    assert.equal("DONE", run:resolve())
    assert.equal("first", run.steps.a.output)
  end)

  describe("D25", function()
    it("a runner that throws fails its own step only", function()
      local definition = assert(step.define { name = "d25", steps = {
        { name = "bad", action = function() error("thrown", 0) end },
        { name = "worse", action = function() error {} end },
        { name = "good", action = function() return 1 end },
      } })
      local run = assert(definition:start())
      assert.equal("ERROR", run:resolve())
      assert.equal("SERVER_ERROR", run.steps.bad.state)
      assert.matches("thrown", run.steps.bad.error)
      assert.equal("SERVER_ERROR", run.steps.worse.state)
      assert.equal("DONE", run.steps.good.state)
    end)
    it("a JSON schema that does not compile is refused", function()
      assert.matches("json_schema", refusal "steps: {a: {json_schema: {type: 12}, action: {type: probe, configuration: {}}}}\n")
    end)
  end)

  describe("D28", function()
    it("an output format may be one template", function()
      local steps = outcome [[
steps:
  a: {action: {type: probe, configuration: {output: {x: 1}}, output: {strategy: template, format: 'x={{.step.this.output.x}}'}}}
]]
      assert.equal("x=1", steps.a.output)
    end)
    it("a configuration may be one template", function()
      assert(step.register_runner("d28", { exec = function(_, _, config) return config end }))
      local steps = outcome [[
steps:
  a: {action: {type: probe, configuration: {output: {x: 1}}}}
  b: {dependencies: [a], action: {type: d28, configuration: 'x={{.step.a.output.x}}'}}
]]
      assert.equal("x=1", steps.b.output)
    end)
    it("a skip condition may leave a foreach parent in TO_RETRY", function()
      local steps, state, played = outcome [[
steps:
  each:
    foreach: '[1,2]'
    action: {type: probe, configuration: {}}
    conditions: [{type: skip, foreach: parent, if: [], then: {this: TO_RETRY}, message: not now}]
]]
      assert.same({ each = "TO_RETRY" }, states(steps))
      assert.equal("not now", steps.each.error)
      assert.same({}, played.executions)
      assert.equal("ERROR", state)
    end)
  end)
end)
