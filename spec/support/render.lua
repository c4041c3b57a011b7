-- Rendering for the template specs: a text and what must come out of it.

local assert = require "luassert"
local template = require "step.template"

local M = {}

--- Renders a template; nil and the message when it cannot be parsed or executed.
---@param text string
---@param values? table
---@return string? output
---@return string? message
function M.render(text, values)
  local fn, message = template.compile(text)
  if not fn then return nil, message end
  local ok, output = pcall(fn, values or {})
  if not ok then return nil, output end
  return output
end

--- Checks a list of { template, output } or { template, error = "part of the message" }, all of them with the same values.
---@param cases table[]
---@param values? table
function M.check(cases, values)
  for _, case in ipairs(cases) do
    local output, message = M.render(case[1], values)
    if case.error then
      assert.is_nil(output, case[1] .. " should fail")
      assert.is_truthy(message:find(case.error, 1, true), ("%s\nexpected %s\ngot %s"):format(case[1], case.error, message))
    elseif output ~= case[2] then
      error(("%s\nexpected %s\ngot      %s"):format(case[1], case[2], output or message), 2)
    end
  end
end


return M
