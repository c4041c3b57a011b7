--- The rows of the SQLite store: runs are made and read, with their steps and events.

local access = require "step.store.sqlite.access"
local definitions = require "step.store.sqlite.definitions"
local filter = require "step.store.filter"
local json = require "step.json"

local query, must, change, write = access.query, access.must, access.change, access.write
local refusal, encode, decode = access.refusal, access.encode, access.decode

---@class step.SqliteStore
local methods = {}

local MOST_TAKEOVERS = 100 -- D27
local PAGE = 100 -- rows of steps at a time
local RUN_JSON = { "input", "resolver_input", "config", "tags" }
local STEP_JSON = { "output", "metadata", "children", "items", "extra" }

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
function methods:by_key(key)
  local rows, err = query(self, BY_KEY, key)
  if not rows then return nil, err end
  return rows[1] and rows[1].id
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
  definitions.insert(self, definition)
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
function methods:create(row, definition)
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
function methods:create_all(rows, definition)
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

local function decode_run(self, row)
  row.worn = row.takeovers > MOST_TAKEOVERS
  return decode(self, row, RUN_JSON, "run " .. row.id)
end

local function get(self, where, value)
  local rows, err = query(self, RUN .. where, value)
  if not rows then return nil, err end
  if rows[1] then return decode_run(self, rows[1]) end
end

--- The run of that number, as methods:get.
local function by_number(self, number) return get(self, "number = ?", number) end

--- The run of that id.
---@param id string
---@return step.StoredRun?
---@return step.Error? err   neither: there is none
function methods:get(id) return get(self, "id = ?", id) end

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
function methods:each_step(number)
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
function methods:list(wanted)
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
function methods:tally(parent, prefix)
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
function methods:release_children(parent, step) return write(self, release_children, parent, step) end

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
function methods:events(number, after, limit)
  return query(self, "SELECT seq, time, step, \"from\", \"to\", message FROM event WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?", number,
    after or 0, limit or -1)
end

return { methods = methods, by_number = by_number, MOST_TAKEOVERS = MOST_TAKEOVERS }
