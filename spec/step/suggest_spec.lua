-- step.suggest: the nearest known name.

local suggest = require "step.suggest"

local nearest = suggest.nearest

describe("suggest.nearest", function()
  for name, case in pairs {
    ["a letter left out"] = { "fech", { "fetch", "parse" }, "fetch" },
    ["a letter too many"] = { "fettch", { "fetch", "parse" }, "fetch" },
    ["another letter"] = { "fetsh", { "fetch", "parse" }, "fetch" },
    ["two letters swapped count once"] = { "ftech", { "fetch" }, "fetch" },
    ["case costs nothing"] = { "done", { "DONE", "dome" }, "DONE" },
    ["the nearer of two"] = { "parsed", { "passes", "parses" }, "parses" },
    ["the first of equals"] = { "ab", { "ac", "ad" }, "ac" },
    ["one letter of a short name"] = { "ab", { "xb" }, "xb" },
    ["a third of the length is near enough"] = { "abcdefghi", { "abcdefxyz" }, "abcdefxyz" },
  } do
    it("finds " .. name, function() assert.equal(case[3], nearest(case[1], case[2])) end)
  end

  for name, case in pairs {
    ["more than a third differs"] = { "abcdefghi", { "abcdewxyz" } },
    ["the lengths differ too much"] = { "abc", { "abcde", "a" } },
    ["it is the name itself"] = { "fetch", { "fetch" } },
    ["names have one letter each"] = { "b", { "a" } },
    ["there is no candidate"] = { "fetch", {} },
    ["two letters of a short name differ"] = { "ab", { "xy" } },
    ["the candidate is very long"] = { ("a"):rep(300), { ("a"):rep(299) } },
  } do
    it("finds nothing when " .. name, function() assert.is_nil(nearest(case[1], case[2])) end)
  end

  it("prefers another spelling to the name itself", function()
    assert.equal("Fetch", nearest("fetch", { "fetch", "Fetch" }))
  end)
end)

describe("suggest.hint", function()
  it("is what to add to a refusal, nothing when no name is near", function()
    assert.equal(" (did you mean 'fetch'?)", suggest.hint("fecth", { "store", "fetch" }))
    assert.equal("", suggest.hint("x", { "fetch" }))
    assert.equal("; accepted: fetch", suggest.hint("x", { "fetch" }, "; accepted: fetch"))
  end)
end)
