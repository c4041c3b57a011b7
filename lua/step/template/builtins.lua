--- The functions that text/template itself has. `and` and `or` are in compile.lua: they do not evaluate all arguments.

local format = require "step.template.format"
local signature = require "step.template.signature"
local unicode = require "step.template.unicode"
local url = require "step.template.url"
local value = require "step.template.value"

local define = signature.define
local typeof, truth, null = value.typeof, value.truth, value.null

local M = {}

local function fail(text, ...) error(text:format(...), 0) end

-- Indexing ---------------------------------------------------------------------------------------------------------------

-- The integer an index stands for.
local function index_of(index, length)
  local t = typeof(index)
  if not t then fail "cannot index slice/array with nil" end
  if t.class ~= "int" and t.class ~= "uint" then fail("cannot index slice/array with type %s", t.name) end
  local n = index[1]
  if n < 0 or n > length then fail("index out of range: %d", n) end
  return n
end

local zeros = { [value.types.string] = "" }

M.index = define("any, ...any -> any", function(st, item, indices)
  if item == nil then fail "index of untyped nil" end
  for i = 1, indices.n do
    local index = indices[i]
    local t = typeof(item)
    if not t then fail "index of nil pointer" end
    if t.kind == "slice" then
      local n = index_of(index, #item)
      if n == #item then fail("index out of range: %d", n) end
      item = item[n + 1]
    elseif t.kind == "string" then
      local text = value.text(item)
      local n = index_of(index, #text)
      if n == #text then fail("index out of range: %d", n) end
      item = value.uint8(text:byte(n + 1))
    elseif t.kind == "map" then
      if index == nil then fail("value is nil; should be of type string") end
      if type(index) ~= "string" then fail("value has type %s; should be string", typeof(index).name) end
      item = value.get(item, index)
      if item == nil then item = zeros[t.elem] end
    else
      fail("can't index item of type %s", t.name)
    end
    if st.shadow and item ~= nil then item = st.shadow[item] or item end
  end
  if item == null then return nil end
  return item
end)

--- Go's own slice; sprig has another one of that name that replaces it.
M.slice = define("any, ...any -> any", function(_, item, indices)
  if item == nil then fail "slice of untyped nil" end
  local t = typeof(item)
  if indices.n > 3 then fail("too many slice indexes: %d", indices.n) end
  local text = t.kind == "string" and value.text(item)
  if not text and t.kind ~= "slice" then fail("can't slice item of type %s", t.name) end
  if text and indices.n == 3 then fail "cannot 3-index slice a string" end
  local length = text and #text or #item
  local at = { 0, length }
  for i = 1, indices.n do at[i] = index_of(indices[i], length) end
  if at[1] > at[2] then fail("invalid slice index: %d > %d", at[1], at[2]) end
  if at[3] and at[2] > at[3] then fail("invalid slice index: %d > %d", at[2], at[3]) end
  if text then return text:sub(at[1] + 1, at[2]) end
  return setmetatable(table.move(item, at[1] + 1, at[2], 1, {}), t == value.types.list and getmetatable(value.list {}) or t)
end)

M.len = define("any -> int", function(_, item)
  if item == nil then fail "len of nil pointer" end
  local n = value.len(item)
  if not n then fail("len of type %s", typeof(item).name) end
  return n
end)

-- Calls ------------------------------------------------------------------------------------------------------------------

M.call = define("any, ...any -> any", function(_, fn)
  if fn == nil then fail "call of nil" end
  fail("non-function %s of type %s", format.value(fn), typeof(fn).name) -- the data holds no functions
end)

-- `and` and `or` are names that may be called; the compiler never comes here
M["and"] = define("any, ...any -> any", function(_, first) return first end)
M["or"] = define("any, ...any -> any", function(_, first) return first end)

M["not"] = define("any -> bool", function(_, x) return not truth(x) end)

-- Comparison -------------------------------------------------------------------------------------------------------------

local function class_of(x)
  local t = typeof(x)
  return t and t.class
end

-- Content of two values of the same class.
local function content(x, class)
  if class == "string" then return value.text(x) end
  if class == "bool" then return x end
  return x[1]
end

local function one_equal(a, b)
  local ca, cb = class_of(a), class_of(b)
  if ca ~= cb then
    if ca == "int" and cb == "uint" then return a[1] >= 0 and a[1] == b[1] end
    if ca == "uint" and cb == "int" then return b[1] >= 0 and a[1] == b[1] end
    if a ~= nil and b ~= nil then fail "incompatible types for comparison" end
    return false
  end
  if ca == "complex" then return a[1] == b[1] and a[2] == b[2] end
  if ca then return content(a, ca) == content(b, ca) end
  if a == nil or b == nil then return a == nil and b == nil end
  local ta, tb = typeof(a), typeof(b)
  if ta.name ~= tb.name then
    if ta.kind == "slice" or ta.kind == "map" or tb.kind == "slice" or tb.kind == "map" then
      fail("non-comparable types %s, %s", ta.name, tb.name)
    end
    return false
  end
  if ta.kind == "slice" or ta.kind == "map" then fail("non-comparable type %s", ta.name) end
  if ta.equal then return ta.equal(a, b) end
  return rawequal(a, b)
end

local function equal(first, rest)
  if rest.n == 0 then fail "missing argument for comparison" end
  for i = 1, rest.n do
    if one_equal(first, rest[i]) then return true end
  end
  return false
end

local function less(a, b)
  local ca, cb = class_of(a), class_of(b)
  if not ca or not cb then fail "invalid type for comparison" end
  if ca ~= cb then
    if ca == "int" and cb == "uint" then return a[1] < 0 or a[1] < b[1] end
    if ca == "uint" and cb == "int" then return b[1] >= 0 and a[1] < b[1] end
    fail "incompatible types for comparison"
  end
  if ca == "bool" or ca == "complex" then fail "invalid type for comparison" end
  return content(a, ca) < content(b, ca)
end

-- By bytes, whatever the locale says.
local function less_or_equal(a, b) return less(a, b) or one_equal(a, b) end

M.eq = define("any, ...any -> bool", function(_, a, rest) return equal(a, rest) end)
M.ne = define("any, any -> bool", function(_, a, b) return not one_equal(a, b) end)
M.lt = define("any, any -> bool", function(_, a, b) return less(a, b) end)
M.le = define("any, any -> bool", function(_, a, b) return less_or_equal(a, b) end)
M.gt = define("any, any -> bool", function(_, a, b) return not less_or_equal(a, b) end)
M.ge = define("any, any -> bool", function(_, a, b) return not less(a, b) end)

-- Printing ---------------------------------------------------------------------------------------------------------------

M.print = define("...any -> string", function(st, args) return format.sprint(args, st) end)
M.println = define("...any -> string", function(st, args) return format.sprintln(args, st) end)
M.printf = define("string, ...any -> string", function(st, text, args) return format.sprintf(text, args, st) end)

-- Escaping ---------------------------------------------------------------------------------------------------------------

-- The text of the arguments as an action would print them.
local function text_of(st, args)
  if args.n == 1 and type(args[1]) == "string" then return args[1] end
  for i = 1, args.n do
    if args[i] == nil then args[i] = "<no value>" end
  end
  return format.sprint(args, st)
end

local html = { ['"'] = "&#34;", ["'"] = "&#39;", ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["\0"] = "\u{FFFD}" }

M.html = define("...any -> string", function(st, args)
  local out = text_of(st, args):gsub("[\"'&<>%z]", html)
  return out
end)

local js = { ["\\"] = "\\\\", ["'"] = "\\'", ['"'] = '\\"', ["<"] = "\\u003C", [">"] = "\\u003E", ["&"] = "\\u0026", ["="] = "\\u003D" }

M.js = define("...any -> string", function(st, args)
  local text = text_of(st, args):gsub("[%z\1-\31\\'\"<>&=]", function(c) return js[c] or ("\\u%04X"):format(c:byte()) end)
  if not text:find("[\128-\255]") then return text end
  local out, n = {}, 0
  for _, code in unicode.runes(text) do
    n = n + 1
    out[n] = (code < 128 or unicode.is_print(code)) and utf8.char(code) or ("\\u%04X"):format(code)
  end
  return table.concat(out)
end)

M.urlquery = define("...any -> string", function(st, args) return url.query_escape(text_of(st, args)) end)

return M
