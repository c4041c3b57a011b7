--- The runner `cache` (µTask's): values that outlive a run, in the engine's store.
--
-- Configuration: action ("get", "set" or "delete"), key, value (of set: anything), ttl (of set: seconds, or "1h"; 0 or absent: for
-- ever). Output of get { key, hit, value }, of set { key, cached = true }, of delete { key, deleted = true }. Runs that belong to no
-- engine share one cache, as long as the process lives.

local json = require "step.json"
local settings = require "step.settings"

local M = { idempotent = true }

local configuration = settings.reader {
  action = { kind = "text", accepted = { "get", "set", "delete" }, required = "get, set or delete" },
  key = { kind = "text", required = "a text that is not empty" }, value = { kind = "any" }, ttl = { kind = "span", zero = true },
}

M.valid_config = configuration.valid_config

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
  local value, ttl = set.value == nil and json.null or set.value, set.ttl or 0
  local ok, err = store:cache_put(set.key, value, ttl > 0 and now + ttl or nil, now)
  if not ok then return nil, err end
  return { key = set.key, cached = true }
end

function ACTIONS.delete(store, set)
  local ok, err = store:cache_delete(set.key)
  if not ok then return nil, err end
  return { key = set.key, deleted = true }
end

function M.exec(_, base_config, config, ctx)
  local set = configuration.read(base_config, config)
  local store = ctx.engine and ctx.engine.store or own_store()
  local output, err = ACTIONS[set.action](store, set, ctx.run.loop:now())
  return output, nil, nil, err
end

return M
