-- csrc/lua/random.c: the system's random bytes.

local core = require "step.core"

describe("core.random", function()
  it("gives as many bytes as asked for, also more than the system gives at once", function()
    for _, n in ipairs { 0, 1, 16, 255, 256, 257, 1000 } do assert.equal(n, #core.random(n)) end
  end)

  it("gives others each time, and all of them", function()
    assert.not_equal(core.random(16), core.random(16))
    local seen, kinds = {}, 0
    for byte in core.random(20000):gmatch "." do
      if not seen[byte] then seen[byte], kinds = true, kinds + 1 end
    end
    assert.equal(256, kinds)
    local tail = core.random(512):sub(257)
    assert.not_equal(("\0"):rep(256), tail)
  end)

  it("refuses what is no number of bytes", function()
    assert.error_matches(function() core.random(-1) end, "0 to 67108864 expected")
    assert.error_matches(function() core.random((1 << 26) + 1) end, "0 to 67108864 expected")
    assert.error_matches(function() core.random "x" end, "number expected")
  end)
end)

describe("core.uuid", function()
  it("gives another UUID of version 4 each time", function()
    local seen, variants = {}, {}
    for _ = 1, 1000 do
      local id = core.uuid()
      assert.matches("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", id)
      assert.is_nil(seen[id])
      seen[id], variants[id:sub(20, 20)] = true, true
    end
    assert.same({ ["8"] = true, ["9"] = true, a = true, b = true }, variants)
  end)
end)
