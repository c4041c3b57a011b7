--- Time zones: the offset from UTC at a time, from the system's time zone database (TZif).

local days = require("step.time").days
local sources = require "step.template.sources"

local M = {}

---@class step.template.Zone
---@field name string   "UTC", "Local", "Europe/Paris"
---@field at fun(seconds: integer): integer, string   offset in seconds and abbreviation

M.utc = { name = "UTC", at = function() return 0, "UTC" end }

--- A zone of one offset.
---@param name string
---@param offset integer
---@return step.template.Zone
function M.fixed(name, offset)
  return { name = name, at = function() return offset, name end }
end

M["local"] = {
  name = "Local",
  at = function(seconds)
    local text = os.date("%z %Z", seconds)
    local sign, hours, minutes, name = text:match("^([-+])(%d%d)(%d%d) (.*)$")
    if not sign then return 0, "UTC" end
    if name == "GMT" then name = "UTC" end
    return (sign == "-" and -1 or 1) * (tonumber(hours) * 3600 + tonumber(minutes) * 60), name
  end,
}

-- One rule of a footer, "M3.2.0/2": seconds (of local standard or summer time) from the start of 1970 in a year.
local function rule_time(rule, year)
  local month, week, weekday, rest = rule:match("^M(%d+)%.(%d+)%.(%d+)(.*)$")
  if not month then return nil end
  month, week, weekday = tonumber(month), tonumber(week), tonumber(weekday)
  local sign, hours, minutes = rest:match("^/(-?)(%d+):?(%d*)")
  local time = hours and (tonumber(hours) * 3600 + (tonumber(minutes) or 0) * 60) * (sign == "-" and -1 or 1) or 7200
  local first = days(year, month, 1)
  local day = first + (weekday - (first + 4)) % 7 + (week - 1) * 7
  local next_month = month == 12 and days(year + 1, 1, 1) or days(year, month + 1, 1)
  if day >= next_month then day = day - 7 end
  return day * 86400 + time
end

local function footer_offset(text, at)
  local sign, hours, minutes, after = text:match("^([-+]?)(%d+):?(%d*)()", at)
  if not hours then return nil, at end
  return (sign == "-" and 1 or -1) * (tonumber(hours) * 3600 + (tonumber(minutes) or 0) * 60), after
end

local function footer_name(text, at)
  local name, after = text:match("^<([^>]+)>()", at)
  if not name then name, after = text:match("^(%a+)()", at) end
  return name, after or at
end

-- What holds behind the last transition: a POSIX rule such as "CET-1CEST,M3.5.0,M10.5.0/3".
local function footer(text)
  local standard, at = footer_name(text, 1)
  if not standard then return nil end
  local offset
  offset, at = footer_offset(text, at)
  if not offset then return nil end
  local summer
  summer, at = footer_name(text, at)
  if not summer then return function() return offset, standard end end
  local summer_offset, after = footer_offset(text, at)
  local from, to = text:match("^,([^,]+),(.+)$", after)
  summer_offset = summer_offset or offset + 3600
  if not from then return function() return offset, standard end end
  return function(seconds)
    local year = 1970 + math.tointeger((seconds + offset) // 31556952)
    local start, stop = rule_time(from, year), rule_time(to, year)
    if not start or not stop then return offset, standard end
    start, stop = start - offset, stop - summer_offset
    local is_summer
    if start < stop then is_summer = seconds >= start and seconds < stop else is_summer = not (seconds >= stop and seconds < start) end
    if is_summer then return summer_offset, summer end
    return offset, standard
  end
end

local function header(data, at)
  if data:sub(at, at + 3) ~= "TZif" then return nil end
  local isutc, isstd, leaps, times, types, chars = (">I4I4I4I4I4I4"):unpack(data, at + 20)
  return { isutc = isutc, isstd = isstd, leaps = leaps, times = times, types = types, chars = chars, at = at + 44 }
end

local function size_of(h, width)
  return h.times * (width + 1) + h.types * 6 + h.chars + h.leaps * (width + 4) + h.isstd + h.isutc
end

local function read(name, data)
  local h = header(data, 1)
  if not h then return nil end
  local width, format = 4, ">i4"
  if data:byte(5) >= 50 then -- version 2: the same again with 64 bits
    h = header(data, h.at + size_of(h, 4))
    if not h then return nil end
    width, format = 8, ">i8"
  end
  local times, kinds, types = {}, {}, {}
  for i = 1, h.times do times[i] = format:unpack(data, h.at + (i - 1) * width) end
  local at = h.at + h.times * width
  for i = 1, h.times do kinds[i] = data:byte(at + i - 1) end
  at = at + h.times
  local names = at + h.types * 6
  for i = 0, h.types - 1 do
    local offset, summer, index = (">i4BB"):unpack(data, at + i * 6)
    types[i] = { offset = offset, summer = summer ~= 0, name = ("z"):unpack(data, names + index) }
  end
  local rest = width == 8 and data:sub(h.at + size_of(h, 8)):match("^\n([^\n]*)\n")
  local later = rest and footer(rest)
  local first = types[0]
  for i = 0, h.types - 1 do
    if not types[i].summer then
      first = types[i]
      break
    end
  end
  return {
    name = name,
    at = function(seconds)
      local n = #times
      if n == 0 or seconds < times[1] then
        if n == 0 and later then return later(seconds) end
        return first.offset, first.name
      end
      if later and seconds >= times[n] then return later(seconds) end
      local low, high = 1, n
      while low < high do
        local middle = (low + high + 1) // 2
        if times[middle] <= seconds then low = middle else high = middle - 1 end
      end
      local t = types[kinds[low]]
      return t.offset, t.name
    end,
  }
end

local zones = {}

--- time.LoadLocation.
---@param name string
---@return step.template.Zone? zone   nil: unknown
function M.load(name)
  if name == "" or name == "UTC" then return M.utc end
  if name == "Local" then return M["local"] end
  if zones[name] ~= nil then return zones[name] or nil end
  if name:find("..", 1, true) or name:find("^[/\\]") or name:find("\\", 1, true) or name:find("[^%w/_+%-]") then return nil end
  local file = io.open(sources.zoneinfo .. name, "rb")
  local data = file and file:read("a")
  if file then file:close() end
  zones[name] = data and read(name, data) or false
  return zones[name] or nil
end

return M
