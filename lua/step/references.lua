--- What a template refers to: the paths from the values that its actions follow, read off its parse tree.
--
-- Inside `range` and `with` the dot is another value, `$` stays the root, variables carry what they were declared with, and
-- `index`, `field`, `fieldFrom` and `get` with constant keys are paths too. What cannot be told without running is left out.

local lpeg = require "lpeg"

local M = {}

---@class step.Reference
---@field path string[]      names from the root: { "step", "a", "output", "x" }; a variable of eval is { "variables", name }
---@field guarded boolean    the template asks whether it is there: if, with, default, ...

-- Functions that make something of a value that is absent.
local GUARDS = {
  default = true, coalesce = true, empty = true, ["and"] = true, ["or"] = true, ["not"] = true, ternary = true, hasKey = true,
}

local MAX_WALKS = 100         -- of templates inside a template: one that calls itself with ever longer paths ends too

-- What an expression gives: a path from the root (a list of names, {} being the root itself), a constant { text = ... }, or
-- false: unknown.
local UNKNOWN = false
local ROOT = {}

---@class step.references.Walker
---@field tree step.template.Tree
---@field found step.Reference[]
---@field seen table<string, boolean>
---@field walked table<string, boolean>    templates walked with a dot
---@field walks integer
---@field dot string[]|false
---@field slots table<integer, string[]|false>
---@field asking integer                   > 0: inside something that asks whether values are there
---@field asked table<string, integer>     steps that an enclosing if or with asks for
local Walker = {}
Walker.__index = Walker

