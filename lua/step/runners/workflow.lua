--- The runner `workflow` (µTask's `subtask`, which is another name of it): runs a definition of the engine as a child run.
--
-- Configuration: definition (its name; also `template`), input (also `inputs`; `json_input` is its JSON text), resolver_input,
-- config, tags, requester_username and resolver_username (default: the parent's), delay ("10m", or seconds: not begun before),
-- on_blocked ("wait", the default, or "fail").
--
-- The step is WAITING until its child has ended, which costs no try. Child DONE: the output is { id, state, title, result,
-- requester_username, resolver_username }; result is the child's result_format, or the outputs of its steps by name. Child
-- CANCELLED: CLIENT_ERROR. Child blocked: the step stays WAITING and its error says why; once a person has mended the child, the
-- parent goes on by itself. With on_blocked = "fail" it is CLIENT_ERROR at once, as with µTask, for check conditions to judge.
-- A step that is tried again starts another child; the one before is cancelled if it has not ended, as it is when the step's timeout
-- comes first. So are the children of a run that is cancelled, but for those of its steps that clean up (`always`): they go on by
-- themselves. Metadata: id, state and, while the step waits, attempt.

local children = require "step.children"
local errors = require "step.error"

local M = { idempotent = true }

local configuration = children.reader {
  input = { kind = "object" }, inputs = { is = "input" }, json_input = { json = "input" }, delay = { kind = "span", zero = true },
}

M.valid_config = configuration.valid_config

function M.metadata_schema()
  return { type = "object", properties = { id = { type = "string" }, state = { type = "string" }, attempt = { type = "integer" } } }
end

--- Cancels the child of a try that is over.
local function abandon(engine, before)
  local state = before and before.id and children.state(engine, before.id)
  if state and not children.ended(state) then engine:run(before.id):cancel() end
end

--- Starts the child of this try, unless it is there: its state, or nil and what is wrong.
local function start(engine, ctx, set, noted)
  local id = noted.id
  local state = children.state(engine, id)
  if state then return state end
  if noted.state then error(errors.bad_request(("the run %s, for which this step waited, was deleted"):format(id))) end
  local options = children.options(ctx, set, id, set.input)
  options.delay = set.delay
  local child, err = engine:start(set.definition, options)
  if not child then return nil, children.problem(err) end
  return child.state
end

function M.exec(_, base_config, config, ctx)
  local engine = children.site(ctx, "workflow")
  local set = configuration.read(base_config, config)
  local noted, before = children.noted(ctx)
  if not noted then
    abandon(engine, before)
    noted = children.choose(ctx, "id")
  end
  local id = noted.id
  local state, problem = start(engine, ctx, set, noted)
  if not state then return nil, { id = id }, nil, problem end
  local blocked = children.blocked(state)
  if children.ended(state) or blocked and set.on_blocked == "fail" then
    local child = assert(engine:run(id))
    return children.output(child), { id = id, state = state }, nil,
      state ~= "DONE" and errors.bad_request(children.words(child)) or nil
  end
  if children.last_turn(ctx) then
    abandon(engine, noted)
  elseif children.release(ctx) then
    return nil, { id = id, state = state }, nil, errors.not_assigned(("the run is cancelled, the run %s ('%s') goes on by itself")
      :format(id, set.definition))
  end
  local words = blocked and children.words(assert(engine:run(id))) .. "; once it is DONE, this step goes on"
    or ("waits for the run %s ('%s')"):format(id, set.definition)
  return nil, { id = id, state = state, attempt = ctx.attempt }, nil, errors.awaits(words)
end

return M
