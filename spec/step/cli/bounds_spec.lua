-- --max-concurrent and --limit: how much may go on at a time.

local bounds = require "step.cli.bounds"
local cli = require "spec.support.cli"
local step = require "step"

step.register_runner("bounds-slow", function(_, _, _, ctx) ctx:sleep(5) end)

local TEXT = [[
name: slow
steps:
  a: {resources: [db], action: {type: bounds-slow}}
  b: {resources: [db], action: {type: bounds-slow}}
  c: {resources: [db], action: {type: bounds-slow}}
]]

describe("the options", function()
  for text, accepted in pairs {
    ["db=2"] = { name = "db", limit = 2 }, ["a=b=0"] = { name = "a=b", limit = 0 },
    ["api=10/60"] = { name = "api", limit = { limit = 10, per = 60 } },
    ["api=1/0.5"] = { name = "api", limit = { limit = 1, per = 0.5 } },
    ["api=3/1m30s"] = { name = "api", limit = { limit = 3, per = 90 } },
  } do
    it("accept --limit " .. text, function() assert.same(accepted, bounds.limit(text)) end)
  end

  for _, text in ipairs {
    "", "db", "db=", "=2", "db=-1", "db=1.5", "db=x", "db=2/", "db=2/x", "db=2/0", "db=2/-1", "db=2/nan", "db=2x", "db=2/1s/3",
    "db=99999999999999999999", "db=4294967296", "api=1000001/1s",
  } do
    it(("refuse --limit '%s'"):format(text), function()
      local limit, message = bounds.limit(text)
      assert.is_nil(limit)
      assert.equal("--limit " .. text .. ": ", message:sub(1, #text + 10))
    end)
  end

  it("accept a whole number from 1 for --max-concurrent", function()
    assert.equal(3, bounds.count "3")
    for _, text in ipairs { "0", "-1", "1.5", "x", "" } do
      assert.same({ nil, ("--max-concurrent: a whole number from 1 is expected, found '%s'"):format(text), n = 2 },
        table.pack(bounds.count(text)))
    end
  end)

  it("make one limit of a number and a rate, but not of two numbers", function()
    local function of(...)
      local list = {}
      for i, text in ipairs { ... } do list[i] = bounds.limit(text) end
      return bounds.of { max_concurrent = 4, bounds = list }
    end
    assert.same({ max_concurrent = 4 }, of())
    local both = { max_concurrent = 4, resource_limits = { api = { limit = 10, per = 60.0, concurrent = 3 }, db = 1 } }
    assert.same(both, of("api=10/60", "api=3", "db=1"))
    assert.same(both, of("db=1", "api=3", "api=10/60"))
    assert.same({ nil, "--limit: 'db' has two", n = 2 }, table.pack(of("db=1", "db=2")))
    assert.same({ nil, "--limit: 'db' has two", n = 2 }, table.pack(of("db=1/60", "db=2/1h")))
  end)
end)

describe("how much goes on at a time", function()
  after_each(cli.clean)

  --- How long a command needs for three steps of 5 seconds.
  local function took(...)
    local store = cli.store { ["s.yaml"] = TEXT }
    local id = store.start "@s.yaml"
    local words = { ... }
    for i, word in ipairs(words) do words[i] = word == "ID" and id or word end
    local done = store.run(table.unpack(words))
    assert.same({ 0, "" }, { done.status, done.err })
    return store.clock.now()
  end

  for name, command in pairs {
    work = { "work", "--until-idle", "-q" }, resume = { "resume", "ID", "-q" }, retry = { "retry", "ID", "-q" },
    ["run with a store"] = { "run", "@s.yaml", "-q" },
  } do
    it("is what the options of luastep " .. name .. " say (S4.4)", function()
      local function with(...)
        local words = table.move(command, 1, #command, 1, {})
        return took(table.unpack(table.move({ ... }, 1, select("#", ...), #words + 1, words)))
      end
      assert.near(5, with(), 1e-6)
      assert.near(15, with("--max-concurrent", "1"), 1e-6)
      assert.near(10, with("--limit", "db=2"), 1e-6)
      assert.near(125, with("--limit", "db=1/60"), 1e-6)
      assert.near(65, with("--limit", "db=2/1m", "--limit=db=2"), 1e-6)
    end)
  end

  it("is what they say for a run in memory, too", function()
    local folder = cli.folder { ["s.yaml"] = TEXT }
    local function with(...)
      local clock = step.manual_clock(0)
      assert.same({ status = 0, out = "", err = "" }, cli.run({ "run", folder .. "/s.yaml", "-q", ... }, { clock = clock }))
      return clock.now()
    end
    assert.near(5, with(), 1e-6)
    assert.near(15, with("--max-concurrent", "1"), 1e-6)
    assert.near(10, with("--limit", "db=2"), 1e-6)
    assert.near(65, with("--limit", "db=2/60"), 1e-6)
  end)

  it("is refused with a word of what is wrong: status 3", function()
    local store = cli.store { ["s.yaml"] = TEXT }
    for _, case in ipairs { { "--limit", "db" }, { "--max-concurrent", "0" }, { "--limit", "db=1", "--limit", "db=2" } } do
      for _, command in ipairs { "work", "run" } do
        local done = store.run(command, "@s.yaml", table.unpack(case))
        assert.same({ 3, "" }, { done.status, done.out })
        assert.matches("^luastep: %-%-", done.err)
      end
      local done = cli.run { "run", (store.path:gsub("[^/]*$", "s.yaml")), table.unpack(case) }
      assert.equal(3, done.status)
    end
  end)
end)
