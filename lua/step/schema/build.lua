--- From the nodes of a schema to closures: one for each subschema, which calls those of its keywords.

local keywords = require "step.schema.keywords"
local states = require "step.schema.state"
local value_of = require "step.schema.value"

local accept, report, stop = states.accept, states.report, states.stop

local M = {
  nesting = 1000,             -- allOf, $ref ... within each other without a step into the value
}

local KINDS = { "null", "boolean", "integer", "number", "string", "array", "object", "other" }

local function place_of(node)
  return node.document.prefix:gsub("#$", "") .. "#" .. node.pointer
end

---@class step.schema.Build
---@field loader step.schema.Loader
---@field formats boolean
---@field problem fun(node: step.schema.Node, keyword: string, message: string)
---@field pending step.schema.Node[]   targets of references that are still to be built
---@field built step.schema.Node[]
local Build = {}
Build.__index = Build

--- The check of a reference; its target is built later, so that schemas may refer to each other.
local function reference(build, node)
  local target, message = build.loader:resolve(node)
  if not target then
    build.problem(node, "$ref", message)
    return accept
  end
  node.same[1] = target
  if not target.check then build.pending[#build.pending + 1] = target end
  return function(value, state, depth, level)
    if level > states.levels then return stop(state, depth, "the value is nested too deeply") end
    return target.check(value, state, depth, level + 1)
  end
end

local function refusal(node)
  return function(_, state, depth)
    return state.findings and report(state, depth, node, nil, "nothing is accepted here")
  end
end

--- The kinds of values that `type` accepts, as a set, or nil for all.
local function accepted_kinds(argument)
  if argument == nil then return nil end
  local set = {}
  for _, name in ipairs(type(argument) == "table" and argument or { argument }) do
    set[name] = true
    if name == "number" then set.integer = true end
  end
  return set
end

local function type_failure(node, argument)
  local names = type(argument) == "table" and argument or { argument }
  local kind_of = node.draft == 4 and value_of.kind4 or value_of.kind
  return function(value, state, depth)
    return state.findings and states.report_mismatch(state, depth, node, "type",
      ("expected %s, but got %s"):format(table.concat(names, " or "), states.described(value, kind_of(value))))
  end
end

local function other_failure(node)
  return function(value, state, depth)
    return state.findings and report(state, depth, node, nil, ("got %s"):format(states.described(value, "other")))
  end
end

--- The check of a node from its keywords.
local function assemble(build, node)
  local schema = node.value
  local lists, any = {}, false
  for _, kind in ipairs(KINDS) do lists[kind] = {} end
  local function add(kinds, check)
    if not check or check == accept then return end
    any = true
    for _, kind in ipairs(kinds or KINDS) do lists[kind][#lists[kind] + 1] = check end
  end
  for _, keyword in ipairs(keywords.list) do
    local name, kinds, make, from = keyword[1], keyword[2], keyword[3], keyword.from or 4
    if schema[name] ~= nil and node.draft >= from then add(kinds, make(build, node, schema[name], name)) end
  end
  local kinds = accepted_kinds(schema.type)
  if kinds then
    local failure = type_failure(node, schema.type)
    for _, kind in ipairs(KINDS) do
      if not kinds[kind] then lists[kind] = { failure } end
    end
  elseif not any then
    return accept
  else
    lists.other = { other_failure(node) }
  end

  local kind_of = node.draft == 4 and value_of.kind4 or value_of.kind
  return function(value, state, depth, level)
    local left = state.left - 1
    state.left = left
    if left < 0 then return stop(state, depth, "this takes too many steps") end
    if level > states.levels then return stop(state, depth, "the value is nested too deeply") end
    local list, good = lists[kind_of(value)], true
    for i = 1, #list do
      if not list[i](value, state, depth, level) then
        if not state.findings then return false end
        good = false
      end
    end
    return good
  end
end

--- The check of a node, built when it is first asked for.
---@param node step.schema.Node
---@return function
function Build:check(node)
  if not node.check then
    self.built[#self.built + 1] = node
    if type(node.value) == "boolean" then
      node.check = node.value and accept or refusal(node)
    elseif node.ref ~= nil then
      node.check = reference(self, node)
    else
      node.check = assemble(self, node)
    end
  end
  return node.check
end

--- The check of a child that is applied to the same value as its parent.
---@param node step.schema.Node
---@param child step.schema.Node
---@return function
function Build:same(node, child)
  node.same[#node.same + 1] = child
  return self:check(child)
end

--- Where applying schemas to the same value never ends, or not soon: the node and what is wrong; nil when it always ends.
local function endless(nodes)
  local heights, trail = {}, {}
  local function visit(node)
    if heights[node] == 0 then
      local names, last = {}, #trail
      while trail[last] ~= node do last = last - 1 end
      for i = last, #trail do names[#names + 1] = place_of(trail[i]) end
      names[#names + 1] = place_of(node)
      return nil, node, "the schema is applied to the same value without end: " .. table.concat(names, " -> ")
    end
    if heights[node] then return heights[node] end
    if #trail == M.nesting then
      return nil, node, ("more than %d schemas are applied to the same value, each by the one before"):format(M.nesting)
    end
    heights[node] = 0         -- being visited
    trail[#trail + 1] = node
    local most = 0
    for _, other in ipairs(node.same) do
      local height, culprit, message = visit(other)
      if not height then return nil, culprit, message end
      if height > most then most = height end
    end
    trail[#trail] = nil
    heights[node] = most + 1
    return most + 1
  end
  for _, node in ipairs(nodes) do
    local height, culprit, message = visit(node)
    if not height then return culprit, message end
  end
  return nil
end

--- Builds all checks of a document and of what it refers to.
---@param loader step.schema.Loader
---@param root step.schema.Node
---@param options { formats: boolean, problem: fun(node: step.schema.Node, keyword?: string, message: string) }
function M.build(loader, root, options)
  local build = setmetatable({
    loader = loader, formats = options.formats, problem = options.problem, pending = {}, built = {},
  }, Build)
  for _, node in ipairs(root.document.list) do build:check(node) end
  while #build.pending > 0 do build:check(table.remove(build.pending)) end
  local node, message = endless(build.built)
  if node then options.problem(node, nil, message) end
end

return M
