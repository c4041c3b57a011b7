--- Regular expressions as µTask's users write them, Go's RE2 syntax, matched by lrexlib-PCRE2.
--
-- PCRE2 knows more than RE2: what RE2 has not (look-around, back references, verbs ...) is refused, so that a pattern
-- means the same in both, and where both have it with another meaning (\v, \s, $) it is translated. RE2 runs in linear
-- time, PCRE2 does not: a match that needs more than its budget is an error (D12), not a hang.

local M = {
  budget = 1000000,           -- PCRE2's match limit
}

local library

---@class step.Regex
---@field pattern string
---@field translated string    for PCRE2
local Regex = { __name = "step.Regex" }
Regex.__index = Regex

local GROUPS = { ["?:"] = true, ["?P<"] = true, ["?<"] = true }  -- what may follow "(", flags aside
local ESCAPES = "[%daAbBdDfnprPQsStvwWxz]"  -- letters and digits that RE2 knows after a backslash; outside of classes
local CLASS_ESCAPES = "[%dadDfnpPrsStvwWx]"

--- Translates the escape at `at` (the backslash); gives the text and the next position, or nil and what is wrong.
local function escape(pattern, at, in_class)
  local c = pattern:sub(at + 1, at + 1)
  if c == "" then return nil, "trailing backslash" end
  if c:find "%W" and c:byte() < 128 then return "\\" .. c, at + 2 end
  if not c:find(in_class and CLASS_ESCAPES or ESCAPES) then
    return nil, ("invalid escape \\%s"):format(pattern:match("^" .. utf8.charpattern, at + 1))
  end
  if c == "v" then return "\\x0b", at + 2 end
  if c == "s" then return in_class and "\\t\\n\\f\\r " or "[\\t\\n\\f\\r ]", at + 2 end
  if c == "S" and not in_class then return "[^\\t\\n\\f\\r ]", at + 2 end
  if c == "Q" then
    local from, to = pattern:find("\\E", at + 2, true)
    local literal = pattern:sub(at + 2, (from or #pattern + 1) - 1)
    return (literal:gsub("[^%w\128-\255]", "\\%0")), (to or #pattern) + 1
  end
  local octal = pattern:match("^[0-7][0-7]?[0-7]?", at + 1)
  if octal and (#octal > 1 or octal == "0") then return ("\\x{%x}"):format(tonumber(octal, 8)), at + 1 + #octal end
  if c:find "%d" then return nil, ("invalid escape \\%s: there are no back references"):format(c) end
  return "\\" .. c, at + 2
end

--- The pattern for PCRE2, or nil and what is wrong in it.
local function translate(pattern)
  local out, at = {}, 1
  local class_start           -- position after "[" or "[^" while in a class
  while at <= #pattern do
    local c = pattern:sub(at, at)
    local text, next_at = c, at + 1
    if c == "\\" then
      text, next_at = escape(pattern, at, class_start ~= nil)
      if not text then return nil, next_at end
    elseif class_start then
      local posix = pattern:match("^%[:%^?%a+:%]", at)
      if posix then
        text, next_at = posix, at + #posix
      elseif c == "[" then
        text = "\\["          -- to PCRE2 "[." and "[=" would start something
      elseif c == "]" and at > class_start then
        class_start = nil
      end
    elseif c == "[" then
      text = pattern:match("^%[%^?", at)
      next_at = at + #text
      class_start = next_at
    elseif c == "(" then
      if pattern:sub(at + 1, at + 1) == "*" then return nil, "missing argument to repetition operator: *" end
      if pattern:sub(at + 1, at + 1) == "?" then
        local group = pattern:match("^%?P?<?[:]?", at + 1)
        local look_behind = group == "?<" and pattern:find("^[=!]", at + 3)
        if look_behind or not (GROUPS[group] or pattern:find("^%?[imsU]*%-?[imsU]*[:)]", at + 1)) then
          return nil, ("invalid or unsupported syntax: `%s`"):format(pattern:match("^%(%?[^)%w]*%w?", at))
        end
      end
    elseif c == "{" then
      local least, most = pattern:match("^{(%d+),?(%d*)}", at)
      if least and math.max(tonumber(least), tonumber(most) or 0) > 1000 then
        return nil, ("invalid repeat count: `%s`"):format(pattern:match("^{[%d,]+}", at))
      end
    elseif c:find "[*+?]" or c == "}" and pattern:sub(math.max(1, at - 10), at):find "{%d+,?%d*}$" then
      if pattern:sub(next_at, next_at) == "+" then return nil, ("invalid nested repetition operator: `%s+`"):format(c) end
    end
    out[#out + 1] = text
    at = next_at
  end
  return table.concat(out)
end

--- Loads the library; nil and what to do when it is not there.
local function loaded()
  if library then return library end
  local ok, found = pcall(require, "rex_pcre2")
  if not ok then return nil, "regular expressions need lrexlib-PCRE2 (luarocks install lrexlib-pcre2; Debian: lua-rex-pcre2)" end
  library = found
  return found
end

--- Compiles a translated pattern.
local function made(translated, budget)
  -- (*LF): only "\n" ends a line; DOLLAR_ENDONLY: "$" does not match before a last "\n"
  local text = ("(*LF)(*LIMIT_MATCH=%d)(*UTF)%s"):format(budget, translated)
  local ok, regex = pcall(library.new, text, library.flags().DOLLAR_ENDONLY)
  if not ok then return nil, (tostring(regex):gsub(" %(pattern offset: %d+%)$", "")) end
  return regex
end

--- Compiles a pattern.
---@param pattern string
---@return step.Regex? regex
---@return string? message     what is wrong with the pattern
function M.compile(pattern)
  local there, missing = loaded()
  if not there then return nil, missing end
  local translated, message = translate(pattern)
  if not translated then return nil, message end
  local regex
  regex, message = made(translated, M.budget)
  if not regex then return nil, message end
  return setmetatable({ pattern = pattern, regex = regex, translated = translated }, Regex)
end

--- What went wrong in a match.
local function trouble(pattern, text, problem)
  if tostring(problem):find "LIMIT" then return ("the regular expression `%s` exceeds its match budget"):format(pattern) end
  return ("the regular expression `%s` cannot be matched: %s"):format(pattern,
    utf8.len(text) and tostring(problem) or "the text is no UTF-8")
end

--- What stands between the last beginning that has an end after it, and the last end. "." in them is a new line, too. Alternatives
--- and flags of each are its own, what their groups capture is not looked at, and both may have a group of a name (J).
---@param first step.Regex
---@param last step.Regex
---@param text string
---@return string? between    nil: nothing does, or
---@return string? message    what is wrong
function M.between(first, last, text)
  local pattern = ("(?sJ)^.*(?:%s)(.*)(?:%s).*$"):format(first.translated, last.translated)
  local regex, message = made(pattern, M.budget + 8 * #text) -- each byte is looked at two or three times, going back
  if not regex then return nil, message end
  local groups = math.tointeger(first.regex:fullinfo().CAPTURECOUNT)
  local found = table.pack(pcall(regex.match, regex, text))
  if not found[1] then return nil, trouble(pattern, text, found[2]) end
  return found[2] and found[2 + groups] or nil
end

--- Whether the pattern occurs in a text.
---@param text string
---@return boolean? found     nil when it cannot be told
---@return string? message
function Regex:matches(text)
  local ok, first = pcall(self.regex.find, self.regex, text)
  if ok then return first ~= nil end
  return nil, trouble(self.pattern, text, first)
end

return M
