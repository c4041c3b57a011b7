--- luastep start FILE: stores a run for the next worker, and prints its id.

local cli = require "step.cli"
local json = require "step.json"
local source = require "step.cli.source"
local starting = require "step.cli.starting"
local store = require "step.cli.store"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local status = source.prepare(options, env)
  if status then return status end
  local starts
  starts, status = starting.all(options, env)
  if not starts then return status end
  if options.key and #starts > 1 then
    cli.complain(env, ("--key is for one run, and here are %d definitions"):format(#starts))
    return cli.status.USAGE
  end
  local engine <close>, bad = store.open(options, env, true)
  if not engine then return bad end
  for _, start in ipairs(starts) do
    local run, err = engine:add(start.def):start(start.def.name, start.options)
    if not run then
      cli.complain(env, err)
      return cli.status.NOT_DONE
    end
    if options.json then
      env.out:write(json.encode { id = run.id, name = start.def.name, key = options.key, state = run.state }, "\n")
    else
      env.out:write(run.id, "\n")
    end
  end
  return cli.status.DONE
end
