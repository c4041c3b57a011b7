-- step.regex: RE2's syntax and meaning on PCRE2.

local regex = require "step.regex"

local function matches(pattern, text)
  return assert(regex.compile(pattern)):matches(text)
end

describe("step.regex", function()
  for pattern, texts in pairs {           -- pattern -> { matches, does not }
    ["^a"] = { "ab", "ba" }, ["a$"] = { "ba", "a\n" }, ["(?m)a$"] = { "a\nb", "b" }, ["a.b"] = { "a\rb", "a\nb" },
    ["(?s)a.b"] = { "a\nb", "ab" }, ["(?i)é"] = { "É", "e" }, ["^.$"] = { "é", "ab" }, ["^\\s$"] = { "\t", "\v" },
    ["^\\S$"] = { "\v", " " }, ["^[\\s]$"] = { "\n", "\v" }, ["\\v"] = { "\v", "\n" }, ["^\\101\\x41\\x{41}\\0$"] = { "AAA\0", "A" },
    ["^\\Qa.b\\E$"] = { "a.b", "axb" }, ["\\Q(["] = { "([", "(" }, ["^[]a]$"] = { "]", "b" }, ["^[^]a]$"] = { "b", "]" },
    ["^[a[.b]$"] = { "[", "=" }, ["^[[:digit:]\\]]+$"] = { "1]", "a" }, ["^\\pL+$"] = { "éa", "1" }, ["^\\p{Greek}$"] = { "α", "a" },
    ["(?P<n>a)(?<m>b)(?:c)"] = { "abc", "ab" }, ["^a{2,3}$"] = { "aa", "a" }, ["^a{,2}$"] = { "a{,2}", "a" }, ["(?-i:A)"] = { "A", "a" },
    ["^\\d+\\z"] = { "12", "1a" }, [""] = { "x" }, ["\\bfoo\\b"] = { "a foo", "food" }, ["a*?b"] = { "aab", "a" },
  } do
    it(("%q"):format(pattern), function()
      assert.is_true(matches(pattern, texts[1]))
      if texts[2] then assert.is_false(matches(pattern, texts[2])) end
    end)
  end

  for pattern, message in pairs {
    ["("] = "missing closing parenthesis", ["a)"] = "unmatched closing parenthesis", ["[a"] = "missing terminating ]",
    ["*a"] = "quantifier does not follow a repeatable item", ["a\\"] = "trailing backslash", ["\xFF"] = "UTF-8",
    ["(?=a)"] = "unsupported syntax", ["(?!a)"] = "unsupported syntax", ["(?<=a)"] = "unsupported syntax",
      ["(?<!a)"] = "unsupported syntax",
    ["(?>a)"] = "unsupported syntax", ["(?#a)"] = "unsupported syntax", ["(?|a)"] = "unsupported syntax", ["(?R)"] = "unsupported syntax",
    ["(?1)"] = "unsupported syntax", ["(?x)a"] = "unsupported syntax", ["(?P=n)"] = "unsupported syntax", ["(?C1)"] = "unsupported syntax",
    ["(a)\\1"] = "there are no back references", ["\\K"] = "invalid escape \\K", ["\\Z"] = "invalid escape \\Z",
    ["\\é"] = "invalid escape \\é", ["[\\b]"] = "invalid escape \\b", ["(*ACCEPT)"] = "missing argument to repetition operator",
    ["a*+"] = "nested repetition", ["a++"] = "nested repetition", ["a?+"] = "nested repetition", ["a{2}+"] = "nested repetition",
    ["a{1001}"] = "repeat count", ["a{1,1001}"] = "repeat count",
  } do
    it(("refuses %q"):format(pattern), function()
      local compiled, problem = regex.compile(pattern)
      assert.is_nil(compiled)
      assert.matches(message, problem, 1, true)
    end)
  end

  it("stops a match that exceeds its budget (D12)", function()
    local found, message = matches("^(a+)+$", ("a"):rep(64) .. "b")
    assert.is_nil(found)
    assert.matches("exceeds its match budget", message)
  end)

  it("finds what stands between two patterns", function()
    local function between(first, last, text) return regex.between(assert(regex.compile(first)), assert(regex.compile(last)), text) end
    assert.equal("1", between("a|b", "c|d", "xb1d"))
    assert.equal("2", between("(a)((b))", "(?P<n>c)", "ab1c ab2c ab"))
    assert.equal("z\nz", between("^", "$", "z\nz"))
    assert.same({}, { between("x", "y", "none") })
    local found, message = between("(a+)+b", "c", ("a"):rep(64) .. " b c")
    assert.is_nil(found)
    assert.matches("exceeds its match budget", message)
    assert.matches("the text is no UTF%-8", (select(2, between("a", "b", "a\xFFb"))))
  end)

  it("tells a text that is no UTF-8", function()
    local found, message = matches("a", "\xFF")
    assert.is_nil(found)
    assert.matches("the text is no UTF%-8", message)
  end)
end)
