-- step.runner: runners by name (S7.1), and what a runner is given and may return (S4.5).

local clock = require "step.clock"
local errors = require "step.error"
local json = require "step.json"
local runner = require "step.runner"
local step = require "step"

local null = json.null

local count = 0

--- Registers a runner under a name of its own.
local function registered(implementation)
  count = count + 1
  local name = "spec" .. count
  assert.is_true(step.register_runner(name, implementation))
  return name
end

--- A resolved run of one step `a` of that type.
local function resolved(kind, action, more)
  action = action or {}
  action.type = kind
  local spec = { name = "a", action = action }
  for key, value in pairs(more or {}) do spec[key] = value end
  local def = assert(step.define { name = "one", steps = { spec } })
  local run = assert(def:start { clock = clock.manual() })
  run:resolve()
  return run
end

describe("runner.register", function()
  it("S7.1: takes a function, which is exec", function()
    local seen
    local kind = registered(function(...) seen = table.pack(...) return "out" end)
    local run = resolved(kind, { configuration = { a = 1 } })
    assert.equal("out", run.steps.a.output)
    assert.equal(4, seen.n)
    assert.equal("a", seen[1])
    assert.is_nil(seen[2])
    assert.same({ a = 1 }, seen[3])
    assert.equal("userdata", type(seen[4]))
  end)

  it("S7.1: only exec is mandatory", function()
    assert.equal("DONE", resolved(registered { exec = function() end }).state)
    assert.error_matches(function() step.register_runner("spec-none", {}) end, "the runner has no exec")
    assert.is_nil(runner.find "spec-none")
  end)

  it("D24: a function's name is taken, too", function()
    assert(step.register_function { name = "taken-by-function", action = { type = "echo", configuration = {} } })
    local ok, err = step.register_runner("taken-by-function", function() end)
    assert.is_nil(ok)
    assert.matches("a function has the name 'taken%-by%-function'", err.message)
  end)

  it("D24: a name that is taken is refused and nothing else happens", function()
    local first = { exec = function() return "first" end }
    local kind = registered(first)
    local kept = runner.find(kind)
    local ok, err = step.register_runner(kind, { exec = function() return "second" end })
    assert.is_nil(ok)
    assert.equal("refused", err.kind)
    assert.equal(("a runner is already registered under the name '%s'"):format(kind), tostring(err))
    assert.equal(kept, runner.find(kind))
    assert.equal("first", resolved(kind).steps.a.output)
  end)

  it("S7.1: the runners of the package are registered", function()
    for _, name in ipairs { "echo", "lua", "tag" } do assert.is_not_nil(runner.find(name)) end
  end)

  it("lists all names, sorted", function()
    local kind = registered(function() end)
    local names, found = runner.names(), false
    for i, name in ipairs(names) do
      if i > 1 then assert.is_true(names[i - 1] < name) end
      found = found or name == kind
    end
    assert.is_true(found)
  end)

  for name, case in pairs {
    ["a name that is no text"] = { 5, print, "name expected, got 5" },
    ["an empty name"] = { "", print, 'name expected, got ""' },
    ["a runner that is none"] = { "x", 5, "a function or a table of functions expected, got 5" },
    ["no runner"] = { "x", nil, "a function or a table of functions expected, got nil" },
    ["a field that is no function"] = { "x", { exec = print, context = "x" }, 'context must be a function, got "x"' },
  } do
    it("raises an error for " .. name, function()
      local ok, message = pcall(step.register_runner, case[1], case[2])
      assert.is_false(ok)
      assert.matches(case[3], message, 1, true)
    end)
  end

  it("keeps its own copy of the table", function()
    local implementation = { exec = function() return "first" end }
    local kind = registered(implementation)
    implementation.exec = function() return "second" end
    assert.equal("first", resolved(kind).steps.a.output)
  end)
end)

