--- What a step does, compiled: the tables that csrc/lua/exec.c reads (PLAN_*, EXECUTOR_* in csrc/lua/binding.h).

local condition = require "step.condition"
local errors = require "step.error"
local expr = require "step.expr"
local functions = require "step.functions"
local json = require "step.json"
local runner = require "step.runner"

local M = {}

local null = json.null

local function absent(value) return value == nil or value == null end

local function is_object(value) return type(value) == "table" and not json.is_array(value) end

--- The output strategy of an action: "none", "merge" or "template", and its format.
---@param action step.Executor
---@return string strategy
---@return any format
function M.strategy(action)
  local output = action.output
  if is_object(output) and not absent(output.strategy) and output.strategy ~= "" then return output.strategy, output.format end
  if not absent(action.base_output) then return "merge", action.base_output end
  return "none"
end

--- A constant that every call gets a copy of, so that no runner can change the definition (D3).
local function constant(value)
  if type(value) ~= "table" then return function() return value end end
  for _, item in next, value do
    if type(item) == "function" then return function() return functions.copy(value) end end
  end
  return function() return json.copy(value) end
end

--- Compiles a configuration; fields named in `raw` stay as they are.
local function configuration(value, field, raw, report, strict)
  if not raw or not is_object(value) then
    local render, text = expr.compile(value, field, report, strict)
    return render or constant(text), render == nil and absent(text)
  end
  local rest, kept = {}, {}
  for key, item in next, value do
    if raw[key] then kept[key] = item else rest[key] = item end
  end
  local render, text = expr.compile(rest, field, report, strict)
  render = render or constant(text)
  return function(v)
    local result = render(v)
    for key, item in next, kept do result[key] = item end
    return result
  end
end

--- v as the actions of a function see it.
local function with_arguments(v, arguments)
  if arguments == nil then return v end
  return expr.overlay(v, { function_args = arguments })
end

--- v in which `step.this` has the given output and metadata: what an output format sees (S4.6).
local function with_output(v, output, metadata)
  local steps = v.step
  local this = steps and steps.this
  return expr.overlay(v, { step = expr.overlay(steps or {}, {
    this = expr.overlay(this or {}, { output = output == nil and null or output, metadata = metadata == nil and null or metadata }),
  }) })
end

local function merged(format, output, lenient)
  if absent(output) then return format end
  if json.is_array(output) and lenient then return format end
  if not is_object(output) then -- D20
    error("only an object can be merged into a format, the action returned " .. json.encode(output), 0)
  end
  return expr.merge(format, output)
end

--- Renders, with a prefix to what goes wrong.
local function rendered(render, v, what)
  local ok, value = pcall(render, v)
  if not ok then error(("failed to template %s: %s"):format(what, tostring(value)), 0) end
  return value
end

