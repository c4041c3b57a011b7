--- The runner `echo` (µTask's): returns what its configuration says, for tries, mocks and data known beforehand.
--
-- Configuration: output (any), metadata (object), error_message (text: the action fails with it, output and metadata are still
-- returned), error_type ("client": CLIENT_ERROR, "server" or absent: SERVER_ERROR), unmarshal (true: an output that is text is
-- read as YAML or JSON first). A base configuration is laid under it.

local errors = require "step.error"
local settings = require "step.settings"

local M = {}

local configuration = settings.reader({
  output = { kind = "any" }, metadata = { kind = "object" }, error_message = { kind = "text" },
  error_type = { kind = "text", accepted = { "client", "server" } }, unmarshal = { kind = "boolean" },
}, { others = true })

M.valid_config = configuration.valid_config

function M.exec(_, base_config, config)
  local set = configuration.read(base_config, config)
  local output, failure = set.output, nil
  if set.unmarshal and type(output) == "string" then
    local err
    output, err = require "step.yaml".decode(output)
    if output == nil and err then error(errors.bad_request("unmarshal: " .. tostring(err))) end
  end
  if set.error_message then failure = errors.new(set.error_type == "client" and "bad_request" or "server", set.error_message) end
  return output, set.metadata, nil, failure
end

return M
