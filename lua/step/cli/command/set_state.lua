--- luastep set-state RUN STEP STATE: sets a step's state, as a person.

local store = require "step.cli.store"

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  options.runs = { options.run }
  return store.each_run(options, env, function(_, run)
    local ok, err = run:set_state(options.step, options.state, options.message)
    if not ok then return nil, err end
    local state = run.state
    local idle = state:find "^BLOCKED_" or state == "WAITING" or state == "PAUSED" -- no worker takes it
    local more = idle and ": `luastep resume` has it go on" or ""
    return store.tell(env, run, ("is %s, its step %s is %s%s"):format(state, options.step, options.state, more))
  end)
end
