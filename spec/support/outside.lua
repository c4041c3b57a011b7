-- What processes and threads leave behind, for specs: nothing.

local outside = require "step.outside"
local proc = require "spec.support.proc"

local M = {}

--- Lets luv work until the jobs that are ending have ended.
function M.settle()
  local uv = outside.luv()
  local over = uv.hrtime() + 5e9
  while outside.count() > 0 and uv.hrtime() < over do uv.run "once" end
  uv.run "nowait"
end

--- Handles, jobs and child processes that are there, as a list of words.
---@return string[]
function M.left()
  local uv, found = outside.luv(), {}
  uv.walk(function(handle) found[#found + 1] = tostring(handle) end)
  if outside.count() > 0 then found[#found + 1] = ("%d jobs"):format(outside.count()) end
  if uv.loop_alive() then found[#found + 1] = "luv has something to do" end
  for _, pid in ipairs(proc.children()) do found[#found + 1] = "process " .. pid end
  return found
end

--- Whether a process is there; a zombie is not.
---@param pid integer
function M.alive(pid)
  local file <close> = io.open(("/proc/%d/stat"):format(pid))
  if file then return not file:read("a"):find "%) [ZX] " end
  return outside.luv().kill(pid, 0) == 0
end

--- Waits until something holds, a second at most.
---@param holds fun(): any
function M.until_true(holds)
  local uv = outside.luv()
  for _ = 1, 500 do
    if holds() then return true end
    uv.sleep(2)
  end
  return false
end

return M
