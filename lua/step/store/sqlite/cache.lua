--- Values that are kept for a time in the SQLite store.

local access = require "step.store.sqlite.access"

local query, change, write, encode, decode = access.query, access.change, access.write, access.encode, access.decode

---@class step.SqliteStore
local methods = {}

--- A value that was kept.
---@param key string
---@param now number
---@return any value         nil: there is none, or it has expired
---@return step.Error? err
function methods:cache_get(key, now)
  local rows, err = query(self, "SELECT value FROM cache WHERE key = ?1 AND (expires IS NULL OR expires > ?2)", key, now)
  if not rows then return nil, err end
  if not rows[1] then return nil end
  local row
  row, err = decode(self, rows[1], { "value" }, "cache entry " .. key)
  if not row then return nil, err end
  return row.value
end

local function cache_put(self, key, value, expires)
  change(self, "DELETE FROM cache WHERE expires <= ?", self.now())
  change(self, "INSERT INTO cache (key, value, expires) VALUES (?1, ?2, ?3)"
    .. " ON CONFLICT (key) DO UPDATE SET value = ?2, expires = ?3", key, encode(self, "value", value), expires)
  return true
end

--- Keeps a value.
---@param key string
---@param value any          JSON data, not nil
---@param expires? number    seconds since the epoch
---@return boolean? ok
---@return step.Error? err
function methods:cache_put(key, value, expires)
  if value == nil then error("bad argument #2 to 'cache_put' (value expected)", 2) end
  return write(self, cache_put, key, value, expires)
end

--- Forgets a value.
---@param key string
---@return boolean? ok
---@return step.Error? err
function methods:cache_delete(key)
  return write(self, function()
    change(self, "DELETE FROM cache WHERE key = ?", key)
    return true
  end)
end

return { methods = methods }
