--- The command line: from arguments to an exit status.
--
-- What a command needs of the world is in its environment, so that specs run it without a process.

local M = {}

--- Exit statuses.
M.status = {
  DONE = 0,         -- everything asked for was done
  NOT_DONE = 1,     -- a run did not end DONE, a template failed
  BAD = 2,          -- a definition, a function or a template is refused
  USAGE = 3,        -- the arguments are wrong, a file cannot be read, inputs are refused
}

---@class step.cli.Environment
---@field out file*                    what was asked for; on a terminal the live table too
---@field err file*                    errors, warnings
---@field input file*
---@field getenv fun(name: string): string?
---@field is_terminal fun(stream: file*): boolean
---@field size fun(): integer?, integer?   columns and lines of the terminal
---@field clock? step.Clock|fun(): number
---@field interrupts? { watch: fun(on: boolean), asked: fun(): boolean }   requests to end, told at a quiet moment

--- The environment of this process, with other things in their places.
---@param given? table
---@return step.cli.Environment
function M.environment(given)
  local terminal = require "step.cli.terminal"
  local env = {
    out = io.stdout, err = io.stderr, input = io.stdin, getenv = os.getenv, is_terminal = terminal.is_terminal, size = terminal.size,
  }
  for name, value in pairs(given or {}) do env[name] = value end
  return env
end

-- What an error advises a program to do, and what a person does on the command line.
local ADVICE = {
  ["add it with engine:add"] = "name its file: --definition FILE, or `luastep work FILE`",
  ["resolution: cancelled"] = "resolution: cancelled; `luastep retry RUN --from STEP` has it go on from a step",
  ["resolution: already done"] = "resolution: already done; `luastep retry RUN --from STEP` has it run again from a step",
  ["pass upgrade = true"] = "use the option --upgrade",
}

--- Says what is wrong, on one line.
---@param env step.cli.Environment
---@param message any
function M.complain(env, message)
  local words = tostring(message)
  for advice, ours in pairs(ADVICE) do
    local first, last = words:find(advice, 1, true)
    if first then words = words:sub(1, first - 1) .. ours .. words:sub(last + 1) end
  end
  env.err:write("luastep: ", (require "step.cli.text".clean(words)), "\n")
end

-- Commands that carry runs on: what is in flight ends before they do.
local CARRIES = { run = true, resume = true, retry = true, work = true }

--- Runs the command.
---@param words string[]      the arguments
---@param given? table        parts of the environment, see step.cli.Environment
---@return integer status     M.status
function M.main(words, given)
  local env = M.environment(given)
  local options, message = require "step.cli.arguments".parse(words)
  if not options then
    M.complain(env, message)
    return M.status.USAGE
  end
  local carries = CARRIES[options.command] and env.interrupts
  if carries then carries.watch(true) end
  local ok, status = xpcall(require("step.cli.command." .. options.command:gsub("-", "_")), function(problem)
    if require "step.error".is(problem) then return tostring(problem) end -- a store that fails while a run is read
    if tostring(problem):find "interrupted!$" then return "interrupted" end
    return debug.traceback("this should not happen: " .. tostring(problem), 2)
  end, options, env)
  if carries then carries.watch(false) end
  if ok then return status end
  env.err:write("luastep: ", tostring(status), "\n")
  return M.status.NOT_DONE
end

return M
