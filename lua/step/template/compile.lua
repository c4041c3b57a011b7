--- From the tree to Lua closures. An expression becomes fn(state, dot, vars, final) -> value, a node becomes
-- fn(state, dot, vars) -> nil, or BREAK or CONTINUE.
--
-- Values: nil is "no value". null survives where Go keeps a nil interface (an element of a list or map that a field chain or a
-- range passes on) and becomes nil at the end of a command.

local format = require "step.template.format"
local lex = require "step.template.lex"
local signature = require "step.template.signature"
local state = require "step.template.state"
local steps = require "step.template.steps"
local value = require "step.template.value"

local M = {}

local typeof, null, truth, T = value.typeof, value.null, value.truth, value.types
local spend, emit = state.spend, state.emit
local getmetatable, type, rawequal, rawlen, error = getmetatable, type, rawequal, rawlen, error
local unpack = table.unpack

local BREAK, CONTINUE = 1, 2

-- Failing ----------------------------------------------------------------------------------------------------------------

local function fail(st, node, message)
  st.node, st.call = node, nil
  error(message, 0)
end

-- The text of a node for messages: its source, shortened.
local function source(text, node)
  local s = text:sub(node.pos, node.stop or node.pos):gsub("%s+", " "):gsub(" $", "")
  if #s > 40 then s = s:sub(1, 37) .. "..." end
  return s
end

-- Fields -----------------------------------------------------------------------------------------------------------------

local call_method

local function missing(st, node, recv, name)
  if recv == null then fail(st, node, ("nil pointer evaluating interface {}.%s"):format(name)) end
  fail(st, node, ("can't evaluate field %s in type %s"):format(name, value.type_name(recv)))
end

-- receiver.name: a method without arguments, or an entry of a map.
local function field(st, node, recv, name)
  if recv == nil then
    if st.strict then fail(st, node, ("nil data; no entry for key %q"):format(name)) end
    return nil
  end
  local x
  local kind = type(recv)
  if kind == "table" then
    local mt = getmetatable(recv)
    if mt == nil then
      if rawlen(recv) > 0 then missing(st, node, recv, name) end
      x = recv[name]
    elseif type(mt) == "table" and mt.is_type then
      local method = mt.methods and mt.methods[name]
      if method then return call_method(st, node, recv, name, method) end
      if mt.kind ~= "map" then missing(st, node, recv, name) end
      if mt.get then x = mt.get(recv, name) else x = recv[name] end
    elseif typeof(recv) == T.list then
      missing(st, node, recv, name)
    else
      x = recv[name]
    end
  elseif kind == "userdata" and recv ~= null then
    x = recv[name]
  else
    missing(st, node, recv, name)
  end
  if x == nil then
    if st.strict then fail(st, node, ("map has no entry for key %q"):format(name)) end
    return nil
  end
  local shadow = st.shadow
  return shadow and shadow[x] or x
end
M.field = field

-- What the values always have, as in µTask: outside of a foreach the iterator is null, and null has no fields.
local ALWAYS = { iterator = null, function_args = {} } -- shared: a template that changes a map of the data changes a copy

-- The first name of a chain: `step` of the values gets the defaults of missing results.
local function root_field(st, node, recv, name)
  if rawequal(recv, st.root) and (type(recv) == "table" or type(recv) == "userdata") and recv ~= null then
    local x
    if name == "step" then
      x = steps.view(recv)
    elseif ALWAYS[name] ~= nil and recv[name] == nil and not st.strict then
      x = ALWAYS[name]
      x = st.shadow and st.shadow[x] or x
    end
    if x ~= nil then return x end
  end
  return field(st, node, recv, name)
end

-- Expressions ------------------------------------------------------------------------------------------------------------

---@class step.template.Compiler
---@field text string
---@field functions table<string, step.template.Function>
---@field templates table<string, function>
local Compiler = {}
Compiler.__index = Compiler

local function raising(node, message)
  return function(st) fail(st, node, message) end
end

