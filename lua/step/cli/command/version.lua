--- luastep version

---@param env step.cli.Environment
---@return integer status
return function(_, env)
  env.out:write("luastep, ", require "step"._VERSION, ", ", _VERSION, "\n")
  return 0
end
