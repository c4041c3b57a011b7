--- How much may go on at a time, as the command line says it: --max-concurrent N, --limit NAME=N, --limit NAME=N/PERIOD.

local clock = require "step.clock"
local duration = require "step.duration"
local limits = require "step.limits"

local M = {}

--- Adds the options.
---@param command table    of argparse
function M.add(command)
  command:option("--max-concurrent", "At most so many actions in flight at a time."):argname("N"):convert(M.count)
  command:option("--limit", "So many steps may hold a resource at a time; with a period (60, 1m30s), so many may start in it. Both"
    .. " may be given."):argname("NAME=N[/PERIOD]"):count "*":target "bounds":convert(M.limit)
end

--- Reads a number of actions.
---@param text string
---@return integer?
---@return string? message
function M.count(text)
  local n = math.tointeger(tonumber(text))
  if n and n >= 1 then return n end
  return nil, ("--max-concurrent: a whole number from 1 is expected, found '%s'"):format(text)
end

--- Reads the limit of a resource.
---@param text string
---@return { name: string, limit: integer|step.Rate }?
---@return string? message
function M.limit(text)
  local name, number, slash, period = text:match "^(.+)=(%d+)(/?)([^=]*)$"
  local count = math.tointeger(tonumber(number))
  if not count or slash == "" and period ~= "" then
    return nil, ("--limit %s: NAME=N or NAME=N/PERIOD is expected, as in database=2 or api=10/1m"):format(text)
  end
  local limit = count
  if slash ~= "" then
    local seconds, message = duration.span(tonumber(period) or period)
    if not seconds then return nil, ("--limit %s: %s"):format(text, message) end
    limit = { limit = count, per = seconds }
  end
  local problem = limits.problem { [name] = limit }
  if problem then return nil, ("--limit %s: %s"):format(text, problem) end
  return { name = name, limit = limit }
end

--- The limits of an engine that the options ask for.
---@param options { max_concurrent?: integer, bounds?: { name: string, limit: integer|step.Rate }[] }
---@return { max_concurrent?: integer, resource_limits?: table<string, integer|step.Rate> }?
---@return string? message    a resource has two limits of a kind
function M.of(options)
  local held, rates, resources = {}, {}, {}
  for _, bound in ipairs(options.bounds or {}) do
    local of_kind = type(bound.limit) == "table" and rates or held
    if of_kind[bound.name] then return nil, ("--limit: '%s' has two"):format(bound.name) end
    of_kind[bound.name] = bound.limit
    resources[bound.name] = bound.limit
  end
  for name, rate in pairs(rates) do
    rate.concurrent = held[name]
    resources[name] = rate
  end
  return { max_concurrent = options.max_concurrent, resource_limits = next(resources) and resources or nil }
end

--- A loop with the limits, for runs in memory.
---@param bounds { max_concurrent?: integer, resource_limits?: table<string, integer|step.Rate> }
---@param env step.cli.Environment
---@return userdata
function M.loop(bounds, env)
  local loop = clock.new_loop(env.clock, { max_concurrent = bounds.max_concurrent })
  limits.set(loop, bounds.resource_limits)
  return loop
end

return M
