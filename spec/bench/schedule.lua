-- Scheduling: what a step costs beside its function. Three loops over the same graph and the same functions:
--   pcall  a C loop that only calls them, protected, in order: the floor, it schedules nothing
--   kahn   a tight loop in Lua as one writes it by hand: successor lists, a count of open dependencies, a queue
--   step   this engine: def:start {} and run:resolve()
-- kahn's graph is built before its clock starts; step's definition is timed apart.

local M = {}

local SHAPES = { "chain", "fan", "layers", "foreach" }
local SIZES = { 1000, 10000, 100000, 1000000 }

local function noop(_) end

--- Loads what the engine loads when it is first needed.
local function warm(step)
  assert(step.define { name = "warm", steps = { { name = "a", action = noop } } }:start({}):resolve() == "DONE")
end

--- The predecessors of each of n nodes, in an order in which all of them come first.
local shapes = {
  chain = function(n)
    local before = { {} }
    for i = 2, n do before[i] = { i - 1 } end
    return before
  end,
  fan = function(n) -- one, n - 2 beside each other, one
    local before, all = { {} }, {}
    for i = 2, n - 1 do
      before[i] = { 1 }
      all[i - 1] = i
    end
    before[n] = all
    return before
  end,
  layers = function(n) -- as wide as long; each step needs three of the layer before
    math.randomseed(42)
    local width, before = math.floor(n ^ 0.5), {}
    for i = 1, n do
      local first, needed = ((i - 1) // width - 1) * width, {}
      while first >= 0 and #needed < 3 do
        local one = first + math.random(width)
        if one ~= needed[1] and one ~= needed[2] then needed[#needed + 1] = one end
      end
      before[i] = needed
    end
    return before
  end,
}
shapes.foreach = shapes.fan -- for the loops to compare with: a parent, its children, a join

--- The loop to beat. `open` is used up.
local function kahn(functions, successors, open, v)
  local queue, head, tail = {}, 1, 0
  for i = 1, #functions do
    if open[i] == 0 then
      tail = tail + 1
      queue[tail] = i
    end
  end
  while head <= tail do
    local i = queue[head]
    head = head + 1
    functions[i](v)
    local list = successors[i]
    for k = 1, #list do
      local j = list[k]
      local count = open[j] - 1
      open[j] = count
      if count == 0 then
        tail = tail + 1
        queue[tail] = j
      end
    end
  end
  return tail
end

local function successors_of(before)
  local successors, open = {}, {}
  for i = 1, #before do successors[i] = {} end
  for i = 1, #before do
    open[i] = #before[i]
    for _, j in ipairs(before[i]) do
      local list = successors[j]
      list[#list + 1] = i
    end
  end
  return successors, open
end

--- The definition's table, as a person's program would make it.
local function describe(shape, n)
  local steps = {}
  if shape == "foreach" then
    local items = {}
    for i = 1, n - 2 do items[i] = i end
    steps[1] = { name = "each", foreach = function() return items end, action = noop }
    steps[2] = { name = "join", dependencies = { "each" }, action = noop }
  else
    for i, needed in ipairs(shapes[shape](n)) do
      local dependencies = {}
      for k, j in ipairs(needed) do dependencies[k] = "s" .. j end
      steps[i] = { name = "s" .. i, dependencies = dependencies, action = noop }
    end
  end
  return { name = shape, steps = steps }
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

--- All three in turn, several rounds; nanoseconds a step.
local function time(shape, n)
  local step, native = require "step", require "spec.pcall"
  local now = native.now
  warm(step)
  local functions, v = {}, {}
  for i = 1, n do functions[i] = noop end
  local successors, open = successors_of(shapes[shape](n))

  local description = describe(shape, n)
  collectgarbage()
  local t = now()
  local def = assert(step.define(description))
  local define = now() - t
  description = nil -- luacheck: ignore

  local measured = { pcall = {}, kahn = {}, start = {}, resolve = {}, step = {} }
  local rounds = math.max(5, math.min(101, 1000000 // n)) | 1
  for round = 1, rounds do
    collectgarbage()
    t = now()
    native.loop(functions, v)
    measured.pcall[round] = (now() - t) / n

    local counts = table.move(open, 1, n, 1, {})
    collectgarbage()
    t = now()
    local done = kahn(functions, successors, counts, v)
    measured.kahn[round] = (now() - t) / n
    assert(done == n)
    counts = nil -- luacheck: ignore

    collectgarbage()
    t = now()
    local run = def:start {}
    local started = now()
    local state = run:resolve()
    local resolved = now()
    assert(state == "DONE", state)
    measured.start[round] = (started - t) / n
    measured.resolve[round] = (resolved - started) / n
    measured.step[round] = (resolved - t) / n
    run = nil -- luacheck: ignore
  end
  local result = { define = define / n, rounds = rounds }
  for name, list in pairs(measured) do result[name] = median(list) end
  return result
end

local function status(field)
  for line in io.lines("/proc/self/status") do
    local kb = line:match("^" .. field .. ":%s*(%d+) kB")
    if kb then return tonumber(kb) * 1024 end
  end
end

--- Bytes a step that the process grew by: with the definition and the finished run alive, and at the highest point.
local function memory(shape, n)
  local step, native = require "step", require "spec.pcall"
  warm(step)
  collectgarbage()
  native.trim()
  local before = status("VmRSS")
  local def = assert(step.define(describe(shape, n)))
  local run = def:start {}
  assert(run:resolve() == "DONE")
  collectgarbage()
  collectgarbage()
  native.trim()
  local resident = (status("VmRSS") - before) / n
  local peak = (status("VmHWM") - before) / n
  assert(run.state == "DONE")
  return { resident = resident, peak = peak }
end

--- One measurement in a process of its own.
---@param what "time"|"memory"
---@param shape string
---@param n string
function M.child(what, shape, n)
  return (what == "time" and time or memory)(shape, math.tointeger(tonumber(n)))
end

--- Prints the table.
---@param measure fun(...): table
function M.main(measure)
  print("Scheduling: nanoseconds a step (median), resident bytes a step")
  print(("%-8s %8s | %7s %7s %7s | %9s | %7s %7s %7s | %8s %8s"):format(
    "shape", "steps", "pcall", "kahn", "step", "step/kahn", "start", "resolve", "define", "resident", "peak"))
  for _, shape in ipairs(SHAPES) do
    local steps, calls = {}, {}
    for i, n in ipairs(SIZES) do
      local times = measure("schedule", "time", shape, n)
      local bytes = measure("schedule", "memory", shape, n)
      print(("%-8s %8d | %7.1f %7.1f %7.1f | %8.2fx | %7.1f %7.1f %7.1f | %8.0f %8.0f"):format(
        shape, n, times.pcall, times.kahn, times.step, times.step / times.kahn, times.start, times.resolve,
        times.define, bytes.resident, bytes.peak))
      io.stdout:flush()
      steps[i], calls[i] = times.step * n, times.pcall
    end
    -- The two sizes are minutes apart and the machine's speed varies: the bare calls beside each tell how much.
    print(("%17s | from 10^5 to 10^6 steps: %.1f times as long (%.1f as the clock says)"):format("",
      steps[4] / steps[3] * calls[3] / calls[4], steps[4] / steps[3]))
  end
end

return M
