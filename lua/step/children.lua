--- Child runs: those that a step of another run, their parent, has started, by the runners `workflow` and `batch`.
--
-- Never two for one: the id of a child is chosen first and stored with its parent's step (`M.choose`), then the child is made under
-- that id, which can be done any number of times. So a process may die between any two moments: whoever carries the parent on finds
-- in the step's metadata which child it is, and makes it if it is not there.
--
-- A child that has ended or is blocked tells its parent. In memory this module does so; a store in a file does it itself, in the
-- transaction that stores the child's state (lua/step/store/sqlite/schema.lua), and so it hands a parent's cancellation down.
-- What is posted wakes the step that waits; the step then looks at the child, so it does no harm when something is told twice.
--
-- A parent that is paused does not pause its children, as with µTask: they are runs of their own, and may be paused themselves. What
-- they tell it meanwhile is kept until it is resumed.

local core = require "step.core"
local errors = require "step.error"
local expr = require "step.expr"
local json = require "step.json"
local result = require "step.result"
local settings = require "step.settings"

local M = {}

--- How deep runs may be nested.
local DEEPEST = 50

--- Whether a state is the last one.
---@param state string
---@return boolean
function M.ended(state) return state == "DONE" or state == "CANCELLED" end

--- Whether a run in that state goes on only when a person does something about it.
---@param state string
---@return boolean
function M.blocked(state) return state:find "^BLOCKED_" ~= nil end

--- The state of a run as it is stored: what a run under way in this process has come to in the meantime does not count yet.
---@param engine step.Engine
---@param id string
---@return string? state    nil: there is no such run
function M.state(engine, id)
  local row, err = engine.store:get(id)
  if not row then
    if err then error(err, 0) end
    return nil
  end
  return row.run and row.run.state or row.state
end

--- Names a run for people: which, of what, in what state and why.
---@param run step.Run
---@return string
function M.words(run)
  local trouble = M.blocked(run.state) and run.error
  return ("the run %s ('%s') is %s%s"):format(run.id, run.definition.name, run.state, trouble and ": " .. trouble or "")
end

-- ---- what the runners that start them have in common ----

-- Fields of a configuration. Who may see and resolve a child is kept by µTask's users of a template, and not enforced here.
local FIELDS = {
  definition = { kind = "text", required = "the name of a definition" }, template = { is = "definition" },
  resolver_input = { kind = "object" }, config = { kind = "object" }, tags = { kind = "texts" },
  requester_username = { kind = "text" }, resolver_username = { kind = "text" },
  on_blocked = { kind = "text", accepted = { "wait", "fail" } },
  resolver_usernames = { kind = "ignored" }, resolver_groups = { kind = "ignored" },
  watcher_usernames = { kind = "ignored" }, watcher_groups = { kind = "ignored" },
}

--- Makes what reads the configurations of such a runner: the fields that all of them have, and its own.
---@param own table<string, step.settings.Field>
---@return step.settings.Reader
function M.reader(own) return settings.reader(expr.merge(FIELDS, own)) end

--- The engine and the run that a runner works for.
---@param ctx step.Context
---@param kind string    the runner's name
---@return step.Engine
---@return step.Run
function M.site(ctx, kind)
  if not ctx.engine then
    error(errors.bad_request(("the runner '%s' starts runs of an engine, and this run belongs to none: start it with engine:start, "
      .. "or let luastep do so (run --with, start)"):format(kind)))
  end
  return ctx.engine, ctx.run
end

--- What an earlier execution of this try has noted. A try that is over has none: when a step is tried again, whoever resets its
--- count, it starts anew.
---@param ctx step.Context
---@return table? noted     of this try
---@return table? before    of an earlier one
function M.noted(ctx)
  local step = ctx.run.steps[ctx.step_name]
  local metadata = step and step.metadata
  if type(metadata) ~= "table" then return nil end
  if metadata.attempt == ctx.attempt then return metadata end
  return nil, metadata
end

--- Whether this turn is the last one of a try: its time-out, or the run's deadline, has come, and it ends unless it has its result.
---@param ctx step.Context
---@return boolean
function M.last_turn(ctx)
  local deadline = ctx.deadline
  return deadline ~= nil and ctx.run.loop:now() >= deadline
end

