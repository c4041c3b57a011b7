--- The runner `echo` (µTask's): returns what its configuration says, for tries, mocks and data known beforehand.
--
-- Configuration: output (any), metadata (object), error_message (text: the action fails with it, output and metadata are still
-- returned), error_type ("client": CLIENT_ERROR, "server" or absent: SERVER_ERROR), unmarshal (true: an output that is text is
-- read as YAML or JSON first). A base configuration is laid under it.

local errors = require "step.error"
local json = require "step.json"

local M = {}

local KINDS = { metadata = "an object", error_message = "a text", error_type = "a text", unmarshal = "true or false" }

local function is_object(value) return type(value) == "table" and not json.is_array(value) end

local function present(value) return value ~= nil and value ~= json.null end

local function check(name, value)
  if name == "output" or not present(value) or type(value) == "function" then return true end -- a function of v: known when it runs
  if name == "metadata" then return is_object(value) end
  if name == "unmarshal" then return type(value) == "boolean" end
  return type(value) == "string"
end

--- The configuration over the base configuration; objects under `metadata` are laid over each other.
local function settings(base_config, config)
  local result = {}
  for _, source in ipairs { base_config or false, config or false } do
    if present(source) and source ~= false then
      if not is_object(source) then
        return nil, "can't unmarshal the configuration: an object is expected, found " .. errors.show(source)
      end
      for name in pairs { output = true, metadata = true, error_message = true, error_type = true, unmarshal = true } do
        local value = source[name]
        if not check(name, value) then
          return nil, ("can't unmarshal %s: %s is expected, found %s"):format(name, KINDS[name], errors.show(value))
        end
        if present(value) then
          if name == "metadata" and is_object(result.metadata) and is_object(value) then
            local merged = {}
            for k, v in pairs(result.metadata) do merged[k] = v end
            for k, v in pairs(value) do merged[k] = v end
            value = merged
          end
          result[name] = value
        end
      end
    end
  end
  return result
end

function M.valid_config(base_config, config)
  local set, message = settings(base_config, config)
  if not set then return nil, message end
  local kind = set.error_type
  if type(kind) == "string" and kind ~= "" and kind ~= "client" and kind ~= "server" and not kind:find("{{", 1, true) then
    return nil, ("unknown error type %s; accepted: client, server"):format(errors.show(kind))
  end
  return true
end

function M.exec(_, base_config, config)
  local set, message = settings(base_config, config)
  if not set then error(errors.bad_request(message)) end
  local output = set.output
  if set.unmarshal and type(output) == "string" then
    local value, err = require "step.yaml".decode(output)
    if value == nil and err then error(errors.bad_request("unmarshal: " .. tostring(err))) end
    output = value
  end
  local failure
  if set.error_message and set.error_message ~= "" then
    if set.error_type == "client" then
      failure = errors.bad_request(set.error_message)
    else
      failure = errors.new("server", set.error_message)
    end
  end
  return output, set.metadata, nil, failure
end

return M