describe("a runner", function()
  for kind, case in pairs {
    bad_request = { "CLIENT_ERROR", "BLOCKED_BADREQUEST" },
    not_assigned = { "WAITING", "WAITING" },
    not_provisioned = { "TO_RETRY", "ERROR" },
    server = { "SERVER_ERROR", "ERROR" },
  } do
    local function make() return errors.new(kind, "why") end
    it("S4.5: that returns the error " .. kind, function()
      local run = resolved(registered(function() return "out", { meta = 1 }, { tag = "set" }, make() end))
      local a = run.steps.a
      assert.same({ case[1], "why", "out", { meta = 1 }, 1 }, { a.state, a.error, a.output, a.metadata, a.try_count == 1 and 1 or
        kind == "not_assigned" and 1 or 0 })
      assert.equal(case[2], run.state)
      assert.same({ tag = "set" }, run.tags)
    end)
    it("S4.5: that throws the error " .. kind, function()
      local run = resolved(registered(function() error(make()) end))
      assert.equal(case[1], run.steps.a.state)
      assert.equal("why", run.steps.a.error)
      assert.is_nil(run.steps.a.output)
    end)
  end

  it("S4.5: any other error is SERVER_ERROR with its text", function()
    assert.equal("plain", resolved(registered(function() return nil, nil, nil, "plain" end)).steps.a.error)
    local thrown = resolved(registered(function() error("thrown", 0) end)).steps.a
    assert.equal("SERVER_ERROR", thrown.state)
    assert.equal("thrown", thrown.error)
    assert.equal("SERVER_ERROR", resolved(registered(function() error() end)).steps.a.state)
    assert.equal("SERVER_ERROR", resolved(registered(function() return nil, nil, nil, false end)).steps.a.state)
  end)

  it("D25: an error whose text cannot be made fails its own step only", function()
    local broken = setmetatable({}, { __tostring = function() error("no text", 0) end })
    local kind = registered(function() error(broken) end)
    local def = assert(step.define { name = "two", steps = { { name = "a", action = { type = kind } },
      { name = "b", action = { type = "echo" } } } })
    local run = assert(def:start { clock = clock.manual() })
    assert.equal("ERROR", run:resolve())
    assert.equal("SERVER_ERROR", run.steps.a.state)
    assert.equal("DONE", run.steps.b.state)
  end)

  it("S4.8: an output that is no JSON data is FATAL_ERROR, its text form is kept", function()
    local a = resolved(registered(function() return print end)).steps.a
    assert.equal("FATAL_ERROR", a.state)
    assert.matches("^function: ", a.output)
    assert.matches("^output: ", a.error)
  end)

  it("S4.8: metadata that is no JSON data is FATAL_ERROR", function()
    local a = resolved(registered(function() return 1, { f = print } end)).steps.a
    assert.equal("FATAL_ERROR", a.state)
    assert.equal(1, a.output)
    assert.matches("^metadata: ", a.error)
  end)

  it("S4.8: nor is one whose text is longer than 72 MiB, of which nothing is kept", function()
    local part = ("x"):rep(1 << 20)
    local function returned(n)
      local list = {}
      for i = 1, n do list[i] = part end
      return resolved(registered(function() return list end)).steps.a
    end
    assert.equal("DONE", returned(71).state)
    local a = returned(73)
    assert.equal("FATAL_ERROR", a.state)
    assert.matches("^output: %$: text longer than 72 MiB", a.error)
    assert.matches("^table: ", a.output)
    a = resolved(registered(function() return part:rep(73) end)).steps.a
    assert.same({ "FATAL_ERROR" }, { a.state, a.output })
  end)

  it("S4.8: null and nothing are no output", function()
    assert.is_nil(resolved(registered(function() return null, null end)).steps.a.output)
    assert.is_nil(resolved(registered(function() end)).steps.a.output)
    assert.is_false(resolved(registered(function() return false end)).steps.a.output)
  end)

  it("D3: what it returned is the run's own", function()
    local shared = { n = 1, list = { 1 } }
    local run = resolved(registered(function() return shared, shared end))
    shared.n, shared.list[1] = 2, 2
    assert.same({ n = 1, list = { 1 } }, run.steps.a.output)
    assert.same({ n = 1, list = { 1 } }, run.steps.a.metadata)
  end)

  it("S7.1: valid_config judges the configuration and its base when a definition is made", function()
    local seen
    local kind = registered {
      exec = function() end,
      valid_config = function(base, config)
        seen = { base, config }
        if config.bad then return nil, "bad is not allowed" end
        if config.thrown then error("thrown at once", 0) end
        if config.object then error(errors.bad_request("an object")) end
        if config.mute then return false end
        return true
      end,
    }
    local bases = { common = { url = "u" } }
    local function define(config)
      return step.define { name = "x", base_configurations = bases,
        steps = { { name = "a", action = { type = kind, base_configuration = "common", configuration = config } } } }
    end
    assert(define { text = "{{.input}}" })
    assert.same({ { url = "u" }, { text = "{{.input}}" } }, seen)
    for field, expected in pairs { bad = "bad is not allowed", thrown = "thrown at once", object = "an object",
      mute = "the runner refuses" } do
      local def, err = define { [field] = 1 }
      assert.is_nil(def)
      assert.equal("action.configuration", err.errors[1].field)
      assert.matches(expected, err.errors[1].message, 1, true)
    end
  end)

  it("D3: valid_config cannot change the definition", function()
    local kind = registered {
      exec = function(_, base, config) return { base, config } end,
      valid_config = function(base, config) base.b, config.a, config.list[1] = 9, 9, 9 return true end,
    }
    local def = assert(step.define { name = "x", base_configurations = { common = { b = 1 } },
      steps = { { name = "a", action = { type = kind, base_configuration = "common", configuration = { a = 1, list = { 1 } } } } } })
    local run = assert(def:start { clock = clock.manual() })
    run:resolve()
    assert.same({ { b = 1 }, { a = 1, list = { 1 } } }, run.steps.a.output)
  end)

  it("D22: context is templated as a structure and seen as ctx.context and by its fields", function()
    local seen
    local kind = registered {
      exec = function(_, _, _, ctx) seen = { ctx.context, ctx.who, ctx.nothing } end,
      context = function(name) return { who = "{{.input.who}}", step = name, n = 3, list = json.array() } end,
    }
    local def = assert(step.define { name = "x", inputs = { { name = "who" } }, steps = { { name = "a", action = { type = kind } } } })
    assert(def:start { input = { who = 'o\'neil & co' }, clock = clock.manual() }):resolve()
    assert.same({ who = "o'neil & co", step = "a", n = 3, list = json.array() }, seen[1])
    assert.equal("o'neil & co", seen[2])
    assert.is_nil(seen[3])
  end)

  it("S4.3: a context that cannot be templated is FATAL_ERROR", function()
    local kind = registered { exec = function() end, context = function() return { x = "{{fail \"no\"}}" } end }
    local a = resolved(kind).steps.a
    assert.equal("FATAL_ERROR", a.state)
    assert.matches("failed to template context", a.error, 1, true)
  end)

  it("S7.4: ctx tells about the run, and the attempt", function()
    local seen = {}
    local kind = registered(function(_, _, _, ctx)
      seen[#seen + 1] = { ctx.requester_username, ctx.resolver_username, ctx.task_id, ctx.run_id, ctx.created, ctx.step_name,
        ctx.attempt, ctx.key,
        ctx.cancelled, type(ctx.log) }
      return nil, nil, nil, "again"
    end)
    local def = assert(step.define { name = "x", steps = { { name = "a", action = { type = kind } } } })
    local run = assert(def:start { requester_username = "eve", resolver_username = "bob", clock = clock.manual(60) })
    run:resolve()
    run:resolve()
    local id = run.id
    local key = id .. "/a"
    assert.same({ "eve", "bob", id, id, "1970-01-01T00:01:00Z", "a", 1, key, false, "function" }, seen[1])
    assert.equal(2, seen[2][7])
    assert.equal(key, seen[2][8])
  end)

  it("S4.5: a table of its own that it throws or returns has a kind, and a message that is the text", function()
    local thrown = { kind = "bad_request", message = "no" }
    local readable = setmetatable({ message = "no" }, { __tostring = function() return "readable" end })
    for text, case in pairs {
      ["CLIENT_ERROR no"] = function() error(thrown) end,
      ["TO_RETRY later"] = function() return nil, nil, nil, { kind = "not_provisioned", message = "later" } end,
      ["SERVER_ERROR readable"] = function() error(readable) end,
    } do
      local a = resolved(registered(case)).steps.a
      assert.equal(text, a.state .. " " .. a.error)
    end
  end)

  it("S7.1: ctx.log is what the run was started with", function()
    local lines = {}
    local kind = registered(function(_, _, _, ctx)
      ctx.log("a", 1)
      ctx:log("b", nil)
      return ctx.log()
    end)
    local def = assert(step.define { name = "x", steps = { { name = "a", action = { type = kind } } } })
    local function log(...) lines[#lines + 1] = table.pack(...) return #lines end
    local run = assert(def:start { clock = clock.manual(), log = log })
    assert.equal("DONE", run:resolve())
    assert.same({ { "a", 1, n = 2 }, { "b", n = 2 }, { n = 0 } }, lines)
    assert.equal(3, run.steps.a.output)
    assert.equal("DONE", assert(def:start { clock = clock.manual() }):resolve())
  end)

  it("S4.4: resources are those of the step and those the runner names, sorted, each once", function()
    local seen
    local kind = registered {
      exec = function() end,
      resources = function(base, config) seen = { base, config } return { "z", "shared", "a" } end,
    }
    local c = clock.manual()
    local engine <close> = assert(step.engine { clock = c, resource_limits = { a = 0 } })
    engine:add(assert(step.define { name = "x", steps = { { name = "a", action = { type = kind, configuration = { q = 1 } },
      resources = { "shared" } } } }))
    local run = assert(engine:start "x")
    assert.equal("ERROR", run:resolve())
    assert.same({ nil, { q = 1 } }, seen)
    assert.equal("failed to acquire resources: a has the limit 0, it is never available", run.steps.a.error)
  end)

  it("S4.4: one that names no text as a resource is FATAL_ERROR", function()
    local a = resolved(registered { exec = function() end, resources = function() return { 5 } end }).steps.a
    assert.equal("FATAL_ERROR", a.state)
    assert.matches("named a resource that is no text", a.error, 1, true)
  end)

  it("S4.4: resources in no list are refused: a text is none, and would be held by nobody", function()
    for _, given in ipairs { "database", 5, true } do
      local a = resolved(registered { exec = function() end, resources = function() return given end }).steps.a
      assert.equal("FATAL_ERROR", a.state)
      assert.matches("is to name its resources in a list, found " .. errors.show(given), a.error, 1, true)
    end
  end)

  it("S4.10: tags are merged into the run's, an empty value removes one", function()
    local kind = registered(function() return nil, nil, { new = "1", old = "" } end)
    local def = assert(step.define { name = "x", tags = { old = "x", kept = "y" }, steps = { { name = "a", action = { type = kind } } } })
    local run = assert(def:start { clock = clock.manual() })
    run:resolve()
    assert.same({ new = "1", kept = "y" }, run.tags)
  end)

  it("waits with ctx:sleep while others go on", function()
    local c, order = clock.manual(), {}
    local kind = registered(function(name, _, config, ctx)
      ctx:sleep(config.seconds)
      order[#order + 1] = ("%s at %d"):format(name, c.now())
    end)
    local def = assert(step.define { name = "x", steps = {
      { name = "a", action = { type = kind, configuration = { seconds = 10 } } },
      { name = "b", action = { type = kind, configuration = { seconds = 5 } } },
      { name = "c", action = { type = kind, configuration = { seconds = 1 } }, dependencies = { "b" } },
    } })
    assert.equal("DONE", assert(def:start { clock = c }):resolve())
    assert.same({ "b at 5", "c at 6", "a at 10" }, order)
  end)

  it("waits with ctx:await for any event loop", function()
    local resume, run
    local kind = registered(function(_, _, _, ctx) return ctx:await(function(go_on) resume = go_on end) end)
    local helper = registered(function() resume("came", { n = 1 }) end)
    local def = assert(step.define { name = "x", steps = { { name = "a", action = { type = kind } },
      { name = "b", action = { type = helper } } } })
    run = assert(def:start { clock = clock.manual() })
    assert.equal("DONE", run:resolve())
    assert.equal("came", run.steps.a.output)
    assert.same({ n = 1 }, run.steps.a.metadata)
  end)

  it("that yields by itself is SERVER_ERROR", function()
    local a = resolved(registered(function() coroutine.yield() end)).steps.a
    assert.equal("SERVER_ERROR", a.state)
    assert.matches("use ctx:sleep or ctx:await", a.error, 1, true)
  end)

  it("cannot use its context after the step has ended", function()
    local kept
    resolved(registered(function(_, _, _, ctx) kept = ctx end))
    assert.error_matches(function() return kept.attempt end, "used after its step has ended")
  end)
end)
