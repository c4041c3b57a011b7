local text = require "step.cli.text"

describe("text", function()
  it("holds nothing that a terminal would obey", function()
    assert.equal("a b \\x1b[31m?", text.clean "a\n  b\t\27[31m\xC2\x9B")
    assert.equal("a?b", text.clean "a\xFFb")
  end)

  it("is as wide as its columns", function()
    assert.equal(3, text.width "abc")
    assert.equal(3, text.width "äöü")
    assert.equal(4, text.width "漢字")
    assert.equal(1, text.width "e\u{301}")
  end)

  it("is cut at its end, or in the middle", function()
    assert.equal("abc", text.cut("abc", 3))
    assert.equal("ab...", text.cut("abcdefgh", 5))
    assert.equal("漢…", text.cut("漢字字", 4, "…"))
    assert.equal("", text.cut("abc", 2))
    assert.equal("prepare…ir-7", text.shorten("prepare-the-air-7", 12, "…"))
    assert.equal("short", text.shorten("short", 12, "…"))
    assert.equal("漢字…字", text.shorten("漢字漢字漢字", 8, "…"))
  end)

  it("is padded", function()
    assert.equal("ä  ", text.pad("ä", 3))
    assert.equal("  ä", text.pad("ä", 3, true))
    assert.equal("long", text.pad("long", 2))
  end)

  it("tells time spans", function()
    local spans = { [0] = "0.000s", [-1] = "0.000s", [0.5] = "0.500s", [1] = "1.0s", [59.94] = "59.9s", [65.9] = "1m05s", [7260] = "2h01m" }
    for seconds, written in pairs(spans) do assert.equal(written, text.duration(seconds)) end
  end)

  it("counts", function()
    assert.equal("1 step", text.count(1, "step"))
    assert.equal("0 steps", text.count(0, "step"))
  end)
end)
