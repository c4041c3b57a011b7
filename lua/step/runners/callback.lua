--- The runner `callback` (µTask's): a run waits for what somebody outside says to it.
--
-- { action = "create", name (default: the step's), schema }: creates a callback. Output: { id, name, schema }; the id is for who is
-- to call back and cannot be guessed. { action = "wait", id (or its name), timeout }: WAITING, which costs no try, until a signal
-- for it has come; output { id, date, body }. A signal is given by run:signal(name or id, data), engine:signal(run_id, ...) or
-- `luastep signal`; data that the schema (JSON Schema, an object or its text) does not accept is refused to the caller. A signal that
-- comes before somebody waits is kept; each is taken once, in the order in which they came, so a step that is retried waits
-- for another. After `timeout` ("1h", or seconds) without one the step is CLIENT_ERROR.
-- Metadata: of create callback, name, schema; of wait waits_for and, while the step waits, deadline and attempt.

local errors = require "step.error"
local settings = require "step.settings"
local signal = require "step.signal"
local sources = require "step.template.sources"
local time = require "step.time"

local M = { idempotent = true }

local OF_ACTION = { create = { "name", "schema" }, wait = { "id", "timeout" } }

--- A JSON schema, or its text.
local SCHEMA = { template = true, read = function(value)
  local validator, message, schema = signal.compile(value)
  if not validator then return nil, message end
  return schema
end }

local function check(set, open)
  local action = set.action
  if not action then return nil end
  for other, names in pairs(OF_ACTION) do
    for _, name in ipairs(names) do
      if other ~= action and (set[name] ~= nil or open[name]) then
        return ("%s: the action '%s' takes %s"):format(name, action, table.concat(OF_ACTION[action], " and "))
      end
    end
  end
  if action == "wait" and not (set.id or open.id) then return "id: the id of a callback is expected" end
end

local configuration = settings.reader({
  action = { kind = "text", accepted = { "create", "wait" }, required = "create or wait" },
  name = { kind = "text" }, schema = { kind = SCHEMA }, id = { kind = "text" }, timeout = { kind = "span" },
}, { check = check })

M.valid_config = configuration.valid_config

function M.metadata_schema()
  return { type = "object", properties = {
    callback = { type = "string" }, name = { type = "string" }, schema = {},
    waits_for = { type = "string" }, deadline = { type = "number" }, attempt = { type = "integer" },
  } }
end

--- 128 bits that nobody can guess.
local function token()
  return (sources.random(16):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function create(step_name, set)
  local id, name = token(), set.name or step_name
  return { id = id, name = name, schema = set.schema }, { callback = id, name = name, schema = set.schema }
end

local function wait(step_name, set, ctx)
  local run = ctx.run
  local callback, err = signal.find(run, set.id)
  if not callback then error(errors.bad_request(err.message)) end
  local before = run.steps[step_name].metadata
  local deadline = type(before) == "table" and before.attempt == ctx.attempt and before.waits_for == callback.id and before.deadline or nil
  local now = run.loop:now()
  if set.timeout and not deadline then deadline = now + set.timeout end
  local item = signal.take(run, callback.id)
  if item then return { id = callback.id, date = time.format(item.time), body = item.data }, { waits_for = callback.id } end
  if deadline and now >= deadline then
    return nil, { waits_for = callback.id }, nil, errors.bad_request(("nobody has called back: the callback '%s' was waited for until %s")
      :format(callback.name, time.format(deadline)))
  end
  local metadata = { waits_for = callback.id, deadline = deadline, attempt = ctx.attempt }
  return nil, metadata, nil, errors.awaits(("waits for the callback '%s'"):format(callback.name), deadline)
end

function M.exec(step_name, base_config, config, ctx)
  local set = configuration.read(base_config, config)
  if set.action == "create" then return create(step_name, set) end
  return wait(step_name, set, ctx)
end

return M
