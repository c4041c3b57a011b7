--- Commands: why one could not be started. The system gives one word for many causes: "no such file" is said of a script whose
-- interpreter is missing, "permission denied" of a folder.

local errors = require "step.error"

local M = {}

local DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
local LONGEST = 200 -- bytes of a name that are shown

local function short(text) return #text > LONGEST and errors.show(text) or text end

--- The program of a script's first line, "#! /bin/sh -e"; nil when it has none.
local function interpreter_of(path)
  local file <close> = io.open(path, "rb")
  local line = file and file:read "l"
  return line and line:match "^#![ \t]*([^ \t]+)"
end

--- What is wrong with a file; nil when nothing is seen.
local function fault(uv, path, code)
  local stat, _, missing = uv.fs_stat(path)
  if not stat then
    if missing == "ENOENT" then
      return uv.fs_lstat(path) and "it is a symbolic link to a file that is not there" or "there is no such file"
    end
    if missing == "EACCES" then return "permission denied: a folder in its path is closed to this user" end
    if missing == "ENOTDIR" then return "what stands in its path as a folder is none" end
    return nil
  end
  if stat.type == "directory" then return "it is a folder" end
  if code == "EACCES" and not uv.fs_access(path, "X") then return "permission denied: it is not executable (chmod +x)" end
  if code ~= "ENOENT" and code ~= "EACCES" and code ~= "ENOTDIR" then return nil end
  local interpreter = interpreter_of(path)
  if not interpreter then
    return code == "ENOENT" and "the loader that this program needs is not there: it is built for another system" or nil
  end
  local name = interpreter:gsub("\r$", "")
  if name ~= interpreter then
    return ("the interpreter in its first line, %s, is followed by a carriage return: its lines end as on Windows"):format(short(name))
  end
  local place = uv.fs_stat(name)
  local what = not place and "is not there" or place.type == "directory" and "is a folder" or "cannot be started"
  return ("the interpreter in its first line, %s, %s"):format(short(name), what)
end

--- What is wrong with a name that is looked up in the folders of PATH.
local function not_found(uv, name, folders, cwd, code)
  for folder in (folders .. ":"):gmatch "([^:]*):" do
    if folder == "" then folder = "." end
    if cwd and folder:sub(1, 1) ~= "/" then folder = cwd .. "/" .. folder end
    local path = folder .. "/" .. name
    if uv.fs_lstat(path) then
      local found = fault(uv, path, code)
      if found then return ("%s: %s"):format(short(path), found) end
    end
  end
  return ("there is no such command in PATH (%s)"):format(short(folders))
end

--- What is wrong with the folder that a command is to run in.
local function no_folder(uv, cwd)
  local stat, _, missing = uv.fs_stat(cwd)
  if not stat then return missing == "ENOENT" and "there is no such folder" or missing == "EACCES" and "permission denied" or nil end
  if stat.type ~= "directory" then return "it is no folder" end
  return not uv.fs_access(cwd, "X") and "permission denied" or nil
end

--- Why a command could not be started.
---@param uv table               luv
---@param command string
---@param place { cwd?: string, path?: string }   the folder it was to run in, and its PATH
---@param message string         luv's: "ENOENT: no such file or directory"
---@return step.Error            of the kind "spawn", with `command`, and `code` as the system names it
function M.refusal(uv, command, place, message)
  local code, reason = message:match "^(%u[%u%d]*): (.*)$"
  local cwd, what = place.cwd, short(command)
  local found
  if code == "ENOENT" or code == "EACCES" or code == "ENOTDIR" or code == "ELOOP" then
    found = cwd and no_folder(uv, cwd)
    if found then
      what = ("%s in %s"):format(what, short(cwd))
    elseif not command:find "/" then
      found = not_found(uv, command, place.path or DEFAULT_PATH, cwd, code)
    else
      found = fault(uv, command:sub(1, 1) ~= "/" and cwd and cwd .. "/" .. command or command, code)
    end
  end
  return errors.new("spawn", ("%s cannot be started: %s"):format(what, found or reason or message), { command = command, code = code })
end

return M
