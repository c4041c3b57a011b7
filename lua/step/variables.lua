--- Variables of a definition: what `eval` and `evalCache` give. A variable has a `value`, or an `expression`: a Lua function
-- of v, a text that starts with "lua:" (Lua, for callers who allow programs), or JavaScript as with µTask.
--
-- JavaScript runs in a process of its own, by the command of Duktape, killed after `expression_timeout`. The expression is
-- rendered as a template first; its value is taken as a text. An evaluation blocks the program: it is meant to be short.

local duration = require "step.duration"
local errors = require "step.error"
local json = require "step.json"
local template = require "step.template"

local M = {
  command = "duk",                  -- Duktape's
  timeout = 10,                     -- seconds, where a variable has no expression_timeout
  max_output = 16 * 1024 * 1024,    -- bytes of a JavaScript result, as JSON
}

---@class step.Variable
---@field name string
---@field value? any                                a text is a template; anything else is taken as it is
---@field expression? string|fun(v: table): any     "lua: v.input.n + 1", a function of v, or JavaScript
---@field expression_timeout? string|integer        of JavaScript: "500ms", "5s"; a number counts nanoseconds

local KEYS = { "expression", "expression_timeout", "name", "value" }

local null = json.null

local function absent(value) return value == nil or value == null end

local function is_list(value) return type(value) == "table" and (json.is_array(value) or next(value) == nil) end

-- ---- Lua ----

-- Copies: an expression cannot change the program's own.
local SAFE = {}
for _, name in ipairs { "assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type" } do
  SAFE[name] = _G[name]
end

local function environment()
  local env = {}
  for name, fn in pairs(SAFE) do env[name] = fn end
  for _, library in ipairs { "string", "table", "math", "utf8" } do
    env[library] = {}
    for name, fn in pairs(_G[library]) do env[library][name] = fn end
  end
  return env
end

--- Compiles what follows "lua:": an expression of v, or statements that return something.
---@param source string
---@return (fun(v: table): any)? fn
---@return string? message
local function compile_lua(source)
  local env = environment()
  local fn, message = load("local v = ... return " .. source, "=expression", "t", env)
  if fn then return fn end
  local block, block_message = load("local v = ... " .. source, "=expression", "t", env)
  if block then return block end
  return nil, source:find "%f[%w]return%f[%W]" and block_message or message
end

local function lua_source(expression)
  return type(expression) == "string" and expression:match "^%s*lua:(.*)$" or nil
end

-- ---- JavaScript ----

local MISSING = "an expression in JavaScript needs the command '%s', which is not installed (Debian: apt-get install %s); "
  .. "an expression in Lua starts with \"lua:\""

local function installed(command)
  return (os.execute(("command -v '%s' >/dev/null 2>&1"):format((command:gsub("'", "'\\''")))))
end

--- What is not installed that JavaScript needs: nil, or a sentence with what to install.
local function lacking()
  for _, needed in ipairs { { M.command, "duktape" }, { "timeout", "coreutils" } } do
    if not installed(needed[1]) then return MISSING:format(needed[1], needed[2]) end
  end
end

local function escape_unit(unit) return ("\\u%04x"):format(unit) end

--- A text as a JavaScript literal in ASCII.
local function literal(text)
  local escaped = text:gsub('[%c"\\\127]', function(c) return escape_unit(c:byte()) end)
  if not escaped:find "[\128-\255]" then return '"' .. escaped .. '"' end
  return '"' .. escaped:gsub(utf8.charpattern, function(char)
    if #char == 1 then return char end
    local code = utf8.codepoint(char)
    if code < 0x10000 then return escape_unit(code) end
    code = code - 0x10000
    return escape_unit(0xD800 | code >> 10) .. escape_unit(0xDC00 | code & 0x3FF)
  end) .. '"'
end

-- Only what the language itself defines is left to the expression. The answer is [true, text] or [false, problem], in ASCII.
local PROGRAM = [[
(function (say, source) {
  var kept = " NaN Infinity undefined Object Function Array String Boolean Number Date RegExp Error EvalError RangeError " +
    "ReferenceError SyntaxError TypeError URIError Math JSON parseInt parseFloat eval isNaN isFinite decodeURI " +
    "decodeURIComponent encodeURI encodeURIComponent escape unescape globalThis Symbol Reflect Proxy ";
  var global = (0, eval)("this");
  Object.getOwnPropertyNames(global).forEach(function (name) {
    if (kept.indexOf(" " + name + " ") < 0) { delete global[name]; }
  });
  var stringify = JSON.stringify, text = String, evaluate = (0, eval), replace = String.prototype.replace, answer;
  var call = Function.prototype.call.bind(Function.prototype.call);
  try { answer = [true, text(evaluate(source))]; } catch (problem) {
    try { answer = [false, text(problem)]; } catch (ignored) { answer = [false, "an error that has no text"]; }
  }
  say(call(replace, stringify(answer), /[\x7f-\uffff]/g, function (c) {
    var hex = c.charCodeAt(0).toString(16);
    return "\\u" + "0000".substring(hex.length) + hex;
  }));
})(print, %s);
]]

--- Runs a program in a process of its own: all it has printed, how it ended.
local function run(program, seconds)
  local path = os.tmpname()
  local file, message = io.open(path, "wb")
  if not file then return nil, message end
  local written
  written, message = file:write(program)
  file:close()
  local output, kind, code
  if written then
    local pipe
    pipe, message = io.popen(("exec timeout -s KILL %.3f '%s' '%s' 2>&1"):format(seconds, M.command, path), "r")
    if pipe then
      output = pipe:read(M.max_output + 1) or ""
      local _
      _, kind, code = pipe:close()
    end
  end
  os.remove(path)
  if not output then return nil, message end
  return output, kind, code
