--- luastep resume RUN: a PAUSED run goes on; any other that has not ended is resolved, as a person who asks for it.

local going_on = require "step.cli.going_on"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  return going_on.run(options, env, function(run)
    if options.detach or run.state == "PAUSED" then return run:resume() end
    return false
  end)
end