-- base.f1.f2...: `base` is an expression or nil for dot.
local function chain(node, base, names)
  local n = #names
  local a, b, c = names[1], names[2], names[3]
  if not base then
    if a == "step" and n >= 3 then
      -- .step.NAME.output.x: the usual path takes no views
      local slow = function(st, dot)
        local x = root_field(st, node, dot, a)
        for i = 2, n do x = field(st, node, x, names[i]) end
        return x
      end
      return function(st, dot)
        if st.shadow or st.strict or not rawequal(dot, st.root) then return slow(st, dot) end
        local x, usual = steps.result(dot, b, c)
        if not usual then return slow(st, dot) end
        for i = 4, n do x = field(st, node, x, names[i]) end
        return x
      end
    elseif n == 1 then
      return function(st, dot) return root_field(st, node, dot, a) end
    elseif n == 2 then
      return function(st, dot) return field(st, node, root_field(st, node, dot, a), b) end
    end
    return function(st, dot)
      local x = root_field(st, node, dot, a)
      for i = 2, n do x = field(st, node, x, names[i]) end
      return x
    end
  end
  return function(st, dot, vars)
    local x = base(st, dot, vars)
    x = root_field(st, node, x, a)
    for i = 2, n do x = field(st, node, x, names[i]) end
    return x
  end
end

-- The value of an operand where any type will do.
function Compiler:operand(node)
  local kind = node.type
  if kind == "dot" then
    return function(_, dot) return dot end
  elseif kind == "nil" then
    return raising(node, "nil is not a command")
  elseif kind == "bool" or kind == "string" then
    local constant = node.value
    return function() return constant end
  elseif kind == "number" then
    local constant, problem = signature.ideal(node.number)
    if problem then return raising(node, problem) end
    return function() return constant end
  elseif kind == "field" then
    return chain(node, nil, node.fields)
  elseif kind == "variable" then
    local slot = node.slot
    local base = function(_, _, vars) return vars[slot] end
    if #node.fields == 0 then return base end
    return chain(node, base, node.fields)
  elseif kind == "identifier" then
    return self:call(node, node.name, {}, false)
  elseif kind == "chain" then
    return chain(node, self:operand(node.node), node.fields)
  end
  return self:pipe(node)
end

-- Converts a value to what a function takes. Functions work on texts byte by byte, so a long one is paid for here.
local function checked(st, node, convert, x)
  st.node, st.call = node, nil
  x = convert(x)
  if type(x) == "string" and #x > 1024 then spend(st, #x // 8) end
  return x
end

-- An operand as an argument of a type.
function Compiler:argument(node, wanted)
  local kind = node.type
  if kind == "nil" then
    if signature.nilable[wanted] then return function() return nil end end
    return raising(node, "cannot assign nil to " .. wanted)
  elseif kind == "bool" or kind == "string" or kind == "number" then
    node.text = node.text or source(self.text, node)
    local constant, problem = signature.constant(node, wanted)
    if problem then return raising(node, problem) end
    return function() return constant end
  end
  local eval, convert = self:operand(node), signature.convert[wanted]
  return function(st, dot, vars)
    return checked(st, node, convert, eval(st, dot, vars))
  end
end

local function no_box(x) return x end

