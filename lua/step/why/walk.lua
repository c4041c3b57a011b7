--- Who waits for whom in a run as it is now: the dependencies that are not met, and what stands behind them.
--
-- Steps are numbers, as in step.core. A walk is made for one look at a run that does not change meanwhile; what it has found out
-- about a step it keeps, so that a look at everything before a step costs one visit of each.

local core = require "step.core"
local run_module = require "step.run"

local M = {}

---@class step.why.Need
---@field target integer
---@field states? string[]    any of them will do; nil: any final state, with all before it ended too (ANY)

---@class step.why.Walk
---@field run step.Run
---@field core userdata
---@field graph userdata
---@field final fun(state: string): boolean
---@field children table<integer, integer[]>    of the foreach steps that have theirs
---@field package needs table<integer, step.why.Need[]>
---@field package closed table<integer, boolean>
local Walk = {}
Walk.__index = Walk

---@param run step.Run
---@return step.why.Walk
function M.new(run)
  local c = run.core
  local self = setmetatable({
    run = run, core = c, graph = run.definition.graph, final = run_module.final_states(), children = {}, needs = {}, closed = {},
  }, Walk)
  for i = #self.graph + 1, c:top() do
    if c:exists(i) then
      local parent = self:parent(i)
      self.children[parent] = self.children[parent] or {}
      table.insert(self.children[parent], i)
    end
  end
  return self
end

function Walk:state(i) return (self.core:step(i)) end

function Walk:name(i) return self.core:name(i) end

--- The foreach step that a child belongs to.
---@return integer?
function Walk:parent(i) return (select(4, self.core:step(i))) end

--- The fields of the step, or of the foreach step that it is a child of; nil: it has nothing but its action.
---@return table?
function Walk:spec(i) return self.run.definition.specs[self:parent(i) or i] end

--- What a step needs. A child needs what its parent needs.
---@return step.why.Need[]
function Walk:dependencies(i)
  local owner = self:parent(i) or i
  local known = self.needs[owner]
  if known then return known end
  known = {}
  for k, text in ipairs(self.graph:dependencies(owner)) do
    local name, states = core.dependency_parts(text)
    known[k] = { target = self.graph:find(name), states = states[1] ~= "ANY" and states or nil }
  end
  self.needs[owner] = known
  return known
end

--- Whether a step and all before it are final (S2.2).
---@return boolean
function Walk:is_closed(start)
  local closed, path = self.closed, { start }
  while #path > 0 do
    local i = path[#path]
    local open, unknown = not self.final(self:state(i)), nil
    for _, need in ipairs(not open and self:dependencies(i) or {}) do
      if closed[need.target] == nil then unknown = need.target end
      open = open or closed[need.target] == false
    end
    if open or not unknown then
      closed[i] = not open
      path[#path] = nil
    else
      path[#path + 1] = unknown
    end
  end
  return closed[start]
end

---@param need step.why.Need
---@return boolean
function Walk:met(need)
  if not need.states then return self:is_closed(need.target) end
  local state = self:state(need.target)
  for _, accepted in ipairs(need.states) do
    if accepted == state then return true end
  end
  return false
end

--- Whether a dependency will not be met by itself: its target has ended, and otherwise.
---@param need step.why.Need
---@return boolean
function Walk:hopeless(need) return need.states ~= nil and self.final(self:state(need.target)) and not self:met(need) end

--- Whether a step holds nothing up any more: it is final, or a failed child that its foreach step accepts.
---@return boolean
function Walk:is_over(i) return self.final(self:state(i)) or self.core:tolerated(i) end

--- The child that has to end before this one, in a loop whose children go one after the other.
---@return integer?
function Walk:previous(i)
  local _, _, _, parent, index = self.core:step(i)
  if parent and index > 0 and self.run.definition.specs[parent].foreach_strategy == "sequence" then return i - 1 end
end

--- The children of a foreach step that have not ended.
---@return integer[]
function Walk:open_children(i)
  local open = {}
  for _, child in ipairs(self.children[i] or {}) do
    if not self:is_over(child) then open[#open + 1] = child end
  end
  return open
end

--- What a step waits for; and the dependencies that will not be met by themselves.
---@return integer[] steps
---@return step.why.Need[] hopeless
function Walk:blockers(i)
  local state, list, hopeless = self:state(i), {}, {}
  if state == "RUNNING" then return list, hopeless end
  -- Of an EXPANDED step all before it has to end, too (S5.4); a final one is asked for when that is needed further down (ANY).
  local whole = state == "EXPANDED" or self.final(state)
  for _, need in ipairs(self:dependencies(i)) do
    if whole then
      if not self:is_closed(need.target) then list[#list + 1] = need.target end
    elseif self:hopeless(need) then
      hopeless[#hopeless + 1] = need
    elseif not self:met(need) then
      list[#list + 1] = need.target
    end
  end
  if state == "EXPANDED" then
    local open = self:open_children(i)
    if #open > 0 then return open, hopeless end
  end
  local previous = self:previous(i)
  if previous and not self:is_over(previous) then list[#list + 1] = previous end
  return list, hopeless
end

--- The steps before a step that wait for no other, and the hopeless dependencies on the way, nearest first. `first` is the blocker
--- of the step itself that they stand behind.
---@param start integer
---@return { step: integer, need?: step.why.Need, first?: integer }[]
function Walk:roots(start)
  local queue, first, seen, roots, at = { start }, {}, { [start] = true }, {}, 0
  while at < #queue do
    at = at + 1
    local i = queue[at]
    local list, hopeless = self:blockers(i)
    for _, need in ipairs(hopeless) do roots[#roots + 1] = { step = i, need = need, first = first[i] } end
    for _, blocker in ipairs(list) do
      if not seen[blocker] then
        seen[blocker], first[blocker] = true, first[i] or blocker
        queue[#queue + 1] = blocker
      end
    end
    local state = self:state(i)
    local waits_only = state == "TODO" or state == "RETRY_NOW" or state == "EXPANDED" or self.final(state)
    if not waits_only or (#list == 0 and #hopeless == 0 and not self.final(state)) or (i == start and state == "EXPANDED") then
      roots[#roots + 1] = { step = i, first = first[i] }
    end
  end
  return roots
end

--- The dependency that has pruned a step; nil when it was none.
---@return step.why.Need?
function Walk:pruner(i)
  for _, need in ipairs(self:dependencies(i)) do
    if self:hopeless(need) then return need end
  end
end

return M
