--- The live table: a row for each step, redrawn in place while the run goes on.

local look = require "step.cli.look"
local text = require "step.cli.text"

local M = {
  interval = 0.1,     -- seconds between redraws that time alone asks for
  burst = 20,         -- redraws in a row that the start of actions may ask for, and as many a second
  share = 10,         -- a draw costs at most one part in so many of the time,
  cheap = 0.005,      -- unless it takes less than these seconds
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
  return setmetatable({
    screen = screen, progress = progress, cpu = os.clock,
    drawn = 0, cost = 0, at = -math.huge, credit = M.burst, credited = progress.now,
  }, Live)
end

local KINDS = { "trouble", "active", "open", "ended" } -- most urgent first

--- The rows to show, children below their parents, no more than there is room for: what is in trouble and what runs first, then
-- what comes next, then what ended last. In the order of the definition; and how many of each state are left out.
local function visible(progress, room)
  local kind_of = setmetatable({}, { __index = function(known, state)
    known[state] = look.kind(state)
    return known[state]
  end })
  local found, place, hidden = { trouble = {}, active = {}, open = {}, ended = {} }, {}, {}
  local n, ended = 0, 0
  local function meet(row)
    n = n + 1
    hidden[row.state] = (hidden[row.state] or 0) + 1
    local kind = kind_of[row.state]
    local list = found[kind]
    if kind == "ended" then -- the last ones: a ring
      list[ended % room + 1] = row
      ended = ended + 1
    elseif #list < room then
      list[#list + 1] = row
    else
      return
    end
    place[row] = n
  end
  for _, row in ipairs(progress.rows) do
    meet(row)
    if row.order then
      for _, child in ipairs(row.order) do meet(child) end
    end
  end
  local rows = {}
  for _, kind in ipairs(KINDS) do
    for k = 1, #found[kind] do
      if #rows == room then break end
      local row = found[kind][kind == "ended" and (ended - k) % room + 1 or k]
      rows[#rows + 1] = row
      hidden[row.state] = hidden[row.state] - 1
    end
  end
  table.sort(rows, function(one, other) return place[one] < place[other] end)
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
  for state, n in pairs(hidden) do
    if n > 0 then states[#states + 1] = state end
  end
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
  local began = self.cpu()
  local lines = self:lines(now, room)
  local out = { self.drawn > 0 and ("\27[%dA"):format(self.drawn) or "" }
  for _, line in ipairs(lines) do out[#out + 1] = "\r" .. line .. "\27[K\n" end
  out[#out + 1] = "\27[J"
  self.screen.stream:write(table.concat(out))
  self.screen.stream:flush()
  self.drawn, self.at, self.worked = #lines, now, self.cpu()
  self.cost = self.worked - began
end

--- Whether the last table, of very many steps, took so long that the next one has to wait.
function Live:busy(now)
  local rest = self.cost * M.share
  return self.cost > M.cheap and now - self.at < rest and self.cpu() - self.worked < rest
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
  if event.to ~= "RUNNING" or self.credit < 1 or self:busy(now) then return end
  self.credit = self.credit - 1
  self:draw(now, room_of(self))
end

--- Lets time be seen to pass.
---@param now number
function Live:tick(now)
  self.progress.now = math.max(self.progress.now, now)
  if now - self.at >= M.interval and not self:busy(now) then self:draw(now, room_of(self)) end
end

--- The table as it ended, which may scroll.
---@param now number
function Live:finish(now)
  self.progress.now, self.words = now, nil
  self:draw(now, M.last_rows)
end

return M
