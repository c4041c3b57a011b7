--- Lint: what a definition's templates refer to, checked before anything runs (S8.13).

local expr = require "step.expr"
local functions = require "step.functions"
local json = require "step.json"
local runner = require "step.runner"
local suggest = require "step.suggest"

local M = {}

local TASK = { "created", "last_activity", "region", "requester_username", "resolver_username", "tags", "task_id", "title" }
local IS_TASK = {}
for _, key in ipairs(TASK) do IS_TASK[key] = true end

local function names_of(list)
  local names, set = {}, {}
  if type(list) == "table" then
    for _, input in ipairs(list) do
      if type(input) == "table" and type(input.name) == "string" then
        names[#names + 1] = input.name
        set[input.name] = true
      end
    end
  end
  return names, set
end

--- The property names along a schema's path: false when the schema says that there is no such field.
local function has_field(schema, path)
  for i, name in ipairs(path) do
    if type(schema) ~= "table" or type(schema.properties) ~= "table" then return true end
    local inner = schema.properties[name]
    if inner == nil then
      if schema.additionalProperties == true or type(schema.additionalProperties) == "table" or schema.patternProperties ~= nil then return true end
      return false, i
    end
    schema = inner
  end
  return true
end

--- Every path in a template text: calls fn(first, names) for ".first.a.b".
local function references(text, fn)
  for action in text:gmatch "{{(.-)}}" do
    action = action:gsub('"[^"]*"', '""'):gsub("`[^`]*`", "``"):gsub("/%*.-%*/", "")
    for before, path in (" " .. action):gmatch "([%s(|])(%.[%a_][%w_.]*)" do
      local names = {}
      for name in path:gmatch "[^.]+" do names[#names + 1] = name end
      if before and #names > 1 then fn(names[1], table.move(names, 2, #names, 1, {})) end
    end
  end
end

--- Prepares the checks of one definition; the function it returns checks a step.
---@param document table
---@param names string[]
---@param specs table[]
---@param is_plain fun(spec: table): boolean
---@param known table
---@param report step.Report
---@return fun(name: string, step: table)
function M.new(document, names, specs, is_plain, known, report)
  local input_names, is_input = names_of(document.inputs)
  local resolver_names, is_resolver = names_of(document.resolver_inputs)
  local numbers

  local function step_named(name)
    if not numbers then
      numbers = {}
      for i, other in ipairs(names) do numbers[other] = i end
    end
    return numbers[name]
  end

  local function metadata_schema(spec)
    if type(spec.action) ~= "table" then return nil end
    local chain = functions.chain(spec.action, functions.find)
    local target = chain and runner.find(chain[#chain].action.type)
    if not target or not target.metadata_schema then return nil end
    local ok, schema = pcall(target.metadata_schema)
    return ok and schema or nil
  end

  local function check_text(name, text, field)
    references(text, function(first, path)
      local function refuse(message, candidates, wanted, accepted)
        report:add { step = name, field = field, message = message, accepted = accepted, near = candidates and suggest.nearest(wanted, candidates) or nil }
      end
      local key = path[1]
      if first == "input" and not is_input[key] then
        refuse(("Linting: the template uses the input key '%s', which is not defined"):format(key), input_names, key, table.concat(input_names, ", "))
      elseif first == "resolver_input" and not is_resolver[key] then
        refuse(("Linting: the template uses the resolver input key '%s', which is not defined"):format(key), resolver_names, key, table.concat(resolver_names, ", "))
      elseif first == "task" and not IS_TASK[key] then
        refuse(("Linting: the template uses the task key '%s', which does not exist"):format(key), TASK, key, table.concat(TASK, ", "))
      elseif first == "step" and (key ~= "this" or name) then -- in a base configuration `this` may be any step
        local number = key == "this" and step_named(name) or step_named(key)
        if not number then
          refuse(("Linting: the template uses the step key '%s', but there is no such step"):format(key), names, key)
        elseif path[2] == "output" and #path > 2 and not is_plain(specs[number]) then
          local schema = specs[number].json_schema
          local ok, at = has_field(schema, table.move(path, 3, #path, 1, {}))
          if not ok then
            refuse(("Linting: step '%s' has no output field '%s' by its json_schema"):format(names[number], table.concat(path, ".", 3, at + 2)))
          end
        elseif path[2] == "metadata" and #path > 2 and not is_plain(specs[number]) then
          local ok, at = has_field(metadata_schema(specs[number]), table.move(path, 3, #path, 1, {}))
          if not ok then
            refuse(("Linting: step '%s' has no metadata field '%s' by its runner's schema"):format(names[number], table.concat(path, ".", 3, at + 2)))
          end
        end
      end
    end)
  end

  local function check_tree(name, value, field)
    if value == nil or value == json.null then return end
    expr.texts(value, field, function(text, place)
      if text:find("{{", 1, true) then check_text(name, text, place) end
    end)
  end

  for base, value in pairs(known.bases) do check_tree(nil, value, "base_configurations." .. base) end

  return function(name, step)
    local spec = step.spec
    for _, part in ipairs { { spec.action, "action" }, { spec.pre_hook, "pre_hook" } } do
      if type(part[1]) == "table" then
        check_tree(name, part[1].configuration, part[2] .. ".configuration")
        check_tree(name, part[1].output, part[2] .. ".output")
        check_tree(name, part[1].base_output, part[2] .. ".base_output")
      end
    end
    check_tree(name, spec.foreach, "foreach")
    check_tree(name, spec.conditions, "conditions")
  end
end

return M
