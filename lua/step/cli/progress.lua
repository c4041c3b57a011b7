--- What is known of a run while it goes on: a row for each step, fed with the run's events.

local look = require "step.cli.look"

local M = {}

---@class step.cli.Row
---@field name string
---@field state string
---@field started? number     when its action, or its children, started
---@field seconds? number     how long it took, once it has ended
---@field message? string     why it is where it is
---@field tries integer       actions started
---@field parent? step.cli.Row
---@field children? table<string, step.cli.Row>   of a foreach step that is EXPANDED
---@field order? step.cli.Row[]                   the same in order
---@field ended? integer      how many of the children have ended

---@class step.cli.Progress
---@field rows step.cli.Row[]     the steps of the definition, in its order
---@field state string            the run's
---@field began? number           when the first resolve began
---@field next_retry? number      when it goes on, while it is in ERROR
---@field now number              the latest time known
---@field counts table<string, integer>   steps by state, children not counted
local Progress = {}
Progress.__index = Progress

--- A run as it is now.
---@param run step.Run
---@param now number
---@return step.cli.Progress
function M.new(run, now)
  local self = setmetatable({ run = run, rows = {}, by_name = {}, state = run.state, now = now, counts = {} }, Progress)
  for name, step in pairs(run.steps) do
    if #self.rows == #run.definition then break end -- children come last
    local row = { name = name, state = step.state, tries = 0 }
    self.rows[#self.rows + 1] = row
    self.by_name[name] = row
    self.counts[row.state] = (self.counts[row.state] or 0) + 1
  end
  for _, row in ipairs(self.rows) do
    if row.state == "EXPANDED" then
      self:expand(row)
      for _, child in ipairs(row.order) do
        child.state = run.steps[child.name].state
        if look.kind(child.state) == "ended" then row.ended = row.ended + 1 end
      end
    end
  end
  return self
end

--- The row of a step; that of a child is made when it is first heard of.
function Progress:row(name)
  local row = self.by_name[name]
  if row then return row end
  local parent = self.by_name[name:match "^(.*)%-%d+$" or ""] -- D16: no other step is called like that
  if not parent or not parent.children then return nil end
  row = parent.children[name]
  if not row then
    row = { name = name, state = "TODO", tries = 0, parent = parent }
    parent.children[name] = row
    parent.order[#parent.order + 1] = row
  end
  return row
end

--- Gives the row of a foreach step those of its children.
---@package
function Progress:expand(parent)
  parent.children, parent.order, parent.ended = {}, {}, 0
  for i = 0, math.huge do
    local name = ("%s-%d"):format(parent.name, i)
    if self.run.steps[name] == nil then break end
    self:row(name).state = "TODO"
  end
end

--- Takes note of an event of the run.
---@param event { step?: string, from: string, to: string, message?: string, time: number }
---@return step.cli.Row? row   of the step it is about
function Progress:feed(event)
  self.now = math.max(self.now, event.time)
  if not event.step then
    self.state = event.to
    if event.to == "RUNNING" then self.began = self.began or event.time end
    self.next_retry = event.to == "ERROR" and self.run.next_retry or nil
    return nil
  end
  local row = self:row(event.step)
  if not row then return nil end
  if row.parent then
    row.parent.ended = row.parent.ended + (look.kind(event.to) == "ended" and 1 or 0) - (look.kind(row.state) == "ended" and 1 or 0)
  else
    self.counts[row.state] = self.counts[row.state] - 1
    self.counts[event.to] = (self.counts[event.to] or 0) + 1
  end
  row.state = event.to
  row.message = event.message ~= "" and event.message or nil
  if event.to == "RUNNING" then
    row.started, row.seconds, row.tries = event.time, nil, row.tries + 1
  elseif event.to == "EXPANDED" then
    row.started, row.seconds = event.time, nil
    self:expand(row)
  elseif row.started and not row.seconds then
    row.seconds = event.time - row.started
  end
  if row.children and event.to ~= "EXPANDED" then row.children, row.order = nil, nil end
  return row
end

--- How many steps have ended, of how many.
---@return integer ended
---@return integer all
function Progress:ended()
  local n = 0
  for state, count in pairs(self.counts) do
    if look.kind(state) == "ended" then n = n + count end
  end
  return n, #self.rows
end

--- How far the run is, from 0 to 1: a foreach step counts by its children.
---@return number
function Progress:fraction()
  local n, all = self:ended()
  if all == 0 then return 1 end
  if (self.counts.EXPANDED or 0) > 0 then
    for _, row in ipairs(self.rows) do
      if row.order and #row.order > 0 then n = n + row.ended / #row.order end
    end
  end
  return n / all
end

return M
