--- What works outside of the loop, in luv's: processes and the thread pool. Loads luv with the first of it; tells a loop to drive
-- luv while it has something there, and when it is closed to end it.
--
-- Everything lives in luv's default loop, so a program that runs luv itself (uv.run()) drives it as well and only has to call the
-- engine now and then. libuv cannot be run from inside one of its callbacks: there nothing is driven, and a run that has nothing
-- else to wait for is "pending" (run:resolve says so); it goes on when it is asked outside of the callback.

local core = require "step.core"

local M = {}

---@class step.outside.Job
---@field yard? step.outside.Yard    while it is at work
---@field loop? userdata              likewise
---@field last? table
---@field waits boolean               the program must see it end before it ends itself
---@field stop fun(self: step.outside.Job, now: boolean)   ends it; now: at once, else as soon as it can

---@class step.outside.Yard
---@field jobs table<step.outside.Job, boolean>
---@field count integer
---@field shut? boolean    its loop is closed

local uv
local yards = setmetatable({}, { __mode = "k" }) ---@type table<userdata, step.outside.Yard>

--- Seconds that a process has between the request to end and its end by force.
M.GRACE = 2

local HOPELESS = 2e9 -- nanoseconds: what has not ended so long after it was forced to does not end

--- luv, loaded now if it was not.
---@return table
function M.luv()
  uv = uv or core.load_apart "luv"
  return uv
end

--- Lets luv close what was closed, outside of its callbacks.
function M.tidy()
  if not uv.loop_mode() then uv.run "nowait" end
end

--- Lets luv do what it can do now.
---@return integer? fd    to wait for its next event; nil inside of its callbacks
---@return integer? within  milliseconds until it has a timer; -1: none
local function drive()
  if uv.loop_mode() then return nil end
  uv.run "nowait"
  uv.update_time()
  return uv.backend_fd(), uv.backend_timeout()
end

--- Ends all jobs of some yards and waits until they are gone, those that do not hear for the grace only.
local function clear(list)
  local function each(now)
    for _, yard in pairs(list) do
      local jobs = {} -- they leave the yard meanwhile
      for job in pairs(yard.jobs) do jobs[#jobs + 1] = job end
      for _, job in ipairs(jobs) do job:stop(now) end
    end
  end
  local function busy()
    for _, yard in pairs(list) do
      for job in pairs(yard.jobs) do
        if job.waits then return true end
      end
    end
  end
  local inside = uv.loop_mode() ~= nil -- a callback of the program's: its loop goes on with it
  each(inside)
  if inside then return end
  local over = uv.hrtime() + M.GRACE * 1e9
  local forced = false
  while busy() do
    uv.run "nowait"
    if busy() then uv.sleep(1) end
    if uv.hrtime() > over then
      if forced then return end -- the system does not let it end
      forced, over = true, over + HOPELESS
      each(true)
    end
  end
  uv.run "nowait" -- what they have closed
end

-- At the end of the program nobody closes a loop, but what is younger is finalized first: this, then the handles of the job it
-- belongs to, those of older jobs, luv.
local Last = { __gc = function(last)
  if last.job.yard then clear(yards) end
end }

--- The yard of a loop.
local function yard_of(loop)
  local yard = yards[loop]
  if yard then return yard end
  yard = { jobs = {}, count = 0 }
  yards[loop] = yard
  return yard
end

--- A job is at work for a loop from now on. It has all its handles already.
---@param job step.outside.Job
---@param loop userdata
function M.enter(job, loop)
  M.luv()
  local yard = yard_of(loop)
  job.yard, job.loop, job.last = yard, loop, setmetatable({ job = job }, Last)
  yard.jobs[job] = true
  yard.count = yard.count + 1
  if yard.count == 1 then
    loop:outside(drive, function()
      yard.shut = true
      clear { yard }
    end)
  end
end

--- It is not any more.
---@param job step.outside.Job
function M.leave(job)
  local yard, loop = job.yard, job.loop
  if not yard then return end
  job.yard, job.loop, job.last = nil, nil, nil
  yard.jobs[job] = nil
  yard.count = yard.count - 1
  if yard.count == 0 and not yard.shut then loop:outside(nil, nil) end
end

--- How many jobs are at work for all loops: for specs that look for leaks.
---@return integer
function M.count()
  local n = 0
  for _, yard in pairs(yards) do n = n + yard.count end
  return n
end

return M
