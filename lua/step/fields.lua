--- The fields of a definition and of a step: which there are, what may stand in them (S8.1 to S8.11).

local condition = require "step.condition"
local core = require "step.core"
local duration = require "step.duration"
local errors = require "step.error"
local functions = require "step.functions"
local json = require "step.json"
local retry = require "step.retry"
local runner = require "step.runner"
local suggest = require "step.suggest"
local tolerance = require "step.tolerance"
local variables = require "step.variables"

local M = {}

local null = json.null
local flags = core.flags

local function absent(value) return value == nil or value == null end

local function is_object(value) return type(value) == "table" and not json.is_array(value) end

local function is_list(value) return type(value) == "table" and (json.is_array(value) or next(value) == nil) end

local function keys(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

-- ---- the document ----

-- Fields of a definition: the type of each. Those that say who may see or run a task are kept and not enforced: there are no
-- users here.
local DOCUMENT = {
  name = "text", description = "text", long_description = "text", doc_link = "text", title_format = "text", result_format = "object",
  inputs = "list", resolver_inputs = "list", variables = "list", tags = "object", base_configurations = "object", retry_max = "count",
  deadline = "any", steps = "any", max_concurrent = "most", strict = "boolean", auto_runnable = "boolean",
  allow_all_resolver_usernames = "boolean", allow_task_start_over = "boolean",
  blocked = "boolean", hidden = "boolean", allowed_resolver_usernames = "list", allowed_resolver_groups = "list",
  allowed_watcher_usernames = "list", allowed_watcher_groups = "list",
}
local DOCUMENT_KEYS = keys(DOCUMENT)

-- Fields of a step.
local STEP = {
  name = "text", description = "text", idempotent = "boolean", action = "any", pre_hook = "any", json_schema = "any",
  retry_pattern = "text", max_retries = "integer", execution_delay = "any", dependencies = "list", custom_states = "list",
  conditions = "list", foreach = "any", foreach_strategy = "text", resources = "list", timeout = "any", acquire_timeout = "any",
  always = "boolean", max_concurrent = "most", tolerate = "any", retry = "any",
}
local STEP_KEYS = keys(STEP)

--- The keys of a definition and of a step, sorted.
M.DOCUMENT_KEYS, M.STEP_KEYS = DOCUMENT_KEYS, STEP_KEYS

--- A text; a number or a boolean stands for its text, as where a definition comes from a file.
local function text_of(value)
  if type(value) == "string" then return value end
  if type(value) == "number" or type(value) == "boolean" then return (json.encode(value)) end
end

local EXPECTED = { text = "a text", object = "an object", list = "a list", boolean = "true or false", count = "a whole number from 0",
  most = "a whole number from 1" }

local function fits(value, kind)
  if kind == "any" then return true end
  if kind == "text" then return text_of(value) ~= nil end
  if kind == "object" then return is_object(value) end
  if kind == "list" then return is_list(value) end
  if kind == "boolean" then return type(value) == "boolean" end
  if kind == "count" then return math.type(value) == "integer" and value >= 0 end
  if kind == "most" then return math.type(value) == "integer" and value >= 1 end
end

--- Refuses what is neither JSON data nor a Lua function: it would be lost when the value is copied for an action.
local function check_data(value, field, add)
  if type(value) == "function" then return end
  if type(value) ~= "table" then
    local _, err = json.copy(value)
    if err then add(field, { message = "this is no JSON data: " .. err.message:gsub("^%$: ", ""), found = errors.show(value) }) end
    return
  end
  local list = json.is_array(value)
  for key, item in next, value do
    local at = ("%s.%s"):format(field, tostring(key))
    if list then
      at = ("%s[%s]"):format(field, tostring(key))
    elseif type(key) ~= "string" then
      add(at, { message = "the keys of an object are texts, those of a list 1, 2, 3 ...", found = errors.show(key) })
    end
    check_data(item, at, add)
  end
end

--- The seconds of a span of time, at least or more than 0.
local function check_span(value, field, zero, add)
  if absent(value) then return nil end
  local seconds, message = duration.span(value, zero)
  if seconds then return seconds + 0.0 end
  add(field, { message = message, found = errors.show(value) })
end

--- Checks everything beside the steps.
---@param document table
---@param report step.Report
---@param lua? boolean    whether texts may hold Lua
---@return { name?: string, description?: string, retry_max: integer, max_concurrent?: integer, deadline?: number,
---  bases: table<string, any>, document: table }
function M.check_document(document, report, lua)
  local made = {}
  for key, value in next, document do
    local kind = DOCUMENT[key]
    if not kind then
      local hint = STEP[key] and " (it is one of a step)" or ""
      report:add { field = tostring(key), message = "unknown key of a definition" .. hint, accepted = table.concat(DOCUMENT_KEYS, ", "),
        near = suggest.nearest(tostring(key), DOCUMENT_KEYS) }
    elseif not absent(value) and not fits(value, kind) then
      if key ~= "inputs" and key ~= "resolver_inputs" then
        report:add { field = key, message = EXPECTED[kind] .. " is expected", found = errors.show(value) }
      end
    elseif not absent(value) and key ~= "steps" then
      made[key] = kind == "text" and text_of(value) or functions.copy(value)
    end
  end
  local name = text_of(document.name)
  if name == "" or absent(document.name) then
    report:add { field = "name", message = "a definition needs a name", found = errors.show(document.name) }
  end
  if absent(document.steps) then
    report:add { field = "steps", message = "a definition needs steps", accepted = "a list of steps, or an object from names to steps" }
  end
  local deadline = check_span(document.deadline, "deadline", false, function(field, finding)
    finding.field = field
    report:add(finding)
  end)
  variables.check(document.variables, report, lua)
  if made.variables then made.variables = variables.normalize(made.variables) end
  if is_object(document.base_configurations) then
    for base, value in next, document.base_configurations do
      check_data(value, "base_configurations." .. tostring(base), function(field, finding)
        finding.field = field
        report:add(finding)
      end)
    end
  end
  if is_object(document.tags) then
    for key, value in next, document.tags do
      if type(key) ~= "string" or text_of(value) == nil then
        report:add { field = "tags." .. tostring(key), message = "a text is expected", found = errors.show(value) }
      else
        made.tags[key] = text_of(value)
      end
    end
  end
  return {
    name = name, description = made.description, retry_max = math.type(document.retry_max) == "integer" and document.retry_max or 100,
    max_concurrent = made.max_concurrent, deadline = deadline,
    bases = is_object(made.base_configurations) and made.base_configurations or {}, document = made,
  }
end

-- ---- a step ----


-- Fields that only a run sets (S8.11).
local RUN_ONLY = {
  state = true, output = true, metadata = true, tags = true, children = true, children_steps = true, children_steps_map = true,
  error = true, try_count = true, last_run = true, item = true,
}

local EXECUTOR_KEYS = functions.EXECUTOR_KEYS
local OUTPUT_KEYS = { "format", "strategy" }
local STRATEGIES = functions.STRATEGIES

local MAX_DELAY = 20 -- seconds, S8.5

local function is_empty(value)
  return absent(value) or value == "" or value == 0 or value == false or (type(value) == "table" and next(value) == nil)
end

--- The custom states of a step and of the functions its action goes through (S1.3); wrong ones are passed over.
---@param spec table
---@param find fun(name: string): step.Function?
---@return string[]?
function M.custom_states(spec, find)
  local list, seen = {}, {}
  local function take(states)
    if not is_list(states) then return end
    for _, state in ipairs(states) do
      if type(state) == "string" and not seen[state] then
        seen[state] = true
        list[#list + 1] = state
      end
    end
  end
  take(spec.custom_states)
  if is_object(spec.action) then
    for _, link in ipairs(functions.chain(spec.action, find) or {}) do
      if link.fn then take(link.fn.custom_states) end
    end
  end
  return #list > 0 and list or nil
end

--- Calls the runner's own check with configurations in which templates still stand.
local function check_configuration(target, base, config, file, field, prefix, add)
  if not target.valid_config or type(base) == "function" or type(config) == "function" then return end -- not known yet
  local ok, result, message = pcall(target.valid_config, functions.copy(base), functions.copy(config), { file = file })
  if ok and (result or (result == nil and message == nil)) then return end
  add(field .. ".configuration", { message = prefix .. tostring(not ok and result or message or "the runner refuses the configuration") })
end

--- Checks an executor and gives its chain.
local function check_executor(action, field, prefix, context, add)
  if not is_object(action) then
    add(field, { message = prefix .. "an object with a type, or a Lua function, is expected", found = errors.show(action) })
    return nil
  end
  for key in next, action do
    local known = false
    for _, name in ipairs(EXECUTOR_KEYS) do known = known or name == key end
    if not known then
      add(field .. "." .. tostring(key), { message = prefix .. "unknown key of an action", accepted = table.concat(EXECUTOR_KEYS, ", "),
        near = suggest.nearest(tostring(key), EXECUTOR_KEYS) })
    end
  end
  local chain, problem, unknown = functions.chain(action, context.find)
  if not chain then
    local names = runner.names()
    for _, name in ipairs(functions.names()) do names[#names + 1] = name end
    if problem == "unknown" and (absent(unknown) or unknown == "") then
      add(field .. ".type", { message = prefix .. "an action needs a type", accepted = table.concat(names, ", ") })
    elseif problem == "unknown" and type(unknown) == "table" then
      add(field .. ".type", { message = prefix .. "a type is a text", found = errors.show(unknown), accepted = table.concat(names, ", ") })
    elseif problem == "unknown" then
      add(field .. ".type", {
        message = prefix .. "no runner and no function has the type " .. errors.show_text(unknown), accepted = table.concat(names, ", "),
        near = type(unknown) == "string" and suggest.nearest(unknown, names) or nil })
    else
      add(field .. ".type", { message = prefix .. problem })
    end
    return nil
  end
  local before
  for i, link in ipairs(chain) do
    local inner, at = link.action, field
    if link.fn then
      context.used[link.fn.name] = link.fn
      at = ("%s (function '%s')"):format(field, link.fn.name)
      for _, name in ipairs(functions.arguments(inner.configuration)) do -- S7.3
        if not functions.has_argument(before, name) then
          add(field .. ".configuration", {
            message = ("%smissing function_args '%s', which the function '%s' uses"):format(prefix, name, link.fn.name) })
        end
      end
    end
    before = inner.configuration
    if not absent(before) then check_data(before, at .. ".configuration", add) end
    if not absent(inner.base_output) then check_data(inner.base_output, at .. ".base_output", add) end
    if is_object(inner.output) and not absent(inner.output.format) then check_data(inner.output.format, at .. ".output.format", add) end
    local base = inner.base_configuration
    if not absent(base) and base ~= "" and (type(base) ~= "string" or context.bases[base] == nil) then
      add(at .. ".base_configuration", { message = prefix .. "BaseConfiguration key not found", found = errors.show(base),
        accepted = next(context.bases) and table.concat(keys(context.bases), ", ") or "none, the definition has no base_configurations",
        near = type(base) == "string" and suggest.nearest(base, keys(context.bases)) or nil })
    end
    if not absent(inner.output) then
      if not is_object(inner.output) then
        add(at .. ".output", { message = prefix .. "an object with strategy and format is expected", found = errors.show(inner.output) })
        return nil
      end
      for key in next, inner.output do
        if key ~= "strategy" and key ~= "format" then
          add(at .. ".output." .. tostring(key), { message = prefix .. "unknown key of an output", accepted = "format, strategy",
            near = suggest.nearest(tostring(key), OUTPUT_KEYS) })
        end
      end
      local strategy = inner.output.strategy
      if not absent(strategy) and strategy ~= "" and strategy ~= "none" and strategy ~= "merge" and strategy ~= "template" then
        add(at .. ".output.strategy", { message = prefix .. "unknown output strategy", found = errors.show(strategy),
          accepted = table.concat(STRATEGIES, ", "), near = type(strategy) == "string" and suggest.nearest(strategy, STRATEGIES) or nil })
        return nil
      end
    end
    if i == #chain then
      local target = runner.find(inner.type) --[[@as step.Runner]]
      local named = {}
      for k = #chain, 1, -1 do
        local name = chain[k].action.base_configuration
        if type(name) == "string" and context.bases[name] ~= nil then named = require "step.expr".merge(named, context.bases[name]) end
      end
      local base_config = next(named) ~= nil and named or nil
      check_configuration(target, base_config, inner.configuration, context.file, at, prefix, add)
    end
  end
  return chain
end

--- Conditions of the functions in a chain, the innermost's first, then the step's own (S3.3).
local function all_conditions(chain, own)
  local list = {}
  for i = #(chain or {}), 2, -1 do
    local fn = chain[i].fn
    if fn and is_list(fn.conditions) then
      for _, cond in ipairs(fn.conditions) do list[#list + 1] = cond end
    end
  end
  if is_list(own) then
    for i = 1, #own do list[#list + 1] = own[i] end
  end
  return list
end

--- The one pre_hook of a step and its functions (S4.2).
local function pre_hook_of(spec, chain, add)
  local found = not absent(spec.pre_hook) and spec.pre_hook or nil
  for i = 2, #(chain or {}) do
    local hook = chain[i].fn and chain[i].fn.pre_hook
    if not absent(hook) then
      if found then
        add("pre_hook", { message = ("prehook: pre_hook override: the function '%s' has a pre_hook already"):format(chain[i].fn.name) })
        return nil
      end
      found = hook
    end
  end
  return found
end

--- What is wrong with a schema, in one line; the place of it as a field.
local function schema_problem(problem)
  local text = problem.message
  for i, cause in ipairs(problem.causes or {}) do
    text = text .. (i == 1 and ": " or "; ") .. schema_problem(cause)
  end
  return text
end

local function schema_field(problem)
  local field = "json_schema"
  for part in (problem.schema or ""):gmatch "/([^/]*)" do
    part = part:gsub("~1", "/"):gsub("~0", "~")
    field = part:find "^%d+$" and ("%s[%d]"):format(field, math.tointeger(part) + 1) or field .. "." .. part
  end
  return field
end

--- The fields that tell how a foreach step runs its children, and what the core is to know of a step beside its flags.
local function check_settings(step, spec, add)
  local settings = {}
  for _, key in ipairs { "max_concurrent", "tolerate" } do
    local value = spec[key]
    if not absent(value) and step.foreach == nil then
      add(key, { message = key .. " is only for foreach steps", found = errors.show(value) })
    elseif not absent(value) and key == "tolerate" then
      local amount, percent = tolerance.read(value)
      settings.tolerate, settings.percent = amount, amount and percent
      if not amount then add(key, { message = percent, found = errors.show(value) }) end
    elseif not absent(value) and fits(value, "most") then
      settings.most = value
    end
  end
  if not absent(spec.retry) then
    local how = retry.check(spec.retry, add)
    if not absent(spec.retry_pattern) and spec.retry_pattern ~= "" then
      add("retry_pattern", { message = "a step has a retry_pattern or a retry, not both", found = errors.show(spec.retry_pattern) })
    end
    if how.max and not absent(spec.max_retries) then
      add("retry.max", { message = "a step has max_retries or retry.max, not both", found = errors.show(how.max) })
    end
    settings.retry, step.when = how.policy, how.when
    step.max_retries = step.max_retries or how.max
  end
  if next(settings) then step.settings = settings end
end

--- Checks a step that is not plain.
---@param name string
---@param spec table
---@param context table     see definition.lua
---@param report step.Report
---@return table step       what plan.lua compiles; `ok` when it can
function M.check_step(name, spec, context, report)
  local before = #report.findings
  local function add(field, finding)
    finding.step, finding.field = name, field
    report:add(finding)
  end
  local copy = {}
  for key, value in next, spec do
    local kind = STEP[key]
    if RUN_ONLY[key] then
      if not context.results_allowed and not is_empty(value) then
        add(key, { message = ("%s must not be set in a definition: only a run sets it"):format(key), found = errors.show(value) })
      end
    elseif not kind then
      if context.results_allowed and type(key) == "string" and key:sub(1, 1) == "_" then goto continue end
      local hint = ""
      for _, inner in ipairs(EXECUTOR_KEYS) do
        if key == inner then hint = " (it is one of an action)" end
      end
      add(tostring(key), { message = "unknown key of a step" .. hint, accepted = table.concat(STEP_KEYS, ", "),
        near = suggest.nearest(tostring(key), STEP_KEYS) })
    elseif not absent(value) then
      if kind == "integer" then
        if math.type(value) ~= "integer" then add(key, { message = "a whole number is expected", found = errors.show(value) }) end
      elseif not fits(value, kind) and key ~= "dependencies" then
        add(key, { message = EXPECTED[kind] .. " is expected", found = errors.show(value) })
      end
      copy[key] = kind == "text" and text_of(value) or functions.copy(value)
    end
    ::continue::
  end
  copy.name, copy.dependencies = nil, nil
  local step = { spec = copy, flags = 0 }

  if type(spec.action) == "function" then
    step.action = spec.action
  else
    step.chain = check_executor(spec.action, "action", "", context, add)
  end
  local hook = pre_hook_of(spec, step.chain, add)
  if type(hook) == "function" then
    step.hook_function = hook
  elseif hook then
    step.hook = check_executor(hook, "pre_hook", "prehook: ", context, add)
    for i = 2, #(step.hook or {}) do
      if step.hook[i].fn and not absent(step.hook[i].fn.pre_hook) then
        local message = "prehook: pre_hook override: the function '%s', used as a pre_hook, has a pre_hook itself"
        add("pre_hook", { message = message:format(step.hook[i].fn.name) })
      end
    end
  end

  if is_list(spec.custom_states) then functions.check_custom_states(spec.custom_states, "custom_states", add) end
  for i = 2, #(step.chain or {}) do
    local fn = step.chain[i].fn
    if fn and is_list(fn.custom_states) then
      functions.check_custom_states(fn.custom_states, ("custom_states of the function '%s'"):format(fn.name), add)
    end
  end
  step.customs = M.custom_states(spec, context.find)
  local customs = {}
  for _, state in ipairs(step.customs or {}) do customs[state] = true end

  local foreach = spec.foreach
  if not absent(foreach) and foreach ~= "" then
    if type(foreach) ~= "string" and type(foreach) ~= "function" and not is_list(foreach) then
      add("foreach", { message = "an expression that gives a list is expected", found = errors.show(foreach) })
    end
    step.foreach = copy.foreach
    step.flags = step.flags | flags.FOREACH
  else
    copy.foreach = nil
  end
  local strategy = copy.foreach_strategy
  if type(strategy) == "string" and strategy ~= "" then
    if step.foreach == nil then
      add("foreach_strategy", { message = "foreach_strategy is only for foreach steps", found = errors.show(strategy) })
    elseif strategy ~= "parallel" and strategy ~= "sequence" then
      add("foreach_strategy", { message = "unknown foreach_strategy", found = errors.show(strategy), accepted = "parallel, sequence",
        near = suggest.nearest(strategy, { "parallel", "sequence" }) })
    elseif strategy == "sequence" then
      step.flags = step.flags | flags.SEQUENCE
    end
  elseif step.foreach ~= nil then
    copy.foreach_strategy = "parallel"
  end

  step.conditions = all_conditions(step.chain, spec.conditions)
  local own = #step.conditions - (is_list(spec.conditions) and #spec.conditions or 0)
  local site = {
    step = name, foreach = step.foreach ~= nil, customs = customs, exists = context.exists, names = context.names,
    customs_of = context.customs_of, target = context.target,
  }
  for i, cond in ipairs(step.conditions) do
    local field = i > own and ("conditions[%d]"):format(i - own) or ("its functions' conditions[%d]"):format(i)
    condition.check(cond, field, site, add)
  end

  local pattern = copy.retry_pattern
  if type(pattern) == "string" and pattern ~= "" then
    local known = { seconds = flags.SECONDS, minutes = flags.MINUTES, hours = flags.HOURS }
    if not known[pattern] then
      add("retry_pattern", { message = "Invalid retry pattern", found = errors.show(pattern), accepted = "seconds, minutes, hours",
        near = suggest.nearest(tostring(pattern), { "seconds", "minutes", "hours" }) })
    else
      step.flags = step.flags | known[pattern]
    end
  end
  local chain = step.chain
  local target = chain and not hook and runner.find(chain[#chain].action.type)
  if spec.idempotent == true or (absent(spec.idempotent) and target and target.idempotent) then
    step.flags = step.flags | flags.IDEMPOTENT
  end
  if math.type(spec.max_retries) == "integer" then step.max_retries = spec.max_retries end

  check_settings(step, spec, add)

  if not absent(spec.execution_delay) then
    local seconds, message = duration.seconds(spec.execution_delay)
    if not seconds then
      add("execution_delay", { message = "execution_delay: " .. message, found = errors.show(spec.execution_delay) })
    elseif seconds < 0 or seconds > MAX_DELAY then
      add("execution_delay", { message = "execution_delay is from 0 to 20 seconds (a number counts nanoseconds)",
        found = errors.show(spec.execution_delay) })
    else
      step.delay = seconds
    end
  end
  step.timeout = check_span(spec.timeout, "timeout", false, add)
  step.acquire_timeout = check_span(spec.acquire_timeout, "acquire_timeout", true, add)
  if spec.always == true then step.flags = step.flags | flags.ALWAYS end
  if is_list(spec.resources) then
    local seen, list = {}, {}
    for i, resource in ipairs(spec.resources) do
      if type(resource) ~= "string" or resource == "" then
        add(("resources[%d]"):format(i), { message = "the name of a resource is expected", found = errors.show(resource) })
      elseif not seen[resource] then
        seen[resource] = true
        list[#list + 1] = resource
      end
    end
    table.sort(list)
    step.resources = list
  end
  if not absent(spec.json_schema) then
    local schema = require "step.schema"
    local normalized, validator, err = M.normalize_schema(schema, spec.json_schema)
    if not validator then
      for _, problem in ipairs(err.errors or { err }) do
        add(schema_field(problem), { message = "Jsonschema: " .. schema_problem(problem) })
      end
    else
      copy.json_schema = normalized
      step.validator = validator
    end
  end
  step.ok = #report.findings == before
  return step
end

--- The schema with its `$schema` made explicit (S4.7), and what validates an output by it.
function M.normalize_schema(schema, value)
  local normalized, problem = schema.normalize(functions.copy(value))
  if normalized == nil then return nil, nil, problem end
  local validator, err = schema.compile(normalized)
  if not validator then return nil, nil, err end
  return normalized, function(output)
    if output == nil then output = null end
    return validator(output)
  end
end

return M
