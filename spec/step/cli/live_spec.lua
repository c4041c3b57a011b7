-- The live table, the lines and what both know of a run, on a clock that only moves when somebody waits.

local cli = require "spec.support.cli"
local lines = require "step.cli.lines"
local live = require "step.cli.live"
local progress = require "step.cli.progress"
local step = require "step"
local terminal = require "step.cli.terminal"

local function screen(variables, columns, rows)
  local stream = cli.stream()
  return terminal.screen({
    is_terminal = function() return true end,
    getenv = function(name) return variables[name] end,
    size = function() return columns or 80, rows or 24 end,
  }, stream), stream
end

local function nap(seconds)
  return { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(seconds) return seconds end } }
end

--- Runs a definition; fn(now) is called at each event.
local function watch(steps, each)
  local clock = step.manual_clock(1000)
  local def = assert(step.define { name = "watched", steps = steps })
  local run <close> = assert(def:start { clock = clock })
  local known = progress.new(run, clock.now())
  run:on("transition", function(event)
    local row = known:feed(event)
    if each then each(known, event, row, run) end
  end)
  run:resolve()
  return known, clock.now()
end

local STEPS = {
  { name = "first", action = nap(1) },
  { name = "each", dependencies = { "first" }, foreach = function() return { 1, 2 } end, action = nap(2) },
  { name = "wrong", dependencies = { "first" }, action = function() error("it broke", 0) end },
  { name = "never", dependencies = { "wrong" }, action = nap(1) },
}

describe("progress", function()
  it("knows states, times and messages", function()
    local known, now = watch(STEPS)
    assert.equal(1003, now)
    local rows = {}
    for _, row in ipairs(known.rows) do rows[row.name] = row end
    assert.equal("DONE", rows.first.state)
    assert.equal(1, rows.first.seconds)
    assert.equal("DONE", rows.each.state)
    assert.equal(2, rows.each.seconds)
    assert.is_nil(rows.each.order)
    assert.equal("SERVER_ERROR", rows.wrong.state)
    assert.equal("it broke", rows.wrong.message)
    assert.equal("TODO", rows.never.state)
    assert.is_nil(rows.never.started)
    assert.same({ 2, 4 }, { known:ended() })
    assert.equal("ERROR", known.state)
    assert.equal(3, known.now - known.began)
  end)

  it("counts a foreach step by its children, and never goes back", function()
    local before, seen = 0, {}
    watch(STEPS, function(known)
      local fraction = known:fraction()
      assert.is_true(fraction >= before)
      before = fraction
      seen[fraction] = true
    end)
    assert.is_true(seen[1 / 4] and seen[1.5 / 4] and seen[2 / 4])
  end)

  it("has the children as rows while there are any", function()
    local names = {}
    watch(STEPS, function(known)
      for _, row in ipairs(known.rows[2].order or {}) do names[row.name] = row.parent.name end
    end)
    assert.same({ ["each-0"] = "each", ["each-1"] = "each" }, names)
  end)
end)

