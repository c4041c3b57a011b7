--- The runner `tag` (µTask's): merges `tags`, an object of texts, into the run's tags; an empty text removes a tag (S4.10).

local settings = require "step.settings"

local M = {}

local configuration = settings.reader({ tags = { kind = "texts" } }, { others = true })

M.valid_config = configuration.valid_config

function M.exec(_, base_config, config) return nil, nil, configuration.read(base_config, config).tags end

return M
