-- csrc/core/heap.c: timers go off earliest first, equal ones in order of arrival.

local make = require("spec.support.core_graph").run

--- Steps that sleep for these times; the order in which they wake.
local function wake(times)
  local names, does, order = {}, {}, {}
  for i, seconds in ipairs(times) do
    names[i] = "s" .. i
    does[names[i]] = { delay = seconds, action = function() order[#order + 1] = i end }
  end
  local r = make(table.concat(names, "\n"), does)
  assert.equal("DONE", r:resolve())
  return order, r.time - 1000
end

describe("timers", function()
  it("go off in the order of their times", function()
    local order, took = wake { 5, 1, 4, 2, 3 }
    assert.same({ 2, 4, 5, 3, 1 }, order)
    assert.equal(5, took)
  end)

  it("that are equal go off in order of arrival", function()
    assert.same({ 3, 1, 2, 4, 5, 6 }, (wake { 2, 2, 1, 2, 2, 2 }))
  end)

  it("are as good as a stable sort, at any number", function()
    math.randomseed(5)
    local times, expected = {}, {}
    for i = 1, 500 do
      times[i] = math.random(1, 40)
      expected[i] = i
    end
    table.sort(expected, function(a, b)
      if times[a] ~= times[b] then return times[a] < times[b] end
      return a < b
    end)
    assert.same(expected, (wake(times)))
  end)
end)
