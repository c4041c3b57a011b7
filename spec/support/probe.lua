--- The runner `probe` of the recorded runs: it returns what its configuration says, fails as often as that says, and every
-- call is recorded. `probe.register` makes it known once; `probe.reset` starts a case.
--
-- Configuration, all optional, decoded strictly by type, the base configuration first and the configuration over it:
-- output, metadata, tags, error_type ("client", "server", "waiting", "notprovisioned"), error_message, fail_times,
-- sleep_ms, context.

local json = require "step.json"

local M = {}

local null = json.null

-- What a field must be; "any" keeps what is there.
local TYPES = {
  output = "any", metadata = "object", tags = "texts", error_type = "string", error_message = "string",
  fail_times = "integer", sleep_ms = "integer", context = "any",
}

local ERROR_TYPES = { client = true, server = true, waiting = true, notprovisioned = true }

local function kind_of(value)
  if value == null then return "null" end
  if type(value) == "table" then return json.is_array(value) and "array" or "object" end
  return math.type(value) or type(value)
end

local function refuse(field, value, wanted)
  error({ unmarshal = ("cannot unmarshal %s into field '%s' of type %s"):format(kind_of(value), field, wanted) }, 0)
end

--- Lays one configuration over what has been decoded so far.
local function decode_over(decoded, config, what)
  if config == nil or config == null then return end
  if kind_of(config) ~= "object" then refuse(what, config, "object") end
  for field, wanted in pairs(TYPES) do
    local value = config[field]
    if wanted == "any" then
      if value ~= nil then decoded[field] = value end
    elseif value == null then
      if wanted ~= "string" and field ~= "sleep_ms" then decoded[field] = nil end
    elseif value ~= nil and (wanted == "object" or wanted == "texts") then
      if kind_of(value) ~= "object" then refuse(field, value, wanted) end
      local merged = {}
      for key, item in pairs(decoded[field] or {}) do merged[key] = item end
      for key, item in pairs(value) do
        if wanted == "texts" and type(item) ~= "string" then refuse(field .. "." .. key, item, "string") end
        merged[key] = item
      end
      decoded[field] = merged
    elseif value ~= nil then
      if kind_of(value) ~= wanted then refuse(field, value, wanted) end
      decoded[field] = value
    end
  end
end

--- The decoded configuration, or nil and what is wrong with it.
local function decode(base_config, config)
  local decoded = {}
  local ok, problem = pcall(function()
    decode_over(decoded, base_config, "base_configuration")
    decode_over(decoded, config, "configuration")
  end)
  if not ok then return nil, type(problem) == "table" and problem.unmarshal or problem end
  if decoded.error_type and not ERROR_TYPES[decoded.error_type] then
    return nil, ("unknown error type %q: client, server, waiting or notprovisioned"):format(decoded.error_type)
  end
  return decoded
end

--- Starts a case.
---@param contexts? table<string, any>   step name -> the context that `probe` names for it
function M.reset(contexts)
  M.resolve = 0               -- number of the resolve, counted by the caller
  M.calls = {}                -- step name -> number of calls
  M.executions = {}           -- list of { step, resolve, try }
  M.contexts = {}             -- list of { step, context }
  M.waited = {}               -- step name -> true: it has been WAITING
  M.named = contexts or {}
end

--- The contexts that the actions of a definition name, for `reset`.
---@param definition table   as decoded from its file
---@return table<string, any>
function M.contexts_of(definition)
  local contexts = {}
  for name, step in pairs(type(definition.steps) == "table" and definition.steps or {}) do
    local config = type(step) == "table" and type(step.action) == "table" and step.action.configuration
    if type(config) == "table" then contexts[name] = config.context end
  end
  return contexts
end

--- The runner, for a module `step`.
function M.runner(step)
  local failures = {
    client = step.error.bad_request, waiting = step.error.not_assigned, notprovisioned = step.error.not_provisioned,
    server = function(message) return message end,
  }

  local function exec(step_name, base_config, config, ctx)
    local decoded, problem = decode(base_config, config)
    if not decoded then return nil, nil, nil, problem end
    local try = (M.calls[step_name] or 0) + 1
    M.calls[step_name] = try
    M.executions[#M.executions + 1] = { step_name, M.resolve, try }
    if ctx.context ~= nil and ctx.context ~= null then M.contexts[#M.contexts + 1] = { step_name, ctx.context } end
    if decoded.sleep_ms and decoded.sleep_ms > 0 then ctx:sleep(decoded.sleep_ms / 1000) end
    local failure
    if decoded.error_type and (not decoded.fail_times or try <= decoded.fail_times) then
      failure = failures[decoded.error_type](decoded.error_message or "probe error")
      if decoded.error_type == "waiting" then M.waited[step_name] = true end
    end
    return decoded.output, decoded.metadata, decoded.tags, failure
  end

  return {
    exec = exec,
    valid_config = function(base_config, config)
      local decoded, problem = decode(base_config, config)
      if not decoded then return nil, problem end
      return true
    end,
    context = function(step_name)
      local named = M.named[step_name]
      if named == nil then named = M.named[step_name:match "^(.*)%-%d+$"] end   -- a foreach child
      return named
    end,
    resources = function() return json.array {} end,
  }
end

--- Makes `probe` known, once for all specs of a process.
function M.register(step)
  if not M.registered then
    assert(step.register_runner("probe", M.runner(step)))
    M.registered = true
  end
end

M.reset()

return M