describe("the live table", function()
  it("has a row for each step and a bar", function()
    local shown = screen { LANG = "C.UTF-8", NO_COLOR = "1" }
    local known, now = watch(STEPS)
    assert.same({
      "  ✔ first  DONE             1.0s",
      "  ✔ each   DONE             2.0s",
      "  ↻ wrong  SERVER_ERROR   0.000s  next try in 10s - it broke",
      "  · never  TODO                 ",
      "  ━━━━━━━━━━━━━━━━━━━━────────────────────  2 of 4  ERROR  3.0s",
    }, live.new(shown, known):lines(now, 20))
  end)

  it("makes do with ASCII", function()
    local shown = screen { NO_COLOR = "1" }
    local known, now = watch(STEPS)
    local all = table.concat(live.new(shown, known):lines(now, 20))
    assert.is_nil(all:find "[\x80-\xFF]")
    assert.matches("####%.%.%.%.", all)
  end)

  it("colours states", function()
    local shown = screen {}
    local known, now = watch(STEPS)
    local rows = live.new(shown, known):lines(now, 20)
    assert.matches("\27%[32mDONE", rows[1])
    assert.matches("\27%[33mSERVER_ERROR", rows[3])
  end)

  it("is no wider than the terminal", function()
    local shown = screen({ NO_COLOR = "1" }, 40)
    local known, now = watch {
      { name = ("a-very-long-name"):rep(10), action = function() error(("much went wrong "):rep(20), 0) end },
    }
    for _, line in ipairs(live.new(shown, known):lines(now, 20)) do assert.is_true(#line < 40, line) end
  end)

  it("shows what matters where there is no room for all", function()
    local steps = {}
    for i = 1, 50 do steps[i] = { name = ("s%02d"):format(i), action = function() if i == 30 then error("it broke", 0) end end } end
    steps[51] = { name = "last", dependencies = { "s30" }, action = function() end }
    local known, now = watch(steps)
    local shown = screen { NO_COLOR = "1" }
    local rows = live.new(shown, known):lines(now, 5)
    assert.equal(7, #rows)
    assert.matches("s30 +SERVER_ERROR", table.concat(rows, "\n"))
    assert.matches("last +TODO", rows[5])
    assert.equal("  and 46 more: 46 DONE", rows[6])
  end)

  it("is redrawn in place, at the start of an action and as time passes", function()
    local shown, stream = screen { NO_COLOR = "1" }
    local table_view
    local known = watch(STEPS, function(known, event)
      table_view = table_view or live.new(shown, known)
      table_view:event(event)
    end)
    local _, frames = stream.text():gsub("\27%[J", "")
    assert.equal(1 + 1 + 2 + 1, frames) -- the run, first, the children, wrong
    table_view:tick(known.now + 1)
    table_view:tick(known.now + 0.01)
    table_view:finish(known.now + 1)
    _, frames = stream.text():gsub("\27%[J", "")
    assert.equal(7, frames)
    assert.matches("\27%[5A\r  %+ first", stream.text())
  end)

  it("does not draw more often than it may", function()
    local shown, stream = screen { NO_COLOR = "1" }
    local steps, table_view = {}, nil
    for i = 1, 200 do steps[i] = { name = "s" .. i, action = function() end } end
    watch(steps, function(known, event)
      table_view = table_view or live.new(shown, known)
      table_view.cpu = function() return 0 end
      table_view:event(event)
    end)
    local _, frames = stream.text():gsub("\27%[J", "")
    assert.equal(live.burst, frames)
  end)

  it("takes a small part of the time, however large it is", function()
    local shown, stream = screen { NO_COLOR = "1" }
    local known = watch(STEPS)
    local table_view, cpu = live.new(shown, known), 0
    function table_view.cpu()
      cpu = cpu + 0.5 -- each draw takes half a second
      return cpu
    end
    table_view:tick(100)
    table_view:tick(102)
    local _, frames = stream.text():gsub("\27%[J", "")
    assert.equal(1, frames)
    table_view:tick(106)
    _, frames = stream.text():gsub("\27%[J", "")
    assert.equal(2, frames)
  end)

  it("can tell something below", function()
    local shown = screen { NO_COLOR = "1" }
    local known, now = watch(STEPS)
    local table_view = live.new(shown, known)
    table_view:note("interrupted")
    local rows = table_view:lines(now, 20)
    assert.equal("  interrupted", rows[#rows])
  end)
end)

describe("lines", function()
  it("are one an event", function()
    local stream = cli.stream()
    local shown = terminal.screen({
      is_terminal = function() return false end, getenv = function() return nil end, size = function() return nil end,
    }, stream)
    local view
    watch(STEPS, function(known, event, row)
      view = view or lines.new(shown, known)
      view:event(event, row)
    end)
    assert.equal([[
  0.000s  >  run    RUNNING
  0.000s  >  first  RUNNING
    1.0s  +  first  DONE  after 1.0s
    1.0s  v  each   EXPANDED  into 2
    1.0s  >  wrong  RUNNING
    1.0s  !  wrong  SERVER_ERROR  after 0.000s  - it broke
    1.0s  >  each-0  RUNNING
    1.0s  >  each-1  RUNNING
    3.0s  +  each-0  DONE  after 2.0s
    3.0s  +  each-1  DONE  after 2.0s
    3.0s  +  each   DONE  after 2.0s
    3.0s  !  run    ERROR  next try in 10.0s
]], stream.text())
  end)
end)
