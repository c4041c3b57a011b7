--- A run of a store goes on because a person says so: here before their eyes, or left to a worker.

local carry = require "step.cli.carry"
local cli = require "step.cli"
local source = require "step.cli.source"
local starting = require "step.cli.starting"
local store = require "step.cli.store"

local M = {}

--- Prepares the run that the options name, then carries it on.
---@param options table     run, definition (files), detach, and what carry takes
---@param env step.cli.Environment
---@param prepare fun(run: step.Run): any, step.Error?    nil, err: it cannot go on; false: nothing was to be done
---@return integer status
function M.run(options, env, prepare)
  local status = source.prepare(options, env)
  if status then return status end
  local defs
  defs, status = starting.definitions(options.definition, options, env)
  if not defs then return status end
  return store.with_run(options, env, function(engine, run)
    for _, def in ipairs(defs) do engine:add(def) end
    local ok, err = prepare(run)
    if ok == nil then
      store.complain(env, run, err)
      return cli.status.NOT_DONE
    end
    if options.detach then
      env.out:write(run.id, " is ", run.state, ": the next worker takes it\n")
      return cli.status.DONE
    end
    local done = carry.run(run, {
      now = true, shared = ok ~= false, quiet = options.quiet, json = options.json, no_wait = options.no_wait,
    }, env)
    return done and cli.status.DONE or cli.status.NOT_DONE
  end)
end

return M
