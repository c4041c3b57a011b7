--- luastep delete RUN...: removes runs and everything of them.

local store = require "step.cli.store"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  return store.each_run(options, env, function(engine, run)
    local id = run.id
    local ok, err = engine:delete(id)
    if ok then env.out:write(id, " is deleted\n") end
    return ok, err
  end)
end
