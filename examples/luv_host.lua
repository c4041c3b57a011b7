-- A program with a loop of its own, luv's, and an engine inside of it: the program has its timers and files, the engine takes its
-- turns between them and never waits.
--
--   LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/?.so;;' lua5.4 examples/luv_host.lua [FILE [SECONDS]]
--
-- shows a clock that ticks five times while a workflow looks at FILE (default: this program): a process counts its lines, luv's
-- file functions tell its size, and a third step sleeps for SECONDS (default 1).

local uv = require "luv"
local step = require "step"

local path, seconds = arg[1] or arg[0], tonumber(arg[2]) or 1

local function lua_action(fn) return { type = "lua", configuration = { fn = fn } } end

local def = assert(step.define {
  name = "look",
  steps = {
    { name = "lines", action = lua_action(function(_, ctx) -- a process is a handle of the loop that the program runs
      local done = assert(ctx:spawn { "wc", "-l", path })
      if done.code ~= 0 then error(step.error.bad_request("wc: " .. done.stderr)) end
      return math.tointeger(done.stdout:match "%d+")
    end) },
    { name = "size", action = lua_action(function(_, ctx) -- what luv calls back resumes the step
      local problem, stat = ctx:await(function(resume) uv.fs_stat(path, resume) end)
      if problem then error(step.error.bad_request(problem)) end
      return stat.size
    end) },
    { name = "rest", action = lua_action(function(_, ctx) ctx:sleep(seconds) end) },
    { name = "report", dependencies = { "lines", "size", "rest" }, action = function(v)
      return ("%s: %d lines, %d bytes"):format(path, v.step.lines.output, v.step.size.output)
    end },
  },
})

local engine <close> = assert(step.engine())
engine:add(def)

-- The engine's turn comes before luv waits, whatever was called since; and a timer ends that wait when the engine is needed next.
-- Neither keeps the loop alive when the engine has nothing to do.
local turn, alarm = uv.new_prepare(), uv.new_timer()

local function take_turn()
  local progress, err = engine:step()
  if progress == nil then error(tostring(err)) end
  local wait = progress and 0 or engine:timeout() -- after progress luv has its turn first, then the engine again
  uv.update_time()
  if wait then alarm:start(math.ceil(wait * 1000), 0, function() end) else alarm:stop() end
end

turn:start(take_turn)
turn:unref()

-- From here on it is the program's own affair.
local begun, clock, ticks = uv.hrtime(), uv.new_timer(), 0
local function elapsed() return (uv.hrtime() - begun) / 1e9 end

clock:start(0, math.max(math.ceil(seconds * 200), 1), function()
  ticks = ticks + 1
  print(("tick %d"):format(ticks))
  if ticks == 5 then clock:close() end
end)

local run = assert(engine:start "look")
run:on("transition", function(event)
  if event.step and event.to ~= "RUNNING" then print(("%-6s %s"):format(event.step, event.to)) end
end)

take_turn() -- for a loop without anything to wait for does not begin
uv.run() -- until the clock has ended and the engine has nothing to do

for _, handle in ipairs { turn, alarm } do handle:close() end
uv.run()
print(("%s after %.1f s: %s"):format(run.state, elapsed(), run.steps.report.output or run.error or "no report"))
os.exit(run.state == "DONE", true)
