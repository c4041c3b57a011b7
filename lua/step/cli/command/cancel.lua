--- luastep cancel RUN...: no step of them starts any more, but those that clean up.

local store = require "step.cli.store"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  return store.each_run(options, env, function(engine, run)
    local ok, err = run:cancel()
    if ok and engine.keeper:holds(run) then ok, err = run:wait() end -- its steps that clean up run here
    if not ok then return nil, err end
    if run.state == "CANCELLED" or run.state == "RUNNING" then return store.tell(env, run, "is CANCELLED") end
    env.out:write(run.id, " is to be cancelled: the next worker that has its code runs the steps that clean up\n")
    return true
  end)
end
