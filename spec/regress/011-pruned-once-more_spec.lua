-- A step that was PRUNE, was to be tried again by a condition, and was pruned anew by what the same conditions left behind did not
-- prune those that depend on it once more (S2.3).

local make = require("spec.support.core_graph").run

it("a step that is pruned once more prunes on once more", function()
  local function always() return true end
  local n = 0
  local r = make("d: i\ne\ni: k:Y e\nk {Y}", {
    e = { check = { { always, { "this", "PRUNE" } } } },
    k = { check = { { function() n = n + 1 return n == 1 end, { "d", "RETRY_NOW", "i", "TO_RETRY" } } } },
  })
  assert.equal("DONE", r:resolve())
  assert.equal("d=PRUNE e=PRUNE i=PRUNE k=DONE", r:states())
end)
