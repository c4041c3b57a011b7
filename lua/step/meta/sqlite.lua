---@meta step.sqlite
--- The C module `step.sqlite` as an editor should know it. Nothing loads this file.
--
-- Misuse raises an error with the number of the argument. What fails otherwise gives nil, a code ("busy", "full", "ioerr", ...), a
-- message and whether nothing more can be written through the connection; then every attempt gives that same failure.

-- luacheck: ignore 212 241

local sqlite = {}

--- The release of SQLite that is used.
---@type string
sqlite.version = ""

--- The same as a number: 3040001 is 3.40.1.
---@type integer
sqlite.version_number = 0

--- Opens a file, or makes it. Nothing is read yet.
---@param path string
---@param seconds number    how long to wait for other connections that write
---@return step.sqlite.Db? db
---@return string? code
---@return string? message
function sqlite.open(path, seconds) end

--- What is there under a name. Opens nothing.
---@param path string
---@return "file"|"directory"|"other"|nil kind    nil: nothing
---@return integer? size
---@return boolean? writable
function sqlite.look(path) end

---@class step.sqlite.Db
local db = {}

--- Closes it. A second close does nothing; everything else fails with "closed" then.
function db:close() end

--- The absolute path.
---@return string? path
---@return string? code
---@return string? message
function db:path() end

--- Whether the file cannot be written.
---@return boolean? readonly
---@return string? code
---@return string? message
function db:readonly() end

--- From now on the file and its -wal must stay the files they are: looked at around every transaction.
---@param journal "rollback"|"wal"
---@return true? ok
---@return string? code
---@return string? message
function db:watch(journal) end

--- Begins a transaction that writes.
---@return true? ok
---@return string? code
---@return string? message
---@return boolean? fatal
function db:begin() end

--- Ends it. When that fails it is rolled back.
---@return true? ok
---@return string? code
---@return string? message
---@return boolean? fatal
function db:commit() end

--- Gives the transaction up, if there is one.
function db:rollback() end

--- Executes any number of statements.
---@param sql string
---@return true? ok
---@return string? code
---@return string? message
---@return boolean? fatal
function db:exec(sql) end

--- Executes one statement, which is prepared once for the life of the connection.
---@param sql string
---@param ... string|number|boolean|nil    its parameters; those that are missing are NULL
---@return integer? changes
---@return integer|string rowid    of the last insert; or the code
---@return string? message
---@return boolean? fatal
function db:run(sql, ...) end

--- The same for a statement that gives rows.
---@param sql string
---@param ... string|number|boolean|nil
---@return table<string, any>[]? rows    by name of the column; NULL is absent
---@return string? code
---@return string? message
---@return boolean? fatal
function db:all(sql, ...) end

--- Tells which row a core run is.
---@param run userdata      held weakly
---@param number integer
---@param epoch integer
function db:bind(run, number, epoch) end

--- What bind told.
---@param run userdata
---@return integer? number
---@return integer? epoch
function db:bound(run) end

--- Stores what has changed in core runs, in one transaction, each fenced by its epoch.
---@param runs userdata[]    bound
---@param now number
---@param lease? number      nil: all are RUNNING as they were when they were saved last, or not at all; leases stay as they are
---@param heard? table<userdata, integer>    what was posted up to that number makes the run due no more
---@param spent? table<userdata, integer[]>  numbers of what was posted and is to be removed
---@param first? fun()       called before everything else in the transaction, which is rolled back if it throws
---@return userdata[]? lost    whose epoch is another by now: nothing of them was stored
---@return string? code
---@return string? message
---@return boolean? fatal
function db:save(runs, now, lease, heard, spent, first) end

--- Prolongs the leases of core runs.
---@param runs userdata[]    bound
---@param until_time number
---@return userdata[]? lost
---@return string? code
---@return string? message
---@return boolean? fatal
function db:renew(runs, until_time) end

--- Gives a claim back.
---@param number integer
---@param epoch integer
---@param now number
---@return boolean? released    false: it was not owned under that epoch
---@return string? code
---@return string? message
---@return boolean? fatal
function db:release(number, epoch, now) end

--- Copies the file as it is now to a name that nobody has.
---@param path string
---@return true? ok
---@return string? code    "exists"
---@return string? message
function db:backup(path) end

return sqlite
