local errors = require "step.error"
local inputs = require "step.inputs"
local json = require "step.json"
local values = require "step.cli.values"

local function declared(list)
  local report = errors.report()
  local spec = inputs.compile(json.array(list), report, "inputs")
  assert.same({}, report.findings)
  return spec
end

local SPEC = {
  { name = "who" }, { name = "word", type = "password" }, { name = "count", type = "number" }, { name = "loud", type = "bool" },
  { name = "hosts", collection = true }, { name = "sizes", type = "number", collection = true },
}

local function read(...)
  local given = {}
  local ok, message, unknown = values.inputs({ ... }, declared(SPEC), "-i", given)
  return ok and given, message, unknown
end

describe("inputs of the command line", function()
  it("have the type that the definition declares", function()
    assert.same({ who = "12", word = "a=b", count = 12, loud = true }, read("who=12", "word=a=b", "count=12", "loud=true"))
    assert.equal("integer", math.type(read("count=12").count))
    assert.equal(-1.5, read("count=-1.5").count)
    assert.equal("", read("who=").who)
  end)

  it("are lists as JSON, or one value after the other", function()
    assert.same({ hosts = { "a", "b" } }, read 'hosts=["a","b"]')
    assert.same({ "a", "b,c" }, read("hosts=a", "hosts=b,c").hosts)
    assert.same({ 1, 2.5 }, read("sizes=1", "sizes=[2.5]").sizes)
    assert.is_true(json.is_array(read("hosts=[]").hosts))
  end)

  for pair, message in pairs {
    ["count=many"] = "^%-i count: a number is expected, found many$",
    ["count=0x10"] = "a number is expected",
    ["loud=yes"] = "true or false is expected, found yes",
    ["sizes=x"] = "a number is expected, found x",
    ["hosts=["] = "^%-i hosts: ",
    ["=x"] = "KEY=VALUE is expected",
    ["who"] = "KEY=VALUE is expected",
    ["whoo=x"] = "no such input %(did you mean 'who'%?%)",
    ["zzz=x"] = "no such input; inputs: who, word, count",
  } do
    it("are refused: " .. pair, function()
      local given, found = read(pair)
      assert.is_falsy(given)
      assert.matches(message, found)
    end)
  end

  it("are refused when one that is no list is given twice", function()
    assert.matches("given twice", select(2, read("who=a", "who=b")))
  end)

  it("say which name is unknown", function()
    assert.equal("zzz", select(3, read "zzz=1"))
    assert.is_nil(select(3, read "count=x"))
  end)
end)

describe("values at paths", function()
  it("make the objects on the way", function()
    local tree = {}
    assert(values.put(tree, "input.name=World"))
    assert(values.put(tree, ".step.a.output:={\"x\":[1,2.5]}"))
    assert(values.put(tree, "step.a.state=a:=b"))
    assert.same({ input = { name = "World" }, step = { a = { output = { x = { 1, 2.5 } }, state = "a:=b" } } }, tree)
  end)

  it("are refused where no object is", function()
    local tree = { input = "x" }
    assert.matches("input is no object", select(2, values.put(tree, "input.name=1")))
    assert.matches("PATH=VALUE", select(2, values.put(tree, "input")))
    assert.matches("PATH=VALUE", select(2, values.put(tree, "=1")))
    assert.matches("^%-v a: ", select(2, values.put(tree, "a:={")))
  end)
end)
