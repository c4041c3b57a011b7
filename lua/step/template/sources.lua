--- What templates take from outside the values: the clock, randomness, the environment, time zones. Each field may be replaced.

local M = {}

--- Seconds since 1970, with a fraction if there is one.
---@return number
function M.clock()
  return os.time()
end

--- n random bytes.
---@param n integer
---@return string
function M.random(n)
  local file <close> = assert(io.open("/dev/urandom", "rb"))
  file:setvbuf("no")
  return assert(file:read(n))
end

M.getenv = os.getenv

--- Where the files of the time zone database are.
M.zoneinfo = "/usr/share/zoneinfo/"

return M
