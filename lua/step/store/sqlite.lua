--- The store in an SQLite file: runs survive the process, and several processes may work on them. csrc/store holds what is
-- hot, `save` above all.
--
-- Every failure is nil and an error of kind "store" whose `code` is a word for programs: "busy", "full", "ioerr", "readonly",
-- "corrupt", "moved" (the file was replaced under us), "forked", "closed", and "owned", "parent", "absent", "lost", "json" of
-- single methods. After the first that means the file cannot be written any more, every write gives that same error object.

local core = require "step.core"
local errors = require "step.error"
local filter = require "step.store.filter"
local json = require "step.json"
local opening = require "step.store.sqlite.open"
local stored = require "step.stored"

local M = {}

---@class step.SqliteStore
---@field kind "sqlite"
---@field path string
---@field journal "wal"|"rollback"
---@field note string       what was chosen and why
---@field package db userdata
---@field package now fun(): number
---@field package broken? step.Error
---@field package moving table<userdata, step.StoredDefinition>   core run -> its definition from the next save on; weak
local Store = { __name = "step.SqliteStore", kind = "sqlite" }
Store.__index = Store

local MOST_TAKEOVERS = 100 -- D27
local PAGE = 100 -- rows of steps, runs to be pruned: at a time

-- ---- failures ----

--- The error object for what step.sqlite gave.
local function failure(self, code, message, fatal)
  local broken = self.broken
  if broken and broken.code == code and broken.cause == message then return broken end
  local err = opening.failure(self.path, code, message)
  if fatal then self.broken = err end
  return err
end

local function refusal(self, code, message)
  return errors.new("store", ("the store %s: %s"):format(self.path, message), { code = code })
end

--- What a call of step.sqlite gave, failures as nil, err.
local function outcome(self, value, code, message, fatal)
  if value == nil then return nil, failure(self, code, message, fatal) end
  return value
end

local function query(self, sql, ...) return outcome(self, self.db:all(sql, ...)) end

--- Inside a transaction: nothing is done after a failure.
local function must(value, err)
  if value == nil then error(err, 0) end
  return value
end

local function change(self, sql, ...)
  local count, second, message, fatal = self.db:run(sql, ...)
  if count == nil then error(failure(self, second, message, fatal), 0) end
  return count, second
end

--- Calls fn(self, ...) in a transaction.
local function write(self, fn, ...)
  local ok, err = outcome(self, self.db:begin())
  if not ok then return nil, err end
  local results = table.pack(pcall(fn, self, ...))
  if not results[1] then
    self.db:rollback()
    if errors.is(results[2]) then return nil, results[2] end
    error(results[2], 0)
  end
  ok, err = outcome(self, self.db:commit())
  if not ok then return nil, err end
  return table.unpack(results, 2, results.n)
end

-- ---- JSON ----

local RUN_JSON = { "input", "resolver_input", "config", "tags" }
local STEP_JSON = { "output", "metadata", "children", "items", "extra" }

local function encode(self, what, value)
  if value == nil then return nil end
  local text, err = json.encode(value)
  if not text then error(refusal(self, "json", ("%s: %s"):format(what, err.message)), 0) end
  return text
end

--- Decodes columns of a row in place.
local function decode(self, row, columns, what)
  for i = 1, #columns do
    local text = row[columns[i]]
    if text ~= nil then
      local value, err = json.decode(text)
      if value == nil then return nil, refusal(self, "corrupt", ("the %s of %s is no JSON: %s"):format(columns[i], what, err.message)) end
      row[columns[i]] = value
    end
  end
  return row
end

local function decode_run(self, row)
  row.worn = row.takeovers > MOST_TAKEOVERS
  return decode(self, row, RUN_JSON, "run " .. row.id)
end

-- ---- life ----

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

-- ---- runs ----

local BY_KEY = "SELECT id, number FROM run WHERE key = ?"

