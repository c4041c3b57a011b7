--- Marked processes: those that ctx:spawn starts, and what they start in turn, are found by their environment, wherever they went: in
-- sessions of their own, with other parents. Linux only, where /proc shows it. A program that clears its environment is not found.
--
-- STEP_RUN_ID is the run; STEP_PROCESS who started it, "number:start:serial": the engine's process, the time at which that started,
-- and which one of its processes it is.

local M = {}

local PAUSE = 4 -- times what a search took: for so long no other one follows it

--- The time at which a process started, in ticks since the system did, and its group. With its number the time names it for ever.
---@param pid integer|string
---@return string? since   nil: there is none, or the system does not tell
---@return integer? group
function M.start_time(pid)
  local file <close> = io.open(("/proc/%s/stat"):format(pid))
  local text = file and file:read "a"
  if not text then return nil end
  local rest = text:match "^.*%) (.*)$" -- the name before it may have blanks and parentheses
  local n = 2
  for field in (rest or ""):gmatch "%S+" do
    n = n + 1
    if n == 22 then return field, tonumber((rest:match "^%S+ %S+ (%d+)")) end
  end
end

local serial = 0

--- A mark for the next process of this program.
---@param uv table    luv
---@return string
function M.new(uv)
  local pid = math.tointeger(uv.os_getpid()) -- luv gives a float
  serial = serial + 1
  return ("%d:%s:%d"):format(pid, M.start_time(pid) or "", serial)
end

--- Whether who gave a mark is gone.
---@param mark string
---@return boolean
function M.orphaned(mark)
  local owner, since = mark:match "^(%d+):(%d+)"
  return owner ~= nil and M.start_time(owner) ~= since
end

--- The variables of a process, or nil when they cannot be read.
local function variables_of(pid)
  local file <close> = io.open(("/proc/%d/environ"):format(pid), "rb")
  local text = file and file:read "a"
  if not text or text == "" then return nil end
  text = "\0" .. text
  return text:match "\0STEP_RUN_ID=([^\0]*)", text:match "\0STEP_PROCESS=([^\0]*)"
end

--- Calls a function with every marked process but this one.
---@param uv table
---@param visit fun(pid: integer, run_id: string, mark: string)
function M.each(uv, visit)
  local scan, me = uv.fs_scandir "/proc", uv.os_getpid()
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then break end
    local pid = name:match "^%d+$" and math.tointeger(tonumber(name))
    if pid and pid ~= me then
      local run_id, mark = variables_of(pid)
      if run_id and mark then visit(pid, run_id, mark) end
    end
  end
end

local NONE = {}
local last = { began = 0, over = 0 } -- the last search; `of`: mark -> the processes that have it

--- The processes with a mark. Many may ask at the same time: a search that is younger than the moment they name answers them, and
--- searches follow each other with pauses.
---@param uv table
---@param mark string
---@param since number      uv.hrtime(): who was there then is to be found
---@return integer[]? pids  nil: ask again a little later
function M.with(uv, mark, since)
  if last.began < since then
    local now = uv.hrtime()
    if now < last.over then return nil end
    local of = {}
    M.each(uv, function(pid, _, its)
      of[its] = of[its] or {}
      table.insert(of[its], pid)
    end)
    last = { began = now, of = of, over = uv.hrtime() + PAUSE * (uv.hrtime() - now) }
  end
  return last.of[mark] or NONE
end

return M
