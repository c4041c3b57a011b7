--- Who works on a run of the SQLite store: claims with their leases and epochs (D27), what an owner saves, what others post to it.

local access = require "step.store.sqlite.access"
local definitions = require "step.store.sqlite.definitions"
local errors = require "step.error"
local json = require "step.json"
local runs = require "step.store.sqlite.runs"

local outcome, query, must, change, write = access.outcome, access.query, access.must, access.change, access.write
local refusal, encode, decode = access.refusal, access.encode, access.decode
local MOST_TAKEOVERS = runs.MOST_TAKEOVERS

---@class step.SqliteStore
local methods = {}

-- Runs that a worker can carry on: their definition is data, or code that it has.
local FEASIBLE = " AND (?1 IS NULL OR definition IN (SELECT value FROM json_each(?1)) OR name IN (SELECT value FROM json_each(?2))"
  .. " OR (SELECT code FROM definition WHERE hash = run.definition) = 0)"
local DUE = "SELECT number, state, takeovers FROM run WHERE due <= ?3" .. FEASIBLE .. " ORDER BY due, number LIMIT ?4"
local BY_ID = "SELECT number, state, takeovers FROM run WHERE id = ?1"
  .. " AND (due <= ?2 OR owner IS NULL AND state <> 'RUNNING')"

--- What a worker has, as parameters of FEASIBLE.
local function feasible(options)
  if not options.hashes then return nil, nil end
  return json.encode(json.array(options.hashes)), json.encode(json.array(options.names or {}))
end

local function candidates(self, options, limit)
  if options.id then return query(self, BY_ID, options.id, options.now) end
  local hashes, names = feasible(options)
  return query(self, DUE, hashes, names, options.now, limit)
end

--- A run that has outlived so many owners is nobody's any more (D27).
local function block(self, row, now)
  change(self, "UPDATE run SET state = 'BLOCKED_TOCHECK', owner = NULL, due = NULL, next_retry = NULL, epoch = epoch + 1,"
    .. " takeovers = takeovers + 1, changed = ?2 WHERE number = ?1", row.number, now)
  change(self, "INSERT INTO event (run, seq, time, \"from\", \"to\", message)"
    .. " SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5 FROM event WHERE run = ?1",
    row.number, now, row.state, "BLOCKED_TOCHECK", ("taken over more than %d times"):format(MOST_TAKEOVERS))
end

