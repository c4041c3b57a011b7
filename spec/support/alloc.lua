-- Hostile memory for specs: requests that fail, and a collector that runs whenever it can.

local native = require "spec.alloc"

local M = {}

--- Calls `fn` while the n-th request for memory and all after it fail; n = 0 only counts them.
---@param fn fun(): any
---@param n integer
---@return boolean ok
---@return any result      the first result, or the error
---@return integer requests
M.limit = native.limit

--- Calls `fn` with 1, 2, 3 ... requests allowed, until it passes. `check(n, result)` is called after each failure.
---@param fn fun(): any
---@param check fun(n: integer, result: any)
---@param step? integer   how much further each call may go than the one before, 1
---@return any result
---@return integer calls  that failed
function M.sweep(fn, check, step)
  local n, calls = 1, 0
  while true do
    local ok, result = native.limit(fn, n)
    if ok then return result, calls end
    check(n, result)
    calls = calls + 1
    n = n + (step or 1)
  end
end

--- Calls `fn` with a full collection wherever Lua may collect at all. What C forgot to anchor dies at once.
---@param fn fun(): any
---@return any result
function M.aggressive(fn)
  local mode = collectgarbage("incremental", 1, 100, 63) -- a cycle follows the other at once and is done in one step
  collectgarbage() -- from now on
  local ok, result = pcall(fn)
  collectgarbage("incremental", 200, 100, 13)
  collectgarbage(mode)
  if not ok then error(result, 0) end
  return result
end

return M
