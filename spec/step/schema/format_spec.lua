-- step.schema.format: what each format takes, and what looks like it.

local format = require "step.schema.format"

local CASES = {               -- format -> { taken, refused }
  date = { { "2024-02-29", "2000-02-29" }, { "2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-1-1", "2024-04-31" } },
  time = { { "08:30:06Z", "08:30:06.283185Z", "08:30:06+23:59", "23:59:60Z", "15:59:60-08:00", "00:29:60+00:30" },
           { "24:00:00Z", "08:30:06", "08:30:06+24:00", "08:30:06-8:00", "22:59:60Z", "08:30:61Z", "08:30:06.Z", "8:30:06Z" } },
  ["date-time"] = { { "1963-06-19T08:30:06Z", "1963-06-19t08:30:06z" }, { "1963-06-19 08:30:06Z", "1963-06-19", "T" } },
  email = { { "joe@example.com", '"joe b"@example.com', "joe@[127.0.0.1]", "joe@[IPv6:::1]", "te~st@example.com" },
            { "2962", ".joe@example.com", "joe.@example.com", "j..e@example.com", "joe@[127.0.0.300]", "jé@example.com", "joe@a_b" } },
  ["idn-email"] = { { "실례@실례.테스트", "joe@example.com" }, { "2962" } },
  hostname = { { "www.example.com", "xn--4gbwdl.xn--wgbh1c", "a", "1.host" },
               { "-a.com", "a-.com", "a_b.com", ("a"):rep(64) .. ".com", "a..b", ".a", "", "é.com" } },
  ["idn-hostname"] = { { "실례.테스트", "例。com" }, { "-실례", "\xFF" } },
  ipv4 = { { "192.168.0.1", "0.0.0.0" }, { "256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "0x7f.0.0.1", "1.2.3.4\n" } },
  ipv6 = { { "::1", "::", "2345::", "1:2:3:4:5:6:7:8", "::ffff:192.168.0.1", "1::8", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7::" },
           { "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", ":1", "1:", "::g", "::1%eth0", "1:2:3:4:5:6:7:1.2.3.4", ":::" } },
  uri = { { "http://foo.bar/?baz=qux#quux", "urn:oasis:names", "mailto:a@b", "ldap://[2001:db8::7]/c=GB?one", "http://a:80/%20" },
          { "//foo.bar", "/abc", "abc", "http:// a", "http://a/%zz", "http://a/<", "http://[::g]/", "http://a:b/", "\\\\x" } },
  ["uri-reference"] = { { "//foo.bar", "/abc", "abc", "#frag", "" }, { "\\\\x", "#fr\\ag", "a b", "1a:b", "é" } },
  iri = { { "http://ƒøø.ßår/?∂éœ" }, { "/é", "http:// é" } },
  ["iri-reference"] = { { "/é", "#é" }, { "é é" } },
  ["uri-template"] = { { "http://a/{term:1}/{+x,y*}", "plain", "{?q}" }, { "http://a/{term:1}/{term", "a}", "{a b}", "{}" } },
  ["json-pointer"] = { { "", "/a/b~0c~1", "/" }, { "a", "/a~", "/~2", "#/" } },
  ["relative-json-pointer"] = { { "0", "1/a", "0#" }, { "/a", "-1/a", "01/a", "0##" } },
  regex = { { "a+" }, { "^(abc]", "\\Z" } },
}

describe("step.schema.format", function()
  for name, is in pairs(format.formats) do
    it(name, function()
      local cases = assert(CASES[name])
      for _, text in ipairs(cases[1]) do assert.is_true(is(text), text) end
      for _, text in ipairs(cases[2]) do assert.is_false(is(text), text) end
    end)
  end
end)
