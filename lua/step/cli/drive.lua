--- Carries a run on to its end: resolves it, waits for its retries, lets time be seen to pass.
--
-- A run of a store may meanwhile be in the hands of another engine; then it is watched until that has let go of it.

local errors = require "step.error"
local runs = require "step.run"

local M = {
  patience = 0.1, -- the most seconds between two looks at whether to stop
}

---@class step.cli.DriveOptions
---@field wait boolean            for retries
---@field now? boolean            begin at once, as a person who asks for it, whatever the state
---@field shared? boolean         with `now`: the run was made due, a worker may have been quicker than we: then it is watched
---@field tick fun(now: number)   called again and again
---@field stop? fun(): boolean    whether to stop; asked again and again until it is so
---@field stopped? fun()          called then: it is to cancel or to pause the run
---@field watch? fun()            another engine works on the run, or has done so: called after each look at it, and at the end
---@field engine? step.Engine     in memory, with this run and those that it starts: all of them are carried on

--- Whether a resolve of the run goes on here.
local function active(run) return run.state == "RUNNING" and select(6, run.core:status()) end

--- Waits for so long, or for what comes; false: nothing will.
local function pause(run, options, seconds)
  if options.stop then seconds = math.min(seconds or math.huge, M.patience) end
  return run.loop:pause(seconds)
end

--- A look at a run that another engine works on.
local function watch(run, options)
  run.loop:pause(options.stop and M.patience or run.keeper.poll)
  local ok, err = run.keeper:refresh(run)
  if not ok then return err end
  options.watch()
end

--- One step on the way; returns true when there is no further one, or what is wrong.
local function advance(run, options)
  local state = run.state
  if state == "CLOSED" then return run.lost or errors.new("closed", "the run is closed") end
  if active(run) then
    if not run.loop:turn() and active(run) and not pause(run, options) then
      return errors.new("pending", "the run waits for something that nobody here will bring")
    end
  elseif runs.settled(state) then
    return true
  else
    local retry = state == "ERROR" or state == "CRASHED"
    if retry and not options.wait then return true end
    local due = retry and runs.due(run)
    local left = due and due - run.loop:now() or 0
    if left > 0 then
      pause(run, options, left)
    else
      local begun, err = run:begin(true)
      if begun == nil then
        if err.kind ~= "busy" then return err end
        return watch(run, options)
      end
    end
  end
end

--- Likewise of a run of an engine in memory, and of the runs that it starts.
local function advance_all(run, options)
  local engine = options.engine
  local progress, err = engine:step()
  if progress == nil then return err end
  if progress then return nil end
  local state = run.state
  if engine.loop:active() then
    if not pause(run, options, engine:timeout()) then
      return state ~= "WAITING" and runs.settled(state)
        or errors.new("pending", "the run waits for something that nobody here will bring")
    end
  elseif state ~= "WAITING" and runs.settled(state) or not engine.keeper:going_on() then
    return true
  else
    local left = engine:timeout() or 0
    if left > 0 and not options.wait then return true end
    pause(run, options, left)
  end
end

--- Carries a run on.
---@param run step.Run
---@param options step.cli.DriveOptions
---@return boolean? ok
---@return step.Error? err   kind "pending": it waits for what never comes; "interrupted": it goes on elsewhere
function M.run(run, options)
  local stopped = false
  local ended
  local step_on = options.engine and advance_all or advance
  if options.now then
    local begun, err = run:begin(false)
    local elsewhere = begun == nil and options.shared and (err.kind == "busy" or runs.settled(run.state))
    if begun == nil and not elsewhere then return nil, err end
  end
  repeat
    if options.stop and not stopped and options.stop() then
      stopped = true
      if run.state == "RUNNING" and not active(run) then
        return nil, errors.new("interrupted", "another engine goes on with the run")
      end
      options.stopped()
    end
    ended = step_on(run, options)
    options.tick(run.loop:now())
  until ended
  if ended ~= true then return nil, ended end
  if run.keeper and not options.engine and options.watch then options.watch() end -- its end may have come after the last look
  return true
end

return M
