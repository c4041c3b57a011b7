-- store.sqlite: rows of runs: who may write them, what a save writes, claims and leases, the inbox, pages. Files: sqlite_spec.lua.

local alloc = require "spec.support.alloc"
local json = require "step.json"
local snapshot = require "step.snapshot"
local sqlite = require "step.sqlite"
local step = require "step"
local store = require "step.store.sqlite"
local stored = require "step.stored"
local temp = require "spec.support.temp"

local function nothing() end

local def = assert(step.define {
  name = "rows",
  steps = {
    { name = "a", action = nothing }, { name = "b", action = nothing, foreach = function() return { 1, 2 } end },
    { name = "c", action = nothing },
  },
})

describe("rows of store.sqlite", function()
  local path, one, now, runs

  local function open(options)
    options = options or {}
    options.now = function() return now end
    return assert(store.open(path, options))
  end

  before_each(function()
    path, now, runs = temp.path(), 100, {}
    one = open()
  end)

  after_each(function()
    one:close()
    for _, run in ipairs(runs) do run:close() end
    temp.clean()
  end)

  --- A run as an engine starts it. Its clock is the spec's.
  local function create(options, key)
    local with = { clock = function() return now end }
    for name, value in pairs(options or {}) do with[name] = name ~= "due" and value or nil end
    local run = assert(def:start(with))
    runs[#runs + 1] = run
    run.core:keep(0)
    local row = stored.row(run, key)
    if options and options.due ~= nil then row.due = options.due or nil end
    assert(one:create(row, snapshot.of(def)))
    return run
  end

  local function claim(run, options)
    local with = { owner = "me", now = now, lease = 30, id = run and run.id }
    for name, value in pairs(options or {}) do with[name] = value end
    return assert(one:claim(with))
  end

  --- Claims a run and tells the store so.
  local function hold(run)
    local row = assert(claim(run)[1], "not to be had")
    one:bind(row.number, row.epoch, run.core)
    return row
  end

  local function save(list, options)
    local cores, with = {}, { now = now, lease = 30 }
    for i, run in ipairs(list) do cores[i] = run.core end
    for name, value in pairs(options or {}) do with[name] = value end
    local lost, err = one:save(cores, with)
    if not lost then return nil, err end
    for i, core_run in ipairs(lost) do
      for k, run in ipairs(list) do if run.core == core_run then lost[i] = k end end
    end
    return lost
  end

  local function events(run)
    local found = {}
    for i, event in ipairs(assert(one:events(one:get(run.id).number))) do
      assert.equal(i, event.seq)
      found[i] = ("%s %s>%s"):format(event.step or "-", event.from, event.to)
    end
    return found
  end

  local function steps(run)
    local found = {}
    for row in one:each_step(one:get(run.id).number) do found[#found + 1] = ("%s %s"):format(row.name, row.state) end
    return found
  end

  local function refused(code, ok, err)
    assert.is_nil(ok)
    assert.equal("store", err.kind)
    assert.equal(code, err.code)
    return tostring(err)
  end

  describe("save", function()
    it("writes the run, the steps that changed and what happened, once", function()
      local run = create { input = {}, tags = { t = "1" } }
      assert.same({}, steps(run))
      hold(run)
      run.core:set(1, "DONE", "by hand", now)
      run.core:set(3, "PRUNE", nil, now)
      now = 105
      assert.same({}, save { run })
      assert.same({ "a DONE", "c PRUNE" }, steps(run))
      assert.same({ "a TODO>DONE", "c TODO>PRUNE" }, events(run))
      local row = one:get(run.id)
      assert.same({ "TODO", 2, 105.0, 1 }, { row.state, row.events, row.changed, row.epoch })
      assert.equal("by hand", one:each_step(row.number)().error)
      assert.same({}, save { run })
      assert.equal(2, #events(run))
      run.core:set(3, "DONE", nil, now)
      save { run }
      assert.same({ "a DONE", "c DONE" }, steps(run))
      assert.same({ "a TODO>DONE", "c TODO>PRUNE", "c PRUNE>DONE" }, events(run))
    end)

    it("gives a run back unless it is RUNNING, due by its state", function()
      local run = create()
      local expected = {
        { "RUNNING", "me", 130.0 }, { "WAITING", nil, nil }, { "RUNNING", "me", 130.0 }, { "TODO", nil, 100.0 }, { "PAUSED", nil, nil },
        { "CRASHED", nil, 100.0 }, { "ERROR", nil, 100.0 }, { "BLOCKED_FATAL", nil, nil }, { "DONE", nil, nil },
      }
      for _, case in ipairs(expected) do
        hold(run)
        run.core:become(case[1], now)
        save { run }
        local row = one:get(run.id)
        assert.same(case, { row.state, row.owner, row.due })
        if case[1] == "RUNNING" then one:release(row) end
      end
      hold(run)
      run.core:set_status("ERROR", 1, 1, 100, 250)
      save { run }
      assert.same({ 250.0, 250.0, 1 }, { one:get(run.id).due, one:get(run.id).next_retry, one:get(run.id).failed_count })
    end)

    it("writes nothing of a run that somebody else has claimed since, and all of the others (D27)", function()
      local a, b, c = create(), create(), create()
      for _, run in ipairs { a, b, c } do hold(run) end
      now = 200
      assert.equal(1, #claim(b, { owner = "other" }))
      for _, run in ipairs { a, b, c } do
        run.core:set(1, "DONE", nil, now)
        run.core:become("RUNNING", now)
      end
      assert.same({ 2 }, save { a, b, c })
      assert.same({}, steps(b))
      assert.same({}, events(b))
      assert.same({ "other", 230.0, "TODO", 2 }, { one:get(b.id).owner, one:get(b.id).due, one:get(b.id).state, one:get(b.id).epoch })
      assert.same({ "a DONE" }, steps(a))
      assert.same({ "a DONE" }, steps(c))
      assert.same({ 1 }, save { b })
    end)

    it("is one transaction: when a row cannot be written, nothing is, and the next save writes all", function()
      local a, b = create(), create()
      hold(a)
      local number = hold(b).number
      a.core:set(1, "DONE", nil, now)
      b.core:set(1, "DONE", nil, now)
      assert(one.db:run("INSERT INTO event (run, seq, time, \"from\", \"to\") VALUES (?, 1, 0, 'x', 'y')", number))
      local text = refused("constraint", save { a, b })
      assert.matches("UNIQUE constraint failed: event%.run, event%.seq.*at: INSERT INTO event", text)
      assert.same({ {}, {} }, { steps(a), events(a) })
      assert.equal("me", one:get(a.id).owner)
      assert(one.db:run("DELETE FROM event WHERE run = ?", number))
      assert.same({}, save { a, b })
      assert.same({ { "a DONE" }, { "a TODO>DONE" } }, { steps(a), events(a) })
      assert.same({ { "a DONE" }, { "a TODO>DONE" } }, { steps(b), events(b) })
    end)

    it("forgets the children of a foreach step when it has contracted", function()
      local run = create()
      hold(run)
      local first = run.core:load_loop(2, { 1, 2 })
      run.core:load(2, "EXPANDED", 0)
      run.core:set(first, "DONE", nil, now)
      run.core:set(first + 1, "DONE", nil, now)
      run.core:become("RUNNING", now)
      save { run }
      assert.same({ "b-0 DONE", "b-1 DONE" }, steps(run))
    end)

    it("of a run that was not bound is misuse, and leaves no transaction open", function()
      local run, other = create(), create()
      hold(other)
      assert.error_matches(function() save { other, run } end, "a run that was not bound to its row")
      local second <close> = open()
      assert(second:cache_put("k", 1))
      assert.same({}, save { other })
    end)

    it("stores all or nothing when memory runs out, and says so", function()
      local run = create { tags = { a = "1" } }
      local row = hold(run)
      run.core:load(1, "DONE", 1, now)
      run.core:set(3, "DONE", "by hand", now)
      local second <close> = open()
      local result, failed = alloc.sweep(function()
        local lost, err = one:save({ run.core }, { now = now, lease = 30, spent = { [run.core] = { 1 } } })
        if not lost then error(err, 0) end
        return #lost
      end, function(_, err)
        assert.matches("not enough memory", tostring(err))
        assert.same({}, second:events(row.number))
        assert(second:cache_put("k", 1)) -- no transaction is open
      end)
      assert.equal(0, result)
      assert.is_true(failed > 5, failed)
      assert.same({ "c TODO>DONE" }, events(run))
      assert.is_nil(one.broken)
    end)

    it("keeps the tags when they have not changed", function()
      local run = create { tags = { a = "1" } }
      hold(run)
      run.core:set(1, "DONE", nil, now)
      save { run }
      assert.same({ a = "1" }, one:get(run.id).tags)
    end)
  end)

  describe("another version of a definition", function()
    local newer = { hash = "new", name = "rows", code = true, document = "{}" }

    it("is stored together with the steps, or not at all", function()
      local run = create()
      hold(run)
      run.core:set(1, "DONE", nil, now)
      save { run }
      local second <close> = open()
      local row = claim(run)[1]
      local again = assert(def:start { clock = function() return now end })
      runs[#runs + 1] = again
      again.core:load(3, "DONE", 1, now)
      again.core:keep(row.events, true)
      one:bind(row.number, row.epoch, again.core, newer)
      -- as it would be found if the process died now
      assert.not_equal("new", second:get(run.id).definition)
      assert.equal("a", second:each_step(row.number)().name)
      again.core:set(1, "PRUNE", nil, now)
      assert.same({}, save { again })
      assert.equal("new", second:get(run.id).definition)
      assert.same({ "a PRUNE", "c DONE" }, steps(run))
      assert.same(newer, second:definition "new")
      assert.is_nil(second:definition(snapshot.of(def).hash)) -- nobody has it any more
      again.core:set(1, "DONE", nil, now)
      hold(again.id and { id = run.id, core = again.core })
      assert.same({}, save { again })
      assert.same({ "a DONE", "c DONE" }, steps(run))
    end)

    it("is not stored for a claim that is over", function()
      local run = create()
      local row = hold(run)
      run.core:set(1, "DONE", nil, now)
      run.core:become("RUNNING", now)
      save { run }
      one:bind(row.number, row.epoch, run.core, newer)
      now = 200
      claim(run, { owner = "other" })
      assert.same({ 1 }, save { run })
      assert.equal(snapshot.of(def).hash, one:get(run.id).definition)
      assert.same({ "a DONE" }, steps(run))
      assert.is_nil(one:definition "new")
    end)
  end)

  describe("claims", function()
    it("are given in the order in which runs are due, then of their numbers", function()
      local a, b, c, d = create { due = 90 }, create { due = 80 }, create { due = 80 }, create { due = 110 }
      assert.equal(80.0, one:next_due())
      local rows = claim(nil, { limit = 2 })
      assert.same({ b.id, c.id }, { rows[1].id, rows[2].id })
      assert.same({ "me", 1, 130.0, false }, { rows[1].owner, rows[1].epoch, rows[1].due, rows[1].taken_over })
      rows = claim(nil, { limit = 9 })
      assert.same({ 1, a.id }, { #rows, rows[1].id })
      assert.same({}, claim())
      assert.equal(110.0, one:next_due())
      assert.same({ d.id }, { claim(nil, { now = 110 })[1].id })
    end)

    it("end with their lease: the run is taken over, and counted if it was RUNNING", function()
      local run = create()
      hold(run)
      run.core:become("RUNNING", now)
      save { run }
      assert.same({}, claim(nil, { now = 129, owner = "other" }))
      assert.same({}, claim(run, { now = 129, owner = "other" }))
      local row = claim(nil, { now = 130, owner = "other" })[1]
      assert.same({ true, 1, 2, "other", 160.0 }, { row.taken_over, row.takeovers, row.epoch, row.owner, row.due })
    end)

    it("of one run are for anybody while nobody owns it, due or not", function()
      local run = create { due = 1000 }
      assert.equal(1, #claim(run))
      assert.same({}, claim(run))
      assert.same({}, claim({ id = "nobody" }))
    end)

    it("of a RUNNING run that its owner gave back wait for nobody", function()
      local run = create()
      hold(run)
      run.core:become("RUNNING", now)
      save { run }
      assert.is_true(one:release(run.core))
      assert.is_false(one:release(run.core))
      assert.is_true(claim(run)[1].taken_over)
    end)

    it("begin to be counted anew when a person looks after a run that was blocked", function()
      local run = create()
      assert(one.db:run("UPDATE run SET state = 'RUNNING', takeovers = 100, due = 1"))
      assert.same({}, claim(run))
      assert.equal("BLOCKED_TOCHECK", one:get(run.id).state)
      assert.equal(1, one:get(run.id).epoch) -- whoever held it is fenced
      assert.same({ 0, false }, { claim(run)[1].takeovers, one:get(run.id).state == "RUNNING" })
    end)

    it("are prolonged as long as they are ours", function()
      local a, b, c = create(), create(), create()
      for _, run in ipairs { a, b, c } do hold(run) end
      now = 200
      claim(b, { owner = "other" })
      save { c }
      local lost = assert(one:renew({ a.core, b.core, c.core }, { now = now, lease = 50 }))
      assert.same({ true, true, 2 }, { lost[1] == b.core, lost[2] == c.core, #lost })
      assert.same({ 250.0, 230.0, 200.0 }, { one:get(a.id).due, one:get(b.id).due, one:get(c.id).due })
      assert.error_matches(function() one:renew({ create().core }, { now = 1, lease = 1 }) end, "not bound")
    end)
  end)

  describe("inbox", function()
    it("is read in order, and emptied by the save that has dealt with it", function()
      local run = create()
      local row = hold(run)
      assert(one:post(run.id, "stop", "PAUSED", 101))
      assert(one:post(run.id, "set", { a = json.null, n = math.maxinteger }, 102))
      assert(one:post(run.id, "late", nil, 103))
      local posted = assert(one:take_inbox(row.number))
      assert.same({ "stop", "set", "late" }, { posted[1].kind, posted[2].kind, posted[3].kind })
      assert.same({ "PAUSED", 101.0, math.maxinteger, json.null }, { posted[1].body, posted[1].time, posted[2].body.n, posted[2].body.a })
      assert.is_nil(posted[3].body)
      save({ run }, { spent = { [run.core] = { posted[1].seq, posted[3].seq } } })
      local left = assert(one:take_inbox(row.number))
      assert.same({ 1, posted[2].seq }, { #left, left[1].seq })
      hold(run)
      save({ run }, { spent = { [run.core] = { left[1].seq } } })
      assert.same({}, one:take_inbox(row.number))
      assert(one:post(run.id, "more", 1, 104))
      assert.is_true(one:take_inbox(row.number)[1].seq > posted[3].seq) -- no number means two things
      refused("absent", one:post("nobody", "x", 1, 1))
    end)

    it("makes a run that waits due, at once or when it is given back", function()
      local run = create()
      local row = hold(run)
      run.core:become("WAITING", now)
      assert(one:post(run.id, "x", 1, 101)) -- while it is owned
      assert.equal(130.0, one:get(run.id).due)
      local seq = one:take_inbox(row.number)[1].seq
      save({ run }, { heard = { [run.core] = seq } })
      assert.is_nil(one:get(run.id).due)
      hold(run)
      assert(one:post(run.id, "x", 2, 102))
      save({ run }, { heard = { [run.core] = seq } })
      assert.equal(100.0, one:get(run.id).due)
      hold(run)
      save({ run }, { heard = { [run.core] = seq + 1 } })
      assert.is_nil(one:get(run.id).due)
      assert(one:post(run.id, "x", 3, 140))
      assert.equal(140.0, one:get(run.id).due)
    end)

    it("is not emptied by who has lost the run", function()
      local run = create()
      local row = hold(run)
      one:post(run.id, "x", 1, 1)
      now = 200
      claim(run, { owner = "other" })
      assert.same({ 1 }, save({ run }, { spent = { [run.core] = { 1 } } }))
      assert.equal(1, #one:take_inbox(row.number))
    end)
  end)

  describe("pages", function()
    it("of steps end where the steps do", function()
      local run = create()
      local number = one:get(run.id).number
      for _, count in ipairs { 0, 1, 99, 100, 101, 200, 333 } do
        assert(one.db:run("DELETE FROM step"))
        for i = 1, count do
          assert(one.db:run("INSERT INTO step (run, step, child, name, state, tries) VALUES (?, ?, ?, ?, 'DONE', 1)", number, i // 7 + 1,
            i % 7 - 1, "s" .. i))
        end
        local seen = 0
        for row in one:each_step(number) do
          seen = seen + 1
          assert.equal("s" .. seen, row.name)
        end
        assert.equal(count, seen)
      end
    end)

    it("of steps throw what cannot be read: half of a run is none", function()
      local run = create()
      local number = one:get(run.id).number
      for i = 1, 150 do
        assert(one.db:run("INSERT INTO step (run, step, child, name, state, tries, output) VALUES (?, ?, -1, ?, 'DONE', 1, ?)", number, i,
          "s" .. i, i == 140 and "{" or "1"))
      end
      local ok, err = pcall(function() for _ in one:each_step(number) do nothing() end end)
      assert.is_false(ok)
      assert.equal("corrupt", err.code)
      assert.matches("the output of step s140 is no JSON", tostring(err))
      one:close()
      refused("closed", one:each_step(number))
    end)

    it("of runs tell how to go on", function()
      local ids = {}
      for i = 1, 7 do ids[i] = create().id end
      local function page(filter)
        local rows, following = assert(one:list(filter))
        local found = {}
        for i, row in ipairs(rows) do found[i] = row.id end
        return found, following
      end
      local found, following = page { limit = 3 }
      assert.same({ { ids[1], ids[2], ids[3] }, 3 }, { found, following })
      found, following = page { limit = 4, after = following }
      assert.same({ { ids[4], ids[5], ids[6], ids[7] } }, { found, following })
      assert.same({ { table.unpack(ids, 1, 7) } }, { page() })
      assert.same({ {} }, { page { after = 7 } })
    end)

    it("of runs show what is asked for", function()
      local odd = 'a."b\'[0]$%\0\n€'
      local a = create { tags = { [odd] = "x", n = "1" }, requester_username = "me" }
      now = 150
      local b = create { tags = { [odd] = "y", ["a.\"b'[0]$%"] = "cut" } }
      local row = hold(b)
      b.core:become("PAUSED", now)
      save { b }
      local function ids(filter)
        local found = {}
        for i, item in ipairs(assert(one:list(filter))) do found[i] = item.id == a.id and "a" or item.id == b.id and "b" end
        return table.concat(found)
      end
      assert.equal("ab", ids {})
      assert.equal("ab", ids { tag = odd })
      assert.equal("a", ids { tag = "n" })
      assert.equal("", ids { tag = "a" })
      assert.equal("a", ids { tag = { [odd] = "x" } })
      assert.equal("b", ids { tag = { [odd] = "y" } })
      assert.equal("a", ids { tag = { [odd] = "x", n = "1" } })
      assert.equal("", ids { tag = { [odd] = "y", n = "1" } })
      assert.equal("", ids { tag = { n = 1 } })
      assert.equal("ab", ids { tag = {} })
      assert.equal("b", ids { state = "PAUSED" })
      assert.equal("ab", ids { definition = "rows" })
      assert.equal("", ids { definition = "other" })
      assert.equal("b", ids { created_since = 150 })
      assert.equal("a", ids { created_before = 150 })
      assert.equal("b", ids { after = row.number - 1, tag = odd })
      assert.equal("a", ids { tag = odd, limit = 1 })
      assert.equal("me", one:get(a.id).requester_username)
      local nested = {}
      nested.nested = nested
      refused("json", one:list { tag = nested })
    end)
  end)

  describe("the end", function()
    it("of a run is its deletion, when nobody works on it", function()
      local run = create(nil, "k")
      local row = hold(run)
      run.core:become("RUNNING", now)
      save { run }
      one:post(run.id, "x", 1, 1)
      assert.matches("is being worked on by me: cancel it first", refused("owned", one:delete(run.id)))
      now = 130
      assert.is_true(one:delete(run.id))
      refused("absent", one:delete(run.id))
      for _, name in ipairs { "run", "step", "event", "inbox", "definition" } do
        assert.equal(0, one.db:all("SELECT count(*) AS n FROM " .. name)[1].n, name)
      end
      assert.is_true(one:check())
      local another = create(nil, "k")
      assert.is_true(one:get(another.id).number > row.number) -- who still holds the old one cannot mean this one
      assert.same({ 1 }, save { run })
      assert.same({}, steps(another))
    end)

    it("is not that of its children: a run stays as long as one of them has not ended", function()
      local function row(id, parent)
        return { id = id, name = "kid", state = "WAITING", run_max = 1, created = 10, tags = {}, parent = parent }
      end
      assert(one:create(row "top", snapshot.of(def)))
      assert(one:create_all({ row("a", "top"), row("b", "top"), row("c", "top"), row("d", "top"), row("e", "top") }, snapshot.of(def)))
      assert.matches("the run 'top' has started what has not ended: a ('kid', WAITING), b ('kid', WAITING), c ('kid', WAITING), 2 more; "
        .. "cancel the run first, that cancels them, too", refused("parent", one:delete "top"), 1, true)
      assert(one.db:run "UPDATE run SET state = 'DONE' WHERE id = 'top'")
      assert.equal(0, assert(one:prune { older_than = 100 }))
      assert.matches("2 more; cancel them first", refused("parent", one:delete "top"), 1, true)
      assert(one.db:run "UPDATE run SET state = 'CANCELLED' WHERE parent = 'top'")
      assert.equal(6, assert(one:prune { older_than = 100 }))
    end)

    it("is the end of its right to start others, if it did not end by itself (D27)", function()
      local function row(id, parent, key)
        return { id = id, key = key, name = "kid", state = "TODO", run_max = 1, created = 10, tags = {}, parent = parent }
      end
      assert(one:create(row "top", snapshot.of(def)))
      assert(one:create(row("a", "top", "a"), snapshot.of(def)))
      assert(one.db:run "UPDATE run SET state = 'CANCELLED' WHERE id = 'top'")
      assert.matches("the run 'top', which is to start another one, is CANCELLED", refused("lost", one:create(row("b", "top"),
        snapshot.of(def))))
      assert.equal("a", one:create(row("a", "top", "a"), snapshot.of(def)))
      refused("lost", one:create_all({ row("b", "gone") }, snapshot.of(def)))
      assert.equal(2, #one:list())
    end)

    it("of many is some at a time, and the file shrinks", function()
      for i = 1, 250 do
        local id = "r" .. i
        one:create({ id = id, name = "rows", state = i % 5 == 0 and "TODO" or i % 2 == 0 and "DONE" or "CANCELLED", run_max = 1,
          created = i > 240 and 500 or 10, tags = {}, config = { text = ("x"):rep(3000) } }, snapshot.of(def))
      end
      local _, before = sqlite.look(path)
      assert.equal(100 - 4, assert(one:prune { older_than = 100, states = { "DONE" } }))
      assert.equal(100 - 4, assert(one:prune { older_than = 100 }))
      assert.equal(0, assert(one:prune { older_than = 100 }))
      assert.equal(58, #one:list { limit = 1000 })
      local _, after = sqlite.look(path)
      assert.is_true(after < before / 2, before .. " " .. after)
      assert.is_true(one:check())
      assert.equal(48 + 2, #one:list { limit = 1000, state = "TODO" })
    end)
  end)

  it("has values that are kept for a time", function()
    assert.is_nil(one:cache_get("k", now))
    local value = { a = json.array { 1, json.null }, b = "a\0b" }
    assert(one:cache_put("k", value, 110))
    assert(one:cache_put("n", json.null))
    assert.same(value, one:cache_get("k", 109))
    assert.is_nil(one:cache_get("k", 110))
    assert.equal(json.null, one:cache_get("n", 1e9))
    assert(one:cache_put("k", false, 120))
    assert.is_false(one:cache_get("k", 119))
    now = 121
    assert(one:cache_put("other", 1, 130))
    assert.same({ { key = "n" }, { key = "other" } }, one.db:all "SELECT key FROM cache ORDER BY key") -- what is over goes
    assert(one:cache_delete "n")
    assert.is_nil(one:cache_get("n", 1))
    assert.error_matches(function() one:cache_put("x", nil) end, "value expected")
    refused("json", one:cache_put("x", print))
  end)

  it("is the same for two connections in a process", function()
    local second <close> = open()
    local run = create(nil, "k")
    assert.equal(run.id, second:by_key "k")
    local id, created = second:create({ id = "other", key = "k" }, snapshot.of(def))
    assert.same({ run.id, false }, { id, created })
    assert.equal(1, #second:claim { owner = "second", now = now, lease = 30 })
    assert.same({}, claim(run))
  end)
end)
