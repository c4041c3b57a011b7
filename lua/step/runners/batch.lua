--- The runner `batch` (µTask's): runs a definition of the engine as many child runs, one for each input of a list.
--
-- Configuration: definition (its name; also `template`, `template_name`), inputs (a list of objects; `json_inputs` is its JSON
-- text), common_input (laid under each of them; also `common_inputs`, `json_common_input`), resolver_input, config, tags,
-- requester_username and resolver_username as with `workflow`, sub_batch_size (so many have not ended at a time; 0, the default: all),
-- tolerate (so many, or such a part of them, "10%", may fail; default 0), on_blocked ("wait" or "fail").
--
-- The step is WAITING until all children have ended, which costs no try. Its output is the list of their outputs, in the order of
-- the inputs, each as `workflow` gives it. A child fails when it is CANCELLED or, with on_blocked = "fail", blocked, which makes
-- room for the next; when all have ended and more failed than are tolerated, the step is CLIENT_ERROR, with the same output. A step
-- that is tried again starts all of them anew. Metadata: batch_id, tasks_started, remaining_tasks (µTask's names) and, while the step
-- waits, attempt.

local children = require "step.children"
local errors = require "step.error"
local json = require "step.json"
local run_module = require "step.run"
local settings = require "step.settings"

local M = { idempotent = true }

local FIELDS = {
  definition = { kind = "text" }, template = { kind = "text", is = "definition" }, template_name = { kind = "text", is = "definition" },
  inputs = { kind = "list" }, json_inputs = { kind = "text", json = "inputs" },
  common_input = { kind = "object" }, common_inputs = { kind = "object", is = "common_input" },
  json_common_input = { kind = "text", json = "common_input" }, common_json_inputs = { kind = "text", json = "common_input" },
  resolver_input = { kind = "object" }, config = { kind = "object" }, tags = { kind = "texts" },
  requester_username = { kind = "text" }, resolver_username = { kind = "text" },
  sub_batch_size = { kind = "number" }, tolerate = { kind = "any" }, on_blocked = { kind = "text", accepted = { "wait", "fail" } },
  comment = { kind = "ignored" }, resolver_usernames = { kind = "ignored" }, resolver_groups = { kind = "ignored" },
  watcher_usernames = { kind = "ignored" }, watcher_groups = { kind = "ignored" },
}

--- How many of n may fail; nil: that is no such number.
local function tolerated(value, n)
  if value == nil then return 0 end
  local part = type(value) == "string" and value:match "^%s*(%d+%.?%d*)%s*%%%s*$"
  if part then return tonumber(part) <= 100 and math.floor(n * tonumber(part) / 100) or nil end
  local count = math.tointeger(tonumber(value))
  return count and count >= 0 and count or nil
end

local function read(base_config, config, open)
  local set, message = settings.read(base_config, config, FIELDS, open)
  if not set then return nil, message end
  if set.definition == nil then return nil, "definition: the name of a definition is expected" end
  if set.inputs == nil then return nil, "inputs: a list of objects is expected" end
  local size, inputs = set.sub_batch_size, set.inputs
  if size ~= nil and not (open and settings.is_open(size)) then
    set.sub_batch_size = math.tointeger(size)
    if not set.sub_batch_size or size < 0 then
      return nil, "sub_batch_size: a whole number from 0 is expected, found " .. errors.show(size)
    end
  end
  if not (open and settings.is_open(set.tolerate)) and not tolerated(set.tolerate, 1) then
    return nil, "tolerate: a number from 0 or a part like \"10%\" is expected, found " .. errors.show(set.tolerate)
  end
  for i, input in ipairs(type(inputs) == "table" and inputs or {}) do
    if not (open and settings.is_open(input)) and (type(input) ~= "table" or json.is_array(input)) then
      return nil, ("inputs[%d]: an object is expected, found %s"):format(i, errors.show(input))
    end
  end
  return set
end

function M.valid_config(base_config, config)
  local set, message = read(base_config, config, true)
  return set and true, message
end

function M.metadata_schema()
  return { type = "object", properties = {
    batch_id = { type = "string" }, tasks_started = { type = "integer" }, remaining_tasks = { type = "integer" },
    attempt = { type = "integer" },
  } }
end

--- Chooses the id of this try's batch and stores the choice, before it has a run.
local function choose(engine, run, step_name, ctx, before)
  if before and before.batch_id then
    children.cancel(engine, run.id, function(parent_step) return parent_step == step_name end)
  end
  children.check_depth(engine, run)
  local noted = { batch_id = run_module.new_id() }
  children.note(ctx, noted)
  return noted
end

--- Its runs so far: how many, how many of them have not ended, and the first that is blocked.
local function count(engine, run, batch, failing)
  local tally, err = engine.store:tally(run.id, batch .. "-")
  if not tally then error(err, 0) end
  local started, open, blocked = 0, 0, 0
  for state, n in pairs(tally) do
    started = started + n
    if children.blocked(state) then blocked = blocked + n end
    if not children.ended(state) and not (failing and children.blocked(state)) then open = open + n end
  end
  return started, open, blocked
end

--- Starts the runs first .. last, all in one transaction. What is wrong, or nil.
local function start(engine, run, step_name, ctx, set, batch, first, last)
  local list = {}
  for i = first, last do
    local input = {}
    for name, value in pairs(set.common_input or {}) do input[name] = value end
    for name, value in pairs(set.inputs[i]) do input[name] = value end
    local id = ("%s-%d"):format(batch, i)
    list[#list + 1] = {
      id = id, key = id, parent = run.id, parent_step = step_name, input = input,
      resolver_input = set.resolver_input, config = set.config, tags = set.tags,
      requester_username = set.requester_username or ctx.requester_username,
      resolver_username = set.resolver_username or ctx.resolver_username,
    }
  end
  local ok, err, number = engine:start_all(set.definition, list)
  if ok then return nil end
  if number then err = errors.new(err.kind, ("inputs[%d]: %s"):format(first + number - 1, err.message)) end
  return children.problem(err)
end

--- The first runs of the batch that are blocked, in words.
local function blocked_words(engine, run, batch)
  for child in engine:list { parent = run.id } do
    if child.id:find(batch, 1, true) == 1 and children.blocked(child.state) then return children.words(child) end
  end
end

--- All have ended: their outputs, and an error when too many failed.
local function gather(engine, batch, n, allowed)
  local list, failed, first = json.array(), 0, nil
  for i = 1, n do
    local id = ("%s-%d"):format(batch, i)
    if not children.state(engine, id) then
      error(errors.bad_request(("the run %s of this batch was deleted before its result was taken"):format(id)))
    end
    local child = assert(engine:run(id))
    list[i] = children.output(child)
    if child.state ~= "DONE" then
      failed = failed + 1
      first = first or children.words(child)
    end
  end
  if failed > allowed then
    return list, errors.bad_request(("%d of %d runs failed, %d are tolerated: %s"):format(failed, n, allowed, first))
  end
  return list
end

function M.exec(step_name, base_config, config, ctx)
  local engine, run = children.site(ctx, "batch")
  local set, message = read(base_config, config)
  if not set then error(errors.bad_request(message)) end
  local n, failing = #set.inputs, set.on_blocked == "fail"
  if n == 0 then return json.array(), { tasks_started = 0, remaining_tasks = 0 } end
  local noted, before = children.noted(ctx)
  local batch = (noted or choose(engine, run, step_name, ctx, before)).batch_id
  local started, open, blocked = count(engine, run, batch, failing)
  local size = set.sub_batch_size or 0
  local room = size == 0 and n or math.max(size - open, 0)
  local last = math.min(started + room, n)
  if last > started then
    local problem = start(engine, run, step_name, ctx, set, batch, started + 1, last)
    if problem then return nil, { batch_id = batch }, nil, problem end
    started, open = last, open + last - started
  end
  local metadata = { batch_id = batch, tasks_started = started, remaining_tasks = n - started + open, attempt = ctx.attempt }
  if started == n and open == 0 then
    metadata.attempt = nil
    local output, err = gather(engine, batch, n, tolerated(set.tolerate, n))
    return output, metadata, nil, err
  end
  local words = ("%d of %d runs of '%s' have ended"):format(started - open, n, set.definition)
  if blocked > 0 and not failing then words = words .. "; " .. (blocked_words(engine, run, batch) or "some are blocked") end
  return nil, metadata, nil, errors.not_assigned(words)
end

return M
