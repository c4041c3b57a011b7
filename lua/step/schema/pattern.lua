--- Regular expressions of JSON Schema, ECMA-262's, matched by lrexlib-PCRE2.
--
-- The pattern is read once and written again for PCRE2: escapes that only one of the two has, `.`, `\s`, `[]` and
-- `\p{Letter}` are translated or refused, so nothing gets a meaning that ECMA-262 does not give it. Beyond ECMA-262, what
-- schemas written for Go's regexp use is taken: (?i) and its like, (?P<name>...), \A, \z and [[:alpha:]]. A match that
-- needs more than its budget is an error, not a hang.

local M = {
  budget = 1000000,           -- PCRE2's match limit
}

local library, flags

---@class step.schema.Pattern
---@field source string
local Pattern = { __name = "step.schema.Pattern" }
Pattern.__index = Pattern

local SPACE = "\\t\\n\\x0b\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}"
local NO_SPACE = "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"
  .. "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{d7ff}\\x{e000}-\\x{fefe}\\x{ff00}-\\x{10ffff}"
local LINE_ENDS = "\\n\\r\\x{2028}\\x{2029}"

local SETS = { d = "0-9", w = "0-9A-Za-z_", s = SPACE }
local NEGATED = { D = "\\D", W = "\\W", S = NO_SPACE }   -- as they stand in a class

local CATEGORIES = {
  Letter = "L", Cased_Letter = "L&", LC = "L&", Uppercase_Letter = "Lu", Lowercase_Letter = "Ll", Titlecase_Letter = "Lt",
  Modifier_Letter = "Lm", Other_Letter = "Lo", Mark = "M", Combining_Mark = "M", Nonspacing_Mark = "Mn", Spacing_Mark = "Mc",
  Enclosing_Mark = "Me", Number = "N", Decimal_Number = "Nd", digit = "Nd", Letter_Number = "Nl", Other_Number = "No",
  Punctuation = "P", punct = "P", Connector_Punctuation = "Pc", Dash_Punctuation = "Pd", Open_Punctuation = "Ps",
  Close_Punctuation = "Pe", Initial_Punctuation = "Pi", Final_Punctuation = "Pf", Other_Punctuation = "Po", Symbol = "S",
  Math_Symbol = "Sm", Currency_Symbol = "Sc", Modifier_Symbol = "Sk", Other_Symbol = "So", Separator = "Z",
  Space_Separator = "Zs", Line_Separator = "Zl", Paragraph_Separator = "Zp", Other = "C", Control = "Cc", cntrl = "Cc",
  Format = "Cf", Surrogate = "Cs", Private_Use = "Co", Unassigned = "Cn",
}

local function code(number)
  return ("\\x{%x}"):format(number)
end

--- The code point that \x, \u and \c name: the text for PCRE2 and the next position; nil when it is none of them.
local function code_point(pattern, at)
  local hex = pattern:match("^x(%x%x)", at) or pattern:match("^u(%x%x%x%x)", at)
  if hex then
    local point, next_at = tonumber(hex, 16), at + 1 + #hex
    local low = pattern:match("^\\u([dD][c-fC-F]%x%x)", next_at)
    if point >= 0xD800 and point < 0xDC00 and low then
      point, next_at = 0x10000 + ((point - 0xD800) << 10) + (tonumber(low, 16) - 0xDC00), next_at + 6
    end
    return code(point), next_at
  end
  hex = pattern:match("^[xu]{(%x+)}", at)
  if hex then return code(tonumber(hex, 16)), at + 3 + #hex end
  local letter = pattern:match("^c(%a)", at)
  if letter then return code(letter:byte() & 31), at + 2 end
  if pattern:find("^0%f[^%d]", at) or pattern:find("^0$", at) then return code(0), at + 1 end
  return nil
end

--- \p{...} and \P{...}.
local function property(pattern, at)
  local letter, name = pattern:match("^([pP]){(^?[%w_=]+)}", at)
  if not letter then
    local short = pattern:match("^[pP]%a", at)
    if not short then return nil end
    return "\\" .. short, at + 2
  end
  local length = #name
  name = name:gsub("^Script=", ""):gsub("^sc=", ""):gsub("^Script_Extensions=", ""):gsub("^scx=", "")
  name = name:gsub("^General_Category=", ""):gsub("^gc=", "")
  return ("\\%s{%s}"):format(letter, CATEGORIES[name] or name), at + 3 + length
end

--- Translates the escape whose backslash is before `at`: the text for PCRE2, the next position, and whether it is a set
-- of characters; or nil and what is wrong.
local function escape(pattern, at, in_class)
  local c = pattern:sub(at, at)
  if c == "" then return nil, "a backslash at the end" end
  if c:find "%W" and c:byte() < 128 then return "\\" .. c, at + 1 end
  local text, next_at = code_point(pattern, at)
  if text then return text, next_at end
  if c == "v" then return "\\x0b", at + 1 end
  if c:find "[tnfr]" then return "\\" .. c, at + 1 end
  if SETS[c] then return in_class and SETS[c] or "[" .. SETS[c] .. "]", at + 1, true end
  if NEGATED[c] then return in_class and NEGATED[c] or "[" .. NEGATED[c] .. "]", at + 1, true end
  text, next_at = property(pattern, at)
  if text then return text, next_at, true end
  if in_class then
    if c == "b" then return "\\x08", at + 1 end
  else
    if c:find "[bBAz]" then return "\\" .. c, at + 1 end
    local group = pattern:match("^[1-9]%d*", at)
    if group then return ("\\g{%s}"):format(group), at + #group end
    local name = pattern:match("^k<([%a_][%w_]*)>", at)
    if name then return ("\\k{%s}"):format(name), at + 3 + #name end
  end
  return nil, ("the escape \\%s is unknown"):format(pattern:match("^" .. utf8.charpattern, at))
