--- sprig's regular expressions, in RE2's syntax, with the match limits of step.regex.

local define = require("step.template.signature").define
local regex = require "step.regex"
local state = require "step.template.state"
local unicode = require "step.template.unicode"
local value = require "step.template.value"

local M = {}

-- What one match may cost PCRE2. A template may match thousands of times, a condition matches once: less than step.regex allows.
local BUDGET = 100000

local cache, cached = {}, 0

local function compile(pattern)
  local re = cache[pattern]
  if re then return re end
  local problem
  local budget = regex.budget
  regex.budget = math.min(budget, BUDGET)
  re, problem = regex.compile(pattern)
  regex.budget = budget
  if not re then error(("error parsing regexp: %s"):format(problem), 0) end
  if cached >= 100 then cache, cached = {}, 0 end
  cache[pattern], cached = re, cached + 1
  return re
end

local no_utf_check

-- PCRE2 would check the whole text at every match: it is done once here.
local function check(re, s)
  if not utf8.len(s) then error(("the regular expression `%s` cannot be matched: the text is no UTF-8"):format(re.pattern), 0) end
  no_utf_check = no_utf_check or require("rex_pcre2").flags().NO_UTF_CHECK
end

-- The next match in a checked text from a byte position: its first and last byte and the offsets of groups.
local function execute(st, re, s, at)
  state.spend(st, 50 + (#s - at) // 512)
  local ok, first, last, groups = pcall(re.regex.exec, re.regex, s, at, no_utf_check)
  if ok then return first, last, groups end
  if tostring(first):find("LIMIT") then error(("the regular expression `%s` exceeds its match budget"):format(re.pattern), 0) end
  return error(("the regular expression `%s` cannot be matched: %s"):format(re.pattern, tostring(first)), 0)
end

-- Width of the rune at a position, 0 at the end.
local function width(s, at)
  if at > #s then return 0 end
  local _, after = unicode.decode(s, at)
  return after - at
end

-- All matches as pairs of first byte and byte behind, at most n (negative: all). No empty match right behind another match.
local function matches(st, re, s, n)
  check(re, s)
  local found, at, previous = {}, 1, nil
  while (n < 0 or #found < n) and at <= #s + 1 do
    local first, last = execute(st, re, s, at)
    if not first then break end
    local stop = last + 1
    local accept = true
    if stop == at then
      accept = first ~= previous
      local w = width(s, at)
      at = w > 0 and at + w or #s + 2
    else
      at = stop
    end
    previous = stop
    if accept then found[#found + 1] = { first, stop } end
  end
  return found
end

local function find(st, pattern, s)
  local re = compile(pattern)
  check(re, s)
  local first, last = execute(st, re, s, 1)
  return first and s:sub(first, last) or ""
end

local function find_all(st, pattern, s, n)
  local found = matches(st, compile(pattern), s, n)
  if #found == 0 then return setmetatable({}, value.types.nil_strings) end
  for i, m in ipairs(found) do found[i] = s:sub(m[1], m[2] - 1) end
  return value.strings(found)
end

local function replace(st, pattern, s, substitute)
  local re = compile(pattern)
  check(re, s)
  local out, size = {}, 0
  local function put(piece)
    size = size + #piece
    if size > st.limit then state.reserve(st, size) end
    out[#out + 1] = piece
  end
  local copied, at = 1, 1
  while at <= #s + 1 do
    local first, last, groups = execute(st, re, s, at)
    if not first then break end
    put(s:sub(copied, first - 1))
    local stop = last + 1
    if stop > copied or first == 1 then put(substitute(first, last, groups)) end
    copied = stop
    local w = width(s, at)
    if at + w > stop then at = at + w elseif at + 1 > stop then at = at + 1 else at = stop end
  end
  put(s:sub(copied))
  return table.concat(out)
end

-- What "$1", "${name}" and "$$" in a replacement stand for.
local function expander(template, s)
  local parts, at = {}, 1
  while true do
    local dollar = template:find("$", at, true)
    parts[#parts + 1] = template:sub(at, (dollar or 0) - 1)
    if not dollar then break end
    local name, after = template:match("^{([%w_]+)}()", dollar + 1)
    if not name then name, after = template:match("^([%w_]+)()", dollar + 1) end
    if template:sub(dollar + 1, dollar + 1) == "$" then
      parts[#parts + 1] = "$"
      at = dollar + 2
    elseif name then
      local index = name:find("^%d+$") and math.tointeger(tonumber(name))
      parts[#parts + 1] = { index or name }
      at = after
    else
      parts[#parts + 1] = "$"
      at = dollar + 1
    end
  end
  return function(first, last, groups)
    local out = {}
    for i, part in ipairs(parts) do
      if type(part) == "string" then
        out[i] = part
      elseif part[1] == 0 then
        out[i] = s:sub(first, last)
      elseif math.type(part[1]) == "integer" then
        local from, to = groups[part[1] * 2 - 1], groups[part[1] * 2]
        out[i] = from and s:sub(from, to) or ""
      else
        local text = groups[part[1]]
        out[i] = type(text) == "string" and text or ""
      end
    end
    return table.concat(out)
  end
end

local function replace_all(st, pattern, s, replacement) return replace(st, pattern, s, expander(replacement, s)) end

local function replace_literal(st, pattern, s, replacement)
  return replace(st, pattern, s, function() return replacement end)
end

local function split(st, pattern, s, n)
  local re = compile(pattern)
  if n == 0 then return setmetatable({}, value.types.nil_strings) end
  if pattern ~= "" and s == "" then return value.strings { "" } end
  local parts, from, stop = {}, 1, 1
  for _, m in ipairs(matches(st, re, s, n)) do
    if n > 0 and #parts == n - 1 then break end
    stop = m[1]
    if m[2] ~= 1 then parts[#parts + 1] = s:sub(from, stop - 1) end
    from = m[2]
  end
  if stop ~= #s + 1 then parts[#parts + 1] = s:sub(from) end
  return value.strings(parts)
end

local function both(name, signature, fn)
  M["regex" .. name] = define(signature, fn)
  M["mustRegex" .. name] = M["regex" .. name]
end

both("Find", "string, string -> string", find)
both("FindAll", "string, string, int -> any", find_all)
both("ReplaceAll", "string, string, string -> string", replace_all)
both("ReplaceAllLiteral", "string, string, string -> string", replace_literal)
both("Split", "string, string, int -> any", split)

local function match(st, pattern, s)
  local re = compile(pattern)
  check(re, s)
  return execute(st, re, s, 1) ~= nil
end

M.mustRegexMatch = define("string, string -> bool", match)
-- a pattern that does not compile matches nothing; one that exceeds its budget is an error
M.regexMatch = define("string, string -> bool", function(st, pattern, s)
  if not pcall(compile, pattern) then return false end
  return match(st, pattern, s)
end)

M.regexQuoteMeta = define("string -> string", function(_, s) return (s:gsub("[\\%.%+%*%?%(%)|%[%]{}%^%$]", "\\%0")) end)

return M
