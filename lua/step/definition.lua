--- Definitions: the static description of a workflow, checked (chapter 8), compiled, and from then on immutable (D3, D4).
--
-- A step whose action is a Lua function and that has no more than a name, a description and dependencies is *plain*: only its
-- function is kept, the rest is in the graph. That is what makes a million steps fit; everything else has a plan (plan.lua).

local core = require "step.core"
local errors = require "step.error"
local fields = require "step.fields"
local functions = require "step.functions"
local inputs = require "step.inputs"
local json = require "step.json"
local lint = require "step.lint"
local places = require "step.places"
local plan = require "step.plan"
local suggest = require "step.suggest"
local variables = require "step.variables"

local M = {}

local null = json.null
local flags = core.flags

local function absent(value) return value == nil or value == null end

---@class step.Definition
---@field name string
---@field description? string
---@field file? string               where it was loaded from
---@field retry_max integer          resolves that may end in ERROR or CRASHED (S6.5)
---@field deadline? number           seconds a run has from its first resolve on
---@field max_concurrent? integer    actions of a run in flight at a time
---@field warnings step.Finding[]
---@field package graph userdata
---@field package specs table<integer, table>    fields of the steps that are not plain
---@field package descriptions table<integer, string>
---@field package written table<integer, string[]>   dependencies as written, where the graph's way to write them may differ
---@field package code table          what each step does, as the core reads it
---@field package document table      everything of the definition beside its steps
---@field package inputs table
---@field package resolver_inputs table
---@field package used_functions table<string, step.Function>
---@field package eval_variable fun(name: string, variable: step.Variable, v: table): any, string?
local Definition = { __name = "step.Definition" }
Definition.__index = Definition
M.Definition = Definition

local PLAIN = { name = true, action = true, dependencies = true, description = true }

local function is_plain(spec)
  if type(spec.action) ~= "function" then return false end
  for key in next, spec do
    if not PLAIN[key] then return false end
  end
  local description = spec.description
  return description == nil or type(description) == "string"
end

