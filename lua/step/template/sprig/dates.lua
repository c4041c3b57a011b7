--- sprig's dates and durations.

local define = require("step.template.signature").define
local number = require "step.template.number"
local sources = require "step.template.sources"
local time = require "step.template.time"
local value = require "step.template.value"
local zone = require "step.template.zone"

local M = {}

local T = value.types

local function now()
  local seconds = sources.clock()
  local whole = math.floor(seconds)
  return time.new(whole, math.floor((seconds - whole) * 1000000000), zone["local"])
end

-- A time, or a number of seconds that the template computed; anything else is now.
local function time_of(x)
  local t = value.typeof(x)
  if t == time.Time then return x end
  if t == T.int or t == T.int64 or t == T.int32 then return time.new(x[1], 0, zone["local"]) end
  return now()
end

local function in_zone(layout, x, name)
  local t = time_of(x)
  return time.format(time.new(t.sec, t.nsec, zone.load(name) or zone.utc), layout)
end

M.now = define("-> any", now)
M.date = define("string, any -> string", function(_, layout, x) return in_zone(layout, x, "Local") end)
M.dateInZone = define("string, any, string -> string", function(_, layout, x, name) return in_zone(layout, x, name) end)
M.date_in_zone = M.dateInZone
M.htmlDate = define("any -> string", function(_, x) return in_zone("2006-01-02", x, "Local") end)
M.htmlDateInZone = define("any, string -> string", function(_, x, name) return in_zone("2006-01-02", x, name) end)
M.unixEpoch = define("time -> string", function(_, t) return ("%d"):format(t.sec) end)

local function modify(text, t)
  local ns, problem = time.parse_duration(text)
  if not ns then return nil, problem end
  return time.add(t, ns)
end

M.dateModify = define("string, time -> any", function(_, text, t) return modify(text, t) or t end)
M.date_modify = M.dateModify
M.mustDateModify = define("string, time -> any", function(_, text, t)
  local later, problem = modify(text, t)
  return later or error(problem, 0)
end)
M.must_date_modify = M.mustDateModify

M.toDate = define("string, string -> any", function(_, layout, text)
  return time.parse(layout, text, zone["local"]) or time.zero()
end)
M.mustToDate = define("string, string -> any", function(_, layout, text)
  local t, problem = time.parse(layout, text, zone["local"])
  return t or error(problem, 0)
end)

-- Durations --------------------------------------------------------------------------------------------------------------

M.ago = define("any -> string", function(_, x)
  local ns = time.between(time_of(x), now())
  local half = ns < 0 and -500000000 or 500000000
  local seconds = ns < 0 and -((-ns - half) // 1000000000) or (ns + half) // 1000000000
  return time.duration_text(seconds * 1000000000)
end)

M.duration = define("any -> string", function(_, x)
  local t, n = value.typeof(x), 0
  if t == T.string then
    local parsed, problem, nearest = number.parse_int(x)
    n = parsed or (problem == "range" and nearest) or 0
  elseif t == T.int64 then
    n = x[1]
  end
  return time.duration_text(n * 1000000000)
end)

local HOUR = 3600000000000
local SPANS = {
  { HOUR * 24 * 365, "y" }, { HOUR * 24 * 30, "mo" }, { HOUR * 24, "d" }, { HOUR, "h" }, { HOUR // 60, "m" }, { HOUR // 3600, "s" },
}

M.durationRound = define("any -> string", function(_, x)
  local t, ns = value.typeof(x), 0
  if t == T.string then
    ns = time.parse_duration(x) or 0
  elseif t == T.int64 then
    ns = x[1]
  elseif t == time.Time then
    ns = time.between(x, now())
  end
  ns = math.abs(ns)
  for _, span in ipairs(SPANS) do
    if ns > span[1] then return ("%d%s"):format(ns // span[1], span[2]) end
  end
  return "0s"
end)

return M
