--- Text as Go sees it: UTF-8 with U+FFFD for what is not, the classes of runes, upper and lower case.
--
-- Case covers Latin, Greek, Cyrillic, Armenian and the fullwidth letters; the rest of Unicode has next to none. Classes are
-- exact for ASCII and Latin-1 and by ranges beyond.

local M = {}

local byte, char = string.byte, utf8.char

--- The rune at a byte position and the position behind it. An invalid byte is U+FFFD of width 1.
---@param s string
---@param i integer
---@return integer code
---@return integer next
local function decode(s, i)
  local b = byte(s, i)
  if b < 0x80 then return b, i + 1 end
  local c1 = byte(s, i + 1)
  if not c1 or c1 < 0x80 or c1 > 0xBF or b < 0xC2 or b > 0xF4 then return 0xFFFD, i + 1 end
  if b < 0xE0 then return (b & 0x1F) << 6 | c1 & 0x3F, i + 2 end
  local c2 = byte(s, i + 2)
  if not c2 or c2 < 0x80 or c2 > 0xBF then return 0xFFFD, i + 1 end
  if b < 0xF0 then
    local code = (b & 0x0F) << 12 | (c1 & 0x3F) << 6 | c2 & 0x3F
    if code < 0x800 or (code >= 0xD800 and code <= 0xDFFF) then return 0xFFFD, i + 1 end
    return code, i + 3
  end
  local c3 = byte(s, i + 3)
  if not c3 or c3 < 0x80 or c3 > 0xBF then return 0xFFFD, i + 1 end
  local code = (b & 0x07) << 18 | (c1 & 0x3F) << 12 | (c2 & 0x3F) << 6 | c3 & 0x3F
  if code < 0x10000 or code > 0x10FFFF then return 0xFFFD, i + 1 end
  return code, i + 4
end
M.decode = decode

--- The rune as UTF-8; what is no rune gives U+FFFD.
function M.char(code)
  if code < 0 or code > 0x10FFFF or (code >= 0xD800 and code <= 0xDFFF) then code = 0xFFFD end
  return char(code)
end

--- Iterates: byte position, rune, position behind it.
function M.runes(s)
  local i, n = 1, #s
  return function()
    if i > n then return nil end
    local start = i
    local code
    code, i = decode(s, i)
    return start, code, i
  end
end

--- The text with U+FFFD for every byte that is no UTF-8.
---@param s string
---@return string
function M.valid(s)
  if not s:find("[\128-\255]") or utf8.len(s) then return s end
  local out, n = {}, 0
  for _, code in M.runes(s) do
    n = n + 1
    out[n] = char(code)
  end
  return table.concat(out)
end

--- Number of runes.
function M.count(s)
  if not s:find("[\128-\255]") then return #s end
  local n = 0
  for _ in M.runes(s) do n = n + 1 end
  return n
end

--- All runes of a text, as integers.
---@return integer[]
function M.codes(s)
  local codes, n = {}, 0
  for _, code in M.runes(s) do
    n = n + 1
    codes[n] = code
  end
  return codes
end

--- The first n runes of a text.
function M.head(s, n)
  if n >= #s then return s end
  local i, size = 1, #s
  while n > 0 and i <= size do
    local _
    _, i = decode(s, i)
    n = n - 1
  end
  return s:sub(1, i - 1)
end

-- Case -------------------------------------------------------------------------------------------------------------------

local upper, lower = {}, {}

local function pair(u, l)
  lower[u] = l
  upper[l] = upper[l] or u
end

local function shifted(first, last, by)
  for u = first, last do pair(u, u + by) end
end

-- Alternating: upper case at first, first + 2, ...
local function alternating(first, last)
  for u = first, last, 2 do pair(u, u + 1) end
end

