--- Definitions and functions from the files that a command line names.

local cli = require "step.cli"
local loader = require "step.load"

local M = {}

--- Says what is wrong with a definition or a function: a line for each finding.
---@param env step.cli.Environment
---@param err step.Error
function M.report(env, err)
  local screen = require "step.cli.terminal".screen(env, env.err)
  local clean = require "step.cli.text".clean
  for _, finding in ipairs(err.errors or { err }) do
    local words = clean(tostring(finding)):gsub("pass { lua = true }", "use the option --lua")
    env.err:write(screen:paint("error", "red"), ": ", words, "\n")
  end
end

--- Says what is suspicious.
---@param env step.cli.Environment
---@param message any
function M.warning(env, message)
  local screen = require "step.cli.terminal".screen(env, env.err)
  env.err:write(screen:paint("warning", "yellow"), ": ", (require "step.cli.text".clean(tostring(message))), "\n")
end

--- Says what a definition was warned of.
---@param env step.cli.Environment
---@param def step.Definition
function M.warn(env, def)
  for _, finding in ipairs(def.warnings) do M.warning(env, finding) end
end

--- Loads what --require and --functions name.
---@param options table
---@param env step.cli.Environment
---@return integer? status    why not to go on
function M.prepare(options, env)
  require "step" -- the runners that are always there
  for _, name in ipairs(options.modules) do
    local ok, problem = pcall(require, name)
    if not ok then
      cli.complain(env, ("--require %s: %s"):format(name, tostring(problem):match "^[^\n]*"))
      return cli.status.USAGE
    end
  end
  local status
  for _, path in ipairs(options.functions) do
    local ok, err = loader.register_function(path, { lua = options.lua })
    if not ok then
      M.report(env, err)
      status = status == cli.status.BAD and status or err.kind == "io" and cli.status.USAGE or cli.status.BAD
    end
  end
  return status
end

--- The files that the arguments name, directories opened.
---@param names string[]
---@param options table
---@param env step.cli.Environment
---@return string[]? paths
---@return integer? status    why not
function M.paths(names, options, env)
  local paths = {}
  for _, name in ipairs(names) do
    local found, err = loader.paths(name, { lua = options.lua })
    if not found then
      cli.complain(env, err)
      return nil, cli.status.USAGE
    end
    table.move(found, 1, #found, #paths + 1, paths)
  end
  return paths
end

--- Loads a definition, saying what is wrong with it.
---@param path string
---@param options table
---@param env step.cli.Environment
---@return step.Definition?
---@return integer? status
function M.load(path, options, env)
  local def, err = loader.load(path, { lua = options.lua })
  if def then return def end
  M.report(env, err)
  return nil, err.kind == "io" and cli.status.USAGE or cli.status.BAD
end

return M
