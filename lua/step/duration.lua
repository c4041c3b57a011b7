--- Durations as definitions write them: a number of nanoseconds (µTask's JSON form), or a text such as "1.5s" or "2m30s".

local M = {}

-- Of the two letters µ Unicode has both are taken.
local UNITS = { ns = 1e-9, us = 1e-6, ["µs"] = 1e-6, ["μs"] = 1e-6, ms = 1e-3, s = 1, m = 60, h = 3600 }

--- The seconds of a duration.
---@param value any
---@return number? seconds
---@return string? message   what is wrong
function M.seconds(value)
  if type(value) == "number" then
    if value ~= value or value == math.huge or value == -math.huge then return nil, "not a number" end
    return value / 1e9
  end
  if type(value) ~= "string" then return nil, 'a number of nanoseconds or a text like "1.5s" is expected' end
  if value == "0" then return 0 end
  local sign, rest = value:match "^([+-]?)(.+)$"
  if not sign then return nil, 'a text like "1.5s" is expected' end
  local total = 0
  while rest ~= "" do
    local number, unit, more = rest:match "^(%d*%.?%d*)([^%d.]+)(.*)$"
    if not number or not tonumber(number) or not UNITS[unit] then
      return nil, 'a text like "1.5s" is expected; units: ns, us, ms, s, m, h'
    end
    total = total + tonumber(number) * UNITS[unit]
    rest = more
  end
  return sign == "-" and -total or total
end

--- The seconds of a span of time as `timeout` and the like take it: a number of seconds, or a text such as "1m30s".
---@param value any
---@return number? seconds
---@return string? message   what is wrong
function M.span(value)
  if type(value) ~= "number" then
    local seconds, message = M.seconds(value)
    return seconds, message and (message:gsub("nanoseconds", "seconds"))
  end
  if value ~= value or value == math.huge or value == -math.huge then return nil, "not a number" end
  return value
end

return M
