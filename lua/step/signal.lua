--- Signals: what somebody outside says to a run that has created a callback (lua/step/runners/callback.lua).
--
-- A signal is checked here, by whoever sends it, and left in the run's inbox. It stays there until a step that waits for its
-- callback takes it; it is removed in the transaction that stores that step's result. So it is taken exactly once, whether it
-- comes before the step waits or after, and whatever crashes.

local errors = require "step.error"
local json = require "step.json"
local suggest = require "step.suggest"
local time = require "step.time"

local M = {}

---@class step.Callback
---@field id string        what only those know whom it was told: 128 bits of chance
---@field name string
---@field schema? any      JSON schema of the data

local function callback_of(metadata, list)
  if type(metadata) == "table" and type(metadata.callback) == "string" then
    list[#list + 1] = { id = metadata.callback, name = metadata.name, schema = metadata.schema }
  end
end

--- The callbacks that a run has created, the oldest step's first.
---@param run step.Run
---@return step.Callback[]
function M.callbacks(run)
  local c, list = run.core, {}
  for i = 1, c:top() do
    if c:exists(i) then
      local _, metadata, _, children = c:results(i)
      callback_of(metadata, list)
      for _, child in ipairs(children or {}) do callback_of(child.metadata, list) end
    end
  end
  return list
end

--- The callback with that id or name; of several with a name the last.
---@param run step.Run
---@param name string
---@return step.Callback?
---@return step.Error? err    kind "refused"
function M.find(run, name)
  local found, names = nil, {}
  local list = M.callbacks(run)
  for _, callback in ipairs(list) do
    if callback.id == name then return callback end
  end
  for _, callback in ipairs(list) do
    if callback.name == name then found = callback end
    names[#names + 1] = callback.name
  end
  if found then return found end
  local others = #names > 0 and "; it has: " .. table.concat(names, ", ") or ": no step has created one yet"
  return nil, errors.new("refused", ("the run has no callback %s%s"):format(errors.show(name), suggest.hint(name, names, others)))
end

--- Compiles the schema of a callback: an object, or its JSON text.
---@param schema any
---@return step.schema.Validator? validator
---@return string? message
---@return any schema    as data
function M.compile(schema)
  if type(schema) == "string" then
    local data, err = json.decode(schema)
    if data == nil then return nil, tostring(err) end
    schema = data
  end
  local validator, err = require("step.schema").compile(schema)
  if not validator then return nil, tostring(err) end
  return validator, nil, schema
end

--- Raises what is no signal, where the program called.
---@param name any
---@param data any
---@param level? integer    of the caller to be blamed; default: that of the function that calls this
function M.check(name, data, level)
  level = (level or 2) + 1
  if type(name) ~= "string" then
    error(("bad argument #1 to 'signal' (a callback's name or id expected, got %s)"):format(type(name)), level)
  end
  local copy, problem = json.copy(data == nil and json.null or data)
  if copy == nil then error(("bad argument #2 to 'signal' (%s)"):format(tostring(problem)), level) end
end

--- Checks a signal, and leaves it for the run.
---@param run step.Run
---@param name string       the callback's id or name
---@param data any          JSON data; nil: null
---@return boolean? ok
---@return step.Error? err   kind "refused"
function M.send(run, name, data)
  if data == nil then data = json.null end
  local copy = json.copy(data)
  local state = run.state
  if state == "DONE" or state == "CANCELLED" then
    return nil, errors.new("refused", ("nobody waits for the signal any more: the run is %s"):format(state))
  end
  local callback, err = M.find(run, name)
  if not callback then return nil, err end
  if callback.schema ~= nil and callback.schema ~= json.null then
    local validator, message = M.compile(callback.schema)
    if not validator then
      return nil, errors.new("refused", ("the callback '%s' cannot be called, its schema is wrong: %s"):format(callback.name, message))
    end
    local good
    good, err = validator(copy)
    if not good then
      return nil, errors.new("refused", ("the data for the callback '%s' is refused: %s"):format(callback.name, tostring(err)))
    end
  end
  return run:post("signal", { callback = callback.id, data = copy })
end

--- The oldest signal for a callback, which is taken: it is gone once the run's step is stored.
---@param run step.Run
---@param id string
---@return { time: number, data: any }?
function M.take(run, id)
  for _, item in ipairs(run:posted()) do
    if item.kind == "signal" and item.body.callback == id then
      run:spend(item.seq)
      return { time = item.time, data = item.body.data }
    end
  end
end

--- The signals that no step of a run has taken yet, as data; nil: none.
---@param run step.Run
---@return table[]?
function M.export(run)
  local list
  for _, item in ipairs(run:posted()) do
    if item.kind == "signal" then
      list = list or json.array()
      list[#list + 1] = { kind = item.kind, time = time.format(item.time), body = json.copy(item.body) }
    end
  end
  return list
end

--- The inverse.
---@param exported any
---@return step.Posted[]? list
---@return integer? bad    which is none
function M.restored(exported)
  local list = {}
  for i, item in ipairs(type(exported) == "table" and exported or {}) do
    local body = type(item) == "table" and item.kind == "signal" and item.body
    local at = type(body) == "table" and time.parse(item.time)
    if not at or type(body.callback) ~= "string" then return nil, i end
    local data = body.data
    if data == nil then data = json.null end
    list[i] = { seq = i, time = at, kind = "signal", body = { callback = body.callback, data = json.copy(data) } }
  end
  return list
end

return M
