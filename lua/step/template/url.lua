--- URLs as Go's net/url reads and writes them: escaping, parsing, and joining the parts again.

local M = {}

local function escape(s, keep)
  return (s:gsub(keep, function(c) return ("%%%02X"):format(c:byte()) end))
end

--- url.QueryEscape.
function M.query_escape(s)
  return (escape(s, "[^%w%-_%.~ ]"):gsub(" ", "+"))
end

--- url.PathEscape of a whole path: what String() shows for Path.
local function escape_path(s) return escape(s, "[^%w%-_%.~$&+,/:;=@!'()*]") end
local function escape_fragment(s) return escape(s, "[^%w%-_%.~$&+,/:;=?@!()*']") end
local function escape_user(s) return escape(s, "[^%w%-_%.~$&+,;=]") end
local function escape_host(s) return escape(s, "[^%w%-_%.~!$&'()*+,;=:%[%]<>\"\128-\255]") end

local function unescape(s, what)
  local bad = s:match("%%%x?%X") or s:match("%%%x?$")
  if bad and not s:match("^[^%%]*$") then
    for at in s:gmatch("()%%") do
      if not s:find("^%%%x%x", at) then error(("invalid URL escape %q"):format(s:sub(at, at + 2)), 0) end
    end
  end
  if what == "host" and s:find("%%%x%x") and not s:find("^%[") then
    for hex in s:gmatch("%%(%x%x)") do
      if tonumber(hex, 16) < 128 and hex ~= "25" then error(("invalid URL escape %q"):format("%" .. hex), 0) end
    end
  end
  return (s:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

---@class step.template.Url
---@field scheme string
---@field opaque string
---@field userinfo string    "user" or "user:password", escaped
---@field host string        with port
---@field hostname string
---@field path string
---@field query string       raw
---@field fragment string

local function parse_userinfo(text)
  local user, password = text:match("^([^:]*):?(.*)$")
  if text:find("[^%w%-%._:~!$&'()*+,;=%%@]") then error("net/url: invalid userinfo", 0) end
  user = escape_user(unescape(user))
  if text:find(":", 1, true) then return user .. ":" .. escape_user(unescape(password)) end
  return user
end

local function parse_host(host)
  if host:sub(1, 1) == "[" then
    local close = host:match("^.*()%]")
    if not close then error("missing ']' in host", 0) end
    local port = host:sub(close + 1)
    if port ~= "" and not port:find("^:%d*$") then error(("invalid port %q after host"):format(port), 0) end
    return unescape(host, "host"), host:sub(2, close - 1)
  end
  local colon = host:match("^.*():")
  if colon then
    local port = host:sub(colon)
    if not port:find("^:%d*$") then error(("invalid port %q after host"):format(port), 0) end
  end
  local bad = host:match("[%s\"<>\\^`{|}]")
  if bad and bad ~= '"' and bad ~= "<" and bad ~= ">" then error(("invalid character %q in host name"):format(bad), 0) end
  return unescape(host, "host"), unescape(colon and host:sub(1, colon - 1) or host, "host")
end

--- url.Parse; raises a string.
---@param text string
---@return step.template.Url
function M.parse(text)
  if text:find("[%z\1-\31\127]") then error("net/url: invalid control character in URL", 0) end
  local u = { scheme = "", opaque = "", userinfo = "", host = "", hostname = "", path = "", query = "", fragment = "" }
  local rest, fragment = text:match("^([^#]*)#?(.*)$")
  u.fragment = unescape(fragment)
  if rest == "*" then
    u.path = "*"
    return u
  end
  local scheme, after = rest:match("^(%a[%w+%-%.]*):(.*)$")
  if scheme then
    u.scheme, rest = scheme:lower(), after
  elseif rest:find("^:") then
    error("missing protocol scheme", 0)
  end
  local before_query, query = rest:match("^([^?]*)%?(.*)$")
  if before_query then rest, u.query = before_query, query end
  if rest:sub(1, 1) ~= "/" then
    if u.scheme ~= "" then
      u.opaque = rest
      return u
    end
    local segment = rest:match("^[^/]*")
    if segment:find(":", 1, true) then error("first path segment in URL cannot contain colon", 0) end
  end
  if (u.scheme ~= "" or rest:sub(1, 3) ~= "///") and rest:sub(1, 2) == "//" then
    local authority, path = rest:match("^//([^/]*)(.*)$")
    rest = path
    local userinfo, host = authority:match("^(.*)@([^@]*)$")
    if userinfo then u.userinfo = parse_userinfo(userinfo) end
    u.host, u.hostname = parse_host(host or authority)
  end
  u.raw_path = rest
  u.path = unescape(rest)
  return u
end

--- URL.String().
---@param u table   fields as of step.template.Url; missing ones are empty
---@return string
function M.build(u)
  local function part(name) return u[name] or "" end
  local out = {}
  local function add(s) out[#out + 1] = s end
  if part "scheme" ~= "" then add(u.scheme .. ":") end
  if part "opaque" ~= "" then
    add(u.opaque)
  else
    local user, host, path = part "userinfo", part "host", part "path"
    if part "scheme" ~= "" or host ~= "" or user ~= "" then
      if host ~= "" or path ~= "" or user ~= "" then add "//" end
      if user ~= "" then add(user .. "@") end
      if host ~= "" then add(escape_host(host)) end
    end
    local shown = escape_path(path)
    if path == "*" then shown = "*" end
    if shown ~= "" and shown:sub(1, 1) ~= "/" and host ~= "" then add "/" end
    if #out == 0 and shown:match("^[^/]*"):find(":", 1, true) then add "./" end
    add(shown)
  end
  if part "query" ~= "" then add("?" .. u.query) end
  if part "fragment" ~= "" then add("#" .. escape_fragment(u.fragment)) end
  return table.concat(out)
end

M.parse_userinfo = parse_userinfo

return M
