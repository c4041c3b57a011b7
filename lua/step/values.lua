--- Values: what templates and conditions see, for programs that drive steps by themselves (step.pre_run, step.run,
-- step.after_run). A run shows its own state in the same form (csrc/lua/view.c).

local errors = require "step.error"
local expr = require "step.expr"
local json = require "step.json"
local template = require "step.template"
local variables = require "step.variables"

local M = {}

---@class step.Values
---@field package data table
local Values = { __name = "step.Values" }
Values.__index = Values
M.Values = Values

--- Makes an empty set of values.
---@return step.Values
function M.new()
  return setmetatable({ data = {
    input = {}, resolver_input = {}, config = {}, task = {}, step = {}, variables = json.array(), eval_cache = {},
  } }, Values)
end

local function check_name(step_name)
  if type(step_name) ~= "string" then error(("bad argument #1 (step name expected, got %s)"):format(type(step_name)), 3) end
end

--- Raises what is no table where one is expected; nil stands for an empty one.
local function check_table(value, what)
  if value == nil or value == json.null then return {} end
  if type(value) ~= "table" then error(("bad argument #1 to '%s' (table expected, got %s)"):format(what, type(value)), 3) end
  return value
end

local function field_of(self, step_name)
  local steps = self.data.step
  steps[step_name] = steps[step_name] or {}
  return steps[step_name]
end

for _, name in ipairs { "output", "metadata", "children", "error", "state", "try_count", "max_retries" } do
  --- set_output, set_metadata, set_children, set_error, set_state, set_try_count, set_max_retries.
  ---@param self step.Values
  ---@param step_name string
  ---@param value any
  Values["set_" .. name] = function(self, step_name, value)
    check_name(step_name)
    field_of(self, step_name)[name] = value
  end

  --- get_output and so on; nil when it is not set.
  ---@param self step.Values
  ---@param step_name string
  ---@return any
  Values["get_" .. name] = function(self, step_name)
    check_name(step_name)
    local step = self.data.step[step_name]
    return step and step[name]
  end

  --- unset_output and so on.
  ---@param self step.Values
  ---@param step_name string
  Values["unset_" .. name] = function(self, step_name)
    check_name(step_name)
    if self.data.step[step_name] then self.data.step[step_name][name] = nil end
  end
end

---@param input table
function Values:set_input(input) self.data.input = check_table(input, "set_input") end

---@param input table
function Values:set_resolver_input(input) self.data.resolver_input = check_table(input, "set_resolver_input") end

---@param config table
function Values:set_config(config) self.data.config = check_table(config, "set_config") end

---@param infos table   what templates see as .task
function Values:set_task_infos(infos) self.data.task = check_table(infos, "set_task_infos") end

---@param list step.Variable[]
function Values:set_variables(list)
  self.data.variables, self.data.eval_cache = variables.normalize(check_table(list, "set_variables")), {}
  self.data.eval_variable = variables.evaluator()
end

---@param arguments any   what templates see as .function_args
function Values:set_function_args(arguments) self.data.function_args = arguments end

---@param output any
---@param metadata any
function Values:set_pre_hook(output, metadata) self.data.pre_hook = { output = output, metadata = metadata } end

---@param item any   what templates see as .iterator
function Values:set_iterator(item) self.data.iterator = item end

--- The values as one evaluation sees them: `this` and `iterator` live as long as it (D3).
---@param item any           nil: the iterator that was set, if any
---@param step_name? string  the step that `this` means
---@return table v
function Values:view(item, step_name)
  local fields = { step = self.data.step }
  if step_name and step_name ~= "" then
    fields.step = expr.overlay(self.data.step, { this = self.data.step[step_name] or {} })
  end
  if item ~= nil then fields.iterator = item end
  return expr.overlay(self.data, fields)
end

--- Renders a template.
---@param text string
---@param item? any
---@param step_name? string
---@return string? text
---@return step.Error? err   kind "template"
function Values:apply(text, item, step_name)
  if type(text) ~= "string" then error(("bad argument #1 to 'apply' (string expected, got %s)"):format(type(text)), 2) end
  if template.is_constant(text) then return text end
  local render, message = template.compile(text)
  if not render then return nil, errors.new("template", message) end
  local ok, result = pcall(render, self:view(item, step_name))
  if ok then return result end
  return nil, errors.new("template", tostring(result))
end

return M
