-- step.settings: configurations of known fields.

local json = require "step.json"
local settings = require "step.settings"

local FIELDS = {
  name = { kind = "text" }, called = { is = "name" }, title = { kind = "text", number = true },
  mode = { kind = "text", accepted = { "fast", "slow" } },
  count = { kind = "count" }, most = { kind = "count", from = 1 }, after = { kind = "span" }, pause = { kind = "span", zero = true },
  tolerate = { kind = "tolerance" }, sure = { kind = "boolean" }, object = { kind = "object" }, json_object = { json = "object" },
  labels = { kind = "texts" }, items = { kind = "objects" }, words = { kind = "words" }, what = { kind = "any" },
  old = { kind = "ignored" },
}
local NAMES = "after, called, count, items, json_object, labels, mode, most, name, object, pause, sure, title, tolerate, what, words"

local reader = settings.reader(FIELDS)

--- The message with which a configuration is refused when it is used.
local function refusal(config, base)
  local ok, err = pcall(reader.read, base, config)
  assert.is_false(ok)
  assert.equal("bad_request", err.kind)
  return err.message
end

describe("step.settings", function()
  it("reads a configuration over its base, by the fields' own names", function()
    assert.same({ name = "b", count = 5, mode = "slow" },
      reader.read({ name = "a", count = 5 }, { called = "b", mode = "slow", old = print }))
    assert.same({}, reader.read(nil, json.null))
    assert.same({ name = "a" }, reader.read({ name = "a" }, { name = json.null }))
  end)

  it("D21: lays objects over those of the base, key by key", function()
    local base = { object = { a = 1, b = 1 }, labels = { a = "x" } }
    assert.same({ object = { a = 1, b = 2, c = 2 }, labels = { a = "x", b = "" } },
      reader.read(base, { json_object = '{"b":2,"c":2}', labels = { b = json.null } }))
    assert.same({ object = { a = 1, b = 1 }, labels = { a = "x" } }, base)
  end)

  it("of several spellings takes the field's own name, and over it its JSON text", function()
    assert.same({ name = "own", object = { a = 2 } },
      reader.read(nil, { called = "other", name = "own", object = { a = 1 }, json_object = '{"a":2}' }))
  end)

  it("takes the texts that templates give", function()
    local set = reader.read(nil, { count = "5", most = " 0x10 ", after = "90", pause = "0", sure = "true",
      json_object = '{"n":9007199254740993}' })
    assert.same({ count = 5, most = 16, after = 90, pause = 0, sure = true, object = { n = 9007199254740993 } }, set)
    assert.same({ sure = false, after = 90, title = "5", words = { "a", "1", "true" } },
      reader.read(nil, { sure = "false", after = "1m30s", title = 5, words = { "a", 1, true } }))
    assert.same({ 2, 3, 5 }, { reader.read(nil, { tolerate = "2" }).tolerate(9), reader.read(nil, { tolerate = 3 }).tolerate(9),
      reader.read(nil, { tolerate = "50%" }).tolerate(11) })
  end)

  it("takes an empty text for no value where a template may stand", function()
    assert.same({ what = "" }, reader.read({ name = "a", object = nil }, { name = "", mode = "", count = "", after = "", sure = "",
      tolerate = "", json_object = "", what = "" }))
    assert.equal('object: an object is expected, found ""', refusal { object = "" })
  end)

  it("leaves what is known only later alone while a definition is checked", function()
    local seen
    local judged = settings.reader(FIELDS, { check = function(...) seen = { ... } end })
    local fn = function() end
    local given = { name = fn, count = "{{.x}}", mode = "{{.x}}", json_object = "{{.x}}",
      items = { fn, { a = 1 } }, labels = { a = fn, b = "{{.x}}" },
      words = { "{{.x}}", fn }, tolerate = 1, called = "known, and not the last" }
    assert.is_true(judged.valid_config({ count = 1, mode = "fast" }, given, { file = "f" }))
    seen[1].tolerate = seen[1].tolerate(9)
    assert.same({ { items = { fn, { a = 1 } }, labels = { a = fn, b = "{{.x}}" }, words = { "{{.x}}", fn }, tolerate = 1 },
      { name = true, count = true, mode = true, object = true }, { file = "f" } }, seen)
    assert.equal("name: a text is expected, found a function", refusal { name = fn })
    assert.equal('count: a whole number from 0 is expected, found "{{.x}}"', refusal { count = "{{.x}}" })
  end)

  it("S8.2: refuses a template where a text is no use", function()
    local hint = " (a template gives a text%s)"
    for field, message in pairs {
      object = "an object is expected, found \"{{.x}}\"" .. hint:format "; its JSON text can stand in json_object",
      items = "a list of objects is expected, found \"{{.x}}\"" .. hint:format "",
      words = "a list of texts is expected, found \"{{.x}}\"" .. hint:format "",
      labels = "an object of texts is expected, found \"{{.x}}\"" .. hint:format "",
    } do
      assert.same({ nil, field .. ": " .. message }, { reader.valid_config(nil, { [field] = "{{.x}}" }) })
    end
  end)

  it("wants what is required, unless it is known only later", function()
    local wanting = settings.reader { key = { kind = "text", required = "the name of a key" }, id = { is = "key" } }
    for _, config in ipairs { {}, { key = "" }, { id = json.null } } do
      assert.same({ nil, "key: the name of a key is expected" }, { wanting.valid_config(nil, config) })
    end
    for _, config in ipairs { { key = "x" }, { id = "x" }, { id = "{{.x}}" } } do assert.is_true(wanting.valid_config(nil, config)) end
  end)

  it("passes over other fields where it is to, except for typing errors", function()
    local lenient = settings.reader({ name = { kind = "text" } }, { others = true })
    assert.same({ name = "x" }, lenient.read(nil, { name = "x", something_else = 5 }))
    assert.same({ nil, "unknown field 'nmae'; accepted: name (did you mean 'name'?)" }, { lenient.valid_config(nil, { nmae = "x" }) })
  end)

  for name, case in pairs {
    ["an unknown field"] = { { naem = "x" }, "unknown field 'naem'; accepted: " .. NAMES .. " (did you mean 'name'?)" },
    ["a field without a name"] = { { [true] = "x" }, "unknown field 'true'; accepted: " .. NAMES },
    ["no object"] = { { 1 }, "the configuration: an object is expected, found a list" },
    ["a text that is none"] = { { name = 5 }, "name: a text is expected, found 5 (quote it to make it a text)" },
    ["a word that is not accepted"] = { { mode = "fats" }, 'mode: found "fats"; accepted: fast, slow (did you mean \'fast\'?)' },
    ["a count that is none"] = { { count = "much" }, 'count: a whole number from 0 is expected, found "much"' },
    ["a count with a part"] = { { count = 1.5 }, "count: a whole number from 0 is expected, found 1.5" },
    ["a count without end"] = { { count = math.huge }, "count: a whole number from 0 is expected, found inf" },
    ["a count that is too small"] = { { most = "0" }, 'most: a whole number from 1 is expected, found "0"' },
    ["a span that is none"] = { { after = "soon" }, 'after: a text like "1.5s" is expected (units: ns, us, ms, s, m, h), found "soon"' },
    ["a span of another kind"] = { { after = true }, 'after: a number of seconds or a text like "1.5s" is expected, found true' },
    ["a span of nothing"] = { { after = "0" }, 'after: more than 0 seconds are expected, found "0"' },
    ["a span below 0"] = { { pause = -1 }, "pause: 0 seconds or more are expected, found -1" },
    ["a span without end"] = { { after = "1e999" }, 'after: not a number, found "1e999"' },
    ["a tolerance that is none"] = { { tolerate = "all" },
      'tolerate: a whole number from 0, or a part of all children like "25%", is expected, found "all"' },
    ["true and false that are none"] = { { sure = "yes" }, 'sure: true or false is expected, found "yes"' },
    ["an object that is none"] = { { object = json.array { 1 } }, "object: an object is expected, found a list" },
    ["texts that are none"] = { { labels = { "a" } }, "labels: an object of texts is expected, found a list" },
    ["a text among them that is none"] = { { labels = { a = "x", b = 1 } },
      "labels.b: a text is expected, found 1 (quote it to make it a text)" },
    ["objects that are none"] = { { items = { a = 1 } }, "items: a list of objects is expected, found an object" },
    ["an object among them that is none"] = { { items = json.array { {}, 5 } }, "items[2]: an object is expected, found 5" },
    ["words that are none"] = { { words = "ls -l" }, 'words: a list of texts is expected, found "ls -l"' },
    ["a word among them that is none"] = { { words = json.array { "ls", {} } }, "words[2]: a text is expected, found an empty table" },
    ["JSON that is no text"] = { { json_object = { a = 1 } }, "json_object: a text is expected, found an object" },
    ["JSON of something else"] = { { json_object = "5" }, "json_object: an object is expected, found 5" },
  } do
    it("refuses " .. name, function()
      assert.equal(case[2], refusal(case[1]))
      assert.equal(case[2], refusal(nil, case[1]))
    end)
  end

  it("refuses JSON that is none", function() assert.matches("^json_object: ", refusal { json_object = "{" }) end)
end)
