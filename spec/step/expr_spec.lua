-- step.expr: configuration trees with templates and functions of v in them.

local expr = require "step.expr"
local json = require "step.json"

local null = json.null

local function none() error "nothing was to be reported" end

--- The value that a tree has for v.
local function value(tree, v)
  local render, constant = expr.compile(tree, "", none)
  if render then return render(v) end
  return constant
end

describe("expr.compile", function()
  it("S4.3: templates every text at any depth, keys excepted", function()
    local v = { input = { a = "x", n = 3 } }
    assert.equal("x", value("{{.input.a}}", v))
    assert.same({ ["{{.input.a}}"] = { "x", { deep = "3!" } } },
      value({ ["{{.input.a}}"] = { "{{.input.a}}", { deep = "{{.input.n}}!" } } }, v))
  end)

  it("S4.3: leaves numbers, booleans and null as they are", function()
    for _, constant in ipairs { 1, 1.5, false, true, null, "plain" } do
      local render, same = expr.compile(constant, "", none)
      assert.is_nil(render)
      assert.equal(constant, same)
    end
    local result = value({ t = "{{.x}}", n = 1, f = 2.0, b = false, null = null }, { x = "y" })
    assert.same({ t = "y", n = 1, f = 2.0, b = false, null = null }, result)
    assert.equal("float", math.type(result.f))
  end)

  it("a Lua function of v may stand for a template", function()
    local v = { n = 4 }
    assert.equal(5, value(function(seen) return seen.n + 1 end, v))
    assert.same({ a = { 8 } }, value({ a = { function(seen) return seen.n * 2 end } }, v))
    assert.same({ a = null }, value({ a = function() end }, v))
  end)

  it("D22: keeps [] and {} apart", function()
    assert.equal('{"a":[],"o":{},"t":"x"}', json.encode(value({ a = json.array(), o = {}, t = "{{.x}}" }, { x = "x" })))
    assert.equal('["x",[]]', json.encode(value(json.array { "{{.x}}", json.array() }, { x = "x" })))
    assert.equal("[]", json.encode(value(json.array(), {})))
  end)

  it("D3: a constant is a copy", function()
    local tree = { a = { 1 } }
    local _, constant = expr.compile(tree, "", none)
    tree.a[1] = 2
    assert.same({ a = { 1 } }, constant)
  end)

  it("D3: makes a new value each time", function()
    local render = expr.compile({ t = "{{.x}}", list = { 1 } }, "", none)
    local first = render { x = "1" }
    first.list[1], first.t = 9, 9
    assert.same({ t = "2", list = { 1 } }, render { x = "2" })
  end)

  it("reports a template that does not parse, with its place; using it raises the message", function()
    local places = {}
    local render = expr.compile({ a = { "ok", "{{.x" }, b = "{{end}}" }, "conf", function(place, message)
      places[#places + 1] = place
      assert.is_true(#message > 0)
    end)
    table.sort(places)
    assert.same({ "conf.a[2]", "conf.b" }, places)
    assert.has_error(function() render {} end)
  end)
end)

describe("expr.texts", function()
  it("visits every text, keys excepted", function()
    local seen = {}
    expr.texts({ a = "1", list = { "2", { b = "3" } }, n = 4, ["k.k"] = false }, "at", function(text, place) seen[place] = text end)
    assert.same({ ["at.a"] = "1", ["at.list[1]"] = "2", ["at.list[2].b"] = "3" }, seen)
    expr.texts("alone", "", function(text, place) assert.same({ "alone", "" }, { text, place }) end)
  end)
end)

describe("expr.overlay", function()
  it("lays fields over v and leaves v alone", function()
    local v = { a = 1, b = 2 }
    local over = expr.overlay(v, { b = 3, c = 4 })
    assert.same({ 1, 3, 4 }, { over.a, over.b, over.c })
    local all = {}
    for key, item in pairs(over) do all[key] = item end
    assert.same({ a = 1, b = 3, c = 4 }, all)
    assert.same({ a = 1, b = 2 }, v)
  end)
end)

describe("expr.merge", function()
  for name, case in pairs {
    ["later keys win"] = { { { a = 1, b = 1 }, { b = 2, c = 3 } }, { a = 1, b = 2, c = 3 } },
    ["only at the top level"] = { { { a = { x = 1 } }, { a = { y = 2 } } }, { a = { y = 2 } } },
    ["null is passed over"] = { { null, { a = 1 }, null }, { a = 1 } },
    ["a list replaces"] = { { { a = 1 }, { 1, 2 } }, { 1, 2 } },
    ["a list is replaced"] = { { { 1, 2 }, { a = 1 } }, { a = 1 } },
    ["a text replaces"] = { { { a = 1 }, "x" }, "x" },
  } do
    it(name, function() assert.same(case[2], expr.merge(table.unpack(case[1]))) end)
  end
  it("D3: changes none of them", function()
    local first, second = { a = 1 }, { b = 2 }
    local merged = expr.merge(first, second)
    merged.a = 9
    assert.same({ { a = 1 }, { b = 2 } }, { first, second })
  end)
  it("nothing is nothing", function()
    assert.is_nil(expr.merge())
    assert.is_nil(expr.merge(nil, null))
    assert.same({ a = 1 }, expr.merge(nil, { a = 1 }))
  end)
end)