--- The steps as parallel lists of names and specifications, in order (D1).
local function list_steps(steps, report)
  local names, specs = {}, {}
  if absent(steps) then return names, specs end -- fields.check_document says so
  if type(steps) ~= "table" then
    report:add { field = "steps", message = "a list of steps or an object from names to steps is expected", found = errors.show(steps) }
    return names, specs
  end
  if json.is_array(steps) or steps[1] ~= nil then
    if not json.is_array(steps) then
      report:add { field = "steps", message = "a list of steps has the keys 1, 2, 3 ... and no others, an object only names" }
    end
    for i, spec in ipairs(steps) do
      if type(spec) ~= "table" or (json.is_array(spec) and #spec > 0) then
        report:add { field = ("steps[%d]"):format(i), message = "a step is an object", found = errors.show(spec) }
      elseif type(spec.name) ~= "string" then
        report:add { field = ("steps[%d].name"):format(i),
          message = absent(spec.name) and "a step in a list needs a name" or "a step's name is a text",
          found = not absent(spec.name) and errors.show_text(spec.name) or nil }
      else
        names[#names + 1] = spec.name
        specs[#specs + 1] = spec
      end
    end
    return names, specs
  end
  local sorted = {}
  for name, spec in next, steps do
    if type(name) ~= "string" then
      report:add { field = "steps", message = "a step's name is a text", found = errors.show(name) }
    elseif type(spec) ~= "table" or (json.is_array(spec) and #spec > 0) then
      report:add { step = name, message = "a step is an object", found = errors.show(spec) }
    else
      sorted[#sorted + 1] = name
    end
  end
  table.sort(sorted)
  for i, name in ipairs(sorted) do
    local spec = steps[name]
    if not absent(spec.name) and spec.name ~= "" and spec.name ~= name then
      report:add { step = name, field = "name", message = "the name differs from the step's key", found = errors.show(spec.name),
        accepted = name }
    end
    names[i], specs[i] = name, spec
  end
  return names, specs
end

--- D23, S8.1
local function check_name(name, report)
  if name == "this" then
    report:add { step = name, message = "'this' step name is reserved: in a condition it stands for the step itself" }
  elseif name == "" then
    report:add { step = name, message = "a step's name is not empty" }
  elseif name:find "[:,]" then
    report:add { step = name, message = "a step's name contains no ':' and no ','", found = errors.show(name) }
  end
end

local function check_dependencies(name, spec, report)
  local dependencies = spec.dependencies
  if absent(dependencies) or json.is_array(dependencies) or (type(dependencies) == "table" and next(dependencies) == nil) then return end
  report:add { step = name, field = "dependencies", message = "a list of texts is expected", found = errors.show(dependencies) }
end

--- D16: no step may be called like a child of a foreach step.
local function check_collisions(names, is_foreach, index, report)
  for _, name in ipairs(names) do
    local parent = name:match "^(.*)%-%d+$"
    if parent and index(parent) and is_foreach[parent] then
      report:add { step = name,
        message = ("the foreach step '%s' gives this name to one of its children; rename one of them"):format(parent) }
    end
  end
end

--- What the core found while building the graph, in words.
local function explain(problems, names, specs, customs, report)
  local function exists(name)
    for _, other in ipairs(names) do if other == name then return true end end
  end
  for _, problem in ipairs(problems) do
    local name = names[problem.step]
    local spec = specs[problem.step]
    if problem.code == "full" then
      report:add { step = name, message = "there are too many steps" }
    elseif problem.code == "states" then
      report:add { step = name, field = "custom_states",
        message = ("a step has at most %d custom states, those of its functions included"):format(core.max_custom_states) }
    else
      local written = spec.dependencies[problem.dependency]
      local target = type(written) == "string" and core.dependency_parts(written) or nil
      local finding = { step = name, field = ("dependencies[%d]"):format(problem.dependency), found = errors.show_text(written) }
      if problem.code == "type" then
        finding.message = "Invalid dependency, a text is expected"
        if type(written) == "table" then finding.found = finding.found .. ' (a text that contains ": " needs quotes)' end
      elseif problem.code == "unknown" then
        finding.message = ("Invalid dependency, no step with that name: '%s'%s"):format(target, errors.yaml_hint(target, exists))
        finding.near = suggest.nearest(target, names)
        local parent = target:match "^(.*)%-%d+$"
        if parent and exists(parent) then
          finding.message = finding.message .. (", and the children of a foreach step cannot be named: depend on '%s'"):format(parent)
        end
      elseif problem.code == "twice" then
        finding.message = ("Invalid dependency, already defined dependency to '%s'"):format(target)
      elseif problem.code == "state twice" then
        finding.message = ("Invalid dependency, duplicated state detected: %s"):format(problem.state)
      elseif problem.code == "any" then
        finding.message = "Invalid dependency, no other state allowed if ANY is declared"
      else
        local accepted = { "DONE", "ANY" }
        for i, other in ipairs(names) do
          if other == target then
            for _, state in ipairs(customs[i] or {}) do accepted[#accepted + 1] = state end
            break
          end
        end
        finding.message = ("Invalid dependency on step '%s', step state not allowed: '%s'"):format(target, problem.state)
        finding.accepted = table.concat(accepted, ", ")
        finding.near = suggest.nearest(problem.state, accepted)
      end
      report:add(finding)
    end
  end
  if problems.cycle then
    report:add { step = problems.cycle[1], field = "dependencies",
      message = "Invalid: circular dependency: " .. table.concat(problems.cycle, " -> ") }
  end
end

--- Judges the targets of conditions (S3.6), once the graph is there. Sorted by target: cheap questions for the graph.
local function check_targets(targets, graph, report)
  table.sort(targets, function(a, b)
    if a.target ~= b.target then return a.target < b.target end
    return a.number < b.number
  end)
  for _, t in ipairs(targets) do
    if not graph:related(t.number, t.target) then
      report:add { step = t.step, field = t.field,
        message = ("step '%s' is not in the dependency chain of '%s': only the step itself, its ancestors and its descendants "
          .. "can be set"):format(graph:name(t.target), t.step) }
    end
  end
  graph:forget()
end

--- Checks one step against the others, for step:valid_and_normalize and step.valid_condition.
---@param name string
---@param spec table
---@param bases table<string, any>?
---@param steps table<string, table>
---@param report step.Report
---@return table step     see fields.check_step
function M.check_one(name, spec, bases, steps, report)
  local names, specs, number = {}, {}, {}
  for other in pairs(steps) do names[#names + 1] = other end
  if steps[name] == nil then names[#names + 1] = name end
  table.sort(names)
  local customs, step_flags = {}, {}
  for i, other in ipairs(names) do
    number[other] = i
    specs[i] = other == name and spec or steps[other]
    customs[i] = fields.custom_states(specs[i], functions.find)
    step_flags[i] = 0
  end
  check_name(name, report)
  if functions.too_deep(spec) then
    report:add { step = name, message = functions.TOO_DEEP }
    return { spec = {} }
  end
  check_dependencies(name, spec, report)
  local targets = {}
  local step = fields.check_step(name, spec, {
    bases = bases or {}, find = functions.find, used = {}, results_allowed = true,
    exists = function(other) return number[other] ~= nil end,
    names = function() return names end,
    customs_of = function(other)
      local set = {}
      for _, state in ipairs(customs[number[other]] or {}) do set[state] = true end
      return set
    end,
    target = function(target, field)
      targets[#targets + 1] = { step = name, number = number[name], target = number[target], field = field }
    end,
  }, report)
  local graph, problems = core.graph(names, specs, step_flags, {}, customs)
  if graph then
    check_targets(targets, graph, report)
  else
    local own = { cycle = problems.cycle }
    for _, problem in ipairs(problems) do
      if names[problem.step] == name then own[#own + 1] = problem end
    end
    explain(own, names, specs, customs, report)
  end
  return step
end

--- Makes a definition.
---@param document table    name, steps, inputs, ...; see fields.lua
---@param options? { file?: string, functions?: table<string, step.Function>, positions?: table, lint?: boolean, lua?: boolean }
---  file: its name, for the findings; positions: places in it, as step.yaml gives them; lint: false leaves S8.13 out;
---  lua: texts may hold expressions in Lua
---@return step.Definition?
---@return step.Error? err   kind "definition", with everything that was found
function M.define(document, options)
  options = options or {}
  if type(document) ~= "table" then error(("bad argument #1 to 'define' (table expected, got %s)"):format(type(document)), 2) end
  local report = errors.report(options.file)
  local find = options.functions and function(name) return options.functions[name] or functions.find(name) end or functions.find
  local warnings = errors.report(options.file)
  local self = setmetatable({ warnings = warnings.findings }, Definition)
  for key, value in next, document do
    if key ~= "steps" and functions.too_deep(value) then
      report:add { field = tostring(key), message = functions.TOO_DEEP }
      return nil, report:error("definition", "the definition is refused")
    end
  end
  local known = fields.check_document(document, report, options.lua)
  self.name = known.name
  self.file = options.file
  self.description = known.description
  self.retry_max = known.retry_max
  self.deadline = known.deadline
  self.max_concurrent = known.max_concurrent
  self.document = known.document
  self.inputs = inputs.compile(document.inputs, report, "inputs", options.positions)
  self.resolver_inputs = inputs.compile(document.resolver_inputs, report, "resolver_inputs", options.positions)

  local names, specs = list_steps(document.steps, report)
  local n = #names
  local step_flags, limits, customs, settings, is_foreach = {}, {}, {}, {}, {}
  local compiled, kept, descriptions, written, code = {}, {}, {}, {}, {}
  local used = {}
  local targets = {}
  local any_foreach, numbers = false, nil

  local function number_of(name)
    if not numbers then
      numbers = {}
      for i = 1, n do numbers[names[i]] = i end
    end
    return numbers[name]
  end

  local context = {
    file = options.file,
    bases = known.bases,
    find = find,
    used = used,
    exists = function(name) return number_of(name) ~= nil end,
    names = function() return names end,
    customs_of = function(name)
      local i = number_of(name)
      if customs[i] == nil and not is_plain(specs[i]) then customs[i] = fields.custom_states(specs[i], find) end
      local set = {}
      for _, state in ipairs(customs[i] or {}) do set[state] = true end
      return set
    end,
  }

  for i = 1, n do
    local name, spec = names[i], specs[i]
    if name == "this" or name == "" or name:find("[:,]") then check_name(name, report) end
    check_dependencies(name, spec, report)
    if not is_plain(spec) and functions.too_deep(spec) then
      report:add { step = name, message = functions.TOO_DEEP }
      step_flags[i], specs[i] = 0, { dependencies = spec.dependencies }
    elseif is_plain(spec) then
      step_flags[i] = flags.PLAIN
      code[i] = spec.action
      descriptions[i] = spec.description
      for _, dependency in ipairs(type(spec.dependencies) == "table" and spec.dependencies or {}) do
        if type(dependency) == "string" and dependency:find(":", 1, true) then
          written[i] = functions.copy(spec.dependencies)
          break
        end
      end
    else
      context.target = function(target, field)
        targets[#targets + 1] = { step = name, number = i, target = number_of(target), field = field }
      end
      local step = fields.check_step(name, spec, context, report)
      compiled[i] = step
      kept[i] = step.spec
      written[i] = type(spec.dependencies) == "table" and functions.copy(spec.dependencies) or nil
      customs[i] = step.customs
      step.plain = plan.plain(step)
      step_flags[i] = step.flags | (step.plain and flags.PLAIN or 0) | (step.plain and step.chain and flags.PLAIN_EXEC or 0)
      limits[i], settings[i] = step.max_retries, step.settings
      if step.foreach ~= nil then
        any_foreach = true
        is_foreach[name] = true
      end
    end
  end
  if any_foreach then check_collisions(names, is_foreach, number_of, report) end

  local graph, problems = core.graph(names, specs, step_flags, limits, customs, settings)
  if not graph and problems[1] and problems[1].code == "name" then -- it stopped there: what else is wrong, the first of each name counting
    local first = { names = {}, specs = {}, flags = {}, limits = {}, customs = {} }
    local seen = {}
    for i = 1, n do
      if seen[names[i]] then
        local line, column
        if options.positions then line, column = options.positions:of(specs[i], "name") end
        report:add { step = names[i], message = "two steps have this name", line = line, column = column }
      else
        seen[names[i]] = true
        local k = #first.names + 1
        first.names[k], first.specs[k], first.flags[k] = names[i], specs[i], step_flags[i]
        first.limits[k], first.customs[k] = limits[i], customs[i]
      end
    end
    local _, others = core.graph(first.names, first.specs, first.flags, first.limits, first.customs)
    if others then explain(others, first.names, first.specs, first.customs, report) end
  elseif graph then
    if #targets > 0 then check_targets(targets, graph, report) end
    self.graph = graph
  else
    explain(problems, names, specs, customs, report)
  end

  if options.lint ~= false then
    lint.check {
      document = document, names = names, specs = specs, compiled = compiled, bases = known.bases, find = find, report = report,
      warnings = warnings,
    }
  end
  local strict = known.document.strict == true and {} or nil
  for i, step in next, compiled do
    if step.ok then
      code[i] = plan.compile(step, known.bases, function() end, strict) -- what does not parse: lint says so
      if step.plain and step.foreach == nil then code[i] = step.plain else code[i][plan.PLAIN] = step.plain end
    end
  end

  for _, list in ipairs { report.findings, warnings.findings } do
    if options.positions then places.fill(list, document, names, specs, options.positions) end
    places.sort(list, names)
  end
  local err = report:error("definition", ("the definition %s is refused"):format(errors.show(known.name or "")))
  if err then return nil, err end
  self.specs, self.descriptions, self.written, self.code, self.used_functions = kept, descriptions, written, code, used
  self.eval_variable = variables.evaluator(strict ~= nil)
  graph:code(code)
  return self
end

--- The number of steps.
---@return integer
function Definition:__len() return #self.graph end

function Definition:__tostring() return ("step.Definition: %s"):format(self.name) end

--- The fields of a step as the definition has them, a new table.
---@param number integer    in the order of the definition, from 1
---@return table
function Definition:step(number)
  local spec = self.specs[number]
  local copy = spec and functions.copy(spec) or { description = self.descriptions[number], action = self.code[number] }
  copy.name = self.graph:name(number)
  copy.dependencies = functions.copy(self.written[number]) or self.graph:dependencies(number)
  if #copy.dependencies == 0 then copy.dependencies = nil end
  return copy
end

return M
