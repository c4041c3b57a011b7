-- step.store.memory: runs that are kept as long as the engine lives.

local memory = require "step.store.memory"

--- A run as the store sees it.
local function fake(id)
  return { id = id, closed = 0, close = function(self) self.closed = self.closed + 1 end }
end

describe("store.memory", function()
  it("keeps runs by id and by key", function()
    local store, a, b = memory.new(), fake "1", fake "2"
    store:add(a)
    store:add(b, "key")
    assert.same({ a, b, nil }, { store:get "1", store:get "2", store:get "3" })
    assert.equal(b, store:by_key "key")
    assert.is_nil(store:by_key "other")
  end)
  it("lists them, oldest first", function()
    local store, ids = memory.new(), {}
    for _, id in ipairs { "z", "a", "m" } do store:add(fake(id)) end
    for run in store:each() do ids[#ids + 1] = run.id end
    assert.same({ "z", "a", "m" }, ids)
  end)
  it("is empty at first", function()
    assert.is_nil(memory.new():each()())
    assert.is_nil(memory.new():get "1")
  end)
  it("closes its runs, once", function()
    local store, a = memory.new(), fake "1"
    store:add(a, "key")
    store:close()
    store:close()
    assert.equal(1, a.closed)
    assert.is_nil(store:get "1")
    assert.is_nil(store:by_key "key")
    assert.is_nil(store:each()())
  end)
end)
