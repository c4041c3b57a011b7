-- step.schema.uri: references and JSON pointers.

local uri = require "step.schema.uri"

describe("step.schema.uri", function()
  local base = "http://a/b/c/d;p?q"
  for reference, expected in pairs {  -- RFC 3986, 5.4
    ["g:h"] = "g:h", ["g"] = "http://a/b/c/g", ["./g"] = "http://a/b/c/g", ["g/"] = "http://a/b/c/g/", ["/g"] = "http://a/g",
    ["//g"] = "http://g", ["?y"] = "http://a/b/c/d;p?y", ["g?y"] = "http://a/b/c/g?y", [";x"] = "http://a/b/c/;x", [""] = base,
    ["."] = "http://a/b/c/", ["./"] = "http://a/b/c/", [".."] = "http://a/b/", ["../"] = "http://a/b/", ["../g"] = "http://a/b/g",
    ["../.."] = "http://a/", ["../../g"] = "http://a/g", ["../../../g"] = "http://a/g", ["/./g"] = "http://a/g",
    ["/../g"] = "http://a/g", ["g."] = "http://a/b/c/g.", ["..g"] = "http://a/b/c/..g", ["./../g"] = "http://a/b/g",
    ["./g/."] = "http://a/b/c/g/", ["g/./h"] = "http://a/b/c/g/h", ["g/../h"] = "http://a/b/c/h", ["g?y/../x"] = "http://a/b/c/g?y/../x",
  } do
    it(("resolves %q"):format(reference), function()
      assert.equal(expected, (uri.resolve(base, reference)))
    end)
  end

  it("resolves against a base without a path, an empty one and a URN", function()
    assert.equal("http://a/g", (uri.resolve("http://a", "g")))
    assert.equal("g.json", (uri.resolve("", "g.json")))
    assert.same({ "urn:uuid:1", "/definitions/a" }, { uri.resolve("urn:uuid:1", "#/definitions/a") })
  end)

  it("gives the fragment apart, as written", function()
    assert.same({ "http://a/b/c/g", "/a%25" }, { uri.resolve(base, "g#/a%25") })
    assert.equal("/a%", uri.decode "/a%25")
    assert.equal("http://a", uri.document "http://a#")
  end)

  it("splits JSON pointers and escapes keys", function()
    assert.same({}, uri.keys "")
    assert.same({ "" }, uri.keys "/")
    assert.same({ "a/b", "c~d", "~1", "0" }, uri.keys "/a~1b/c~0d/~01/0")
    assert.equal("a~1b~0c", uri.escape "a/b~c")
    for _, wrong in ipairs { "a", "/~", "/~2" } do assert.is_nil(uri.keys(wrong)) end
  end)
end)