end

--- Translates the class that begins at `at` ("["): the text and the next position, or nil and what is wrong.
local function class(pattern, at)
  local out = { pattern:match("^%[%^?", at) }
  at = at + #out[1]
  if pattern:sub(at, at) == "]" then  -- empty: nothing, or anything
    return out[1] == "[" and "(?!)" or "(?s:.)", at + 1
  end
  local after_set = false
  while true do
    local c = pattern:sub(at, at)
    if c == "" then return nil, "missing ]" end
    if c == "]" then
      out[#out + 1] = "]"
      return table.concat(out), at + 1
    end
    local text, next_at, set = c, at + 1, false
    if c == "\\" then
      text, next_at, set = escape(pattern, at + 1, true)
      if not text then return nil, next_at end
    elseif c == "[" then
      text = pattern:match("^%[:%^?%a+:%]", at)
      next_at, set = at + #(text or c), text ~= nil
      text = text or "\\["    -- to PCRE2 "[." and "[=" would start something
    elseif c == "-" and after_set then
      text = "\\-"            -- a set is no end of a range
    elseif c == "&" or c == "~" then
      text = "\\" .. c
    end
    if set and out[#out] == "-" then out[#out] = "\\-" end
    out[#out + 1] = text
    at, after_set = next_at, set
  end
end

--- Checks what stands after "(?": the text for PCRE2 and the next position, or nil and what is wrong.
local function group(pattern, at)
  local text = pattern:match("^%(%?[:=!]", at) or pattern:match("^%(%?<[=!]", at) or pattern:match("^%(%?P?<[%a_][%w_]*>", at)
    or pattern:match("^%(%?[imsU]*%-?[imsU]*[:)]", at)
  if text then return text, at + #text end
  return nil, ("the group %s is unknown"):format(pattern:match("^%(%?[^)%w]*%w?", at))
end

--- The pattern for PCRE2, or nil and what is wrong in it.
local function translate(pattern)
  local out, at = {}, 1
  local dot_all = pattern:find("(?", 1, true) and pattern:find "%(%?[imU]*s"
  while at <= #pattern do
    local c = pattern:sub(at, at)
    local text, next_at = c, at + 1
    if c == "\\" then
      text, next_at = escape(pattern, at + 1)
    elseif c == "[" then
      text, next_at = class(pattern, at)
    elseif c == "." and not dot_all then
      text = "[^" .. LINE_ENDS .. "]"
    elseif c == "(" and pattern:find("^[?*]", next_at) then
      if pattern:sub(next_at, next_at) == "*" then return nil, "nothing to repeat before *" end
      text, next_at = group(pattern, at)
    elseif c:find "[*+?]" or c == "{" and pattern:find("^{%d+,?%d*}", at) then
      text = c == "{" and pattern:match("^{%d+,?%d*}", at) or c
      next_at = at + #text
      if pattern:sub(next_at, next_at) == "?" then  -- lazy
        text, next_at = text .. "?", next_at + 1
      end
      if pattern:find("^[*+?]", next_at) then
        return nil, ("nothing to repeat before %s"):format(pattern:sub(next_at, next_at))
      end
    end
    if not text then return nil, next_at end
    out[#out + 1] = text
    at = next_at
  end
  return table.concat(out)
end

--- Compiles a pattern.
---@param source string
---@return step.schema.Pattern? pattern
---@return string? message     what is wrong with it
function M.compile(source)
  if not library then
    local ok, loaded = pcall(require, "rex_pcre2")
    if not ok then return nil, "regular expressions need lrexlib-PCRE2 (luarocks install lrexlib-pcre2; Debian: lua-rex-pcre2)" end
    library = loaded
    local known = library.flags()
    flags = known.DOLLAR_ENDONLY | known.MATCH_UNSET_BACKREF
  end
  if not utf8.len(source) then return nil, "the pattern is no UTF-8" end
  local translated, message = translate(source)
  if not translated then return nil, message end
  local ok, regex = pcall(library.new, ("(*LF)(*LIMIT_MATCH=%d)(*UTF)%s"):format(M.budget, translated), flags)
  if not ok then return nil, (tostring(regex):gsub(" %(pattern offset: %d+%)$", "")) end
  return setmetatable({ source = source, regex = regex }, Pattern)
end

--- Whether the pattern occurs in a text.
---@param text string
---@return boolean? found     nil when it cannot be told
---@return string? message
function Pattern:matches(text)
  local ok, first = pcall(self.regex.find, self.regex, text)
  if ok then return first ~= nil end
  if tostring(first):find "LIMIT" then
    return nil, ("the regular expression %s exceeds its match budget"):format(self.source)
  end
  return nil, ("the regular expression %s cannot be matched: %s"):format(self.source,
    utf8.len(text) and tostring(first) or "the text is no UTF-8")
end

return M
