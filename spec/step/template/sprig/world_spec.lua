-- sprig: dates, versions, paths, URLs, the environment, chance.

local check = require("spec.support.render").check
local render = require("spec.support.render").render
local sources = require "step.template.sources"

describe("dates", function()
  local day = '(toDate "2006-01-02 15:04:05" "2021-03-04 05:06:07")'

  it("are read and written by layouts", function()
    check {
      { "{{date \"2006-01-02\" (toDate \"2006-01-02\" \"2021-03-04\")}}", "2021-03-04" },
      { '{{dateInZone "Mon Jan _2 15:04:05 MST 2006" 0 "UTC"}}', "Thu Jan  1 00:00:00 UTC 1970" },
      { '{{dateInZone "Monday, January 2, 06 3:04:05.000 PM -07:00" 1700000000 "UTC"}}',
        "Tuesday, November 14, 23 10:13:20.000 PM +00:00" },
      { '{{dateInZone "02 Jan 06 15:04 -0700 Z07:00 002" 1560458379 "UTC"}} {{dateInZone "15:04 MST" 0 "Nowhere"}}',
        "13 Jun 19 20:39 +0000 Z 164 00:00 UTC" },
      { '{{htmlDateInZone 86400 "UTC"}} {{unixEpoch ' .. day .. "}}", "1970-01-02 1614834367" },
      { '{{toDate "2006-01-02" "bad" | unixEpoch}}', "-62135596800" }, { '{{mustToDate "2006-01-02" "bad"}}', error = "cannot parse" },
      { '{{mustToDate "2006-01-02" "2021-02-30"}}', error = "day out of range" },
      { '{{mustToDate "2006-01-02" "2021-02-03x"}}', error = "extra text" },
      { '{{(toDate "2006-01-02T15:04:05Z07:00" "2021-03-04T05:06:07+02:00").UTC}}', "2021-03-04 03:06:07 +0000 UTC" },
    }
  end)

  it("can be asked and moved", function()
    check {
      { ("{{%s.Year}} {{%s.Month}} {{%s.Weekday}} {{%s.YearDay}} {{%s.Unix}}"):gsub("%%s", day) .. "",
        "2021 March Thursday 63 1614834367" },
      { '{{dateModify "-1.5h" ' .. day .. ' | date "15:04:05"}} {{dateModify "bad" ' .. day .. ' | date "15:04:05"}}',
        "03:36:07 05:06:07" },
      { '{{mustDateModify "bad" ' .. day .. "}}", error = "invalid duration" },
      { "{{(" .. day .. '.AddDate 0 1 30) | date "2006-01-02"}}', "2021-05-04" },
    }
  end)

  it("know the clock only through the replaceable source", function()
    local clock = sources.clock
    sources.clock = function() return 1000000000 end
    finally(function() sources.clock = clock end)
    assert.equal("1000000000", render "{{now | unixEpoch}}")
    assert.equal("1m40s", render "{{ago 999999900}}")
  end)
end)

describe("durations", function()
  it("are written as Go writes them", function()
    check {
      { '{{duration "95"}} {{duration (int64 3661)}} {{duration 95}} {{duration "x"}}', "1m35s 1h1m1s 0s 0s" },
      { '{{durationRound "2h10m5s"}} {{durationRound "2400h5s"}} {{durationRound "10000h"}} {{durationRound "61s"}} {{durationRound 3}}',
        "2h 3mo 1y 1m 0s" },
    }
  end)
end)

