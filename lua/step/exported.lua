--- Runs as plain data, in µTask's JSON form, and made again of it.

local core = require "step.core"
local definition = require "step.definition"
local errors = require "step.error"
local functions = require "step.functions"
local json = require "step.json"
local options_of = require "step.options"
local result = require "step.result"
local runs = require "step.run"
local signal = require "step.signal"
local snapshot = require "step.snapshot"
local time = require "step.time"

local M = {}

local null = json.null

--- One step in µTask's JSON form.
local function export_step(c, def, i)
  local state, tries, last_run, parent, index = c:step(i)
  local step = snapshot.exportable(def:step(parent or i))
  local output, metadata, text, children, item = c:results(i)
  step.name = c:name(i)
  if parent then -- D14
    step.description = ("%d - %s"):format(index, step.description or "")
    step.foreach, step.foreach_strategy, step.max_concurrent, step.tolerate = nil, nil, nil, nil
    step.item = json.copy(item)
    if step.conditions then
      local own = json.array()
      for _, cond in ipairs(step.conditions) do
        if not (cond.type == "skip" and cond.foreach == "parent") then own[#own + 1] = cond end
      end
      step.conditions = own
    end
    local sequence = def.specs[parent].foreach_strategy == "sequence"
    if sequence and index > 0 then
      step.dependencies = step.dependencies or json.array()
      step.dependencies[#step.dependencies + 1] = c:name(i - 1)
    end
  end
  step.state = state
  if type(step.action) == "table" and step.action["$lua"] then step.action = { type = "function", ["$lua"] = "function" } end
  step.output, step.metadata, step.error = json.copy(output), json.copy(metadata), text
  if children ~= nil then step.children = json.copy(children) end
  if tries > 0 then step.try_count = tries end
  if last_run then step.last_run = time.format(last_run) end
  local extra = c:extra(i)
  if extra then
    extra.awaits = nil -- who restores it has each step look once
    for _, key in ipairs { "next_retry", "expires" } do extra[key] = extra[key] and time.format(extra[key]) end
    for key, value in next, extra do step[key] = value end
  end
  return step, parent
end

--- See step.Run.export.
---@param run step.Run    not closed
---@return table? exported
---@return step.Error? err
function M.of(run)
  local c, def = run.core, run.definition
  local state, run_count, failed, run_max, next_retry = c:status()
  local globals = c:globals()
  local steps, order = {}, json.array()
  for i = 1, c:top() do
    if c:exists(i) then
      local step, parent = export_step(c, def, i)
      steps[step.name] = step
      if parent then
        local owner = steps[c:name(parent)]
        if not owner.children_steps then
          owner.children_steps, owner.children_steps_map = json.array(), {}
          owner.dependencies = owner.dependencies or json.array()
        end
        owner.children_steps[#owner.children_steps + 1] = step.name
        owner.children_steps_map[step.name] = true
        owner.dependencies[#owner.dependencies + 1] = step.name .. ":ANY"
      else
        order[#order + 1] = step.name
      end
    end
  end
  local used = {}
  for name, fn in pairs(def.used_functions) do used[name] = snapshot.exportable(fn) end
  local document = snapshot.exportable(def.document)
  local read, inbox = pcall(signal.export, run)
  if not read then return nil, inbox end
  return {
    id = run.id, name = def.name, state = state, run_count = run_count, run_max = run_max, failed_count = failed,
    next_retry = next_retry and time.format(next_retry) or nil, deadline = c:deadline() and time.format(c:deadline()) or nil,
    ending = c:ending(), max_concurrent = c:limit(), created = time.format(run.created), tags = json.copy(globals.tags),
    input = json.copy(globals.input), resolver_input = json.copy(globals.resolver_input), config = json.copy(globals.config),
    requester_username = globals.task.requester_username, resolver_username = globals.task.resolver_username,
    steps = steps, order = order, inbox = inbox, definition = document, functions = next(used) and used or nil,
  }
end

-- Fields of an exported step that are results, not definition.
local RESULTS = {
  state = true, output = true, metadata = true, error = true, children = true, try_count = true, last_run = true, children_steps = true,
  children_steps_map = true, item = true, tags = true, next_retry = true, expires = true, wait_count = true, resource_count = true,
  eval_count = true, takeovers = true, unbegun = true, ended = true, ended_error = true,
}

local function absent(value) return value == nil or value == null end

local function problem(message, ...) return nil, errors.new("restore", ("the exported run is refused: " .. message):format(...)) end

--- What a function in C says of its argument.
local function words(message) return (tostring(message):gsub("^bad argument #%d+ to '.-' %((.*)%)$", "%1")) end

local function is_texts(value)
  if type(value) ~= "table" then return false end
  for key, text in next, value do
    if math.type(key) ~= "integer" or type(text) ~= "string" then return false end
  end
  return true
end

--- Whether a value is a time that can be written as one: of the years 1 to 9999.
local function is_time(value)
  local seconds = time.parse(value)
  return seconds ~= nil and seconds >= -62135596800 and seconds < 253402300800 -- false for NaN, too
end

local COUNT = { "a whole number", function(value) return math.type(value) == "integer" end }
local TEXT = { "a text", function(value) return type(value) == "string" end }
local OBJECT = { "an object", function(value) return type(value) == "table" end }
local NAMES = { "a list of names", is_texts }
local TIME = { "a time", is_time }

--- What stands in exported data, where it stands there. The rest is for the core, and for the check of the definition, to judge.
local OF_RUN = {
  config = OBJECT, created = TIME, deadline = TIME, definition = OBJECT,
  ending = { "cancelled or deadline", function(value) return value == "cancelled" or value == "deadline" end }, failed_count = COUNT,
  functions = OBJECT, input = OBJECT, next_retry = TIME, order = NAMES, requester_username = TEXT, resolver_input = OBJECT,
  resolver_username = TEXT, run_count = COUNT, run_max = COUNT, tags = OBJECT,
}
local OF_STEP = {
  children = { "a list", function(value) return type(value) == "table" and (json.is_array(value) or next(value) == nil) end },
  children_steps = NAMES, error = TEXT, eval_count = COUNT, expires = TIME, last_run = TIME, next_retry = TIME, resource_count = COUNT,
  takeovers = COUNT, try_count = COUNT, wait_count = COUNT,
}
local DATA = { "config", "input", "resolver_input", "tags" }

local function mismatch(fields, data)
  local first
  for key, kind in pairs(fields) do
    if not absent(data[key]) and not kind[2](data[key]) and not (first and first < key) then first = key end
  end
  return first and ("its %s: %s is expected, found %s"):format(first, fields[first][1], errors.show(data[first]))
end

--- Judges the shape of exported data, which may come from anywhere: what the rest relies on.
---@return table<string, table>? data    what the run has of its own of it: copies
---@return step.Error? err
local function check(exported)
  if type(exported.steps) ~= "table" then return problem("it has no steps") end
  local wrong = mismatch(OF_RUN, exported)
  if wrong then return problem("%s", wrong) end
  local data = {}
  for _, key in ipairs(DATA) do
    local value = exported[key]
    local copy, err = json.copy(absent(value) and {} or value)
    if not copy then return problem("its %s: %s", key, tostring(err)) end
    data[key] = copy
  end
  local list = not absent(exported.definition) and exported.definition.variables
  if list and not absent(list) and type(list) ~= "table" then
    return problem("the variables of its definition: a list is expected, found %s", errors.show(list))
  end
  for name, step in next, exported.steps do
    if type(name) ~= "string" then return problem("a step's name is no text: %s", errors.show(name)) end
    if type(step) ~= "table" then return problem("step '%s' is no object: %s", name, errors.show(step)) end
    wrong = mismatch(OF_STEP, step)
    if wrong then return problem("step '%s': %s", name, wrong) end
  end
  return data
end

--- What the core is asked to take over: what it refuses is the data's fault.
local function hand_over(place, fn, ...)
  local ok, message = pcall(fn, ...)
  if ok then return true end
  return problem("%s%s", place, words(message))
end

--- The definition that an exported run carries.
local function definition_of(exported)
  local function needed(what)
    return nil, errors.new("definition",
      ("%s of the exported run holds Lua functions, which are not data: pass its definition to restore, too"):format(what))
  end
  local held = { definition = exported.definition, functions = exported.functions }
  for key, value in next, held do if value == null then held[key] = nil end end
  local lua = snapshot.lua_in(held.definition, {}, held.functions)
  if lua then return needed(lua) end
  local document = functions.copy(held.definition or {})
  document.name = document.name or exported.name
  local children = {}
  for _, step in pairs(exported.steps) do
    for _, child in ipairs(not absent(step.children_steps) and step.children_steps or {}) do children[child] = true end
  end
  local order = exported.order
  if absent(order) then
    order = {}
    for name in pairs(exported.steps) do order[#order + 1] = name end
    table.sort(order)
  end
  document.steps = json.array()
  for _, name in ipairs(order) do
    local step = exported.steps[name]
    if step and not children[name] then
      local spec = {}
      for key, value in next, step do
        if not RESULTS[key] then spec[key] = functions.copy(value) end
      end
      spec.name = name
      lua = snapshot.lua_in(nil, { spec })
      if lua then return needed(lua) end
      if is_texts(spec.dependencies) then
        local own = json.array()
        for _, dependency in ipairs(spec.dependencies) do
          if not children[core.dependency_parts(dependency)] then own[#own + 1] = dependency end
        end
        spec.dependencies = own
      end
      document.steps[#document.steps + 1] = spec
    end
  end
  return definition.define(document, { functions = held.functions })
end

--- Puts the state and results of one exported step into a run.
local function load_step(c, number, name, step)
  local state = absent(step.state) and "TODO" or step.state
  local tries = absent(step.try_count) and 0 or step.try_count
  local last_run = not absent(step.last_run) and time.parse(step.last_run) or nil
  local place = ("step '%s': "):format(name)
  local ok, bad = hand_over(place, c.load, c, number, state, tries, last_run)
  if not ok then return nil, bad end
  local values = {}
  for i, key in ipairs { "output", "metadata", "error", "children" } do
    local value = step[key]
    if not absent(value) then
      local copy, err = json.copy(value)
      if copy == nil then return problem("step '%s', %s: %s", name, key, tostring(err)) end
      values[i] = copy
    end
  end
  ok, bad = hand_over(place, c.put, c, number, values[1], values[2], values[3] ~= "" and values[3] or nil, values[4])
  if not ok then return nil, bad end
  if step.next_retry or step.expires or step.wait_count or step.resource_count or step.eval_count or step.takeovers
    or step.unbegun or step.ended then
    local function at(key) return not absent(step[key]) and time.parse(step[key]) or nil end
    ok, bad = hand_over(place, c.load_extra, c, number, {
      next_retry = at "next_retry", expires = at "expires", wait_count = step.wait_count, resource_count = step.resource_count,
      eval_count = step.eval_count, takeovers = step.takeovers, unbegun = step.unbegun, ended = step.ended,
      ended_error = step.ended_error,
    })
    if not ok then return nil, bad end
  end
  return true
end

local OPTIONS = { clock = options_of.KINDS.any, log = options_of.KINDS.callback, loop = options_of.KINDS.any }

--- Makes the run again that was exported, as after a restart: one that was RUNNING is CRASHED (S6.6).
---@param exported table
---@param def? step.Definition   needed where the definition holds Lua functions
---@param options? step.StartOptions   clock, log
---@return step.Run?
---@return step.Error? err   kind "restore" or "definition"
function M.restore(exported, def, options)
  if type(exported) ~= "table" then error(("bad argument #1 to 'restore' (table expected, got %s)"):format(type(exported)), 2) end
  if def ~= nil and getmetatable(def) ~= definition.Definition then
    error(("bad argument #2 to 'restore' (definition expected, got %s)"):format(errors.show(def)), 2)
  end
  options = options_of.check("restore", 3, options, OPTIONS)
  local ok
  local data, err = check(exported)
  if not data then return nil, err end
  if not def then
    def, err = definition_of(exported)
    if not def then return nil, err end
  end
  local most = exported.max_concurrent
  if absent(most) then most = nil end
  if most and (math.type(most) ~= "integer" or most < 1) then return problem("its max_concurrent is %s", errors.show(most)) end
  local created = not absent(exported.created) and time.parse(exported.created) or core.now()
  local run, globals = runs.new(def, {
    config = data.config, tags = data.tags, requester_username = exported.requester_username,
      resolver_username = exported.resolver_username,
    max_concurrent = most, clock = options.clock, loop = options.loop, log = options.log,
  }, type(exported.id) == "string" and exported.id or core.uuid(), created)
  globals.input, globals.resolver_input = data.input, data.resolver_input
  globals.task.title = result.title(run)
  local c, graph = run.core, def.graph
  local seen = 0
  for i = 1, #graph do
    local name = graph:name(i)
    local step = exported.steps[name]
    if type(step) ~= "table" then return problem("its definition has a step '%s', which it lacks", name) end
    seen = seen + 1
    local children = step.children_steps
    if not absent(children) and #children > 0 then
      local items = json.array()
      for k, child in ipairs(children) do
        local exported_child = exported.steps[child]
        if type(exported_child) ~= "table" then return problem("step '%s' names a child '%s', which it lacks", name, child) end
        local item = exported_child.item
        items[k] = item == nil and null or json.copy(item)
      end
      local loaded, first = pcall(c.load_loop, c, i, items)
      if not loaded then return problem("step '%s': %s", name, words(first)) end
      for k, child in ipairs(children) do
        seen = seen + 1
        ok, err = load_step(c, first + k - 1, child, exported.steps[child])
        if not ok then return nil, err end
      end
    end
    ok, err = load_step(c, i, name, step)
    if not ok then return nil, err end
  end
  for _ in pairs(exported.steps) do seen = seen - 1 end
  if seen ~= 0 then
    for name in pairs(exported.steps) do
      if not c:find(name) then return problem("it has a step '%s', which its definition lacks", name) end
    end
  end
  local state = absent(exported.state) and "TODO" or exported.state
  if state == "RUNNING" then state = "CRASHED" end
  local function count(key, default)
    local value = exported[key]
    return absent(value) and default or value
  end
  local run_count = count("run_count", 0)
  ok, err = hand_over("", c.set_status, c, state, run_count, count("failed_count", run_count), count("run_max", def.retry_max),
    not absent(exported.next_retry) and time.parse(exported.next_retry) or nil)
  if not ok then return nil, err end
  if not absent(exported.deadline) then
    local deadline = time.parse(exported.deadline)
    c:set_deadline(deadline, def.deadline or deadline - created)
  end
  if not absent(exported.ending) then
    ok, err = hand_over("", c.set_ending, c, exported.ending)
    if not ok then return nil, err end
  end
  local bad
  run.inbox, bad = signal.restored(exported.inbox)
  if not run.inbox then return problem("inbox[%d] is no signal", bad) end
  run.last_posted = #run.inbox
  return run
end

return M
