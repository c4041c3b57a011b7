-- The command line for specs: within this process with streams that are texts, or as a process of its own.

local child = require "spec.support.child"
local files = require "spec.support.files"
local temp = require "spec.support.temp"

local M = {}

--- A stream that keeps what is written and gives what it was made of.
---@param contents? string
---@return table
function M.stream(contents)
  local written = {}
  local stream = {}
  function stream:write(...)
    for _, part in ipairs { ... } do written[#written + 1] = tostring(part) end
    return self
  end
  function stream.flush() end
  function stream.read() return contents or "" end
  function stream.text() return table.concat(written) end
  return stream
end

--- Runs the command here.
---@param words string[]
---@param given? { input?: string, clock?: any, getenv?: table<string, string>, terminal?: boolean, columns?: integer, lines?: integer,
--- interrupts?: table }
---@return { status: integer, out: string, err: string }
function M.run(words, given)
  given = given or {}
  local out, err = M.stream(), M.stream()
  local variables = given.getenv or { LANG = "C.UTF-8" }
  local status = require "step.cli".main(words, {
    out = out, err = err, input = M.stream(given.input), clock = given.clock, interrupts = given.interrupts,
    getenv = function(name) return variables[name] end,
    is_terminal = function() return given.terminal or false end,
    size = function() return given.columns, given.lines end,
  })
  return { status = status, out = out.text(), err = err.text() }
end

--- Runs the command as a person does.
---@param words string[]
---@param input? string     for the standard input
---@return { status: integer, out: string, err: string }
function M.process(words, input)
  local command = child.command { "lua/step/cli/main.lua", table.unpack(words) }
  local errors, given = temp.path(), temp.file(input or "")
  local pipe = assert(io.popen(("%s 2>%s <%s"):format(command, errors, given)))
  local out = pipe:read "a"
  local _, _, status = pipe:close()
  return { status = status, out = out, err = files.read(errors) }
end

M.folder = temp.folder
M.clean = temp.clean

---@class spec.cli.Store
---@field path string
---@field folder string
---@field clock table    manual
---@field run fun(...: string): { status: integer, out: string, err: string }   runs the command on the store; "@" is the folder
---@field start fun(...: string): string    `start`, in short: the id

--- A store in a folder of its own, which also holds files, and the command on it.
---@param contents? table<string, string>
---@param given? table     as for M.run
---@return spec.cli.Store
function M.store(contents, given)
  local folder = temp.folder(contents)
  local store = { folder = folder, path = folder .. "/runs.db", clock = require "step".manual_clock(0) }
  local how = { clock = store.clock, getenv = { LANG = "C.UTF-8", LUASTEP_STORE = store.path } }
  for key, value in pairs(given or {}) do how[key] = value end
  function store.run(...)
    local words = { ... }
    for i, word in ipairs(words) do words[i] = word:gsub("^@", folder .. "/") end
    local done = M.run(words, how)
    done.out, done.err = done.out:gsub(folder, "@", 1000), done.err:gsub(folder, "@", 1000)
    return done
  end
  function store.start(...)
    local done = store.run("start", ...)
    assert(done.status == 0, done.err)
    return (done.out:match "^(%S+)\n$")
  end
  return store
end

return M