-- A call of f with the given operands; `final` is there when the value of the preceding command is one more argument.
function Compiler:invocation(node, name, f, operands, final)
  local params, variadic = f.params, f.variadic
  local fixed, given = #params, #operands
  local count = given + (final and 1 or 0)
  if variadic then
    if count < fixed then return raising(node, ("wrong number of args for %s: want at least %d got %d"):format(name, fixed, count)) end
  elseif count ~= fixed then
    return raising(node, ("wrong number of args for %s: want %d got %d"):format(name, fixed, count))
  end
  local fn, box = f.fn, signature.box[f.result] or no_box
  local args = {}
  for i = 1, given do args[i] = self:argument(operands[i], params[i] or variadic) end
  if final then
    local convert = signature.convert[params[count] or variadic]
    args[count] = function(st, _, _, last) return checked(st, node, convert, last) end
  end

  if variadic then
    return function(st, dot, vars, last)
      local fixed_args, rest = {}, { n = count - fixed }
      for i = 1, fixed do fixed_args[i] = args[i](st, dot, vars, last) end
      for i = fixed + 1, count do rest[i - fixed] = args[i](st, dot, vars, last) end
      spend(st, 1 + count)
      st.node, st.call = node, name
      local x
      if fixed == 0 then
        x = fn(st, rest)
      elseif fixed == 1 then
        x = fn(st, fixed_args[1], rest)
      else
        fixed_args[fixed + 1] = rest
        x = fn(st, unpack(fixed_args, 1, fixed + 1))
      end
      return box(x)
    end
  elseif fixed == 0 then
    return function(st)
      spend(st, 1)
      st.node, st.call = node, name
      return box(fn(st))
    end
  elseif fixed == 1 then
    local a = args[1]
    return function(st, dot, vars, last)
      local x = a(st, dot, vars, last)
      spend(st, 1)
      st.node, st.call = node, name
      return box(fn(st, x))
    end
  elseif fixed == 2 then
    local a, b = args[1], args[2]
    return function(st, dot, vars, last)
      local x = a(st, dot, vars, last)
      local y = b(st, dot, vars, last)
      spend(st, 1)
      st.node, st.call = node, name
      return box(fn(st, x, y))
    end
  end
  return function(st, dot, vars, last)
    local list = {}
    for i = 1, fixed do list[i] = args[i](st, dot, vars, last) end
    spend(st, 1)
    st.node, st.call = node, name
    return box(fn(st, unpack(list, 1, fixed)))
  end
end

-- `and` and `or` stop at the first argument that decides.
function Compiler:short_circuit(node, name, operands, final)
  local count = #operands
  if count == 0 and not final then return raising(node, ("wrong number of args for %s: want at least 1 got 0"):format(name)) end
  local args = {}
  for i = 1, count do args[i] = self:argument(operands[i], "any") end
  local decides = name == "or"
  return function(st, dot, vars, last)
    spend(st, 1)
    local x
    for i = 1, count do
      x = args[i](st, dot, vars)
      if truth(x) == decides then return x end
    end
    if final then return last end
    return x
  end
end

function Compiler:call(node, name, operands, final)
  if name == "and" or name == "or" then return self:short_circuit(node, name, operands, final) end
  local f = self.functions[name]
  if not f then return raising(node, ("%q is not a defined function"):format(name)) end
  return self:invocation(node, name, f, operands, final)
end

