-- Broken definitions, each with all that is said about it (spec/data/bad; the format: spec/support/bad.lua).

local bad = require "spec.support.bad"
local files = require "spec.support.files"

bad.register()

local count = 0

for _, path in ipairs(files.list("spec/data/bad", "txt")) do
  describe(path, function()
    for _, case in ipairs(bad.read(path)) do
      count = count + 1
      it(case.title, function()
        local started = os.clock()
        local lines = bad.outcome(case)
        local expected = {}
        for i, line in ipairs(case.expected) do expected[i] = line:gsub("{([%l ]+)}", bad.lists) end
        assert.same(expected, lines)
        assert.is_true(#expected > 0, "a case expects something")
        assert.is_true(os.clock() - started < 10, "a case ends soon")
      end)
    end
  end)
end

it("there are at least 300 broken definitions", function() assert.is_true(count >= 300) end)
