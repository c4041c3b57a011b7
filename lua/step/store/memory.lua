--- The store in memory: it keeps the run objects themselves, as long as the engine lives. There is nothing to claim and nothing
--- to save; the methods are those of lua/step/store/sqlite.lua as far as they make sense here.

local errors = require "step.error"
local runs = require "step.run"
local stored = require "step.stored"

local M = {}

---@class step.MemoryStore
---@field live true            rows hold the run itself, in `run`
---@field kind "memory"
---@field package rows table<string, table>      by id
---@field package order table[]                  oldest first; false: deleted
---@field package keys table<string, string>     id by idempotency key
---@field package cached table<string, { value: any, expires?: number }>
local Store = { live = true, kind = "memory", note = "runs are kept in memory as long as the engine lives" }
Store.__index = Store

---@return step.MemoryStore
function M.new() return setmetatable({ rows = {}, order = {}, keys = {}, cached = {} }, Store) end

--- Keeps a new run.
---@param row table    run, id, key, ...
---@return string id
---@return boolean created    false: a run was started with that key before; the id is that run's
function Store:create(row)
  if row.key then
    if self.keys[row.key] then return self.keys[row.key], false end
    self.keys[row.key] = row.id
  end
  row.number, row.posted = #self.order + 1, {}
  self.rows[row.id], self.order[row.number] = row, row
  return row.id, true
end

--- Keeps many.
---@param rows table[]
---@return boolean[] created    by place in the list
function Store:create_all(rows)
  local created = {}
  for i, row in ipairs(rows) do created[i] = select(2, self:create(row)) end
  return created
end

--- Why nothing can be written any more: never.
---@return nil
function Store:failed() return nil end -- luacheck: ignore 212/self

---@param id string
---@return table? row
function Store:get(id) return self.rows[id] end

--- The id of the run that was started with a key.
---@param key string
---@return string? id
function Store:by_key(key) return self.keys[key] end

