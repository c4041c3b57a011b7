-- What the system knows of this process, where it has /proc: for specs that look for leaks.

local lfs = require "lfs"

local M = {}

--- Its child processes, zombies too.
---@return string[] pids
function M.children()
  local found = {}
  local file <close> = io.open "/proc/thread-self/children"
  for pid in (file and file:read "a" or ""):gmatch "%d+" do found[#found + 1] = pid end
  return found
end

--- The files that it has open, by descriptor; no pipes, sockets or devices.
---@return table<string, string> paths
function M.files()
  local found = {}
  if not lfs.attributes "/proc/self/fd" then return found end
  for fd in lfs.dir "/proc/self/fd" do
    local path = fd:find "^%d" and lfs.symlinkattributes("/proc/self/fd/" .. fd, "target")
    if path and path:find "^/" and not path:find "^/dev/" and not path:find "^/proc/" then found[fd] = path end
  end
  return found
end

--- How many threads it has; nil: unknown.
---@return integer?
function M.threads()
  local file <close> = io.open "/proc/self/status"
  return file and math.tointeger(file:read("a"):match "Threads:%s*(%d+)")
end

return M
