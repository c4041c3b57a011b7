--- Durations as definitions write them: a number, or a text such as "1.5s" or "2m30s".

local M = {}

-- Of the two letters µ Unicode has both are taken.
local UNITS = { ns = 1e-9, us = 1e-6, ["µs"] = 1e-6, ["μs"] = 1e-6, ms = 1e-3, s = 1, m = 60, h = 3600 }

local function is_finite(value) return value == value and value < math.huge and value > -math.huge end

--- The seconds of a text; nil: it is no duration.
local function parse(text)
  if text == "0" then return 0 end
  local sign, rest = text:match "^([+-]?)(.+)$"
  if not sign then return nil end
  local total = 0
  while rest ~= "" do
    local number, unit, more = rest:match "^(%d*%.?%d*)([^%d.]+)(.*)$"
    if not number or not tonumber(number) or not UNITS[unit] then return nil end
    total = total + tonumber(number) * UNITS[unit]
    rest = more
  end
  return sign == "-" and -total or total
end

--- The seconds of a text, or of a number of which `per_second` make one.
local function read(value, unit, per_second)
  if type(value) == "number" then
    if not is_finite(value) then return nil, "not a number" end
    return value / per_second
  end
  if type(value) ~= "string" then return nil, ('a number of %s or a text like "1.5s" is expected'):format(unit) end
  local seconds = parse(value)
  if not seconds then return nil, 'a text like "1.5s" is expected (units: ns, us, ms, s, m, h)' end
  return seconds
end

--- The seconds of a duration; a number counts nanoseconds, as in µTask's JSON.
---@param value any
---@return number? seconds
---@return string? message   what is wrong
function M.seconds(value) return read(value, "nanoseconds", 1e9) end

--- The seconds of a span of time as `timeout` and the like take it; a number counts seconds.
---@param value any
---@param zero? boolean      it may be 0
---@return number? seconds
---@return string? message   what is wrong
function M.span(value, zero)
  local seconds, message = read(value, "seconds", 1)
  if not seconds then return nil, message end
  if seconds > 0 or zero and seconds == 0 then return seconds end
  return nil, zero and "0 seconds or more are expected" or "more than 0 seconds are expected"
end

return M