---@class step.NewRun
---@field id string
---@field key? string       of runs with the same key only the first is made
---@field name string
---@field state string
---@field run_max integer
---@field created number
---@field due? number
---@field input? any
---@field resolver_input? any
---@field config? any
---@field tags? table<string, any>
---@field requester_username? string
---@field resolver_username? string
---@field parent? string
---@field parent_step? string
---@field deadline? number
---@field max_concurrent? integer   in place of the definition's

--- The id of the run that was started with a key.
---@param key string
---@return string? id
---@return step.Error? err
function Store:by_key(key)
  local rows, err = query(self, BY_KEY, key)
  if not rows then return nil, err end
  return rows[1] and rows[1].id
end

---@class step.StoredDefinition
---@field hash string
---@field name string
---@field code boolean      it holds Lua functions
---@field document string   JSON

local function insert_definition(self, definition)
  change(self, "INSERT INTO definition (hash, name, code, document) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    definition.hash, definition.name, not not definition.code, definition.document)
end

--- Removes a definition that no run has any more.
local function drop_definition(self, hash)
  change(self, "DELETE FROM definition WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM run WHERE definition = ?1)", hash)
end

--- Who starts a child has its parent, but may have slept until others had taken that, and ended or removed it: nobody would end the
--- child then.
local function check_parent(self, id)
  local parent = must(query(self, "SELECT state FROM run WHERE id = ?", id))[1]
  if parent and parent.state ~= "CANCELLED" then return end
  error(refusal(self, "lost", ("the run '%s', which is to start another one, %s"):format(id, parent and "is CANCELLED" or "is gone")), 0)
end

local function create(self, row, definition)
  if row.key ~= nil then
    local known = must(query(self, BY_KEY, row.key))[1]
    if known then return known.id, false, known.number end
  end
  if row.parent then check_parent(self, row.parent) end
  insert_definition(self, definition)
  local _, number = change(self, "INSERT INTO run (id, key, definition, name, parent, parent_step, state, run_max, created, changed, due,"
    .. " input, resolver_input, config, tags, requester_username, resolver_username, deadline, max_concurrent)"
    .. " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    row.id, row.key, definition.hash, row.name, row.parent, row.parent_step, row.state, row.run_max, row.created, row.due,
    encode(self, "input", row.input), encode(self, "resolver_input", row.resolver_input), encode(self, "config", row.config),
    encode(self, "tags", row.tags or {}), row.requester_username or "", row.resolver_username or "", row.deadline,
    row.max_concurrent)
  return row.id, true, number
end

--- Stores a new run. With a key that exists, gives the run of that key.
---@param row step.NewRun
---@param definition step.StoredDefinition
---@return string? id
---@return boolean|step.Error created   false: there was one with that key
---@return integer? number
function Store:create(row, definition)
  if row.key ~= nil then
    local known, err = query(self, BY_KEY, row.key)
    if not known then return nil, err end
    if known[1] then return known[1].id, false, known[1].number end
  end
  return write(self, create, row, definition)
end

--- Stores many new runs in one transaction, as create does.
---@param rows step.NewRun[]
---@param definition step.StoredDefinition
---@return boolean[]? created    by place in the list
---@return step.Error? err
function Store:create_all(rows, definition)
  return write(self, function()
    local created = {}
    for i, row in ipairs(rows) do created[i] = select(2, create(self, row, definition)) end
    return created
  end)
end

---@class step.StoredRun : step.NewRun
---@field number integer
---@field definition string   hash
---@field run_count integer
---@field failed_count integer
---@field changed number        when its row was written or something happened in it
---@field events integer        number of its last event; 0: nothing has happened yet
---@field next_retry? number
---@field ending? "cancelled"|"deadline"   it is CANCELLED, or is to be, see step.core.Run
---@field epoch integer
---@field takeovers integer
---@field worn boolean         these are too many: it was blocked for that
---@field taken_over? boolean   of a claim: it was RUNNING
---@field orphaned? boolean     of a claim: its last owner died, what its steps have started may still be there

-- While a run is RUNNING, what happens in it changes its events and not its row.
local RUN = "SELECT *, coalesce((SELECT max(seq) FROM event WHERE event.run = run.number), 0) AS events, max(changed, coalesce((SELECT"
  .. " time FROM event WHERE event.run = run.number ORDER BY seq DESC LIMIT 1), 0)) AS changed FROM run WHERE "

--- The run of that id.
---@param id string
---@return step.StoredRun?
---@return step.Error? err   neither: there is none
function Store:get(id)
  local rows, err = query(self, RUN .. "id = ?", id)
  if not rows then return nil, err end
  if rows[1] then return decode_run(self, rows[1]) end
end

---@param hash string
---@return step.StoredDefinition?
---@return step.Error? err   neither: there is none
function Store:definition(hash)
  local rows, err = query(self, "SELECT * FROM definition WHERE hash = ?", hash)
  if not rows then return nil, err end
  local row = rows[1]
  if row then row.code = row.code ~= 0 end
  return row
end

---@class step.StoredStep
---@field step integer       from 1, in the order of the definition
---@field child integer      from 0; -1: the step itself
---@field name string
---@field state string
---@field tries integer
---@field last_run? number
---@field output? any
---@field metadata? any
---@field error? string
---@field children? table[]
---@field items? any[]       of a foreach step that has its children
---@field extra? step.core.Extra

local STEPS = "SELECT step, child, name, state, tries, last_run, output, metadata, error, children, items, extra FROM step"
  .. " WHERE run = ?1 AND (step, child) > (?2, ?3) ORDER BY step, child LIMIT ?4"

--- Iterates over the steps that something has happened to, each child after its parent. What fails on the way is thrown: half of a
--- run must not look like a run.
---@param number integer
---@return (fun(): step.StoredStep?)? next
---@return step.Error? err
function Store:each_step(number)
  local rows, err = query(self, STEPS, number, 0, -1, PAGE)
  if not rows then return nil, err end
  local i, last = 0, nil
  return function()
    if i == PAGE then rows, i = must(query(self, STEPS, number, last.step, last.child, PAGE)), 0 end
    local row = rows[i + 1]
    if not row then return nil end
    i, last, rows[i + 1] = i + 1, row, false
    return must(decode(self, row, STEP_JSON, "step " .. row.name))
  end
end

---@class step.RunFilter
---@field id_prefix? string
---@field state? string
---@field definition? string     its name
---@field tag? string|table<string, any>   a name, or names and values
---@field parent? string
---@field created_since? number
---@field created_before? number
---@field newest? boolean         the newest first
---@field after? integer          number of the last run of the page before
---@field limit? integer          default 100

local CLAUSES = {
  { "id_prefix", "instr(id, ?) = 1" }, { "state", "state = ?" }, { "definition", "name = ?" }, { "parent", "parent = ?" },
  { "created_since", "created >= ?" },
  { "created_before", "created < ?" },
}
-- What is wanted is JSON, too, so that it may hold any character. SQLite may end a text at its first NUL, here as there: what it finds
-- is looked at again.
local HAS_TAG = "EXISTS (SELECT 1 FROM json_each(tags) AS tag, json_each(?) AS wanted WHERE tag.key = wanted.value)"
local HAS_TAGS = "NOT EXISTS (SELECT 1 FROM json_each(?) AS wanted WHERE NOT EXISTS"
  .. " (SELECT 1 FROM json_each(run.tags) AS tag WHERE tag.key = wanted.key AND tag.value IS wanted.value))"

--- A page of runs, oldest first unless `newest`.
---@param wanted? step.RunFilter
---@return step.StoredRun[]? rows
---@return integer|step.Error|nil next   pass it as `after` for the next page; nil: this is the last
function Store:list(wanted)
  wanted = wanted or {}
  local limit = wanted.limit or 100
  local newest = wanted.newest
  local where, values = { newest and "number < ?" or "number > ?" }, { wanted.after or (newest and math.maxinteger or 0) }
  for _, clause in ipairs(CLAUSES) do
    local value = wanted[clause[1]]
    if value ~= nil then where[#where + 1], values[#values + 1] = clause[2], value end
  end
  if wanted.tag ~= nil then
    local by_name = type(wanted.tag) == "string"
    local text, err = json.encode(by_name and json.array { wanted.tag } or wanted.tag)
    if not text then return nil, refusal(self, "json", "tag: " .. err.message) end
    where[#where + 1], values[#values + 1] = by_name and HAS_TAG or HAS_TAGS, text
  end
  local sql = RUN .. table.concat(where, " AND ") .. " ORDER BY number" .. (newest and " DESC" or "") .. " LIMIT ?"
  values[#values + 1] = limit + 1
  local found, last = {}, nil
  repeat
    local rows, err = query(self, sql, table.unpack(values))
    if not rows then return nil, err end
    for i, row in ipairs(rows) do
      if #found == limit then return found, last end
      local good
      good, err = decode_run(self, row)
      if not good then return nil, err end
      if filter.has_tags(row.tags, wanted.tag) then found[#found + 1] = row end
      last = row.number
      rows[i] = false
    end
    values[1] = last
  until #rows <= limit
  return found
end

--- How many children of a run there are in each state.
---@param parent string
---@param prefix string    that their ids begin with
---@return table<string, integer>?
---@return step.Error? err
function Store:tally(parent, prefix)
  local rows, err = query(self, "SELECT state, count(*) AS n FROM run WHERE parent = ?1 AND substr(id, 1, length(?2)) = ?2 GROUP BY state",
    parent, prefix)
  if not rows then return nil, err end
  local count = {}
  for _, row in ipairs(rows) do count[row.state] = row.n end
  return count
end

local function release_children(self, parent, step)
  change(self, "UPDATE run SET parent = NULL WHERE parent = ?1 AND parent_step = ?2 AND state NOT IN ('DONE', 'CANCELLED')", parent, step)
  return true
end

--- What a step has started and has not ended has no parent any more.
---@param parent string
---@param step string
---@return boolean? ok
---@return step.Error? err
function Store:release_children(parent, step) return write(self, release_children, parent, step) end

-- ---- claims ----

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

local function whole_row(self, number)
  return must(decode_run(self, must(query(self, RUN .. "number = ?", number))[1]))
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
        blocked[#blocked + 1] = whole_row(self, row.number)
      else
        change(self, "UPDATE run SET epoch = epoch + 1, owner = ?2, due = ?3, takeovers = ?4 WHERE number = ?1", row.number, options.owner,
          options.now + options.lease, takeovers)
        local whole = whole_row(self, row.number)
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
function Store:claim(options)
  local limit = options.id and 1 or options.limit or 1
  local found, err = candidates(self, options, 1)
  if not found then return nil, err end
  if #found == 0 then return {}, {} end -- nobody has had to wait for us
  return write(self, claim, options, limit)
end

local STRANDED = "SELECT *, min(due) FROM run WHERE due <= ?3 AND NOT (TRUE" .. FEASIBLE .. ") GROUP BY definition ORDER BY due, number"

--- Of each definition that a worker does not have, though it needs to: the run that has been due for the longest time.
---@param options { now: number, hashes?: string[], names?: string[] }    as for claim
---@return step.StoredRun[]? rows
---@return step.Error? err
function Store:stranded(options)
  local hashes, names = feasible(options)
  local rows, err = query(self, STRANDED, hashes, names, options.now)
  for _, row in ipairs(rows or {}) do
    local good
    good, err = decode_run(self, row)
    if not good then return nil, err end
  end
  return rows, err
end

--- Tells which row a core run is, for save.
---@param number integer
---@param epoch integer
---@param core_run userdata   held weakly
---@param definition? step.StoredDefinition    it goes on with this version of its definition. That is stored with its next save,
--- which is to store all of its steps: until then it is what it was, and should the process die, it stays that.
function Store:bind(number, epoch, core_run, definition)
  self.db:bind(core_run, number, epoch)
  if definition then self.moving[core_run] = definition end
end

--- Its step rows go: their numbers mean other steps now.
local function move(self, core_run, definition)
  local number, epoch = self.db:bound(core_run)
  local row = must(query(self, "SELECT definition FROM run WHERE number = ? AND epoch = ?", number, epoch))[1]
  if not row then return end -- it is lost
  insert_definition(self, definition)
  change(self, "UPDATE run SET definition = ?2 WHERE number = ?1", number, definition.hash)
  change(self, "DELETE FROM step WHERE run = ?", number)
  if row.definition ~= definition.hash then drop_definition(self, row.definition) end
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
function Store:save(list, options)
  if next(self.moving) then return save_moving(self, list, options) end
  return outcome(self, self.db:save(list, options.now, options.lease, options.heard, options.spent))
end

--- Prolongs leases.
---@param list userdata[]
---@param options { now: number, lease: number }
---@return userdata[]? lost   runs that are not ours any more
---@return step.Error? err
function Store:renew(list, options)
  return outcome(self, self.db:renew(list, options.now + options.lease))
end

--- Gives a claim back, the run as it was.
---@param run userdata|{ number: integer, epoch: integer }   a core run that is bound, or a row that claim gave
---@return boolean? released   false: it was not ours any more
---@return step.Error? err
function Store:release(run)
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
function Store:next_due(options)
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
function Store:post(id, kind, body, now) return write(self, post, id, kind, body, now) end

---@class step.Posted
---@field seq integer
---@field time number
---@field kind string
---@field body any

--- What was posted, oldest first; it stays until a save says that it is `spent`.
---@param number integer
---@return step.Posted[]?
---@return step.Error? err
function Store:take_inbox(number)
  local rows, err = query(self, "SELECT seq, time, kind, body FROM inbox WHERE run = ? ORDER BY seq", number)
  if not rows then return nil, err end
  for _, row in ipairs(rows) do
    local ok
    ok, err = decode(self, row, { "body" }, "what was posted")
    if not ok then return nil, err end
  end
  return rows
end

-- ---- events ----

---@class step.StoredEvent
---@field seq integer
---@field time number
---@field step? string    nil: the run itself
---@field from string
---@field to string
---@field message? string

--- The transitions of a run, in order.
---@param number integer
---@param after? integer   `seq` of the last one known; default 0
---@param limit? integer   default: all
---@return step.StoredEvent[]?
---@return step.Error? err
function Store:events(number, after, limit)
  return query(self, "SELECT seq, time, step, \"from\", \"to\", message FROM event WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?", number,
    after or 0, limit or -1)
end

-- ---- what is over ----

local function remove(self, row)
  change(self, "DELETE FROM run WHERE number = ?", row.number)
  drop_definition(self, row.definition)
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
function Store:delete(id) return write(self, delete, id) end

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
function Store:prune(options)
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

-- ---- cache ----

--- A value that was kept.
---@param key string
---@param now number
---@return any value         nil: there is none, or it has expired
---@return step.Error? err
function Store:cache_get(key, now)
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
function Store:cache_put(key, value, expires)
  if value == nil then error("bad argument #2 to 'cache_put' (value expected)", 2) end
  return write(self, cache_put, key, value, expires)
end

--- Forgets a value.
---@param key string
---@return boolean? ok
---@return step.Error? err
function Store:cache_delete(key)
  return write(self, function()
    change(self, "DELETE FROM cache WHERE key = ?", key)
    return true
  end)
end

return M
