--- Carries a run on to its end: resolves it, waits for its retries, lets time be seen to pass.
--
-- The interpreter turns the first interrupt (Ctrl-C) into an error out of whatever is called; here it cancels the run: no step
-- starts any more, actions that wait are stopped, steps that clean up run. The second one ends the process.

local errors = require "step.error"
local runs = require "step.run"

local M = {}

local function is_interrupt(problem) return tostring(problem):find "interrupted!$" ~= nil end

--- One step on the way; returns true when there is no further one, or what is wrong.
local function advance(run, wait)
  local loop, state = run.loop, run.state
  if state == "RUNNING" then
    if not loop:turn() and run.state == "RUNNING" and not loop:pause() then
      return errors.new("pending", "the run waits for something that nobody here will bring")
    end
  elseif runs.settled(state) then
    return true
  else
    local retry = state == "ERROR" or state == "CRASHED"
    if retry and not wait then return true end
    local due = retry and runs.due(run)
    local left = due and due - loop:now() or 0
    if left > 0 then
      loop:pause(left)
    else
      local started, why = loop:begin(run.core, retry)
      if not started and why ~= "check" then return errors.new("refused", "the run cannot be resolved: it is " .. why) end
    end
  end
end

--- Carries a run on.
---@param run step.Run
---@param options { wait: boolean, tick: fun(now: number), interrupted: fun() }
---@return boolean? ok
---@return step.Error? err   kind "pending": it waits for what never comes
function M.run(run, options)
  while true do
    local ok, ended = pcall(function()
      local stop
      repeat
        stop = advance(run, options.wait)
        options.tick(run.loop:now())
      until stop
      return stop
    end)
    if ok then
      if ended == true then return true end
      return nil, ended
    end
    if not is_interrupt(ended) then error(ended, 0) end
    run:cancel()
    options.interrupted()
  end
end

return M
