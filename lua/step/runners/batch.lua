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
-- that is tried again starts all of them anew; those before that have not ended are cancelled, as they are when the step's timeout
-- comes first. Metadata: batch_id, tasks_started, remaining_tasks (µTask's names) and, while the step waits, attempt.

local children = require "step.children"
local errors = require "step.error"
local expr = require "step.expr"
local json = require "step.json"

local M = { idempotent = true }

local configuration = children.reader {
  template_name = { is = "definition" },
  inputs = { kind = "objects", required = "a list of objects" }, json_inputs = { json = "inputs" },
  common_input = { kind = "object" }, common_inputs = { is = "common_input" },
  json_common_input = { json = "common_input" }, common_json_inputs = { json = "common_input" },
  sub_batch_size = { kind = "count" }, tolerate = { kind = "tolerance" }, comment = { kind = "ignored" },
}

M.valid_config = configuration.valid_config

function M.metadata_schema()
  return { type = "object", properties = {
    batch_id = { type = "string" }, tasks_started = { type = "integer" }, remaining_tasks = { type = "integer" },
    attempt = { type = "integer" },
  } }
end

local function run_id(batch, i) return ("%s-%d"):format(batch, i) end

--- The runs of a batch so far: how many, how many of them have not ended, and how many are blocked.
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
local function start(engine, ctx, set, batch, first, last)
  local list = {}
  for i = first, last do
    local input = expr.merge(set.common_input or {}, set.inputs[i])
    list[#list + 1] = children.options(ctx, set, run_id(batch, i), input)
  end
  local ok, err, number = engine:start_all(set.definition, list)
  if ok then return nil end
  if number then err = errors.new(err.kind, ("inputs[%d]: %s"):format(first + number - 1, err.message)) end
  return children.problem(err)
end

--- Names one run of the batch that is blocked.
local function blocked_words(engine, run, batch)
  for child in engine:list { parent = run.id } do
    if child.id:find(batch, 1, true) == 1 and children.blocked(child.state) then return children.words(child) end
  end
  return "some are blocked" -- a moment ago
end

--- All have ended: their outputs, and an error when too many failed.
local function gather(engine, batch, n, allowed)
  local list, failed, first = json.array(), 0, nil
  for i = 1, n do
    local id = run_id(batch, i)
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
  local set = configuration.read(base_config, config)
  local n, failing = #set.inputs, set.on_blocked == "fail"
  if n == 0 then return json.array(), { tasks_started = 0, remaining_tasks = 0 } end
  local function abandon()
    children.cancel(engine, run.id, function(parent_step) return parent_step == step_name end)
  end
  local noted, before = children.noted(ctx)
  if not noted then
    if before and before.batch_id then abandon() end
    noted = children.choose(ctx, "batch_id")
  end
  local batch = noted.batch_id
  local started, open, blocked = count(engine, run, batch, failing)
  local size = set.sub_batch_size or 0
  local all = size == 0 or children.cleans(ctx) -- nobody would start the others later
  local room = all and n or math.max(size - open, 0)
  local last = math.min(started + room, n)
  if last > started then
    local problem = start(engine, ctx, set, batch, started + 1, last)
    if problem then return nil, { batch_id = batch }, nil, problem end
    started, open = last, open + last - started
  end
  local metadata = { batch_id = batch, tasks_started = started, remaining_tasks = n - started + open }
  if started == n and open == 0 then
    local output, err = gather(engine, batch, n, set.tolerate and set.tolerate(n) or 0)
    return output, metadata, nil, err
  end
  if children.last_turn(ctx) then
    abandon()
  elseif children.release(ctx) then
    return nil, metadata, nil, errors.not_assigned(("the run is cancelled, %d of %d runs of '%s' go on by themselves")
      :format(open, n, set.definition))
  end
  metadata.attempt = ctx.attempt
  local words = ("%d of %d runs of '%s' have ended"):format(started - open, n, set.definition)
  if blocked > 0 and not failing then words = words .. "; " .. blocked_words(engine, run, batch) end
  return nil, metadata, nil, errors.awaits(words)
end

return M
