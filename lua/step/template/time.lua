--- Go's time.Time and time.Duration: calendar, layouts, and the methods a template may call.

local civil = require "step.time"
local define = require("step.template.signature").define
local value = require "step.template.value"
local zone = require "step.template.zone"

local M = {}

local MONTHS = { "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
  "December" }
local WEEKDAYS = { [0] = "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" }
local ZERO = -62135596800 -- 0001-01-01 00:00:00 UTC

local Time -- the type

---@class step.template.Time
---@field sec integer    since 1970, UTC
---@field nsec integer
---@field zone step.template.Zone

---@return step.template.Time
function M.new(sec, nsec, where)
  return setmetatable({ sec = sec, nsec = nsec or 0, zone = where or zone.utc }, Time)
end

function M.zero() return M.new(ZERO, 0, zone.utc) end

-- Calendar ---------------------------------------------------------------------------------------------------------------

-- The fields of a time in its zone.
local function fields(t)
  local offset, name = t.zone.at(t.sec)
  local shifted = t.sec + offset
  local day, rest = shifted // 86400, shifted % 86400
  local z = day + 719468
  local era = z // 146097
  local of_era = z - era * 146097
  local year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * year + year // 4 - year // 100)
  local m = (5 * of_year + 2) // 153
  local month = m < 10 and m + 3 or m - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  return {
    year = year, month = month, day = of_year - (153 * m + 2) // 5 + 1, hour = rest // 3600, min = rest // 60 % 60, sec = rest % 60,
    nsec = t.nsec, weekday = (day + 4) % 7, yday = day - civil.days(year, 1, 1) + 1, offset = offset, zone = name,
  }
end
M.fields = fields

local function days_in(month, year)
  if month == 2 then return (year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)) and 29 or 28 end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end

-- Layouts ----------------------------------------------------------------------------------------------------------------

-- The elements of a layout, longest first where one begins like another.
local ELEMENTS = {
  "January", "Jan", "Monday", "Mon", "MST", "2006", "002", "__2", "_2006", "_2", "01", "02", "03", "04", "05", "06", "15", "PM", "pm",
  "-07:00:00", "-070000", "-07:00", "-0700", "-07", "Z07:00:00", "Z070000", "Z07:00", "Z0700", "Z07", "1", "2", "3", "4", "5",
}
local by_first = {}
for _, e in ipairs(ELEMENTS) do
  local c = e:sub(1, 1)
  by_first[c] = by_first[c] or {}
  table.insert(by_first[c], e)
end