local function matches(run, filter)
  if filter.id_prefix and run.id:sub(1, #filter.id_prefix) ~= filter.id_prefix then return false end
  if filter.state and run.state ~= filter.state then return false end
  if filter.definition and run.definition.name ~= filter.definition then return false end
  if filter.created_since and run.created < filter.created_since then return false end
  if filter.created_before and run.created >= filter.created_before then return false end
  if filter.parent and run.parent ~= filter.parent then return false end
  if type(filter.tag) == "string" and run.tags[filter.tag] == nil then return false end
  if type(filter.tag) == "table" then
    for name, value in pairs(filter.tag) do if run.tags[name] ~= value then return false end end
  end
  return true
end

--- A page of the runs that are not closed, oldest first unless `newest`.
---@param filter table    id_prefix, state, definition, tag, created_since, created_before, parent, newest, after, limit
---@return table[] rows
---@return integer? following    the next page's `after`
function Store:list(filter)
  local rows = {}
  local first, last, way = (filter.after or 0) + 1, #self.order, 1
  if filter.newest then first, last, way = (filter.after or #self.order + 1) - 1, 1, -1 end
  for number = first, last, way do
    local row = self.order[number]
    if row and not row.run.core:closed() and matches(row.run, filter) then
      rows[#rows + 1] = row
      if #rows == (filter.limit or math.huge) then return rows, number end
    end
  end
  return rows
end

--- How many children of a run there are in each state.
---@param parent string
---@param prefix string    that their ids begin with
---@return table<string, integer>
function Store:tally(parent, prefix)
  local count = {}
  for _, row in ipairs(self.order) do
    if row and row.parent == parent and row.id:sub(1, #prefix) == prefix and not row.run.core:closed() then
      local state = row.run.state
      count[state] = (count[state] or 0) + 1
    end
  end
  return count
end

-- When a worker is to take a run that is not being resolved, or nil.
local function due_time(run)
  local state = run.state
  if state ~= "RUNNING" and state ~= "CANCELLED" and run.core:ending() then return 0 end
  if state == "TODO" and run.not_before then return run.not_before end
  if state == "TODO" or state == "TO_AUTORUN" or state == "RETRY" or state == "AUTORUNNING" or state == "TO_AUTORUN_DELAYED" then
    return 0
  end
  if state == "ERROR" or state == "CRASHED" then return runs.due(run) or 0 end
  if state == "WAITING" then return run.woken or run.next_retry end
end

--- The runs that are due.
---@param options { now: number }
---@return table[] rows
function Store:claim(options)
  local rows = {}
  for _, row in ipairs(self.order) do
    if row and not row.run.core:closed() then
      local due = due_time(row.run)
      if due and due <= options.now then
        row.run.woken = nil
        rows[#rows + 1] = row
      end
    end
  end
  return rows
end

--- When the next run is due.
---@param options? { idle_at?: number }    not of runs that wait for somebody, and no longer than until a time after that
---@return number? time
function Store:next_due(options)
  local idle_at, earliest = options and options.idle_at, nil
  for _, row in ipairs(self.order) do
    if row and not row.run.core:closed() then
      local due = due_time(row.run)
      if idle_at and due and due > idle_at and row.run.state == "WAITING" then due = nil end
      if due and (not earliest or due < earliest) then earliest = due end
    end
  end
  return earliest
end

--- Leaves something for a run; one that is WAITING is due.
---@param id string
---@param kind string
---@param body any
---@param now number
---@return boolean? ok
---@return step.Error? err    kind "store": there is no such run
function Store:post(id, kind, body, now)
  local row = self.rows[id]
  if not row then return nil, errors.new("store", ("there is no run '%s'"):format(id), { code = "absent" }) end
  self.last_posted = (self.last_posted or 0) + 1
  table.insert(row.posted, { seq = self.last_posted, time = now, kind = kind, body = body })
  if row.run.state == "WAITING" then row.run.woken = now end
  return true
end

--- What was posted, oldest first.
---@param number integer
---@return step.Posted[]
function Store:take_inbox(number)
  local row = self.order[number]
  return row and table.move(row.posted, 1, #row.posted, 1, {}) or {}
end

--- Removes what was posted.
---@param number integer
---@param seq integer
function Store:remove_posted(number, seq)
  local row = self.order[number]
  for i, item in ipairs(row and row.posted or {}) do
    if item.seq == seq then return table.remove(row.posted, i) end
  end
end

local function ended(run) return run.state == "DONE" or run.state == "CANCELLED" end

--- The runs that have not ended, by the id of their parent.
---@return table<string, table[]>
local function open_children(self)
  local open = {}
  for _, row in ipairs(self.order) do
    if row and row.parent and not row.run.core:closed() and not ended(row.run) then
      open[row.parent] = open[row.parent] or {}
      table.insert(open[row.parent], { id = row.id, name = row.run.definition.name, state = row.run.state })
    end
  end
  return open
end

local function forget(self, row)
  self.rows[row.id], self.order[row.number] = nil, false
  if row.key then self.keys[row.key] = nil end
  row.run:close()
end

--- Forgets a run, unless children of it have not ended.
---@param id string
---@return boolean? ok
---@return step.Error? err    kind "refused"
function Store:delete(id)
  local row = self.rows[id]
  if not row then return nil, errors.new("refused", ("the engine has no run '%s'"):format(tostring(id))) end
  if row.run.state == "RUNNING" then return nil, errors.new("refused", ("run '%s' is running: cancel it first"):format(id)) end
  local open = open_children(self)[id]
  if open then return nil, errors.new("refused", stored.parental({ id = id, state = row.run.state }, open)) end
  forget(self, row)
  return true
end

--- Forgets runs that ended before a time, but for those whose parent may still want their result and those with children that have
--- not ended.
---@param options { older_than: number, states?: string[] }
---@return integer count
function Store:prune(options)
  local wanted, count, open = {}, 0, open_children(self)
  for _, state in ipairs(options.states or { "DONE", "CANCELLED" }) do wanted[state] = true end
  for _, row in ipairs(self.order) do
    local run = row and row.run
    local parent = run and run.parent and self.rows[run.parent]
    local needed = parent and not parent.run.core:closed() and not ended(parent.run)
    if run and not needed and not open[row.id] and not run.core:closed() and wanted[run.state] and run.state ~= "RUNNING" then
      local changed = select(8, run.core:status())
      if math.max(changed, run.created) < options.older_than then
        forget(self, row)
        count = count + 1
      end
    end
  end
  return count
end

local function nothing_kept(what)
  return nil, errors.new("unsupported", ("%s: runs in memory have none; give the engine a store"):format(what))
end

function Store:events() return nothing_kept "events" end -- luacheck: ignore 212/self

function Store:backup() return nothing_kept "a backup" end -- luacheck: ignore 212/self

---@param key string
---@param now number
---@return any value    nil: there is none, or its time is over
function Store:cache_get(key, now)
  local entry = self.cached[key]
  if entry and (not entry.expires or entry.expires > now) then return entry.value end
end

---@param key string
---@param value any
---@param expires? number
---@return true
function Store:cache_put(key, value, expires)
  self.cached[key] = { value = value, expires = expires }
  return true
end

---@param key string
---@return true
function Store:cache_delete(key)
  self.cached[key] = nil
  return true
end

function Store:close()
  for _, row in pairs(self.rows) do row.run:close() end
  self.rows, self.order, self.keys, self.cached = {}, {}, {}, {}
end

return M
