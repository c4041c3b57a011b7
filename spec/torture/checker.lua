-- Reads a store after the storm and says what the rules forbid. It knows the tables and the rules (S6.4 to S6.7, D26, D27), not
-- the engine: with SQL of its own it plays the events of every run back, and compares them with the rows of the steps, with the
-- effects that were left outside of the store and with what the plan says must come out.

local json = require "step.json"
local plan = require "spec.torture.plan"
local sqlite = require "step.sqlite"

local M = {}

local FINAL = { DONE = true, PRUNE = true, LEFT = true, ODD = true } -- S1.1: those of the plan
local HELD = { FATAL_ERROR = true, CLIENT_ERROR = true } -- runnable, but only a person has them run
local MOST_DEATHS, MOST_TAKEOVERS = 3, 100 -- D27

---@class torture.Check
---@field path string
---@field evidence torture.Evidence
---@field definitions torture.Definition[]
---@field keys? integer       so many keys must have a run
---@field tolerated? table<string, boolean>    codes of problems that are none
---@field running? boolean    workers are still at it: nothing need have ended

---@class torture.Checked
---@field violations string[]
---@field runs integer
---@field effects integer
---@field takeovers integer
---@field states table<string, integer>

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do if not same(value, b[key]) then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end

local function decoded(text) return text and assert(json.decode(text)) end

-- ---- one run ----

local Run = {}
Run.__index = Run

