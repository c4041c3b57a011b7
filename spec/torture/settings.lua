-- What torture programs are told on their command line: NAME=VALUE ...

local M = {}

--- The defaults with what the words say instead. A word that is no setting ends the process with the usage.
---@param words string[]
---@param defaults table<string, string>
---@param usage string
---@return table<string, any>    texts
function M.read(words, defaults, usage)
  local set = {}
  for name, default in pairs(defaults) do set[name] = default end
  for _, word in ipairs(words) do
    local name, value = word:match "^(%u+)=(.*)$"
    if not name or not set[name] then
      io.stderr:write(usage, "\n")
      os.exit(2)
    end
    set[name] = value
  end
  return set
end

return M
