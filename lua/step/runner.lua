--- Runners by name (S7.1): Lua tables, Lua functions and runners written in C behind one shape.

local errors = require "step.error"

local M = {}

---@class step.Runner
--- output, metadata, tags, error
---@field exec fun(step_name: string, base_config: any, config: any, ctx: step.Context): any, any, table?, any
--- true, or nil and what is wrong; may raise it. `place.file` is the definition's file, where it has one.
---@field valid_config? fun(base_config: any, config: any, place: { file?: string }): boolean?, any
---@field context? fun(step_name: string): any          a value for ctx.context, templated before exec
---@field resources? fun(base_config: any, config: any): string[]
---@field metadata_schema? fun(): any                   JSON schema of the metadata that exec returns
--- fields of the configuration that are passed as they are: no templates, no functions of v
---@field raw? table<string, boolean>
---@field idempotent? boolean    what it does may be done again after a crash: so are its steps, unless they say otherwise (S6.6)

local FIELDS = { exec = true, valid_config = true, context = true, resources = true, metadata_schema = true }

local registered = {} ---@type table<string, step.Runner|string>   a text: the module, until the runner is asked for
local functions = {} ---@type table<string, boolean>   names that functions have (functions.lua)

--- Keeps a name for a function: runners and functions are found by the same key of an action.
---@param name string
function M.reserve(name) functions[name] = true end

--- Makes a runner available as an action's type. Registering a name twice is an error and nothing else (D24).
---@param name string
---@param runner step.Runner|function|userdata   a table of functions, exec alone, or a runner written in C
---@return boolean? ok
---@return step.Error? err   kind "refused": the name is taken
function M.register(name, runner)
  if type(name) ~= "string" or name == "" then
    error(("bad argument #1 to 'register_runner' (name expected, got %s)"):format(errors.show(name)), 2)
  end
  if functions[name] then return nil, errors.new("refused", ("a function has the name '%s'"):format(name)) end
  if registered[name] then return nil, errors.new("refused", ("a runner is already registered under the name '%s'"):format(name)) end
  local made = {}
  if type(runner) == "function" then
    made.exec = runner
  elseif type(runner) == "userdata" and (getmetatable(runner) or {}).__name == "step.runner" then -- csrc/lua/runner.c
    made.exec = runner
    for field in pairs(FIELDS) do
      if field ~= "exec" then
        local method = runner[field]
        made[field] = function(...) return method(runner, ...) end
      end
    end
  elseif type(runner) == "table" then
    for field, value in pairs(runner) do
      if FIELDS[field] and type(value) ~= "function" then
        error(("bad argument #2 to 'register_runner' (%s must be a function, got %s)"):format(field, errors.show(value)), 2)
      end
      if FIELDS[field] then made[field] = value end
    end
    made.raw = type(runner.raw) == "table" and runner.raw or nil
    made.idempotent = runner.idempotent == true or nil
    if not made.exec then error("bad argument #2 to 'register_runner' (the runner has no exec)", 2) end
  else
    error(("bad argument #2 to 'register_runner' (a function or a table of functions expected, got %s)"):format(errors.show(runner)), 2)
  end
  registered[name] = made
  return true
end

--- Makes a runner of ours available: its module is loaded when it is asked for.
---@param name string
---@param module string
function M.builtin(name, module) registered[name] = module end

--- The runner of that name, or nil.
---@param name string
---@return step.Runner?
function M.find(name)
  local found = registered[name]
  if type(found) ~= "string" then return found end
  registered[name] = nil
  M.register(name, require(found))
  return registered[name] --[[@as step.Runner]]
end

--- All names, sorted.
---@return string[]
function M.names()
  local names = {}
  for name in pairs(registered) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return M
