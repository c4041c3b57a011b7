-- step.hooks: whom an engine tells of what happens to its runs (what µTask's notify tells), and when.

local step = require "step"
local stores = require "spec.support.stores"

local define = stores.define

local function noted(engine, ...)
  local seen = {}
  for _, event in ipairs { ... } do
    engine:on(event, function(run, ...)
      local words = { event, run.definition.name, ... }
      for i, word in ipairs(words) do words[i] = tostring(word) end
      seen[#seen + 1] = table.concat(words, " ")
    end)
  end
  return seen
end

for where, site in stores.each() do describe("hooks of an engine, " .. where .. ",", function()
  after_each(stores.clean)

  it("state and step: every change of a run and of its steps, in order", function()
    local here = site(define("x", { { name = "a", action = function() end }, { name = "b", dependencies = { "a" },
      action = function() error("no", 0) end } }))
    local seen = noted(here.engine, "state", "step")
    assert(here.engine:start "x"):resolve()
    assert.same({ "state x TODO RUNNING", "step x a TODO RUNNING", "step x a RUNNING DONE", "step x b TODO RUNNING",
      "step x b RUNNING SERVER_ERROR no", "state x RUNNING ERROR" }, seen)
  end)

  for name, case in pairs {
    done = { "DONE", function() end },
    failed = { "ERROR", function() error("no", 0) end },
    blocked = { "BLOCKED_BADREQUEST", function() error(step.error.bad_request "no") end },
    waiting = { "WAITING", function() error(step.error.not_assigned "somebody") end },
  } do
    it(name .. ": a run has become " .. case[1], function()
      local here = site(define("x", { { name = "a", action = case[2] } }))
      local seen = noted(here.engine, "done", "failed", "blocked", "waiting", "cancelled")
      assert.equal(case[1], assert(here.engine:start "x"):resolve())
      assert.same({ name .. " x" }, seen)
    end)
  end

  it("cancelled: of a run, and of its children", function()
    local here = site(define("kid", { { name = "a", action = function() end } }),
      define("top", { { name = "call", action = { type = "workflow", configuration = { definition = "kid" } } } }))
    local seen = noted(here.engine, "cancelled")
    local run = assert(here.engine:start "top")
    run:resolve()
    assert(run:cancel())
    table.sort(seen)
    assert.same({ "cancelled kid", "cancelled top" }, seen)
  end)

  it("tells of runs that are there already, and of those another engine has started", function()
    local here = site(define("x", { { name = "a", action = function() end } }))
    assert(here.engine:start "x")
    local engine = here.restart()
    local seen = noted(engine, "done")
    assert(engine:work { until_idle = true })
    assert.same({ "done x" }, seen)
  end)

  it("is not stopped by a hook that fails, whatever it throws", function()
    warn "@off"
    local here = site(define("x", { { name = "a", action = function() end } }))
    for _, problem in ipairs { "text", {}, setmetatable({}, { __tostring = function() error "again" end }) } do
      for _, event in ipairs { "state", "step", "done", "transition" } do here.engine:on(event, function() error(problem) end) end
    end
    local seen = noted(here.engine, "done")
    assert.equal("DONE", assert(here.engine:start "x"):resolve())
    assert.same({ "done x" }, seen)
    warn "@on"
  end)

  it("lets a hook do anything: start runs, cancel this one, close the engine", function()
    local here = site(define("x", { { name = "a", action = function() end } }), define("y", { { name = "b", action = function() end } }))
    local ended = {}
    here.engine:on("done", function(run)
      ended[#ended + 1] = run.definition.name
      if run.definition.name == "x" then assert(here.engine:start "y") else here.engine:close() end
    end)
    assert(here.engine:start "x")
    here.engine:work { until_idle = true }
    assert.same({ "x", "y" }, ended)
  end)
end) end

describe("hooks of an engine on a file", function()
  after_each(stores.clean)

  it("are told when it is stored, and not of what was lost", function()
    local path, clock = stores.path(), step.manual_clock(1000)
    local engine = stores.open(path, clock, define("x", { { name = "a", action = function() end } }))
    local stored = {}
    engine:on("state", function(run, _, to) stored[#stored + 1] = to == engine.store:get(run.id).state end)
    assert.equal("DONE", assert(engine:start "x"):resolve())
    assert.same({ true, true }, stored)
    local run = assert(engine:start "x")
    local seen = noted(engine, "state", "lost")
    engine.store.save = function() return nil, step.error.new("store", "the disk is full", { code = "full" }) end
    assert.is_nil((run:resolve()))
    assert.equal(1, #seen)
    assert.matches("^lost x", seen[1])
  end)
end)
