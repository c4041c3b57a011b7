-- Waiting: 10^4 actions that sleep for a second, as steps of a run, as children of a foreach step, and as runs of an engine; beside as
-- many coroutines with a timer of luv's each. How long it takes, from the definition on, and the process's memory and threads.

local M = {}

local COUNT, SECONDS = 10000, 1

local function now()
  local core = require "step.core"
  return core.now()
end

--- Numbers that Linux knows of this process: VmHWM in kB, Threads.
local function status(name)
  local file <close> = assert(io.open "/proc/self/status")
  return tonumber(file:read("a"):match(name .. ":%s*(%d+)"))
end

local function sleeping()
  return { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(SECONDS) end } }
end

local function steps_of(n)
  local steps = {}
  for i = 1, n do steps[i] = { name = "s" .. i, action = sleeping() } end
  return steps
end

local ways = {}

function ways.luv()
  local uv, ended = require "luv", 0
  for _ = 1, COUNT do
    coroutine.wrap(function()
      local co, timer = coroutine.running(), uv.new_timer()
      timer:start(SECONDS * 1000, 0, function() coroutine.resume(co) end)
      coroutine.yield()
      timer:close()
      ended = ended + 1
    end)()
  end
  uv.run()
  assert(ended == COUNT)
end

local function one_run(steps)
  local step = require "step"
  local run = assert(step.define { name = "waiting", steps = steps }):start {}
  assert(run:resolve() == "DONE")
end

function ways.steps() one_run(steps_of(COUNT)) end

function ways.children()
  local items = {}
  for i = 1, COUNT do items[i] = i end
  one_run { { name = "each", foreach = function() return items end, action = sleeping() } }
end

function ways.runs()
  local step = require "step"
  local engine <close> = assert(step.engine())
  engine:add(assert(step.define { name = "waiting", steps = steps_of(1) }))
  for _ = 1, COUNT do assert(engine:start "waiting") end
  assert(engine:work { until_idle = true })
  for run in engine:list {} do assert(run.state == "DONE") end
end

--- One measurement.
function M.child(way)
  local begun, cpu = now(), os.clock()
  ways[way]()
  return { seconds = now() - begun, cpu = os.clock() - cpu, memory = status "VmHWM" / 1024, threads = status "Threads" }
end

function M.main(measure)
  print(("Waiting: %d actions that sleep for %d s, all of them at a time"):format(COUNT, SECONDS))
  print "as           seconds |   cpu s | MB at most | threads"
  for _, way in ipairs { "luv", "steps", "children", "runs" } do
    local r = measure("waiting", way)
    print(("%-10s %9.2f | %7.2f | %10.1f | %7d"):format(way, r.seconds, r.cpu, r.memory, r.threads))
  end
end

return M
