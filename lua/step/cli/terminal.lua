--- The terminal: whether there is one, how large it is, what it can show.

local outside = require "step.outside"

local M = {}

local STREAMS = { [io.stdin] = 0, [io.stdout] = 1, [io.stderr] = 2 }

--- Whether a stream is a terminal.
---@param stream file*
---@return boolean
function M.is_terminal(stream)
  local number = STREAMS[stream]
  local found, uv = pcall(outside.luv)
  return number ~= nil and found and uv.guess_handle(number) == "tty"
end

local handle

--- Its columns and lines; nil when that cannot be told.
---@return integer? columns
---@return integer? lines
function M.size()
  local found, uv = pcall(outside.luv)
  if not found then return nil end
  if not handle then
    for _, number in ipairs { 1, 2 } do
      if uv.guess_handle(number) == "tty" then
        handle = uv.new_tty(number, false)
        break
      end
    end
  end
  if not handle then return nil end
  local columns, lines = handle:get_winsize()
  if type(columns) ~= "number" or columns <= 0 or type(lines) ~= "number" or lines <= 0 then return nil end
  return columns, lines
end

-- Select Graphic Rendition.
local CODES = { bold = "1", dim = "2", red = "31", green = "32", yellow = "33", blue = "34", magenta = "35", cyan = "36" }

---@class step.cli.Screen
---@field stream file*
---@field live boolean       a terminal on which the cursor can move
---@field colour boolean
---@field unicode boolean
---@field size fun(): integer, integer
local Screen = {}
Screen.__index = Screen

--- What can be shown on a stream.
---@param env step.cli.Environment
---@param stream file*
---@return step.cli.Screen
function M.screen(env, stream)
  local terminal = env.is_terminal(stream)
  local dumb = (env.getenv "TERM" or "") == "dumb"
  local no_color = env.getenv "NO_COLOR"
  local locale = env.getenv "LC_ALL"
  if locale == nil or locale == "" then locale = env.getenv "LC_CTYPE" end
  if locale == nil or locale == "" then locale = env.getenv "LANG" or "" end
  return setmetatable({
    stream = stream,
    live = terminal and not dumb,
    colour = terminal and not dumb and (no_color == nil or no_color == ""),
    unicode = locale:lower():find "utf%-?8" ~= nil,
    size = function()
      local columns, lines = env.size()
      return columns or tonumber(env.getenv "COLUMNS") or 80, lines or tonumber(env.getenv "LINES") or 24
    end,
  }, Screen)
end

--- A text in a colour, where there are colours.
---@param text string
---@param style? string   bold, dim, red, green, yellow, blue, magenta, cyan
---@return string
function Screen:paint(text, style)
  if not style or not self.colour or text == "" then return text end
  return ("\27[%sm%s\27[0m"):format(CODES[style], text)
end

return M
