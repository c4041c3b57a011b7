-- csrc/step.h, csrc/step_lua.h, csrc/lua/runner.c and mail.c: runners written in C, their results from any thread (S7.1, S4.5).

local child = require "spec.support.child"
local fixture = require "spec.c_runner" -- spec/support/c_runner.c
local json = require "step.json"
local step = require "step"

local STATUS = { ok = 0, bad_request = 1, not_assigned = 2, not_provisioned = 3, server_failure = 4 }

--- A started run of a step `a` with this action, and of whatever else `steps` has.
local function started(kind, action, steps, options)
  action = action or {}
  action.type = kind
  local all = { { name = "a", action = action } }
  for _, s in ipairs(steps or {}) do all[#all + 1] = s end
  local def = assert(step.define { name = "one", steps = all })
  return assert(def:start(options)), def
end

local function resolved(...)
  local run = started(...)
  local state, err = run:resolve()
  return run, state, err
end

--- Resolves with an action of Lua that calls fn while the C runner's call is open.
local function meanwhile(fn, action, options)
  local run
  run = started("c", action, { { name = "z", action = function() return fn(run) end } }, options)
  return run, run:resolve()
end

describe("a runner in C", function()
  setup(function()
    assert(step.register_runner("c", fixture.runner))
    assert(step.register_runner("bare", fixture.bare()))
  end)
  after_each(fixture.reset)

  describe("ends its call at once or later:", function()
    local function ends(name, run_it)
      it(name .. " with output, metadata and tags", function()
        local run, state = run_it(STATUS.ok, '{"n":9007199254740993,"list":[],"none":null}', '{"took":0.1}', '{"k":"v","gone":""}')
        assert.equal("DONE", state)
        assert.equal('{"list":[],"n":9007199254740993,"none":null}', json.encode(run.steps.a.output)) -- D22
        assert.same({ took = 0.1 }, run.steps.a.metadata)
        assert.same({ k = "v" }, run.tags) -- S4.10
        assert.is_nil(run.steps.a.error)
        assert.equal(1, run.steps.a.try_count)
      end)
      for status, state in pairs { -- S4.5
        bad_request = "CLIENT_ERROR", not_assigned = "WAITING", not_provisioned = "TO_RETRY", server_failure = "SERVER_ERROR",
      } do
        it(("%s as %s, which is %s"):format(name, status, state), function()
          local run = run_it(STATUS[status], '"kept"', '{"m":1}', nil, "because")
          assert.equal(state, run.steps.a.state)
          assert.equal("because", run.steps.a.error)
          assert.equal("kept", run.steps.a.output)
          assert.same({ m = 1 }, run.steps.a.metadata)
        end)
      end
      it(name .. " without anything", function()
        local run, state = run_it(STATUS.ok)
        assert.equal("DONE", state)
        assert.is_nil(run.steps.a.output)
      end)
      it(name .. " with a status there is none of, which is SERVER_ERROR", function()
        assert.equal("SERVER_ERROR", run_it(99, nil, nil, nil, "odd").steps.a.state)
        assert.equal("SERVER_ERROR", run_it(-1, nil, nil, nil, "odd").steps.a.state)
      end)
      it(name .. " without an error text", function()
        local run = run_it(STATUS.bad_request)
        assert.equal("CLIENT_ERROR", run.steps.a.state)
        assert.equal("", run.steps.a.error or "")
      end)
      it(name .. " with what is no JSON: the step fails and says what", function()
        for place, what in ipairs { "output", "metadata", "tags" } do
          local texts = { "1", "{}", "{}" }
          texts[place] = "{nonsense"
          local run = run_it(STATUS.ok, texts[1], texts[2], texts[3])
          assert.equal("SERVER_ERROR", run.steps.a.state)
          assert.matches("the runner's " .. what .. " is no JSON: .*nonsense", run.steps.a.error .. " nonsense")
        end
        local run = run_it(STATUS.ok, "\"\xff\xfe\"")
        assert.equal("SERVER_ERROR", run.steps.a.state)
      end)
      it(name .. " with tags and metadata of odd shapes", function()
        for _, odd in ipairs { "[1,2]", '"text"', "1", "null", '{"a":1,"b":null,"c":{}}' } do
          local run, state = run_it(STATUS.ok, "1", nil, odd)
          assert.equal("DONE", state)
          assert.same({}, run.tags)
        end
        assert.equal("DONE", (select(2, run_it(STATUS.ok, "1", "[1]"))))
      end)
    end
    ends("from inside exec", function(...)
      fixture.now("here", ...)
      return resolved("c")
    end)
    ends("later, from this thread", function(...)
      fixture.reset()
      local result = table.pack(...)
      return meanwhile(function()
        fixture.finish(1, "here", table.unpack(result, 1, result.n))
        fixture.now("here", table.unpack(result, 1, result.n)) -- a WAITING step is tried a second time (S6.3)
      end)
    end)
    ends("later, from another thread", function(...)
      fixture.reset()
      local result = table.pack(...)
      return meanwhile(function()
        fixture.finish(1, "thread", table.unpack(result, 1, result.n))
        fixture.now("here", table.unpack(result, 1, result.n)) -- a WAITING step is tried a second time (S6.3)
      end)
    end)
    ends("from a thread while the loop waits", function(...)
      fixture.now("thread", ...)
      return resolved("c")
    end)
  end)

  it("is given the step's name, its configurations as JSON, and its context, templated (S7.1, D22)", function()
    fixture.script { context = '{"who":"{{.step.this.name}}","n":[1,2.5]}' }
    meanwhile(function() fixture.finish(1, "here", STATUS.ok) end, { configuration = { text = "{{.task.requester_username}}", n = 1 } },
      { requester_username = "ann" })
    local name, base, config, context = fixture.call(1)
    assert.equal("a", name)
    assert.equal("null", base)
    assert.same({ text = "ann", n = 1 }, json.decode(config))
    assert.same({ who = "a", n = { 1, 2.5 } }, json.decode(context))
  end)

  it("is given NULL for no context and null for no configuration", function()
    meanwhile(function() fixture.finish(1, "here", STATUS.ok) end)
    local _, base, config, context = fixture.call(1)
    assert.same({ "null", "null" }, { base, config })
    assert.is_nil(context)
  end)

  it("is given the base configuration", function()
    local def = assert(step.define {
      name = "based", base_configurations = { common = { url = "here" } },
      steps = { { name = "a", action = { type = "c", base_configuration = "common", configuration = { x = true } } } },
    })
    fixture.now("here", STATUS.ok)
    assert.equal("DONE", def:start():resolve())
    local base, config = fixture.seen()
    assert.same({ url = "here" }, json.decode(base))
    assert.same({ x = true }, json.decode(config))
  end)

  it("refuses a configuration with a reason (S8.2)", function()
    fixture.script { why = "text is missing" }
    local def, err = step.define { name = "bad", steps = { { name = "a", action = { type = "c", configuration = { n = 1 } } } } }
    assert.is_nil(def)
    assert.matches("text is missing", tostring(err))
    assert.matches('step "a"', tostring(err))
    fixture.script { why = "" }
    assert.matches("not acceptable", tostring(select(2, step.define { name = "bad", steps = { { name = "a", action = { type = "c" } } } })))
    fixture.script { why = "overlong" } -- a reason that fills the buffer and lacks its end
    assert.matches("xxxx", tostring(select(2, step.define { name = "bad", steps = { { name = "a", action = { type = "c" } } } })))
  end)

  it("a context that is no JSON fails the step, before anything is executed", function()
    fixture.script { context = "{oops" }
    local run = resolved("c")
    assert.equal("FATAL_ERROR", run.steps.a.state)
    assert.matches("context", run.steps.a.error)
    assert.is_nil(fixture.call(1))
  end)

  it("names resources, which are waited for and released (S4.4)", function()
    fixture.script { resources = { "db", "free" } }
    local engine <close> = step.engine { resource_limits = { db = 1 } }
    local order = {}
    engine:add(assert(step.define { name = "two", steps = {
      { name = "a", action = { type = "c" } }, { name = "b", action = { type = "c" } },
      { name = "w", action = function()
        order[#order + 1] = fixture.call(1)
        assert.is_nil(fixture.call(2))
        fixture.finish(1, "thread", STATUS.server_failure, nil, nil, nil, "failed")
      end },
      { name = "x", dependencies = { "a:ANY" } , action = function() end },
    } }))
    local run = engine:start("two")
    run:on("transition", function(event)
      if event.step == "a" and event.to == "SERVER_ERROR" then fixture.now("here", STATUS.ok, '"second"') end
    end)
    run:resolve()
    assert.same({ "a" }, order)
    assert.equal("SERVER_ERROR", run.steps.a.state)
    assert.equal("second", run.steps.b.output)
  end)

  it("has a schema for its metadata (S8.13)", function()
    fixture.script { schema = '{"type":"object","properties":{"known":{}},"additionalProperties":false}' }
    local function definition(field)
      return step.define { name = "m", steps = {
        { name = "a", action = { type = "c" } },
        { name = "b", dependencies = { "a" }, action = { type = "echo",
          configuration = { output = "{{.step.a.metadata." .. field .. "}}" } } },
      } }
    end
    assert(definition "known")
    local def, err = definition "unknown"
    assert.is_nil(def)
    assert.matches("unknown", tostring(err))
    fixture.script { schema = "{oops" }
    assert.is_false((pcall(fixture.runner.metadata_schema, fixture.runner)))
  end)

  it("needs nothing but exec", function()
    fixture.now("here", STATUS.ok, "1")
    assert.equal("DONE", (select(2, resolved("bare", { configuration = { any = "thing" } }))))
  end)

  it("may have many calls open, which end in any order", function()
    local ended = {}
    local steps = { { name = "z", action = function()
      for i = 20, 1, -1 do fixture.finish(i, i % 2 == 0 and "thread" or "here", STATUS.ok, tostring(i)) end
    end } }
    for i = 2, 20 do steps[#steps + 1] = { name = "s" .. i, action = { type = "c" } } end
    table.insert(steps, table.remove(steps, 1)) -- z is last
    local run = started("c", nil, steps)
    run:on("transition", function(event) if event.to == "DONE" then ended[#ended + 1] = event.step end end)
    assert.equal("DONE", run:resolve())
    assert.equal(21, #ended)
    assert.same({ "z", "s20", "s19" }, { table.unpack(ended, 1, 3) }) -- in the order in which they came
    assert.equal("a", ended[21])
    for i = 2, 20 do assert.equal(i, run.steps["s" .. i].output) end
  end)

  it("serves many threads at once", function()
    fixture.now("thread", STATUS.ok, '{"a":[1,2,3]}', nil, '{"t":"x"}')
    local steps = {}
    for i = 1, 100 do steps[i] = { name = "s" .. i, action = { type = "c" } } end
    local run, state = resolved("c", nil, steps)
    assert.equal("DONE", state)
    assert.same({ a = { 1, 2, 3 } }, run.steps.s100.output)
  end)

  it("as a pre_hook and in a foreach", function()
    fixture.now("thread", STATUS.ok, '"hooked"')
    local run = resolved("c", nil, {
      { name = "h", pre_hook = { type = "c" }, action = { type = "echo", configuration = { output = "{{.pre_hook.output}}" } } },
      { name = "f", foreach = function() return { 1, 2, 3 } end, action = { type = "c" } },
    })
    assert.equal("hooked", run.steps.h.output)
    assert.equal("hooked", run.steps.f.children[3].output)
  end)

  it("may have functions of v in its configuration, which it sees when they have a value", function()
    fixture.script { why = "not asked: there is nothing to see yet" }
    fixture.now("here", STATUS.ok)
    local _, state = resolved("c", { configuration = { f = function(v) return { v.task.task_id } end } }, nil, { id = "x" })
    assert.equal("DONE", state)
    assert.equal('{"f":["x"]}', (select(2, fixture.seen())))
  end)

  it("a configuration that is no JSON fails its step only", function()
    fixture.now("here", STATUS.ok)
    for _, kind in ipairs { "c", "bare" } do
      local run = resolved(kind, { configuration = { f = function() return print end } }, { { name = "b", action = function() end } })
      assert.equal("FATAL_ERROR", run.steps.a.state)
      assert.matches("no JSON", run.steps.a.error)
      assert.equal("DONE", run.steps.b.state)
    end
  end)

  describe("when nobody waits any more:", function()
    it("host->cancelled tells so once the run is closed, and the result is dropped", function()
      local before
      local run, state, err = meanwhile(function(run)
        before = fixture.cancelled(1)
        run:close()
        assert.is_true(fixture.cancelled(1))
        fixture.finish(1, "thread", STATUS.ok, "1")
      end)
      assert.is_false(before)
      assert.is_nil(state)
      assert.equal("closed", err.kind)
      assert.equal("CLOSED", run.state)
      assert.equal("DONE", (select(2, meanwhile(function() fixture.finish(2, "here", STATUS.ok) end)))) -- the loop goes on
    end)

    it("a result that comes long after the run was closed is dropped", function()
      meanwhile(function(run) run:close() end)
      fixture.finish(1, "thread", STATUS.ok, '{"x":1}')
      assert.equal("DONE", (select(2, meanwhile(function() fixture.finish(2, "here", STATUS.ok) end))))
    end)

    it("an engine that is closed drops it, before or after it came", function()
      for _, first in ipairs { "close", "finish" } do
        fixture.reset()
        local engine <close> = step.engine {}
        engine:add(assert(step.define { name = "e", steps = {
          { name = "a", action = { type = "c" } },
          { name = "z", action = function()
            if first == "finish" then fixture.finish(1, "thread", STATUS.ok, "1") end
            engine:close()
          end },
        } }))
        local run = engine:start("e")
        local state, err = run:resolve()
        assert.is_nil(state)
        assert.equal("closed", err.kind)
        if first == "close" then
          assert.is_true(fixture.cancelled(1))
          fixture.finish(1, "thread", STATUS.ok, "1")
        end
      end
    end)

    it("a step whose state was set meanwhile keeps that state, and the output (D8)", function()
      local run, state = meanwhile(function(run)
        assert(run:set_state("a", "PRUNE", "not needed"))
        fixture.finish(1, "thread", STATUS.ok, '"late"')
      end)
      assert.equal("DONE", state)
      assert.equal("PRUNE", run.steps.a.state)
      assert.equal("not needed", run.steps.a.error)
      assert.equal("late", run.steps.a.output)
    end)

    it("a cancelled run does not wait for the call that is open", function()
      local run, state = meanwhile(function(run)
        assert.is_false(fixture.cancelled(1))
        assert(run:cancel())
        assert.is_true(fixture.cancelled(1))
        fixture.finish(1, "thread", STATUS.ok, "1")
      end)
      assert.same({ "CANCELLED", "TO_RETRY", "stopped: the run was cancelled", 0 },
        { state, run.steps.a.state, run.steps.a.error, run.steps.a.try_count })
      assert.is_nil(run.steps.a.output)
    end)

    it("a Lua state may be closed while a thread still owes a result", function()
      local printed, code, how = child.run { "-e", [[
        local step, fixture = require "step", require "spec.c_runner"
        assert(step.register_runner("c", fixture.runner))
        local def = assert(step.define { name = "d", steps = {
          { name = "a", action = { type = "c" } },
          { name = "z", action = function() fixture.late(1) io.write("left\n") os.exit(0, true) end },
        } })
        def:start():resolve()
      ]] }
      assert.equal("left\nlate: cancelled=1\n", printed)
      assert.same({ "exit", 0 }, { how, code })
    end)

    it("and after its run was dropped", function()
      local printed, code, how = child.run { "-e", [[
        local step, fixture = require "step", require "spec.c_runner"
        assert(step.register_runner("c", fixture.runner))
        do
          local def = assert(step.define { name = "d", steps = {
            { name = "a", action = { type = "c" } },
            { name = "z", action = function() fixture.late(1) error("stop", 0) end },
          } })
          local engine = step.engine {}
          engine:add(def)
          engine.loop:begin(engine:start("d").core)
          engine.loop:turn()
        end
        collectgarbage() collectgarbage()
        print(step.engine and require "step.core".live().runs)
      ]] }
      assert.equal("0\nlate: cancelled=1\n", printed)
      assert.same({ "exit", 0 }, { how, code })
    end)
  end)

  describe("that is not as it should be", function()
    it("is refused when it is made for another version", function()
      assert.error_matches(function() fixture.wrong() end, "version %d+ of step.h")
    end)
    it("is refused without exec", function()
      assert.error_matches(function() fixture.wrong(true) end, "no exec")
    end)
    it("is no runner when it is another kind of userdata", function()
      assert.error_matches(function() step.register_runner("odd", io.stdout) end, "bad argument #2")
      assert.is_false((pcall(fixture.runner.valid_config, io.stdout, {}, {})))
    end)
  end)
end)

describe("examples/c_runner", function()
  it("computes checksums, side by side in threads", function()
    local printed, code, how = child.run { "examples/c_runner/checksum.lua", "123456789", "", "a\tb\"\\\u{e9}\u{1f600}/" }
    assert.equal(table.concat({
      "cbf43926     9 bytes  123456789", "00000000     0 bytes  ", "c55068a9    12 bytes  a\tb\"\\\u{e9}\u{1f600}/",
      "424ed25e    21 bytes  all of them", "ended in DONE", "",
    }, "\n"), printed)
    assert.same({ "exit", 0 }, { how, code })
  end)

  it("refuses configurations that it cannot use", function()
    local checksum = require "examples.checksum".checksum
    assert.same({ true }, { checksum:valid_config(nil, { text = "a", seconds = 1 }) })
    for _, config in ipairs { {}, { text = 1 }, { other = { text = "a" } }, { text = "a", seconds = -1 }, { text = "a", seconds = {} } } do
      local ok, why = checksum:valid_config(nil, config)
      assert.is_nil(ok)
      assert.matches("configuration", why)
    end
  end)
end)
