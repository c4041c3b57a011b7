--- luastep validate FILE...: all errors and warnings, file by file.

local cli = require "step.cli"
local json = require "step.json"
local loader = require "step.load"
local source = require "step.cli.source"
local terminal = require "step.cli.terminal"
local text = require "step.cli.text"

--- A finding as plain data.
local function plain(finding)
  local made = {}
  for _, key in ipairs { "file", "line", "column", "step", "field", "message", "found", "accepted", "near" } do made[key] = finding[key] end
  return made
end

local function plain_list(findings)
  local list = json.array {}
  for i, finding in ipairs(findings) do list[i] = plain(finding) end
  return list
end

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local status = source.prepare(options, env)
  if status then return status end
  local paths
  paths, status = source.paths(options.files, options, env)
  if not paths then return status end
  status = cli.status.DONE
  local screen = terminal.screen(env, env.out)
  local report = json.array {}
  for _, path in ipairs(paths) do
    local def, err = loader.load(path, { lua = options.lua })
    local name = text.clean(path)
    if not def then
      if err.kind ~= "io" then status = cli.status.BAD elseif status == cli.status.DONE then status = cli.status.USAGE end
    end
    if options.json then
      local found = def and {} or err.errors or { err }
      report[#report + 1] = {
        file = path, ok = def ~= nil, errors = plain_list(found), warnings = plain_list(def and def.warnings or {}),
      }
    elseif def then
      source.warn(env, def)
      local warnings = #def.warnings > 0 and (", " .. text.count(#def.warnings, "warning")) or ""
      env.out:write(("%s: %s, %s%s\n"):format(name, screen:paint("good", "green"), text.count(#def, "step"), warnings))
    else
      source.report(env, err)
      env.out:write(("%s: %s, %s\n"):format(name, screen:paint("refused", "red"), text.count(#(err.errors or { err }), "error")))
    end
    env.out:flush()
  end
  if options.json then env.out:write(json.encode(report), "\n") end
  return status
end
