-- step.runners.batch: a definition run once for each of many inputs (µTask's batch).

local refused = require "spec.support.refused"
local step = require "step"
local stores = require "spec.support.stores"

local define = stores.define

local function batch(configuration, fields)
  configuration.definition = configuration.definition or "twice"
  local spec = { name = "all", action = { type = "batch", configuration = configuration } }
  for key, value in pairs(fields or {}) do spec[key] = value end
  return spec
end

--- Doubles its input; what `act` says comes before.
local function twice(act)
  return define("twice", { { name = "a", action = function(v)
    if act then act(v.input) end
    return v.input.n * 2
  end } }, { inputs = { { name = "n", type = "number" }, { name = "who", default = "" } } })
end

local function inputs(n)
  local list = {}
  for i = 1, n do list[i] = { n = i } end
  return list
end

local function results(run)
  local list = {}
  for i, output in ipairs(run.steps.all.output) do list[i] = output.result and output.result.a or output.state end
  return list
end

for where, site in stores.each() do describe("the runner batch, " .. where .. ",", function()
  after_each(stores.clean)

  it("has the step's timeout to end in: the runs that have not ended are cancelled", function()
    local here = site(define("twice", {
      { name = "a", action = { type = "callback", configuration = { action = "create" } } },
      { name = "b", dependencies = { "a" }, action = { type = "callback", configuration = { action = "wait", id = "a" } } },
    }, { inputs = { { name = "n", type = "number" } } }),
      define("top", { batch({ inputs = inputs(3) }, { timeout = 60, max_retries = 0 }) }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    local one = here.engine:list { parent = run.id }()
    assert.is_true(one:signal("a", 1))
    assert(here.engine:work { until_idle = true })
    here.clock.advance(60)
    run = here.engine:run(run.id)
    run:resolve()
    assert.equal("timed out after 60s: 1 of 3 runs of 'twice' have ended", run.steps.all.error)
    local count = {}
    for child in here.engine:list { parent = run.id } do count[child.state] = (count[child.state] or 0) + 1 end
    assert.same({ DONE = 1, CANCELLED = 2 }, count)
  end)

  it("runs a definition once for each input and gives the outputs in their order", function()
    local here = site(twice(), define("top", { batch { inputs = inputs(25) } }))
    local run = assert(here.engine:start("top", { requester_username = "ann" }))
    assert.equal("WAITING", run:resolve())
    assert.equal("0 of 25 runs of 'twice' have ended", run.steps.all.error)
    local metadata = run.steps.all.metadata
    assert.same({ 25, 25, 1 }, { metadata.tasks_started, metadata.remaining_tasks, metadata.attempt })
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    local expected = {}
    for i = 1, 25 do expected[i] = i * 2 end
    assert.same({ "DONE", expected, 1 }, { run.state, results(run), run.steps.all.try_count })
    assert.same({ batch_id = metadata.batch_id, tasks_started = 25, remaining_tasks = 0 }, run.steps.all.metadata)
    assert.same({}, run:posted())
    local third = run.steps.all.output[3]
    assert.same({ metadata.batch_id .. "-3", "DONE", "twice", "ann" }, { third.id, third.state, third.title, third.requester_username })
  end)

  it("lays each input over what they have in common; knows µTask's words", function()
    local seen = {}
    local here = site(twice(function(input) seen[#seen + 1] = input.n .. input.who end), define("top", {
      { name = "all", action = { type = "batch", configuration = {
        template_name = "twice", json_inputs = '[{"n":1},{"n":2,"who":"eve"}]', json_common_input = '{"who":"ann"}', sub_batch_size = "1",
        comment = "c", watcher_usernames = {},
      } } } }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert.equal("DONE", here.engine:run(run.id).state)
    assert.same({ "1ann", "2eve" }, seen)
  end)

  it("is DONE at once when there is nothing to do", function()
    local here = site(twice(), define("top", { batch { inputs = step.json.array {} } }))
    local run = assert(here.engine:start "top")
    assert.equal("DONE", run:resolve())
    assert.same({}, run.steps.all.output)
    assert.is_true(step.json.is_array(run.steps.all.output))
  end)

  for given, size in pairs { [1] = 1, [3] = 3, ["7"] = 7, ["{{.input.size}}"] = 2 } do
    it(("with sub_batch_size %s never has more than %d unfinished"):format(given, size), function()
      local here, most
      most = 0
      here = site(twice(function()
        local open = 0
        for run in here.engine:list { definition = "twice" } do open = open + (run.state == "DONE" and 0 or 1) end
        most = math.max(most, open)
      end), define("top", { batch { inputs = inputs(7), sub_batch_size = given } }, { inputs = { { name = "size", type = "number" } } }))
      local run = assert(here.engine:start("top", { input = { size = size } }))
      assert.equal("WAITING", run:resolve())
      assert.equal(size, #stores.runs(here.engine, { parent = run.id }))
      assert(here.engine:work { until_idle = true })
      run = here.engine:run(run.id)
      assert.same({ "DONE", { 2, 4, 6, 8, 10, 12, 14 } }, { run.state, results(run) })
      assert.equal(size, most)
    end)
  end

  it("survives restarts between its parts", function()
    local here = site(twice(), define("top", { batch { inputs = inputs(5), sub_batch_size = 2 } }))
    local run = assert(here.engine:start "top")
    assert.equal("WAITING", run:resolve())
    for _ = 1, 12 do
      local engine = here.restart()
      local child = engine:list { parent = run.id, state = "TODO" }()
      if child then assert.equal("DONE", child:resolve()) end
      run = here.restart():run(run.id)
      if run.state == "WAITING" then run:resolve() end
    end
    run = here.engine:run(run.id)
    assert.same({ "DONE", { 2, 4, 6, 8, 10 } }, { run.state, results(run) })
    assert.equal(6, #stores.runs(here.engine))
  end)

  it("is WAITING while some are blocked, names the first, and goes on once they are mended", function()
    local mended = false
    local here = site(twice(function(input)
      if input.n == 2 and not mended then error(step.error.bad_request "not two") end
    end), define("top", { batch { inputs = inputs(3) } }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    local id = run.steps.all.metadata.batch_id .. "-2"
    assert.equal(("2 of 3 runs of 'twice' have ended; the run %s ('twice') is BLOCKED_BADREQUEST: step 'a' is CLIENT_ERROR: not two")
      :format(id), run.steps.all.error)
    mended = true
    assert.equal("DONE", here.engine:resolve(id))
    assert(here.engine:work { until_idle = true })
    assert.same({ 2, 4, 6 }, results(here.engine:run(run.id)))
  end)

  it("with on_blocked = fail goes on without those that are blocked, as far as that is tolerated", function()
    for tolerate, state in pairs { [0] = "CLIENT_ERROR", [1] = "CLIENT_ERROR", [2] = "DONE", ["2"] = "DONE", ["50%"] = "DONE",
      ["49%"] = "CLIENT_ERROR", ["{{.input.part}}%"] = "DONE" } do
      local here = site(twice(function(input)
        if input.n < 3 then error(step.error.bad_request "too small") end
      end), define("top", { batch { inputs = inputs(4), sub_batch_size = 1, on_blocked = "fail", tolerate = tolerate } },
        { inputs = { { name = "part", default = "50" } } }))
      local run = assert(here.engine:start "top")
      assert(here.engine:work { until_idle = true })
      run = here.engine:run(run.id)
      assert.same({ state, { "BLOCKED_BADREQUEST", "BLOCKED_BADREQUEST", 6, 8 } }, { run.steps.all.state, results(run) },
        tostring(tolerate))
      if tolerate == 1 then
        assert.equal(("2 of 4 runs failed, 1 are tolerated: the run %s-1 ('twice') is BLOCKED_BADREQUEST: step 'a' is CLIENT_ERROR: "
          .. "too small"):format(run.steps.all.metadata.batch_id), run.steps.all.error)
      end
    end
  end)

  it("fails when one was cancelled; tried again, it starts all of them anew", function()
    local here = site(twice(), define("top", { batch { inputs = inputs(3) } }))
    local run = assert(here.engine:start "top")
    assert.equal("WAITING", run:resolve())
    assert(here.engine:run(run.steps.all.metadata.batch_id .. "-2"):cancel())
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.same({ "BLOCKED_BADREQUEST", { 2, "CANCELLED", 6 } }, { run.state, results(run) })
    assert.equal("WAITING", run:resolve())
    assert(here.engine:work { until_idle = true })
    run = here.engine:run(run.id)
    assert.same({ "DONE", { 2, 4, 6 }, 2 }, { run.state, results(run), run.steps.all.try_count })
    assert.equal(6, #stores.runs(here.engine, { parent = run.id }))
  end)

  it("starts none when one of the inputs is refused", function()
    local here = site(twice(), define("top", { batch { inputs = { { n = 1 }, { n = "x" } } } }))
    local run = assert(here.engine:start "top")
    assert.equal("BLOCKED_BADREQUEST", run:resolve())
    assert.matches("^inputs%[2%]: ", run.steps.all.error)
    assert.same({}, stores.runs(here.engine, { parent = run.id }))
  end)

  it("is cancelled with its run", function()
    local here = site(define("twice", { { name = "a", action = function() error(step.error.not_assigned "x") end } },
      { inputs = { { name = "n", type = "number" } } }), define("top", { batch { inputs = inputs(3), sub_batch_size = 2 } }))
    local run = assert(here.engine:start "top")
    assert(here.engine:work { until_idle = true })
    assert(here.engine:run(run.id):cancel())
    assert(here.engine:work { until_idle = true })
    assert.same({ "top CANCELLED", "twice CANCELLED", "twice CANCELLED" }, stores.runs(here.engine))
  end)

  it("starts all that are left when it cleans up after its run (always), and they go on by themselves", function()
    local here = site(twice(), define("top", { { name = "w", action = function() error(step.error.not_assigned "x") end },
      batch({ inputs = inputs(5), sub_batch_size = 2 }, { always = true, dependencies = { "w:ANY" } }) }))
    local run = assert(here.engine:start "top")
    assert.equal("WAITING", run:resolve())
    assert(here.engine:run(run.id):cancel())
    assert(here.engine:work { until_idle = true })
    assert.same({ "top CANCELLED", "twice DONE", "twice DONE", "twice DONE", "twice DONE", "twice DONE" }, stores.runs(here.engine))
    assert.equal("the run is cancelled, 5 of 5 runs of 'twice' go on by themselves", here.engine:run(run.id).steps.all.error)
  end)
end) end

describe("the runner batch", function()
  after_each(stores.clean)

  for name, case in pairs {
    ["no definition"] = { { inputs = {} }, "definition: the name of a definition is expected" },
    ["no inputs"] = { { definition = "x" }, "inputs: a list of objects is expected" },
    ["inputs that are no list"] = { { definition = "x", inputs = { a = 1 } }, "inputs: a list of objects is expected, found an object" },
    ["an input that is no object"] = { { definition = "x", inputs = { {}, 5 } }, "inputs[2]: an object is expected, found 5" },
    ["a size that is no whole number"] = { { definition = "x", inputs = {}, sub_batch_size = 1.5 },
      "sub_batch_size: a whole number from 0 is expected, found 1.5" },
    ["a size below 0"] = { { definition = "x", inputs = {}, sub_batch_size = -1 }, "sub_batch_size: a whole number from 0 is expected" },
    ["tolerance that is none"] = { { definition = "x", inputs = {}, tolerate = "most" },
      'tolerate: a whole number from 0, or a part of all children like "25%", is expected, found "most"' },
    ["tolerance of more than all"] = { { definition = "x", inputs = {}, tolerate = "101%" }, "tolerate: " },
    ["an unknown field"] = { { definition = "x", input = {} }, "unknown field 'input'; accepted: " },
  } do
    it("refuses " .. name .. " when the definition is checked", function()
      assert.matches(case[2], refused.configuration("batch", case[1]), 1, true)
    end)
  end

  it("needs an engine", function()
    local run = define("top", { batch { inputs = { { n = 1 } } } }):start()
    assert.equal("BLOCKED_BADREQUEST", run:resolve())
    assert.matches("the runner 'batch' starts runs of an engine", run.steps.all.error, 1, true)
  end)

  it("starts each run once, whenever its process dies", function()
    local program = [[
      local step = require "step"
      local path, saves = ...
      local engine = assert(step.engine { store = path, clock = step.manual_clock(1000) })
      engine:add(assert(step.define { name = "kid", inputs = { { name = "n", type = "number" } }, steps = {
        { name = "a", idempotent = true, action = { type = "echo", configuration = { output = "{{.input.n}}" } } } } }))
      engine:add(assert(step.define { name = "top", steps = { { name = "all", action = { type = "batch", configuration = {
        definition = "kid", inputs = { { n = 1 }, { n = 2 }, { n = 3 } }, sub_batch_size = 2 } } } } }))
      assert(engine:start "top")
      local left = tonumber(saves)
      for _, name in ipairs { "save", "create_all" } do
        local method = engine.store[name]
        engine.store[name] = function(...)
          local results = table.pack(method(...))
          left = left - 1
          if left == 0 then os.exit(7) end
          return table.unpack(results, 1, results.n)
        end
      end
      engine:work { until_idle = true }
      os.exit(0)
    ]]
    local moment = 0
    repeat
      moment = moment + 1
      local path, clock = stores.path(), step.manual_clock(2000)
      local output, code = stores.process(program, path, tostring(moment))
      assert.equal("", output)
      local engine = stores.open(path, clock)
      engine:add(assert(step.define { name = "kid", inputs = { { name = "n", type = "number" } }, steps = {
        { name = "a", idempotent = true, action = { type = "echo", configuration = { output = "{{.input.n}}" } } } } }))
      assert(engine:work { until_idle = true })
      assert.same({ "kid DONE", "kid DONE", "kid DONE", "top DONE" }, stores.runs(engine), "moment " .. moment)
      engine:close()
    until code == 0
    assert.is_true(moment > 5)
  end)
end)
