-- Processes as steps: a runner written in Lua that runs a command, several at a time, each with a time-out.
--
--   LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/?.so;;' lua5.4 examples/processes.lua [SECONDS] COMMAND ...
--
-- runs every command in the shell, each for at most SECONDS (default 5), and tells how it ended. What a command prints is its
-- step's output; a command that fails makes its step fail, and the others go on.

local step = require "step"

assert(step.register_runner("command", {
  exec = function(_, _, config, ctx)
    local done, err = ctx:spawn({ "/bin/sh", "-c", config.command }, { timeout = config.seconds, merge_stderr = true })
    if not done then error(step.error.bad_request(tostring(err))) end
    local metadata = { code = done.code, seconds = done.duration }
    if done.timed_out then error(step.error.bad_request(("it took more than %g s"):format(config.seconds))) end
    if done.code ~= 0 then error(step.error.bad_request(done.signal or ("exit status %d: %s"):format(done.code, done.stdout))) end
    return done.stdout, metadata
  end,
  valid_config = function(_, config)
    if type(config) ~= "table" or type(config.command) ~= "string" then return nil, "a command is missing" end
    return true
  end,
  resources = function() return { "process" } end,
}))

local seconds = tonumber(arg[1])
local commands = table.move(arg, seconds and 2 or 1, #arg, 1, {})
if #commands == 0 then
  io.stderr:write("usage: processes.lua [SECONDS] COMMAND ...\n")
  os.exit(2)
end

local engine <close> = assert(step.engine { resource_limits = { process = 4 } })
engine:add(assert(step.define {
  name = "commands",
  steps = {
    { name = "run", foreach = function() return commands end,
      action = { type = "command", configuration = { command = "{{.iterator}}", seconds = seconds or 5 } } },
  },
}))
local run = assert(engine:start "commands")
run:on("transition", function(event)
  local index = event.step and event.step:match "^run%-(%d+)$"
  if not index or event.to == "RUNNING" then return end
  local ended = run.steps[event.step]
  print(("%-12s %s  %s"):format(event.to, commands[tonumber(index) + 1], (tostring(ended.error or ended.output):gsub("%s*$", ""))))
end)
engine:work { until_idle = true }
print(run.state)