end

--- Evaluates JavaScript.
---@param source string
---@param seconds? number    until it is killed; default 10
---@return string? text      the value's
---@return string? message
function M.javascript(source, seconds)
  seconds = seconds or M.timeout
  if not utf8.len(source) then return nil, "the expression is no UTF-8 text" end
  local output, kind, code = run(PROGRAM:gsub("%%s", function() return literal(source) end), seconds)
  if not output then return nil, "the expression cannot be evaluated: " .. tostring(kind) end
  if code == 137 or (kind == "signal" and code == 9) then
    return nil, ("the expression was killed after its expression_timeout of %g s"):format(seconds)
  elseif #output > M.max_output then
    return nil, ("the expression gives more than %d bytes"):format(M.max_output)
  end
  local answer = json.decode(output)
  if not json.is_array(answer) or type(answer[2]) ~= "string" then
    return nil, lacking() or ("%s failed: %s"):format(M.command, errors.show((output:gsub("%s+$", ""))))
  elseif not answer[1] then
    return nil, answer[2]
  end
  return answer[2]
end

-- ---- a definition's variables ----

local function check_expression(variable, allowed, add)
  local expression = variable.expression
  local source = lua_source(expression)
  if type(expression) == "function" then
    return
  elseif type(expression) ~= "string" then
    add("expression", { message = "JavaScript, or Lua that starts with \"lua:\", is expected", found = errors.show(expression) })
  elseif source and not allowed then
    add("expression", {
      message = "a Lua expression stands here; pass { lua = true } to allow programs in this file, or give a Lua function" })
  elseif source then
    local _, message = compile_lua(source)
    if message then add("expression", { message = "the Lua expression does not compile: " .. message }) end
  else
    local missing = lacking()
    if missing then add("expression", { message = missing, found = errors.show(expression) }) end
  end
end

--- Checks the `variables` of a definition.
---@param list any
---@param report step.Report
---@param allowed? boolean    whether "lua:" expressions may stand there
function M.check(list, report, allowed)
  if not is_list(list) then return end
  local seen = {}
  for i, variable in ipairs(list) do
    local place = ("variables[%d]"):format(i)
    local function add(key, finding)
      finding.field = key and place .. "." .. key or place
      report:add(finding)
    end
    if type(variable) ~= "table" or json.is_array(variable) then
      add(nil, { message = "a variable is an object with a name and a value or an expression", found = errors.show(variable) })
    else
      for key in next, variable do
        local known = false
        for _, name in ipairs(KEYS) do known = known or name == key end
        if not known then
          add(tostring(key), { message = "unknown key of a variable", accepted = table.concat(KEYS, ", "),
            name = tostring(key), candidates = KEYS })
        end
      end
      local name = variable.name
      if type(name) ~= "string" or name == "" then
        add("name", { message = "a variable needs a name", found = errors.show(name) })
      elseif seen[name] then
        add("name", { message = ("two variables are named '%s'"):format(name) })
      else
        seen[name] = true
      end
      local has_expression = not absent(variable.expression) and variable.expression ~= ""
      if absent(variable.value) and not has_expression then
        add(nil, { message = "a variable needs a value or an expression" })
      elseif not absent(variable.value) and has_expression then
        add(nil, { message = "a variable has a value or an expression, not both" })
      elseif has_expression then
        check_expression(variable, allowed, add)
      end
      if not absent(variable.expression_timeout) then
        local seconds, message = duration.seconds(variable.expression_timeout)
        if not seconds or seconds <= 0 then
          add("expression_timeout", { message = message or "a time above 0 is expected", found = errors.show(variable.expression_timeout) })
        end
      end
    end
  end
end

--- Whether a variable is an expression in Lua, written as text: what only a caller who allows programs may evaluate.
---@param variable step.Variable
---@return boolean
function M.is_lua(variable) return type(variable) == "table" and lua_source(variable.expression) ~= nil end

--- Makes of a list of variables what a run keeps: a Lua function given as the value is an expression.
---@param list step.Variable[]
---@return step.Variable[]
function M.normalize(list)
  local made = json.array()
  for i, variable in ipairs(list) do
    if type(variable) == "table" and type(variable.value) == "function" then
      variable = { name = variable.name, expression = variable.value }
    end
    made[i] = variable
  end
  return made
end

--- Compiles an expression: a function of v that raises what goes wrong.
local function compile(variable, strict)
  local expression = variable.expression
  if type(expression) == "function" then return expression end
  local source = lua_source(expression)
  if source then
    local fn, message = compile_lua(source)
    return fn or function() error(message, 0) end
  end
  local render, message = template.compile(expression, strict and { strict = true } or nil)
  if not render then return function() error(message, 0) end end
  local seconds = not absent(variable.expression_timeout) and duration.seconds(variable.expression_timeout) or nil
  return function(v)
    local text, problem = M.javascript(render(v), seconds)
    if not text then error(problem, 0) end
    return text
  end
end

--- Makes what templates call to evaluate an expression.
---@param strict? boolean    a missing field in an expression's template is an error
---@return fun(name: string, variable: step.Variable, v: table): any, string?   the value; nil and what went wrong
function M.evaluator(strict)
  local compiled = setmetatable({}, { __mode = "k" })
  return function(name, variable, v)
    local fn = compiled[variable]
    if not fn then
      fn = compile(variable, strict)
      compiled[variable] = fn
    end
    local ok, value = pcall(fn, v)
    if not ok then return nil, ("variable '%s': %s"):format(name, tostring(value)) end
    if value == nil then return null end
    local copy, problem = json.copy(value)
    if problem then return nil, ("variable '%s' gives no JSON data: %s"):format(name, problem.message) end
    return copy
  end
end

return M
