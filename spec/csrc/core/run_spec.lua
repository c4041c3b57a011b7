-- csrc/core/run.c: one execution of a graph. Each run here checks its invariants (run:sound) before every action and after
-- every resolve and every change by hand.

local core = require "step.core"
local make = require("spec.support.core_graph").run
local random = require("spec.support.random_graph").random

local function failing() error("no", 0) end
local function always() return true end

describe("ready order", function()
  it("is that of the definition, then of what became available (D1)", function()
    local r = make "z\nm: z\na\nb: a m\nc: z"
    assert.equal("DONE", r:resolve())
    assert.equal("z a m c b", table.concat(r.log, " "))
  end)

  it("each step runs once in a resolve (S6.2), and what depends on a failed one waits (S2.4)", function()
    local r = make("a\nb: a\nc", { a = failing })
    assert.equal("ERROR", r:resolve())
    assert.equal("a=SERVER_ERROR b=TODO c=DONE", r:states())
    assert.equal("a c", table.concat(r.log, " "))
    assert.equal("ERROR", r:resolve())
    assert.equal("a c a", table.concat(r.log, " "))
    assert.equal(2, r:tries "a")
  end)

  it("a cancelled or done run does not start (S6.1)", function()
    local r = make "a"
    assert.equal("DONE", r:resolve())
    assert.same({ nil, "done", n = 2 }, table.pack(r:resolve()))
    r = make "a"
    r.run:stop("CANCELLED", 0)
    assert.same({ nil, "cancelled", n = 2 }, table.pack(r:resolve()))
  end)
end)

describe("dependencies", function()
  it("on custom states decide which branch goes on; the other is pruned, transitively (S2.3)", function()
    local r = make("a {X,Y}\nb: a:X\nc: a:Y,DONE\nd: b\ne: c:ANY d:ANY", { a = { check = { { always, { "this", "X" } } } } })
    assert.equal("DONE", r:resolve())
    assert.equal("a=X b=DONE c=PRUNE d=DONE e=DONE", r:states())
  end)

  it("prune only what has neither ended nor is RUNNING (D8)", function()
    local r
    r = make("a {X}\nb\nc: a b", {
      b = { check = { { function() return r.poke end, { "c", "DONE" } } } },
      a = { check = { { always, { "this", "X" } } } },
    })
    r:set("c", "DONE")
    assert.equal("DONE", r:resolve())
    assert.equal("a=X b=DONE c=DONE", r:states())
  end)

  it("ANY waits for the target and all its ancestors (S2.2, D9)", function()
    local r = make("a\nb: a\nc: b:ANY", { a = failing })
    r:set("b", "DONE")
    assert.equal("ERROR", r:resolve())
    assert.equal("a=SERVER_ERROR b=DONE c=TODO", r:states())
    r:set("a", "PRUNE")
    assert.equal("DONE", r:resolve())
    assert.equal("a c", table.concat(r.log, " "))
  end)

  it("ANY is met by any ending", function()
    local r = make("a {X}\nb {Y}\nc: a:ANY b:ANY", { a = { skip = { { always, { "this", "PRUNE" } } } }, b = { check = { { always,
      { "this", "Y" } } } } })
    assert.equal("DONE", r:resolve())
    assert.equal("a=PRUNE b=Y c=DONE", r:states())
  end)

  it("that no longer hold keep a step from starting", function()
    local r = make("a\nb: a\nc: a", { b = { check = { { always, { "a", "TO_RETRY" } } } } })
    assert.equal("ERROR", r:resolve())
    assert.equal("a=TO_RETRY b=DONE c=TODO", r:states())
    assert.equal("a b", table.concat(r.log, " "))
  end)
end)

