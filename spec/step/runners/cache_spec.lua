-- step.runners.cache: values that outlive a run (µTask's cache).

local refused = require "spec.support.refused"
local step = require "step"
local stores = require "spec.support.stores"

local define = stores.define

local function cache(configuration)
  return define("cache", { { name = "a", action = { type = "cache", configuration = configuration } } })
end

--- The output of one action on an engine.
local function does(engine, configuration)
  engine:add(cache(configuration))
  local run = assert(engine:start "cache")
  assert.equal("DONE", run:resolve())
  return run.steps.a.output
end

for where, site in stores.each() do describe("the runner cache, " .. where .. ",", function()
  after_each(stores.clean)

  it("sets, gets and deletes what any run of the engine sees, over restarts", function()
    local here = site()
    assert.same({ key = "k", hit = false, value = step.json.null }, does(here.engine, { action = "get", key = "k" }))
    for _, value in ipairs { 5, "text", false, step.json.null, { a = { 1, 2 } }, step.json.array {}, math.maxinteger, 0.1 } do
      assert.same({ key = "k", cached = true }, does(here.engine, { action = "set", key = "k", value = value }))
      here.restart()
      assert.same({ key = "k", hit = true, value = value }, does(here.engine, { action = "get", key = "k" }))
    end
    assert.same({ key = "k", deleted = true }, does(here.engine, { action = "delete", key = "k" }))
    assert.same({ key = "k", deleted = true }, does(here.engine, { action = "delete", key = "k" }))
    assert.is_false(does(here.engine, { action = "get", key = "k" }).hit)
  end)

  it("forgets a value when its time is over", function()
    for _, ttl in ipairs { 60, "60", "1m", "{{add 30 30}}" } do
      local here = site()
      does(here.engine, { action = "set", key = "k", value = 1, ttl = ttl })
      here.clock.advance(59)
      assert.is_true(does(here.engine, { action = "get", key = "k" }).hit)
      here.clock.advance(1)
      assert.is_false(does(here.engine, { action = "get", key = "k" }).hit)
    end
  end)

  it("keeps a value for ever without a ttl, with 0 and with an empty one", function()
    for _, ttl in ipairs { step.json.null, 0, "0", "" } do
      local here = site()
      does(here.engine, { action = "set", key = "k", value = 1, ttl = ttl })
      here.clock.advance(1e9)
      assert.is_true(does(here.engine, { action = "get", key = "k" }).hit)
    end
  end)

  it("gives a value of its own to everybody (D3)", function()
    local here = site(define("change", { { name = "a", action = function(v)
      v.step.b.output.value.x = "changed"
    end, dependencies = { "b" } }, { name = "b", action = { type = "cache", configuration = { action = "get", key = "k" } } } }))
    does(here.engine, { action = "set", key = "k", value = { x = "as it was" } })
    local run = here.engine:start "change"
    run:resolve()
    assert.equal("as it was", does(here.engine, { action = "get", key = "k" }).value.x)
  end)
end) end

describe("the runner cache", function()
  it("has one cache for all runs without an engine", function()
    assert.equal("DONE", cache { action = "set", key = "cache spec", value = { 1 } }:start():resolve())
    local run = cache { action = "get", key = "cache spec" }:start()
    run:resolve()
    assert.same({ key = "cache spec", hit = true, value = { 1 } }, run.steps.a.output)
  end)

  for name, case in pairs {
    ["no action"] = { { key = "k" }, "action: get, set or delete is expected" },
    ["an unknown action"] = { { action = "gte", key = "k" }, 'action: found "gte"; accepted: get, set, delete' },
    ["no key"] = { { action = "get" }, "key: a text that is not empty is expected" },
    ["an empty key"] = { { action = "get", key = "" }, "key: a text that is not empty is expected" },
    ["a key that is no text"] = { { action = "get", key = {} }, "key: a text is expected" },
    ["a ttl that is none"] = { { action = "set", key = "k", ttl = "soon" }, "ttl: " },
    ["a ttl below 0"] = { { action = "set", key = "k", ttl = -1 }, "ttl: 0 seconds or more are expected, found -1" },
  } do
    it("refuses " .. name .. " when the definition is checked", function()
      assert.matches(case[2], refused.configuration("cache", case[1]), 1, true)
    end)
  end
end)
