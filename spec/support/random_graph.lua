--- Random cases (see scripted.lua): a seed and a profile always give the same one.
--
-- The definitions are valid (S2.1, S3.6, S8, D10, D16, D23) and their plays end: a RETRY_NOW is given by a test that stops
-- holding, or to a step with few tries.

local null = require "cjson".null

local M = {}

-- Random numbers ------------------------------------------------------------------------------------------------------

local Random = {}
Random.__index = Random

--- A generator of its own (xorshift64*), independent of math.random.
---@param seed integer
function M.random(seed)
  local r = setmetatable({ state = (seed * 0x9E3779B97F4A7C15) ~ 0x2545F4914F6CDD1D }, Random)
  if r.state == 0 then r.state = 1 end
  for _ = 1, 4 do r:next() end
  return r
end

function Random:next()
  local x = self.state
  x = x ~ (x >> 12)
  x = x ~ (x << 25)
  x = x ~ (x >> 27)
  self.state = x
  return (x * 0x2545F4914F6CDD1D) >> 33
end

--- low <= n <= high
function Random:int(low, high)
  return low + self:next() % (high - low + 1)
end

function Random:chance(percent)
  return self:next() % 100 < percent
end

function Random:pick(list)
  return list[self:int(1, #list)]
end

function Random:shuffle(list)
  for i = #list, 2, -1 do
    local j = self:int(1, i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

-- Profiles: percentages ------------------------------------------------------------------------------------------------

local PROFILES = {
  graph = { fail = 8, custom = 35, check = 15, skip = 15, target = 10, foreach = 0, any = 30, meta = 5 },
  conditions = { fail = 15, custom = 45, check = 55, skip = 30, target = 50, foreach = 0, any = 20, throws = 10, now = 15 },
  foreach = { fail = 16, custom = 25, check = 30, skip = 22, target = 35, foreach = 45, any = 15, throws = 4, now = 12, meta = 20 },
  retries = { fail = 35, custom = 15, check = 25, skip = 15, target = 30, foreach = 10, any = 15, throws = 12, now = 35, retries = 50,
    auto = 55 },
  recovery = { fail = 20, custom = 25, check = 20, skip = 10, target = 20, foreach = 25, any = 20, throws = 6, now = 8, retries = 20,
    auto = 15, crash = 55, set = 45 },
  everything = { fail = 15, custom = 30, check = 35, skip = 20, target = 35, foreach = 25, any = 20, throws = 6, now = 18,
    retries = 25, auto = 25, crash = 12, set = 12, meta = 8 },
  cleanup = { fail = 22, custom = 25, check = 25, skip = 12, target = 35, foreach = 25, any = 15, throws = 6, now = 15, retries = 20,
    auto = 15, crash = 12, set = 15, always = 40, cancel = 30, stops = 12 },
}

--- The names of the profiles, in order.
M.profiles = { "graph", "conditions", "foreach", "retries", "recovery", "everything", "cleanup" }

-- Shapes: which earlier steps (by rank) a step of rank i depends on -----------------------------------------------------

local SHAPES = {}

function SHAPES.chain(_, i)
  return i > 1 and { i - 1 } or {}
end

function SHAPES.sparse(r, i)
  return i > 1 and r:chance(70) and { r:int(1, i - 1) } or {}
end

function SHAPES.fan(r, i)
  return i > 1 and { r:chance(85) and 1 or r:int(1, i - 1) } or {}
end

-- 1 <- 2,3 <- 4 <- 5,6 <- 7 ...
function SHAPES.diamond(_, i)
  local place = (i - 1) % 3
  if i == 1 then return {} end
  if place == 1 then return { i - 1 } end
  if place == 2 then return { i - 2 } end
  return { i - 1, i - 2 }
end

function SHAPES.layers(r, i, width)
  local layer = (i - 1) // width
  if layer == 0 then return {} end
  local before = {}
  for k = 1, width do before[k] = (layer - 1) * width + k end
  r:shuffle(before)
  local chosen = {}
  for k = 1, math.min(width, r:int(1, 3)) do chosen[k] = before[k] end
  return chosen
end

function SHAPES.dense(r, i)
  local chosen = {}
  for k = 1, i - 1 do
    if r:chance(45) then chosen[#chosen + 1] = k end
  end
  return chosen
end

local SHAPE_NAMES = { "chain", "sparse", "sparse", "fan", "diamond", "diamond", "layers", "layers", "dense" }

-- Steps ---------------------------------------------------------------------------------------------------------------

local CUSTOM = { "X", "Y", "Z" }
local FAILURES = { "server", "server", "notprovisioned", "waiting", "client" }
local RETRY_COUNTS = { 0, 1, 1, 2, 3, -1 }
local PATTERNS = { "seconds", "minutes", "hours" }
local ITEMS = { "p", "q", 7, null, true, 2.5 }

local Builder = {}
Builder.__index = Builder

local function dependency_text(b, target)
  local r = b.r
  if r:chance(b.p.any or 0) then return target.name .. ":ANY" end
  if #target.custom_states == 0 then return r:chance(85) and target.name or target.name .. ":DONE" end
  if r:chance(35) then return target.name end
  local states = { "DONE", table.unpack(target.custom_states) }
  r:shuffle(states)
  return target.name .. ":" .. table.concat(states, ",", 1, r:int(1, #states))
end

function Builder:calls(name)
  local r, calls = self.r, {}
  if self.p.stops and r:chance(self.p.stops) then return { { "cancel" } } end
  if not r:chance(self.p.fail or 0) then return nil end
  for _ = 1, r:chance(70) and r:int(1, 2) or r:int(3, 5) do
    local kind = r:chance(15) and "ok" or r:pick(FAILURES)
    calls[#calls + 1] = { kind, kind .. " of " .. name, r:chance(40) or nil }
    calls[#calls].output, calls[#calls][3] = calls[#calls][3], nil
  end
  return calls
end

function Builder:script(s)
  local r = self.r
  if not r:chance(self.p.foreach or 0) then
    s.calls = self:calls(s.name)
    return
  end
  local items = r:shuffle { table.unpack(ITEMS) }
  s.items = { table.unpack(items, 1, r:int(0, 4)) }
  s.item_calls = {}
  for i in ipairs(s.items) do s.item_calls[i] = self:calls(("%s-%d"):format(s.name, i - 1)) or {} end
  s.foreach_strategy = r:chance(45) and "sequence" or r:chance(30) and "parallel" or nil
  if r:chance(25) then s.max_concurrent = r:int(1, 3) end
  if r:chance(35) then s.tolerate = r:pick { 0, 1, 1, 2, 10, "25%", "50%", "100%" } end
  if r:chance(self.p.throws or 0) then s.expansions = { r:pick { "throws", "not_list" } } end
end

-- A retry policy. Without a jitter: that is the engine's own.
function Builder:retry(s)
  local r, retry = self.r, {}
  if r:chance(60) then retry.initial = r:pick { 1, 5, 60 } end
  if r:chance(60) then retry.factor = r:pick { 1, 1.5, 2 } end
  if r:chance(40) then retry.cap = r:pick { 60, 90, 1000 } end
  if not s.max_retries and r:chance(40) then retry.max = r:pick(RETRY_COUNTS) end
  if r:chance(40) then retry.when = r:pick { { "SERVER_ERROR" }, { "TO_RETRY" }, { "SERVER_ERROR", "TO_RETRY" } } end
  if next(retry) == nil then retry.factor = 2 end
  return retry
end

function Builder:add_step(index)
  local r, p = self.r, self.p
  local s = { name = self.names[index], custom_states = {}, dependencies = {}, conditions = {} }
  if r:chance(p.custom or 0) then
    for i = 1, r:int(1, 2) do s.custom_states[i] = CUSTOM[i + r:int(0, 1)] end
    if s.custom_states[1] == s.custom_states[2] then s.custom_states[2] = nil end
  end
  if r:chance(p.retries or 5) then s.max_retries = r:pick(RETRY_COUNTS) end
  if r:chance(p.retries or 3) then
    if r:chance(60) then s.retry_pattern = r:pick(PATTERNS) else s.retry = self:retry(s) end
  end
  if r:chance(40) then s.idempotent = true end
  if p.always and r:chance(p.always) then s.always = true end
  if r:chance(p.meta or 0) then s.metadata = true end
  self:script(s)
  return s
end

-- Everything before and after a step, by name: what S3.6 lets a condition name.
local function relatives(steps, by_name, s)
  local list, seen = {}, { [s.name] = true }
  local function before(x)
    for name in pairs(x.targets) do
      if not seen[name] then
        seen[name] = true
        list[#list + 1] = name
        before(by_name[name])
      end
    end
  end
  before(s)
  local function after(x)
    for _, other in ipairs(steps) do
      if other.targets[x.name] and not seen[other.name] then
        seen[other.name] = true
        list[#list + 1] = other.name
        after(other)
      end
    end
  end
  after(s)
  table.sort(list)
  return list
end

-- Conditions ----------------------------------------------------------------------------------------------------------

function Builder:test(s)
  local r = self.r
  local roll = r:int(1, 100)
  if roll <= 30 then return { "first", r:int(1, 3) } end
  if roll <= 45 then return { "always" } end
  if roll <= 50 then return { "never" } end
  if roll <= 58 then return { "try_at_least", r:int(1, 3) } end
  if roll <= 66 then return { "try_at_most", r:int(0, 2) } end
  if roll <= 72 then return { "state_is", r:pick { "DONE", "CLIENT_ERROR", "RUNNING", s.custom_states[1] or "PRUNE" } } end
  if roll <= 76 then return { "has_error" } end
  local other = r:pick(self.steps)
  if roll <= 86 then
    return { "other_state", other.name, r:pick { "DONE", "TODO", "PRUNE", "EXPANDED", "SERVER_ERROR", other.custom_states[1] or "X" } }
  end
  if roll <= 90 then return { "not", { "other_called", other.name, r:int(1, 2) } } end
  if roll <= 94 then return other.items and { "children_at_least", other.name, r:int(1, 3) } or { "other_called", other.name, 1 } end
  return s.items and #s.items > 0 and { "item_is", r:pick(s.items) } or { "not", { "has_error" } }
end

local STATES = { "DONE", "DONE", "PRUNE", "PRUNE", "TO_RETRY", "CLIENT_ERROR", "FATAL_ERROR" }

-- A state for a step, and the test that goes with it.
function Builder:state(target, kind, test)
  local r = self.r
  if kind == "check" and r:chance(self.p.now or 0) then
    local few = target.max_retries and target.max_retries >= 0 and not target.items
    return "RETRY_NOW", not (few and r:chance(30)) and { "first", r:int(1, 3) } or test
  end
  if #target.custom_states > 0 and r:chance(55) then return r:pick(target.custom_states), test end
  local state = target.items and r:chance(25) and "TO_RETRY" or r:pick(STATES)
  if state == "CLIENT_ERROR" or state == "FATAL_ERROR" then
    if r:chance(60) then state = "DONE" end
  end
  if state == "TO_RETRY" and r:chance(70) then test = { "first", r:int(1, 2) } end
  return state, test
end

function Builder:condition(s, kind)
  local r, p = self.r, self.p
  local test = self:test(s)
  local condition = { type = kind, ["then"] = {}, final = r:chance(12) or nil }
  local targets = condition["then"]
  if kind == "skip" or not r:chance(p.target or 0) or r:chance(40) then
    targets.this, test = self:state(s, kind, test)
  end
  if next(targets) == nil or r:chance(p.target // 2) then
    local others = s.relatives
    if s.items then others = { s.name, s.name, table.unpack(others) } end
    for _ = 1, #others > 0 and (r:chance(75) and 1 or 2) or 0 do
      local name = r:pick(others)
      targets[name], test = self:state(self.by_name[name], kind, test)
    end
  end
  if next(targets) == nil then targets.this, test = self:state(s, kind, test) end
  -- the test of one RETRY_NOW must not be taken away by another target
  for name, state in pairs(targets) do
    local target = name == "this" and s or self.by_name[name]
    if state == "RETRY_NOW" and not (target.max_retries and target.max_retries >= 0 and not target.items) then
      test = test[1] == "first" and test or { "first", 2 }
    end
  end
  if kind == "skip" and s.items and r:chance(45) then condition.foreach = r:chance(80) and "parent" or "children" end
  if kind == "check" and r:chance(25) then
    condition.states = r:shuffle { "DONE", "CLIENT_ERROR", "SERVER_ERROR", "FATAL_ERROR" }
    for i = 4, r:int(2, 4), -1 do condition.states[i] = nil end
  end
  if r:chance(p.throws or 0) then
    local text = "no answer for " .. s.name
    test = r:chance(85) and { "throws_first", r:int(1, 2), text, test } or { "throws", text }
  end
  if r:chance(75) then condition.message = ("%s %d of %s"):format(kind, #s.conditions + 1, s.name) end
  condition["if"] = test
  s.conditions[#s.conditions + 1] = condition
end

function Builder:conditions(s)
  local r = self.r
  for _, kind in ipairs { "skip", "check", "check" } do
    if r:chance(self.p[kind] or 0) then self:condition(s, kind) end
  end
  if #s.conditions > 0 and r:chance(25) then self:condition(s, r:pick { "skip", "check" }) end
end

-- Plan ----------------------------------------------------------------------------------------------------------------

function Builder:plan()
  local r, p, plan = self.r, self.p, {}
  local resolves = r:chance(35) and 1 or r:int(2, 5)
  for i = 1, resolves do
    if r:chance((p.crash or 0) // (i == 1 and 4 or 1)) then
      local names = {}
      for _ = 1, r:int(0, 3) do
        local s = r:pick(self.steps)
        names[#names + 1] = s.items and ("%s-%d"):format(s.name, r:int(0, 2)) or s.name
      end
      plan[#plan + 1] = { "crash", names }
    end
    if r:chance((p.set or 0) // (i == 1 and 4 or 1)) then
      local s = r:pick(self.steps)
      local states = { "TODO", "DONE", "PRUNE", "TO_RETRY", "CLIENT_ERROR", table.unpack(s.custom_states) }
      if s.items then
        plan[#plan + 1] = { "set", ("%s-%d"):format(s.name, r:int(0, 2)), r:pick(states), "by hand" }
      else
        plan[#plan + 1] = { "set", s.name, r:pick(states), "by hand" }
      end
    end
    if p.cancel and r:chance(p.cancel) then plan[#plan + 1] = { "cancel" } end
    if i > 1 and r:chance(p.auto or 0) then
      plan[#plan + 1] = { "auto", r:pick { 0, 0, 1, 3, 100 } }
    else
      plan[#plan + 1] = { "resolve", r:pick { 0, 1, 10, 11, 100, 4000 } }
    end
  end
  return plan
end

-- Cases ---------------------------------------------------------------------------------------------------------------

local LETTERS = {}
for letter in ("abcdefghijklmnopqrstuvwxy"):gmatch "." do LETTERS[#LETTERS + 1] = letter end

local function size(r)
  local roll = r:int(1, 100)
  if roll <= 30 then return r:int(1, 5) end
  if roll <= 72 then return r:int(4, 10) end
  return roll <= 92 and r:int(8, 16) or r:int(16, 25)
end

--- A case of up to 25 steps.
---@param seed integer
---@param profile string   one of M.profiles
---@return table case
function M.case(seed, profile)
  local r = M.random(seed)
  local n = size(r)
  local b = setmetatable({ r = r, p = PROFILES[profile], names = LETTERS, steps = {}, by_name = {} }, Builder)
  for i = 1, n do
    b.steps[i] = b:add_step(i)
    b.by_name[b.steps[i].name] = b.steps[i]
  end
  -- the order of definition is not the order of the graph
  local ranked = { table.unpack(b.steps) }
  if not r:chance(25) then r:shuffle(ranked) end
  local shape, width = SHAPES[r:pick(SHAPE_NAMES)], r:int(2, 4)
  for i, s in ipairs(ranked) do
    s.targets = {}
    for _, before in ipairs(shape(r, i, width)) do
      local target = ranked[before]
      if not s.targets[target.name] then
        s.targets[target.name] = true
        s.dependencies[#s.dependencies + 1] = dependency_text(b, target)
      end
    end
  end
  for _, s in ipairs(b.steps) do s.relatives = relatives(b.steps, b.by_name, s) end
  for _, s in ipairs(b.steps) do b:conditions(s) end
  local plan = b:plan()
  for _, s in ipairs(b.steps) do s.targets, s.relatives = nil, nil end
  return {
    seed = seed, profile = profile, steps = b.steps, plan = plan, run_max = r:chance(12) and r:int(1, 3) or nil,
  }
end

return M
