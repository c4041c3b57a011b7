--- Lint: what a definition's templates refer to, checked before anything runs (S8.13).
--
-- A reference to what does not exist is refused; what may be meant so, or fails only where it is used, is a warning: a template
-- that does not parse, a condition without `if`, a value that can be absent because its step can be skipped, can be pruned or is
-- no ancestor of the step that reads it.

local core = require "step.core"
local errors = require "step.error"
local expr = require "step.expr"
local functions = require "step.functions"
local json = require "step.json"
local references = require "step.references"
local runner = require "step.runner"
local suggest = require "step.suggest"

local M = {
  max_visits = 2000000,       -- of steps, while ancestors are looked for; beyond it absence is not warned of
}

local null = json.null

local function absent(value) return value == nil or value == null end

local function set_of(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

local TASK = { "created", "last_activity", "region", "requester_username", "resolver_username", "tags", "task_id", "title" }
local ROOT = { "config", "function_args", "input", "iterator", "pre_hook", "resolver_input", "step", "task", "variables" }
local STEP = {
  "children", "error", "item", "last_run", "max_retries", "metadata", "name", "next_retry", "output", "state", "try_count",
}
local IS_TASK, IS_ROOT, IS_STEP = set_of(TASK), set_of(ROOT), set_of(STEP)
local RESULT = set_of { "output", "metadata", "children" }

-- Endings of a step whose reader cannot count on a result, set by conditions; any custom state is one, too.
local FAILED = set_of { "CLIENT_ERROR", "FATAL_ERROR", "TO_RETRY", "RETRY_NOW", "SERVER_ERROR" }

local function names_of(list)
  local names = {}
  if type(list) == "table" then
    for _, item in ipairs(list) do
      if type(item) == "table" and item.name ~= nil and item.name ~= null then names[#names + 1] = tostring(item.name) end
    end
  end
  return names, set_of(names)
end

-- Keywords of a schema by which it may have more properties than it lists.
local OPEN = { "patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref", "dependencies" }

local SCALAR = { string = true, number = true, integer = true, boolean = true, null = true }

--- Whether a schema knows a field: false, and which name of the path it is, when it says that there is none.
local function has_field(schema, path, first)
  for i = first, #path do
    if type(schema) ~= "table" then return true end
    if SCALAR[schema.type] then return false, i, {} end
    if type(schema.properties) ~= "table" then return true end
    local inner = schema.properties[path[i]]
    if inner == nil then
      if schema.additionalProperties == true or type(schema.additionalProperties) == "table" then return true end
      for _, key in ipairs(OPEN) do
        if schema[key] ~= nil then return true end
      end
      return false, i, schema.properties
    end
    schema = inner
  end
  return true
end

local function keys(t)
  local list = {}
  for key in pairs(t) do list[#list + 1] = tostring(key) end
  table.sort(list)
  return list
end

---@class step.lint.Linter
---@field names string[]
---@field specs table[]
---@field compiled table<integer, table>     steps that are more than plain, by number
---@field find fun(name: string): step.Function?
---@field report step.Report                 what refuses the definition
---@field warnings step.Report
---@field templates table<string, table>     text -> { references, message }
---@field visits integer
local Linter = {}
Linter.__index = Linter

function Linter:number(name)
  if not self.numbers then
    self.numbers = {}
    for i = #self.names, 1, -1 do self.numbers[self.names[i]] = i end
  end
  return self.numbers[name]
end

-- ---- what a step can end in ----

--- Dependencies of a step: { number, any, accepted states }.
function Linter:dependencies(i)
  local list = self.edges[i]
  if list then return list end
  list = {}
  self.edges[i] = list
  local written, always = self.specs[i].dependencies, self.specs[i].always == true
  for _, dependency in ipairs(type(written) == "table" and written or {}) do
    if type(dependency) == "string" then
      local name, states = core.dependency_parts(dependency)
      local number = self:number(name)
      if number then list[#list + 1] = { number = number, any = always or states[1] == "ANY", states = states } end
    end
  end
  return list
end

--- Whether a step is an ancestor: by dependencies without ANY all the way ("sure"), only through ANY ("loose"), or not (nil).
function Linter:ancestry(from, ancestor)
  for _, loose in ipairs { false, true } do
    local queue, seen = { from }, { [from] = true }
    local at = 1
    while queue[at] do
      self.visits = self.visits + 1
      if self.visits > M.max_visits then return "sure" end
      for _, dependency in ipairs(self:dependencies(queue[at])) do
        local number = dependency.number
        if (loose or not dependency.any) and not seen[number] then
          if number == ancestor then return loose and "loose" or "sure" end
          seen[number] = true
          queue[#queue + 1] = number
        end
      end
      at = at + 1
    end
  end
  return nil
end

--- Calls fn(step number, target number, state, condition) for every state that a condition may set.
function Linter:each_set(fn)
  for i, step in pairs(self.compiled) do
    for _, cond in ipairs(step.conditions) do
      local targets = type(cond) == "table" and cond["then"]
      for name, state in pairs(type(targets) == "table" and targets or {}) do
        local target = name == "this" and i or self:number(name)
        if target and type(state) == "string" then fn(i, target, state, cond) end
      end
    end
  end
end

--- Steps that can be skipped and count as ended well: their action does not run, there is no output.
function Linter:can_be_skipped(i)
  if not self.skipped then
    self.skipped = {}
    self:each_set(function(owner, target, state, cond)
      if cond.type == "skip" and owner == target and state ~= "PRUNE" and not FAILED[state] then self.skipped[target] = true end
    end)
  end
  return self.skipped[i]
end

--- Steps that can be pruned, by a condition or because a step they depend on can end in a state they do not accept.
function Linter:can_be_pruned(i)
  if self.pruned then return self.pruned[i] end
  local pruned, endings, queue = {}, {}, {}
  self.pruned = pruned
  local function ends(target, state)
    endings[target] = endings[target] or { DONE = true }
    endings[target][state] = true
  end
  self:each_set(function(_, target, state)
    if state == "PRUNE" and not pruned[target] then
      pruned[target] = true
      queue[#queue + 1] = target
    elseif not FAILED[state] then
      ends(target, state)
    end
  end)
  local dependents = {}
  for n = 1, #self.names do
    for _, dependency in ipairs(self:dependencies(n)) do
      if not dependency.any then
        local d = dependency.number
        dependents[d] = dependents[d] or {}
        table.insert(dependents[d], n)
        local accepted = set_of(dependency.states)
        for state in pairs(endings[d] or { DONE = true }) do
          if not accepted[state] and not pruned[n] then
            pruned[n] = true
            queue[#queue + 1] = n
          end
        end
      end
    end
  end
  local at = 1
  while queue[at] do
    for _, n in ipairs(dependents[queue[at]] or {}) do
      if not pruned[n] then
        pruned[n] = true
        queue[#queue + 1] = n
      end
    end
    at = at + 1
  end
  return pruned[i]
end

--- Why a result of a step may not be there when another step reads it; nil when it is.
function Linter:absence(reader, owner)
  local name = self.names[owner]
  local ancestry = self:ancestry(reader, owner)
  if not ancestry and self:ancestry(owner, reader) then
    return ("step '%s' depends on this step, it runs later"):format(name)
  elseif not ancestry then
    return ("step '%s' is no ancestor of this step, it may not have run yet; add it to the dependencies"):format(name)
  elseif self:can_be_skipped(owner) then
    return ("step '%s' can be skipped by a condition, its action does not run then"):format(name)
  elseif self.specs[reader].always == true then
    return ("this step runs, to clean up, even where step '%s' did not"):format(name)
  elseif ancestry == "loose" and self:can_be_pruned(owner) then
    return ("step '%s' can be pruned, and this step runs all the same"):format(name)
  end
end

-- ---- references ----

--- The schema of the metadata that the runner of a step returns.
function Linter:metadata_schema(spec)
  if type(spec.action) ~= "table" then return nil end
  local chain = functions.chain(spec.action, self.find)
  local target = chain and runner.find(chain[#chain].action.type)
  if not target or not target.metadata_schema then return nil end
  local ok, schema = pcall(target.metadata_schema)
  return ok and schema or nil
end

---@class step.lint.Place
---@field step? string        the step's name
---@field number? integer
---@field field string
---@field guarded? boolean    an absent value is told apart here: operands of assertions
---@field sink? step.Report   what takes the errors; default: the report that refuses

--- Checks a path that starts with "step".
function Linter:check_step_path(path, guarded, place, add)
  local key, field = path[2], path[3]
  local number = key == "this" and place.number or self:number(key)
  if key == "this" and not place.number then return end -- of a base configuration, a variable: any step
  if not number then
    return add("error", ("Linting: the template uses the step key '%s', but there is no such step%s"):format(key,
      errors.yaml_hint(key, function(name) return self:number(name) end)), self.names, key)
  end
  if not field then return end
  if not IS_STEP[field] then
    return add("warning", ("a step has no '%s'"):format(field), STEP, field, table.concat(STEP, ", "))
  end
  local spec, name = self.specs[number], self.names[number]
  local schema, what
  if field == "output" then
    schema, what = spec.json_schema, "Linting: step '%s' has no output field '%s' by its json_schema"
  elseif field == "metadata" then
    schema, what = self:metadata_schema(spec), "Linting: step '%s' has no metadata field '%s' by its runner's schema"
  end
  local ok, at, properties = has_field(schema, path, 4)
  if not ok then
    local known = keys(properties)
    return add("error", what:format(name, table.concat(path, ".", 4, at)), known, path[at], table.concat(known, ", "))
  end
  if guarded or place.guarded or not place.number or not RESULT[field] or number == place.number then return end
  local is_foreach = not absent(spec.foreach) and spec.foreach ~= ""
  if is_foreach ~= (field == "children") then
    if is_foreach then
      add("warning", ("step '%s' is a foreach step: it has children, its %s is empty"):format(name, field))
    else
      add("warning", ("step '%s' is no foreach step: its children are empty"):format(name))
    end
    return
  end
  local why = self:absence(place.number, number)
  if why then add("warning", ("'%s' may be absent: %s"):format(table.concat(path, "."), why)) end
end

--- Checks a path from the values.
function Linter:check_path(path, guarded, place)
  local function add(level, message, candidates, wanted, accepted)
    (level == "error" and (place.sink or self.report) or self.warnings):add {
      step = place.step, field = place.field, message = message, accepted = accepted ~= "" and accepted or nil,
      near = candidates and suggest.nearest(wanted, candidates) or nil,
    }
  end
  local first, key = path[1], path[2]
  if not IS_ROOT[first] then
    return add("warning", ("the values have no '%s'"):format(first), ROOT, first, table.concat(ROOT, ", "))
  elseif key == nil then
    return
  elseif first == "input" and not self.is_input[key] then
    return add("error", ("Linting: the template uses the input key '%s', which is not defined%s"):format(key,
      errors.yaml_hint(key, function(name) return self.is_input[name] end)), self.inputs, key,
      table.concat(self.inputs, ", "))
  elseif first == "resolver_input" and not self.is_resolver_input[key] then
    return add("error", ("Linting: the template uses the resolver input key '%s', which is not defined"):format(key),
      self.resolver_inputs, key, table.concat(self.resolver_inputs, ", "))
  elseif first == "task" and not IS_TASK[key] then
    return add("error", ("Linting: the template uses the task key '%s', which does not exist"):format(key), TASK, key,
      table.concat(TASK, ", "))
  elseif first == "variables" and not self.is_variable[key] then
    return add("error", ("Linting: the template uses the variable '%s', which is not defined"):format(key), self.variables, key,
      table.concat(self.variables, ", "))
  elseif first == "step" then
    self:check_step_path(path, guarded, place, add)
  end
end

-- What is usually meant by a template that does not parse: a pattern of the message, what to write.
local MISTAKES = {
  { 'unexpected "=" in', "compare with eq: {{if eq .input.n 1}}" }, { 'unexpected ">" in', "compare with gt or ge: {{if gt .input.n 1}}" },
  { 'unexpected "<" in', "compare with lt or le: {{if lt .input.n 1}}" }, { 'unexpected "&" in', "use and: {{if and .a .b}}" },
  { 'unexpected "|" in', "use or: {{if or .a .b}}; a pipe needs something before and behind it" },
  { 'unexpected "!" in', "use not: {{if not .a}}, or ne" }, { 'bad number syntax: "%+"', "use add: {{add .input.n 1}}" },
  { 'unexpected "%?" in', "use ternary: {{ternary 1 2 .a}}" }, { "malformed character constant", "texts stand in double quotes" },
  { "bad character U%+002D", 'use index for such a name: {{(index .step "my-step").output.x}}' },
  { "bad character U%+005B", 'use index: {{index .input.l 0}}' }, { 'unexpected "%[" in', "use list: {{list 1 2}}" },
  { 'unexpected "," in', "arguments are separated by blanks" }, { 'unexpected "%(" in', "arguments follow a blank: {{f 1 2}}" },
  { "unexpected {{e%l+}}", "there is no {{if}}, {{with}} or {{range}} that it belongs to" },
  { 'bad number syntax: "%-', "a blank follows the trim mark: {{- .x -}}" },
  { "unexpected EOF", "an {{end}} is missing" }, { 'unexpected "{" in', "inside of {{ }} no further {{ }} stands" },
  { "unexpected .* in define clause", "the name stands in quotes" },
  { 'function "els?e?if" not defined', "it is {{else if}}" }, { 'function "end%a+" not defined', "it is {{end}}" },
  { 'function "for%a*" not defined', "it is {{range}}" },
  { 'undefined variable "%$', "a variable is declared by :=, inside of the same block" },
}

--- What helps against a template that does not parse: a sentence, the nearest name of a function.
local function mistake(message)
  local name = message:match 'function "([^"]*)" not defined'
  if name and IS_ROOT[name] then return ("a path starts with a dot: .%s"):format(name) end
  for _, known in ipairs(MISTAKES) do
    if message:find(known[1]) then return known[2] end
  end
  if not name then return nil end
  return nil, suggest.nearest(name, keys(require("step.template.functions").all()))
end

function Linter:check_text(text, place)
  local known = self.templates[text]
  if not known then
    local found, message = references.of(text)
    known = { found, message }
    self.templates[text] = known
  end
  if not known[1] then
    local message = known[2]:gsub("^template: (%d+):(%d+): ", "line %1, column %2 of it: ")
    local hint, near = mistake(message)
    self.warnings:add { step = place.step, field = place.field, near = near,
      message = ("the template does not parse, using it will fail: %s%s"):format(message, hint and (" (%s)"):format(hint) or "") }
    return
  end
  for _, reference in ipairs(known[1]) do self:check_path(reference.path, reference.guarded, place) end
end

--- Checks every text inside a value.
function Linter:check(value, place)
  if absent(value) then return end
  expr.texts(value, place.field, function(text, field)
    if text:find("{{", 1, true) then
      self:check_text(text, { step = place.step, number = place.number, field = field, guarded = place.guarded, sink = place.sink })
    end
  end)
end

--- Whether a format is an object, or may become one.
local function is_mergeable(format)
  if type(format) == "table" then return not json.is_array(format) or #format == 0 end
  return type(format) == "function" or (type(format) == "string" and format:find("{{", 1, true) ~= nil)
end

--- Output strategies that cannot work as they are written, or are not used.
function Linter:check_output(action, place)
  local output, base_output = action.output, action.base_output
  local function warn(field, message, accepted)
    self.warnings:add { step = place.step, field = place.field .. field, message = message, accepted = accepted }
  end
  local function check_merge(format, field)
    if not absent(format) and not is_mergeable(format) then
      warn(field, "an object is expected, the output is merged into it: the action will fail")
    end
  end
  if type(output) == "table" then
    local strategy, format = output.strategy, output.format
    if strategy == "merge" or strategy == "template" then
      if absent(format) then warn(".output", ("the strategy %s needs a format"):format(strategy)) end
      if strategy == "merge" then check_merge(format, ".output.format") end
    elseif not absent(format) then
      warn(".output.format", "the format is not used: the output has no strategy", "merge, template")
    end
  end
  if absent(base_output) then return end
  if absent(output) then
    check_merge(base_output, ".base_output")
  else
    warn(".base_output", "base_output is not used where there is an output")
  end
end

function Linter:check_action(action, place)
  if type(action) ~= "table" then return end
  self:check_output(action, place)
  for _, key in ipairs { "configuration", "output", "base_output" } do
    self:check(action[key], { step = place.step, number = place.number, field = place.field .. "." .. key, sink = place.sink })
  end
end

function Linter:check_conditions(list, place)
  if type(list) ~= "table" then return end
  for i = 1, #list do
    local cond = list[i]
    local field = ("%s[%d]"):format(place.field, i)
    if type(cond) == "table" then
      local asserts = cond["if"]
      self:check(asserts, { step = place.step, number = place.number, field = field .. ".if", guarded = true, sink = place.sink })
      self:check(cond.message, { step = place.step, number = place.number, field = field .. ".message", sink = place.sink })
      if absent(asserts) or type(asserts) == "table" and next(asserts) == nil then
        self.warnings:add { step = place.step, field = field, message = "the condition has no `if`: it always holds" }
      end
    end
  end
end

function Linter:check_step(number, step)
  local name, spec = self.names[number], step.spec
  local function at(field, sink) return { step = name, number = number, field = field, sink = sink } end
  if spec.foreach_strategy == "sequence" and spec.max_concurrent then
    self.warnings:add { step = name, field = "max_concurrent", message = "of a sequence one child runs at a time whatever this says" }
  end
  if spec.always == true and #self:dependencies(number) == 0 then
    self.warnings:add { step = name, field = "always",
      message = "the step depends on nothing: it does not clean up after, but begins with the others" }
  end
  for i, resource in ipairs(type(spec.resources) == "table" and spec.resources or {}) do
    if type(resource) == "string" and resource:find("{{", 1, true) then
      self.warnings:add { step = name, field = ("resources[%d]"):format(i), found = errors.show(resource),
        message = "this is no template but the name of a resource, which no engine is likely to limit" }
    end
  end
  self:check_action(spec.action, at "action")
  self:check_action(spec.pre_hook, at "pre_hook")
  self:check(spec.foreach, at "foreach")
  self:check_conditions(spec.conditions, at "conditions")
  for i = 2, #(step.chain or {}) do -- a function is written for many definitions: what it lacks here is a warning
    local fn = step.chain[i].fn
    if fn and not self.functions_seen[fn] then
      self.functions_seen[fn] = true
      local field = ("action (function '%s')"):format(fn.name)
      self:check_action(fn.action, at(field, self.warnings))
      self:check_action(fn.pre_hook, at(field .. ".pre_hook", self.warnings))
      self:check_conditions(fn.conditions, at(field .. ".conditions", self.warnings))
    end
  end
end

--- Variables whose texts need each other.
function Linter:check_cycles(variables)
  if type(variables) ~= "table" then return end
  local needs, state = {}, {}
  for i, variable in ipairs(variables) do
    if type(variable) == "table" and type(variable.value) == "string" then
      local known = self.templates[variable.value]
      local list = { place = ("variables[%d].value"):format(i) }
      for _, reference in ipairs(known and known[1] or {}) do
        if reference.path[1] == "variables" then list[#list + 1] = reference.path[2] end
      end
      needs[tostring(variable.name)] = list
    end
  end
  local path = {}
  local function visit(name)
    if state[name] == "done" or not needs[name] or #path > 100 then return end
    path[#path + 1] = name
    if state[name] == "open" then
      local first = 1
      while path[first] ~= name do first = first + 1 end
      self.warnings:add { field = needs[name].place, message = "variables that need each other, using them will fail: "
        .. table.concat(path, " -> ", first) }
    else
      state[name] = "open"
      for _, other in ipairs(needs[name]) do visit(other) end
      state[name] = "done"
    end
    path[#path] = nil
  end
  for _, name in ipairs(self.variables) do visit(name) end
end

--- Checks the templates of a definition.
---@param site table    document, names and specs of the steps, compiled (see fields.check_step) by number, bases, find, report, warnings
function M.check(site)
  local document = site.document
  local self = setmetatable({
    names = site.names, specs = site.specs, compiled = site.compiled, find = site.find, report = site.report,
    warnings = site.warnings, templates = {}, edges = {}, functions_seen = {}, visits = 0,
  }, Linter)
  self.inputs, self.is_input = names_of(document.inputs)
  self.resolver_inputs, self.is_resolver_input = names_of(document.resolver_inputs)
  self.variables, self.is_variable = names_of(document.variables)
  for base, value in pairs(site.bases) do self:check(value, { field = "base_configurations." .. base }) end
  self:check(document.title_format, { field = "title_format" })
  self:check(document.result_format, { field = "result_format" })
  for i, variable in ipairs(type(document.variables) == "table" and document.variables or {}) do
    if type(variable) == "table" then
      local field = ("variables[%d]"):format(i)
      if type(variable.value) == "string" then self:check(variable.value, { field = field .. ".value" }) end
      if type(variable.expression) == "string" and not require("step.variables").is_lua(variable) then
        self:check(variable.expression, { field = field .. ".expression" })
      end
    end
  end
  self:check_cycles(document.variables)
  for number = 1, #site.names do
    local step = site.compiled[number]
    if step then self:check_step(number, step) end
  end
end

return M
