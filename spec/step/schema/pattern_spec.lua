-- step.schema.pattern: ECMA-262's syntax and meaning on PCRE2.

local pattern = require "step.schema.pattern"

local function matches(source, text)
  return assert(pattern.compile(source)):matches(text)
end

describe("step.schema.pattern", function()
  for source, texts in pairs {            -- pattern -> { matches, does not }
    ["^abc$"] = { "abc", "abc\n" }, ["^.$"] = { "é", "\r" }, ["a.b"] = { "a\vb", "a\u{2028}b" }, ["^\\t$"] = { "\t", "\\t" },
    ["^\\cC$"] = { "\3", "C" }, ["^\\cc$"] = { "\3", "c" }, ["^\\d$"] = { "0", "\u{7C0}" }, ["^\\D$"] = { "\u{7C0}", "0" },
    ["^\\w$"] = { "a", "é" }, ["^\\W$"] = { "é", "a" }, ["^\\s$"] = { "\u{FEFF}", "\u{200B}" }, ["^\\S$"] = { "a", "\u{A0}" },
    ["^[\\s\\S]$"] = { "\n" }, ["^[\\S]$"] = { "a", "\u{3000}" }, ["^[^\\s]$"] = { "a", "\v" }, ["^[\\W]$"] = { "é", "a" },
    ["^[\\w-]+$"] = { "a-b", "a+b" }, ["^[\\w-.]+$"] = { "a-.", "a+" }, ["^[+-\\d]+$"] = { "+-1", "a" }, ["^[a-]$"] = { "-", "b" },
    ["^\\v$"] = { "\v", "\n" }, ["^[\\b]$"] = { "\b", "b" }, ["\\bfoo\\b"] = { "a foo", "food" },
    ["^\\x41\\u0042\\u{43}$"] = { "ABC", "ab" },
    ["^\\uD83D\\uDE00$"] = { "\u{1F600}", "\u{1F601}" }, ["^\\0$"] = { "\0", "0" }, ["^(a)\\1$"] = { "aa", "ab" },
    ["^(a)?\\1b$"] = { "b", "ab" },
    ["^(?<x>a)\\k<x>$"] = { "aa", "a" }, ["^(?P<x>a)$"] = { "a", "b" }, ["^a(?=b)"] = { "ab", "ac" }, ["^a(?!b)"] = { "ac", "ab" },
    ["(?<=a)b"] = { "ab", "cb" }, ["(?<!a)b"] = { "cb", "ab" }, ["(?i)^a$"] = { "A", "b" }, ["\\Aa\\z"] = { "a", "a\n" },
    ["^[^]$"] = { "\n", "" },
    ["a[]|b"] = { "b", "a" }, ["^[a[.b]$"] = { "[", "=" }, ["^[[:digit:]]$"] = { "1", "a" }, ["^[a&&b]+$"] = { "a&", "c" },
    ["^a{2,}$"] = { "aa", "a" },
    ["^a{,2}$"] = { "a{,2}", "aa" }, ["a+?b"] = { "aab", "b" }, ["\\p{Letter}"] = { "é", "1" },
    ["^\\p{Script=Greek}$"] = { "α", "a" },
    ["^[\\p{Lu}\\d]+$"] = { "É1", "é" }, ["\\P{L}"] = { "1", "é" }, ["^\\-\\/\\.$"] = { "-/.", "x" }, [""] = { "" },
    ["^[\\]]$"] = { "]", "a" },
  } do
    it(("%q"):format(source), function()
      assert.is_true(matches(source, texts[1]))
      if texts[2] then assert.is_false(matches(source, texts[2])) end
    end)
  end

  for source, message in pairs {
    ["("] = "missing closing parenthesis", ["a)"] = "unmatched closing parenthesis", ["[a"] = "missing ]", ["*a"] = "quantifier",
    ["a\\"] = "backslash at the end", ["\xFF"] = "UTF-8", ["^\\S(|(.|\\n)*\\S)\\Z"] = "escape \\Z", ["\\a"] = "escape \\a",
    ["\\é"] = "escape \\é", ["[\\B]"] = "escape \\B", ["\\K"] = "escape \\K", ["\\Q.\\E"] = "escape \\Q", ["(?>a)"] = "group (?>",
    ["(?#a)"] = "group (?#", ["(?R)"] = "group (?R", ["(?C1)"] = "group (?C", ["(*ACCEPT)"] = "nothing to repeat",
    ["a*+"] = "nothing to repeat",
    ["a++"] = "nothing to repeat", ["a{2}+"] = "nothing to repeat", ["a**"] = "nothing to repeat", ["[b-a]"] = "range out of order",
    ["\\p{Nothing}"] = "property", ["\\p"] = "escape \\p", ["\\u12"] = "escape \\u", ["(a)\\2"] = "reference",
  } do
    it(("refuses %q"):format(source), function()
      local compiled, problem = pattern.compile(source)
      assert.is_nil(compiled)
      assert.matches(message, problem, 1, true)
    end)
  end

  it("stops a match that exceeds its budget (D12)", function()
    local found, message = matches("^(a+)+$", ("a"):rep(64) .. "b")
    assert.is_nil(found)
    assert.matches("exceeds its match budget", message)
  end)

  it("tells a text that is no UTF-8", function()
    local found, message = matches("a", "\xFF")
    assert.is_nil(found)
    assert.matches("the text is no UTF%-8", message)
  end)
end)
