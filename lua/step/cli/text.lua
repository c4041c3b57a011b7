--- Texts as people read them: on one line, as wide as there is room, times in words.

local M = {}

--- A text on one line with nothing in it that a terminal would obey.
---@param text string
---@return string
function M.clean(text)
  if not utf8.len(text) then text = text:gsub("[\x80-\xFF]", "?") end
  text = text:gsub("\xC2[\x80-\x9F]", "?") -- control characters of the upper half
  return (text:gsub("[\n\t\r ]*[\n\r][\n\t\r ]*", " "):gsub("\t", " "):gsub("%c", function(c) return ("\\x%02x"):format(c:byte()) end))
end

-- First and last of the code points that take two columns, roughly: Hangul, CJK, full width forms, pictures.
local WIDE = {
  { 0x1100, 0x115F }, { 0x2E80, 0x303E }, { 0x3041, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F },
  { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1FAFF }, { 0x20000, 0x3FFFD },
}

local function columns(code)
  if code < 0x300 then return 1 end
  if code <= 0x36F or (code >= 0x200B and code <= 0x200F) or (code >= 0xFE00 and code <= 0xFE0F) then return 0 end
  for _, range in ipairs(WIDE) do
    if code >= range[1] and code <= range[2] then return 2 end
  end
  return 1
end

--- How many columns a text takes. The text is UTF-8.
---@param text string
---@return integer
function M.width(text)
  if not text:find "[\x80-\xFF]" then return #text end
  local n = 0
  for _, code in utf8.codes(text) do n = n + columns(code) end
  return n
end

--- A text cut to a number of columns; a cut one ends in the mark.
---@param text string
---@param room integer
---@param mark? string   default "..."
---@return string
function M.cut(text, room, mark)
  if M.width(text) <= room then return text end
  mark = mark or "..."
  local left = room - M.width(mark)
  if left < 0 then return "" end
  local n = 0
  for place, code in utf8.codes(text) do
    n = n + columns(code)
    if n > left then return text:sub(1, place - 1) .. mark end
  end
  return text
end

--- A text cut in its middle: of long names it is the end that tells them apart.
---@param text string
---@param room integer
---@param mark? string   default "..."
---@return string
function M.shorten(text, room, mark)
  if M.width(text) <= room then return text end
  mark = mark or "..."
  local tail, n = #text + 1, 0
  for place in utf8.codes(text) do
    if M.width(text:sub(place)) <= room // 3 then
      tail, n = place, M.width(text:sub(place))
      break
    end
  end
  return M.cut(text, room - n, mark) .. text:sub(tail)
end

--- A text padded with blanks to a number of columns.
---@param text string
---@param room integer
---@param right? boolean   the text stands on the right
---@return string
function M.pad(text, room, right)
  local blanks = (" "):rep(room - M.width(text))
  return right and blanks .. text or text .. blanks
end

--- A time span: 0.123s, 4.5s, 1m05s, 2h10m.
---@param seconds number
---@return string
function M.duration(seconds)
  if seconds < 0 then seconds = 0 end
  if seconds < 1 then return ("%.3fs"):format(seconds) end
  if seconds < 60 then return ("%.1fs"):format(seconds) end
  local whole = math.floor(seconds)
  if whole < 3600 then return ("%dm%02ds"):format(whole // 60, whole % 60) end
  return ("%dh%02dm"):format(whole // 3600, whole % 3600 // 60)
end

--- "1 step", "2 steps".
---@param n integer
---@param noun string
---@return string
function M.count(n, noun)
  return ("%d %s%s"):format(n, noun, n == 1 and "" or "s")
end

return M
