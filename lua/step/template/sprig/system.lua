--- sprig's paths, URLs and the environment.

local define = require("step.template.signature").define
local sources = require "step.template.sources"
local state = require "step.template.state"
local url = require "step.template.url"
local value = require "step.template.value"

local M = {}

-- Environment ------------------------------------------------------------------------------------------------------------

M.env = define("string -> string", function(_, name) return sources.getenv(name) or "" end)

-- The name behind a "$", and the position behind it: "${NAME}", "$NAME", or one of the shell's own, "$1" or "$?".
local function shell_name(s, at)
  local name, after = s:match("^{([^}]*)}()", at)
  if name then
    if name == "" or (#name > 1 and not name:find("^[%w_]+$")) then return "", after end
    return name, after
  end
  if s:find("^{", at) then return "", at + 1 end
  name, after = s:match("^([*#$@!?%-%d])()", at)
  if name then return name, after end
  return s:match("^([%w_]*)()", at)
end

M.expandenv = define("string -> string", function(st, s)
  local out, at, size = {}, 1, #s
  while true do
    local dollar = s:find("$", at, true)
    out[#out + 1] = s:sub(at, (dollar or 0) - 1)
    if not dollar then return table.concat(out) end
    local name, after = shell_name(s, dollar + 1)
    if name ~= "" then
      local x = sources.getenv(name) or ""
      size = size + #x
      state.reserve(st, size)
      out[#out + 1] = x
    elseif after == dollar + 1 then
      out[#out + 1] = "$"
    end
    at = after
  end
end)

-- Paths ------------------------------------------------------------------------------------------------------------------

local function clean(path)
  if path == "" then return "." end
  local rooted = path:sub(1, 1) == "/"
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then
      if #parts > 0 and parts[#parts] ~= ".." then
        parts[#parts] = nil
      elseif not rooted then
        parts[#parts + 1] = part
      end
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  local text = (rooted and "/" or "") .. table.concat(parts, "/")
  return text == "" and "." or text
end

local paths = {
  base = function(path)
    if path == "" then return "." end
    path = path:gsub("/+$", "")
    if path == "" then return "/" end
    return path:match("[^/]+$")
  end,
  dir = function(path) return clean(path:match("^.*/") or "") end,
  clean = clean,
  ext = function(path) return path:match("%.[^%./]*$") or "" end,
}

for name, fn in pairs(paths) do
  local f = define("string -> string", function(_, path) return fn(path) end)
  M[name] = f
  M["os" .. name:gsub("^%l", string.upper)] = f
end

M.isAbs = define("string -> bool", function(_, path) return path:sub(1, 1) == "/" end)
M.osIsAbs = M.isAbs

-- URLs -------------------------------------------------------------------------------------------------------------------

local names = { "scheme", "host", "hostname", "path", "query", "opaque", "fragment", "userinfo" }

M.urlParse = define("string -> any", function(_, text)
  local ok, u = pcall(url.parse, text)
  if not ok then error(("unable to parse url: parse %q: %s"):format(text, u), 0) end
  local d = {}
  for _, name in ipairs(names) do d[name] = u[name] end
  return value.dict(d)
end)

M.urlJoin = define("map -> string", function(_, d)
  local u = {}
  for _, name in ipairs(names) do
    local x = d and value.get(d, name)
    if x == nil then
      u[name] = ""
    elseif value.kind(x) == "string" then
      u[name] = value.text(x)
    else
      error(("unable to parse %s key, must be of type string, but %s found"):format(name, value.kind(x)), 0)
    end
  end
  if u.userinfo ~= "" then
    local ok, parsed = pcall(url.parse, ("proto://%s@host"):format(u.userinfo))
    if not ok then error("unable to parse userinfo in dict: " .. parsed, 0) end
    u.userinfo = parsed.userinfo
  end
  return url.build(u)
end)

return M
