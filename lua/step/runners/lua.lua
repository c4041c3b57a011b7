--- The runner `lua`: calls the function in its configuration, for actions given as data:
--
--   action = { type = "lua", configuration = { fn = function(args, ctx) return args.a + 1 end, args = { a = "{{.input.a}}" } } }
--
-- `fn` gets the templated `args` and the context; it returns output, metadata, tags, error as every runner does.

local errors = require "step.error"
local json = require "step.json"

local M = {}

function M.valid_config(_, config)
  local fn = config
  if type(config) == "table" then fn = config.fn end
  if type(fn) ~= "function" then return nil, "configuration.fn must be a function, found " .. errors.show(fn) end
  return true
end

--- The configuration's own functions are not computed values here (see plan.lua).
M.raw = { fn = true }

function M.exec(_, _, config, ctx)
  local args = config.args
  if args == json.null then args = nil end
  return config.fn(args, ctx)
end

return M