--- Compiles the chain of an action. `bases` are the base configurations of the definition.
---@param chain { action: step.Executor }[]
---@param bases table<string, any>
---@param field string
---@param report fun(place: string, message: string)
---@param resources string[]?    of the step, sorted, without duplicates
---@param strict? table           see expr.compile
---@return table executor
function M.executor(chain, bases, field, report, resources, strict)
  local last = #chain
  local levels, dynamic, outputs = {}, false, false
  local kind = chain[last].action.type
  local target = runner.find(kind) --[[@as step.Runner]]
  for i, link in ipairs(chain) do
    local action, level = link.action, {}
    local raw = i == last and target.raw or nil
    local empty
    level.configuration, empty = configuration(action.configuration, field .. ".configuration", raw, report, strict)
    if not empty then dynamic = true end
    local base = action.base_configuration
    if not absent(base) and base ~= "" then
      level.base = configuration(bases[base], "base_configurations." .. base, raw, report, strict)
      dynamic = true
    end
    local strategy, format = M.strategy(action)
    if strategy ~= "none" and not (strategy == "merge" and absent(format)) then -- nothing to lay the output over
      level.strategy = strategy
      level.lenient = absent(action.output) -- base_output, the old spelling, drops a list as µTask does
      level.format = configuration(format, field .. ".output.format", nil, report, strict)
      outputs = true
    end
    levels[i] = level
  end

  local prepare
  if dynamic or outputs then
    function prepare(v)
      local arguments, base, config
      local formats = outputs and {} or nil
      for i = 1, last do
        local level = levels[i]
        local seen = with_arguments(v, arguments)
        if level.strategy == "merge" then
          local format = rendered(level.format, seen, "merge output")
          if not is_object(format) then error("failed to template merge output: merge output not a map", 0) end
          formats[i] = { format, arguments }
        elseif level.strategy then
          formats[i] = { nil, arguments }
        end
        if level.base then -- the step's own over its functions'
          base = expr.merge(rendered(level.base, seen, "base configuration"), base)
        end
        config = rendered(level.configuration, seen, "configuration")
        arguments = config == nil and null or config
      end
      return base, config, formats
    end
  end

  local finish
  if outputs then
    function finish(v, output, metadata, formats)
      for i = last, 1, -1 do -- innermost first
        local level = levels[i]
        if level.strategy == "merge" then
          output = merged(formats and formats[i][1], output, level.lenient)
        elseif level.strategy then
          local seen = with_output(with_arguments(v, formats and formats[i][2]), output, metadata)
          output = level.format(seen)
        end
      end
      return output
    end
  end

  local context
  if target.context then
    function context(step_name, v)
      local value = target.context(step_name)
      if value == nil then return nil end
      local render, text = expr.compile(value, "context", function(_, message) error(message, 0) end, strict)
      if render then return render(v) end
      return text
    end
  end

  local wanted = resources and #resources > 0 and resources or nil
  if target.resources then
    local own = resources or {}
    function wanted(base, config)
      local names, seen, more = {}, {}, target.resources(base, config) or {}
      if type(more) ~= "table" then
        error(("the runner '%s' is to name its resources in a list, found %s"):format(kind, errors.show(more)), 0)
      end
      for _, list in ipairs { own, more } do
        for _, name in ipairs(list) do
          if type(name) ~= "string" then error(("the runner '%s' named a resource that is no text"):format(kind), 0) end
          if not seen[name] then
            seen[name] = true
            names[#names + 1] = name
          end
        end
      end
      table.sort(names)
      return names
    end
  end

  return { target.exec, "exec", prepare or false, context or false, wanted or false, finish or false }
end

--- An executor that is a Lua function of v.
---@param fn fun(v: table): any, any
---@param resources string[]?
---@return table
function M.function_executor(fn, resources)
  return { fn, "fn", false, false, resources and #resources > 0 and resources or false, false }
end

--- What a foreach expression gives: a list. A text that is a template gives JSON text.
---@param value any
---@param report fun(place: string, message: string)
---@param strict? table
---@return fun(v: table): any
function M.foreach(value, report, strict)
  if type(value) == "function" then return value end
  if type(value) == "table" then
    local render, list = expr.compile(value, "foreach", report, strict)
    return render or function() return list end
  end
  local render, written = expr.compile(value, "foreach", report, strict)
  render = render or function() return written end
  return function(v)
    local text = render(v)
    local items, err = json.decode(text)
    if items == nil then
      local early = err.offset and err.offset > #text -- the text ends too early: said in the words of the recorded runs
      if early then error("unexpected EOF", 0) end
      if text == "<no value>" then error("foreach: a list is expected, the expression gives no value", 0) end
      error(("foreach: a list in JSON is expected (toJson makes it), found %s: %s"):format(errors.show(text), tostring(err)), 0)
    end
    if not json.is_array(items) then error("foreach: expected a list, found " .. errors.show(items), 0) end
    return items
  end
end

--- The place of a plain function in a plan (PLAN_PLAIN).
M.PLAIN = 9

--- The function of a step that needs nothing around its call: no conditions, no pre_hook, no delay, no time-out, no resources,
--- no schema, nothing to template. fn(v), or the exec of its runner; nil when it needs any of these.
---@param step table    as M.compile takes it
---@return function?
function M.plain(step)
  if step.hook or step.hook_function or step.delay or step.timeout or step.validator or step.when then return nil end
  if step.resources and #step.resources > 0 then return nil end
  for _, cond in ipairs(step.conditions) do
    if type(cond) ~= "table" or cond.type ~= "skip" or cond.foreach ~= "parent" then return nil end
  end
  if step.action then return step.action end
  if not step.chain or #step.chain > 1 then return nil end
  local action = step.chain[1].action
  for key in next, action do
    if key ~= "type" then return nil end
  end
  local target = runner.find(action.type)
  if not target or target.context or target.resources or type(target.exec) ~= "function" then return nil end
  return target.exec
end

--- Compiles a step that is more than plain. Order of the fields: PLAN_* in csrc/lua/binding.h.
---@param step table    see fields.check_step
---@param bases table<string, any>
---@param report fun(place: string, message: string)
---@param strict? table    see expr.compile
---@return table plan
function M.compile(step, bases, report, strict)
  local action
  if step.chain then
    action = M.executor(step.chain, bases, "action", report, step.resources, strict)
  else
    action = M.function_executor(step.action, step.resources)
  end
  local hook = false
  if step.hook then
    hook = M.executor(step.hook, bases, "pre_hook", report, nil, strict)
  elseif step.hook_function then
    hook = M.function_executor(step.hook_function)
  end
  local plan = {
    action,
    hook,
    step.delay and step.delay > 0 and step.delay or false,
    condition.compile_all(step.conditions, "skip", step.foreach ~= nil and "children" or nil, report, strict) or false,
    step.foreach ~= nil and condition.compile_all(step.conditions, "skip", "parent", report, strict) or false,
    condition.compile_all(step.conditions, "check", nil, report, strict) or false,
    step.foreach ~= nil and M.foreach(step.foreach, report, strict) or false,
    step.validator or nil,
    nil, -- M.PLAIN
    step.timeout or false,
    step.acquire_timeout or false,
    step.when,
  }
  return plan
end

return M
