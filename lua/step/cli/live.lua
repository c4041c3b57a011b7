--- The live table: a row for each step, redrawn in place while the run goes on.

local look = require "step.cli.look"
local text = require "step.cli.text"

local M = {
  interval = 0.1,     -- seconds between redraws that time alone asks for
  burst = 20,         -- redraws in a row that the start of actions may ask for, and as many a second
  last_rows = 200,    -- rows that the finished table has at most
}

---@class step.cli.Live
local Live = {}
Live.__index = Live

--- A view of a run's progress.
---@param screen step.cli.Screen
---@param progress step.cli.Progress
---@return step.cli.Live
function M.new(screen, progress)
  return setmetatable({ screen = screen, progress = progress, drawn = 0, credit = M.burst, at = -math.huge, credited = progress.now }, Live)
end

local URGENCY = { trouble = 1, active = 2, open = 4, ended = 5 }

--- The rows to show, children below their parents, no more than there is room for: what runs and what is in trouble first, then
-- what comes next, then what ended last. In the order of the definition.
local function visible(progress, room)
  local all = {}
  for _, row in ipairs(progress.rows) do
    all[#all + 1] = row
    for _, child in ipairs(row.order or {}) do all[#all + 1] = child end
  end
  if #all <= room then return all, {} end
  local taken, left = {}, room
  for urgency = 1, 5 do
    local first, last, by = 1, #all, 1
    if urgency == URGENCY.ended then first, last, by = #all, 1, -1 end
    for i = first, last, by do
      local kind = URGENCY[look.kind(all[i].state)]
      if kind == urgency and left > 0 then
        taken[i] = true
        left = left - 1
      end
    end
  end
  local rows, hidden = {}, {}
  for i, row in ipairs(all) do
    if taken[i] then rows[#rows + 1] = row else hidden[row.state] = (hidden[row.state] or 0) + 1 end
  end
  return rows, hidden
end

local function note(progress, row, now)
  local parts = {}
  if row.order then
    parts[#parts + 1] = ("%d of %d"):format(row.ended, #row.order)
  elseif row.tries > 1 then
    parts[#parts + 1] = ("try %d"):format(row.tries)
  end
  if row.message then parts[#parts + 1] = text.clean(row.message) end
  if progress.next_retry and look.kind(row.state) == "trouble" then
    local left = progress.next_retry - now
    if left > 0 then table.insert(parts, 1, ("next try in %ds"):format(math.ceil(left))) end
  end
  return table.concat(parts, " - ")
end

local function bar(screen, fraction, columns)
  local full = math.floor(fraction * columns + 0.5)
  local on, off = "━", "─"
  if not screen.unicode then on, off = "#", "." end
  return screen:paint(on:rep(full), "green") .. screen:paint(off:rep(columns - full), "dim")
end

local function hidden_line(screen, hidden)
  local states = {}
  for state in pairs(hidden) do states[#states + 1] = state end
  if #states == 0 then return nil end
  table.sort(states)
  local parts, n = {}, 0
  for _, state in ipairs(states) do
    n = n + hidden[state]
    parts[#parts + 1] = ("%d %s"):format(hidden[state], state)
  end
  return screen:paint(("  and %d more: %s"):format(n, table.concat(parts, ", ")), "dim")
end

--- The lines of the table as it is now.
---@param now number
---@param room integer      rows at most
---@return string[]
function Live:lines(now, room)
  local screen, progress = self.screen, self.progress
  local columns = screen.size() - 1
  local rows, hidden = visible(progress, room)
  local name_width, state_width = 4, 7
  for _, row in ipairs(rows) do
    name_width = math.max(name_width, text.width(text.clean(row.name)) + (row.parent and 2 or 0))
    state_width = math.max(state_width, text.width(row.state))
  end
  name_width = math.max(math.min(name_width, math.max(columns * 2 // 5, 10), columns - 15 - state_width), 4)
  local mark = screen.unicode and "…" or "..."
  local lines = {}
  for _, row in ipairs(rows) do
    local style, sign = look.of(row.state, screen.unicode)
    local name = text.shorten((row.parent and "  " or "") .. text.clean(row.name), name_width, mark)
    local seconds = row.seconds or row.started and now - row.started
    local line = ("  %s %s  %s %s"):format(screen:paint(sign, style), text.pad(name, name_width),
      screen:paint(text.pad(row.state, state_width), style), text.pad(seconds and text.duration(seconds) or "", 8, true))
    local left = columns - (4 + name_width + 2 + state_width + 1 + 8) - 2
    local words = text.cut(note(progress, row, now), left, mark)
    if words ~= "" then line = line .. "  " .. screen:paint(words, look.kind(row.state) == "trouble" and style or "dim") end
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = hidden_line(screen, hidden)
  local ended, all = progress:ended()
  local style = look.of(progress.state, screen.unicode)
  local words = ("%d of %d  %s  %s"):format(ended, all, progress.state, text.duration(now - (progress.began or now)))
  local width = math.max(math.min(columns - text.width(words) - 4, 40), 5)
  words = words:gsub(progress.state, (screen:paint(progress.state, style):gsub("%%", "%%%%")), 1)
  lines[#lines + 1] = ("  %s  %s"):format(bar(screen, progress:fraction(), width), words)
  if self.words then lines[#lines + 1] = screen:paint("  " .. text.cut(self.words, columns - 2, mark), "yellow") end
  return lines
end

--- Shows words below the table until the run ends.
---@param words string
function Live:note(words)
  self.words, self.at = words, -math.huge
end

function Live:draw(now, room)
  local lines = self:lines(now, room)
  local out = { self.drawn > 0 and ("\27[%dA"):format(self.drawn) or "" }
  for _, line in ipairs(lines) do out[#out + 1] = "\r" .. line .. "\27[K\n" end
  out[#out + 1] = "\27[J"
  self.screen.stream:write(table.concat(out))
  self.screen.stream:flush()
  self.drawn, self.at = #lines, now
end

local function room_of(self)
  local _, lines = self.screen.size()
  return math.max(lines - 4, 3)
end

--- Shows an event: the start of an action at once, as it may block; all else waits for the next tick.
---@param event table
function Live:event(event)
  local now = event.time
  self.credit = math.min(M.burst, self.credit + (now - self.credited) * M.burst)
  self.credited = now
  if event.to ~= "RUNNING" or self.credit < 1 then return end
  self.credit = self.credit - 1
  self:draw(now, room_of(self))
end

--- Lets time be seen to pass.
---@param now number
function Live:tick(now)
  self.progress.now = math.max(self.progress.now, now)
  if now - self.at >= M.interval then self:draw(now, room_of(self)) end
end

--- The table as it ended, which may scroll.
---@param now number
function Live:finish(now)
  self.progress.now, self.words = now, nil
  self:draw(now, M.last_rows)
end

return M
