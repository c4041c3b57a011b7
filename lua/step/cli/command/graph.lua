--- luastep graph FILE: a definition's steps and dependencies, drawn.

local cli = require "step.cli"
local model = require "step.cli.graph.model"
local source = require "step.cli.source"
local terminal = require "step.cli.terminal"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local status = source.prepare(options, env)
  if status then return status end
  local def
  def, status = source.load(options.file, options, env)
  if not def then return status end
  if def[1] then
    cli.complain(env, ("%s is a directory: a definition is drawn at a time"):format(options.file))
    return cli.status.USAGE
  end
  local picture = model.new(def)
  local drawn, message
  if options.dot then
    drawn = require "step.cli.graph.dot"(picture)
  elseif options.mermaid then
    drawn = require "step.cli.graph.mermaid"(picture)
  elseif options.svg then
    drawn, message = require "step.cli.graph.svg".draw(picture, options.direction)
  else
    drawn = require "step.cli.graph.list"(picture, terminal.screen(env, env.out))
  end
  if not drawn then
    cli.complain(env, message)
    return cli.status.NOT_DONE
  end
  local out = env.out
  if options.output then
    local handle, problem = io.open(options.output, "wb")
    if not handle then
      cli.complain(env, "cannot write " .. problem)
      return cli.status.USAGE
    end
    out = handle
  end
  local ok, problem = out:write(drawn)
  if options.output then
    local closed, why = out:close()
    ok, problem = ok and closed, problem or why
  end
  if not ok then
    cli.complain(env, ("cannot write %s: %s"):format(options.output or "the output", tostring(problem)))
    return cli.status.NOT_DONE
  end
  return cli.status.DONE
end
