-- The evidence of the torture: what is written is read back, and a line that a kill cut short is none.

local evidence = require "spec.torture.evidence"
local stores = require "spec.support.stores"

describe("the evidence", function()
  after_each(stores.clean)

  local function append(path, text)
    local file <close> = assert(io.open(path, "a"))
    file:write(text)
  end

  it("is read as it was written", function()
    local path = stores.path()
    local write = evidence.writer(path)
    write("effect", "r1", "a", 1, 2.5)
    write("acknowledged", "k1", "r1")
    write("problem", "code", "a message\twith\nodd characters")
    local found = evidence.read(path)
    assert.equal(1, #found.effect)
    assert.same({ "r1", "a", 1, 2.5 }, { found.effect[1].run, found.effect[1].step, found.effect[1].attempt, found.effect[1].time })
    assert.equal("a message with odd characters", found.problem[1].message)
    assert.same({ k1 = true }, evidence.acknowledged(path))
    assert.same({}, evidence.read(path .. "-that-is-not-there").effect)
  end)

  it("has no line that was cut short, wherever it was", function()
    local path = stores.path()
    evidence.writer(path)("acknowledged", "k10", "r10")
    local file <close> = assert(io.open(path))
    local whole = file:read "a"
    for length = 1, #whole - 2 do
      local cut = stores.path()
      append(cut, whole:sub(1, length))
      local write = evidence.writer(cut)
      write("acknowledged", "k2", "r2")
      write("effect", "r2", "a", 1, 3)
      local found = evidence.read(cut)
      assert.same({ 1, "k2", 1 }, { #found.acknowledged, found.acknowledged[1].key, #found.effect }, "cut after " .. length)
      assert.same({ k2 = true }, evidence.acknowledged(cut))
    end
  end)
end)
