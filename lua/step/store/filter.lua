--- Which runs a list shows, as far as stores look at it in Lua.

local M = {}

--- Whether tags fulfil a filter: a name that must be there, or names and the values they must have.
---@param tags table<string, any>
---@param wanted? string|table<string, any>
---@return boolean
function M.has_tags(tags, wanted)
  if wanted == nil then return true end
  if type(wanted) == "string" then return tags[wanted] ~= nil end
  for name, value in pairs(wanted) do
    if tags[name] ~= value then return false end
  end
  return true
end

return M