local function extend(value, names)
  if not value or value.text then return UNKNOWN end
  local path = table.move(value, 1, #value, 1, {})
  return table.move(names, 1, #names, #path + 1, path)
end

--- Notes a path that is followed.
function Walker:note(value)
  if not value or value.text or #value == 0 then return value end
  local guarded = self.asking > 0 or (value[1] == "step" and (self.asked[value[2] or ""] or 0) > 0)
  local key = table.concat(value, "\0") .. (guarded and "\0\0" or "")
  if not self.seen[key] then
    self.seen[key] = true
    self.found[#self.found + 1] = { path = value, guarded = guarded }
  end
  return value
end

--- The constant texts among arguments from i to j; nil when one is none.
local function constants(arguments, i, j)
  local names = {}
  for k = i, j do
    local argument = arguments[k]
    if not argument or not argument.text then return nil end
    names[#names + 1] = argument.text
  end
  return names
end

--- What a call gives.
function Walker:call(name, arguments)
  local n = #arguments
  local value, names
  if name == "index" or name == "get" then
    value, names = arguments[1], constants(arguments, 2, n)
  elseif name == "field" then
    value, names = ROOT, constants(arguments, 1, n)
  elseif name == "fieldFrom" then
    value, names = arguments[n], constants(arguments, 1, n - 1)
  elseif name == "eval" or name == "evalCache" then
    names = constants(arguments, 1, n)
    if names and #names == 1 then self:note { "variables", names[1] } end
    return UNKNOWN
  end
  if not value or not names then return UNKNOWN end
  return self:note(extend(value, names))
end

function Walker:operand(node)
  local kind = node.type
  if kind == "dot" then return self.dot end
  if kind == "field" then return self:note(extend(self.dot, node.fields)) end
  if kind == "variable" then
    local value = self.slots[node.slot] or UNKNOWN
    if #node.fields == 0 then return value end
    return self:note(extend(value, node.fields))
  end
  if kind == "chain" then return self:note(extend(self:operand(node.node), node.fields)) end
  if kind == "pipe" then return self:pipe(node) end
  if kind == "string" then return { text = node.value } end
  if kind == "identifier" then return self:call(node.name, {}) end
  return UNKNOWN
end

function Walker:command(command, piped, final)
  local first = command[1]
  local arguments = {}
  local value
  if first.type ~= "identifier" then value = self:operand(first) end
  for i = 2, #command do arguments[i - 1] = self:operand(command[i]) end
  if first.type ~= "identifier" then return value end
  if piped then arguments[#arguments + 1] = final end
  return self:call(first.name, arguments)
end

local function is_guard(pipe)
  for _, command in ipairs(pipe) do
    if command[1].type == "identifier" and GUARDS[command[1].name] then return true end
  end
  return false
end

function Walker:pipe(pipe)
  local guard = is_guard(pipe) and 1 or 0
  self.asking = self.asking + guard
  local value = UNKNOWN
  for i, command in ipairs(pipe) do value = self:command(command, i > 1, value) end
  self.asking = self.asking - guard
  for _, declaration in ipairs(pipe.decl) do
    self.slots[declaration.slot] = not pipe.assign and value -- what is assigned depends on the way taken
  end
  return value
end

--- if, with and range: a value, and two lists of which one is taken.
function Walker:control(node)
  local before = #self.found
  local asks = node.type ~= "range" and 1 or 0
  self.asking = self.asking + asks
  local value = self:pipe(node.pipe)
  self.asking = self.asking - asks
  local steps = {}
  for i = before + 1, asks > 0 and #self.found or before do
    local path = self.found[i].path
    if path[1] == "step" and path[2] then steps[path[2]] = true end
  end
  for name in pairs(steps) do self.asked[name] = (self.asked[name] or 0) + 1 end
  local dot = self.dot
  if node.type == "with" then
    self.dot = value
  elseif node.type == "range" then
    self.dot = UNKNOWN
    for _, declaration in ipairs(node.pipe.decl) do self.slots[declaration.slot] = UNKNOWN end
  end
  self:list(node.list)
  self.dot = dot
  if node.other then self:list(node.other) end
  for name in pairs(steps) do self.asked[name] = self.asked[name] - 1 end
end

--- {{template}}: once for each value it is given.
function Walker:invoke(node)
  local value = node.pipe and self:pipe(node.pipe) or UNKNOWN
  local body = self.tree.templates[node.name]
  local key = node.name .. "\0" .. (value and not value.text and table.concat(value, "\0") or "?")
  if not body or self.walked[key] or self.walks >= MAX_WALKS then return end
  self.walked[key] = true
  self.walks = self.walks + 1
  local dot, slots = self.dot, self.slots
  self.dot, self.slots = value, { value }
  self:list(body)
  self.dot, self.slots = dot, slots
end

function Walker:list(list)
  for _, node in ipairs(list) do
    local kind = node.type
    if kind == "action" then
      self:pipe(node.pipe)
    elseif kind == "if" or kind == "with" or kind == "range" then
      self:control(node)
    elseif kind == "template" then
      self:invoke(node)
    end
  end
end

-- Texts that hold nothing but paths are not parsed.
local P, R, S, C, Ct = lpeg.P, lpeg.R, lpeg.S, lpeg.C, lpeg.Ct
local space = S " \t\r\n" ^ 0
local name = R("az", "AZ", "__") * R("az", "AZ", "09", "__") ^ 0
local literal = (1 - P "{{") ^ 0
local simple = Ct(literal * (P "{{" * space * Ct((P "." * C(name)) ^ 1) * space * P "}}" * literal) ^ 0) * -1

--- The references of a template, each once.
---@param text string
---@return step.Reference[]? references   nil where the text is no template
---@return string? message                "template: LINE:COLUMN: ..."
function M.of(text)
  local paths = simple:match(text)
  if paths then
    local plain = setmetatable({ found = {}, seen = {}, asking = 0, asked = {} }, Walker)
    for _, path in ipairs(paths) do plain:note(path) end
    return plain.found
  end
  local tree, message = require "step.template.parse".parse(text, require("step.template.functions").all())
  if not tree then return nil, message end
  local walker = setmetatable({
    tree = tree, found = {}, seen = {}, walked = {}, walks = 0, dot = ROOT, slots = { ROOT }, asking = 0, asked = {},
  }, Walker)
  walker:list(tree.root)
  return walker.found
end

return M
