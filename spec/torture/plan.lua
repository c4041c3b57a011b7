-- What torture runs: definitions drawn from a seed, and, worked out from the rules alone, what must come out of them. An action's
-- result depends on the run's key, the step and the attempt, on nothing else: whoever runs it, however often, gets the same.

local M = {}

--- FNV-1a, 32 bits.
---@param text string
---@return integer
local function digest(text)
  local hash = 2166136261
  for i = 1, #text do hash = ((hash ~ text:byte(i)) * 16777619) & 0xffffffff end
  return hash
end

--- A number from 0 to n - 1 that goes with words.
local function draw(n, ...) return (digest(table.concat({ ... }, "/")) >> 8) % n end

-- ---- definitions ----

---@class torture.Step
---@field name string
---@field dependencies { step: torture.Step, states: string[] }[]   states { "ANY" } or a list
---@field idempotent boolean
---@field items? integer        a foreach step of so many children
---@field sequence? boolean
---@field failing integer       attempts of a hundred that end in SERVER_ERROR
---@field client? boolean       some runs end it in CLIENT_ERROR
---@field max_retries? integer
---@field skip? boolean         some runs skip it: LEFT
---@field check? boolean        some results make it ODD
---@field sleep? boolean        its action takes time
---@field big? boolean          its output fills pages
---@field tagged? boolean       it returns a tag

---@class torture.Definition
---@field name string
---@field code boolean          actions are Lua functions
---@field steps torture.Step[]
---@field by_name table<string, torture.Step>