-- Cuts a layout into texts and elements: { text = }, { element = } or { fraction = digits, nines = boolean }.
local function pieces(layout)
  local list, at, from = {}, 1, 1
  local function flush(stop)
    if stop >= from then list[#list + 1] = { text = layout:sub(from, stop) } end
  end
  while at <= #layout do
    local found
    local c = layout:sub(at, at)
    for _, e in ipairs(by_first[c] or {}) do
      if layout:sub(at, at + #e - 1) == e then
        found = e
        break
      end
    end
    if found == "Jan" and layout:find("^%l", at + 3) then found = nil end
    if found == "Mon" and layout:find("^%l", at + 3) then found = nil end
    if found == "_2006" then -- an underscore before the year
      flush(at)
      list[#list + 1] = { element = "2006" }
      at = at + 5
      from = at
    elseif found then
      flush(at - 1)
      list[#list + 1] = { element = found }
      at = at + #found
      from = at
    else
      local mark, digits = layout:match("^([.,])(0+)", at)
      if not mark then mark, digits = layout:match("^([.,])(9+)", at) end
      if mark and not layout:find("^%d", at + 1 + #digits) then
        flush(at - 1)
        list[#list + 1] = { fraction = #digits, nines = digits:sub(1, 1) == "9", mark = mark }
        at = at + 1 + #digits
        from = at
      else
        at = at + 1
      end
    end
  end
  flush(#layout)
  return list
end

local function offset_text(offset, element)
  if element:sub(1, 1) == "Z" and offset == 0 then return "Z" end
  local sign = offset < 0 and "-" or "+"
  local a = math.abs(offset)
  local h, m, s = a // 3600, a // 60 % 60, a % 60
  local shape = element:sub(2)
  if shape == "07:00" then return ("%s%02d:%02d"):format(sign, h, m) end
  if shape == "0700" then return ("%s%02d%02d"):format(sign, h, m) end
  if shape == "07" then return ("%s%02d"):format(sign, h) end
  if shape == "070000" then return ("%s%02d%02d%02d"):format(sign, h, m, s) end
  return ("%s%02d:%02d:%02d"):format(sign, h, m, s)
end

local function year_text(y)
  if y < 0 then return ("-%04d"):format(-y) end
  return ("%04d"):format(y)
end

local writers = {
  January = function(f) return MONTHS[f.month] end,
  Jan = function(f) return MONTHS[f.month]:sub(1, 3) end,
  Monday = function(f) return WEEKDAYS[f.weekday] end,
  Mon = function(f) return WEEKDAYS[f.weekday]:sub(1, 3) end,
  ["2006"] = function(f) return year_text(f.year) end,
  ["06"] = function(f) return ("%02d"):format(f.year % 100) end,
  ["01"] = function(f) return ("%02d"):format(f.month) end,
  ["1"] = function(f) return ("%d"):format(f.month) end,
  ["02"] = function(f) return ("%02d"):format(f.day) end,
  ["_2"] = function(f) return ("%2d"):format(f.day) end,
  ["2"] = function(f) return ("%d"):format(f.day) end,
  ["002"] = function(f) return ("%03d"):format(f.yday) end,
  ["__2"] = function(f) return ("%3d"):format(f.yday) end,
  ["15"] = function(f) return ("%02d"):format(f.hour) end,
  ["03"] = function(f) return ("%02d"):format((f.hour + 11) % 12 + 1) end,
  ["3"] = function(f) return ("%d"):format((f.hour + 11) % 12 + 1) end,
  ["04"] = function(f) return ("%02d"):format(f.min) end,
  ["4"] = function(f) return ("%d"):format(f.min) end,
  ["05"] = function(f) return ("%02d"):format(f.sec) end,
  ["5"] = function(f) return ("%d"):format(f.sec) end,
  PM = function(f) return f.hour >= 12 and "PM" or "AM" end,
  pm = function(f) return f.hour >= 12 and "pm" or "am" end,
  MST = function(f)
    if f.zone ~= "" then return f.zone end
    return offset_text(f.offset, "-0700")
  end,
}

--- Time.Format.
---@param t step.template.Time
---@param layout string
---@return string
function M.format(t, layout)
  local f = fields(t)
  local out = {}
  for i, piece in ipairs(pieces(layout)) do
    if piece.text then
      out[i] = piece.text
    elseif piece.element then
      local write = writers[piece.element]
      out[i] = write and write(f) or offset_text(f.offset, piece.element)
    else
      local digits = ("%09d"):format(f.nsec):sub(1, math.min(piece.fraction, 9)) .. ("0"):rep(piece.fraction - 9)
      if piece.nines then digits = digits:gsub("0+$", "") end
      out[i] = digits == "" and "" or piece.mark .. digits
    end
  end
  return table.concat(out)
end

-- Parsing ----------------------------------------------------------------------------------------------------------------

local function lookup(text, at, names, length)
  for i, name in pairs(names) do
    local wanted = length and name:sub(1, length) or name
    if text:sub(at, at + #wanted - 1):lower() == wanted:lower() then return i, at + #wanted end
  end
  return nil
end

local function digits(text, at, least, most)
  local s = text:match("^%d+", at)
  if not s or #s < least then return nil end
  s = s:sub(1, most)
  return math.tointeger(tonumber(s)), at + #s
end

-- element -> reader(text, at, f) -> position behind, or nil
local readers = {}

local function number_reader(field, least, most, space)
  return function(text, at, f)
    if space then at = text:match("^ *()", at) end
    local n, after = digits(text, at, least, most)
    f[field] = n
    return after
  end
end

readers["2006"] = number_reader("year", 4, 4)
readers["06"] = function(text, at, f)
  local n, after = digits(text, at, 2, 2)
  f.year = n and (n >= 69 and n + 1900 or n + 2000)
  return after
end
readers["01"], readers["1"] = number_reader("month", 2, 2), number_reader("month", 1, 2)
readers["02"], readers["2"], readers["_2"] = number_reader("day", 2, 2), number_reader("day", 1, 2), number_reader("day", 1, 2, true)
readers["002"], readers["__2"] = number_reader("yday", 3, 3), number_reader("yday", 1, 3, true)
readers["15"] = number_reader("hour", 2, 2)
readers["03"], readers["3"] = number_reader("hour12", 2, 2), number_reader("hour12", 1, 2)
readers["04"], readers["4"] = number_reader("min", 2, 2), number_reader("min", 1, 2)
readers["05"], readers["5"] = number_reader("sec", 2, 2), number_reader("sec", 1, 2)
readers.January = function(text, at, f)
  local after
  f.month, after = lookup(text, at, MONTHS)
  return after
end
readers.Jan = function(text, at, f)
  local after
  f.month, after = lookup(text, at, MONTHS, 3)
  return after
end
readers.Monday = function(text, at) return select(2, lookup(text, at, WEEKDAYS)) end
readers.Mon = function(text, at) return select(2, lookup(text, at, WEEKDAYS, 3)) end
readers.PM = function(text, at, f)
  local mark = text:match("^[AP]M", at)
  f.half = mark
  return mark and at + 2
end
readers.pm = function(text, at, f)
  local mark = text:match("^[ap]m", at)
  f.half = mark and mark:upper()
  return mark and at + 2
end
readers.MST = function(text, at, f)
  if text:find("^UTC", at) then
    f.zone = zone.utc
    return at + 3
  end
  local name, after = text:match("^(%u%u%u%u?%u?)()", at)
  if not name then name, after = text:match("^([-+]%d%d%d?%d?)()", at) end
  if name then f.abbreviation = name end
  return after
end

local function read_offset(element)
  local shape = element:sub(2):gsub("%d%d", "(%%d%%d)")
  return function(text, at, f)
    if element:sub(1, 1) == "Z" and text:sub(at, at) == "Z" then
      f.zone = zone.utc
      return at + 1
    end
    local sign = text:match("^[-+]", at)
    if not sign then return nil end
    local h, m, s = text:match("^" .. shape, at + 1)
    if not h then return nil end
    m, s = tonumber(m) or 0, tonumber(s) or 0
    if tonumber(h) > 24 or m > 60 or s > 60 then return nil end
    f.offset = math.tointeger((tonumber(h) * 3600 + m * 60 + s) * (sign == "-" and -1 or 1))
    return at + #element
  end
end

for _, e in ipairs(ELEMENTS) do
  if e:find("^[-Z]%d") then readers[e] = read_offset(e) end
end

local function refuse(layout, text, rest, element, message)
  if message then return ("parsing time %q%s"):format(text, message) end
  return ("parsing time %q as %q: cannot parse %q as %q"):format(text, layout, rest, element)
end

-- Spaces in the layout match any number of spaces.
local function skip_text(text, at, wanted)
  local i = 1
  while i <= #wanted do
    if wanted:sub(i, i) == " " then
      if at <= #text and text:sub(at, at) ~= " " then return nil end
      i, at = wanted:match("^ *()", i), text:match("^ *()", at)
    else
      if text:sub(at, at) ~= wanted:sub(i, i) then return nil end
      i, at = i + 1, at + 1
    end
  end
  return at
end

local LIMITS = { month = { 1, 12 }, hour = { 0, 23 }, hour12 = { 0, 12 }, min = { 0, 59 }, sec = { 0, 59 } }
local LIMIT_NAMES = { hour12 = "hour", min = "minute", sec = "second" }

--- time.ParseInLocation.
---@param layout string
---@param text string
---@param where step.template.Zone
---@return step.template.Time? time
---@return string? problem
function M.parse(layout, text, where)
  local f, at = {}, 1
  for _, piece in ipairs(pieces(layout)) do
    local after
    if piece.text then
      after = skip_text(text, at, piece.text)
    elseif piece.element then
      after = readers[piece.element](text, at, f)
      -- a fraction of a second may follow though the layout does not name it
      if after and (piece.element == "05" or piece.element == "5") then
        local fraction = text:match("^[.,](%d+)", after)
        if fraction then
          f.nsec = math.tointeger(tonumber((fraction .. "000000000"):sub(1, 9)))
          f.read_fraction = after + 1 + #fraction
        end
      end
    else
      local fraction = text:match("^[.,](%d+)", at)
      if fraction and (piece.nines or #fraction == piece.fraction) then
        f.nsec = math.tointeger(tonumber((fraction .. "000000000"):sub(1, 9)))
        after = at + 1 + #fraction
      elseif piece.nines then
        after = at
      end
      f.read_fraction = nil
    end
    if not after and f.read_fraction then -- the fraction was not part of the layout: go on behind it
      local again = f.read_fraction
      f.read_fraction = nil
      if piece.text then after = skip_text(text, again, piece.text) else after = readers[piece.element](text, again, f) end
    end
    if not after then return nil, refuse(layout, text, text:sub(at), piece.text or piece.element or ".") end
    at = after
  end
  at = f.read_fraction or at
  if at <= #text then return nil, refuse(layout, text, nil, nil, (": extra text: %q"):format(text:sub(at))) end
  for field, range in pairs(LIMITS) do
    if f[field] and (f[field] < range[1] or f[field] > range[2]) then
      return nil, refuse(layout, text, nil, nil, (": %s out of range"):format(LIMIT_NAMES[field] or field))
    end
  end
  local year, month, day = f.year or 0, f.month or 1, f.day or 1
  if f.yday then
    local first = civil.days(year, 1, 1)
    if f.yday < 1 or f.yday > civil.days(year + 1, 1, 1) - first then
      return nil, refuse(layout, text, nil, nil, ": day-of-year out of range")
    end
    local whole = fields(M.new((first + f.yday - 1) * 86400))
    month, day = whole.month, whole.day
  end
  if day < 1 or day > days_in(month, year) then return nil, refuse(layout, text, nil, nil, ": day out of range") end
  local hour = f.hour or 0
  if f.hour12 then
    hour = f.hour12
    if f.half == "PM" and hour < 12 then hour = hour + 12 elseif f.half == "AM" and hour == 12 then hour = 0 end
  end
  local sec = civil.days(year, month, day) * 86400 + hour * 3600 + (f.min or 0) * 60 + (f.sec or 0)
  local nsec = f.nsec or 0
  if f.zone then return M.new(sec, nsec, f.zone) end
  if f.offset then
    local offset, name = where.at(sec - f.offset)
    if offset == f.offset and (not f.abbreviation or f.abbreviation == name) then return M.new(sec - f.offset, nsec, where) end
    return M.new(sec - f.offset, nsec, zone.fixed(f.abbreviation or "", f.offset))
  end
  if f.abbreviation then
    local offset, name = where.at(sec)
    if name == f.abbreviation then return M.new(sec - offset, nsec, where) end
    local hours = f.abbreviation:match("^GMT([-+]%d+)$")
    return M.new(sec, nsec, zone.fixed(f.abbreviation, hours and tonumber(hours) * 3600 or 0))
  end
  -- the offset at the local time: try with the one at the same number of seconds in UTC, then correct
  local offset = where.at(sec - (where.at(sec)))
  return M.new(sec - offset, nsec, where)
end

-- Durations --------------------------------------------------------------------------------------------------------------

local UNITS = { ns = 1, us = 1000, ["µs"] = 1000, ["μs"] = 1000, ms = 1000000, s = 1000000000, m = 60000000000, h = 3600000000000 }

--- time.ParseDuration.
---@param text string
---@return integer? nanoseconds
---@return string? problem
function M.parse_duration(text)
  local function invalid() return nil, ("time: invalid duration %q"):format(text) end
  local sign, body = text:match("^([-+]?)(.*)$")
  if body == "0" then return 0 end
  if body == "" then return invalid() end
  local total, at = 0, 1
  while at <= #body do
    local whole, fraction, after = body:match("^(%d*)%.?(%d*)()", at)
    if not whole or (whole == "" and fraction == "") then return invalid() end
    local unit, behind = body:match("^([^%d.]+)()", after)
    if not unit then return nil, ("time: missing unit in duration %q"):format(text) end
    local size = UNITS[unit]
    if not size then return nil, ("time: unknown unit %q in duration %q"):format(unit, text) end
    local n = tonumber(whole == "" and "0" or whole)
    if n * 1.0 * size >= 9223372036854775808.0 then return invalid() end
    total = total + math.tointeger(n) * size
    if fraction ~= "" then total = total + math.tointeger((tonumber("0." .. fraction) * size) // 1) end
    if total < 0 then return invalid() end
    at = behind
  end
  return sign == "-" and -total or total
end

-- A fraction without trailing zeros, with its unit.
local function with_fraction(n, size, unit)
  local whole, rest = n // size, n % size
  if rest == 0 then return ("%d%s"):format(whole, unit) end
  local width = #tostring(size) - 1
  return (("%d.%0" .. width .. "d"):format(whole, rest):gsub("0+$", "")) .. unit
end

--- Duration.String.
---@param ns integer
---@return string
function M.duration_text(ns)
  if ns == 0 then return "0s" end
  local sign = ns < 0 and "-" or ""
  if ns < 0 then ns = -ns end
  if ns < 1000 then return ("%s%dns"):format(sign, ns) end
  if ns < 1000000 then return sign .. with_fraction(ns, 1000, "µs") end
  if ns < 1000000000 then return sign .. with_fraction(ns, 1000000, "ms") end
  local seconds = ns // 1000000000
  local h, m = seconds // 3600, seconds // 60 % 60
  local text = with_fraction(ns % 60000000000, 1000000000, "s")
  if h > 0 then return ("%s%dh%dm%s"):format(sign, h, m, text) end
  if m > 0 then return ("%s%dm%s"):format(sign, m, text) end
  return sign .. text
end

-- Types ------------------------------------------------------------------------------------------------------------------

local Duration = value.type("time.Duration", "int64", { class = "int", str = function(d) return M.duration_text(d[1]) end })
local Month = value.type("time.Month", "int", { class = "int", str = function(m) return MONTHS[m[1]] end })
local Weekday = value.type("time.Weekday", "int", { class = "int", str = function(d) return WEEKDAYS[d[1]] end })

local function duration(ns) return setmetatable({ ns }, Duration) end

Duration.methods = {
  Hours = define("-> float64", function(_, d) return d[1] / 3.6e12 end),
  Minutes = define("-> float64", function(_, d) return d[1] / 6e10 end),
  Seconds = define("-> float64", function(_, d) return d[1] / 1e9 end),
  Milliseconds = define("-> int64", function(_, d) return d[1] // 1000000 end),
  Nanoseconds = define("-> int64", function(_, d) return d[1] end),
  String = define("-> string", function(_, d) return M.duration_text(d[1]) end),
}
Month.methods = { String = define("-> string", function(_, m) return MONTHS[m[1]] end) }
Weekday.methods = { String = define("-> string", function(_, d) return WEEKDAYS[d[1]] end) }

local function text_of(t) return M.format(t, "2006-01-02 15:04:05.999999999 -0700 MST") end

local function field_method(name)
  return define("-> int", function(_, t) return fields(t)[name] end)
end

--- Nanoseconds from one time to another.
local function between(a, b) return (b.sec - a.sec) * 1000000000 + b.nsec - a.nsec end
M.between = between

--- A time some nanoseconds later.
function M.add(t, ns)
  local nsec = t.nsec + ns % 1000000000
  return M.new(t.sec + ns // 1000000000 + nsec // 1000000000, nsec % 1000000000, t.zone)
end

Time = value.type("time.Time", "struct", {
  str = text_of,
  equal = function(a, b) return a.sec == b.sec and a.nsec == b.nsec and a.zone.name == b.zone.name end,
  json = function(t) return '"' .. M.format(t, "2006-01-02T15:04:05.999999999Z07:00") .. '"' end,
})
M.Time = Time

Time.methods = {
  Year = field_method "year", Day = field_method "day", Hour = field_method "hour", Minute = field_method "min",
  Second = field_method "sec", YearDay = field_method "yday", Nanosecond = field_method "nsec",
  Month = define("-> any", function(_, t) return setmetatable({ fields(t).month }, Month) end),
  Weekday = define("-> any", function(_, t) return setmetatable({ fields(t).weekday }, Weekday) end),
  Unix = define("-> int64", function(_, t) return t.sec end),
  UnixMilli = define("-> int64", function(_, t) return t.sec * 1000 + t.nsec // 1000000 end),
  UnixNano = define("-> int64", function(_, t) return t.sec * 1000000000 + t.nsec end),
  Format = define("string -> string", function(_, t, layout) return M.format(t, layout) end),
  String = define("-> string", function(_, t) return text_of(t) end),
  UTC = define("-> any", function(_, t) return M.new(t.sec, t.nsec, zone.utc) end),
  Local = define("-> any", function(_, t) return M.new(t.sec, t.nsec, zone["local"]) end),
  IsZero = define("-> bool", function(_, t) return t.sec == ZERO and t.nsec == 0 end),
  After = define("time -> bool", function(_, t, other) return between(other, t) > 0 end),
  Before = define("time -> bool", function(_, t, other) return between(other, t) < 0 end),
  Equal = define("time -> bool", function(_, t, other) return between(other, t) == 0 end),
  Sub = define("time -> any", function(_, t, other) return duration(between(other, t)) end),
  AddDate = define("int, int, int -> any", function(_, t, years, months, days)
    local f = fields(t)
    local month = f.month - 1 + months
    local day = civil.days(f.year + years + month // 12, month % 12 + 1, 1) + f.day - 1 + days
    local sec = day * 86400 + f.hour * 3600 + f.min * 60 + f.sec
    return M.new(sec - (t.zone.at(sec - f.offset)), t.nsec, t.zone)
  end),
}

return M
