--- step: durable workflows inside a Lua program. `require "step"` is this table. What a program does not use is not loaded.

local core = require "step.core"
local errors = require "step.error"
local json = require "step.json"
local runner = require "step.runner"

local M = {}

M._VERSION = "step scm"

--- States of a step (S1.1): the texts by name. ANY occurs in dependencies only.
---@type table<string, string>
M.state = { ANY = "ANY" }
for i = 1, #core.states - 1 do M.state[core.states[i].name] = core.states[i].name end

--- States of a run (S6.1).
---@type table<string, string>
M.run_state = {}
for _, name in ipairs(core.run_states) do M.run_state[name] = name end

--- Retry patterns (S6.5).
M.retry = { SECONDS = "seconds", MINUTES = "minutes", HOURS = "hours" }

--- Errors for runners to throw or return (S4.5), and for programs that make their own.
M.error = errors

--- JSON, exact: encode, decode, null, array.
M.json = json

--- Makes a runner available as an action's type (S7.1).
---@param name string
---@param implementation step.Runner|function|userdata   a table of functions, exec alone, or a runner written in C
---@return boolean? ok
---@return step.Error? err   kind "refused": the name is taken (D24)
function M.register_runner(name, implementation) return runner.register(name, implementation) end

--- Registers a function: a named, reusable action (S7.3). A table, a path, or { text =, format = }.
---@param fn step.Function|string|{ text: string, format?: string }
---@param options? { lua?: boolean }
---@return boolean? ok
---@return step.Error? err   kind "definition" or "io"
function M.register_function(fn, options) return require "step.load".register_function(fn, options) end

--- A dependency's step name and accepted states: "a:DONE,B" -> "a", { "DONE", "B" } (S2.1).
---@param dependency string
---@return string step_name
---@return string[] states
function M.dependency_parts(dependency)
  if type(dependency) ~= "string" then
    error(("bad argument #1 to 'dependency_parts' (string expected, got %s)"):format(type(dependency)), 2)
  end
  return core.dependency_parts(dependency)
end

--- Checks a condition of a step (S8.8).
---@param cond step.Condition
---@param step_name string
---@param steps table<string, step.Step>
---@return boolean? ok
---@return step.Error? err   kind "definition"
function M.valid_condition(cond, step_name, steps) return require "step.object".valid_condition(cond, step_name, steps) end

--- Makes a step object of fields in the JSON form.
---@param fields table
---@return step.Step
function M.new(fields) return require "step.object".new(fields) end

--- PreRun: evaluates a step's skip conditions (S3.4).
---@param st step.Step
---@param vals step.Values
---@param set_state fun(step_name: string, state: string, message: string)
---@param executed_steps? table<string, boolean>
function M.pre_run(st, vals, set_state, executed_steps) return require "step.object".pre_run(st, vals, set_state, executed_steps) end

--- Run: carries out a step's action (chapter 4).
---@param st step.Step
---@param base_configurations? table<string, any>
---@param vals step.Values
---@param done fun(st: step.Step)
---@return boolean? ok
---@return step.Error? err
function M.run(st, base_configurations, vals, done) return require "step.object".run(st, base_configurations, vals, done) end

--- AfterRun: evaluates a step's check conditions (S3.5).
---@param st step.Step
---@param vals step.Values
---@param set_state fun(step_name: string, state: string, message: string)
function M.after_run(st, vals, set_state) return require "step.object".after_run(st, vals, set_state) end

--- Makes a set of values for pre_run, run and after_run.
---@return step.Values
function M.values() return require "step.values".new() end

--- Makes a definition of a table.
---@param document table    name, steps, inputs, ...
---@return step.Definition?
---@return step.Error? err   kind "definition", with everything that was found
function M.define(document)
  require "step.run" -- gives definitions their `start`
  return require "step.definition".define(document)
end

--- Loads a definition from a file (.yaml, .yml, .json, .lua) or a text.
---@param source string|{ text: string, format?: "yaml"|"json"|"lua" }
---@param options? { lua?: boolean }   lua: Lua expressions in the file may run
---@return step.Definition?
---@return step.Error? err   kind "io", "refused" or "definition"
function M.load(source, options)
  require "step.run"
  return require "step.load".load(source, options)
end

--- Makes an exported run again, as after a restart.
---@param exported table
---@param def? step.Definition   needed where it holds Lua functions
---@param options? step.StartOptions
---@return step.Run?
---@return step.Error? err   kind "restore" or "definition"
function M.restore(exported, def, options) return require "step.exported".restore(exported, def, options) end

--- Opens an engine: definitions by name, many runs, workers.
---@param options? step.EngineOptions
---@return step.Engine?
---@return step.Error? err
function M.engine(options) return require "step.engine".new(options) end

--- A clock that only moves when somebody waits or moves it: for tests and simulations.
---@param start? number   seconds since the epoch; default 0
---@return step.Clock
function M.manual_clock(start) return require "step.clock".manual(start) end

--- Runs Lua that blocks in a thread, from within a runner: waits and returns its results. An error of it is raised here.
---@param source string|function    a program, which has the arguments as `...`, or a function without upvalues
---@param args? any[]               `n` tells how many where some are nil
---@return any ...
function M.thread(source, args) return require "step.thread".current(source, args) end

--- JSON Schema, drafts 4, 6 and 7.
M.schema = setmetatable({}, { __index = function(_, key) return require "step.schema"[key] end })

for _, name in ipairs { "batch", "cache", "callback", "echo", "lua", "script", "tag", "workflow" } do
  runner.builtin(name, "step.runners." .. name)
end
runner.builtin("subtask", "step.runners.workflow") -- as µTask calls it

return M
