-- Runs for specs: of steps that end as their configuration says.

local clock = require "step.clock"
local step = require "step"

local M = {}

--- The runner "fate" ends as its configuration says: an error kind or "done"; `until`: from that attempt on it is done.
step.register_runner("fate", function(_, _, config, ctx)
  if config["until"] and ctx.attempt >= config["until"] then return config.output end
  if not config.kind or config.kind == "done" then return config.output, config.metadata end
  return config.output, config.metadata, nil, step.error.new(config.kind, config.kind .. " happened")
end)

--- An action of that runner.
---@param kind string
---@param more? table
---@return table
function M.fate(kind, more)
  local configuration = more or {}
  configuration.kind = kind
  return { type = "fate", configuration = configuration }
end

---@param steps table
---@param more? table
---@return step.Definition
function M.define(steps, more)
  local document = { name = "flow", steps = steps }
  for key, value in pairs(more or {}) do document[key] = value end
  return assert(step.define(document))
end

--- A run of steps, and its clock.
---@param steps table
---@param options? table
---@param more? table
---@return step.Run
---@return table clock
function M.start(steps, options, more)
  options = options or {}
  options.clock = options.clock or clock.manual()
  return assert(M.define(steps, more):start(options)), options.clock
end

--- The state of every step.
---@param run step.Run
---@return table<string, string>
function M.states(run)
  local found = {}
  for name, st in pairs(run.steps) do found[name] = st.state end
  return found
end

--- What a refusal says.
---@param ok any
---@param err any
---@return string kind
---@return string message
function M.refusal(ok, err)
  assert(ok == nil)
  return err.kind, tostring(err)
end

return M
