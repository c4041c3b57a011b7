-- A process that works on a store until it is killed or nothing is left to do: starts runs, each key once however many try,
-- acknowledges them, carries on what is due, and has every action leave an effect outside of the store.

local evidence = require "spec.torture.evidence"
local plan = require "spec.torture.plan"
local process = require "spec.process"
local step = require "step"

local M = {}

---@class torture.Options
---@field path string          the store
---@field prepared table       see prepare
---@field seed integer         of this worker's own choices
---@field keys integer         runs are started with the keys k1 to k<keys>
---@field lease number         seconds of the clock
---@field scale number         the clock goes so much faster than time
---@field origin number        when it started to
---@field exclusive? boolean
---@field releases? boolean    sometimes releases what is BLOCKED_TOCHECK, as a person
---@field mutant? string       see mutants.lua

--- The file in which the workers of a store leave their evidence.
---@param path string
---@return string
function M.evidence(path) return path .. ".evidence" end

--- Removes a store, with its evidence.
---@param path string
function M.remove(path)
  for _, suffix in ipairs { "", "-journal", "-wal", "-shm" } do os.remove(path .. suffix) end
  os.remove(M.evidence(path))
end

local function new_clock(options)
  local clock = {}
  function clock.now() return options.origin + (process.now() - options.origin) * options.scale end
  function clock.sleep(seconds) process.sleep(math.min(seconds / options.scale, 0.01)) end
  return clock
end

local LEFT = "LEFT" -- of a step that was skipped

-- The worker that this process is: what actions need of it.
local current

--- One attempt of a step: its effect, then its result.
local function perform(spec, key, run, name, attempt, seen, pause)
  current.write("effect", run, name, attempt, current.clock.now())
  if pause then pause() end
  local fate = plan.fate(spec, key, name, attempt)
  if fate == "bad_request" then error(step.error.bad_request "as planned") end
  if fate == "server" then error("as planned", 0) end
  return plan.output(spec, key, name, seen)
end

local function code_action(spec)
  local sources = plan.sources(spec)
  return function(v)
    local name = spec.items and ("%s-%d"):format(spec.name, v.iterator) or spec.name
    local seen = {}
    for _, source in ipairs(sources) do seen[source] = v.step[source].output.value end
    return perform(spec, v.input.key, v.task.task_id, name, (v.step.this.try_count or 0) + 1, seen)
  end
end

local function data_action(def, spec)
  local seen = {}
  for _, source in ipairs(plan.sources(spec)) do seen[source] = ("{{.step.%s.output.value}}"):format(source) end
  return { type = "torture", configuration = { key = "{{.input.key}}", definition = def.name, step = spec.name, seen = seen } }
end

local function document_of(def, careless)
  local steps = {}
  for i, spec in ipairs(def.steps) do
    local made = { name = spec.name, idempotent = spec.idempotent or careless, max_retries = spec.max_retries,
      action = def.code and code_action(spec) or data_action(def, spec), dependencies = {}, custom_states = {}, conditions = {} }
    for j, dependency in ipairs(spec.dependencies) do
      made.dependencies[j] = dependency.step.name .. ":" .. table.concat(dependency.states, ",")
    end
    if spec.items then
      local items = {}
      for item = 1, spec.items do items[item] = ("%d"):format(item - 1) end
      made.foreach = "[" .. table.concat(items, ", ") .. "]"
      made.foreach_strategy = spec.sequence and "sequence" or "parallel"
    end
    if spec.skip then
      made.custom_states[1] = LEFT
      made.conditions[1] = { type = "skip", ["if"] = { { value = "{{.input.left}}", operator = "IN", expected = spec.name } },
        ["then"] = { this = LEFT } }
    end
    if spec.check then
      made.custom_states[1] = "ODD"
      made.conditions[1] = { type = "check", ["if"] = { { value = "{{.step.this.output.odd}}", operator = "EQ", expected = "yes" } },
        ["then"] = { this = "ODD" } }
    end
    steps[i] = made
  end
  return { name = def.name, steps = steps, retry_max = 10000, inputs = { { name = "key", type = "string" },
    { name = "left", type = "string", default = "" } } }
end

local by_name = {} -- the plan's definitions

