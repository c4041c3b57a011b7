-- lua/step/options.lua: what a table of options is refused for.

local options = require "step.options"

local KINDS = options.KINDS

local function take(given)
  local taken = options.check("take", 2, given, { size = KINDS.count, name = KINDS.text })
  return taken
end

describe("options", function()
  it("are the caller's own table, or an empty one where there is none", function()
    local given = { size = 1 }
    assert.equal(given, take(given))
    assert.same({}, take(nil))
  end)

  it("are refused where they were given, with what is accepted", function()
    for text, given in pairs {
      ["bad argument #2 to 'take' (table expected, got 5)"] = 5,
      ["bad argument #2 to 'take' (unknown option 'sise'; accepted: name, size) (did you mean 'size'?)"] = { sise = 1 },
      ["bad argument #2 to 'take' (unknown option '1'; accepted: name, size)"] = { "x" },
      ["bad option 'size' (a whole number from 1 expected, got 0)"] = { size = 0 },
      ["bad option 'name' (text expected, got 1)"] = { name = 1 },
    } do
      local ok, message = pcall(function() take(given) return true end)
      assert.is_false(ok)
      assert.equal(text, message:match "^spec/step/options_spec.lua:%d+: (.*)$")
    end
  end)

  it("have kinds that know their borders", function()
    local nan = 0 / 0
    for name, border in pairs {
      boolean = { { true, false }, { 1, "true" } }, callback = { { print }, { "print", {} } },
      count = { { 1, 1 << 40 }, { 0, -1, 1.0, "1", nan } }, duration = { { 0.001, 5 }, { 0, -1, nan, math.huge, "1" } },
      number = { { 0, 7 }, { -1, 0.0, "0" } }, object = { { {} }, { "x", 1 } }, span = { { 0, 0.5 }, { -1, nan, math.huge, "1" } },
      text = { { "", "x" }, { 1, {} } }, time = { { -1, 0, 1e9 }, { nan, math.huge, -math.huge, "1" } },
    } do
      for _, value in ipairs(border[1]) do assert.is_true(KINDS[name][2](value), name .. " " .. tostring(value)) end
      for _, value in ipairs(border[2]) do assert.is_false(KINDS[name][2](value), name .. " " .. tostring(value)) end
    end
  end)

  it("texts are texts", function()
    local function take_text(value) options.text("find", 1, value) end
    take_text "x"
    assert.error_matches(function() take_text(nil) end, "bad argument #1 to 'find' %(text expected, got nil%)")
  end)
end)
