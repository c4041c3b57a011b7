--- sprig's functions on texts.

local define = require("step.template.signature").define
local quote = require "step.template.quote"
local state = require "step.template.state"
local text = require "step.template.text"
local unicode = require "step.template.unicode"
local value = require "step.template.value"

local M = {}

local reserve = state.reserve

-- Trimming ---------------------------------------------------------------------------------------------------------------

-- Cuts runes off both ends.
local function trim_where(s, drops)
  local first, last = 1, #s
  while first <= last do
    local code, after = unicode.decode(s, first)
    if not drops(code) then break end
    first = after
  end
  while last >= first do
    local start = last
    while start > first and s:byte(start) >= 0x80 and s:byte(start) < 0xC0 do start = start - 1 end
    local code, after = unicode.decode(s, start)
    if after ~= last + 1 then start, code = last, 0xFFFD end
    if not drops(code) then break end
    last = start - 1
  end
  return s:sub(first, last)
end

local function trim_space(s) return trim_where(s, unicode.is_space) end

local function trim_set(set, s)
  local members = {}
  for _, code in unicode.runes(set) do members[code] = true end
  return trim_where(s, function(code) return members[code] end)
end

M.trim = define("string -> string", function(_, s) return trim_space(s) end)
M.trimAll = define("string, string -> string", function(_, set, s) return trim_set(set, s) end)
M.trimall = M.trimAll
M.trimPrefix = define("string, string -> string", function(_, prefix, s)
  return s:sub(1, #prefix) == prefix and s:sub(#prefix + 1) or s
end)
M.trimSuffix = define("string, string -> string", function(_, suffix, s)
  return suffix ~= "" and s:sub(-#suffix) == suffix and s:sub(1, -#suffix - 1) or s
end)

-- Case -------------------------------------------------------------------------------------------------------------------

M.upper = define("string -> string", function(_, s) return unicode.upper(s) end)
M.lower = define("string -> string", function(_, s) return unicode.lower(s) end)

local function is_separator(code)
  if code < 0x80 then return not (code == 95 or unicode.is_letter(code) or unicode.is_digit(code)) end
  return not unicode.is_letter(code) and not unicode.is_digit(code) and unicode.is_space(code)
end

-- Maps the runes of a text, one after the other.
local function map_runes(s, map)
  local out, n = {}, 0
  for _, code in unicode.runes(s) do
    n = n + 1
    out[n] = utf8.char(map(code))
  end
  return table.concat(out)
end

M.title = define("string -> string", function(_, s)
  local previous = 32
  return map_runes(s, function(code)
    local first = is_separator(previous)
    previous = code
    return first and unicode.to_upper(code) or code
  end)
end)

M.untitle = define("string -> string", function(_, s)
  local first = true
  return map_runes(s, function(code)
    if unicode.is_space(code) then
      first = true
    elseif first then
      first = false
      return unicode.to_lower(code)
    end
    return code
  end)
end)

M.swapcase = define("string -> string", function(_, s)
  return map_runes(s, function(code)
    if unicode.is_upper(code) then return unicode.to_lower(code) end
    return unicode.to_upper(code)
  end)
end)

-- Parts ------------------------------------------------------------------------------------------------------------------

-- s[from:to] of Go, bytes counted from 0.
local function cut(s, from, to)
  if from < 0 or to > #s or from > to then error(("slice bounds out of range [%d:%d] with length %d"):format(from, to, #s), 0) end
  return s:sub(from + 1, to)
end

M.substr = define("int, int, string -> string", function(_, from, to, s)
  if from < 0 then return cut(s, 0, to) end
  if to < 0 or to > #s then return cut(s, from, #s) end
  return cut(s, from, to)
end)

M.trunc = define("int, string -> string", function(_, n, s)
  if n < 0 then
    if #s + n > 0 then return s:sub(n) end
  elseif #s > n then
    return s:sub(1, n)
  end
  return s
end)

M.nospace = define("string -> string", function(_, s)
  local out, n = {}, 0
  for i = 1, #s do
    local code = s:byte(i)
    if not unicode.is_space(code) then
      n = n + 1
      out[n] = code < 0x80 and string.char(code) or utf8.char(code) -- by bytes, as the original does
    end
  end
  return n == #s and s or table.concat(out)
end)

M.initials = define("string -> string", function(_, s)
  local out, gap = {}, true
  for i = 1, #s do
    local code = s:byte(i)
    if unicode.is_space(code) then
      gap = true
    elseif gap then
      out[#out + 1] = utf8.char(code)
      gap = false
    end
  end
  return table.concat(out)
end)

local function abbreviate(s, offset, width)
  if #s <= width then return s end
  offset = math.min(offset, #s)
  if #s - offset < width - 3 then offset = #s - (width - 3) end
  if offset <= 4 then return s:sub(1, width - 3) .. "..." end
  if width < 7 then return "" end
  if offset + width - 3 < #s then return "..." .. abbreviate(s:sub(offset + 1), 0, width - 3) end
  return "..." .. s:sub(#s - (width - 3) + 1)
end

M.abbrev = define("int, string -> string", function(_, width, s)
  if width < 4 then return s end
  return abbreviate(s, 0, width)
end)

M.abbrevboth = define("int, int, string -> string", function(_, left, right, s)
  if right < 4 or left > 0 and right < 7 then return s end
  return abbreviate(s, left, right)
end)

-- Building ---------------------------------------------------------------------------------------------------------------

M["repeat"] = define("int, string -> string", function(st, count, s)
  if count < 0 then error("strings: negative Repeat count", 0) end
  reserve(st, #s * (count + 0.0))
  return s:rep(count)
end)

M.replace = define("string, string, string -> string", function(st, old, new, s) return text.replace(st, s, old, new) end)

local function indent(st, spaces, s)
  if spaces < 0 then error("strings: negative Repeat count", 0) end
  reserve(st, spaces + 0.0)
  local pad = (" "):rep(spaces)
  return pad .. text.replace(st, s, "\n", "\n" .. pad)
end

M.indent = define("int, string -> string", indent)
M.nindent = define("int, string -> string", function(st, spaces, s) return "\n" .. indent(st, spaces, s) end)

-- The arguments that are not nil, each made a text.
local function each(st, args, make)
  local out, size = {}, 0
  for i = 1, args.n do
    if args[i] ~= nil then
      local s = make(text.string(args[i], st))
      out[#out + 1], size = s, size + #s
      reserve(st, size)
    end
  end
  return table.concat(out, " ")
end

M.quote = define("...any -> string", function(st, args) return each(st, args, quote.quote) end)
M.squote = define("...any -> string", function(st, args) return each(st, args, function(s) return "'" .. s .. "'" end) end)
M.cat = define("...any -> string", function(st, args) return each(st, args, function(s) return s end) end)

M.plural = define("string, string, int -> string", function(_, one, many, count) return count == 1 and one or many end)

-- Wraps one line at spaces.
local function wrap(st, s, width, separator, long_words)
  if s == "" then return "" end
  if separator == "" then separator = "\n" end
  if width < 1 then width = 1 end
  local out, n, at, size = {}, 0, 1, #s
  local function put(from, to)
    n = n + 1
    out[n] = s:sub(from, to)
    state.spend(st, 1)
  end
  while size - at + 1 > width do
    if s:byte(at) == 32 then
      at = at + 1
    else
      local space
      for i = at + width, at, -1 do
        if s:byte(i) == 32 then
          space = i
          break
        end
      end
      if space then
        put(at, space - 1)
        at = space + 1
      elseif long_words then
        put(at, at + width - 1)
        at = at + width
      else
        local next_space = s:find(" ", at + width, true)
        if not next_space then break end
        put(at, next_space - 1)
        at = next_space + 1
      end
    end
  end
  reserve(st, size + n * #separator)
  out[n + 1] = s:sub(at)
  return table.concat(out, separator)
end

M.wrap = define("int, string -> string", function(st, width, s) return wrap(st, s, width, "", false) end)
M.wrapWith = define("int, string, string -> string", function(st, width, separator, s) return wrap(st, s, width, separator, true) end)

-- Searching --------------------------------------------------------------------------------------------------------------

M.contains = define("string, string -> bool", function(_, part, s) return s:find(part, 1, true) ~= nil end)
M.hasPrefix = define("string, string -> bool", function(_, prefix, s) return s:sub(1, #prefix) == prefix end)
M.hasSuffix = define("string, string -> bool", function(_, suffix, s) return suffix == "" or s:sub(-#suffix) == suffix end)

-- Lists of texts ---------------------------------------------------------------------------------------------------------

local function numbered(parts)
  local map = setmetatable({}, value.types.string_map)
  for i, part in ipairs(parts) do map["_" .. i - 1] = part end
  return map
end

M.split = define("string, string -> any", function(st, separator, s) return numbered(text.split(st, s, separator)) end)
M.splitn = define("string, int, string -> any", function(st, separator, n, s) return numbered(text.split(st, s, separator, n)) end)
M.splitList = define("string, string -> any", function(st, separator, s) return value.strings(text.split(st, s, separator)) end)

local function length(x)
  local t = value.typeof(x)
  return t and t.kind == "slice" and #x or 1
end

M.toStrings = define("any -> any", function(st, x)
  state.spend(st, length(x))
  return value.strings(text.strings(x, st))
end)

M.join = define("string, any -> string", function(st, separator, x)
  state.spend(st, length(x))
  local parts = text.strings(x, st)
  reserve(st, (#parts + 0.0) * #separator)
  local out = table.concat(parts, separator)
  reserve(st, #out)
  return out
end)

M.sortAlpha = define("any -> any", function(st, x)
  state.spend(st, length(x) * 4)
  local parts = text.strings(x, st)
  if x == nil then parts[1] = "<nil>" end
  table.sort(parts)
  return value.strings(parts)
end)

M.toString = define("any -> string", function(st, x) return text.string(x, st) end)
M.hello = define("-> string", function() return "Hello!" end)

return M