describe("the end of a resolve (S6.4)", function()
  local function ends(state)
    return function(...)
      local does, lines = {}, {}
      for i, wanted in ipairs { ... } do
        lines[i] = "s" .. i
        if wanted ~= "TODO" then does["s" .. i] = { check = { { always, { "this", wanted } } } } end
      end
      assert.equal(state, make(table.concat(lines, "\n"), does):resolve())
    end
  end
  it("is the first of the list that some step justifies", function()
    ends "DONE" ("DONE", "PRUNE")
    ends "ERROR" ("TO_RETRY", "DONE")
    ends "BLOCKED_BADREQUEST" ("TO_RETRY", "CLIENT_ERROR")
    ends "BLOCKED_FATAL" ("CLIENT_ERROR", "FATAL_ERROR", "TO_RETRY")
  end)

  it("is WAITING only when nothing worse is there, and tried twice before (S6.3)", function()
    local waiting = { exec = true, action = function() error({ kind = "not_assigned" }) end }
    local r = make("a\nb: a", { a = waiting })
    assert.equal("WAITING", r:resolve())
    assert.equal("a a", table.concat(r.log, " "))
    r = make("a\nb", { a = waiting, b = failing })
    assert.equal("ERROR", r:resolve())
    assert.equal("a b", table.concat(r.log, " "))
  end)

  it("is BLOCKED_DEADLOCK when something is left without a reason (S2.4, D5)", function()
    local r = make "a {X}\nb: a:X"
    r.run:load(1, "DONE", 1) -- restored: nothing changes any more, so nothing is pruned
    assert.equal("BLOCKED_DEADLOCK", (r:resolve()))
    assert.equal("a=DONE b=TODO", r:states())
  end)

  it("is BLOCKED_MAXRETRIES after run_max failures; others do not count (D18)", function()
    local fail = true
    local r = make("a\nb", { a = function() if fail then failing() end end })
    r.run:set_status("TODO", 0, 0, 2)
    assert.equal("ERROR", r:resolve())
    assert.equal("BLOCKED_MAXRETRIES", r:resolve())
    assert.same({ "BLOCKED_MAXRETRIES", 2, 2, 2 }, { table.unpack({ r.run:status() }, 1, 4) })
    fail = false
    assert.equal("DONE", r:resolve())
  end)
end)

describe("retries", function()
  it("next_retry is kept per step; the run's is the earliest (D17)", function()
    local r = make("a minutes\nb", { a = failing, b = failing })
    assert.equal("ERROR", r:resolve())
    assert.equal(1096, r.run:extra(1).next_retry)
    assert.equal(1010, r.run:extra(2).next_retry)
    assert.equal(1010, (select(5, r.run:status())))
  end)

  it("an automatic resolve takes only what is due; a person's takes all (D17)", function()
    local r = make("a minutes\nb\nc: a:ANY b:ANY", { a = failing, b = failing })
    r:resolve()
    r.time = 1011
    r:resolve(true)
    assert.equal("a b b", table.concat(r.log, " "))
    r:resolve(true)
    assert.equal("a b b", table.concat(r.log, " "))
    r:resolve()
    assert.equal("a b b a b", table.concat(r.log, " "))
  end)

  it("an automatic resolve leaves blocked steps alone", function()
    local r = make("a\nb", { a = { check = { { always, { "this", "CLIENT_ERROR" } } } }, b = failing })
    r:resolve()
    r.time = 2000
    r:resolve(true)
    assert.equal("a b b", table.concat(r.log, " "))
  end)

  it("max_retries: N more tries after the first, 0 none, negative no limit (S4.1, D18)", function()
    local r = make("a 1\nb 0\nc -1", { a = failing, b = failing, c = failing })
    for _ = 1, 4 do r:resolve() end
    assert.equal("a=FATAL_ERROR b=FATAL_ERROR c=SERVER_ERROR", r:states())
    assert.same({ 2, 1, 4 }, { r:tries "a", r:tries "b", r:tries "c" })
    assert.equal("Step reached max retries 1: no", r:error "a")
  end)

  it("RETRY_NOW runs again in the same resolve, within max_retries (S6.2, D10)", function()
    local r = make("a 2", { a = { check = { { always, { "this", "RETRY_NOW" } } } } })
    assert.equal("BLOCKED_FATAL", r:resolve())
    assert.equal("a a a", table.concat(r.log, " "))
  end)

  it("RETRY_NOW by a descendant runs again, those that depend on it do not (S6.2)", function()
    local n = 0
    local r = make("a\nb: a\nc: b", { c = { check = { { function() n = n + 1 return n == 1 end, { "a", "RETRY_NOW" } } } } })
    assert.equal("DONE", r:resolve())
    assert.equal("a b c a", table.concat(r.log, " "))
  end)

  it("waiting and missing resources are not tries, their counters stay within max_retries (D18)", function()
    local r = make("a 1", { a = { exec = true, action = function() error({ kind = "not_assigned" }) end } })
    for _ = 1, 5 do r:resolve() end
    assert.equal("WAITING", r:state "a")
    assert.equal(0, r:tries "a")
    assert.equal(1, r.run:extra(1).wait_count)
  end)
end)

