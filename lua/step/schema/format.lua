--- The formats of drafts 4, 6 and 7, as predicates of strings. Each says what the RFC that the draft names says, except
-- for internationalised host names, whose tables of characters are not here: any letter beyond ASCII is taken.

local pattern = require "step.schema.pattern"
local uri = require "step.schema.uri"

local M = {}

local DAYS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(text)
  local year, month, day = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)$"
  if not year then return false end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if not DAYS[month] or day < 1 or day > DAYS[month] then return false end
  return month ~= 2 or day < 29 or year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

local function is_time(text)
  local hour, minute, second, zone = text:match "^(%d%d):(%d%d):(%d%d)(.*)$"
  if not hour then return false end
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  zone = zone:match "^%.%d+(.+)$" or zone
  local offset = 0
  if not zone:find "^[zZ]$" then
    local sign, h, m = zone:match "^([+-])(%d%d):(%d%d)$"
    if not sign then return false end
    h, m = tonumber(h), tonumber(m)
    if h > 23 or m > 59 then return false end
    offset = (h * 60 + m) * (sign == "+" and 1 or -1)
  end
  if hour > 23 or minute > 59 or second > 60 then return false end
  return second < 60 or (hour * 60 + minute - offset) % 1440 == 1439  -- a leap second ends a day in UTC
end

local function is_date_time(text)
  local date, time = text:match "^([^tT]*)[tT](.*)$"
  return date ~= nil and is_date(date) and is_time(time)
end

local function is_hostname(text, letters)
  if #text == 0 or #text > 253 or text:find "%.%." or text:find "^%." or text:find "%.$" then return false end
  for label in text:gmatch "[^.]+" do
    if #label > 63 and not label:find "[\128-\255]" then return false end
    if not label:find("^" .. letters .. "+$") or label:find "^%-" or label:find "%-$" then return false end
  end
  return true
end

local function is_idn_hostname(text)
  if not utf8.len(text) then return false end
  for _, dot in ipairs { "\u{3002}", "\u{FF0E}", "\u{FF61}" } do text = text:gsub(dot, ".") end
  return is_hostname(text, "[%w\128-\255-]")
end

local function is_ipv4(text)
  local count = 0
  if not text:find "^%d+%.%d+%.%d+%.%d+$" then return false end
  for part in text:gmatch "%d+" do
    if #part > 3 or tonumber(part) > 255 or part:find "^0%d" then return false end
    count = count + 1
  end
  return count == 4
end

local function is_ipv6(text)
  local groups, rest = 8, text
  local before, last = text:match "^(.*:)([^:]*)$"
  if last and last:find(".", 1, true) then  -- the last two groups as an IPv4 address
    if not is_ipv4(last) then return false end
    groups, rest = 6, before:find "::$" and before or before:sub(1, -2)
  end
  local left, right = rest:match "^(.-)::(.*)$"
  if not left then left, right = rest, "" end
  local function count(part)
    if part == "" then return 0 end
    local n = 0
    for group in (part .. ":"):gmatch "([^:]*):" do
      if not group:find "^%x%x?%x?%x?$" then return nil end
      n = n + 1
    end
    return n
  end
  local a, b = count(left), count(right)
  if not a or not b then return false end
  if rest:find("::", 1, true) then return a + b < groups end
  return a == groups
end

--- A URI or a reference; `wide` takes characters beyond ASCII (an IRI).
local function is_reference(text, wide, needs_scheme)
  local unreserved = wide and "%w%-._~\128-\255" or "%w%-._~"
  local plain = "[" .. unreserved .. "!$&'()*+,;=:@/?%%]*"
  if text:gsub("%%%x%x", ""):find("%", 1, true) then return false end
  local rest = text
  local scheme, after = text:match "^(%a[%w+.-]*):(.*)$"
  if scheme then rest = after elseif needs_scheme then return false end
  local before, fragment = rest:match "^([^#]*)#(.*)$"
  if fragment and not fragment:find("^" .. plain .. "$") then return false end
  rest = before or rest
  local authority, path = rest:match "^//([^/?]*)(.*)$"
  if authority then
    local user, host = authority:match "^(.*)@(.*)$"
    if user and not user:find("^[" .. unreserved .. "!$&'()*+,;=:%%]*$") then return false end
    host = host or authority
    local literal, port = host:match "^%[(.*)%](.*)$"
    if literal then
      if not (is_ipv6(literal) or literal:find "^[vV]%x+%.[%w%-._~!$&'()*+,;=:]+$") then return false end
    else
      host, port = host:match "^([^:]*)(.*)$"
      if not host:find("^[" .. unreserved .. "!$&'()*+,;=%%]*$") then return false end
    end
    if port ~= "" and not port:find "^:%d*$" then return false end
    rest = path
  elseif not scheme and rest:match "^[^/?]*":find(":", 1, true) then
    return false              -- would read as a scheme
  end
  return rest:find("^" .. plain .. "$") ~= nil
end

local function is_uri_template(text)
  local outside = text:gsub("{([^{}]*)}", function(expression)
    for variable in (expression:gsub("^[+#./;?&=,!@|]", "") .. ","):gmatch "([^,]*)," do
      local name = variable:match "^(.-)%*$" or variable:match "^(.-):[1-9]%d?%d?%d?$" or variable
      name = name:gsub("%%%x%x", "_")
      if not name:find "^[%w_][%w_.]*$" or name:find "%.%." or name:find "%.$" then return "{" end
    end
    return ""
  end)
  if outside:gsub("%%%x%x", ""):find "[\0-\32\"'%%<>\\^`{|}\127]" then return false end
  return true
end

local function is_email(text, wide)
  local name, host = text:match "^(.+)@(.+)$"
  if not name then return false end
  local other = wide and "\128-\255" or ""
  if name:find '^"' then
    if not name:gsub("\\[ -~]", ""):find '^"[^"\\%c]*"$' or not wide and name:find "[\128-\255]" then return false end
  elseif not name:find("^[" .. other .. "%w!#$%%&'*+/=?^_`{|}~.-]+$") or name:find "%.%." or name:find "^%." or name:find "%.$" then
    return false
  end
  local literal = host:match "^%[(.*)%]$"
  if literal then return is_ipv4(literal) or is_ipv6(literal:match "^[iI][pP][vV]6:(.*)$" or "") end
  return is_hostname(host, "[%w-" .. other .. "]")
end

local function is_pointer(text)
  return uri.keys(text) ~= nil
end

---@type table<string, fun(text: string): boolean>
M.formats = {
  date = is_date,
  time = is_time,
  ["date-time"] = is_date_time,
  email = function(text) return is_email(text, false) end,
  ["idn-email"] = function(text) return is_email(text, true) end,
  hostname = function(text) return is_hostname(text, "[%w-]") end,
  ["idn-hostname"] = is_idn_hostname,
  ipv4 = is_ipv4,
  ipv6 = is_ipv6,
  uri = function(text) return is_reference(text, false, true) end,
  ["uri-reference"] = function(text) return is_reference(text, false, false) end,
  iri = function(text) return is_reference(text, true, true) end,
  ["iri-reference"] = function(text) return is_reference(text, true, false) end,
  ["uri-template"] = is_uri_template,
  ["json-pointer"] = is_pointer,
  ["relative-json-pointer"] = function(text)
    local count, rest = text:match "^(%d+)(.*)$"
    return count ~= nil and (count == "0" or not count:find "^0") and (rest == "#" or is_pointer(rest))
  end,
  regex = function(text) return pattern.compile(text) ~= nil end,
}

return M
