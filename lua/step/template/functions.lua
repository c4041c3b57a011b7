--- All functions a template may call, by name: Go's, sprig's over them, µTask's over those.

local M = {}

local modules = { "builtins" }
for name in ("strings words lists dicts math defaults reflect encoding dates regex semver system random crypto"):gmatch("%a+") do
  modules[#modules + 1] = "sprig." .. name
end
modules[#modules + 1] = "own"

local functions

--- The table of all functions.
---@return table<string, step.template.Function>
function M.all()
  if functions then return functions end
  local all = {}
  for _, name in ipairs(modules) do
    for k, f in pairs(require("step.template." .. name)) do all[k] = f end
  end
  functions = all
  return functions
end

return M
