local sources = require "step.template.sources"
local temp = require "spec.support.temp"
local zone = require "step.template.zone"

--- A version 2 time zone file: transitions { { time, type } }, types { { offset, summer, name } } and a footer.
local function tzif(transitions, types, footer)
  local function body(width)
    local times, kinds, infos, names = {}, {}, {}, ""
    for i, t in ipairs(transitions) do
      times[i], kinds[i] = (width == 8 and ">i8" or ">i4"):pack(t[1]), string.char(t[2])
    end
    for i, t in ipairs(types) do
      infos[i] = (">i4BB"):pack(t[1], t[2] and 1 or 0, #names)
      names = names .. t[3] .. "\0"
    end
    return "TZif2" .. ("\0"):rep(15) .. (">I4I4I4I4I4I4"):pack(0, 0, 0, #transitions, #types, #names)
      .. table.concat(times) .. table.concat(kinds) .. table.concat(infos) .. names
  end
  return body(4) .. body(8) .. "\n" .. footer .. "\n"
end

describe("zone.load", function()
  local zoneinfo

  setup(function()
    zoneinfo = sources.zoneinfo
    sources.zoneinfo = temp.folder {
      ["Test-Zone"] = tzif({ { 1000, 1 }, { 2000, 0 } }, { { 3600, false, "CET" }, { 7200, true, "CEST" } }, "CET-1CEST,M3.5.0,M10.5.0/3"),
    } .. "/"
  end)

  teardown(function()
    sources.zoneinfo = zoneinfo
    temp.clean()
  end)

  it("reads transitions and the rule behind the last one", function()
    local z = zone.load "Test-Zone"
    for seconds, expected in pairs {
      [0] = "3600 CET", [1000] = "7200 CEST", [1999] = "7200 CEST", [2000] = "3600 CET",
      [1711846799] = "3600 CET", [1711846800] = "7200 CEST", -- 2024-03-31 01:00 UTC
      [1729990799] = "7200 CEST", [1729990800] = "3600 CET", -- 2024-10-27 01:00 UTC
    } do
      assert.equal(expected, ("%d %s"):format(z.at(seconds)))
    end
  end)

  it("knows UTC without a file and refuses what is no name of a zone", function()
    assert.equal(zone.utc, zone.load "UTC")
    assert.equal(zone.utc, zone.load "")
    for _, name in ipairs { "No-Such-Zone", "../etc/passwd", "/etc/passwd", "a\\b", "a b" } do assert.is_nil(zone.load(name)) end
  end)
end)
