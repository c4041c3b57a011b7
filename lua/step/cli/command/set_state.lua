--- luastep set-state RUN STEP STATE: sets a step's state, as a person.

local store = require "step.cli.store"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  options.runs = { options.run }
  return store.each_run(options, env, function(_, run)
    local ok, err = run:set_state(options.step, options.state, options.message)
    return ok and store.tell(env, run, ("is %s, its step %s is %s"):format(run.state, options.step, options.state)), err
  end)
end
