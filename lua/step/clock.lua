--- The clock: the one thing that tells time, and the loops that go by it.
--
-- A clock is a function that returns seconds since the epoch, or a table with `now` and, so that nobody waits for real,
-- `sleep(seconds)`: what a loop calls when it has nothing to do until then.

local core = require "step.core"

local M = {}

---@class step.Clock
---@field now fun(): number            seconds since the epoch
---@field sleep? fun(seconds: number)  lets that time pass

local default
local loops = setmetatable({}, { __mode = "k" }) ---@type table<any, userdata>

--- Makes a loop that goes by a clock.
---@param clock? step.Clock|fun(): number   default: the system's
---@param options? { acquire_timeout?: number, max_concurrent?: integer }
---@param level? integer    whom to blame for what is no clock; default: who called the function that calls this
---@return userdata
function M.new_loop(clock, options, level)
  options = options or {}
  local now, sleep
  if type(clock) == "function" then
    now = clock
  elseif clock ~= nil then
    if type(clock) ~= "table" or type(clock.now) ~= "function" then
      error("a clock is a function, or a table with the function `now` and perhaps `sleep`", (level or 2) + 1)
    end
    now, sleep = clock.now, clock.sleep
  end
  return core.loop { clock = now, wait = sleep, acquire_timeout = options.acquire_timeout, max_concurrent = options.max_concurrent }
end

--- The loop of all runs that go by a clock and belong to no engine.
---@param clock? step.Clock|fun(): number
---@param level? integer    whom to blame for what is no clock; default: who called the function that calls this
---@return userdata
function M.loop(clock, level)
  if clock == nil then
    default = default or M.new_loop()
    return default
  end
  local loop = loops[clock]
  if not loop then
    loop = M.new_loop(clock, nil, (level or 2) + 1)
    loops[clock] = loop
  end
  return loop
end

--- A clock that only moves when somebody waits or moves it: for tests and simulations.
---@param start? number   seconds since the epoch; default 0
---@return step.Clock|{ time: number, advance: fun(seconds: number) }
function M.manual(start)
  if start ~= nil and type(start) ~= "number" then
    error(("bad argument #1 to 'manual_clock' (seconds expected, got %s)"):format(type(start)), 2)
  end
  local clock = { time = start or 0 }
  function clock.now() return clock.time end
  function clock.advance(seconds) clock.time = clock.time + math.max(seconds, 0) end
  clock.sleep = clock.advance
  return clock
end

return M
