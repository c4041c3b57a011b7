-- step.sqlite: statements and values, transactions, failures; its annotations.

local alloc = require "spec.support.alloc"
local files = require "spec.support.files"
local sqlite = require "step.sqlite"
local temp = require "spec.support.temp"

local path = temp.path

local function open(name) return assert(sqlite.open(name or path(), 0)) end

local function one(db, sql, ...) return assert(db:all(sql, ...))[1] end

describe("step.sqlite", function()
  after_each(temp.clean)

  describe("values", function()
    it("come back as they were given", function()
      local db <close> = open()
      for _, value in ipairs { 0, -1, math.maxinteger, math.mininteger, 0.1, -0.0, 1e308, 5e-324, 3.0, math.huge, "", "a", "a\0b", "\0",
        "\255\254", ("x"):rep(100000) } do
        local row = one(db, "SELECT ? AS v", value)
        assert.equal(value, row.v)
        assert.equal(math.type(value), math.type(row.v))
      end
      assert.same({}, one(db, "SELECT ? AS v", nil))
      assert.same({ a = 1, b = 0 }, one(db, "SELECT ? AS a, ? AS b", true, false))
      assert.same({ a = "x", c = "z" }, one(db, "SELECT ? AS a, ? AS b, ? AS c", "x", nil, "z"))
    end)

    it("of missing parameters are NULL, also when an earlier call gave them", function()
      local db <close> = open()
      assert.same({ a = 1, b = 2 }, one(db, "SELECT ? AS a, ? AS b", 1, 2))
      assert.same({ a = 1 }, one(db, "SELECT ? AS a, ? AS b", 1))
      assert.same({}, one(db, "SELECT ? AS a, ? AS b"))
    end)

    it("survive the file", function()
      local name = path()
      local db = open(name)
      assert(db:exec "CREATE TABLE t (v)")
      assert.same({ 1, 1 }, { db:run("INSERT INTO t VALUES (?)", "a\0b") })
      assert.same({ 1, 2 }, { db:run("INSERT INTO t VALUES (?)", math.mininteger) })
      db:close()
      db = open(name)
      assert.same({ { v = "a\0b" }, { v = math.mininteger } }, db:all "SELECT v FROM t ORDER BY rowid")
      db:close()
    end)

    it("of other kinds are misuse", function()
      local db <close> = open()
      assert.error_matches(function() db:all("SELECT ?", {}) end, "bad argument #2 to 'all' %(text, number, boolean or nil expected%)")
      assert.error_matches(function() db:run("SELECT ?", print) end, "bad argument #2 to 'run'")
    end)
  end)

  describe("statements", function()
    it("are given one at a time, with as many parameters as they have", function()
      local db <close> = open()
      assert.error_matches(function() db:all "SELECT 1; SELECT 2" end, "bad argument #1 to 'all' %(one SQL statement expected%)")
      assert.error_matches(function() db:all "" end, "one SQL statement expected")
      assert.error_matches(function() db:all "-- nothing" end, "one SQL statement expected")
      assert.error_matches(function() db:run("SELECT ?", 1, 2) end, "bad argument #3 %(the statement has 1 parameters%)")
    end)

    it("tell where they failed", function()
      local db <close> = open()
      local ok, code, message, fatal = db:all "SELEC 1"
      assert.same({ "sql", false }, { code, fatal })
      assert.is_nil(ok)
      assert.equal('near "SELEC": syntax error, at: SELEC 1', message)
      assert(db:exec "CREATE TABLE t (v UNIQUE)")
      assert(db:run("INSERT INTO t VALUES (?)", 1))
      ok, code, message, fatal = db:run("INSERT INTO t VALUES (?)", 1)
      assert.same({ "constraint", false }, { code, fatal })
      assert.is_nil(ok)
      assert.matches("^UNIQUE constraint failed: t%.v.*, at: INSERT INTO t VALUES", message)
      assert.equal(1, #db:all "SELECT * FROM t")
    end)

    it("may fail after some rows, and then hold nothing", function()
      local name = path()
      local db <close> = open(name)
      local other <close> = open(name)
      assert(db:exec("CREATE TABLE t (v); INSERT INTO t VALUES (1), (" .. math.mininteger .. ")"))
      for _ = 1, 2 do
        local ok, code, message = db:all "SELECT abs(v) AS v FROM t"
        assert.same({ "sql" }, { code })
        assert.is_nil(ok)
        assert.matches("integer overflow", message)
      end
      assert(other:exec "PRAGMA locking_mode = EXCLUSIVE; INSERT INTO t VALUES (3)") -- no lock is in the way
    end)

    it("go on when the tables have changed", function()
      local db <close> = open()
      assert(db:exec "CREATE TABLE t (v); INSERT INTO t VALUES (1)")
      assert.same({ { v = 1 } }, db:all "SELECT * FROM t")
      assert(db:exec "ALTER TABLE t ADD COLUMN w DEFAULT 2")
      assert.equal(2, db:all("SELECT * FROM t WHERE w = 2")[1].w)
      assert.same({ { v = 1, w = 2 } }, db:all "SELECT * FROM t")
    end)
  end)

  describe("transactions", function()
    it("are all or nothing", function()
      local db <close> = open()
      assert(db:exec "CREATE TABLE t (v)")
      assert(db:begin())
      assert(db:run "INSERT INTO t VALUES (1)")
      db:rollback()
      db:rollback()
      assert.same({}, db:all "SELECT * FROM t")
      assert(db:begin())
      assert(db:run "INSERT INTO t VALUES (2)")
      assert(db:commit())
      assert.same({ { v = 2 } }, db:all "SELECT * FROM t")
    end)

    it("that were left open are given up by the next", function()
      local db <close> = open()
      assert(db:exec "CREATE TABLE t (v)")
      assert(db:begin())
      assert(db:run "INSERT INTO t VALUES (1)")
      assert(db:begin())
      assert(db:commit())
      assert.same({}, db:all "SELECT * FROM t")
    end)

    it("that are none cannot be committed", function()
      local db <close> = open()
      local ok, _, message = db:commit()
      assert.is_nil(ok)
      assert.matches("rolled back before it could be committed", message)
    end)

    it("of another connection are in the way for a moment only", function()
      local name = path()
      local db <close> = open(name)
      local other <close> = open(name)
      assert(other:begin())
      local ok, code, _, fatal = db:begin()
      assert.same({ "busy", false }, { code, fatal })
      assert.is_nil(ok)
      other:rollback()
      assert(db:begin())
      db:rollback()
    end)
  end)

  describe("a connection", function()
    it("that is closed refuses everything, and may be closed again", function()
      local db = open()
      assert(db:all "SELECT 1")
      db:close()
      db:close()
      db:rollback()
      for _, call in ipairs { { "all", "SELECT 1" }, { "run", "SELECT 1" }, { "exec", "SELECT 1" }, { "begin" }, { "commit" }, { "path" },
        { "readonly" }, { "watch", "wal" }, { "backup", "x" }, { "save", {}, 1, 1 }, { "renew", {}, 1 }, { "release", 1, 1, 1 } } do
        local ok, code, message, fatal = db[call[1]](db, table.unpack(call, 2))
        assert.is_nil(ok)
        assert.same({ "closed", "the store is closed", false }, { code, message, fatal })
      end
    end)

    it("that nobody has any more closes itself, with its statements", function()
      local name = path()
      do
        local db = open(name)
        assert(db:exec "PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t (v)")
        assert(db:all "SELECT * FROM t")
      end
      collectgarbage()
      collectgarbage()
      local db <close> = open(name)
      assert(db:exec "INSERT INTO t VALUES (1)")
    end)

    it("is to a file with a name", function()
      for _, name in ipairs { "", ":memory:", "a\0b" } do
        assert.error_matches(function() sqlite.open(name, 0) end, "bad argument #1 to 'open' %(the name of a file expected%)")
      end
      assert.error_matches(function() sqlite.open("x", -1) end, "bad argument #2")
      local ok, code, message = sqlite.open("/nowhere/at/all.db", 0)
      assert.is_nil(ok)
      assert.equal("cantopen", code)
      assert.matches("unable to open database file %(No such file or directory%)", message)
    end)

    it("knows its path, absolute", function()
      local name = path()
      local db <close> = open(name)
      assert.equal(name, db:path())
      assert.is_false(db:readonly())
    end)
  end)

  it("looks at files without opening them", function()
    local name = path()
    assert.is_nil(sqlite.look(name))
    local file <close> = assert(io.open(name, "w"))
    file:write "12345"
    file:flush()
    assert.same({ "file", 5, true }, { sqlite.look(name) })
    assert.equal("directory", (sqlite.look "/"))
    assert.equal("other", (sqlite.look "/dev/null"))
  end)

  it("keeps its locks and its word when memory runs out", function()
    local name = path()
    local db <close> = open(name)
    local other <close> = open(name)
    assert(db:exec "CREATE TABLE t (v); INSERT INTO t VALUES ('a'), ('b'), ('c')")
    local n = 0
    local function rows()
      n = n + 1 -- a statement that is not prepared yet
      return assert(db:all("SELECT v, " .. n .. " AS n FROM t"))
    end
    local result, failed = alloc.sweep(rows, function(_, message)
      assert.matches("not enough memory", message)
      assert(other:begin()) -- nobody reads
      assert(other:run "UPDATE t SET v = v")
      assert(other:commit())
    end)
    assert.equal(3, #result)
    assert.is_true(failed > 5)
  end)

  describe("annotations", function()
    local META = "lua/step/meta/sqlite.lua"

    it("have every function and method, and no other, and tell every parameter", function()
      local there, annotated, comment = {}, {}, {}
      for name, value in pairs(sqlite) do
        if type(value) == "function" then there["sqlite." .. name] = true end
      end
      local db <close> = open()
      for name in pairs(getmetatable(db).__index) do there["db:" .. name] = true end
      for line in files.read(META):gmatch "[^\n]*" do
        local name, parameters = line:match "^function ([%w_.:]+)%((.-)%) end$"
        if name then
          annotated[name] = true
          local text = table.concat(comment, "\n")
          assert.matches("^%-%-%- %u", text)
          for parameter in parameters:gmatch "[%w_.]+" do
            assert.is_truthy(text:find("@param " .. parameter:gsub("%.", "%%.") .. "%??%f[%s]"), name .. ": " .. parameter)
          end
        end
        if line:find "^%-%-%-" then comment[#comment + 1] = line else comment = {} end
      end
      assert.same(there, annotated)
      assert.is_function(loadfile(META))
    end)
  end)
end)
