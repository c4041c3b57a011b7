--- The runner `tag` (µTask's): merges `tags`, an object of texts, into the run's tags; an empty text removes a tag (S4.10).

local settings = require "step.settings"

local M = {}

local configuration = settings.reader({ tags = { kind = "texts" } }, { others = true })

function M.valid_config(base_config, config)
  local ok, message = configuration.valid_config(base_config, config)
  return ok, message and "can't unmarshal " .. message -- µTask's words, which its users look for
end

function M.exec(_, base_config, config) return nil, nil, configuration.read(base_config, config).tags end

return M