describe("foreach", function()
  local function items(n) return function() return table.move({ 1, 2, 3, 4, 5, 6, 7, 8 }, 1, n, 1, {}) end end

  it("expands into children and contracts when all have ended (S5.1, S5.4)", function()
    local seen
    local r
    r = make("a\nf*: a\nb: f", { f = { foreach = items(3), action = function(v) seen = r:states() return v.iterator end } })
    assert.equal("DONE", r:resolve())
    assert.equal("a f f f b", table.concat(r.log, " "))
    assert.matches("f=EXPANDED .* f%-1=DONE f%-2=RUNNING$", seen)
    assert.equal("a=DONE f=DONE b=DONE", r:states())
    local children = select(4, r.run:results(2))
    for i = 1, 3 do
      assert.same({ i, i - 1, "DONE", i }, { children[i].output, children[i].index, children[i].state, children[i].metadata.iterator })
    end
  end)

  it("of an empty list is DONE with no children (S5.4)", function()
    local r = make("f*\nb: f", { f = { foreach = items(0) } })
    assert.equal("DONE", r:resolve())
    assert.same({}, (select(4, r.run:results(1))))
  end)

  it("a child that fails keeps the parent EXPANDED, only it runs again (S5.6)", function()
    local fail = true
    local r = make("f*\nb: f", { f = { foreach = items(3), action = function(v) if v.iterator == 2 and fail then failing() end end } })
    assert.equal("ERROR", r:resolve())
    assert.equal("f=EXPANDED b=TODO f-0=DONE f-1=SERVER_ERROR f-2=DONE", r:states())
    fail = false
    assert.equal("DONE", r:resolve())
    assert.equal("f f f f b", table.concat(r.log, " "))
  end)

  it("in sequence the next one starts when the previous has ended, in whatever state (S5.2, D15)", function()
    local r = make("f {X} >", { f = { foreach = items(3), skip = { { function(v) return v.iterator == 1 end, { "this", "PRUNE" } } },
      check = { { function(v) return v.iterator == 2 end, { "this", "X" } } } } })
    assert.equal("DONE", r:resolve())
    assert.equal("f f", table.concat(r.log, " "))
    assert.equal(2, #select(4, r.run:results(1))) -- the pruned one is left out
  end)

  it("in sequence one that fails stops the rest", function()
    local r = make("f >", { f = { foreach = items(3), action = failing } })
    assert.equal("ERROR", r:resolve())
    assert.equal("f=EXPANDED f-0=SERVER_ERROR f-1=TODO f-2=TODO", r:states())
  end)

  it("RETRY_NOW and TO_RETRY on the parent collect and expand again (S5.5, D11)", function()
    local n = 0
    local r = make("f* 5\nb: f", { f = { foreach = items(2), check = { { function() n = n + 1 return n == 1 end, { "f",
      "RETRY_NOW" } } } } })
    assert.equal("DONE", r:resolve())
    assert.equal("f f f b", table.concat(r.log, " ")) -- the second child of the first expansion never started
    assert.equal(1, r:tries "f")
    n = 0
    r = make("f* 5\nb: f", { f = { foreach = items(2), check = { { function() n = n + 1 return n == 2 end, { "f", "TO_RETRY" } } } } })
    assert.equal("ERROR", r:resolve())
    assert.equal("f=TO_RETRY b=TODO", r:states())
    assert.equal(2, #select(4, r.run:results(1)))
    assert.equal("DONE", r:resolve())
  end)

  it("gives the numbers of children back when they go", function()
    local r = make("f*\ng*: f\nh*: f", { f = { foreach = items(8) }, g = { foreach = items(3) }, h = { foreach = items(2) } })
    assert.equal("DONE", r:resolve())
    assert.equal(3, r.run:top())
  end)

  it("pruning reaches the children that have not ended (S2.3)", function()
    local r = make("a\nf*: a\nb", { f = { foreach = items(3), action = failing } })
    r:resolve()
    r:set("a", "PRUNE")
    assert.equal("a=PRUNE f=PRUNE b=DONE f-0=PRUNE f-1=PRUNE f-2=PRUNE", r:states())
    assert.equal("DONE", r:resolve())
  end)

  it("a name that looks like a child's is none", function()
    local r = make("f*\nx-1", { f = { foreach = items(3), action = failing } })
    r:resolve()
    for _, name in ipairs { "f-3", "f-", "f-00", "f-01", "-1", "f-1-1", "f-99999999999999", "f-2147483648", "x-1-0", "f--1", "f-1 " } do
      assert.is_nil(r.run:find(name), name)
    end
    assert.equal(r.run:find "f-0" + 2, r.run:find "f-2")
    assert.equal(2, r.run:find "x-1")
  end)
end)

describe("max_concurrent of a foreach step", function()
  --- Children that take those seconds each, `most` at a time; the times at which they started and ended, in order.
  local function play(most, durations, options)
    options = options or {}
    local list, running, r = {}, 0, nil
    r = make(options.graph or "f*", {
      f = { foreach = function() return durations end, exec = true, action = function(name, _, _, ctx)
        local i = tonumber(name:match "%d+$")
        running = running + 1
        assert.is_true(running <= most)
        list[#list + 1] = ("%g+%d"):format(r.time - 1000, i)
        if options.fails and options.fails(i, ctx.attempt) then
          running = running - 1
          failing()
        end
        ctx:sleep(durations[i + 1])
        running = running - 1
        assert.is_true(r.run:sound())
        list[#list + 1] = ("%g-%d"):format(r.time - 1000, i)
      end, check = options.check },
      b = function() list[#list + 1] = "b" end,
    }, { settings = { f = { most = most } } })
    return r, list
  end

  it("lets so many run at a time; the next begins when one has ended", function()
    local r, list = play(2, { 3, 1, 1, 5, 1 })
    assert.equal("DONE", r:resolve())
    assert.equal("0+0 0+1 1-1 1+2 2-2 2+3 3-0 3+4 4-4 7-3", table.concat(list, " "))
  end)

  it("does not hold up other steps", function()
    local r, list = play(1, { 2, 2 }, { graph = "f*\nb" })
    assert.equal("DONE", r:resolve())
    assert.equal("b 0+0 2-0 2+1 4-1", table.concat(list, " "))
  end)

  it("does not count those that wait for a retry", function()
    local r, list = play(1, { 1, 1, 1 }, { fails = function(i, attempt) return i < 2 and attempt == 1 end })
    assert.equal("ERROR", r:resolve())
    assert.equal("0+0 0+1 0+2 1-2", table.concat(list, " "))
    assert.equal("DONE", r:resolve())
    assert.equal("0+0 0+1 0+2 1-2 1+0 2-0 2+1 3-1", table.concat(list, " "))
  end)

  it("holds for those that are run again at once, which come first (S6.2)", function()
    local again = { true, true, false, true }
    local check = { { function(v)
      local now = again[v.iterator] or false
      again[v.iterator] = false
      return now
    end, { "this", "RETRY_NOW" } } }
    local r, list = play(2, { 1, 2, 3, 4 }, { check = check })
    assert.equal("DONE", r:resolve())
    assert.equal("0+0 0+1 1-0 1+0 2-1 2+1 2-0 2+2 4-1 4+3 5-2 8-3 8+3 12-3", table.concat(list, " "))
  end)

  it("of a sequence changes nothing", function()
    local r, list = play(3, { 1, 1 }, { graph = "f>" })
    assert.equal("DONE", r:resolve())
    assert.equal("0+0 1-0 1+1 2-1", table.concat(list, " "))
  end)

  it("is exhausted and never exceeded: a literal schedule", function()
    local q = random(11)
    for _ = 1, 200 do
      local most, durations, ends, expected = q:int(1, 5), {}, {}, {}
      for i = 1, q:int(1, 30) do durations[i] = q:int(1, 1000) / 16 end
      for i, duration in ipairs(durations) do -- each begins when the first of those at work ends
        local start = 0
        if #ends == most then
          table.sort(ends)
          start = table.remove(ends, 1)
        end
        ends[#ends + 1] = start + duration
        expected[i] = start
      end
      local r, list = play(most, durations)
      assert.equal("DONE", r:resolve())
      local got = {}
      for _, line in ipairs(list) do
        local time, i = line:match "^(.*)%+(%d+)$"
        if time then got[tonumber(i) + 1] = time end
      end
      for i, start in ipairs(expected) do assert.equal(("%g"):format(start), got[i]) end
    end
  end)

  it("stands when anything is set at any time; the counters are right", function()
    local q = random(12)
    local states = { "TODO", "DONE", "PRUNE", "TO_RETRY", "RETRY_NOW", "CLIENT_ERROR", "FATAL_ERROR", "SERVER_ERROR", "WAITING" }
    for _ = 1, 150 do
      local r
      local most, running = q:int(1, 3), 0
      local function act(_, _, _, ctx)
        running = running + 1
        assert(running <= most, "too many")
        ctx:sleep(q:int(0, 3))
        running = running - 1
        for _ = 1, q:int(0, 2) do
          local i = q:int(1, r.run:top())
          if r.run:exists(i) then r.run:set(i, q:pick(states), nil, r.time) end
          assert(r.run:sound(), "the counters are wrong")
        end
        if q:chance(25) then failing() end
      end
      local one = { exec = true, action = function() if q:chance(20) then failing() end end }
      r = make("a\nf" .. q:pick { "* 4", "> 4" } .. ": a\nb: f:ANY", { a = one, b = one,
        f = { foreach = function() return { 1, 2, 3, 4, 5, 6 } end, exec = true, action = act } },
        { settings = { f = { most = most, tolerate = q:int(0, 60), percent = q:chance(50) } } })
      for _ = 1, 4 do r:resolve() end
    end
  end)
end)

describe("setting a state", function()
  it("of a RUNNING step is applied when its result arrives; the last one counts (D8)", function()
    local r
    r = make("a\nb: a", { a = function()
      r.run:set(1, "FATAL_ERROR", "first", 0)
      r.run:set(1, "PRUNE", "by hand", 0)
      assert.equal("RUNNING", r:state "a")
      return "kept"
    end })
    assert.equal("DONE", r:resolve())
    assert.same({ "a=PRUNE b=PRUNE", "by hand", "kept", 1 }, { r:states(), r:error "a", r:output "a", r:tries "a" })
  end)

  it("only to what a step can be in, and never to RUNNING or EXPANDED", function()
    local r = make "a {X}\nb"
    for _, state in ipairs { "RUNNING", "EXPANDED", "ANY", "nonsense", "" } do
      assert.is_false((pcall(r.run.set, r.run, 1, state, nil, 0)))
    end
    assert.is_false((pcall(r.run.set, r.run, 2, "X", nil, 0)))
    r:set("a", "X")
    assert.equal("a=X b=TODO", r:states())
  end)

  it("of each step at every moment leaves the counters right", function()
    math.randomseed(3)
    local states = {}
    for _,
      s in ipairs(core.states) do if s.name ~= "RUNNING" and s.name ~= "EXPANDED" and #s.name < 15 then states[#states + 1] = s.name end end
    for _ = 1, 200 do
      local r
      local function meddle()
        for _ = 1, math.random(0, 2) do
          local i = math.random(1, r.run:top())
          if r.run:exists(i) then r.run:set(i, states[math.random(#states)], nil, r.time) end
          assert.is_true(r.run:sound())
        end
        if math.random() < 0.2 then failing() end
      end
      local f = { foreach = function() return { 1, 2, 3 } end, action = meddle }
      r = make("a 3\nf* 3: a\ng 3 >: a:ANY\nb 3: f\nc 3: f:ANY g\nd 3: b:ANY c:ANY", { a = meddle, f = f, g = f, b = meddle, c = meddle,
        d = meddle })
      for _ = 1, 5 do r:resolve() end
    end
  end)
end)

describe("stopping", function()
  it("lets what is in flight end and starts nothing more", function()
    for _, state in ipairs { "CANCELLED", "PAUSED", "TO_AUTORUN" } do
      local r
      r = make("a\nb\nc: a", { a = function() r.run:stop(state, 0) end })
      assert.equal(state, r:resolve())
      assert.equal("a=DONE b=TODO c=TODO", r:states())
    end
  end)

  it("for others (TO_AUTORUN) replaces neither a cancellation nor a pause", function()
    for _, state in ipairs { "CANCELLED", "PAUSED" } do
      local r
      r = make("a\nb: a", { a = function()
        r.run:stop("TO_AUTORUN", 0)
        r.run:stop(state, 0)
        r.run:stop("TO_AUTORUN", 0)
      end })
      assert.equal(state, r:resolve())
    end
    local r
    r = make("a\nb: a", { a = function() r.run:stop("TO_AUTORUN", 0) end })
    assert.equal("TO_AUTORUN", r:resolve())
    assert.equal("DONE", r:resolve())
  end)
end)

describe("a crash (S6.6)", function()
  it("lets idempotent steps run again and blocks for others", function()
    local r = make "a !\nb"
    r.run:load(1, "RUNNING", 0)
    r.run:set_status("CRASHED", 1, 0, 100)
    assert.equal("DONE", r:resolve())
    r = make "a !\nb"
    r.run:load(2, "RUNNING", 0)
    r.run:set_status("CRASHED", 1, 0, 100)
    assert.same({ nil, "check", n = 2 }, table.pack(r:resolve()))
    assert.equal("a=TODO b=CRASHED", r:states())
    assert.equal(1, (select(2, r.run:status()))) -- not counted (S6.5)
    assert.equal("DONE", r:resolve())
  end)

  it("the third take-over makes even an idempotent step CRASHED (D27)", function()
    local r = make "a !"
    for k = 1, 3 do
      r.run:load(1, "RUNNING", 0)
      r.run:load_extra(1, { takeovers = k - 1 })
      r.run:set_status("CRASHED", 1, 0, 100)
      local state, why = r:resolve()
      assert.same(k < 3 and { "DONE" } or { nil, "check" }, { state, why })
    end
  end)

  it("knows of children that were loaded whether their failures are tolerated", function()
    local r = make("f* !", {}, { settings = { f = { tolerate = 1 } } })
    local first = r.run:load_loop(1, { 1, 2, 3 })
    r.run:load(first, "CLIENT_ERROR", 1)
    assert.is_true(r.run:tolerated(first))
    r.run:load(first + 1, "FATAL_ERROR", 1)
    assert.is_false(r.run:tolerated(first))
    r.run:load(first + 1, "DONE", 1)
    assert.is_true(r.run:tolerated(first))
  end)

  it("counts take-overs whatever results came between them (D27)", function()
    local r = make("a !", { a = { action = function() error "no" end } })
    for k = 1, 3 do
      r.run:load(1, "RUNNING", 0)
      r.run:set_status("CRASHED", 1, 0, 100)
      local state, why = r:resolve()
      assert.same(k < 3 and { "ERROR" } or { nil, "check" }, { state, why })
    end
    for _ = 1, 300 do -- a person has it run, it dies again
      r.run:load(1, "RUNNING", 0)
      r.run:set_status("CRASHED", 1, 0, 100)
      assert.same({ nil, "check", n = 2 }, table.pack(r:resolve()))
    end
  end)
end)

describe("rewinding", function()
  it("makes a step and its descendants TODO, with their children gone", function()
    local r = make("a\nf*: a\nb: f\nc", { f = { foreach = function() return { 1, 2 } end, action = failing } })
    r:resolve()
    assert.equal(3, r.run:rewind(1, 0))
    assert.equal("a=TODO f=TODO b=TODO c=DONE", r:states())
    assert.is_true(r.run:sound())
    assert.equal(0, r:tries "a")
    r:resolve()
    assert.equal("a c f f a f f", table.concat(r.log, " "))
  end)
end)

describe("AFTERRUN_ERROR", function()
  it("redoes the check conditions only, from the state the action ended in (D6)", function()
    local broken, seen = true, {}
    local r = make("a {X}\nb: a:X", { a = { check = { { function(v)
      seen[#seen + 1] = v.step.this.state
      if broken then failing() end
      return true
    end, { "this", "X" } } } } })
    assert.equal("ERROR", r:resolve())
    assert.equal("a=AFTERRUN_ERROR b=TODO", r:states())
    broken = false
    assert.equal("DONE", r:resolve())
    assert.equal("a=X b=DONE", r:states())
    assert.same({ "DONE", "DONE" }, seen)
    assert.equal("a b", table.concat(r.log, " "))
  end)
end)

describe("an ALWAYS step", function()
  --- A run that was cancelled after its first resolve.
  local function cleaned(text, does)
    local r = make(text, does)
    r:resolve()
    r.log = {}
    local begin = r.run:stop("CANCELLED", 0)
    return r, begin, begin and r:resolve()
  end

  it("takes every ending of what it depends on, whatever is written, and is not pruned (S2.3)", function()
    local r = make("a {X,Y}\nb: a:Y\nc&: a:Y b\nd: c", { a = { check = { { always, { "this", "X" } } } } })
    assert.equal("DONE", r:resolve())
    assert.equal("a=X b=PRUNE c=DONE d=DONE", r:states())
    assert.same({ "a:ANY", "b:ANY" }, r.graph:dependencies(3))
  end)

  it("runs when the run is cancelled, and nothing else does", function()
    local r, begin, state = cleaned("a\nb: a\nd&: c\nc&: b\ne: d", { a = failing })
    assert.same({ true, "CANCELLED", "c d" }, { begin, state, table.concat(r.log, " ") })
    assert.equal("a=SERVER_ERROR b=TODO d=DONE c=DONE e=TODO", r:states())
    assert.same({ "CANCELLED", 2, 1, 100 }, { table.unpack({ r.run:status() }, 1, 4) })
  end)

  it("waits for the others also across steps that do not run any more", function()
    local r = cleaned("a\nb&: a\nc: b\nd: c\ne&: d", { a = failing, b = failing })
    assert.equal("b e", table.concat(r.log, " "))
  end)

  it("that was skipped, waits or crashed holds nothing up", function()
    local r = cleaned("a\nb&: a\nc&: b\nd&: c", {
      a = failing, b = { skip = { { always, { "this", "CLIENT_ERROR" } } } },
      c = function() error({ kind = "not_assigned", message = "wait" }) end,
    })
    assert.equal("a=SERVER_ERROR b=CLIENT_ERROR c=WAITING d=DONE", r:states())
    r = make("a\nb&: a\nc&: b", { a = failing })
    r:resolve()
    r.run:load(2, "RUNNING", 0)
    r.run:set_status("CRASHED", 1, 0, 100)
    assert.is_true(r.run:stop("CANCELLED", 0))
    assert.equal("CANCELLED", r:resolve())
    assert.equal("a=SERVER_ERROR b=CRASHED c=DONE", r:states())
  end)

  it("of which a condition asks for more is run again (S6.2)", function()
    local n = 0
    local r = cleaned("a\nb& 3: a\nc&: b", { a = failing, b = function() n = n + 1 if n < 3 then failing() end end,
      c = { check = { { function() return n < 3 end, { "b", "RETRY_NOW" } } } } })
    assert.equal("b c b", table.concat(r.log, " "))
  end)

  it("that is a foreach step has its children run; those that fail hold nothing up", function()
    local r = cleaned("a\nf*&: a\ng>&: f\nh&: g\nz*", {
      a = failing, f = { foreach = function() return { 1, 2 } end, action = function(v) if v.iterator == 1 then failing() end end },
      g = { foreach = function() return { 1, 2, 3 } end, action = function(v) if v.iterator == 2 then failing() end end },
      z = { foreach = function() return { 1 } end, action = failing },
    })
    assert.equal("f f g g h", table.concat(r.log, " "))
    assert.equal("a=SERVER_ERROR f=EXPANDED g=EXPANDED h=DONE z=EXPANDED z-0=SERVER_ERROR f-0=SERVER_ERROR f-1=DONE "
      .. "g-0=DONE g-1=SERVER_ERROR g-2=TODO", r:states())
  end)

  it("is none of the run's business when it never began", function()
    local r = make "a\nb&: a"
    assert.is_false(r.run:stop("CANCELLED", 0))
    assert.equal("CANCELLED", (r.run:status()))
  end)
end)

describe("a step that waits", function()
  local function waits(text, again)
    return function() error(setmetatable({ kind = "not_assigned", again = again }, { __tostring = function() return text end }), 0) end
  end

  it("has another turn in the same resolve when what it waits for has come, also while it looks", function()
    for _, early in ipairs { true, false } do
      local r, there = nil, false
      local looks, looked_while = 0, nil
      r = make("a\nb\nc: a", {
        a = function()
          looks = looks + 1
          if early and looks == 1 then -- it comes between the look and the result
            r.run:wake(1)
            there = true
            waits "not yet"()
          end
          if not there then waits "not yet"() end
        end,
        b = { exec = true, action = function(_, _, _, ctx)
          ctx:sleep(5)
          if not early then
            there = true
            r.run:wake(1)
          end
          ctx:sleep(5)
          looked_while = r:states()
        end },
      })
      assert.equal("DONE", r:resolve())
      assert.equal("a=DONE b=RUNNING c=DONE", looked_while)
      assert.same({ 2, 1 }, { looks, r:tries "a" })
    end
  end)

  it("is left alone when it is not WAITING, and outside of a resolve", function()
    local r = make("a\nb", { a = waits "for somebody" })
    assert.equal("WAITING", r:resolve())
    r.run:wake(1)
    r.run:wake(2)
    assert.equal("a=WAITING b=DONE", r:states())
    assert.is_true(r.run:sound())
    assert.error_matches(function() r.run:wake(3) end, "no step has this number")
  end)

  it("says when it wants to look again: the run is due then, or when a retry is (D17)", function()
    local r = make("a\nb", { a = waits("a", 1500), b = waits("b", 1300) })
    assert.equal("WAITING", r:resolve())
    assert.equal(1300, (select(5, r.run:status())))
    assert.same({ 1500, 2 }, { r.run:extra(1).next_retry, r.run:extra(1).wait_count })
    r:set("b", "DONE")
    assert.equal("WAITING", r:resolve(true))
    assert.equal(1500, (select(5, r.run:status())))
    for at, expected in pairs { [1005] = 1005, [2000] = 1010 } do
      r = make("a\nb", { a = waits("a", at), b = failing })
      assert.equal("ERROR", r:resolve())
      assert.equal(expected, (select(5, r.run:status())))
    end
    r = make("a\nb", { a = waits("a", 1500), b = function() error({ kind = "bad_request" }, 0) end })
    assert.equal("BLOCKED_BADREQUEST", r:resolve())
    assert.is_nil((select(5, r.run:status())))
  end)

  it("forgets that time when it ends or does not say it again", function()
    local again = 1500
    local r = make("a", { a = function() waits("a", again)() end })
    r:resolve()
    again = nil
    assert.equal("WAITING", r:resolve())
    assert.is_nil((select(5, r.run:status())))
    again = 1700
    r:resolve()
    r:set("a", "DONE")
    assert.equal("DONE", r:resolve())
    assert.is_nil(r.run:extra(1).next_retry)
  end)

  it("keeps what is noted for it while it is RUNNING, whatever becomes of its action", function()
    local r
    r = make("a", { a = function()
      r.run:note(1, { job = 7 }, 1000)
      assert.same({ job = 7 }, (select(2, r.run:results(1))))
      assert.error_matches(function() r.run:note(1, { print }, 1000) end, "metadata: ")
      error("no", 0)
    end })
    assert.equal("ERROR", r:resolve())
    assert.is_nil((select(2, r.run:results(1)))) -- a result takes its place
  end)
end)
