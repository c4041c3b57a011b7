-- store.sqlite: the file, what it refuses, and that it stops when something is wrong with it. What happens to runs: stored_spec.lua.

local json = require "step.json"
local opening = require "step.store.sqlite.open"
local sqlite = require "step.sqlite"
local step = require "step"
local store = require "step.store.sqlite"
local temp = require "spec.support.temp"

local path, write = temp.path, temp.write

local function refusal(ok, err)
  assert.is_nil(ok)
  assert.equal("store", err.kind)
  return err.code, tostring(err)
end

local function define(action)
  return assert(step.define { name = "x", steps = { { name = "a", action = action or function() return 1 end } } })
end

local function engine_on(file, options, def)
  local with = { store = file, clock = step.manual_clock(0) }
  for key, value in pairs(options or {}) do with[key] = value end
  local engine = assert(step.engine(with))
  return engine:add(def or define())
end

local DEFINITION = { hash = "h", name = "x", code = true, document = "{}" }

local function new_run(id, more)
  local row = { id = id, name = "x", state = "TODO", run_max = 100, created = 1, due = 1, tags = {} }
  for key, value in pairs(more or {}) do row[key] = value end
  return row
end

describe("store.sqlite", function()
  after_each(temp.clean)

  describe("opens", function()
    it("a file that is not there, and one that is", function()
      local file = path()
      assert(store.open(file)):close()
      local again = assert(store.open(file))
      assert.is_true(again:check())
      assert.equal("sqlite", again.kind)
      assert.equal(file, again.path)
      again:close()
      again:close()
    end)

    it("with the journal that this release of SQLite allows to several, and says why", function()
      local one = assert(store.open(path()))
      if sqlite.version_number >= 3051003 then
        assert.equal("wal", one.journal)
      else
        assert.equal("rollback", one.journal)
        assert.matches("rollback journal: SQLite " .. sqlite.version:gsub("%.", "%%.") .. " may damage a file in WAL mode", one.note)
      end
      one:close()
    end)

    it("for itself alone, in WAL mode", function()
      local file = path()
      local one = assert(store.open(file, { exclusive = true }))
      assert.equal("wal", one.journal)
      opening.patience = 0
      local code, text = refusal(store.open(file))
      opening.patience = 5
      assert.equal("busy", code)
      assert.matches("has the file for itself", text)
      one:close()
      local two = assert(store.open(file)) -- put back into the journal that several may use
      assert.is_true(two:check())
      two:close()
    end)

    it("with less durability, and says what that means", function()
      local one = assert(store.open(path(), { durability = "relaxed" }))
      assert.matches("durability is relaxed.*may lose the last commits, acknowledged results and RUNNING marks", one.note)
      one:close()
    end)

    it("no folder, no file in a folder that is not there", function()
      assert.same({ "nofile", "the store /: it is a directory, not a file" }, { refusal(store.open "/") })
      local code, text = refusal(store.open "/nowhere/at/all.db")
      assert.equal("nofolder", code)
      assert.matches("there is no folder '/nowhere/at'", text)
      code = refusal(store.open "/dev/null")
      assert.equal("nofile", code)
    end)

    it("no file of something else", function()
      local file = path()
      write(file, ("no database "):rep(1000))
      local code, text = refusal(store.open(file))
      assert.equal("notadb", code)
      assert.matches("it is no SQLite database, or a damaged one", text)
      local other = path()
      local db = assert(sqlite.open(other, 1))
      assert(db:exec "CREATE TABLE t (a)")
      db:close()
      code, text = refusal(store.open(other))
      assert.equal("foreign", code)
      assert.matches("no store of runs but an SQLite database of something else", text)
    end)

    it("no file of a newer version, and names both", function()
      local file = path()
      assert(store.open(file)):close()
      local db = assert(sqlite.open(file, 1))
      assert(db:exec "PRAGMA user_version = 99")
      db:close()
      local code, text = refusal(store.open(file))
      assert.equal("newer", code)
      assert.matches("the file is of version 99, this step knows versions up to %d+: use a newer step", text)
    end)

    it("a file of an older version after bringing it forward, once", function()
      local schema = require "step.store.sqlite.schema"
      local file = path()
      assert(store.open(file)):close()
      local before = #schema.versions
      schema.versions[before + 1] = "ALTER TABLE run ADD COLUMN later TEXT"
      finally(function() schema.versions[before + 1] = nil end)
      for _ = 1, 2 do
        local one = assert(store.open(file))
        assert(one:create(new_run("r" .. _), DEFINITION))
        one:close()
      end
      local db = assert(sqlite.open(file, 1))
      assert.equal(before + 1, db:all("PRAGMA user_version")[1].user_version)
      assert.equal(2, #db:all "SELECT later FROM run")
      db:close()
    end)

    it("a file of each older version, its runs as they were", function()
      local schema = require "step.store.sqlite.schema"
      for version = 1, #schema.versions - 1 do
        local file = path()
        local db = assert(sqlite.open(file, 1))
        for v = 1, version do assert(db:exec(schema.versions[v])) end
        assert(db:exec(("PRAGMA application_id = %d; PRAGMA user_version = %d"):format(schema.application_id, version)))
        assert(db:exec [[
          INSERT INTO definition VALUES ('h', 'x', 1, '{}');
          INSERT INTO run (id, definition, name, state, run_max, created, changed, due, tags, requester_username, resolver_username)
            VALUES ('r', 'h', 'x', 'ERROR', 100, 1, 2, 3, '{"t":"1"}', '', '');
          INSERT INTO event VALUES (1, 1, 1.5, NULL, 'TODO', 'RUNNING', NULL), (1, 2, 1.75, NULL, 'RUNNING', 'ERROR', NULL);
        ]])
        db:close()
        local one <close> = assert(store.open(file))
        local row = assert(one:get "r")
        assert.same({ "ERROR", 2, 2.0, { t = "1" } }, { row.state, row.events, row.changed, row.tags })
        assert.equal(1, #one:claim { owner = "me", now = 3, lease = 30 })
      end
    end)

    it("no file that was damaged while it was not closed, and says what to do", function()
      local file = path()
      local one = assert(store.open(file))
      for i = 1, 200 do assert(one:create(new_run("r" .. i), DEFINITION)) end
      one:close()
      local size
      do
        local handle <close> = assert(io.open(file, "r+b"))
        size = handle:seek "end"
        handle:seek("set", 4096 * 3)
        handle:write(("\255"):rep(math.min(size - 4096 * 3, 4096 * 8)))
      end
      write(file .. "-wal", ("\1"):rep(100)) -- it was not closed
      local code, text = refusal(store.open(file))
      assert.equal("corrupt", code)
      assert.matches("restore a backup, or save what can be saved with `sqlite3 FILE .recover`", text)
    end)

    it("nothing with a name that is none", function()
      for _, name in ipairs { "", "a\0b", ":memory:", 5 } do assert.error_matches(function() store.open(name) end, "bad argument #1") end
      assert.error_matches(function() store.open(path(), { durability = "much" }) end,
        "durability.*found \"much\"; accepted: full, relaxed")
    end)
  end)

  describe("stops", function()
    it("when the file was removed: the run is not acknowledged, its action does not start (D26)", function()
      local file, ran = path(), 0
      local engine = engine_on(file, nil, define(function() ran = ran + 1 end))
      local run = assert(engine:start "x")
      os.remove(file)
      local code, text = refusal(run:resolve())
      assert.equal("moved", code)
      assert.matches("removed or renamed while it was open", text)
      assert.equal(0, ran)
      assert.equal("moved", (refusal(engine:start "x")))
      engine:close()
    end)

    it("when the -wal was replaced", function()
      local file = path()
      local engine = engine_on(file, { exclusive = true })
      local run = assert(engine:start "x")
      os.rename(file .. "-wal", file .. "-gone")
      write(file .. "-wal", "")
      local code, text = refusal(run:resolve())
      assert.equal("moved", code)
      assert.matches("%-wal was replaced", text)
      engine:close()
    end)

    it("when there is no room: what was acknowledged stays, everything later is refused with the same error", function()
      local file, ran = path(), 0
      local engine = engine_on(file, nil, define(function() ran = ran + 1 end))
      local kept = assert(engine:start "x")
      local pages = engine.store.db:all("PRAGMA page_count")[1].page_count
      assert(engine.store.db:all(("PRAGMA max_page_count = %d"):format(pages)))
      local refused, err
      for _ = 1, 2000 do
        refused, err = engine:start("x", { input = nil, config = { text = ("x"):rep(2000) } })
        if not refused then break end
      end
      local code, text = refusal(refused, err)
      assert.equal("full", code)
      assert.matches("make room on the disk", text)
      assert.equal("full", (refusal(kept:resolve())))
      assert.equal(0, ran)
      engine:close()
      engine = engine_on(file)
      assert(engine.store:check())
      assert.equal("DONE", engine:resolve(kept.id))
      engine:close()
    end)

    it("in a child of the process, which does not touch the file", function()
      local fork = require "spec.fork"
      local file = path()
      local engine = engine_on(file)
      local run = assert(engine:start "x")
      local said = fork.run(function()
        local ok, err = engine:start "x"
        local also, err2 = engine:run(run.id)
        engine:close()
        return tostring(ok) .. err.code .. tostring(also) .. err2.code .. tostring(err)
      end)
      assert.matches("^nilforkednilforked.*the file belongs to the process that opened it", said)
      assert.equal("DONE", run:resolve())
      assert(engine.store:check())
      engine:close()
    end)

    it("not when another has it for a moment: that is busy, and goes by", function()
      local file = path()
      local engine = engine_on(file)
      local run = assert(engine:start "x")
      local other = assert(sqlite.open(file, 0))
      assert(other:begin())
      assert(engine.store.db:exec "PRAGMA busy_timeout = 1")
      assert.equal("busy", (refusal(run:resolve())))
      other:rollback()
      assert.equal("DONE", run:resolve())
      other:close()
      engine:close()
    end)
  end)

  it("keeps any JSON value exactly, to 64 MB", function()
    local file = path()
    local large = ("0123456789abcdef"):rep(4 * 1024 * 1024)
    local value = { large = large, list = json.array {}, map = {}, null = json.null, n = math.mininteger, d = 0.1,
      text = "a\0b\u{10ffff}" }
    local engine = engine_on(file, { durability = "relaxed" }, define(function() return value end))
    local run = assert(engine:start "x")
    assert.equal("DONE", run:resolve())
    engine:close()
    engine = engine_on(file)
    local output = engine:run(run.id).steps.a.output
    assert.is_true(output.large == large)
    assert.is_true(json.is_array(output.list))
    assert.is_false(json.is_array(output.map))
    assert.same({ json.null, math.mininteger, 0.1, "a\0b\u{10ffff}" }, { output.null, output.n, output.d, output.text })
    engine:close()
  end)

  it("copies itself while it is used, into a file that was not there", function()
    local file, copy = path(), path()
    local engine = engine_on(file)
    local run = assert(engine:start "x")
    assert(engine:backup(copy))
    assert.equal("DONE", run:resolve())
    assert.equal("exists", (refusal(engine:backup(copy))))
    engine:close()
    engine = engine_on(copy)
    assert.equal("TODO", engine:run(run.id).state)
    assert.equal("DONE", engine:resolve(run.id))
    engine:close()
  end)

  it("gives the longest due first, only what a worker can carry on, and counts who took over (D27)", function()
    local one = assert(store.open(path(), { now = function() return 0 end }))
    one:create(new_run("late", { due = 5 }), DEFINITION)
    one:create(new_run("early", { due = 2 }), DEFINITION)
    one:create(new_run("data", { due = 3 }), { hash = "d", name = "y", code = false, document = "{}" })
    local function claimed(options)
      options.owner, options.lease, options.limit = "me", 10, 10
      local ids = {}
      for i, row in ipairs(assert(one:claim(options))) do ids[i] = row.id end
      return ids
    end
    assert.same({ "data" }, claimed { now = 4, hashes = {} })
    assert.equal(2.0, one:next_due())
    assert.equal(14.0, one:get "data".due)
    assert.same({ "early" }, claimed { now = 4, hashes = { "h" } })
    assert.same({ "late" }, claimed { now = 9, names = { "x" }, hashes = {} })
    assert.same({}, claimed { now = 9 })
    assert.same({ "early", "data" }, claimed { now = 14 }) -- their leases are over
    assert.equal(0, one:get("data").takeovers) -- it was not RUNNING
    one:close()
  end)

  it("blocks what was taken over more than a hundred times (D27)", function()
    local one = assert(store.open(path()))
    one:create(new_run "r", DEFINITION)
    assert(one.db:run "UPDATE run SET state = 'RUNNING', takeovers = 99, due = 1")
    assert.equal(1, #one:claim { owner = "a", now = 2, lease = 1 })
    assert.equal(0, #one:claim { owner = "b", now = 5, lease = 1 })
    local row = one:get "r"
    assert.same({ "BLOCKED_TOCHECK", 101 }, { row.state, row.takeovers })
    assert.is_nil(row.due)
    assert.matches("taken over more than 100 times", one:events(row.number)[1].message)
    one:close()
  end)

  it("searches no table from end to end", function()
    local one = assert(store.open(path()))
    local seen = {}
    local all = one.db.all
    local db = setmetatable({}, { __index = function(_, name)
      return function(_, ...)
        if name == "all" or name == "run" then seen[#seen + 1] = (...) end
        return one.db[name](one.db, ...)
      end
    end })
    local real = one.db
    local probe = setmetatable({ db = db, path = one.path, now = one.now }, getmetatable(one))
    one:create(new_run "r", DEFINITION)
    probe:claim { owner = "a", now = 5, lease = 5, limit = 5, hashes = { "h" } }
    probe:claim { owner = "a", now = 5, lease = 5, id = "r" }
    probe:next_due()
    probe:get "r"
    probe:by_key "k"
    probe:list { state = "TODO", after = 0, limit = 5 }
    probe:list { parent = "p" }
    for _ in probe:each_step(1) do error "none" end
    probe:events(1, 0, 10)
    probe:take_inbox(1)
    probe:post("r", "stop", "PAUSED", 1)
    probe:delete "r"
    assert.is_true(#seen > 12)
    for _, sql in ipairs(seen) do
      for _, row in ipairs(all(real, "EXPLAIN QUERY PLAN " .. sql) or {}) do
        local scan = row.detail:match "^SCAN (%S+)"
        assert.is_true(scan == nil or scan == "json_each" or row.detail:find("USING", 1, true) ~= nil, ("%s: %s"):format(sql, row.detail))
      end
    end
    one:close()
  end)
end)