--- Refuses to nest runs without end.
local function check_depth(engine, run)
  local names, id = { "'" .. run.definition.name .. "'" }, run.parent
  while id do
    local row = engine.store:get(id)
    if not row then break end
    names[#names + 1] = "'" .. row.name .. "'"
    id = row.parent
  end
  if #names >= DEEPEST then
    error(errors.bad_request(("runs are nested %d deep, no further one is started: %s"):format(#names,
      table.concat(names, " in ", 1, 3) .. (#names > 3 and " in ..." or ""))))
  end
end

--- Chooses the id by which this try knows what it starts, and stores the choice: it must be known if this process dies before there
--- is a child, or after.
---@param ctx step.Context
---@param field string     of the metadata
---@return table noted
function M.choose(ctx, field)
  check_depth(ctx.engine, ctx.run)
  local noted = { [field] = core.uuid(), attempt = ctx.attempt }
  local ok, err = ctx.engine.keeper:note(ctx.run, ctx.step_name, noted)
  if not ok then error(err or errors.new("store", "what this step is about to do could not be stored"), 0) end
  return noted
end

--- Whether a step cleans up after its run, which is cancelled.
---@param ctx step.Context
---@return boolean
function M.cleans(ctx)
  local c = ctx.run.core
  if not c:ending() then return false end
  local number = c:find(ctx.step_name)
  local spec = ctx.run.definition.specs[select(4, c:step(number)) or number]
  return spec ~= nil and spec.always == true
end

--- What a step that cleans up has started goes on without it: the run does not wait for what waits, and would cancel it.
---@param ctx step.Context
---@return boolean released    false: the step does not clean up
function M.release(ctx)
  if not M.cleans(ctx) then return false end
  local ok, err = ctx.engine.store:release_children(ctx.run_id, ctx.step_name)
  if not ok then error(err, 0) end
  return true
end

--- What a child is started with.
---@param ctx step.Context
---@param set table     the settings of the step
---@param id string
---@param input? table
---@return table options    for engine:start
function M.options(ctx, set, id, input)
  return {
    id = id, key = id, parent = ctx.run_id, parent_step = ctx.step_name, input = input, resolver_input = set.resolver_input,
    config = set.config, tags = set.tags, requester_username = set.requester_username or ctx.requester_username,
    resolver_username = set.resolver_username or ctx.resolver_username,
  }
end

--- Why an engine could not start a run, as the error of the step: what its configuration got wrong, and a definition that this
--- engine lacks, is for a person to mend.
---@param err step.Error
---@return step.Error
function M.problem(err)
  if err.kind ~= "refused" and err.kind ~= "input" then return err end
  if err.code ~= "definition" then return errors.bad_request(err.message) end
  local message = err.message:gsub("; add one with engine:add$", "")
  return errors.bad_request(message .. "; add it to the engine (engine:add, its file given to 'luastep work', or with --with to "
    .. "'luastep run') and resolve this run again")
end

--- What a run has come to, for its parent: µTask's fields. Without a result_format the result is the output of each step.
---@param run step.Run
---@return table
function M.output(run)
  local value, err = result.result(run)
  if err then error(errors.bad_request(("the run %s has no result: %s"):format(run.id, err.message))) end
  if value == nil and run.state == "DONE" then
    value = {}
    local c = run.core
    for i = 1, #run.definition.graph do
      local output, _, _, children = c:results(i)
      if children ~= nil then
        output = json.array()
        for k, child in ipairs(children) do output[k] = child.output == nil and json.null or child.output end
      end
      if output ~= nil then value[c:name(i)] = json.copy(output) end
    end
  end
  local task = run.core:globals().task
  return {
    id = run.id, state = run.state, title = run.title, result = value,
    requester_username = task.requester_username, resolver_username = task.resolver_username,
  }
end

-- ---- what relatives hear of each other ----

--- Cancels the children of a run that have not ended, and theirs.
---@param engine step.Engine
---@param id string
---@param wanted? fun(parent_step: string): boolean    default: all
function M.cancel(engine, id, wanted)
  for child in engine:list { parent = id } do
    if not M.ended(child.state) and (not wanted or wanted(child.parent_step)) then child:cancel() end
  end
end

--- A run has come to a state: its relatives are told, or, where the store has told them, hear of it at once if nobody else works on
--- them.
---@param engine step.Engine
---@param run step.Run
---@param state string
function M.changed(engine, run, state)
  local live = engine.store.live
  if state == "CANCELLED" and live then
    M.cancel(engine, run.id)
  elseif state == "CANCELLED" then
    for child in engine:list { parent = run.id } do
      if not M.ended(child.state) then engine.keeper:attend(child) end
    end
  end
  if not run.parent or not (M.ended(state) or M.blocked(state)) then return end
  if live then
    engine.keeper:post(run.parent, "child", run.id)
  else
    engine.keeper:deliver(run.parent)
  end
end

--- In a store that keeps the objects: has a run with relatives tell them.
---@param engine step.Engine
---@param run? step.Run
function M.watch(engine, run)
  if not run or run.watched then return end
  run.watched = true
  run:on("transition", function(event)
    if not event.step then M.changed(engine, run, event.to) end
  end)
end

return M