function Run:say(message, ...)
  local list = self.violations
  list[#list + 1] = ("run %s (%s of %s): %s"):format(self.row.id, tostring(self.row.key), self.row.name, message:format(...))
end

--- The plan's step of a step or a child, and whether it is a child.
local function spec_of(def, name)
  local spec = def.by_name[name]
  if spec then return spec, false end
  local parent = def.by_name[name:match "^(.*)%-%d+$" or ""]
  return parent, parent ~= nil
end

local function final(state) return FINAL[state] == true end

--- Whether all ancestors of a step are final (S2.2).
local function whole(states, spec)
  for _, dependency in ipairs(spec.dependencies) do
    if not final(states[dependency.step.name] or "TODO") or not whole(states, dependency.step) then return false end
  end
  return true
end

local function check_dependencies(self, spec, name, states)
  for _, dependency in ipairs(spec.dependencies) do
    local target, met = states[dependency.step.name] or "TODO", false
    if dependency.states[1] == "ANY" then
      met = final(target) and whole(states, dependency.step)
    else
      for _, state in ipairs(dependency.states) do met = met or state == target end
    end
    if not met then self:say("step %s became RUNNING while its dependency %s was %s", name, dependency.step.name, target) end
  end
  local index = tonumber(name:match "%-(%d+)$")
  if spec.sequence and index and index > 0 then
    local before = ("%s-%d"):format(spec.name, index - 1)
    if not final(states[before] or "TODO") then self:say("step %s became RUNNING before %s was final", name, before) end
  end
end

--- Plays the events back: they must be whole and fit together. Leaves the marks and deaths of each step.
local function play(self, events)
  local states, run_state = {}, "TODO"
  self.marks, self.deaths, self.states, self.released_marks = {}, {}, states, 0
  for i, event in ipairs(events) do
    if event.seq ~= i then
      self:say("event %d is missing or there twice", i)
      break
    end
    local name, from, to = event.step, event.from, event.to
    if not name then
      if from ~= run_state then self:say("event %d leaves the state %s, the run was %s", i, from, run_state) end
      if to == "CRASHED" or from == "RUNNING" and to == "BLOCKED_TOCHECK" then -- the latter: it has outlived too many workers (D27)
        for other, state in pairs(states) do
          if state == "RUNNING" then self.deaths[other] = (self.deaths[other] or 0) + 1 end
        end
      end
      if from == "BLOCKED_TOCHECK" then self.left_block = (self.left_block or 0) + 1 end
      run_state = to
    else
      local spec, is_child = spec_of(self.definition, name)
      if not spec then
        self:say("event %d is of a step %s, which is none of the definition's", i, name)
      else
        local before = states[name] or "TODO"
        if from ~= before then self:say("event %d: step %s leaves the state %s, it was %s", i, name, from, before) end
        if to == "RUNNING" then
          if final(before) then self:say("step %s was %s and ran again (event %d)", name, before, i) end
          if (HELD[before] or before == "CRASHED") and #self.released == 0 then
            self:say("step %s was %s and ran again without a person (event %d)", name, before, i)
          end
          if run_state ~= "RUNNING" then self:say("step %s became RUNNING while the run was %s (event %d)", name, run_state, i) end
          check_dependencies(self, spec, name, states)
          self.marks[name] = self.marks[name] or {}
          table.insert(self.marks[name], event.time)
        elseif before == "RUNNING" and to == "TODO" then
          if not spec.idempotent then self:say("step %s is not idempotent and was made TODO after a crash (event %d)", name, i) end
          if (self.deaths[name] or 0) >= MOST_DEATHS then
            self:say("step %s was RUNNING at %d deaths and was made TODO (event %d)", name, self.deaths[name], i)
          end
        end
        states[name] = to
        if not is_child and before == "EXPANDED" and to ~= "EXPANDED" then
          for other in pairs(states) do
            local parent, child = spec_of(self.definition, other)
            if child and parent == spec then
              self.gone[other], states[other] = states[other], nil
            end
          end
        end
      end
    end
  end
  if run_state ~= self.row.state then self:say("its state is %s, by its events %s", self.row.state, run_state) end
end

--- What one step ended in, against the plan.
local function check_outcome(self, name, state, tries, output, outcome, spec)
  if final(state) or HELD[state] then
    local spent = state == "FATAL_ERROR" and outcome.state == "CLIENT_ERROR" and #self.released > 0 and spec.max_retries
      and tries > spec.max_retries -- a person asked for one more try than there was (S4.1)
    if spent then return end
    if state ~= outcome.state then
      self:say("step %s is %s, it must come to %s", name, state, outcome.state)
    elseif outcome.output and not same(output, outcome.output) then
      self:say("step %s has not the output that its action returned", name)
    end
  elseif state == "SERVER_ERROR" then
    if tries == 0 or plan.fate(spec, self.row.key, name, tries) ~= "server" then
      self:say("step %s is SERVER_ERROR after %d tries, which its action did not cause", name, tries)
    end
  elseif state == "CRASHED" then
    if spec.idempotent and (self.deaths[name] or 0) < MOST_DEATHS then
      self:say("step %s is idempotent and CRASHED after %d deaths", name, self.deaths[name] or 0)
    elseif (self.deaths[name] or 0) == 0 then
      self:say("step %s is CRASHED and nobody died", name)
    end
  elseif state == "RUNNING" then
    local worn = self.row.state == "BLOCKED_TOCHECK" and self.row.takeovers > MOST_TAKEOVERS -- whoever goes on with it sees to that
    if self.row.state ~= "RUNNING" and self.row.state ~= "CRASHED" and not worn then
      self:say("step %s is RUNNING, the run %s", name, self.row.state)
    end
  elseif state ~= "TODO" and state ~= "EXPANDED" then
    self:say("step %s is %s, which nothing in the plan makes it", name, state)
  end
end

local function check_children(self, name, list, outcome)
  if #list ~= #outcome.children then
    self:say("step %s has %d children in its result instead of %d", name, #list, #outcome.children)
    return
  end
  for i, child in ipairs(list) do
    local wanted = outcome.children[i]
    if child.index ~= i - 1 or child.state ~= wanted.state or not same(child.output, wanted.output) then
      self:say("child %d of step %s has another result than its action returned", i - 1, name)
    end
  end
end

--- Compares the rows of the steps with the events and with the plan.
local function check_steps(self, rows)
  local expected, seen, tags = plan.expect(self.definition, self.row.key), {}, decoded(self.row.tags)
  for _, row in ipairs(rows) do
    local spec, is_child = spec_of(self.definition, row.name)
    seen[row.name] = true
    if not spec or is_child ~= (row.child >= 0) then
      self:say("there is a row of a step %s, which is none of the definition's", row.name)
    else
      local by_events = self.states[row.name] or "TODO"
      if row.state ~= by_events then self:say("step %s is %s, by its events %s", row.name, row.state, by_events) end
      local outcome = expected[spec.name]
      if is_child then outcome = outcome.children and outcome.children[row.child + 1] end
      if not outcome then
        self:say("step %s is a child that must not be there", row.name)
      else
        check_outcome(self, row.name, row.state, row.tries, decoded(row.output), outcome, spec)
        if row.state == "DONE" and outcome.children then check_children(self, row.name, decoded(row.children) or {}, outcome) end
        if outcome.tag and final(row.state) and tags[row.name] ~= outcome.tag then self:say("the tag of step %s is lost", row.name) end
      end
    end
  end
  for name, state in pairs(self.states) do
    if state ~= "TODO" and not seen[name] then self:say("step %s is %s by its events and has no row", name, state) end
  end
end

--- Effects against marks: each effect needs a mark of its own that was there before it.
local function check_effects(self, effects)
  local attempts = {}
  for name, list in pairs(effects) do
    local spec = spec_of(self.definition, name)
    local marks = self.marks[name] or {}
    if not spec then
      self:say("there is an effect of a step %s, which is none of the definition's", name)
    else
      table.sort(list, function(a, b) return a.time < b.time end)
      for i, effect in ipairs(list) do
        if not marks[i] then
          self:say("effect %d of step %s has no mark: it became RUNNING %d times", i, name, #marks)
        elseif marks[i] > effect.time then
          self:say("effect %d of step %s was there %.3f s before its mark", i, name, marks[i] - effect.time)
        end
        local attempt = name .. "/" .. effect.attempt
        attempts[attempt] = (attempts[attempt] or 0) + 1
        if not spec.idempotent and attempts[attempt] > 1 + #self.released then
          self:say("attempt %d of step %s, which is not idempotent, had %d effects", effect.attempt, name, attempts[attempt])
        end
      end
    end
  end
  for name, marks in pairs(self.marks) do
    local state = self.states[name] or self.gone[name]
    if (state == "DONE" or state == "ODD") and (effects[name] == nil or #effects[name] == 0) then
      self:say("step %s is %s, was RUNNING %d times and had no effect", name, state, #marks)
    end
  end
end

--- Whether the run may be left as it is: it has ended, it is blocked for a reason, or it waits for a time.
local function check_end(self)
  local row, states, found = self.row, self.states, {}
  local open
  for _, spec in ipairs(self.definition.steps) do
    local state = states[spec.name] or "TODO"
    if not final(state) then open = open or spec.name end
  end
  for _, state in pairs(states) do found[state] = true end
  if row.state == "DONE" then
    if open then self:say("it is DONE, its step %s is %s", open, states[open] or "TODO") end
  elseif row.state == "BLOCKED_TOCHECK" then
    if not found.CRASHED and row.takeovers <= MOST_TAKEOVERS then self:say("it is BLOCKED_TOCHECK, and no step is CRASHED") end
  elseif row.state == "BLOCKED_FATAL" then
    if not found.FATAL_ERROR then self:say("it is BLOCKED_FATAL, and no step is FATAL_ERROR") end
  elseif row.state == "BLOCKED_BADREQUEST" then
    if not found.CLIENT_ERROR then self:say("it is BLOCKED_BADREQUEST, and no step is CLIENT_ERROR") end
  elseif not row.due then
    self:say("it is %s and nobody will ever go on with it", row.state)
  elseif not self.running then
    self:say("it is %s though all workers had nothing left to do", row.state)
  end
  if not self.running then
    if row.owner then self:say("it still has an owner") end
    if row.due and (row.state == "DONE" or row.state:find "^BLOCKED_") then self:say("it is %s and due", row.state) end
  end
end

-- ---- all of them ----

local function query(db, sql, ...)
  local rows, code, message = db:all(sql, ...)
  if not rows then error(("the checker cannot read: %s: %s"):format(code, message), 0) end
  return rows
end

local function group(list, field)
  local groups = {}
  for _, entry in ipairs(list) do
    local key = entry[field]
    groups[key] = groups[key] or {}
    table.insert(groups[key], entry)
  end
  return groups
end

local function check_run(checked, check, db, row, effects, released)
  local definition
  for _, def in ipairs(check.definitions) do
    if def.name == row.name then definition = def end
  end
  local self = setmetatable({ violations = checked.violations, row = row, definition = definition, released = released, gone = {},
    running = check.running }, Run)
  if not definition or plan.definition_of(check.definitions, row.key or "") ~= definition then
    self:say "nobody asked for it"
    return
  end
  play(self, query(db, "SELECT * FROM event WHERE run = ? ORDER BY seq", row.number))
  check_steps(self, query(db, "SELECT * FROM step WHERE run = ? ORDER BY step, child", row.number))
  check_effects(self, group(effects, "step"))
  check_end(self)
end

local function check_acknowledged(checked, check, rows)
  local by_key, by_id, acknowledged = {}, {}, {}
  for _, row in ipairs(rows) do
    if by_key[row.key] then checked.violations[#checked.violations + 1] = ("key %s has two runs"):format(row.key) end
    by_key[row.key], by_id[row.id] = row, row
  end
  local function say(message, ...) checked.violations[#checked.violations + 1] = message:format(...) end
  for _, entry in ipairs(check.evidence.acknowledged) do
    local row = by_key[entry.key]
    if not row then
      say("key %s was acknowledged with run %s and is lost", entry.key, entry.run)
    elseif row.id ~= entry.run then
      say("key %s was acknowledged with run %s and has run %s", entry.key, entry.run, row.id)
    end
    acknowledged[entry.key] = true
  end
  for i = 1, check.keys or 0 do
    local key = ("k%d"):format(i)
    if not acknowledged[key] then say("key %s was never acknowledged", key) end
  end
  for _, effect in ipairs(check.evidence.effect) do
    if not by_id[effect.run] then say("there is an effect of run %s, which the store does not have", effect.run) end
  end
end

--- Checks everything.
---@param check torture.Check
---@return torture.Checked
function M.check(check)
  local db <close> = assert(sqlite.open(check.path, 5))
  local checked = { violations = {}, runs = 0, effects = #check.evidence.effect, takeovers = 0, states = {} }
  local function say(message, ...) checked.violations[#checked.violations + 1] = message:format(...) end
  for _, row in ipairs(query(db, "PRAGMA integrity_check")) do
    if row.integrity_check ~= "ok" then say("integrity_check: %s", row.integrity_check) end
  end
  if #query(db, "PRAGMA foreign_key_check") > 0 then say "foreign_key_check: rows refer to what is not there" end
  local rows = query(db, "SELECT * FROM run ORDER BY number")
  local effects, released = group(check.evidence.effect, "run"), group(check.evidence.released, "run")
  for _, row in ipairs(rows) do
    checked.runs, checked.takeovers = checked.runs + 1, checked.takeovers + row.takeovers
    checked.states[row.state] = (checked.states[row.state] or 0) + 1
    check_run(checked, check, db, row, effects[row.id] or {}, released[row.id] or {})
  end
  check_acknowledged(checked, check, rows)
  for _, sql in ipairs { "SELECT count(*) AS n FROM step WHERE run NOT IN (SELECT number FROM run)",
    "SELECT count(*) AS n FROM event WHERE run NOT IN (SELECT number FROM run)" } do
    local n = query(db, sql)[1].n
    if n > 0 then say("%d rows are of no run", n) end
  end
  for _, problem in ipairs(check.evidence.problem) do
    if not (check.tolerated or {})[problem.code] then say("a worker had a problem: %s: %s", problem.code, problem.message) end
  end
  return checked
end

return M
