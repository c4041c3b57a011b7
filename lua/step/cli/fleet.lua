--- What is known of the runs that a worker carries on: a row for each, fed with their events. It has what the live table wants
--- (step.cli.progress): there the rows are a run's steps, here they are runs.

local look = require "step.cli.look"
local store = require "step.cli.store"

local M = {
  kept = 10, -- rows of runs that have ended
}

---@class step.cli.Fleet : step.cli.Progress
---@field package by_run table<string, step.cli.Row>
---@field package gone step.cli.Row[]    rows of runs that have ended, oldest first
---@field package done integer
local Fleet = {}
Fleet.__index = Fleet

---@param now number
---@return step.cli.Fleet
function M.new(now)
  return setmetatable({ rows = {}, by_run = {}, gone = {}, done = 0, all = 0, state = "RUNNING", began = now, now = now }, Fleet)
end

--- The row of a run.
local function row_of(self, run)
  local row = self.by_run[run.id]
  if row then return row end
  local name = ("%s %s"):format(run.definition.name, store.short(run.id))
  row = { name = name, state = run.state, tries = 0, steps = #run.definition, ended = 0 }
  for _, step in pairs(run.steps) do
    if look.kind(step.state) == "ended" then row.ended = row.ended + 1 end
  end
  self.by_run[run.id] = row
  self.rows[#self.rows + 1] = row
  self.all = self.all + 1
  return row
end

--- Drops the rows of runs that have ended, but the last ones.
local function forget(self)
  while #self.gone > M.kept do
    local old = table.remove(self.gone, 1)
    for i, row in ipairs(self.rows) do
      if row == old then
        table.remove(self.rows, i)
        break
      end
    end
  end
end

--- Takes note of an event of a run.
---@param event { run: step.Run, step?: string, from: string, to: string, message?: string, time: number }
---@return step.cli.Row
function Fleet:feed(event)
  self.now = math.max(self.now, event.time)
  local run = event.run
  local row = row_of(self, run)
  if event.step then
    if not run.core:find(event.step) or select(4, run.core:step(run.core:find(event.step))) then return row end -- a child
    row.ended = row.ended + (look.kind(event.to) == "ended" and 1 or 0) - (look.kind(event.from) == "ended" and 1 or 0)
    if event.to == "RUNNING" then row.latest = event.step end
    if look.kind(event.to) == "trouble" then row.trouble = ("%s %s: %s"):format(event.step, event.to, event.message or "") end
    row.message = ("%d of %d"):format(row.ended, row.steps) .. (row.latest and ", " .. row.latest or "")
    return row
  end
  row.state = event.to
  if event.to == "RUNNING" then
    row.started, row.seconds, row.trouble = event.time, nil, nil
  elseif row.started then
    row.seconds = event.time - row.started
    row.message = row.trouble or ("%d of %d"):format(row.ended, row.steps)
  end
  if event.to == "DONE" or event.to == "CANCELLED" then
    self.done = self.done + 1
    self.by_run[run.id] = nil
    self.gone[#self.gone + 1] = row
    forget(self)
  end
  return row
end

--- How many runs have ended, of how many.
---@return integer ended
---@return integer all
function Fleet:ended() return self.done, self.all end

---@return number
function Fleet:fraction() return self.all == 0 and 0 or self.done / self.all end

return M
