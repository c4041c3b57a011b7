--- luastep retry RUN: tries again what failed; from a step on, as if it and all after it had never run.

local cli = require "step.cli"
local going_on = require "step.cli.going_on"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local anew = options.from or options.only_failed
  if options.detach and not anew then
    cli.complain(env, "--detach needs --from STEP or --only-failed: what has failed a worker leaves to a person")
    return cli.status.USAGE
  end
  return going_on.run(options, env, function(run)
    if anew then return run:retry { from = options.from, only_failed = options.only_failed } end
    return false
  end)
end
