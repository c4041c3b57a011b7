--- Runs and the rows of a store: what a new run is stored as, and how one is made again of its rows.

local core = require "step.core"
local errors = require "step.error"
local json = require "step.json"
local run_module = require "step.run"
local snapshot = require "step.snapshot"

local M = {}

local null = json.null

--- The row of a run that has just been started.
---@param run step.Run
---@param key? string
---@return table
function M.row(run, key)
  local globals = run.core:globals()
  return {
    id = run.id, key = key, name = run.definition.name, state = run.state, run_max = run.run_max, created = run.created,
    due = run.not_before or run.created,
    input = globals.input, resolver_input = globals.resolver_input, config = globals.config, tags = globals.tags,
    requester_username = globals.task.requester_username, resolver_username = globals.task.resolver_username,
    parent = run.parent, parent_step = run.parent_step, deadline = run.deadline,
  }
end

local function problem(row, message, ...)
  return nil, errors.new("store", ("run '%s' cannot be read: %s"):format(row.id, message:format(...)))
end

--- Puts one stored step into a core.
local function load_step(c, number, row)
  local ok, message = pcall(c.load, c, number, row.state, row.tries, row.last_run)
  if not ok then error(("step '%s': %s"):format(row.name, message:match "^bad argument.-%((.*)%)$" or message), 0) end
  c:put(number, row.output, row.metadata, row.error, row.children)
  if row.extra then c:load_extra(number, row.extra) end
end

--- Fills a core with the rows of its steps. By number, or, when the definition is another version, by name: then steps that
--- are gone are left out, and so are the children of one that is no foreach step any more. Children come after their parent.
local function load_steps(c, def, rows, by_name)
  local graph = def.graph
  local first = {}
  for row in rows do
    local number
    if row.child < 0 then
      number = row.step
      if by_name then number = graph:find(row.name) end
      if number then
        if number > #graph then error(("step %d is none of the definition's %d"):format(number, #graph), 0) end
        local spec = def.specs[number] -- a plain step has none
        if row.items and by_name and not (spec and spec.foreach) then
          row.state = "TODO" -- it was EXPANDED
        elseif row.items then
          first[row.step] = c:load_loop(number, row.items)
        end
      end
    elseif first[row.step] then
      number = first[row.step] + row.child
    end
    if number then load_step(c, number, row) end
  end
end

--- Gives a run object the definition and the core that its row stands for.
---@param run step.Run
---@param row table
---@param def step.Definition
---@param rows fun(): table?    its steps
---@param options { loop: userdata, log?: function, by_name?: boolean }
---@return boolean? ok
---@return step.Error? err
function M.fill(run, row, def, rows, options)
  local made, globals = run_module.new(def, {
    loop = options.loop, log = options.log, config = row.config, tags = row.tags, tags_given = true, run_max = row.run_max,
    requester_username = row.requester_username, resolver_username = row.resolver_username, max_concurrent = row.max_concurrent,
  }, row.id, row.created)
  globals.input, globals.resolver_input = row.input or {}, row.resolver_input or {}
  local c = made.core
  local ok, message = pcall(load_steps, c, def, rows, options.by_name)
  if ok then ok, message = pcall(c.set_status, c, row.state, row.run_count, row.failed_count, row.run_max, row.next_retry) end
  if row.deadline then c:set_deadline(row.deadline, def.deadline or row.deadline - row.created) end
  if ok and row.ending then ok, message = pcall(c.set_ending, c, row.ending) end
  if not ok then
    c:close()
    return problem(row, "%s", tostring(message))
  end
  run.ending = row.ending
  run.core, run.definition, run.loop, run.created = c, def, options.loop, row.created
  c:belong(run)
  globals.task.title = run.title
  run_module.listen(run)
  return true
end

--- Makes the object of a row, without its steps: they are read when they are asked for.
---@param row table
---@param keeper step.Keeper
---@return step.Run
function M.object(row, keeper)
  return setmetatable({
    id = row.id, row = row, keeper = keeper, loop = keeper.loop, created = row.created, listeners = { list = {} },
    parent = row.parent ~= null and row.parent or nil, parent_step = row.parent_step ~= null and row.parent_step or nil,
  }, run_module.Run)
end

--- The refusal of a run whose definition is code that has changed.
---@param row table
---@param old step.Snapshot
---@param def step.Definition?
---@return step.Error
function M.changed(row, old, def)
  if not def then
    return errors.new("refused", ("run '%s' is of the definition '%s', which holds Lua functions: add it with engine:add")
      :format(row.id, row.name), { code = "code" })
  end
  return errors.new("refused", ("run '%s' was started with another version of the definition '%s': %s; pass upgrade = true to go "
    .. "on with the new one"):format(row.id, row.name, snapshot.differences(old, snapshot.of(def))), { code = "code" })
end

--- The refusal of a run that the store does not have.
---@param id string
---@return step.Error
function M.unknown(id) return errors.new("refused", ("the engine has no run '%s'"):format(tostring(id))) end

--- Children that are named where a run has more.
local NAMED = 3

--- Why a run is not deleted: children of it have not ended, and nobody would hand its cancellation down to them any more.
---@param row table
---@param open table[]    rows of such children, the oldest first
---@return string
function M.parental(row, open)
  local words = {}
  for i = 1, math.min(#open, NAMED) do words[i] = ("%s ('%s', %s)"):format(open[i].id, open[i].name, open[i].state) end
  if #open > NAMED then words[NAMED + 1] = ("%d more"):format(#open - NAMED) end
  local it = #open == 1 and "it" or "them"
  local over = row.state == "DONE" or row.state == "CANCELLED"
  return ("the run '%s' has started what has not ended: %s; cancel %s"):format(row.id, table.concat(words, ", "),
    over and it .. " first" or "the run first, that cancels " .. it .. ", too")
end

--- Says who works on a run that cannot be had.
---@param row table
---@return step.Error
function M.busy(row)
  return errors.new("busy", ("run '%s' is being worked on by another engine (%s), whose lease ends at %s: pause it to have it here"):format(
    row.id, tostring(row.owner), require("step.time").format(math.floor(row.due or core.now()))))
end

return M
