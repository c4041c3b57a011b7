-- store.sqlite and other processes: who share the file, who die in the middle, who meet a disk that fails. Each child is a Lua
-- program of its own; what it prints is what it saw.

local sqlite = require "step.sqlite"
local store = require "step.store.sqlite"
local temp = require "spec.support.temp"

local INTERPRETER = os.getenv "LUA" or "lua5.4"

--- What the children begin with.
local PRELUDE = ("package.path, package.cpath = %q, %q\n"):format(package.path, package.cpath) .. [[
local store = require "step.store.sqlite"
local path, argument = arg[1], arg[2]
local definition = { hash = "h", name = "x", code = false, document = "{}" }
local function create(s, id, text)
  local row = { id = id, name = "x", state = "TODO", run_max = 1, created = 1, due = 1, tags = {}, config = { text = text } }
  return s:create(row, definition)
end
local function say(...) io.write(table.concat({ ... }, " "), "\n") io.flush() end
local function code(ok, err) return ok and "ok" or err.code or err.kind end
]]

local function has(command)
  return (os.execute("command -v " .. command .. " >/dev/null 2>&1"))
end

describe("store.sqlite among processes", function()
  local path

  before_each(function() path = temp.path() end)
  after_each(temp.clean)

  --- Starts a child. `before` stands before the interpreter in the shell's line.
  local function spawn(program, before, argument)
    local script = temp.file(PRELUDE .. program)
    return assert(io.popen(("%s %s %s %s %s 2>&1"):format(before or "exec", INTERPRETER, script, path, argument or "")))
  end

  --- The lines that it said.
  local function finish(pipe)
    local lines = {}
    for line in pipe:lines() do lines[#lines + 1] = line end
    pipe:close()
    return lines
  end

  local function child(program, before, argument) return finish(spawn(program, before, argument)) end

  it("gives every run to one of them", function()
    local RUNS, CHILDREN = 60, 3
    local one = assert(store.open(path, { durability = "relaxed" }))
    for i = 1, RUNS do
      assert(one:create({ id = "r" .. i, name = "x", state = "TODO", run_max = 1, created = 1, due = 1, tags = {} },
        { hash = "h", name = "x", code = false, document = "{}" }))
    end
    local pipes, taken = {}, {}
    for i = 1, CHILDREN do
      pipes[i] = spawn([[
        local s = assert(store.open(path, { durability = "relaxed" }))
        repeat
          local rows = assert(s:claim { owner = argument, now = 10, lease = 100, limit = 2 })
          for _, row in ipairs(rows) do say(row.id, row.owner, row.epoch) end
        until #rows == 0
        s:close()
      ]], nil, "w" .. i)
    end
    for _, pipe in ipairs(pipes) do
      for _, line in ipairs(finish(pipe)) do
        local id, owner, epoch = line:match "^(r%d+) (w%d) (%d)$"
        assert.is_nil(taken[id], line)
        taken[id] = owner
        assert.equal("1", epoch)
      end
    end
    for i = 1, RUNS do
      assert.equal(taken["r" .. i], one:get("r" .. i).owner)
      assert.is_string(taken["r" .. i])
    end
    one:close()
  end)

  it("makes one file when several are the first", function()
    local pipes = {}
    for i = 1, 4 do
      pipes[i] = spawn([[
        local s = assert(store.open(path))
        say(code(create(s, argument)))
        s:close()
      ]], nil, "r" .. i)
    end
    for _, pipe in ipairs(pipes) do assert.same({ "ok" }, finish(pipe)) end
    local one <close> = assert(store.open(path))
    assert.equal(4, #one:list())
    assert.is_true(one:check())
  end)

  it("refuses a second who comes while one has it for itself", function()
    local one <close> = assert(store.open(path, { exclusive = true }))
    local said = child [[
      require "step.store.sqlite.open".patience = 0
      local s, err = store.open(path)
      say(code(s, err), tostring(err))
      s, err = store.open(path, { exclusive = true })
      say(code(s, err))
    ]]
    assert.matches("^busy .*has the file for itself", said[1])
    assert.equal("busy", said[2])
    assert.is_true(one:check())
  end)

  it("does not give the file to one alone while others have it open", function()
    local one <close> = assert(store.open(path))
    assert(one:cache_put("k", 1))
    assert(one.db:exec "BEGIN")
    assert(one.db:all "SELECT * FROM run") -- at work on it
    local said = child [[
      require "step.store.sqlite.open".patience = 0
      say(code(store.open(path, { exclusive = true })))
    ]]
    assert.same({ "busy" }, said)
    one.db:rollback()
  end)

  it("loses nothing that was acknowledged to one who was killed in a transaction, and checks the file", function()
    for _, mode in ipairs { "false", "true" } do
      local said = child(([[
        local s = assert(store.open(path, { exclusive = %s }))
        for i = 1, 20 do say(code(create(s, "r" .. i, ("x"):rep(5000)))) end
        assert(s.db:begin())
        assert(s.db:exec "PRAGMA cache_spill = 1; PRAGMA cache_size = 1")
        assert(s.db:run "UPDATE run SET config = NULL, state = 'DONE'")
        assert(s.db:all "SELECT * FROM run")
        io.popen "kill -9 $PPID":read "a"
      ]]):format(mode))
      assert.equal(20, #said)
      local left = math.max(select(2, sqlite.look(path .. "-wal")) or 0, select(2, sqlite.look(path .. "-journal")) or 0)
      assert.is_true(left > 0)
      local one = assert(store.open(path))
      assert.is_true(one:check())
      assert.equal(20, #one:list { state = "TODO" })
      assert.equal(5000, #one:get("r20").config.text)
      one:close()
      os.remove(path)
    end
  end)

  it("stops when the disk has no room, with what it has acknowledged", function()
    local said = child([[
      local s = assert(store.open(path, { durability = "relaxed" }))
      local err
      for i = 1, 1000 do
        local ok
        ok, err = create(s, "r" .. i, ("x"):rep(2000))
        if not ok then break end
        say("r" .. i)
      end
      say(err.code)
      local _, again = create(s, "other")
      local _, third = s:cache_put("k", 1)
      say(tostring(again == err), tostring(third == err), s:get "r1" and "readable")
      s:close()
    ]], "trap '' XFSZ; ulimit -f 1000; exec")
    assert.equal("true true readable", said[#said])
    assert.matches("^%l+$", said[#said - 1])
    assert.is_true(#said > 5, #said)
    local one <close> = assert(store.open(path))
    assert.is_true(one:check())
    for i = 1, #said - 2 do assert.is_table(one:get(said[i])) end
    assert.equal(#said - 2, #one:list { limit = 1000 })
  end)

  --- What happens when system calls of a kind fail from the n-th on: the child says what was acknowledged, then the code.
  local function inject(calls, n, errno, options)
    local said = child(([[
      local s, err = store.open(path, { %s })
      if not s then say("open", err.code or tostring(err)) os.exit(0) end
      for i = 1, 4 do
        local ok
        ok, err = create(s, "r" .. i, ("x"):rep(3000))
        if not ok then break end
        say("r" .. i)
      end
      if err and type(err) == "table" then
        local _, again = s:cache_put("k", 1)
        say(err.code, tostring(again == err))
      end
      s:close()
    ]]):format(options or ""), ("ASAN_OPTIONS=detect_leaks=0 " -- a traced process cannot look for leaks
      .. "strace -qq -f --seccomp-bpf -o /dev/null -e trace=%s -e inject=%s:error=%s:when=%d+"):format(calls, calls, errno, n))
    return said
  end

  it("acknowledges nothing that a failing disk has not taken", function()
    if not has "strace" then pending "strace is not there" return end
    assert(store.open(path)):close()
    if inject("fdatasync,fsync", 60000, "EIO")[1] ~= "r1" then pending "strace may not be used here" return end
    os.remove(path)
    assert(store.open(path)):close()
    local failed = 0
    for _, case in ipairs {
      { "fdatasync,fsync", "EIO" }, { "pwrite64", "ENOSPC" }, { "pwrite64", "EIO" }, { "fdatasync,fsync", "EIO", "exclusive = true" },
      { "pwrite64", "ENOSPC", "exclusive = true" },
    } do
      for _, n in ipairs { 1, 3, 8, 15 } do
        local said = inject(case[1], n, case[2], case[3])
        local last = said[#said]
        local acknowledged = {}
        for i, line in ipairs(said) do
          if line:find "^r%d$" then acknowledged[i] = line end
        end
        if #acknowledged < 4 then
          failed = failed + 1
          assert.is_truthy(last:find "^ioerr true" or last:find "^full true" or last:find "^open ",
            ("%s %s %d: %s"):format(case[1], case[2], n, last))
        end
        local one = assert(store.open(path))
        assert.is_true(one:check())
        for _, id in ipairs(acknowledged) do assert.equal(3000, #one:get(id).config.text) end
        assert(one.db:run "DELETE FROM run")
        one:close()
      end
    end
    assert.is_true(failed > 10, failed .. " failed")
  end)

  it("says so when the file or its folder cannot be written", function()
    local folder = temp.folder()
    path = folder .. "/runs.db"
    finally(function() os.execute("chmod -R u+w " .. folder) end)
    assert(store.open(path)):close()
    local before = "exec"
    if os.execute '[ "$(id -u)" = 0 ]' then -- nothing is forbidden to root
      if not has "setpriv" then pending "setpriv is not there" return end
      before = "exec setpriv --reuid=65534 --clear-groups"
    else
      os.execute("chmod a-w " .. path)
    end
    local program = [[
      local s, err = store.open(path)
      say(code(s, err), tostring(err))
    ]]
    local said = child(program, before)
    if said[1] and said[1]:find "module 'step" then pending "another user cannot read the project" return end
    assert.matches("^readonly .*the file cannot be written %(no permission%)", said[1])
    os.execute("chmod 666 " .. path .. "; chmod a-w " .. folder)
    said = child(program, before)
    assert.matches("^readonly .*files cannot be made in the folder .* %(no permission%), and SQLite needs its journal there", said[1])
  end)

  it("puts a file in WAL mode back when its SQLite is an old one, unless others have it open", function()
    if sqlite.version_number >= 3051003 then pending "this release of SQLite has no such need" return end
    local db = assert(sqlite.open(path, 0))
    assert.equal("wal", db:all("PRAGMA journal_mode = WAL")[1].journal_mode)
    assert(db:exec "CREATE TABLE t (v); DROP TABLE t")
    local opening = require "step.store.sqlite.open"
    opening.patience = 0
    finally(function() opening.patience = 5 end)
    local one, err = store.open(path)
    assert.is_nil(one)
    assert.equal("wal", err.code)
    assert.matches("with SQLite [%d.]+, whose WAL mode may damage a file that several connections use, it can only be opened once they "
      .. "have closed it", tostring(err))
    db:close()
    one = assert(store.open(path))
    assert.equal("rollback", one.journal)
    assert.equal("persist", one.db:all("PRAGMA journal_mode")[1].journal_mode)
    one:close()
  end)

  it("stops when another puts the file into WAL mode, or removes its journal, under it", function()
    if sqlite.version_number >= 3051003 then pending "this release of SQLite is in WAL mode itself" return end
    local one = assert(store.open(path))
    local db = assert(sqlite.open(path, 0))
    assert.equal("wal", db:all("PRAGMA journal_mode = WAL")[1].journal_mode)
    assert(db:exec "CREATE TABLE t (v)")
    local ok, err = one:cache_put("k", 1)
    assert.is_nil(ok)
    assert.equal("moved", err.code)
    assert.matches("another program has put the file into WAL mode while it was open", tostring(err))
    assert.equal(err, select(2, one:cache_put("k", 2)))
    assert.equal(err, select(2, one:get "x")) -- what is read may be wrong
    one:close()
    db:close()
    one = assert(store.open(path))
    assert(one.db:begin())
    assert(one.db:run "INSERT INTO cache (key, value) VALUES ('k', '1')")
    os.remove(path .. "-journal")
    local _, code, message, fatal = one.db:commit()
    assert.same({ "moved", true }, { code, fatal })
    assert.matches("%-journal was removed while a transaction needed it", message)
    one:close()
    one = assert(store.open(path))
    assert.is_nil(one:cache_get("k", 1))
    assert.is_true(one:check())
    one:close()
  end)
end)
