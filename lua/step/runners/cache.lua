--- The runner `cache` (µTask's): values that outlive a run, in the engine's store.
--
-- Configuration: action ("get", "set" or "delete"), key, value (of set: anything), ttl (of set: seconds, or "1h"; 0 or absent: for
-- ever). Output of get { key, hit, value }, of set { key, cached = true }, of delete { key, deleted = true }. Runs that belong to no
-- engine share one cache, as long as the process lives.

local duration = require "step.duration"
local errors = require "step.error"
local json = require "step.json"
local settings = require "step.settings"

local M = { idempotent = true }

local FIELDS = {
  action = { kind = "text", accepted = { "get", "set", "delete" } }, key = { kind = "text" }, value = { kind = "any" },
  ttl = { kind = "any" },
}

local function ttl_of(value)
  if value == nil then return 0 end
  local seconds, message = tonumber(value), nil
  if not seconds then seconds, message = duration.seconds(value) end
  if not seconds then return nil, "ttl: " .. message end
  if not (seconds >= 0 and seconds < math.huge) then return nil, "ttl: seconds from 0 are expected, found " .. errors.show(value) end
  return seconds
end

local function read(base_config, config, open)
  local set, message = settings.read(base_config, config, FIELDS, open)
  if not set then return nil, message end
  if set.action == nil then return nil, "action: get, set or delete is expected" end
  if set.key == nil or set.key == "" then return nil, "key: a text that is not empty is expected" end
  if not (open and settings.is_open(set.ttl)) then
    set.ttl, message = ttl_of(set.ttl)
    if message then return nil, message end
  end
  return set
end

function M.valid_config(base_config, config)
  local set, message = read(base_config, config, true)
  return set and true, message
end

local shared
--- The store of a run that has none.
local function own_store()
  shared = shared or require("step.store.memory").new()
  return shared
end

local ACTIONS = {}

function ACTIONS.get(store, set, now)
  local value, err = store:cache_get(set.key, now)
  if err then return nil, err end
  return { key = set.key, hit = value ~= nil, value = value == nil and json.null or value }
end

function ACTIONS.set(store, set, now)
  local value = set.value == nil and json.null or set.value
  local ok, err = store:cache_put(set.key, value, set.ttl > 0 and now + set.ttl or nil)
  if not ok then return nil, err end
  return { key = set.key, cached = true }
end

function ACTIONS.delete(store, set)
  local ok, err = store:cache_delete(set.key)
  if not ok then return nil, err end
  return { key = set.key, deleted = true }
end

function M.exec(_, base_config, config, ctx)
  local set, message = read(base_config, config)
  if not set then error(errors.bad_request(message)) end
  local store = ctx.engine and ctx.engine.store or own_store()
  local output, err = ACTIONS[set.action](store, set, ctx.run.loop:now())
  return output, nil, nil, err
end

return M
