--- What a run tells about itself as a whole: its title and its result, made by title_format and result_format.

local errors = require "step.error"
local expr = require "step.expr"
local json = require "step.json"

local M = {}

local null = json.null

--- The values that the formats see: the run's own, and its steps as they are now.
local function values_of(run)
  return expr.overlay(run.core:globals(), { step = run.steps })
end

--- Renders a format; one that does not parse fails like one that cannot be executed.
local function rendered(format, field, v)
  local render, constant = expr.compile(format, field, function() end)
  if not render then return true, constant end
  return pcall(render, v)
end

--- The title of a run: its definition's title_format, templated; the definition's name when there is none or when it fails.
---@param run step.Run
---@return string
function M.title(run)
  local format = run.definition.document.title_format
  if format == nil or format == null or format == "" then return run.definition.name end
  local ok, text = rendered(format, "title_format", values_of(run))
  return ok and type(text) == "string" and text or run.definition.name
end

--- The result of a run: its definition's result_format, templated. There is one when the run is DONE.
---@param run step.Run
---@return any result          nil: it is not DONE, or its definition has no result_format
---@return step.Error? err     kind "template": the result_format failed
function M.result(run)
  local format = run.definition.document.result_format
  if format == nil or format == null or run.state ~= "DONE" then return nil end
  local ok, value = rendered(format, "result_format", values_of(run))
  if not ok then return nil, errors.new("template", "result_format: " .. tostring(value)) end
  local copy, err = json.copy(value)
  if copy == nil then return nil, errors.new("template", "result_format: " .. tostring(err)) end
  return copy
end

return M
