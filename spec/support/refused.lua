--- Refusals: what validation finds in a definition, for specs.

local step = require "step"

local M = {}

--- The error with which a document is refused.
---@param document table
---@return step.Error
function M.document(document)
  local def, err = step.define(document)
  if def then error("the definition was accepted", 2) end
  return err
end

--- The error with which a definition of these steps is refused.
---@param steps table
---@param more? table    further fields of the definition
---@return step.Error
function M.steps(steps, more)
  local document = { name = "refused", steps = steps }
  for key, value in pairs(more or {}) do document[key] = value end
  return M.document(document)
end

--- What is said of an action whose configuration is refused.
---@param kind string            the runner
---@param configuration any
---@param base? any              its base configuration
---@return string message
function M.configuration(kind, configuration, base)
  local finding = M.only(M.steps({ { name = "a", action = { type = kind, configuration = configuration,
    base_configuration = base and "base" or nil } } }, { base_configurations = { base = base } }))
  if finding.step ~= "a" or finding.field ~= "action.configuration" then error("found elsewhere: " .. tostring(finding), 2) end
  return finding.message
end

--- The only finding of an error.
---@param err step.Error
---@return step.Finding
function M.only(err)
  if #err.errors ~= 1 then error("one finding was expected: " .. tostring(err), 2) end
  return err.errors[1]
end

--- The places of all findings, "step: field", sorted.
---@param err step.Error
---@return string[]
function M.places(err)
  local list = {}
  for i, finding in ipairs(err.errors) do
    list[i] = ("%s: %s"):format(finding.step or "-", finding.field or "-")
  end
  table.sort(list)
  return list
end

return M
