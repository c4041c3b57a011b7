--- The store in an SQLite file: runs survive the process, and several processes may work on them. csrc/store holds what is
-- hot, `save` above all.
--
-- Every failure is nil and an error of kind "store" whose `code` is a word for programs: "busy", "full", "ioerr", "readonly",
-- "corrupt", "moved" (the file was replaced under us), "forked", "closed", and "owned", "parent", "absent", "lost", "json" of
-- single methods. After the first that means the file cannot be written any more, every write gives that same error object.

local access = require "step.store.sqlite.access"
local cache = require "step.store.sqlite.cache"
local claims = require "step.store.sqlite.claims"
local core = require "step.core"
local definitions = require "step.store.sqlite.definitions"
local errors = require "step.error"
local opening = require "step.store.sqlite.open"
local runs = require "step.store.sqlite.runs"
local upkeep = require "step.store.sqlite.upkeep"

local M = {}

---@class step.SqliteStore
---@field kind "sqlite"
---@field path string
---@field journal "wal"|"rollback"
---@field note string       what was chosen and why
---@field db userdata      this and what follows is for the parts of the store
---@field now fun(): number
---@field broken? step.Error
---@field moving table<userdata, step.StoredDefinition>   core run -> its definition from the next save on; weak
local Store = { __name = "step.SqliteStore", kind = "sqlite" }
Store.__index = Store

for _, part in ipairs { definitions, runs, claims, upkeep, cache } do
  for name, method in pairs(part.methods) do Store[name] = method end
end

local failure, refusal, query = access.failure, access.refusal, access.query

---@class step.StoreOptions
---@field durability? "full"|"relaxed"   relaxed: a crash of the system may lose what was acknowledged last
---@field exclusive? boolean             one process has the file for itself
---@field now? fun(): number             seconds since the epoch; default: the system's clock

--- Opens the store in a file, or makes it.
---@param path string
---@param options? step.StoreOptions
---@return step.SqliteStore?
---@return step.Error? err   kind "store"
function M.open(path, options)
  options = options or {}
  if type(path) ~= "string" or path == "" or path:find "\0" or path:sub(1, 1) == ":" then
    error(("bad argument #1 to 'open' (the name of a file expected, got %s)"):format(errors.show(path)), 2)
  end
  local durability = options.durability or "full"
  if durability ~= "full" and durability ~= "relaxed" then
    error(("bad option 'durability' (found %s; accepted: full, relaxed)"):format(errors.show(durability)), 2)
  end
  local opened, err = opening.open(path, options)
  if not opened then return nil, err end
  return setmetatable({
    db = opened.db, path = path, journal = opened.journal, note = opened.note, now = options.now or core.now,
    moving = setmetatable({}, { __mode = "k" }),
  }, Store)
end

--- Closes the file; everything else is refused from then on. A second close does nothing.
function Store:close() self.db:close() end

Store.__close = Store.close

--- Why nothing can be written any more; nil: it can.
---@return step.Error?
function Store:failed() return self.broken end

--- Examines the whole file.
---@return boolean? ok
---@return step.Error? err   code "corrupt": what was found
function Store:check()
  local found, err = query(self, "PRAGMA integrity_check(10)")
  if not found then return nil, err end
  local words = {}
  for _, row in ipairs(found) do
    if row.integrity_check ~= "ok" then words[#words + 1] = row.integrity_check end
  end
  found, err = query(self, "PRAGMA foreign_key_check")
  if not found then return nil, err end
  if #found > 0 then words[#words + 1] = ("%d rows refer to what is not there"):format(#found) end
  if #words == 0 then return true end
  return nil, failure(self, "corrupt", "integrity_check found: " .. table.concat(words, "; "))
end

--- Copies the store as it is now into a new file, while others go on.
---@param path string   nothing may be there
---@return boolean? ok
---@return step.Error? err   code "exists"
function Store:backup(path)
  if type(path) ~= "string" or path == "" or path:find "\0" then
    error(("bad argument #1 to 'backup' (the name of a file expected, got %s)"):format(errors.show(path)), 2)
  end
  local ok, code, message = self.db:backup(path)
  if ok then return true end
  return nil, refusal(self, code, ("no backup to '%s': %s"):format(path, message))
end

return M