call_method = function(st, node, recv, name, method)
  if #method.params > 0 then
    fail(st, node, ("wrong number of args for %s: want %d got 0"):format(name, #method.params))
  end
  spend(st, 1)
  st.node, st.call = node, name
  local box = signature.box[method.result] or no_box
  if method.variadic then return box(method.fn(st, recv, { n = 0 })) end
  return box(method.fn(st, recv))
end

-- base.f1.f2 with arguments: only a method can take them.
function Compiler:method_call(node, base, names, operands, final)
  local last_name = names[#names]
  local compiled = {} -- method -> closure, made when the receiver is known
  return function(st, dot, vars, last)
    local recv = base(st, dot, vars)
    for i = 1, #names - 1 do recv = root_field(st, node, recv, names[i]) end
    if recv == nil then return nil end
    local t = typeof(recv)
    local method = t and t.methods and t.methods[last_name]
    if not method then
      if t and t.kind == "map" then fail(st, node, ("%s is not a method but has arguments"):format(last_name)) end
      missing(st, node, recv, last_name)
    end
    local invoke = compiled[method]
    if not invoke then
      local bound = { params = method.params, variadic = method.variadic, result = method.result,
        fn = function(s, ...) return method.fn(s, s.receiver, ...) end }
      invoke = self:invocation(node, last_name, bound, operands, final)
      compiled[method] = invoke
    end
    st.receiver = recv
    return invoke(st, dot, vars, last)
  end
end

-- A command of a pipeline; `final` says that a value is piped into it.
function Compiler:command(cmd, final)
  local first = cmd[1]
  local kind = first.type
  local operands = { unpack(cmd, 2) }
  first.stop = first.stop or cmd.stop
  if kind == "identifier" then
    cmd.stop = cmd.stop or first.stop
    return self:call(cmd, first.name, operands, final)
  end
  if #operands == 0 and not final then return self:operand(first) end
  if kind == "field" then
    return self:method_call(first, function(_, dot) return dot end, first.fields, operands, final)
  elseif kind == "chain" then
    return self:method_call(first, self:operand(first.node), first.fields, operands, final)
  elseif kind == "variable" and #first.fields > 0 then
    local slot = first.slot
    return self:method_call(first, function(_, _, vars) return vars[slot] end, first.fields, operands, final)
  end
  return raising(first, "can't give argument to non-function " .. source(self.text, first))
end

-- A pipeline with its declarations.
function Compiler:pipe(pipe)
  local n = #pipe
  local first = self:command(pipe[1], false)
  local eval
  if n == 1 then
    eval = first
  elseif n == 2 then
    local second = self:command(pipe[2], true)
    eval = function(st, dot, vars)
      local x = first(st, dot, vars)
      if x == null then x = nil end
      return second(st, dot, vars, x)
    end
  else
    local commands = { first }
    for i = 2, n do commands[i] = self:command(pipe[i], true) end
    eval = function(st, dot, vars)
      local x
      for i = 1, n do
        x = commands[i](st, dot, vars, x)
        if x == null then x = nil end
      end
      return x
    end
  end
  local decl = pipe.decl
  for _, d in ipairs(decl) do
    if d.undefined then return raising(pipe, "undefined variable: " .. d.name) end
  end
  if #decl == 0 then
    return function(st, dot, vars)
      local x = eval(st, dot, vars)
      if x == null then return nil end
      return x
    end
  end
  return function(st, dot, vars)
    local x = eval(st, dot, vars)
    if x == null then x = nil end
    for i = 1, #decl do vars[decl[i].slot] = x end
    return x
  end
end

-- Nodes ------------------------------------------------------------------------------------------------------------------

-- What an action prints.
local function printed(st, x)
  if type(x) == "string" then return x end
  if x == nil or x == null then return "<no value>" end
  if type(x) == "table" then
    st.call = nil
    spend(st, 1)
    return format.value(x, st)
  end
  if type(x) == "function" then error("can't print a function", 0) end
  return format.value(x, st)
end
M.printed = printed

local function nothing() end

function Compiler:action(node)
  local eval = self:pipe(node.pipe)
  if #node.pipe.decl > 0 then
    return function(st, dot, vars) eval(st, dot, vars) end
  end
  return function(st, dot, vars) emit(st, printed(st, eval(st, dot, vars))) end
end

function Compiler:branch(node)
  local eval, list = self:pipe(node.pipe), self:list(node.list)
  local other = node.other and self:list(node.other) or nothing
  if node.type == "if" then
    return function(st, dot, vars)
      if truth(eval(st, dot, vars)) then return list(st, dot, vars) end
      return other(st, dot, vars)
    end
  end
  return function(st, dot, vars)
    local x = eval(st, dot, vars)
    if truth(x) then return list(st, x, vars) end
    return other(st, dot, vars)
  end
end

local function shadowed(st, x)
  local shadow = st.shadow
  return shadow and x ~= nil and shadow[x] or x
end

function Compiler:range(node)
  local pipe = node.pipe
  local eval, list = self:pipe(pipe), self:list(node.list)
  local other = node.other and self:list(node.other) or nothing
  local first, second = pipe.decl[1], pipe.decl[2]
  local first_slot, second_slot = first and first.slot, second and second.slot
  -- one variable is the element; of two the first is the index
  local index_slot = second_slot and first_slot
  local element_slot = second_slot or first_slot

  return function(st, dot, vars)
    local x = eval(st, dot, vars)
    st.node, st.call = pipe, nil
    local t = typeof(x)
    local kind = t and t.kind
    if kind == "slice" then
      local n = #x
      if n == 0 then return other(st, dot, vars) end
      for i = 1, n do
        spend(st, 1)
        local element = shadowed(st, x[i])
        if element_slot then vars[element_slot] = element end
        if index_slot then vars[index_slot] = value.int(i - 1) end
        if list(st, element, vars) == BREAK then break end
      end
      return nil
    elseif kind == "map" then
      local keys = value.keys(x)
      spend(st, #keys)
      if #keys == 0 then return other(st, dot, vars) end
      for _, key in ipairs(keys) do
        local element = shadowed(st, value.get(x, key))
        if element_slot then vars[element_slot] = element end
        if index_slot then vars[index_slot] = key end
        if list(st, element, vars) == BREAK then break end
      end
      return nil
    elseif t and (t.class == "int" or t.class == "uint") then
      if second then
        fail(st, pipe, ("can't use %s to iterate over more than one variable"):format(format.value(x)))
      end
      local n = x[1]
      if n <= 0 then return other(st, dot, vars) end
      for i = 0, n - 1 do
        spend(st, 1)
        local element = setmetatable({ i }, t)
        if element_slot then vars[element_slot] = element end
        if list(st, element, vars) == BREAK then break end
      end
      return nil
    elseif t == nil then
      return other(st, dot, vars)
    end
    return fail(st, pipe, "range can't iterate over " .. format.value(x, st))
  end
end

function Compiler:invoke(node)
  local eval = node.pipe and self:pipe(node.pipe)
  local name, templates = node.name, self.templates
  return function(st, dot, vars)
    local body = templates[name]
    if not body then fail(st, node, ("template %q not defined"):format(name)) end
    local x
    if eval then x = eval(st, dot, vars) end
    local depth = st.depth + 1
    if depth > state.limits.depth then fail(st, node, ("exceeded maximum template depth (%d)"):format(state.limits.depth)) end
    spend(st, 1)
    st.depth = depth
    body(st, x, { x })
    st.depth = depth - 1
  end
end

function Compiler:node(node)
  local kind = node.type
  if kind == "text" then
    local text = node.value
    return function(st) emit(st, text) end
  elseif kind == "action" then
    return self:action(node)
  elseif kind == "if" or kind == "with" then
    return self:branch(node)
  elseif kind == "range" then
    return self:range(node)
  elseif kind == "template" then
    return self:invoke(node)
  elseif kind == "break" then
    return function() return BREAK end
  elseif kind == "continue" then
    return function() return CONTINUE end
  end
  return self:list(node)
end

function Compiler:list(list)
  local n = #list
  if n == 0 then return nothing end
  local nodes = {}
  for i = 1, n do nodes[i] = self:node(list[i]) end
  if n == 1 then return nodes[1] end
  if n == 2 then
    local a, b = nodes[1], nodes[2]
    return function(st, dot, vars) return a(st, dot, vars) or b(st, dot, vars) end
  end
  return function(st, dot, vars)
    for i = 1, n do
      local signal = nodes[i](st, dot, vars)
      if signal then return signal end
    end
    return nil
  end
end

-- Whole programs ---------------------------------------------------------------------------------------------------------

---@class step.template.Program
---@field body function
---@field text string

--- Compiles a tree.
---@param tree step.template.Tree
---@param functions table<string, step.template.Function>
---@return step.template.Program
function M.program(tree, functions)
  local compiler = setmetatable({ text = tree.text, functions = functions, templates = {} }, Compiler)
  for name, list in pairs(tree.templates) do compiler.templates[name] = compiler:list(list) end
  local body = compiler:list(tree.root)
  -- the main template has the name that µTask gives it
  if not compiler.templates.tmpl then compiler.templates.tmpl = body end
  return { body = body, text = tree.text }
end

local function describe(program, st, message)
  local node = st.node
  if st.call and st.steps >= 0 then message = ("error calling %s: %s"):format(st.call, message) end
  if not node then return "template: " .. message end
  local line, column = lex.place(program.text, node.pos)
  return ("template: %d:%d: executing at <%s>: %s"):format(line, column, source(program.text, node), message)
end

--- Runs a program; the output, or nil and the message.
---@param program step.template.Program
---@param v any
---@param st step.template.State
---@return string? output
---@return string? message
function M.run(program, v, st)
  local ok, err = pcall(program.body, st, v, { v })
  if ok then return table.concat(st.out, "", 1, st.n) end
  if type(err) ~= "string" then err = tostring(err) end
  return nil, describe(program, st, err)
end

return M
