--- Go's string syntax: strconv.Quote and its relatives, and the reading of quoted strings and characters.

local unicode = require "step.template.unicode"

local M = {}

local short = { [7] = "\\a", [8] = "\\b", [12] = "\\f", [10] = "\\n", [13] = "\\r", [9] = "\\t", [11] = "\\v", [92] = "\\\\" }

local function escaped(code, mark, ascii_only)
  if code == mark then return "\\" .. string.char(mark) end
  if short[code] then return short[code] end
  if code < 0x80 then
    if code >= 32 and code < 127 then return string.char(code) end
    return ("\\x%02x"):format(code)
  end
  if not ascii_only and unicode.is_print(code) then return utf8.char(code) end
  if code < 0x10000 then return ("\\u%04x"):format(code) end
  return ("\\U%08x"):format(code)
end

--- strconv.Quote (or QuoteToASCII).
---@param s string
---@param ascii_only? boolean
---@return string
function M.quote(s, ascii_only)
  if not s:find("[^ !#-%[%]-~]") then return '"' .. s .. '"' end
  local out, n = { '"' }, 1
  for at, code, stop in unicode.runes(s) do
    n = n + 1
    if code == 0xFFFD and stop == at + 1 then
      out[n] = ("\\x%02x"):format(s:byte(at))
    else
      out[n] = escaped(code, 34, ascii_only)
    end
  end
  out[n + 1] = '"'
  return table.concat(out)
end

--- strconv.QuoteRune (or QuoteRuneToASCII).
---@param code integer
---@param ascii_only? boolean
---@return string
function M.quote_rune(code, ascii_only)
  if code < 0 or code > 0x10FFFF or (code >= 0xD800 and code <= 0xDFFF) then code = 0xFFFD end
  return "'" .. escaped(code, 39, ascii_only) .. "'"
end

--- Whether the text can stand between backquotes (for %#q).
function M.can_backquote(s)
  for _, code in unicode.runes(s) do
    if code == 96 or code == 0xFFFD or code == 0xFEFF or code == 127 or (code < 32 and code ~= 9) then return false end
  end
  return true
end

local plain = { a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", v = "\v", ["\\"] = "\\" }

-- One escape at position i (of the backslash): its text, its rune (nil for a byte) and the position behind it.
local function escape_at(s, i, mark)
  local c = s:sub(i + 1, i + 1)
  if plain[c] then return plain[c], plain[c]:byte(), i + 2 end
  if c == mark then return c, c:byte(), i + 2 end
  if c == "x" then
    local hex = s:match("^%x%x", i + 2)
    if not hex then return nil end
    local value = tonumber(hex, 16)
    return string.char(value), value, i + 4
  elseif c == "u" or c == "U" then
    local size = c == "u" and 4 or 8
    local hex = s:match("^" .. ("%x"):rep(size), i + 2)
    local code = hex and tonumber(hex, 16)
    if not code or code > 0x10FFFF or (code >= 0xD800 and code <= 0xDFFF) then return nil end
    return utf8.char(code), code, i + 2 + size
  end
  local octal = s:match("^[0-7][0-7][0-7]", i + 1)
  local value = octal and tonumber(octal, 8)
  if not value or value > 255 then return nil end
  return string.char(value), value, i + 4
end

--- Reads a text in double quotes.
---@param s string   with its quotes
---@return string? text
---@return string? problem
function M.unquote(s)
  local body = s:sub(2, -2)
  if not body:find("\\", 1, true) then return body end
  local out, n, i = {}, 0, 1
  while true do
    local at = body:find("\\", i, true)
    n = n + 1
    out[n] = body:sub(i, (at or 0) - 1)
    if not at then return table.concat(out) end
    local text, _, after = escape_at(body, at, '"')
    if not text then return nil, "invalid syntax in string constant " .. s end
    n = n + 1
    out[n], i = text, after
  end
end

--- Reads a character constant.
---@param s string   with its quotes
---@return integer? code
function M.unquote_char(s)
  local body = s:sub(2, -2)
  if body == "" then return nil end
  local code, after
  if body:byte() == 92 then
    local _
    _, code, after = escape_at(body, 1, "'")
  else
    code, after = unicode.decode(body, 1)
  end
  if not code or after ~= #body + 1 then return nil end
  return code
end

return M
