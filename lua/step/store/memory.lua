--- The store in memory: it keeps the run objects themselves, as long as the engine lives. There is nothing to claim and nothing
--- to save; the methods are those of lua/step/store/sqlite.lua as far as they make sense here.

local errors = require "step.error"
local runs = require "step.run"
local stored = require "step.stored"

local M = {}

--- Values in the cache whose time may be over, if there are few others.
local MOST_STALE = 100

---@class step.MemoryStore
---@field live true            rows hold the run itself, in `run`
---@field kind "memory"
---@field package rows table<string, table>      by id
---@field package numbered table<integer, table> by number
---@field package last integer                   the number given last
---@field package all step.memory.List
---@field package kids table<string, step.memory.List>   by the parent's id
---@field package near table[]                   the rows that may be due now or later without anybody's doing, in any order; row.near
---@field package keys table<string, string>     id by idempotency key
---@field package cached table<string, { value: any, expires?: number }>
---@field package puts integer                   into the cache, since what was over was forgotten
---@field package sweep_after integer            how many of these until that is done again
local Store = { live = true, kind = "memory", note = "runs are kept in memory as long as the engine lives" }
Store.__index = Store

---@return step.MemoryStore
function M.new()
  return setmetatable({
    rows = {}, numbered = {}, last = 0, all = { gone = 0 }, kids = {}, near = {}, keys = {}, cached = {}, puts = 0,
    sweep_after = MOST_STALE,
  }, Store)
end

-- ---- lists of rows ----

---@class step.memory.List    rows, oldest first
---@field gone integer        how many of them are deleted: row.gone

--- One of a list is deleted. What is left is moved together now and then.
local function drop(list)
  list.gone = list.gone + 1
  if list.gone * 2 <= #list then return end
  local n, size = 0, #list
  for i = 1, size do
    local row = list[i]
    if not row.gone then
      n = n + 1
      list[n] = row
    end
  end
  for i = size, n + 1, -1 do list[i] = nil end
  list.gone = 0
end

--- How many of a list have that number or a smaller one.
local function upto(list, number)
  local low, high = 0, #list
  while low < high do
    local middle = (low + high + 1) // 2
    if list[middle].number <= number then low = middle else high = middle - 1 end
  end
  return low
end

local function ended(run) return run.state == "DONE" or run.state == "CANCELLED" end

local function present(row) return not row.gone and not row.run.core:closed() end

-- ---- runs ----

--- Keeps a new run.
---@param row table    run, id, key, ...
---@return string id
---@return boolean created    false: a run was started with that key before; the id is that run's
function Store:create(row)
  if row.key then
    if self.keys[row.key] then return self.keys[row.key], false end
    self.keys[row.key] = row.id
  end
  self.last = self.last + 1
  row.number, row.posted = self.last, {}
  self.rows[row.id], self.numbered[row.number] = row, row
  table.insert(self.all, row)
  if row.parent then
    self.kids[row.parent] = self.kids[row.parent] or { gone = 0 }
    table.insert(self.kids[row.parent], row)
  end
  self:touch(row.id)
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

--- Somebody is about to change a run: it may be due then.
---@param id string
function Store:touch(id)
  local row = self.rows[id]
  if not row or row.near then return end
  row.near = true
  table.insert(self.near, row)
