-- Lua programs that specs run as processes of their own, with the interpreter and the modules of this one.

local M = {}

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- The shell's line for a program, which takes the place of the shell.
---@param words string[]     the interpreter's: a file and its arguments, or "-e" and a text
---@param variables? table<string, string>    of its environment
---@param own_signals? boolean    none is ignored, whatever this process ignores
---@return string
function M.command(words, variables, own_signals)
  local line = { own_signals and "exec env --default-signal" or "exec env", quoted("LUA_PATH=" .. package.path),
    quoted("LUA_CPATH=" .. package.cpath) }
  for name, value in pairs(variables or {}) do line[#line + 1] = quoted(name .. "=" .. value) end
  line[#line + 1] = quoted(os.getenv "LUA" or "lua5.4")
  for _, word in ipairs(words) do line[#line + 1] = quoted(word) end
  return table.concat(line, " ")
end

--- Runs a program. What it printed, errors too, and how it ended.
---@param words string[]
---@param variables? table<string, string>
---@param own_signals? boolean
---@return string text
---@return integer code
---@return "exit"|"signal" how
function M.run(words, variables, own_signals)
  local pipe = assert(io.popen(M.command(words, variables, own_signals) .. " 2>&1"))
  local text = pipe:read "a"
  local _, how, code = pipe:close()
  return text, code, how
end

return M
