--- What templates take from outside the values: the clock, randomness, the environment, time zones. Each field may be replaced.

local core = require "step.core"

local M = {}

--- Seconds since 1970, with a fraction if there is one.
---@return number
function M.clock()
  return os.time()
end

--- n random bytes.
---@type fun(n: integer): string
M.random = core.random

M.getenv = os.getenv

--- Where the files of the time zone database are.
M.zoneinfo = "/usr/share/zoneinfo/"

return M
