--- The runner `tag` (µTask's): merges `tags`, an object of texts, into the run's tags; an empty text removes a tag (S4.10).

local errors = require "step.error"
local json = require "step.json"

local M = {}

local function tags_of(base_config, config)
  local tags = {}
  for _, source in ipairs { base_config or false, config or false } do
    if source and source ~= json.null then
      if type(source) ~= "table" or json.is_array(source) then
        return nil, "can't unmarshal the configuration: an object is expected, found " .. errors.show(source)
      end
      local list = source.tags
      if list ~= nil and list ~= json.null and type(list) ~= "function" then -- a function of v: known when it runs
        if type(list) ~= "table" or json.is_array(list) then
          return nil, "can't unmarshal tags: an object is expected, found " .. errors.show(list)
        end
        for name, value in pairs(list) do
          if value == json.null then value = "" end
          if type(value) ~= "string" and type(value) ~= "function" then
            return nil, ("can't unmarshal tag '%s': a text is expected, found %s"):format(name, errors.show(value))
          end
          tags[name] = value
        end
      end
    end
  end
  return tags
end

function M.valid_config(base_config, config)
  local tags, message = tags_of(base_config, config)
  if not tags then return nil, message end
  return true
end

function M.exec(_, base_config, config)
  local tags, message = tags_of(base_config, config)
  if not tags then error(errors.bad_request(message)) end
  return nil, nil, tags
end

return M
