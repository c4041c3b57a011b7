--- The runner `workflow` (µTask's `subtask`, which is another name of it): runs a definition of the engine as a child run.
--
-- Configuration: definition (its name; also `template`), input (also `inputs`; `json_input` is its JSON text), resolver_input,
-- config, tags, requester_username and resolver_username (default: the parent's), delay ("10m": not begun before),
-- on_blocked ("wait", the default, or "fail").
--
-- The step is WAITING until its child has ended, which costs no try. Child DONE: the output is { id, state, title, result,
-- requester_username, resolver_username }; result is the child's result_format, or the outputs of its steps by name. Child
-- CANCELLED: CLIENT_ERROR. Child blocked: the step stays WAITING and its error says why; once a person has mended the child, the
-- parent goes on by itself. With on_blocked = "fail" it is CLIENT_ERROR at once, as with µTask, for check conditions to judge.
-- A step that is tried again starts another child; the one before is cancelled if it has not ended. So are the children of a run
-- that is cancelled. Metadata: id, state and, while the step waits, attempt.

local children = require "step.children"
local duration = require "step.duration"
local errors = require "step.error"
local run_module = require "step.run"
local settings = require "step.settings"

local M = { idempotent = true }

local FIELDS = {
  definition = { kind = "text" }, template = { kind = "text", is = "definition" },
  input = { kind = "object" }, inputs = { kind = "object", is = "input" }, json_input = { kind = "text", json = "input" },
  resolver_input = { kind = "object" }, config = { kind = "object" }, tags = { kind = "texts" }, delay = { kind = "text" },
  requester_username = { kind = "text" }, resolver_username = { kind = "text" },
  on_blocked = { kind = "text", accepted = { "wait", "fail" } },
  -- who may see and resolve it: kept by µTask's users of a template, not enforced here
  resolver_usernames = { kind = "ignored" }, resolver_groups = { kind = "ignored" },
  watcher_usernames = { kind = "ignored" }, watcher_groups = { kind = "ignored" },
}

local function read(base_config, config, open)
  local set, message = settings.read(base_config, config, FIELDS, open)
  if not set then return nil, message end
  if set.definition == nil then return nil, "definition: the name of a definition is expected" end
  if set.delay ~= nil and not (open and settings.is_open(set.delay)) then
    local seconds, problem = duration.seconds(set.delay)
    if not seconds then return nil, "delay: " .. problem end
    set.delay = seconds
  end
  return set
end

function M.valid_config(base_config, config)
  local set, message = read(base_config, config, true)
  return set and true, message
end

function M.metadata_schema()
  return { type = "object", properties = { id = { type = "string" }, state = { type = "string" }, attempt = { type = "integer" } } }
end

--- Chooses the child of this try and stores the choice, before there is one.
local function choose(engine, run, ctx, before)
  if before and before.id then
    local state = children.state(engine, before.id)
    if state and not children.ended(state) then engine:run(before.id):cancel() end
  end
  children.check_depth(engine, run)
  local noted = { id = run_module.new_id() }
  children.note(ctx, noted)
  return noted
end

function M.exec(step_name, base_config, config, ctx)
  local engine, run = children.site(ctx, "workflow")
  local set, message = read(base_config, config)
  if not set then error(errors.bad_request(message)) end
  local noted, before = children.noted(ctx)
  noted = noted or choose(engine, run, ctx, before)
  local id = noted.id
  local state = children.state(engine, id)
  if not state then
    if noted.state then error(errors.bad_request(("the run %s, for which this step waited, was deleted"):format(id))) end
    local child, err = engine:start(set.definition, {
      id = id, key = id, parent = run.id, parent_step = step_name, delay = set.delay,
      input = set.input, resolver_input = set.resolver_input, config = set.config, tags = set.tags,
      requester_username = set.requester_username or ctx.requester_username,
      resolver_username = set.resolver_username or ctx.resolver_username,
    })
    if not child then return nil, { id = id }, nil, children.problem(err) end
    state = child.state
  end
  local metadata = { id = id, state = state, attempt = ctx.attempt }
  if children.ended(state) or (children.blocked(state) and set.on_blocked == "fail") then
    local child = assert(engine:run(id))
    metadata.attempt = nil
    return children.output(child), metadata, nil, state ~= "DONE" and errors.bad_request(children.words(child)) or nil
  elseif children.blocked(state) then
    return nil, metadata, nil, errors.not_assigned(children.words(assert(engine:run(id))) .. "; once it is DONE, this step goes on")
  end
  return nil, metadata, nil, errors.not_assigned(("waits for the run %s ('%s')"):format(id, set.definition))
end

return M
