--- From tokens to a tree: the grammar of text/template, with its scopes of variables and its messages.
--
-- A node is a table with `type` and `pos`. Text between delimiters nests as deep as the author writes it, so the parser
-- counts: beyond MAX_DEPTH it is an error, and no stack overflows.

local lex = require "step.template.lex"
local number = require "step.template.number"
local quote = require "step.template.quote"

local M = {}

local MAX_DEPTH = 180

---@class step.template.Tree
---@field root table                     the main template: a list node
---@field templates table<string, table> name -> list node, of define and block
---@field text string

local Parser = {}
Parser.__index = Parser

function Parser:fail(message, pos)
  error({ template_error = true, message = message, pos = pos or self.tokens.pos[self.at] or #self.text + 1 }, 0)
end

-- Tokens -----------------------------------------------------------------------------------------------------------------

-- Kind of the next token, spaces included.
function Parser:peek() return self.tokens.kind[self.at] end

function Parser:skip_space()
  if self.tokens.kind[self.at] == "space" then self.at = self.at + 1 end
end

-- Kind of the next token that is no space.
function Parser:peek_solid()
  self:skip_space()
  return self.tokens.kind[self.at]
end

-- Takes the next token; the last one (eof or error) is never passed.
function Parser:next()
  local at = self.at
  if at < self.tokens.n then self.at = at + 1 end
  return self.tokens.kind[at], self.tokens.value[at], self.tokens.pos[at]
end

function Parser:next_solid()
  self:skip_space()
  return self:next()
end

local function describe(kind, value)
  if kind == "eof" then return "EOF" end
  if kind == "{{" or kind == "}}" then return ("%q"):format(kind) end
  if lex.keywords[kind] then return "<" .. value .. ">" end
  if #value > 10 then return quote.quote(value:sub(1, 10)) .. "..." end
  return quote.quote(value)
end

function Parser:unexpected(kind, value, pos, context)
  if kind == "error" then
    local extra = ""
    local line = lex.place(self.text, pos)
    if self.action_pos then
      local start = lex.place(self.text, self.action_pos)
      if start ~= line then extra = (value:find(" action$") and "" or " in action") .. (" started at line %d"):format(start) end
    end
    self:fail(value .. extra, pos)
  end
  self:fail(("unexpected %s in %s"):format(describe(kind, value), context), pos)
end

function Parser:expect(wanted, context)
  local kind, value, pos = self:next_solid()
  if kind ~= wanted then self:unexpected(kind, value, pos, context) end
  return value, pos
end

-- Depth of nested structures, parentheses and control alike.
function Parser:enter(pos)
  self.depth = self.depth + 1
  if self.depth > MAX_DEPTH then self:fail(("nested too deeply (limit %d)"):format(MAX_DEPTH), pos) end
end

function Parser:leave() self.depth = self.depth - 1 end

-- Variables --------------------------------------------------------------------------------------------------------------
-- Every declaration gets a slot of its template's frame; slot 1 is "$". A scope is a stack of declarations, and for every
-- name the last one of it.

local function new_scope()
  local dollar = { name = "$", slot = 1 }
  return { n = 1, slots = 1, last = { ["$"] = dollar }, dollar }
end

function Parser:declare(name)
  local scope = self.scope
  local n = scope.n + 1
  scope.slots = scope.slots + 1
  local variable = { name = name, slot = scope.slots, pending = true, outer = scope.last[name] }
  scope.n, scope[n], scope.last[name] = n, variable, variable
  return variable
end

-- Forgets the declarations behind the first n.
function Parser:forget(n)
  local scope = self.scope
  for i = scope.n, n + 1, -1 do
    scope.last[scope[i].name] = scope[i].outer
    scope[i] = nil
  end
  scope.n = n
end

-- A variable that is being declared is not the one its own pipeline means, unless there is no other of that name.
function Parser:slot_of(name)
  local variable = self.scope.last[name]
  local pending
  while variable and variable.pending do
    pending = pending or variable.slot
    variable = variable.outer
  end
  return variable and variable.slot or pending
end

-- Expressions ------------------------------------------------------------------------------------------------------------

local term_kinds = {
  ["bool"] = true, ["char"] = true, ["complex"] = true, ["dot"] = true, ["field"] = true, ["identifier"] = true, ["number"] = true,
  ["nil"] = true, ["raw"] = true, ["string"] = true, ["variable"] = true, ["("] = true,
}

function Parser:term()
  local kind = self:peek_solid()
  if not term_kinds[kind] then return nil end
  local _, value, pos = self:next()
  if kind == "identifier" then
    if not self.functions[value] then self:fail(("function %q not defined"):format(value), pos) end
    return { type = "identifier", name = value, pos = pos }
  elseif kind == "dot" or kind == "nil" then
    return { type = kind, pos = pos }
  elseif kind == "variable" then
    local slot = self:slot_of(value)
    if not slot then self:fail(("undefined variable %q"):format(value), pos) end
    return { type = "variable", name = value, slot = slot, fields = {}, pos = pos }
  elseif kind == "field" then
    return { type = "field", fields = { value:sub(2) }, pos = pos }
  elseif kind == "bool" then
    return { type = "bool", value = value == "true", pos = pos }
  elseif kind == "string" or kind == "raw" then
    local text, problem
    if kind == "raw" then text = value:sub(2, -2):gsub("\r", "") else text, problem = quote.unquote(value) end
    if not text then self:fail(problem, pos) end
    return { type = "string", value = text, pos = pos }
  elseif kind == "char" then
    local code = quote.unquote_char(value)
    if not code then self:fail(("malformed character constant: %s"):format(value), pos) end
    return { type = "number", number = { text = value, int = code, float = code + 0.0, ideal = "int" }, pos = pos }
  elseif kind == "number" or kind == "complex" then
    local constant, problem = (kind == "complex" and number.complex or number.constant)(value)
    if not constant then self:fail(problem, pos) end
    return { type = "number", number = constant, pos = pos }
  end
  -- "("
  return self:pipeline("parenthesized pipeline", ")", pos)
end

local literal = { bool = true, string = true, number = true, ["nil"] = true, dot = true }

function Parser:operand()
  local node = self:term()
  if not node then return nil end
  if self:peek() == "field" then
    local names = {}
    while self:peek() == "field" do
      local _, value = self:next()
      names[#names + 1] = value:sub(2)
    end
    if literal[node.type] then
      self:fail(("unexpected . after term %q"):format(self.text:sub(node.pos, self.tokens.pos[self.at] - 1)), node.pos)
    elseif node.type == "field" or node.type == "variable" then
      table.move(names, 1, #names, #node.fields + 1, node.fields)
    else
      node = { type = "chain", node = node, fields = names, pos = node.pos }
    end
  end
  node.stop = (self.tokens.pos[self.at] or #self.text + 1) - 1
  return node
end

function Parser:command()
  self:skip_space()
  local cmd = { type = "command", pos = self.tokens.pos[self.at] }
  while true do
    self:skip_space()
    local operand = self:operand()
    if operand then cmd[#cmd + 1] = operand end
    local kind, value, pos = self:next()
    if kind == "}}" or kind == ")" then
      self.at = self.at - 1
      cmd.stop = pos - 1
      break
    elseif kind == "pipe" then
      cmd.stop = pos - 1
      break
    elseif kind ~= "space" then
      self:unexpected(kind, value, pos, "operand")
    end
  end
  if #cmd == 0 then self:fail("empty command", cmd.pos) end
  return cmd
end

function Parser:declarations(pipe, context)
  while self:peek_solid() == "variable" do
    local start = self.at
    local _, name, pos = self:next()
    self:skip_space()
    local kind, value = self:peek(), self.tokens.value[self.at]
    local comma = kind == "other" and value == ","
    if kind ~= "assign" and kind ~= "declare" and not comma then
      self.at = start
      return
    end
    self:next()
    -- which of ":=" and "=" is known only at the end of the list: slots are given out by the caller
    pipe.decl[#pipe.decl + 1] = { name = name, pos = pos, known = self:slot_of(name) }
    if not comma then
      pipe.assign = kind == "assign"
      return
    end
    if context ~= "range" or #pipe.decl > 1 then self:fail(("too many declarations in %s"):format(context), pos) end
    kind = self:peek_solid()
    if kind ~= "variable" and kind ~= "}}" and kind ~= ")" then
      if kind == "error" then self:unexpected(kind, self.tokens.value[self.at], self.tokens.pos[self.at], context) end
      self:fail("range can only initialize variables", self.tokens.pos[self.at])
    end
  end
end

local never_callable = { bool = true, dot = true, ["nil"] = true, number = true, string = true }

function Parser:pipeline(context, stop, from)
  self:enter(from)
  self:skip_space()
  local pipe = { type = "pipe", decl = {}, assign = false, pos = from or self.tokens.pos[self.at] }
  self:declarations(pipe, context)
  local declared = {}
  for i, d in ipairs(pipe.decl) do
    if pipe.assign and d.known then
      d.slot = d.known
    else
      declared[i] = self:declare(d.name)
      d.slot, d.undefined = declared[i].slot, pipe.assign
    end
  end
  while true do
    local kind = self:peek_solid()
    if kind == stop then
      local _, _, pos = self:next()
      pipe.stop = stop == ")" and pos or pos - 1
      break
    elseif term_kinds[kind] then
      pipe[#pipe + 1] = self:command()
    else
      local k, value, pos = self:next()
      self:unexpected(k, value, pos, context)
    end
  end
  for i = 1, #pipe.decl do
    if declared[i] then declared[i].pending = nil end
  end
  if #pipe == 0 then self:fail("missing value for " .. context, pipe.pos) end
  for i = 2, #pipe do
    if never_callable[pipe[i][1].type] then self:fail(("non executable command in pipeline stage %d"):format(i), pipe[i].pos) end
  end
  self:leave()
  return pipe
end

-- Structure --------------------------------------------------------------------------------------------------------------

-- A list of nodes up to an end or else; returns it and which of the two it was.
function Parser:list()
  local nodes = { type = "list", pos = self.tokens.pos[self.at] }
  while self:peek_solid() ~= "eof" do
    local node = self:text_or_action()
    if node.type == "end" or node.type == "else" then return nodes, node.type end
    nodes[#nodes + 1] = node
  end
  return self:fail("unexpected EOF", self.tokens.pos[self.at])
end

function Parser:control(context, pos)
  self:enter(pos)
  local visible = self.scope.n
  local node = { type = context, pos = pos }
  node.pipe = self:pipeline(context, "}}")
  if context == "range" then self.range_depth = self.range_depth + 1 end
  local stop
  node.list, stop = self:list()
  if context == "range" then self.range_depth = self.range_depth - 1 end
  if stop == "else" then
    if (context == "if" or context == "with") and self:peek() == context then
      local _, _, inner_pos = self:next()
      node.other = { type = "list", pos = inner_pos, self:control(context, inner_pos) }
    else
      node.other, stop = self:list()
      if stop ~= "end" then self:fail("expected end; found {{else}}", pos) end
    end
  end
  self:forget(visible)
  self:leave()
  return node
end

-- Runs `body` as a template of its own: fresh variables, no enclosing range.
function Parser:separate(body)
  local scope, range_depth = self.scope, self.range_depth
  self.scope, self.range_depth = new_scope(), 0
  local result = body()
  self.scope, self.range_depth = scope, range_depth
  return result
end

local function is_blank(list)
  for _, node in ipairs(list) do
    if node.type ~= "text" or node.value:find("[^ \t\r\n]") then return false end
  end
  return true
end
M.is_blank = is_blank

function Parser:add(name, list, pos)
  local old = self.templates[name]
  if not old or is_blank(old) then
    self.templates[name] = list
  elseif not is_blank(list) then
    self:fail(("multiple definition of template %q"):format(name), pos)
  end
end

function Parser:name_of(context)
  local kind, value, pos = self:next_solid()
  if kind ~= "string" and kind ~= "raw" then self:unexpected(kind, value, pos, context) end
  if kind == "raw" then return value:sub(2, -2) end
  local name, problem = quote.unquote(value)
  if not name then self:fail(problem, pos) end
  return name
end

function Parser:definition(pos)
  self:enter(pos)
  local name = self:name_of("define clause")
  self:expect("}}", "define clause")
  local list = self:separate(function()
    local nodes, stop = self:list()
    if stop ~= "end" then self:fail("unexpected {{else}} in define clause", pos) end
    return nodes
  end)
  self:add(name, list, pos)
  self:leave()
end

function Parser:action()
  local kind, _, pos = self.tokens.kind[self.at], nil, self.tokens.pos[self.at]
  if kind == "if" or kind == "with" or kind == "range" then
    self:next()
    return self:control(kind, pos)
  elseif kind == "end" then
    self:next()
    self:expect("}}", "end")
    return { type = "end", pos = pos }
  elseif kind == "else" then
    self:next()
    local follows = self:peek_solid()
    if follows ~= "if" and follows ~= "with" then self:expect("}}", "else") end
    return { type = "else", pos = pos }
  elseif kind == "break" or kind == "continue" then
    self:next()
    local k, value, at = self:next_solid()
    if k ~= "}}" then self:unexpected(k, value, at, "{{" .. kind .. "}}") end
    if self.range_depth == 0 then self:fail(("{{%s}} outside {{range}}"):format(kind), pos) end
    return { type = kind, pos = pos }
  elseif kind == "template" then
    self:next()
    local node = { type = "template", pos = pos, name = self:name_of("template clause") }
    if self:peek_solid() ~= "}}" then node.pipe = self:pipeline("template clause", "}}") else self:next() end
    node.stop = self.tokens.pos[self.at - 1] - 1
    return node
  elseif kind == "block" then
    self:next()
    self:enter(pos)
    local node = { type = "template", pos = pos, name = self:name_of("block clause") }
    node.pipe = self:pipeline("block clause", "}}")
    self:add(node.name, self:separate(function()
      local nodes, stop = self:list()
      if stop ~= "end" then self:fail("unexpected {{else}} in block clause", pos) end
      return nodes
    end), pos)
    self:leave()
    return node
  end
  return { type = "action", pos = pos, pipe = self:pipeline("command", "}}") }
end

function Parser:text_or_action()
  local kind, value, pos = self:next_solid()
  if kind == "text" then return { type = "text", value = value, pos = pos } end
  if kind == "{{" then
    self.action_pos = pos
    self:skip_space()
    local node = self:action()
    self.action_pos = nil
    return node
  end
  return self:unexpected(kind, value, pos, "input")
end

function Parser:whole()
  local root = { type = "list", pos = 1 }
  while self:peek() ~= "eof" do
    local start = self.at
    local kind = self:next()
    if kind == "{{" then
      self.action_pos = self.tokens.pos[start]
      self:skip_space()
    end
    if kind == "{{" and self:peek() == "define" then
      local _, _, pos = self:next()
      self:definition(pos)
    else
      self.at = start
      local node = self:text_or_action()
      if node.type == "end" or node.type == "else" then self:fail(("unexpected {{%s}}"):format(node.type), node.pos) end
      root[#root + 1] = node
    end
  end
  return root
end

--- Parses a template.
---@param text string
---@param functions table<string, any>   the names that may be called
---@return step.template.Tree? tree
---@return string? message               "template: LINE:COLUMN: ..."
---@return integer? pos                  byte position of the mistake
function M.parse(text, functions)
  local parser = setmetatable({
    text = text, tokens = lex.lex(text), at = 1, functions = functions, templates = {}, depth = 0, range_depth = 0,
    scope = new_scope(),
  }, Parser)
  local ok, result = pcall(parser.whole, parser)
  if ok then return { root = result, templates = parser.templates, text = text } end
  if type(result) ~= "table" or not result.template_error then error(result, 0) end
  local line, column = lex.place(text, result.pos)
  return nil, ("template: %d:%d: %s"):format(line, column, result.message), result.pos
end

return M
