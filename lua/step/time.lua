--- Points in time as texts: RFC 3339 in UTC with nanoseconds, and back.

local M = {}

--- Days since 1970-01-01 of a date in the proleptic Gregorian calendar, by counting whole eras of 400 years.
---@param year integer
---@param month integer
---@param day integer
---@return integer
local function days(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = year // 400
  local year_of_era = year - era * 400
  local day_of_year = (153 * (month + (month > 2 and -3 or 9)) + 2) // 5 + day - 1
  return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
end
M.days = days

local last_second, last_text -- times come close together

--- The text of a time.
---@param seconds number   since 1970-01-01 UTC
---@return string
function M.format(seconds)
  local whole = math.floor(seconds)
  local nanos = math.floor((seconds - whole) * 1e9 + 0.5)
  if nanos >= 1000000000 then whole, nanos = whole + 1, 0 end
  whole = math.tointeger(whole)
  if whole ~= last_second then last_second, last_text = whole, os.date("!%Y-%m-%dT%H:%M:%S", whole) end
  local text = last_text
  if nanos == 0 then return text .. "Z" end
  local fraction = ("%09d"):format(nanos)
  if nanos % 10 == 0 then fraction = fraction:gsub("0+$", "") end
  return text .. "." .. fraction .. "Z"
end

--- The time of a text; a number is taken as it is. nil when it is neither.
---@param text any
---@return number?
function M.parse(text)
  if type(text) == "number" then return text end
  if type(text) ~= "string" then return nil end
  local year, month, day, hour, minute, second, fraction,
    zone = text:match "^(%d%d%d%d)-(%d%d)-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)(%.?%d*)(.*)$"
  if not year or (fraction ~= "" and not fraction:find "^%.%d") then return nil end
  year, month, day = math.tointeger(year), math.tointeger(month), math.tointeger(day)
  hour, minute, second = math.tointeger(hour), math.tointeger(minute), math.tointeger(second)
  if month < 1 or month > 12 or day < 1 or day > 31 or hour > 23 or minute > 59 or second > 60 then return nil end
  local offset = 0
  if zone ~= "Z" and zone ~= "z" then
    local sign, zone_hour, zone_minute = zone:match "^([+-])(%d%d):(%d%d)$"
    if not sign then return nil end
    offset = (zone_hour * 3600 + zone_minute * 60) * (sign == "-" and -1 or 1)
  end
  local whole = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
  return whole + (fraction ~= "" and tonumber("0" .. fraction) or 0)
end

return M
