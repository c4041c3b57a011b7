--- The template language: Go's text/template with the functions of sprig and µTask's own.
--
-- A template is compiled once to a closure and kept in a bounded cache by its text. Texts that only hold plain paths such as
-- {{.step.a.output.x}} take a short way: no parser, no state, one closure that walks the path; whatever is not an ordinary
-- value there is left to the general way, which gives the same result or the error.

local lpeg = require "lpeg"

local has_fields = require "step.json".has_fields

local M = {}

local type, concat, error = type, table.concat, error
local math_type = math.type

--- How many compiled templates are kept.
M.cache_size = 4096

-- The general way --------------------------------------------------------------------------------------------------------

-- Loaded at the first template that needs it.
local function parts()
  return require "step.template.parse", require "step.template.compile", require "step.template.state", require "step.template.functions"
end

local programs = setmetatable({}, { __mode = "k" }) -- closure -> program, for templates inside templates

local function general(text, options)
  local parse, compile, state, functions = parts()
  local known = options and options.functions or functions.all()
  local tree, message = parse.parse(text, known)
  if not tree then return nil, message end
  local program = compile.program(tree, known)
  local valid = require("step.template.unicode").valid
  local strict = options and options.strict
  local function render(v)
    local output, problem = compile.run(program, v, state.new(v, strict))
    if not output then error(problem, 0) end
    return valid(output) -- it becomes JSON: half a rune, cut off by a function, cannot stay
  end
  programs[render] = program
  return render
end

-- The short way ----------------------------------------------------------------------------------------------------------

local P, R, S, C, Ct = lpeg.P, lpeg.R, lpeg.S, lpeg.C, lpeg.Ct
local space = S " \t\r\n" ^ 0
local name = R("az", "AZ", "__") * R("az", "AZ", "09", "__") ^ 0
local path = Ct((P "." * C(name)) ^ 1)
local simple = Ct((C((1 - P "{{") ^ 1) + P "{{" * space * path * space * P "}}") ^ 0) * -1

-- Walks a path; `slow` is called where there is no string or number at its end. Nothing is decided here that the general way
-- would decide differently: a string or number that is reached through tables is what it is.
local function walker(names, slow)
  local n = #names
  local k1, k2, k3, k4, k5 = names[1], names[2], names[3], names[4], names[5]
  if n == 1 then
    return function(v)
      local x = v and v[k1]
      if type(x) == "string" then return x end
      if math_type(x) == "integer" then return ("%d"):format(x) end
      return slow(v)
    end
  elseif n == 2 then
    return function(v)
      local x = v and v[k1]
      if type(x) == "table" then
        x = x[k2]
        if type(x) == "string" then return x end
        if math_type(x) == "integer" then return ("%d"):format(x) end
      end
      return slow(v)
    end
  elseif k1 == "step" and n == 3 then
    return function(v)
      local all = v and v.step
      local step = has_fields(all) and all[k2]
      if has_fields(step) then
        local x = step[k3]
        if type(x) == "string" then return x end
        if math_type(x) == "integer" then return ("%d"):format(x) end
      end
      return slow(v)
    end
  elseif n == 3 then
    return function(v)
      local x = v and v[k1]
      if type(x) == "table" then
        x = x[k2]
        if type(x) == "table" then
          x = x[k3]
          if type(x) == "string" then return x end
          if math_type(x) == "integer" then return ("%d"):format(x) end
        end
      end
      return slow(v)
    end
  elseif k1 == "step" and (n == 4 or n == 5) then
    return function(v)
      local all = v and v.step
      local step = has_fields(all) and all[k2]
      if has_fields(step) then
        local x = step[k3]
        if type(x) == "table" then
          x = x[k4]
          if k5 and type(x) == "table" then x = x[k5] elseif k5 then return slow(v) end
          if type(x) == "string" then return x end
          if math_type(x) == "integer" then return ("%d"):format(x) end
        end
      end
      return slow(v)
    end
  end
  return function(v)
    local x = v
    for i = 1, n do
      x = x[names[i]]
      if type(x) ~= "table" then
        if i == n and type(x) == "string" then return x end
        break
      end
    end
    return slow(v)
  end
end

-- A string is indexable in Lua ("abc".len is a function), so a path through one never ends in a string; a number or boolean
-- is checked before it is indexed.

local function paths(text, pieces)
  local count = #pieces
  local whole
  local function slow(v)
    whole = whole or assert(general(text))
    return whole(v)
  end
  if count == 1 then return walker(pieces[1], slow) end
  local walkers = {}
  local failed = {} -- a value that no text is equal to: this rendering goes the general way
  for i, piece in ipairs(pieces) do
    if type(piece) == "table" then walkers[i] = walker(piece, function() return failed end) end
  end
  if count == 2 then
    local head, tail = pieces[1], pieces[2]
    if type(tail) == "table" and type(head) == "string" then
      local get = walkers[2]
      return function(v)
        local x = get(v)
        if x == failed then return slow(v) end
        return head .. x
      end
    end
  end
  return function(v)
    local out = {}
    for i = 1, count do
      local get = walkers[i]
      if get then
        local x = get(v)
        if x == failed then return slow(v) end
        out[i] = x
      else
        out[i] = pieces[i]
      end
    end
    return concat(out)
  end
end

-- Compiling and the cache ------------------------------------------------------------------------------------------------

local function build(text, options)
  if not text:find("{{", 1, true) then
    return function() return text end
  end
  if not options then
    local pieces = simple:match(text)
    if pieces and #pieces <= 100 then return paths(text, pieces) end
  end
  return general(text, options)
end

-- Two generations: when the young one is full the old one is forgotten. What is used moves to the young one.
local young, old, count = {}, {}, 0

local function remember(text, fn)
  if count >= M.cache_size / 2 then young, old, count = {}, young, 0 end
  young[text] = fn
  count = count + 1
  return fn
end

---@class step.template.Options
---@field strict? boolean       a missing field is an error that names it, not "<no value>"
---@field functions? table      the functions there are, instead of all

--- Compiles a template, or finds it in the cache.
---@param text string
---@param options? step.template.Options
---@return (fun(v: any): string)? render   raises a string when the template cannot be executed
---@return string? message                 "template: LINE:COLUMN: ...", where the text is no template
function M.compile(text, options)
  if options then return build(text, options) end
  local fn = young[text]
  if fn then return fn end
  fn = old[text]
  if fn then return remember(text, fn) end
  local message
  fn, message = build(text)
  if not fn then return nil, message end
  return remember(text, fn)
end

--- Renders a text inside another rendering, on its values and out of its budget.
---@param text string
---@param st step.template.State
---@return string? output
---@return string? message
function M.nested(text, st)
  local render, message = M.compile(text, st.strict and { strict = true } or nil)
  if not render then return nil, message end
  local program = programs[render]
  if not program then return render(st.root) end
  local _, compile, state = parts()
  local inner = state.new(st.root, st.strict)
  inner.steps, inner.evals = st.steps, st.evals + 1
  local output, problem = compile.run(program, st.root, inner)
  st.steps = inner.steps
  return output, problem
end

--- Whether a text is no template: it is used as it is.
---@param text string
---@return boolean
function M.is_constant(text)
  return not text:find("{{", 1, true)
end

return M
