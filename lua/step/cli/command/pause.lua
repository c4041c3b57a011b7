--- luastep pause RUN...: no step of them starts until they are resumed.

local store = require "step.cli.store"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  return store.each_run(options, env, function(_, run)
    local ok, err = run:pause()
    return ok and store.tell(env, run, "is PAUSED"), err
  end)
end