local function claim(self, options, limit)
  local claimed, blocked = {}, {}
  while #claimed < limit do
    local found = must(candidates(self, options, limit - #claimed))
    if #found == 0 then break end
    for _, row in ipairs(found) do
      local running, takeovers = row.state == "RUNNING", row.takeovers
      local worn = takeovers > MOST_TAKEOVERS
      if running then takeovers = takeovers + 1 elseif row.state == "BLOCKED_TOCHECK" then takeovers = 0 end
      if takeovers > MOST_TAKEOVERS then
        block(self, row, options.now)
        blocked[#blocked + 1] = must(runs.by_number(self, row.number))
      else
        change(self, "UPDATE run SET epoch = epoch + 1, owner = ?2, due = ?3, takeovers = ?4 WHERE number = ?1", row.number, options.owner,
          options.now + options.lease, takeovers)
        local whole = must(runs.by_number(self, row.number))
        whole.taken_over, whole.orphaned = running, running or worn
        claimed[#claimed + 1] = whole
      end
    end
    if options.id then break end
  end
  return claimed, blocked
end

---@class step.ClaimOptions
---@field owner string
---@field now number
---@field lease number       seconds
---@field limit? integer     default 1
---@field id? string         this run, due or not, if nobody owns it
---@field hashes? string[]    of the definitions the worker has: runs of other code are left alone; default: all
---@field names? string[]     of definitions that the worker takes for any version of them

--- Claims runs that are due, the longest due first, for the length of the lease. A run that was RUNNING is taken over: its owner is
--- gone. Taken over more than 100 times, it becomes BLOCKED_TOCHECK instead; when a person claims it then, counting begins anew.
---@param options step.ClaimOptions
---@return step.StoredRun[]? rows   as they are now
---@return step.StoredRun[]|step.Error blocked    the runs that became BLOCKED_TOCHECK
function methods:claim(options)
  local limit = options.id and 1 or options.limit or 1
  local found, err = candidates(self, options, 1)
  if not found then return nil, err end
  if #found == 0 then return {}, {} end -- nobody has had to wait for us
  return write(self, claim, options, limit)
end

local STRANDED = "SELECT number, min(due) FROM run WHERE due <= ?3 AND NOT (TRUE" .. FEASIBLE
  .. ") GROUP BY definition ORDER BY due, number"

--- Of each definition that a worker does not have, though it needs to: the run that has been due for the longest time.
---@param options { now: number, hashes?: string[], names?: string[] }    as for claim
---@return step.StoredRun[]? rows
---@return step.Error? err
function methods:stranded(options)
  local hashes, names = feasible(options)
  local found, err = query(self, STRANDED, hashes, names, options.now)
  if not found then return nil, err end
  local rows = {}
  for _, one in ipairs(found) do
    local row
    row, err = runs.by_number(self, one.number)
    if err then return nil, err end
    rows[#rows + 1] = row
  end
  return rows
end

-- ---- what its owner does ----

--- Tells which row a core run is, for save.
---@param number integer
---@param epoch integer
---@param core_run userdata   held weakly
---@param definition? step.StoredDefinition    it goes on with this version of its definition. That is stored with its next save,
--- which is to store all of its steps: until then it is what it was, and should the process die, it stays that.
function methods:bind(number, epoch, core_run, definition)
  self.db:bind(core_run, number, epoch)
  if definition then self.moving[core_run] = definition end
end

--- Its step rows go: their numbers mean other steps now.
local function move(self, core_run, definition)
  local number, epoch = self.db:bound(core_run)
  local row = must(query(self, "SELECT definition FROM run WHERE number = ? AND epoch = ?", number, epoch))[1]
  if not row then return end -- it is lost
  definitions.insert(self, definition)
  change(self, "UPDATE run SET definition = ?2 WHERE number = ?1", number, definition.hash)
  change(self, "DELETE FROM step WHERE run = ?", number)
  if row.definition ~= definition.hash then definitions.drop(self, row.definition) end
end

--- Saves when some of the runs get another version of their definition.
local function save_moving(self, list, options)
  local function first()
    for _, core_run in ipairs(list) do
      if self.moving[core_run] then move(self, core_run, self.moving[core_run]) end
    end
  end
  local db = self.db
  local results = table.pack(pcall(db.save, db, list, options.now, options.lease, options.heard, options.spent, first))
  if not results[1] then
    if errors.is(results[2]) then return nil, results[2] end
    error(results[2], 0)
  end
  local lost, err = outcome(self, table.unpack(results, 2, results.n))
  if not lost then return nil, err end
  for _, core_run in ipairs(list) do self.moving[core_run] = nil end
  return lost
end

---@class step.SaveOptions
---@field now number
---@field lease? number    nil: all are RUNNING as they were when they were saved last, or not at all; their leases are left as they are
---@field heard? table<userdata, integer>   what was posted up to that number is known: it makes the run due no more
---@field spent? table<userdata, integer[]>  what was posted under these numbers has been dealt with: it is removed with this save

--- Stores what has changed in the runs, all in one transaction. A run that is not RUNNING afterwards is nobody's any more;
--- it is due by its state, or at once when something waits in its inbox.
---@param list userdata[]
---@param options step.SaveOptions
---@return userdata[]? lost   runs that somebody else has claimed: nothing of them was stored
---@return step.Error? err    nothing at all was stored
function methods:save(list, options)
  if next(self.moving) then return save_moving(self, list, options) end
  return outcome(self, self.db:save(list, options.now, options.lease, options.heard, options.spent))
end

--- Prolongs leases.
---@param list userdata[]
---@param options { now: number, lease: number }
---@return userdata[]? lost   runs that are not ours any more
---@return step.Error? err
function methods:renew(list, options)
  return outcome(self, self.db:renew(list, options.now + options.lease))
end

--- Gives a claim back, the run as it was.
---@param run userdata|{ number: integer, epoch: integer }   a core run that is bound, or a row that claim gave
---@return boolean? released   false: it was not ours any more
---@return step.Error? err
function methods:release(run)
  local number, epoch
  if type(run) == "table" then number, epoch = run.number, run.epoch else number, epoch = self.db:bound(run) end
  if not number then error("bad argument #1 to 'release' (a run that was not bound to its row)", 2) end
  return outcome(self, self.db:release(number, epoch, self.now()))
end

--- When the next run is due; a time that is over: now. nil: none by itself.
---@param options? { hashes?: string[], names?: string[], idle_at?: number }
--- the first two as for claim; idle_at: not of runs that wait for somebody, and no longer than until a time after that
---@return number?
---@return step.Error? err
function methods:next_due(options)
  options = options or {}
  local hashes, names = feasible(options)
  local rows, err = query(self, "SELECT due FROM run WHERE due IS NOT NULL" .. FEASIBLE
    .. " AND (?3 IS NULL OR state <> 'WAITING' OR due <= ?3) ORDER BY due LIMIT 1", hashes, names, options.idle_at)
  if not rows then return nil, err end
  return rows[1] and rows[1].due
end

-- ---- inbox ----

local function post(self, id, kind, body, now)
  local row = must(query(self, "SELECT number FROM run WHERE id = ?", id))[1]
  if not row then error(refusal(self, "absent", ("there is no run '%s'"):format(id)), 0) end
  change(self, "INSERT INTO inbox (run, time, kind, body) VALUES (?, ?, ?, ?)", row.number, now, kind, encode(self, "body", body))
  change(self, "UPDATE run SET due = ?2 WHERE number = ?1 AND owner IS NULL AND state = 'WAITING'",
    row.number, now)
  return true
end

--- Leaves something for the run's owner; when nobody owns the run and it is WAITING it is due now.
---@param id string
---@param kind string
---@param body any     JSON data
---@param now number
---@return boolean? ok
---@return step.Error? err   code "absent"
function methods:post(id, kind, body, now) return write(self, post, id, kind, body, now) end

---@class step.Posted
---@field seq integer
---@field time number
---@field kind string
---@field body any

--- What was posted, oldest first; it stays until a save says that it is `spent`.
---@param number integer
---@return step.Posted[]?
---@return step.Error? err
function methods:take_inbox(number)
  local rows, err = query(self, "SELECT seq, time, kind, body FROM inbox WHERE run = ? ORDER BY seq", number)
  if not rows then return nil, err end
  for _, row in ipairs(rows) do
    local ok
    ok, err = decode(self, row, { "body" }, "what was posted")
    if not ok then return nil, err end
  end
  return rows
end

return { methods = methods }
