-- step.settings: configurations of known fields.

local json = require "step.json"
local settings = require "step.settings"

local FIELDS = {
  name = { kind = "text" }, called = { kind = "text", is = "name" }, size = { kind = "number" }, list = { kind = "list" },
  json_list = { kind = "text", json = "list" }, mode = { kind = "text", accepted = { "fast", "slow" } }, labels = { kind = "texts" },
  object = { kind = "object" }, what = { kind = "any" }, old = { kind = "ignored" },
}

describe("step.settings", function()
  it("reads a configuration over its base, by the fields' own names", function()
    assert.same({ name = "b", size = 5, mode = "slow" },
      settings.read({ name = "a", size = 5 }, { called = "b", mode = "slow", old = print }, FIELDS))
    assert.same({}, settings.read(nil, json.null, FIELDS))
    assert.same({ name = "a" }, settings.read({ name = "a" }, { name = json.null }, FIELDS))
  end)

  it("takes a number's text, and the JSON text of a field", function()
    local set = settings.read(nil, { size = " 0x10 ", json_list = "[1, 9007199254740993]" }, FIELDS)
    assert.same({ size = 16, list = { 1, 9007199254740993 } }, set)
  end)

  it("leaves what is known only later alone while a definition is checked", function()
    local fn = function() end
    local given = { name = fn, size = "{{.x}}", list = "{{.x}}", mode = "{{.x}}", json_list = "{{.x}}" }
    local set = settings.read(nil, given, FIELDS, true)
    assert.same({ fn, "{{.x}}", "{{.x}}" }, { set.name, set.size, set.mode })
    assert.same({ nil, "name: a text is expected, found a function" }, { settings.read(nil, { name = fn }, FIELDS) })
    assert.same({ nil, 'list: a list is expected, found "{{.x}}"' }, { settings.read(nil, { list = "{{.x}}" }, FIELDS) })
  end)

  for name, case in pairs {
    ["an unknown field"] = { { naem = "x" },
      "unknown field 'naem'; accepted: called, json_list, labels, list, mode, name, object, size, what (did you mean 'name'?)" },
    ["no object"] = { { 1 }, "the configuration: an object is expected, found a list" },
    ["a text that is none"] = { { name = 5 }, "name: a text is expected, found 5" },
    ["a number that is none"] = { { size = "much" }, 'size: a number is expected, found "much"' },
    ["a number without end"] = { { size = math.huge }, "size: a number is expected, found inf" },
    ["a list that is none"] = { { list = { a = 1 } }, "list: a list is expected, found an object" },
    ["an object that is none"] = { { object = json.array { 1 } }, "object: an object is expected, found a list" },
    ["texts that are none"] = { { labels = { a = 1 } }, "labels: an object of texts is expected, found an object" },
    ["a word that is not accepted"] = { { mode = "fats" }, 'mode: found "fats"; accepted: fast, slow (did you mean \'fast\'?)' },
    ["JSON of something else"] = { { json_list = "5" }, "json_list: a list is expected, found 5" },
  } do
    it("refuses " .. name, function()
      local set, message = settings.read(nil, case[1], FIELDS)
      assert.same({ nil, case[2] }, { set, message })
    end)
  end
end)
