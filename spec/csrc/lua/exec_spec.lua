-- csrc/lua/exec.c: PreRun, Run and AfterRun of one step (chapters 3 and 4).

local core = require "step.core"
local make = require("spec.support.core_graph").run
local step = require "step"

local function always() return true end

describe("conditions", function()
  --- core.conditions with conditions { when, then, final =, message =, states = }; what was set.
  local function evaluate(list, ended)
    local set, compiled = {}, {}
    for i, c in ipairs(list) do
      compiled[i] = { type(c[1]) == "function" and c[1] or false, type(c[1]) == "table" and c[1] or false, c[2], c.final or false,
        c.message or "", c.states or false }
    end
    local held, err = core.conditions(compiled, {}, ended, function(...) set[#set + 1] = table.concat({ ... }, " ") end)
    return held, err, set
  end

  it("apply in order all that hold; final stops (S3.3)", function()
    local held, _, set = evaluate { { always, { "a", "DONE", "b", "PRUNE" } }, { function() return false end, { "c", "DONE" } },
      { always, { "this", "X" }, message = "so", final = true }, { always, { "d", "DONE" } } }
    assert.is_true(held)
    assert.same({ "a DONE ", "b PRUNE ", "this X so" }, set)
  end)

  it("that cannot be evaluated stop there, with the text (S3.4, S3.5)", function()
    local held, err, set = evaluate { { always, { "a", "DONE" } }, { function() error("no", 0) end, { "b", "DONE" } }, { always, { "c",
      "DONE" } } }
    assert.same({ nil, "no" }, { held, err })
    assert.same({ "a DONE " }, set)
  end)

  it("are judged by the state the action ended in (S3.5, D13)", function()
    for ended, holds in pairs { DONE = true, CLIENT_ERROR = true, SERVER_ERROR = false, FATAL_ERROR = false, X = false } do
      assert.equal(holds, (evaluate({ { always, { "this", "DONE" } } }, ended)))
    end
    assert.is_true((evaluate({ { always, {}, states = { SERVER_ERROR = true } } }, "SERVER_ERROR")))
    assert.is_false((evaluate({ { always, {}, states = { SERVER_ERROR = true } } }, "DONE")))
  end)

  it("a message that cannot be rendered is shown with the reason", function()
    local _, _, set = evaluate { { always, { "a", "DONE" }, message = function() error("no", 0) end },
      { always, { "b", "DONE" }, message = function() return 12 end }, { always, { "c", "DONE" }, message = function() end } }
    assert.same({ "a DONE (TEMPLATING ERROR: no)", "b DONE 12", "c DONE nil" }, set)
  end)

  it("assertions must all hold; values are made texts (S3.2)", function()
    local function assertion(value, op, expected) return { op, value, expected, ",", false } end
    local function holds(...) return (evaluate { { { ... }, { "a", "DONE" } } }) end
    assert.is_true(holds())
    assert.is_true(holds(assertion("x", "EQ", "x"), assertion(function() return 5 end, "GT", "4")))
    assert.is_false(holds(assertion("x", "EQ", "x"), assertion("x", "EQ", "y")))
    assert.is_true(holds(assertion("<no value>", "EQ", ""), assertion(function() end, "EQ", "<no value>")))
    assert.is_true(holds(assertion(function() return true end, "EQ", "true"), assertion(function() return step.json.null end, "EQ", "")))
    local held, err = evaluate { { { assertion("x", "GT", "1") }, { "a", "DONE" } } }
    assert.is_nil(held)
    assert.matches('operator GT compares numbers, found "x"', err)
    assert.matches("found a table", (select(2, evaluate { { { assertion(function() return {} end, "EQ", "") }, {} } })))
    assert.matches("found a function", (select(2, evaluate { { { assertion(function() return print end, "EQ", "") }, {} } })))
  end)

  it("errors of what sets the state go out", function()
    assert.error_matches(function()
      core.conditions({ { always, false, { "a", "DONE" }, false, "", false } }, {}, nil, function() error("outside", 0) end)
    end, "outside")
  end)
end)

describe("skip conditions", function()
  it("that hold keep the action from running; the try is not counted (S3.4, D7)", function()
    local skip = true
    local r = make("a", { a = { skip = { { function() return skip end, { "this", "TO_RETRY" }, message = "not yet" } } } })
    assert.equal("ERROR", r:resolve())
    assert.same({ "not yet", 0 }, { r:error "a", r:tries "a" })
    skip = false
    assert.equal("DONE", r:resolve())
    assert.same({ 1, 1 }, { #r.log, r:tries "a" })
    assert.is_nil(r:error "a")
  end)

  it("that cannot be evaluated: SERVER_ERROR, no action, no try (S3.4, D18)", function()
    local r = make("a", { a = { skip = { { function() error("no", 0) end, { "this", "PRUNE" } } } } })
    assert.equal("ERROR", r:resolve())
    assert.same({ "SERVER_ERROR", "no", 0, 1 }, { r:state "a", r:error "a", r:tries "a", r.run:extra(1).eval_count })
  end)

  it("see the step RUNNING; what they set is seen by the next (S3.3, S4.1)", function()
    local seen = {}
    local r = make("a\nb: a", { b = { skip = {
      { function(v) seen[1] = v.step.this.state return true end, { "a", "PRUNE", "this", "DONE" } },
      { function(v) seen[2] = v.step.a.state return false end, { "this", "PRUNE" } },
    } } })
    assert.equal("DONE", r:resolve())
    assert.same({ "RUNNING", "PRUNE" }, seen)
  end)
end)

describe("a state that a step cannot be in", function()
  it("ends the step, not the engine", function()
    local r = make("a\nb {X}", { a = { check = { { always, { "b", "Y" } } } } })
    assert.is_true((pcall(r.resolve, r)))
    assert.is_true(r.run:sound())
    assert.matches("has no state 'Y'", r:error "a")
  end)
  it("on a step that is not there any more is ignored (S3.6)", function()
    local r = make("a\nb", { a = { check = { { always, { "f-0", "PRUNE", "b", "PRUNE" } } } } })
    assert.equal("DONE", r:resolve())
    assert.equal("a=DONE b=PRUNE", r:states())
  end)
end)

describe("the result of an action", function()
  --- A resolved run of one action.
  local function run(action)
    local r = assert(step.define { name = "x", steps = { { name = "a", action = action } } }):start { clock = step.manual_clock() }
    r:resolve()
    return r.steps.a, r
  end

  it("is output, metadata, tags, error; the first three are kept whatever the error (S4.5, S4.10)", function()
    local a, r = run(function() return { x = 1 }, { m = 2 }, { t = "v" }, step.error.bad_request "no" end)
    assert.same({ "CLIENT_ERROR", { x = 1 }, { m = 2 }, "no" }, { a.state, a.output, a.metadata, a.error })
    assert.same({ t = "v" }, r.tags)
  end)

  it("its kind of error decides (S4.5), thrown or returned", function()
    for kind, state in pairs { bad_request = "CLIENT_ERROR", not_assigned = "WAITING", not_provisioned = "TO_RETRY" } do
      assert.equal(state, run(function() error(step.error[kind] "x") end).state)
      assert.equal(state, run(function() return nil, nil, nil, step.error[kind] "x" end).state)
    end
    assert.equal("SERVER_ERROR", run(function() error "x" end).state)
    assert.equal("SERVER_ERROR", run(function() return nil, nil, nil, "x" end).state)
    assert.equal("error without a value", run(function() error(nil) end).error)
  end)

  it("that is no JSON is FATAL_ERROR, its text is kept (S4.8)", function()
    for _, value in ipairs { print, io.stdout, coroutine.create(print), { { f = print } }, 0 / 0, "\xff" } do
      local a = run(function() return value end)
      assert.equal("FATAL_ERROR", a.state)
      assert.equal("string", type(a.output))
    end
    local a = run(function() return setmetatable({ print }, { __tostring = function() error "no" end }) end)
    assert.same({ "FATAL_ERROR", "(a table without a text)" }, { a.state, a.output })
    assert.equal("FATAL_ERROR", run(function() return 1, { print } end).state)
  end)

  it("holds no bytes that are no UTF-8: a store and an export could not keep them (S4.5, S4.8, S4.10)", function()
    local a = run(function() return "a\xff\xc3\xa9\xc3" end)
    assert.same({ "FATAL_ERROR", "a\u{FFFD}\u{E9}\u{FFFD}" }, { a.state, a.output })
    assert.equal("\u{FFFD}", run(function() error("\xfe", 0) end).error)
    assert.equal("\u{FFFD}", run(function() return nil, nil, nil, step.error.bad_request "\xed\xa0\x80" end).error:sub(1, 3))
    local tagged = { ["\xff"] = "\xff", kept = "\u{E9}", gone = "" }
    local r = assert(assert(step.define { name = "d", steps = { { name = "a", action = function() return 1, nil, tagged end } } }):start {})
    assert.equal("DONE", r:resolve())
    assert.same({ ["\u{FFFD}"] = "\u{FFFD}", kept = "\u{E9}" }, r.tags)
    assert(step.json.encode(r:export()))
  end)

  it("is a copy: what the action keeps does not change it (D3)", function()
    local kept = { list = { 1 } }
    local a = run(function() return kept end)
    kept.list[1] = 2
    assert.same({ list = { 1 } }, a.output)
  end)

  it("an error without a text leaves the step its state", function()
    local hostile = setmetatable({}, { __tostring = function(self) error(self) end })
    local a = run(function() error(hostile) end)
    assert.same({ "SERVER_ERROR", "(a table without a text)" }, { a.state, a.error })
  end)

  it("counts a try and sets last_run (S4.9)", function()
    local a = run(function() end)
    assert.equal(1, a.try_count)
  end)
end)

describe("a pre_hook", function()
  it("is shown to its own step only (D3)", function()
    local seen = {}
    local steps = {}
    for i = 1, 3 do
      steps[i] = { name = "s" .. i, pre_hook = i == 2 and { type = "echo", configuration = { output = "hook" } } or nil,
        action = { type = "lua", configuration = { fn = function(args) seen[i] = args end,
          args = function(v) return v.pre_hook and v.pre_hook.output or "none" end } } }
    end
    assert.equal("DONE", step.define({ name = "h", steps = steps }):start():resolve())
    assert.same({ "none", "hook", "none" }, seen)
  end)
end)