describe("versions", function()
  it("are read and compared", function()
    check {
      { '{{semver "v1.2"}} {{semver "1.2.3-a.1+b"}} {{(semver "1.2.3-rc.1").Prerelease}} {{(semver "1.2.3").IncMinor}}',
        "1.2.0 1.2.3-a.1+b rc.1 1.3.0" },
      { '{{semver "1.4.3" | (semver "1.2.3").Compare}} {{(semver "1.2.3-alpha").LessThan (semver "1.2.3")}}', "-1 true" },
      { '{{semver "x"}}', error = "Invalid Semantic Version" },
      { '{{(semver "1.0.0").Compare 1}}', error = "can't handle" },
      { '{{(semver "1.0.0").Nope}}', error = "can't evaluate field Nope in type *semver.Version" },
    }
  end)

  it("meet constraints", function()
    local cases = {}
    for line in ([[
      >=1.2.0      1.3.0      true
      ^1.2.0       2.0.0      false
      ^0.2.3       0.3.0      false
      ^0.0.3       0.0.4      false
      ~1.2         1.2.9      true
      ~1.2.3       1.3.0      false
      1.x          1.9.0      true
      *            3.0.0      true
      >1.0         1.0.5      false
      <=1.2        1.2.9      true
      !=1.x        1.5.0      false
      =1.2.3       1.2.3+meta true
      >=1.0.0      1.1.0-rc   false
      >=1.0.0-0    1.1.0-rc   true
      >=1.2,<2     1.5.0      true
      <1||>=3      3.1.0      true
    ]]):gmatch("[^\n]+") do
      local constraint, version, expected = line:match("^%s*(%S+)%s+(%S+)%s+(%S+)$")
      if constraint then cases[#cases + 1] = { ('{{semverCompare "%s" "%s"}}'):format(constraint, version), expected } end
    end
    assert.equal(16, #cases)
    check(cases)
    check { { '{{semverCompare "1.2 - 1.4" "1.4.0"}}', "true" }, { '{{semverCompare "abc" "1.0.0"}}', error = "improper constraint" } }
  end)
end)

describe("paths and URLs", function()
  it("are those of Go's path and net/url", function()
    check {
      { '{{base "/a/b.txt"}} {{base "/"}} {{base ""}} {{dir "/a/b"}} {{dir "a"}} {{ext "x.tar.gz"}}'
        .. ' {{clean "a//b/../c/."}} {{isAbs "/a"}} {{osBase "a/b"}}',
        "b.txt / . /a . .gz a/c true b" },
      { '{{urlParse "http://u:p@h:80/a%20b?x=1#f"}}',
        "map[fragment:f host:h:80 hostname:h opaque: path:/a b query:x=1 scheme:http userinfo:u:p]" },
      { '{{urlJoin (dict "scheme" "http" "host" "h" "path" "a b" "query" "q" "fragment" "f g")}} {{urlJoin (urlParse "mailto:a@b.c")}}',
        "http://h/a%20b?q#f%20g mailto:a@b.c" },
      { '{{urlParse "http://a b/"}}', error = "in host name" },
      { '{{urlParse "%zz"}}', error = "invalid URL escape" },
      { '{{urlJoin (dict "host" 1)}}', error = "must be of type string" },
    }
  end)
end)

describe("the environment", function()
  it("is the source's", function()
    local getenv = sources.getenv
    sources.getenv = function(name) return ({ FOO = "bar" })[name] end
    finally(function() sources.getenv = getenv end)
    check { { '{{env "FOO"}} {{env "NONE"}}| {{expandenv "$FOO ${FOO}x $NONE$ ${} $FOOx"}}', "bar | bar barx $  " } }
  end)
end)

describe("chance", function()
  it("comes from the source", function()
    local random = sources.random
    sources.random = function(n) return ("\0"):rep(n) end
    finally(function() sources.random = random end)
    check {
      { "{{randAlpha 3}} {{randNumeric 2}} {{randAlphaNum 1}} {{randInt 5 9}} {{randBytes 2}}", "AAA 00 A 5 AAA=" },
      { "{{uuidv4}}", "00000000-0000-4000-8000-000000000000" },
      { "{{randInt 1 1}}", error = "invalid argument" }, { "{{randAlpha -1}}", error = "negative" },
    }
  end)

  it("has the lengths asked for", function()
    check { { '{{randAlphaNum 40 | len}} {{randAscii 9 | len}} {{shuffle "abc" | len}}', "40 9 3" } }
  end)
end)

describe("functions that are not available", function()
  it("say what they would need", function()
    check {
      { '{{getHostByName "x"}}', error = "function getHostByName is not available: needs the network" },
      { '{{genPrivateKey "rsa"}}', error = "needs public-key cryptography" },
      { '{{bcrypt "x"}}', error = "is not available: needs bcrypt" }, { '{{derivePassword 1 "pin" "a" "b" "c"}}', error = "needs scrypt" },
    }
  end)
end)
