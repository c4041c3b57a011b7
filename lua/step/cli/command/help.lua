--- luastep help [COMMAND]

local arguments = require "step.cli.arguments"
local cli = require "step.cli"

---@param options { topic?: string }
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local text, message = arguments.help(options.topic)
  if not text then
    cli.complain(env, message)
    return cli.status.USAGE
  end
  env.out:write(text, "\n")
  return cli.status.DONE
end
