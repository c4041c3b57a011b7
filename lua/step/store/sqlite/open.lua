--- Opening an SQLite store: what the file is, that it is whole, which journal it gets and why, that its tables are those of
-- this version.
--
-- SQLite before 3.51.3 may damage a file in WAL mode that two or more connections use (sqlite.org/wal.html#walresetbug): such
-- a release gets the rollback journal, or WAL for one process that has the file for itself.

local errors = require "step.error"
local schema = require "step.store.sqlite.schema"
local sqlite = require "step.sqlite"

local M = {}

local SAFE_WAL = 3051003

--- Seconds that a transaction waits for those of others.
M.patience = 5

local ADVICE = {
  busy = "another process has been writing for longer than 5 seconds, or has the file for itself",
  cantopen = "see that the folder is there and can be written; then open the store again",
  corrupt = "the file is damaged: restore a backup, or save what can be saved with `sqlite3 FILE .recover`",
  full = "make room on the disk; then open the store again",
  ioerr = "see to the disk; then open the store again, which checks the file",
  moved = "open the store again; what was acknowledged before is in the file that was moved away",
  notadb = "it is no SQLite database, or a damaged one",
  readonly = "see that the file and its folder can be written; then open the store again",
}

--- An error of a store in a file.
---@param path string
---@param code string      see csrc/store/sqlite.c, or a word of ours
---@param message string
---@return step.Error
function M.failure(path, code, message)
  local advice = ADVICE[code]
  local text = ("the store %s: %s%s"):format(path, message, advice and "; " .. advice or "")
  return errors.new("store", text, { code = code, cause = message })
end

-- What is thrown on the way out of here: M.open gives it as its second value.
local function refuse(path, code, message) error(M.failure(path, code, message), 0) end

--- The first value of a call of step.sqlite, unless it failed.
local function must(path, value, code, message)
  if value == nil then refuse(path, code, message) end
  return value
end

local function pragma(db, path, name)
  local row = must(path, db:all("PRAGMA " .. name))[1]
  local _, value = next(row or {})
  return value
end

-- ---- before SQLite touches the file ----

local function check_place(path)
  local kind, _, writable = sqlite.look(path)
  if kind == "directory" then refuse(path, "nofile", "it is a directory, not a file") end
  if kind == "other" then refuse(path, "nofile", "it is no regular file") end
  if kind and not writable then refuse(path, "readonly", "the file cannot be written (no permission)") end
  local folder = path:match "^(.*)/[^/]*$" or "."
  if folder == "" then folder = "/" end
  kind, _, writable = sqlite.look(folder)
  if not kind then refuse(path, "nofolder", ("there is no folder '%s'"):format(folder)) end
  if kind ~= "directory" then refuse(path, "nofolder", ("'%s' is no folder"):format(folder)) end
  if not writable then
    refuse(path, "readonly", ("files cannot be made in the folder '%s' (no permission), and SQLite needs its journal there"):format(folder))
  end
end

--- Whether a file ends or has ended in the middle of a transaction: its journal has a header, its -wal is not empty.
local function looks_unclean(real)
  local _, size = sqlite.look(real .. "-wal")
  if size and size > 0 then return true end
  local journal = io.open(real .. "-journal", "rb") -- no lock is on it that closing could drop
  if not journal then return false end
  local header = journal:read(8)
  journal:close()
  return header ~= nil and header:find "[^\0]" ~= nil
end

local function quick_check(db, path)
  local found = must(path, db:all "PRAGMA quick_check(3)")
  if #found == 1 and found[1].quick_check == "ok" then return end
  local words = {}
  for i, row in ipairs(found) do words[i] = row.quick_check end
  refuse(path, "corrupt", "quick_check found: " .. table.concat(words, "; "))
end

--- After an unclean stop, when nobody else is at work on the file: recovers and checks it.
local function recover(path)
  local probe <close> = must(path, sqlite.open(path, 0))
  if not looks_unclean(probe:path()) then return end
  must(path, probe:exec "PRAGMA locking_mode = EXCLUSIVE")
  local ok, code, message = probe:begin()
  if not ok then
    if code == "busy" then return end -- somebody is alive, or has just recovered it
    refuse(path, code, message)
  end
  quick_check(probe, path)
  probe:rollback()
end

-- ---- what the file is ----

-- One statement, so that it is of one moment: another process may be making the tables just now.
local HEADER = "SELECT application_id AS id, user_version AS version, (SELECT count(*) FROM sqlite_schema) AS tables"
  .. " FROM pragma_application_id, pragma_user_version"

--- Its user_version; 0 when it is empty.
local function version_of(db, path)
  local header = must(path, db:all(HEADER))[1]
  local id, version = header.id, header.version
  if id ~= schema.application_id and (id ~= 0 or header.tables > 0) then
    refuse(path, "foreign", ("the file is no store of runs but an SQLite database of something else (application_id %d)"):format(id))
  end
  if version > #schema.versions then
    refuse(path, "newer", ("the file is of version %d, this step knows versions up to %d: use a newer step")
      :format(version, #schema.versions))
  end
  return version
end

--- Brings the tables to this version.
local function migrate(db, path)
  must(path, db:begin())
  local version = version_of(db, path) -- another process may have been first
  for v = version + 1, #schema.versions do must(path, db:exec(schema.versions[v])) end
  if version < #schema.versions then
    must(path, db:exec(("PRAGMA application_id = %d; PRAGMA user_version = %d"):format(schema.application_id, #schema.versions)))
  end
  must(path, db:commit())
end

-- ---- the journal ----

--- The journal mode after asking for one: others may keep it as it is.
local function ask_for(db, path, mode)
  local rows, code, message = db:all("PRAGMA journal_mode = " .. mode)
  if rows then return rows[1].journal_mode end
  if code == "busy" then return pragma(db, path, "journal_mode") end
  refuse(path, code, message)
end

---@return "wal"|"rollback" journal
---@return string note
local function choose_journal(db, path, exclusive)
  local safe = sqlite.version_number >= SAFE_WAL
  if exclusive then
    if ask_for(db, path, "WAL") ~= "wal" then
      refuse(path, "busy", "the file cannot be had for this process alone: others have it open")
    end
    must(path, db:begin()) -- takes the lock, which stays
    must(path, db:commit())
    return "wal", "write-ahead log; the file is this process's alone until it is closed (exclusive)"
  end
  if safe then
    if ask_for(db, path, "WAL") == "wal" then return "wal", "write-ahead log" end
    return "rollback", "rollback journal: others who use it have the file open"
  end
  if pragma(db, path, "journal_mode") == "wal" and ask_for(db, path, "PERSIST") ~= "persist" then
    refuse(path, "wal", ("the file is in WAL mode and others have it open; with SQLite %s, whose WAL mode may damage a file that "
      .. "several connections use, it can only be opened once they have closed it: close them, or use SQLite 3.51.3 or newer")
      :format(sqlite.version))
  end
  ask_for(db, path, "PERSIST")
  return "rollback", ("rollback journal: SQLite %s may damage a file in WAL mode that several connections use (3.51.3 does not); "
    .. "where one process is enough, exclusive = true has WAL and faster commits"):format(sqlite.version)
end

local RELAXED = "; durability is relaxed (synchronous = NORMAL): a power failure or a crash of the system may lose the last "
  .. "commits, acknowledged results and RUNNING marks among them, so that an action may be run again unnoticed"

local function open(path, options)
  check_place(path)
  recover(path)
  local db = must(path, sqlite.open(path, M.patience))
  local _ <close> = setmetatable({}, { __close = function(_, err) if err ~= nil then db:close() end end })
  must(path, db:exec "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384")
  if options.exclusive then must(path, db:exec "PRAGMA locking_mode = EXCLUSIVE") end
  version_of(db, path)
  if db:readonly() then refuse(path, "readonly", "the file cannot be written") end
  must(path, db:exec "PRAGMA auto_vacuum = INCREMENTAL") -- of a new file; without effect on others
  local journal, note = choose_journal(db, path, options.exclusive)
  local relaxed = options.durability == "relaxed"
  must(path, db:exec(("PRAGMA synchronous = %s; PRAGMA fullfsync = ON; PRAGMA journal_size_limit = 4194304")
    :format(relaxed and "NORMAL" or "FULL")))
  migrate(db, path)
  must(path, db:watch(journal))
  return { db = db, path = path, journal = journal, note = relaxed and note .. RELAXED or note }
end

---@class step.store.sqlite.Opened
---@field db userdata
---@field path string
---@field journal "wal"|"rollback"
---@field note string

--- Opens the file, or makes it.
---@param path string
---@param options { durability?: "full"|"relaxed", exclusive?: boolean }
---@return step.store.sqlite.Opened?
---@return step.Error? err   kind "store"
function M.open(path, options)
  local ok, result = pcall(open, path, options)
  if ok then return result end
  if errors.is(result) then return nil, result end
  error(result, 0)
end

return M
