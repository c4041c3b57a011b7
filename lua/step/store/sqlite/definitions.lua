--- The definitions of the runs in the SQLite store: each is there once, for as long as a run has it.

local access = require "step.store.sqlite.access"

local query, change = access.query, access.change

---@class step.SqliteStore
local methods = {}

---@class step.StoredDefinition
---@field hash string
---@field name string
---@field code boolean      it holds Lua functions
---@field document string   JSON

local function insert(self, definition)
  change(self, "INSERT INTO definition (hash, name, code, document) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    definition.hash, definition.name, not not definition.code, definition.document)
end

--- Removes a definition that no run has any more.
local function drop(self, hash)
  change(self, "DELETE FROM definition WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM run WHERE definition = ?1)", hash)
end

--- The definition of that hash.
---@param hash string
---@return step.StoredDefinition?
---@return step.Error? err   neither: there is none
function methods:definition(hash)
  local rows, err = query(self, "SELECT * FROM definition WHERE hash = ?", hash)
  if not rows then return nil, err end
  local row = rows[1]
  if row then row.code = row.code ~= 0 end
  return row
end

return { methods = methods, insert = insert, drop = drop }
