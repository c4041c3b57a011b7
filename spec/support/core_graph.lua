--- Runs of the core by themselves, for specs: a graph is written as lines of text, one step each.
--
--   name {CUSTOM,STATES} * > ! 3 minutes: dependency dependency:STATE
--
-- `*` foreach, `>` foreach in sequence, `!` idempotent, `&` always, a number max_retries, a word the retry pattern.

local core = require "step.core"

local M = {}

--- Parses the lines. The arguments of core.graph, and names.
---@param text string
---@return string[] names
---@return table[] steps
---@return integer[] flags
---@return table<integer, integer> limits
---@return table<integer, string[]> customs
function M.parse(text)
  local names, steps, flags, limits, customs = {}, {}, {}, {}, {}
  for line in text:gmatch("[^\n]+") do
    local head, deps = line:match("^([^:]*):?(.*)$")
    local name = head:match("^%s*([^%s{*>!&]+)")
    if name then
      local i = #names + 1
      local rest = head:gsub("^%s*[^%s{*>!&]+", "", 1)
      names[i], flags[i], steps[i] = name, 0, { dependencies = {} }
      local states = rest:match("{(.-)}")
      if states then
        customs[i] = {}
        for state in states:gmatch("[^,%s]+") do table.insert(customs[i], state) end
        rest = rest:gsub("{.-}", "")
      end
      if rest:find("[*>]") then flags[i] = flags[i] | core.flags.FOREACH end
      if rest:find(">") then flags[i] = flags[i] | core.flags.SEQUENCE end
      if rest:find("!") then flags[i] = flags[i] | core.flags.IDEMPOTENT end
      if rest:find("&") then flags[i] = flags[i] | core.flags.ALWAYS end
      if rest:find("minutes") then flags[i] = flags[i] | core.flags.MINUTES end
      if rest:find("hours") then flags[i] = flags[i] | core.flags.HOURS end
      limits[i] = math.tointeger(tonumber(rest:match("%-?%d+")))
      for dep in deps:gmatch("%S+") do table.insert(steps[i].dependencies, dep) end
    end
  end
  return names, steps, flags, limits, customs
end

--- The graph, or nil and the list of problems.
---@param text string
function M.graph(text) return core.graph(M.parse(text)) end

local Made = {}
Made.__index = Made

--- A run of a graph. `does[name]` is what a step does: a function(v), or { action =, skip =, check =, skip_parent =, foreach = }
--- where conditions are lists of { when, { step, state, ... }, final =, message =, states = }; default: nothing.
---@param text string
---@param does? table<string, function|table>
---@param options? table   globals of the run, `clock`, `settings` of steps by name, and those of core.loop
function M.run(text, does, options)
  does, options = does or {}, options or {}
  local names, steps, flags, limits, customs = M.parse(text)
  local self = setmetatable({ time = options.time or 1000, log = {}, names = names }, Made)
  local code = {}
  local function condition(c)
    local states
    if c.states then
      states = {}
      for _, state in ipairs(c.states) do states[state] = true end
    end
    return { type(c[1]) == "function" and c[1] or function() return c[1] end, false, c[2], c.final or false, c.message or "",
      states or false }
  end
  local function conditions(list)
    if not list then return false end
    local compiled = {}
    for i, c in ipairs(list) do compiled[i] = condition(c) end
    return compiled
  end
  for i, name in ipairs(names) do
    local what = does[name] or function() end
    if type(what) == "function" then what = { action = what } end
    local action = what.action or function() end
    local function act(...)
      self.log[#self.log + 1] = name
      assert(self.run:sound(), "the counters are wrong")
      return action(...)
    end
    local kind = what.exec and "exec" or "fn"
    code[i] = {
      { act, kind, false, false, what.resources or false, false }, false, what.delay or false, conditions(what.skip),
      conditions(what.skip_parent), conditions(what.check), what.foreach or false,
    }
  end
  local settings = {}
  for i, name in ipairs(names) do settings[i] = options.settings and options.settings[name] or nil end
  self.graph = assert(core.graph(names, steps, flags, limits, customs, settings))
  self.graph:code(code)
  self.run = core.run(self.graph, options.globals or { task = { task_id = "id" } })
  self.loop = options.loop or core.loop {
    clock = options.clock or function() return self.time end,
    wait = function(seconds) self.time = self.time + seconds end,
    acquire_timeout = options.acquire_timeout, max_concurrent = options.max_concurrent,
  }
  return self
end

--- Resolves. The run's state, or nil and why not; checks the invariants.
---@param automatic? boolean
function Made:resolve(automatic)
  local ok, why = self.loop:begin(self.run, automatic or false)
  if not ok then return nil, why end
  local ended = self.loop:finish(self.run)
  if not ended then return nil, "pending" end
  if self.run:closed() then return nil, "closed" end
  assert(self.run:sound(), "the counters are wrong")
  return (self.run:status())
end

--- The state of a step.
---@param name string
function Made:state(name) return (self.run:step(assert(self.run:find(name), name))) end

--- The states of all steps as text, "a=DONE b=TODO", children last.
function Made:states()
  local list = {}
  for i = 1, self.run:top() do
    if self.run:exists(i) then list[#list + 1] = self.run:name(i) .. "=" .. self.run:step(i) end
  end
  return table.concat(list, " ")
end

--- Sets a state, as a person.
function Made:set(name, state, message)
  self.run:set(assert(self.run:find(name), name), state, message, self.time)
  assert(self.run:sound(), "the counters are wrong")
end

--- The error, output, tries of a step.
function Made:error(name) return (select(3, self.run:results(self.run:find(name)))) end
function Made:output(name) return (self.run:results(self.run:find(name))) end
function Made:tries(name) return (select(2, self.run:step(self.run:find(name)))) end

return M
