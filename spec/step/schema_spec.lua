-- step.schema: what is refused, what is found in values and where (S4.7, S8.9, D25). The drafts themselves: schema_suite_spec.

local errors = require "step.error"
local json = require "step.json"
local schema = require "step.schema"

local function decoded(text)
  return assert(json.decode(text))
end

--- The validator of a schema written as JSON.
local function compiled(text, options)
  return assert(schema.compile(decoded(text), options))
end

local function valid(text, value, options)
  return compiled(text, options)(decoded(value)) == true
end

--- The error of a value.
local function violation(text, value)
  local ok, err = compiled(text)(decoded(value))
  assert.is_nil(ok)
  assert.is_true(errors.is(err))
  assert.equal("schema", err.kind)
  return err
end

--- The error of a schema, which is a table or JSON.
local function refusal(value, options)
  local ok, err = schema.compile(type(value) == "string" and decoded(value) or value, options)
  assert.is_nil(ok)
  assert.is_true(errors.is(err))
  assert.equal("schema", err.kind)
  assert.matches("^Jsonschema: ", err.message)
  return err
end

local META = "http://json-schema.org/draft-0%d/schema#"

describe("step.schema.compile", function()
  it("gives a validator that can be called", function()
    local validator = compiled '{"type": "object", "required": ["n"]}'
    assert.is_true(validator { n = 1 })
    local ok, err = validator {}
    assert.is_nil(ok)
    assert.equal("the value does not match its schema: #: missing property \"n\" (schema #/required)", err.message)
    assert.equal(err.message, tostring(err))
  end)

  it("keeps no part of the schema it was given", function()
    local given = { type = "object", properties = { n = { type = "integer" } } }
    local validator = assert(schema.compile(given))
    given.properties.n.type = "string"
    given.type = nil
    assert.is_true(validator { n = 1 })
    assert.is_nil((validator { n = "a" }))
  end)

  it("takes true and false for schemas", function()
    assert.is_true(schema.compile(true)(1))
    local _, err = schema.compile(false)(1)
    assert.equal("the value does not match its schema: #: nothing is accepted here (schema #)", err.message)
    assert.matches("#: expected object, but got boolean$", refusal(true, { draft = 4 }).message)
  end)

  it("raises for a draft that is not there", function()
    assert.error_matches(function() schema.compile({}, { draft = 5 }) end, "draft 4, 6 or 7 expected, got 5")
  end)

  describe("finds the draft", function()
    for _, draft in ipairs { 4, 6, 7 } do
      it(("%d"):format(draft), function()
        assert.equal(draft, schema.compile({ ["$schema"] = META:format(draft) }).draft)
        assert.equal(draft, schema.compile({ ["$schema"] = META:format(draft):gsub("#", ""):gsub("http", "https") }).draft)
        assert.equal(draft, schema.compile({ version = draft }).draft)
        assert.equal(draft, schema.compile({ version = tostring(draft) }).draft)
        assert.equal(draft, schema.compile({}, { draft = draft }).draft)
      end)
    end

    it("in $schema rather than in version, in the option rather than in both", function()
      assert.equal(6, schema.compile({ ["$schema"] = META:format(6), version = 4 }).draft)
      assert.equal(4, schema.compile({ ["$schema"] = META:format(6), version = 7 }, { draft = 4 }).draft)
    end)

    it("7 when nothing says another", function()
      assert.equal(7, schema.compile({}).draft)
      assert.equal(7, schema.compile({ version = 5 }).draft)
      assert.equal(7, schema.compile({ version = "x" }).draft)
      assert.equal(7, schema.compile({ version = { 4 } }).draft)
    end)
  end)

  describe("refuses (D25)", function()
    for _, case in ipairs {
      { '{"type": "strange"}', "/type", 'expected one of "array", "boolean", "integer", "null", "number", "object", "string", but got '
        .. '"strange" (did you mean \'string\'?)' },
      { '{"type": ["string", "intger"]}', "/type/1", "did you mean 'integer'?" },
      { '{"required": "k"}', "/required", "expected array, but got string" },
      { '{"properties": {"a": {"minLength": -1}}}', "/properties/a/minLength", "-1 is less than 0" },
      { '{"properties": {"a": 1}}', "/properties/a", "expected object or boolean, but got integer" },
      { '{"enum": []}', "/enum", "0 items, at least 1 is needed", { draft = 4 } },
      { '{"multipleOf": 0}', "/multipleOf", "0 is not more than 0" },
      { '{"exclusiveMinimum": 3, "version": 4}', "/exclusiveMinimum", "expected boolean, but got integer" },
      { '{"$schema": "http://json-schema.org/draft-03/schema#"}', "/$schema", "accepted: http://json-schema.org/draft-04/schema#" },
      { '{"properties": {"a": {"$ref": "#/definitions/none"}}}', "/properties/a/$ref",
        'the reference "#/definitions/none" leads nowhere: there is no "definitions" in the schema' },
      { '{"$ref": "#/definitions/nod", "definitions": {"node": {}}}', "/$ref",
        'there is no "nod" in #/definitions (did you mean \'node\'?)' },
      { '{"$ref": "#/items/1", "items": [{}]}', "/$ref", 'there is no "1" in #/items' },
      { '{"$ref": "#/title", "title": "t"}', "/$ref", "#/title is no schema" },
      { '{"$ref": "#/x/y", "x": {"y": {"type": 1}}}', "/$ref", "#/x/y/type is no schema" },
      { '{"$ref": "#none"}', "/$ref", 'no schema has the $id "#none"' },
      { '{"$ref": 5}', "/$ref", "a reference is a string", { draft = 4 } },
      { '{"not": {"$ref": "http://x.org/y.json#/a"}}', "/not/$ref",
        'the reference "http://x.org/y.json#/a" leads to http://x.org/y.json, which is not registered: remote schemas are not fetched' },
      { '{"$id": "http://x.org/a/b", "items": {"$ref": "c"}}', "/items/$ref", "leads to http://x.org/a/c, which is not registered" },
      { '{"definitions": {"a": {"$id": "http://x"}, "b": {"$id": "http://x"}}, "items": {"$ref": "http://x"}}', "/items/$ref",
        "http://x is the $id of more than one schema" },
      { '{"pattern": "(a"}', "/pattern", 'the regular expression "(a" does not compile: missing closing parenthesis' },
      { '{"definitions": {"unused": {"pattern": "["}}}', "/definitions/unused/pattern", "does not compile" },
      { '{"patternProperties": {"*": {}}}', "/patternProperties", "does not compile" },
      { '{"$ref": "#"}', "", "the schema is applied to the same value without end: # -> #" },
      { '{"not": {"$ref": "#/definitions/a"}, "definitions": {"a": {"dependencies": {"x": {"$ref": "#"}}}}}', "",
        "without end: # -> #/not -> #/definitions/a -> #/definitions/a/dependencies/x -> #" },
    } do
      it(case[1], function()
        local err = refusal(case[1], case[4])
        assert.equal(case[2], err.errors[1].schema)
        assert.matches(case[3], err.errors[1].message, 1, true)
        assert.matches("#" .. case[2] .. ": ", err.message, 1, true)
      end)
    end

    it("what is no schema at all", function()
      assert.matches("a schema is an object or a boolean, got 5", refusal(5).message)
      assert.matches("expected object or boolean, but got array", refusal({ 1 }).message)
      assert.matches("the schema is no JSON data: $.a: ", refusal({ a = print }).message, 1, true)
      local cycle = {}
      cycle.items = cycle
      assert.matches("the schema is no JSON data", refusal(cycle).message)
    end)

    it("an empty Lua table where a list belongs, as it is an object", function()
      assert.matches("expected array, but got an empty object", refusal({ required = {} }).message)
      assert.is_true(schema.compile({ required = json.array() })(1))
    end)

    it("everything wrong at once", function()
      local err = refusal '{"minItems": "a", "properties": {"a": {"type": "int"}}}'
      assert.equal(2, #err.errors)
      assert.matches("^Jsonschema: 2 errors\n  #/minItems: expected integer, but got string\n  #/properties/a/type: ", err.message)
      err = refusal '{"pattern": "(", "items": {"$ref": "#/none"}}'
      assert.equal(2, #err.errors)
    end)

    it("a chain of schemas that is too long to follow", function()
      local definitions = { last = {} }
      for i = 1, 2000 do definitions["a" .. i] = { ["$ref"] = "#/definitions/" .. (i < 2000 and "a" .. i + 1 or "last") } end
      assert.matches("more than 1000 schemas are applied to the same value", refusal({ definitions = definitions }).message)
    end)
  end)
end)

describe("step.schema references", function()
  it("lead to registered documents, and from there on", function()
    local remotes = {
      ["http://x.org/a.json"] = { definitions = { n = { ["$ref"] = "b.json#/definitions/n" } } },
      ["http://x.org/b.json#"] = { definitions = { n = { type = "integer", maximum = 5 } } },
      ["http://x.org/broken.json"] = { type = "strange" },
    }
    local validator = compiled('{"items": {"$ref": "http://x.org/a.json#/definitions/n"}}', { remotes = remotes })
    local _, err = validator { 1, 9 }
    assert.equal("/1", err.errors[1].instance)
    assert.equal("http://x.org/b.json#/definitions/n/maximum", err.errors[1].schema)
    assert.matches("#/1: 9 is more than 5 (schema http://x.org/b.json#/definitions/n/maximum)", err.message, 1, true)
    err = refusal('{"$ref": "http://x.org/broken.json"}', { remotes = remotes })
    assert.matches('the reference "http://x.org/broken.json": it is no schema, #/type: expected one of', err.message, 1, true)
  end)

  it("lead to an $id within a registered document", function()
    local remotes = { ["http://x.org/all"] = { definitions = { { ["$id"] = "http://y.org/one", type = "integer" } } } }
    remotes["http://x.org/all"].definitions = { one = remotes["http://x.org/all"].definitions[1] }
    assert.is_nil((compiled('{"$ref": "http://y.org/one"}', { remotes = remotes })("a")))
  end)

  it("in a document are of its own draft", function()
    local remotes = { ["http://x.org/four"] = { ["$schema"] = META:format(4), minimum = 3, exclusiveMinimum = true } }
    assert.is_nil((compiled('{"$ref": "http://x.org/four"}', { remotes = remotes })(3)))
  end)

  it("lead to the meta-schemas", function()
    for _, draft in ipairs { 4, 6, 7 } do
      local validator = assert(schema.compile { ["$ref"] = META:format(draft) })
      assert.is_true(validator(decoded '{"properties": {"a": {"type": "string"}}}'))
      assert.is_nil((validator(decoded '{"properties": {"a": {"type": "strange"}}}')))
    end
  end)

  it("accept what each meta-schema says of itself", function()
    for _, draft in ipairs { 4, 6, 7 } do
      local meta = require "step.schema.meta".schema(draft)
      assert.is_true(schema.compile({ ["$ref"] = META:format(draft) })(meta))
      assert.equal(draft, assert(schema.compile(meta)).draft)
    end
  end)

  for name, case in pairs {               -- schema, valid, not valid
    ["to a plain name"] = { '{"allOf": [{"$ref": "#foo"}], "definitions": {"A": {"$id": "#foo", "type": "integer"}}}', "1", '"a"' },
    ["to a name in another document"] = { '{"$id": "http://x/root", "allOf": [{"$ref": "http://x/nested#foo"}], "definitions": '
      .. '{"A": {"$id": "nested", "definitions": {"B": {"$id": "#foo", "type": "integer"}}}}}', "1", '"a"' },
    ["with a quote in the pointer"] = { '{"items": {"$ref": "#/definitions/a%22b"}, "definitions": {"a\\"b": {"type": "integer"}}}',
      "[1]", '["a"]' },
    ["to a place that is no place for schemas"] = { '{"x": {"y": [{"type": "integer"}]}, "items": {"$ref": "#/x/y/0"}}', "[1]", '["a"]' },
    ["beside an $id, which is ignored"] = { '{"$id": "http://x/base/", "definitions": {"a": {"$id": "http://x/foo", "type": "string"}, '
      .. '"b": {"$id": "foo", "type": "number"}}, "allOf": [{"$id": "http://x/", "$ref": "foo"}]}', "1", '"a"' },
    ["to a URN"] = { '{"$id": "urn:uuid:1", "items": {"$ref": "urn:uuid:1#/definitions/a"}, "definitions": {"a": {"type": "integer"}}}',
      "[1]", '["a"]' },
    ["from an enum mean nothing"] = { '{"definitions": {"a": {"enum": [{"$id": "http://x/a", "type": "null"}]}, '
      .. '"b": {"$id": "http://x/a", "type": "string"}}, "anyOf": [{"$ref": "#/definitions/a"}, {"$ref": "http://x/a"}]}', '"a"', "1" },
  } do
    it(name, function()
      assert.is_true(valid(case[1], case[2]))
      assert.is_false(valid(case[1], case[3]))
    end)
  end
end)

describe("step.schema errors", function()
  for _, case in ipairs {                 -- schema, value, place in the value, place in the schema, message
    { '{"type": ["integer", "null"]}', '"a"', "", "/type", "expected integer or null, but got string" },
    { '{"type": "integer"}', "1.5", "", "/type", "expected integer, but got the number 1.5" },
    { '{"type": "array"}', "{}", "", "/type", "expected array, but got an empty object" },
    { '{"const": 1}', "2", "", "/const", "expected 1, but got 2" },
    { '{"const": {"a": []}}', '{"a": {}}', "", "/const", 'expected {"a":[]}, but got {"a":{}}' },
    { '{"enum": [[1], 2]}', "[2]", "", "/enum", "expected one of [1], 2, but got [2]" },
    { '{"properties": {"a": {"enum": ["red", "green"]}}}', '{"a": "gren"}', "/a", "/properties/a/enum",
      'expected one of "red", "green", but got "gren" (did you mean \'green\'?)' },
    { '{"multipleOf": 0.01}', "0.015", "", "/multipleOf", "0.015 is no multiple of 0.01" },
    { '{"maximum": 3}', "4", "", "/maximum", "4 is more than 3" },
    { '{"exclusiveMaximum": 3}', "3", "", "/exclusiveMaximum", "3 is not less than 3" },
    { '{"minimum": 3, "exclusiveMinimum": true, "version": 4}', "3", "", "/minimum", "3 is not more than 3" },
    { '{"maxLength": 1}', '"éa"', "", "/maxLength", "2 characters, at most 1 is accepted" },
    { '{"minLength": 2}', '"é"', "", "/minLength", "1 character, at least 2 are needed" },
    { '{"items": {"pattern": "^a"}}', '["a", "b"]', "/1", "/items/pattern", '"b" does not match ^a' },
    { '{"items": [true, {"type": "null"}]}', "[1, 2]", "/1", "/items/1/type", "expected null, but got integer" },
    { '{"items": [true], "additionalItems": false}', "[1, 2]", "", "/additionalItems", "2 items, at most 1 is accepted" },
    { '{"maxItems": 0}', "[1]", "", "/maxItems", "1 item, at most 0 are accepted" },
    { '{"uniqueItems": true}', '[{"a": 1}, 2, {"a": 1.0}]', "", "/uniqueItems", "the items 0 and 2 are equal" },
    { '{"contains": {"const": 1}}', "[2]", "", "/contains", "no item matches the schema of contains" },
    { '{"required": ["b", "a", "c"]}', '{"a": 1}', "", "/required", 'missing properties "b", "c"' },
    { '{"minProperties": 1}', "{}", "", "/minProperties", "0 properties, at least 1 is needed" },
    { '{"properties": {"name": {}}, "additionalProperties": false}', '{"nme": 1}', "/nme", "/additionalProperties",
      "this property is not accepted (did you mean 'name'?)" },
    { '{"patternProperties": {"^a": {"type": "null"}}}', '{"a/~": 1}', "/a~1~0", "/patternProperties/^a/type",
      "expected null, but got integer" },
    { '{"additionalProperties": {"type": "null"}}', '{"a": 1}', "/a", "/additionalProperties/type", "expected null, but got integer" },
    { '{"propertyNames": {"maxLength": 1}}', '{"ab": 1}', "", "/propertyNames", 'the property name "ab" is not accepted' },
    { '{"dependencies": {"a": ["b"]}}', '{"a": 1}', "", "/dependencies", 'missing property "b", which "a" needs' },
    { '{"dependencies": {"a": {"maxProperties": 1}}}', '{"a": 1, "b": 1}', "", "/dependencies/a/maxProperties",
      "2 properties, at most 1 is accepted" },
    { '{"if": {"minimum": 3}, "then": {"maximum": 5}}', "6", "", "/then/maximum", "6 is more than 5" },
    { '{"allOf": [{"maximum": 3}]}', "4", "", "/allOf/0/maximum", "4 is more than 3" },
    { '{"anyOf": [{"type": "string", "minLength": 3}, {"type": "null"}]}', '"ab"', "", "/anyOf/0/minLength",
      "2 characters, at least 3 are needed" },
    { '{"anyOf": [{"type": "string"}, {"type": "null"}]}', "1", "", "/anyOf", "matches none of the 2 schemas of anyOf" },
    { '{"oneOf": [{"minimum": 3}, {"minimum": 5}]}', "7", "", "/oneOf", "matches more than one schema of oneOf, 0 and 1" },
    { '{"not": {"type": "null"}}', "null", "", "/not", "matches the schema of not" },
    { '{"items": {"$ref": "#/definitions/a"}, "definitions": {"a": {"type": "null"}}}', "[1]", "/0", "/definitions/a/type",
      "expected null, but got integer" },
    { '{"properties": {"a": false}}', '{"a": 1}', "/a", "/properties/a", "nothing is accepted here" },
  } do
    it(("%s: %s"):format(case[1], case[2]), function()
      local err = violation(case[1], case[2])
      assert.equal(1, #err.errors)
      local finding = err.errors[1]
      assert.same({ case[3], case[4], case[5] }, { finding.instance, finding.schema, finding.message })
      assert.matches(("#%s: %s (schema #%s)"):format(case[3], case[5], case[4]), err.message, 1, true)
    end)
  end

  it("tell everything that is wrong, in the order of the schema", function()
    local text = '{"required": ["size"], "properties": {"name": {"type": "null"}, "port": {"maximum": 1}}, "additionalProperties": false}'
    assert.equal('the value does not match its schema: 5 errors\n'
      .. '  #: missing property "size" (schema #/required)\n'
      .. '  #/name: expected null, but got integer (schema #/properties/name/type)\n'
      .. '  #/port: 2 is more than 1 (schema #/properties/port/maximum)\n'
      .. '  #/extra: this property is not accepted (schema #/additionalProperties)\n'
      .. '  #/other: this property is not accepted (schema #/additionalProperties)',
      violation(text, '{"other": 1, "extra": 1, "port": 2, "name": 1}').message)
  end)

  it("tell why none of several schemas matched", function()
    local err = violation('{"anyOf": [{"minimum": 5}, {"multipleOf": 3}]}', "4")
    assert.equal("the value does not match its schema: 1 error\n"
      .. "  #: matches none of the 2 schemas of anyOf (schema #/anyOf)\n"
      .. "    #: 4 is less than 5 (schema #/anyOf/0/minimum)\n"
      .. "    #: 4 is no multiple of 3 (schema #/anyOf/1/multipleOf)", err.message)
    assert.equal("/anyOf/1/multipleOf", err.errors[1].causes[2].schema)
  end)

  it("are at most a hundred", function()
    local many = json.array()
    for i = 1, 1000 do many[i] = i end
    local _, err = compiled '{"items": {"type": "null"}}'(many)
    assert.equal(100, #err.errors)
    assert.matches("^the value does not match its schema: more than 100 errors\n", err.message)
  end)
end)

describe("step.schema values", function()
  it("are compared exactly, whether integers or floats", function()
    assert.is_true(valid('{"maximum": 9007199254740992}', "9007199254740992.0"))
    assert.is_false(valid('{"maximum": 9007199254740992}', "9007199254740993"))
    assert.is_false(valid('{"exclusiveMaximum": 9223372036854775807}', "9223372036854775807"))
    assert.is_true(valid('{"maximum": 9.3e18}', "9223372036854775807"))
    assert.is_false(valid('{"enum": [9007199254740992.0]}', "9007199254740993"))
    assert.is_true(valid('{"const": {"a": [1.0]}}', '{"a": [1]}'))
    assert.is_true(valid('{"uniqueItems": true}', "[9007199254740992.0, 9007199254740993]"))
    assert.is_false(valid('{"uniqueItems": true}', "[9007199254740992.0, 9007199254740992]"))
  end)

  it("1.0 is an integer in drafts 6 and 7, not in 4", function()
    for draft, expected in pairs { [4] = false, [6] = true, [7] = true } do
      assert.equal(expected, valid('{"type": "integer"}', "1.0", { draft = draft }))
      assert.is_true(valid('{"type": "integer"}', "123456789012345678901234567890", { draft = draft }))
    end
  end)

  it("may be plain Lua tables; nil counts as null", function()
    assert.is_true(compiled '{"type": "array", "items": {"type": "integer"}}' { 1, 2 })
    assert.is_true(compiled '{"type": "object"}' {})
    assert.is_true(compiled '{"type": "array"}'(json.array()))
    assert.is_true(compiled '{"type": "null"}'(nil))
    assert.is_true(compiled '{"enum": [null]}'(nil))
    assert.is_true(compiled '{"const": null}'(json.null))
  end)

  it("may be no JSON at all without harm", function()
    for _, value in ipairs { { a = print }, { [true] = 1 }, { 1, x = 2 }, { [2.5] = {} }, print, io.stdout, { 0 / 0, 0 / 0 } } do
      for _, text in ipairs {
        '{"type": "string"}', '{"additionalProperties": {"type": "string"}}', '{"propertyNames": {"minLength": 9}, "minProperties": 9}',
        '{"patternProperties": {"a": {"type": "string"}}}', '{"items": {"type": "string"}, "uniqueItems": true, "minItems": 9}',
      } do
        local ok, err = compiled(text)(value)
        assert.is_true(ok or #err.errors > 0 and type(err.message) == "string")
      end
    end
  end)

  it("have no formats unless they are asked for", function()
    assert.is_true(valid('{"format": "ipv4"}', '"x"'))
    assert.is_false(valid('{"format": "ipv4"}', '"x"', { format = true }))
    assert.is_true(valid('{"format": "ipv4"}', "1", { format = true }))
    assert.is_true(valid('{"format": "unheard-of"}', '"x"', { format = true }))
  end)

  it("that contain themselves end in an error", function()
    local value = {}
    value.next = value
    local _, err = compiled '{"properties": {"next": {"$ref": "#"}}}'(value)
    assert.matches("^the value cannot be checked: #/next.*nested too deeply$", err.message)
    assert.is_true(#err.message < 400)
    _, err = compiled '{"uniqueItems": true}' { value, value }
    assert.matches("nested too deeply", err.message)
  end)

  it("of 1000 levels are no difficulty, in a coroutine neither", function()
    local value = json.array()
    for _ = 1, 999 do value = json.array { value } end
    local validator = compiled '{"anyOf": [{"type": "array", "items": {"allOf": [{"$ref": "#"}]}, "uniqueItems": true}, false]}'
    assert.is_true(coroutine.wrap(function() return validator(value) end)())
  end)

  it("end a schema that never ends in practice", function()
    local steps = schema.steps
    schema.steps = 100000
    finally(function() schema.steps = steps end)
    local definitions = { [ "a40" ] = { type = "string" } }
    for i = 0, 39 do
      local ref = { ["$ref"] = "#/definitions/a" .. i + 1 }
      definitions["a" .. i] = { allOf = { ref, ref } }
    end
    local validator = assert(schema.compile { items = { ["$ref"] = "#/definitions/a0" }, definitions = definitions })
    local _, err = validator { "a" }
    assert.equal("the value cannot be checked: #/0: this takes too many steps", err.message)
    assert.is_true(validator {})
  end)

  it("end a regular expression that never ends in practice (D12)", function()
    local _, err = compiled '{"not": {"pattern": "^(a+)+$"}}'(("a"):rep(64) .. "b")
    assert.equal("the value cannot be checked: #: the regular expression ^(a+)+$ exceeds its match budget", err.message)
    assert.equal("", err.errors[1].instance)
  end)

  it("that are valid cost no memory", function()
    local validator = compiled('{"type": "object", "required": ["a"], "properties": {"a": {"anyOf": [{"type": "null"}, {"minimum": 3}]},'
      .. '"b": {"items": {"$ref": "#/definitions/s"}}}, "additionalProperties": false, "definitions": {"s": {"enum": ["x"]}}}')
    local value = decoded '{"a": 5, "b": ["x", "x"]}'
    validator(value)
    collectgarbage()
    collectgarbage "stop"
    finally(function() collectgarbage "restart" end)
    local before = collectgarbage "count"
    for _ = 1, 1000 do validator(value) end
    assert.is_true(collectgarbage "count" - before < 4)
  end)
end)

describe("step.schema.normalize (S4.7)", function()
  it("names the draft that version means", function()
    for given, draft in pairs { [4] = 4, [6] = 6, [7] = 7, [5] = 7, ["6"] = 6 } do
      assert.same({ ["$schema"] = META:format(draft), type = "object" }, schema.normalize({ version = given, type = "object" }))
      assert.same({ ["$schema"] = META:format(draft), type = "object" }, schema.normalize({ type = "object" }, given))
    end
    assert.same({ ["$schema"] = META:format(7) }, schema.normalize {})
  end)

  it("leaves the rest alone", function()
    local given = { ["$schema"] = META:format(4), version = 7 }
    assert.equal(given, schema.normalize(given))
    assert.equal(true, schema.normalize(true))
    given = { version = 4 }
    schema.normalize(given)
    assert.same({ version = 4 }, given)
  end)
end)
