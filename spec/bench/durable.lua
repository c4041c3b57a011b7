-- Durable runs on SQLite: a chain, whose every step costs one commit, and a fan of 1000, beside the bare commits of the same
-- settings: a transaction that changes one row and adds one of the size of a step's. And how long it takes to go on with 10^4
-- and with 10^5 steps.

local temp = require "spec.support.temp"

local M = {}

local COMMITS, FAN, ROUNDS = 1000, 1000, 11
local LOADED = { 10000, 100000 }

local function now()
  local core = require "step.core"
  return core.now()
end

local function nothing() end

local function chain(step, n)
  local steps = {}
  for i = 1, n do steps[i] = { name = "s" .. i, dependencies = i > 1 and { "s" .. i - 1 } or nil, action = nothing } end
  return assert(step.define { name = "chain", steps = steps })
end

local function fan(step, n)
  local steps = {}
  for i = 1, n do steps[i] = { name = "s" .. i, action = nothing } end
  return assert(step.define { name = "fan", steps = steps })
end

--- Bare commits a second, of a file that an engine has made.
local function raw(path, exclusive, n)
  local opening = require "step.store.sqlite.open"
  local db = assert(opening.open(path, { exclusive = exclusive })).db
  assert(db:exec "CREATE TABLE IF NOT EXISTS bare (number INTEGER PRIMARY KEY, text TEXT); CREATE TABLE IF NOT EXISTS bare_run (n INTEGER)")
  assert(db:exec "INSERT INTO bare_run VALUES (0)")
  local text = ("x"):rep(60)
  local start = now()
  for i = 1, n do
    assert(db:begin())
    assert(db:run("UPDATE bare_run SET n = ?", i))
    assert(db:run("INSERT INTO bare (text) VALUES (?)", text))
    assert(db:commit())
  end
  local rate = n / (now() - start)
  db:close()
  return rate
end

--- Steps a second of one run of a definition.
local function durable(path, exclusive, make, n)
  local step = require "step"
  local engine <close> = assert(step.engine { store = path, exclusive = exclusive })
  local def = make(step, n)
  engine:add(def)
  local run = assert(engine:start(def.name))
  local start = now()
  assert(run:resolve() == "DONE")
  return n / (now() - start)
end

--- Seconds to load a run of many steps and to finish it, a hundredth of its steps being left.
local function load_and_go_on(path, count)
  local step = require "step"
  local steps, stop = {}, true
  for i = 1, count do
    steps[i] = { name = "s" .. i, action = i % 100 == 0 and function() if stop then error("stopped", 0) end end or nothing }
  end
  local def = assert(step.define { name = "large", steps = steps })
  local engine = assert(step.engine { store = path, exclusive = true })
  engine:add(def)
  local id = assert(engine:start "large").id
  assert(engine:resolve(id) == "ERROR")
  engine:close()
  stop = false
  collectgarbage()
  local start = now()
  engine = assert(step.engine { store = path, exclusive = true })
  engine:add(def)
  local run = assert(engine:run(id))
  assert(run.steps.s100.state == "SERVER_ERROR")
  local loaded = now()
  assert(run:resolve() == "DONE")
  local finished = now()
  engine:close()
  return loaded - start, finished - loaded
end

function M.child(what, mode)
  local path, exclusive = temp.path(), mode == "wal"
  if what == "load" then
    local load, finish = load_and_go_on(path, tonumber(mode))
    temp.clean()
    return { load = load, finish = finish }
  end
  local taken = { raw = {}, chain = {}, fan = {}, timeschain = {}, timesfan = {} }
  durable(path, exclusive, chain, 10)
  for round = 1, ROUNDS do
    local bare, chained
    if round % 2 == 0 then -- interleaved, and neither always first
      bare, chained = raw(path, exclusive, COMMITS), durable(path, exclusive, chain, COMMITS)
    else
      chained, bare = durable(path, exclusive, chain, COMMITS), raw(path, exclusive, COMMITS)
    end
    local fanned = durable(path, exclusive, fan, FAN)
    taken.raw[round], taken.chain[round], taken.fan[round] = bare, chained, fanned
    taken.timeschain[round], taken.timesfan[round] = chained / bare, fanned / bare
  end
  temp.clean()
  local median = {}
  for name, list in pairs(taken) do
    table.sort(list)
    median[name] = list[ROUNDS // 2 + 1]
  end
  return median
end

function M.main(measure)
  print "Durable runs: steps a second, and times the bare commits of the same file settings beside them (medians)"
  print "journal    commits/s |  chain/s           |    fan/s"
  for _, mode in ipairs { "wal", "rollback" } do
    local r = measure("durable", "commits", mode)
    print(("%-8s %11.0f | %8.0f %8.2fx | %8.0f %8.1fx"):format(mode, r.raw, r.chain, r.timeschain, r.fan, r.timesfan))
  end
  local before
  for _, count in ipairs(LOADED) do
    local r = measure("durable", "load", tostring(count))
    print(("a run of %d steps is loaded in %.2f s; its failed hundredth runs and is stored in %.2f s%s"):format(count, r.load, r.finish,
      before and ("; both together %.1f times as long"):format((r.load + r.finish) / before) or ""))
    before = r.load + r.finish
  end
end

return M
