-- Replays a real workflow: a file in WfFormat 1.5 (wfcommons.org), each task a step that takes as long as it was
-- measured to take, under a clock that does not wait.
--
--   lua5.4 examples/wfformat.lua FILE
--
-- It shows a runner, waiting without blocking the others, and a clock of one's own.

local step = require "step"

local path = arg[1]
if not path then
  io.stderr:write("usage: lua5.4 examples/wfformat.lua FILE\n")
  os.exit(2, true)
end

local function read(name)
  local file <close> = assert(io.open(name, "rb"))
  return file:read("a")
end

-- The clock: seconds since the start. When every task that runs is asleep, the engine sleeps until the first of them
-- is to wake, and here that takes no time.
local time = 0
local clock = {
  now = function() return time end,
  sleep = function(seconds) time = time + seconds end,
}

-- The runner: a task does nothing but take its time.
assert(step.register_runner("measured task", {
  exec = function(_, _, config, ctx)
    ctx:sleep(config.seconds)
    return { seconds = config.seconds }
  end,
}))

-- The definition: a task is a step, its parents are what it depends on.
local workflow = assert(step.json.decode(read(path))).workflow
local seconds, parents, steps = {}, {}, {}
for _, task in ipairs(workflow.execution.tasks) do seconds[task.id] = task.runtimeInSeconds end
for i, task in ipairs(workflow.specification.tasks) do
  parents[task.id] = task.parents
  steps[i] = {
    name = task.id,
    description = task.name,
    dependencies = task.parents,
    action = { type = "measured task", configuration = { seconds = seconds[task.id] or 0 } },
  }
end
local definition = assert(step.define { name = "wfformat", steps = steps })

-- The critical path: when a task ends, all its parents have, so the longest way to it is known.
local longest, last, before = {}, nil, {}
local function ended(id)
  local way = 0
  for _, parent in ipairs(parents[id]) do
    if longest[parent] > way then way, before[id] = longest[parent], parent end
  end
  longest[id] = way + (seconds[id] or 0)
  if not last or longest[id] > longest[last] then last = id end
end

local run = assert(definition:start { clock = clock })
run:on("transition", function(event)
  if event.to == "DONE" then ended(event.step) end
end)

local cpu = os.clock()
local state = assert(run:resolve())
cpu = os.clock() - cpu

local critical, total = {}, 0
local at = last
while at do
  table.insert(critical, 1, at)
  at = before[at]
end
for id in pairs(parents) do total = total + (seconds[id] or 0) end

print(("%s: %d tasks, %s"):format(path:match("[^/]+$"), #steps, state))
print(("makespan       %10.3f s   (%.3f s of work, %.1f tasks at a time on average)"):format(
  time, total, time > 0 and total / time or 0))
print(("critical path  %10.3f s   %d tasks:"):format(longest[last], #critical))
for _, id in ipairs(critical) do print(("  %-60s %10.3f s"):format(id, seconds[id] or 0)) end
print(("engine         %10.0f steps per second of engine time"):format(#steps / math.max(cpu, 1e-9)))