local function new_step(random, name, before, code)
  local step = { name = name, dependencies = {}, idempotent = random(100) <= 60, failing = ({ 0, 0, 0, 20, 50 })[random(5)] }
  for _ = 1, #before == 0 and 0 or random(0, 3) do
    local target, known = before[random(#before)], false
    for _, dependency in ipairs(step.dependencies) do known = known or dependency.step == target end
    if not known then
      local states = { "DONE" }
      if random(4) == 1 then states = { "ANY" } elseif target.check and random(2) == 1 then states = { "DONE", "ODD" } end
      table.insert(step.dependencies, { step = target, states = states })
    end
  end
  local kind = random(10)
  if kind <= 2 then
    step.items, step.sequence = random(0, 4), random(3) == 1
  elseif kind == 3 then
    step.skip = true
  elseif kind == 4 then
    step.check = true
  elseif kind == 5 and random(3) == 1 then
    step.client = true
  end
  if random(8) == 1 then step.max_retries = random(0, 2) end
  step.sleep = not code and random(4) == 1
  step.big = random(12) == 1
  step.tagged = not code and not step.items and random(6) == 1
  return step
end

local function new_definition(random, name)
  local def = { name = name, code = random(2) == 1, steps = {}, by_name = {} }
  local count = random(4) == 1 and random(10, 20) or random(3, 9)
  for i = 1, count do
    local step = new_step(random, ("s%d"):format(i), def.steps, def.code)
    def.steps[i], def.by_name[step.name] = step, step
  end
  return def
end

--- The definitions of a seed.
---@param seed integer
---@return torture.Definition[]
function M.new(seed)
  local state = seed
  local function random(low, high)
    if not high then low, high = 1, low end
    state = (state * 6364136223846793005 + 1442695040888963407) & math.maxinteger
    return low + (state >> 24) % (high - low + 1)
  end
  for _ = 1, 4 do random(2) end
  local list = {}
  for i = 1, 4 do list[i] = new_definition(random, ("d%d"):format(i)) end
  return list
end

--- Which of the definitions a key is for.
---@param definitions torture.Definition[]
---@param key string
---@return torture.Definition
function M.definition_of(definitions, key) return definitions[1 + draw(#definitions, key)] end

-- ---- actions ----

--- How an attempt ends.
---@param step torture.Step
---@param key string
---@param name string       the step's, or its child's
---@param attempt integer   from 1
---@return "done"|"server"|"bad_request"
function M.fate(step, key, name, attempt)
  if step.client and draw(4, key, name, "client") == 0 then return "bad_request" end
  return draw(100, key, name, attempt) < step.failing and "server" or "done"
end

--- The text that a step's output is made of.
function M.value(key, name) return ("%08x"):format(digest(key .. "/" .. name .. "/value")) end

--- Names of the dependencies whose value a step's output repeats: those that are there whenever it runs.
---@param step torture.Step
---@return string[]
function M.sources(step)
  local names = {}
  for _, dependency in ipairs(step.dependencies) do
    local target = dependency.step
    if dependency.states[1] == "DONE" and not target.items and not target.client then names[#names + 1] = target.name end
  end
  return names
end

--- The output of an attempt that ends well.
---@param step torture.Step
---@param key string
---@param name string
---@param seen table<string, string>   the values of its sources
function M.output(step, key, name, seen)
  local value = M.value(key, name)
  return { value = value, odd = draw(2, key, name, "odd") == 0 and "yes" or "no", seen = seen, pad = step.big and value:rep(700) or nil }
end

--- Steps that a run skips.
---@param def torture.Definition
---@param key string
---@return string[]
function M.left(def, key)
  local names = {}
  for _, step in ipairs(def.steps) do
    if step.skip and draw(2, key, step.name, "skip") == 0 then names[#names + 1] = step.name end
  end
  return names
end

-- ---- what must come out ----

---@class torture.Outcome
---@field state string      its last; nothing changes it without a person
---@field final boolean     it is final (S1.1); else descendants wait for ever
---@field whole boolean     it and all its ancestors are final (S2.2)
---@field output? table
---@field children? torture.Outcome[]
---@field tag? string

--- A step or a child, all of whose dependencies are met.
local function executed(step, key, name)
  local last = (step.max_retries or 10000) + 1
  for attempt = 1, last do
    local fate = M.fate(step, key, name, attempt)
    if fate == "bad_request" then return { state = "CLIENT_ERROR", final = false } end
    if fate == "done" then
      local seen = {}
      for _, source in ipairs(M.sources(step)) do seen[source] = M.value(key, source) end
      local output = M.output(step, key, name, seen)
      return { state = step.check and output.odd == "yes" and "ODD" or "DONE", final = true, output = output,
        tag = step.tagged and output.value or nil }
    end
  end
  return { state = "FATAL_ERROR", final = false }
end

local function accepts(dependency, outcome)
  if dependency.states[1] == "ANY" then return outcome.whole end
  for _, state in ipairs(dependency.states) do
    if state == outcome.state then return true end
  end
  return false
end

--- What becomes of each step of a run, by name, when nobody dies.
---@param def torture.Definition
---@param key string
---@return table<string, torture.Outcome>
function M.expect(def, key)
  local left, expected = {}, {}
  for _, name in ipairs(M.left(def, key)) do left[name] = true end
  for _, step in ipairs(def.steps) do -- each after its dependencies
    local pruned, met, whole = false, true, true
    for _, dependency in ipairs(step.dependencies) do
      local target = expected[dependency.step.name]
      local fits = accepts(dependency, target)
      if target.final and not fits and dependency.states[1] ~= "ANY" then pruned = true end
      met, whole = met and fits, whole and target.whole
    end
    local outcome
    if pruned then
      outcome = { state = "PRUNE", final = true }
    elseif not met then
      outcome = { state = "TODO", final = false }
    elseif left[step.name] then
      outcome = { state = "LEFT", final = true }
    elseif step.items then
      -- S5.4: a parent contracts when its ancestors are final as well
      outcome = { state = "DONE", final = whole or step.items == 0, children = {} }
      for i = 1, step.items do
        outcome.children[i] = executed(step, key, ("%s-%d"):format(step.name, i - 1))
        outcome.final = outcome.final and outcome.children[i].final
      end
      if not outcome.final then outcome.state = "EXPANDED" end
    else
      outcome = executed(step, key, step.name)
    end
    outcome.whole = outcome.final and whole
    expected[step.name] = outcome
  end
  return expected
end

return M