end

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
  local rows, list = {}, self.all
  if filter.parent then list = self.kids[filter.parent] or {} end
  local first, last, way = filter.after and upto(list, filter.after) + 1 or 1, #list, 1
  if filter.newest then first, last, way = filter.after and upto(list, filter.after - 1) or #list, 1, -1 end
  for i = first, last, way do
    local row = list[i]
    if present(row) and matches(row.run, filter) then
      rows[#rows + 1] = row
      if #rows == (filter.limit or math.huge) then return rows, row.number end
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
  for _, row in ipairs(self.kids[parent] or {}) do
    local c = row.run.core
    if not row.gone and not c:closed() and row.id:find(prefix, 1, true) == 1 then
      local state = c:status()
      count[state] = (count[state] or 0) + 1
    end
  end
  return count
end

--- What a step has started and has not ended has no parent any more.
---@param parent string
---@param step string
---@return true
function Store:release_children(parent, step)
  local kept = { gone = 0 }
  for _, row in ipairs(self.kids[parent] or {}) do
    if row.parent_step == step and present(row) and not ended(row.run) then
      row.parent, row.run.parent = nil, nil
    elseif not row.gone then
      kept[#kept + 1] = row
    end
  end
  self.kids[parent] = kept[1] and kept or nil
  return true
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

--- Calls fn with each row that is near and the time at which it is due. Those that nothing but somebody's doing makes due any more
--- are near no longer.
local function each_due(self, fn)
  local near, n = self.near, 0
  local size = #near
  for i = 1, size do
    local row = near[i]
    local due = present(row) and due_time(row.run)
    if due or present(row) and row.run.state == "RUNNING" then
      n = n + 1
      near[n] = row
      if due then fn(row, due) end
    else
      row.near = nil
    end
  end
  for i = size, n + 1, -1 do near[i] = nil end
end

--- The runs that are due, oldest first.
---@param options { now: number }
---@return table[] rows
function Store:claim(options)
  local rows = {}
  each_due(self, function(row, due)
    if due > options.now then return end
    row.run.woken = nil
    rows[#rows + 1] = row
  end)
  table.sort(rows, function(a, b) return a.number < b.number end)
  return rows
end

--- When the next run is due.
---@param options? { idle_at?: number }    not of runs that wait for somebody, and no longer than until a time after that
---@return number? time
function Store:next_due(options)
  local idle_at, earliest = options and options.idle_at, nil
  each_due(self, function(row, due)
    if idle_at and due > idle_at and row.run.state == "WAITING" then return end
    if not earliest or due < earliest then earliest = due end
  end)
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
  self:touch(id)
  return true
end

--- What was posted, oldest first.
---@param number integer
---@return step.Posted[]
function Store:take_inbox(number)
  local row = self.numbered[number]
  return row and table.move(row.posted, 1, #row.posted, 1, {}) or {}
end

--- Removes what was posted.
---@param number integer
---@param seq integer
function Store:remove_posted(number, seq)
  local row = self.numbered[number]
  for i, item in ipairs(row and row.posted or {}) do
    if item.seq == seq then return table.remove(row.posted, i) end
  end
end

--- The children of a run that have not ended.
local function open_children(self, id)
  local open = {}
  for _, row in ipairs(self.kids[id] or {}) do
    if present(row) and not ended(row.run) then
      open[#open + 1] = { id = row.id, name = row.run.definition.name, state = row.run.state }
    end
  end
  return open
end

local function forget(self, row)
  self.rows[row.id], self.numbered[row.number], row.gone = nil, nil, true
  if row.key then self.keys[row.key] = nil end
  drop(self.all)
  local siblings = row.parent and self.kids[row.parent]
  if siblings then
    drop(siblings)
    if #siblings == 0 then self.kids[row.parent] = nil end
  end
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
  local open = open_children(self, id)
  if #open > 0 then return nil, errors.new("refused", stored.parental({ id = id, state = row.run.state }, open)) end
  forget(self, row)
  return true
end

--- Forgets runs that ended before a time, but for those whose parent may still want their result and those with children that have
--- not ended.
---@param options { older_than: number, states?: string[] }
---@return integer count
function Store:prune(options)
  local wanted, old = {}, {}
  for _, state in ipairs(options.states or { "DONE", "CANCELLED" }) do wanted[state] = true end
  for _, row in ipairs(self.all) do
    local run = row.run
    if present(row) and wanted[run.state] and run.state ~= "RUNNING" then
      local parent = run.parent and self.rows[run.parent]
      local needed = parent and not parent.run.core:closed() and not ended(parent.run)
      local changed = math.max(select(8, run.core:status()), run.created)
      if changed < options.older_than and not needed and #open_children(self, row.id) == 0 then old[#old + 1] = row end
    end
  end
  for _, row in ipairs(old) do forget(self, row) end
  return #old
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
---@param now? number    what is over by then is forgotten, not each time
---@return true
function Store:cache_put(key, value, expires, now)
  self.cached[key] = { value = value, expires = expires }
  self.puts = self.puts + 1
  if not now or self.puts < self.sweep_after then return true end
  local left = 0
  for name, entry in pairs(self.cached) do
    if entry.expires and entry.expires <= now then self.cached[name] = nil else left = left + 1 end
  end
  self.puts, self.sweep_after = 0, math.max(left, MOST_STALE)
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
  self.rows, self.numbered, self.all, self.kids, self.near, self.keys, self.cached = {}, {}, { gone = 0 }, {}, {}, {}, {}
end

return M
