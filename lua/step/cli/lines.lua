--- One line an event: how a run is shown where there is no terminal.

local look = require "step.cli.look"
local text = require "step.cli.text"

local M = {}

---@class step.cli.Lines
local Lines = {}
Lines.__index = Lines

local function name_of(event) return event.step and text.clean(event.step) or "run" end

--- A view of a run's progress.
---@param screen step.cli.Screen
---@param progress step.cli.Progress
---@param label? fun(event: table): string    what an event is about; default: the step, or "run"
---@return step.cli.Lines
function M.new(screen, progress, label)
  local widest = 4
  for i, row in ipairs(progress.rows) do
    if i > 1000 then break end
    widest = math.max(widest, math.min(text.width(text.clean(row.name)), 32))
  end
  return setmetatable({ screen = screen, progress = progress, widest = widest, label = label or name_of }, Lines)
end

--- Shows an event.
---@param event table
---@param row? step.cli.Row
function Lines:event(event, row)
  local screen, progress = self.screen, self.progress
  local style, sign = look.of(event.to, screen.unicode)
  local label = self.label(event)
  if self.label ~= name_of then self.widest = math.max(self.widest, math.min(text.width(label), 32)) end
  local parts = {
    text.pad(text.duration(event.time - (progress.began or event.time)), 8, true),
    screen:paint(sign, style),
    text.pad(label, self.widest),
    screen:paint(event.to, style),
  }
  if row and row.seconds then parts[#parts + 1] = "after " .. text.duration(row.seconds) end
  if row and row.order and event.to == "EXPANDED" then parts[#parts + 1] = "into " .. #row.order end
  if not event.step and progress.next_retry then
    parts[#parts + 1] = "next try in " .. text.duration(progress.next_retry - event.time)
  end
  if event.message and event.message ~= "" then parts[#parts + 1] = "- " .. text.clean(event.message) end
  screen.stream:write(table.concat(parts, "  "), "\n")
  if event.to == "RUNNING" or not event.step then screen.stream:flush() end -- what starts now may block
end

--- Lets what was written be seen before the next wait.
function Lines:tick() self.screen.stream:flush() end

function Lines:finish() self.screen.stream:flush() end

return M