step.register_runner("torture", function(_, _, config, ctx)
  local spec = by_name[config.definition].by_name[config.step]
  local output = perform(spec, config.key, ctx.run_id, ctx.step_name, ctx.attempt, config.seen, spec.sleep and function()
    ctx:sleep(0.1 + math.random() * current.options.lease / 2)
  end)
  return output, nil, spec.tagged and { [ctx.step_name] = output.value } or nil
end)

--- Makes the definitions of a plan, which run then takes: once for all the workers that are forked.
---@param seed integer
---@param mutant? string
---@return { plan: torture.Definition[], made: step.Definition[] }
function M.prepare(seed, mutant)
  local prepared = { plan = plan.new(seed), made = {} }
  for i, def in ipairs(prepared.plan) do prepared.made[i] = assert(step.define(document_of(def, mutant == "idempotence"))) end
  local engine = step.engine() -- what is loaded or made once, forked workers have already
  for _, def in ipairs(prepared.made) do
    engine:add(def)
    assert(engine:start(def.name, { input = { key = "k" } }))
  end
  engine:close()
  require "step.store.sqlite"
  collectgarbage()
  local _ = ("x"):rep(1 << 18) -- has the C library put its free memory in order here, not in every worker
  return prepared
end

local function start(self, key)
  local def = plan.definition_of(self.definitions, key)
  local run, err = self.engine:start(def.name, { key = key, input = { key = key, left = table.concat(plan.left(def, key), ",") } })
  if not run then return nil, err end
  self.write("acknowledged", key, run.id)
  return true
end

--- Does what a person would: says that the runs that are BLOCKED_TOCHECK may go on.
local function release(self)
  for run in self.engine:list { state = "BLOCKED_TOCHECK" } do
    if math.random(2) == 1 then
      self.write("released", run.id)
      local state, err = run:resolve()
      if not state and err.kind ~= "busy" and err.kind ~= "lost" and err.kind ~= "refused" then return nil, err end
    end
  end
  return true
end

--- The keys to start runs with, in any order: those that nobody has acknowledged, and some of the others, whose runs are there.
local function todo(self)
  local known, order = evidence.acknowledged(M.evidence(self.options.path)), {}
  for i = 1, self.options.keys do
    local key = ("k%d"):format(i)
    if not known[key] or math.random(self.options.keys) <= 2 then table.insert(order, math.random(#order + 1), key) end
  end
  return order
end

local function work(self)
  local ok, err = true, nil
  if self.options.releases and math.random(4) == 1 then ok, err = release(self) end
  for i, key in ipairs(todo(self)) do
    if ok then ok, err = start(self, key) end
    for _ = 1, i <= 8 and 6 or 2 do
      if not ok then return nil, err end
      local progress
      progress, err = self.engine:step()
      if progress == nil then return nil, err end
      if not progress then process.sleep(0.0005) end
    end
  end
  return self.engine:work { until_idle = true }
end

local function run(self, options)
  local err
  self.engine, err = step.engine { store = options.path, exclusive = options.exclusive, lease = options.lease, clock = self.clock }
  if not self.engine then return nil, err end
  if options.mutant then require("spec.torture.mutants").apply(options.mutant, self.engine) end
  self.engine:on("lost", function(lost, why)
    if why.kind == "lost" then self.write("lost", lost.id) else self.write("problem", why.code or why.kind, tostring(why)) end
  end)
  self.engine:on("refused", function(_, why) self.write("problem", "refused", tostring(why)) end)
  for i, def in ipairs(options.prepared.plan) do
    by_name[def.name] = def
    self.engine:add(options.prepared.made[i])
  end
  local ok
  ok, err = work(self)
  if ok and math.random(2) == 1 then self.engine:close() end
  return ok, err
end

--- Works on the store. Gives the process's exit status: 0 when nothing is left to do.
---@param options torture.Options
---@return integer
function M.run(options)
  math.randomseed(options.seed, process.pid())
  local self = { options = options, clock = new_clock(options), write = evidence.writer(M.evidence(options.path)),
    definitions = options.prepared.plan }
  current = self
  local good, ok, err = xpcall(run, debug.traceback, self, options)
  if good and ok then return 0 end
  if not good then err = ok end
  self.write("problem", type(err) == "table" and (err.code or err.kind) or "raised", tostring(err))
  return 3
end

return M
