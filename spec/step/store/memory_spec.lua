-- store.memory: the runs themselves, as long as the engine lives.

local memory = require "step.store.memory"
local step = require "step"

local def = assert(step.define { name = "x", steps = { { name = "a", action = function() end } } })

--- A row as the engine makes it.
local function row(key, options)
  local run = assert(def:start(options or { clock = step.manual_clock(100) }))
  return { id = run.id, key = key, run = run }
end

describe("store.memory", function()
  it("keeps runs by id and by key, once for a key", function()
    local store, one, two = memory.new(), row "k", row "k"
    assert.same({ one.id, true }, { store:create(one) })
    assert.same({ one.id, false }, { store:create(two) })
    assert.equal(one, store:get(one.id))
    assert.equal(one.id, store:by_key "k")
    assert.is_nil(store:get(two.id))
    assert.is_nil(store:by_key "other")
  end)

  it("lists them in pages, oldest first", function()
    local store, rows = memory.new(), {}
    for i = 1, 5 do
      rows[i] = row()
      store:create(rows[i])
    end
    local page, after = store:list { limit = 2 }
    assert.same({ rows[1].id, rows[2].id, 2 }, { page[1].id, page[2].id, after })
    page, after = store:list { limit = 3, after = after }
    assert.same({ rows[3].id, rows[5].id, 5 }, { page[1].id, page[3].id, after })
    assert.same({ {} }, { store:list { after = after } })
    page, after = store:list { limit = 2, newest = true }
    assert.same({ rows[5].id, rows[4].id, 4 }, { page[1].id, page[2].id, after })
    page = store:list { newest = true, after = after }
    assert.same({ rows[3].id, rows[1].id }, { page[1].id, page[3].id })
    assert.same({ rows[2] }, (store:list { id_prefix = rows[2].id:sub(1, 30) }))
  end)

  it("gives what is due, and when the next is", function()
    local store, clock = memory.new(), step.manual_clock(100)
    local failing = assert(step.define { name = "y", steps = { { name = "a", action = function() error "no" end } } })
    local run = failing:start { clock = clock }
    store:create { id = run.id, run = run }
    assert.equal(1, #store:claim { now = 100 })
    run:resolve()
    assert.same({}, store:claim { now = 105 })
    assert.equal(110, store:next_due())
    assert.equal(1, #store:claim { now = 110 })
    run:cancel()
    assert.same({}, store:claim { now = 1000 })
    assert.is_nil(store:next_due())
  end)

  it("looks at no run that nothing but somebody's doing makes due", function()
    local store, clock, rows = memory.new(), step.manual_clock(100), {}
    local waiting = assert(step.define { name = "z", steps = {
      { name = "a", action = function() error(step.error.not_assigned "x") end },
    } })
    for i = 1, 6 do
      local run = waiting:start { clock = clock }
      rows[i] = { id = run.id, run = run }
      store:create(rows[i])
      run:resolve()
    end
    assert.same({}, store:claim { now = 100 })
    local runs, unseen = {}, setmetatable({}, { __index = function() error "it was looked at" end })
    for i, each in ipairs(rows) do runs[i], each.run = each.run, unseen end
    assert.same({}, store:claim { now = 100 })
    assert.is_nil(store:next_due())
    for i, each in ipairs(rows) do each.run = runs[i] end
    for _, i in ipairs { 5, 2, 4 } do store:post(rows[i].id, "x", 1, 100) end
    assert.equal(100, store:next_due())
    assert.same({ rows[2], rows[4], rows[5] }, store:claim { now = 100 }) -- the oldest first
    assert.same({}, store:claim { now = 100 })
  end)

  it("lists what is left of many, and their children", function()
    local store, rows = memory.new(), {}
    for i = 1, 40 do
      rows[i] = row()
      rows[i].parent = i > 20 and rows[i - 20].id or nil
      rows[i].run.parent = rows[i].parent
      store:create(rows[i])
    end
    for i = 40, 1, -1 do
      if i % 7 ~= 0 then assert(store:delete(rows[i].id) or i < 21) end
    end
    local function numbers(filter)
      local list = {}
      for _, found in ipairs((store:list(filter))) do list[#list + 1] = found.number end
      return list
    end
    assert.same({ 1, 7, 8, 14, 15, 21, 28, 35 }, numbers {})
    assert.same({ 14, 15, 21 }, numbers { after = 13, limit = 3 })
    assert.same({ 14, 8, 7, 1 }, numbers { after = 15, newest = true })
    assert.same({ 28 }, numbers { parent = rows[8].id })
    assert.same({}, numbers { parent = rows[2].id })
    assert.same({ TODO = 1 }, store:tally(rows[8].id, rows[28].id:sub(1, 5)))
    assert.same({}, store:tally(rows[8].id, "x"))
  end)

  it("forgets a run, not one that is running", function()
    local store, one = memory.new(), row "k"
    store:create(one)
    assert.is_true(store:delete(one.id))
    assert.is_nil(store:get(one.id))
    assert.is_nil(store:by_key "k")
    assert.equal("CLOSED", one.run.state)
    assert.equal("refused", select(2, store:delete(one.id)).kind)
    local sleeping = assert(step.define { name = "z", steps = { { name = "a", execution_delay = "1s", action = function() end } } })
    local run = sleeping:start { clock = step.manual_clock(0) }
    store:create { id = run.id, run = run }
    run.loop:begin(run.core, false)
    run.loop:turn()
    assert.matches("is running: cancel it first", tostring(select(2, store:delete(run.id))))
  end)

  it("forgets those that ended long ago", function()
    local store, ended, open = memory.new(), row(), row()
    store:create(ended)
    store:create(open)
    ended.run:resolve()
    assert.equal(0, store:prune { older_than = 100 })
    assert.equal(1, store:prune { older_than = 101 })
    assert.is_nil(store:get(ended.id))
    assert.equal(open, store:get(open.id))
  end)

  it("counts from a run's end, not from its start", function()
    local store, clock = memory.new(), step.manual_clock(100)
    local run = def:start { clock = clock }
    store:create { id = run.id, run = run }
    clock.advance(50)
    run:resolve()
    assert.equal(0, store:prune { older_than = 150 })
    assert.equal(1, store:prune { older_than = 151 })
  end)

  it("keeps values for a time", function()
    local store = memory.new()
    store:cache_put("a", { 1 }, 50)
    store:cache_put("b", 2)
    assert.same({ 1 }, store:cache_get("a", 49))
    assert.is_nil(store:cache_get("a", 50))
    assert.equal(2, store:cache_get("b", 1e9))
    store:cache_delete "b"
    assert.is_nil(store:cache_get("b", 0))
  end)

  it("forgets values whose time is over", function()
    local store, count = memory.new(), 0
    store:cache_put("kept", 1, nil, 0)
    for i = 1, 1000 do store:cache_put("k" .. i, i, i + 1, i) end
    for _ in pairs(store.cached) do count = count + 1 end
    assert.is_true(count <= 101, count)
    assert.same({ 1, 1000 }, { store:cache_get("kept", 1000), store:cache_get("k1000", 1000) })
  end)

  it("says what it has not", function()
    local store = memory.new()
    assert.equal("unsupported", select(2, store:events(1)).kind)
    assert.equal("unsupported", select(2, store:backup "x").kind)
  end)

  it("is empty at first", function()
    local store = memory.new()
    assert.same({}, store:list {})
    assert.same({}, store:claim { now = 0 })
    assert.is_nil(store:next_due())
  end)

  it("closes its runs, once", function()
    local store, one = memory.new(), row()
    store:create(one)
    store:close()
    assert.equal("CLOSED", one.run.state)
    store:close()
  end)
end)
