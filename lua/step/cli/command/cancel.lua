--- luastep cancel RUN...: no step of them starts any more.

local store = require "step.cli.store"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  return store.each_run(options, env, function(_, run)
    local ok, err = run:cancel()
    return ok and store.tell(env, run, "is CANCELLED"), err
  end)
end
