-- step.places: findings get their lines, and an order.

local places = require "step.places"
local yaml = require "step.yaml"

local TEXT = [[
name: x
inputs:
- name: n
steps:
  a.b:
    action: {type: echo}
    conditions:
    - type: check
      then: {other.step: DONE, this: DONE}
  c:
    action: {type: echo}
]]

describe("places", function()
  local document, positions = yaml.decode(TEXT)
  local names = { "a.b", "c" }
  local specs = { document.steps["a.b"], document.steps.c }

  for place, expected in pairs {
    ["|name"] = "1:1", ["|inputs[1].name"] = "3:3", ["|inputs[1].regex"] = "3:3", ["|nothing"] = "-",
    ["a.b|"] = "5:3", ["a.b|action.type"] = "6:14", ["a.b|action.base"] = "6:5", ["a.b|conditions[1].then[other.step]"] = "9:14",
    ["a.b|conditions[1].then[this]"] = "9:32", ["a.b|conditions[2]"] = "7:5", ["c|max_retries"] = "10:3",
    ["c|action (function 'f').output"] = "11:5", ["d|name"] = "-",
  } do
    it("of " .. place, function()
      local step, field = place:match "^(.-)|(.*)$"
      local finding = { step = step ~= "" and step or nil, field = field ~= "" and field or nil, message = "wrong" }
      places.fill({ finding }, document, names, specs, positions)
      assert.equal(expected, finding.line and ("%d:%d"):format(finding.line, finding.column) or "-")
    end)
  end

  it("in a list of steps", function()
    local read, where = yaml.decode "steps:\n- name: a\n  action: 1\n"
    local finding = { step = "a", field = "action", message = "wrong" }
    places.fill({ finding }, read, { "a" }, { read.steps[1] }, where)
    assert.same({ 3, 3 }, { finding.line, finding.column })
  end)

  it("sort findings: by line, or the definition's own first and then by step", function()
    local function order(findings)
      places.sort(findings, { "b", "a" })
      local list = {}
      for i, finding in ipairs(findings) do list[i] = finding.message end
      return table.concat(list, " ")
    end
    assert.equal("1 2 3", order {
      { line = 9, message = "3" }, { line = 2, column = 5, message = "2" }, { line = 2, column = 1, message = "1" },
    })
    assert.equal("1 2 3 4", order {
      { step = "a", field = "y", message = "4" }, { step = "a", field = "x", message = "3" }, { step = "b", message = "2" },
      { message = "1" },
    })
  end)
end)
