--- Removes what is over from the SQLite store.

local access = require "step.store.sqlite.access"
local definitions = require "step.store.sqlite.definitions"
local errors = require "step.error"
local stored = require "step.stored"

local refusal, query, must, change, write = access.refusal, access.query, access.must, access.change, access.write

---@class step.SqliteStore
local methods = {}

local PAGE = 100 -- runs at a time

local function remove(self, row)
  change(self, "DELETE FROM run WHERE number = ?", row.number)
  definitions.drop(self, row.definition)
end

local OPEN_CHILDREN = " FROM run AS child WHERE child.parent = %s AND child.state NOT IN ('DONE', 'CANCELLED')"

local function delete(self, id)
  local row = must(query(self, "SELECT id, number, definition, owner, state, due FROM run WHERE id = ?", id))[1]
  if not row then error(refusal(self, "absent", ("there is no run '%s'"):format(id)), 0) end
  if (row.owner or row.state == "RUNNING") and row.due and row.due > self.now() then
    local who = row.owner and " by " .. row.owner or ""
    error(refusal(self, "owned", ("the run '%s' is being worked on%s: cancel it first"):format(id, who)), 0)
  end
  local open = must(query(self, "SELECT id, name, state" .. OPEN_CHILDREN:format "?" .. " ORDER BY number", id))
  if #open > 0 then error(refusal(self, "parent", stored.parental(row, open)), 0) end
  remove(self, row)
  return true
end

--- Removes a run that nobody works on, with all that belongs to it.
---@param id string
---@return boolean? ok
---@return step.Error? err   code "owned", "parent": children of it have not ended, or "absent"
function methods:delete(id) return write(self, delete, id) end

local function prune(self, options, state, after)
  local rows = must(query(self, "SELECT number, definition FROM run WHERE state = ?1 AND number > ?2 AND changed < ?3 AND owner IS NULL"
    .. " AND NOT EXISTS (SELECT 1 FROM run AS other WHERE other.id = run.parent AND other.state NOT IN ('DONE', 'CANCELLED'))"
    .. " AND NOT EXISTS (SELECT 1" .. OPEN_CHILDREN:format "run.id" .. ")"
    .. " ORDER BY number LIMIT ?4", state, after, options.older_than, PAGE))
  for _, row in ipairs(rows) do remove(self, row) end
  return rows
end

--- Gives free pages at the end of the file back, some at a time.
local function shrink(self)
  while must(query(self, "PRAGMA freelist_count"))[1].freelist_count > 0 do
    must(write(self, function()
      change(self, "PRAGMA incremental_vacuum(256)")
      return true
    end))
  end
  if self.journal == "wal" then must(query(self, "PRAGMA wal_checkpoint(PASSIVE)")) end -- the file itself changes only now
  return true
end

--- Removes runs that ended before a time, but for those whose parent may still want their result and those with children that have
--- not ended; some at a time, so that nobody has to wait for long.
---@param options { older_than: number, states?: string[] }   default: DONE and CANCELLED
---@return integer? count
---@return step.Error? err   what was removed before stays removed
function methods:prune(options)
  local count = 0
  for _, state in ipairs(options.states or { "DONE", "CANCELLED" }) do
    local after = 0
    repeat
      local rows, err = write(self, prune, options, state, after)
      if not rows then return nil, err end
      count = count + #rows
      after = #rows > 0 and rows[#rows].number or after
    until #rows < PAGE
  end
  if count > 0 then
    local ok, err = pcall(shrink, self)
    if not ok then
      if errors.is(err) then return nil, err end
      error(err, 0)
    end
  end
  return count
end

return { methods = methods }
