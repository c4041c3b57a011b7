--- luastep signal RUN NAME [DATA]: says something to a run that waits for a callback.

local cli = require "step.cli"
local json = require "step.json"
local store = require "step.cli.store"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local words, data, err = options.data, json.null, nil
  if words == "-" then words = env.input:read "a" end
  if words then data, err = json.decode(words) end
  if data == nil then
    cli.complain(env, "the data is no JSON: " .. tostring(err))
    return cli.status.USAGE
  end
  options.runs = { options.run }
  return store.each_run(options, env, function(_, run)
    local ok, problem = run:signal(options.name, data)
    if ok then env.out:write(run.id, " was told\n") end
    return ok, problem
  end)
end