shifted(0x41, 0x5A, 32)
shifted(0xC0, 0xD6, 32)
shifted(0xD8, 0xDE, 32)
alternating(0x100, 0x12E)
alternating(0x132, 0x136)
alternating(0x139, 0x147)
alternating(0x14A, 0x176)
pair(0x178, 0xFF)
alternating(0x179, 0x17D)
alternating(0x1CD, 0x1DB)
alternating(0x1DE, 0x1EE)
alternating(0x1F8, 0x21E)
alternating(0x222, 0x232)
pair(0x386, 0x3AC)
shifted(0x388, 0x38A, 37)
pair(0x38C, 0x3CC)
shifted(0x38E, 0x38F, 63)
shifted(0x391, 0x3A1, 32)
shifted(0x3A3, 0x3AB, 32)
shifted(0x400, 0x40F, 80)
shifted(0x410, 0x42F, 32)
alternating(0x460, 0x480)
alternating(0x48A, 0x4BE)
alternating(0x4C1, 0x4CD)
alternating(0x4D0, 0x52E)
shifted(0x531, 0x556, 48)
alternating(0x1E00, 0x1E94)
alternating(0x1EA0, 0x1EFE)
pair(0x1E9E, 0xDF)
upper[0xDF] = nil -- Go's ToUpper keeps the sharp s
shifted(0xFF21, 0xFF3A, 32)
upper[0x131], upper[0x17F], upper[0x3C2] = 0x49, 0x53, 0x3A3
upper[0xB5] = 0x39C
lower[0x130] = 0x69

function M.to_upper(code) return upper[code] or code end
function M.to_lower(code) return lower[code] or code end
function M.is_upper(code) return lower[code] ~= nil end

local function mapped(s, map, ascii)
  if not s:find("[\128-\255]") then return ascii(s) end
  local out, n = {}, 0
  for _, code in M.runes(s) do
    n = n + 1
    out[n] = char(map[code] or code)
  end
  return table.concat(out)
end

function M.upper(s) return mapped(s, upper, string.upper) end
function M.lower(s) return mapped(s, lower, string.lower) end

-- Classes ----------------------------------------------------------------------------------------------------------------

local spaces = { [0x85] = true, [0xA0] = true, [0x1680] = true, [0x2028] = true, [0x2029] = true, [0x202F] = true, [0x205F] = true,
  [0x3000] = true }

function M.is_space(code)
  if code < 0x80 then return code == 32 or (code >= 9 and code <= 13) end
  return spaces[code] or (code >= 0x2000 and code <= 0x200A)
end

function M.is_digit(code)
  if code < 0x80 then return code >= 48 and code <= 57 end
  return (code >= 0x660 and code <= 0x669) or (code >= 0x6F0 and code <= 0x6F9) or (code >= 0x966 and code <= 0x96F)
    or (code >= 0xFF10 and code <= 0xFF19)
end

function M.is_letter(code)
  if code < 0x80 then return (code >= 65 and code <= 90) or (code >= 97 and code <= 122) end
  if code < 0x100 then return code == 0xAA or code == 0xB5 or code == 0xBA or (code >= 0xC0 and code ~= 0xD7 and code ~= 0xF7) end
  if code >= 0x2000 and code <= 0x2BFF then return code == 0x2071 or code == 0x207F or (code >= 0x2090 and code <= 0x209C)
    or code == 0x2102 or code == 0x2126 or (code >= 0x212A and code <= 0x212D) end
  if code >= 0x2E00 and code <= 0x3004 then return false end
  if code >= 0xD800 and code <= 0xF8FF then return false end
  if code >= 0x1F000 and code <= 0x1FAFF then return false end
  if code == 0xFFFD or code == 0xFEFF then return false end
  if M.is_digit(code) or M.is_space(code) then return false end
  return not (code >= 0x2B0 and code <= 0x36F and code > 0x2C1) and not (code >= 0xFE00 and code <= 0xFE0F)
end

--- Whether strconv.Quote leaves the rune as it is.
function M.is_print(code)
  if code < 0x7F then return code >= 32 end
  if code < 0xA1 or code == 0xAD then return false end
  if code < 0x300 then return true end
  if M.is_space(code) then return false end
  if code >= 0x200B and code <= 0x200F then return false end
  if code >= 0x202A and code <= 0x202E then return false end
  if code >= 0x2060 and code <= 0x206F then return false end
  if code >= 0xD800 and code <= 0xF8FF then return false end
  if code == 0xFEFF or (code >= 0xFFF0 and code <= 0xFFFB) or code & 0xFFFE == 0xFFFE then return false end
  return code <= 0xE0000
end

return M
