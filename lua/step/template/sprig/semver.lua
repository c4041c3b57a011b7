--- Semantic versions and their constraints, as the Go library of sprig's author reads them.

local signature = require "step.template.signature"
local value = require "step.template.value"

local define = signature.define

local M = {}

-- Versions ---------------------------------------------------------------------------------------------------------------

local function text_of(v)
  local s = ("%d.%d.%d"):format(v.major, v.minor, v.patch)
  if v.pre ~= "" then s = s .. "-" .. v.pre end
  if v.metadata ~= "" then s = s .. "+" .. v.metadata end
  return s
end

local Version

local function part(s)
  local n = #s <= 19 and math.tointeger(tonumber(s))
  if not n then error("Error parsing version segment: value out of range", 0) end
  return n
end

local function dotted(s) return s ~= "" and not s:find("[^%w%-%.]") and not s:find("%.%.") and not s:find("^%.") and not s:find("%.$") end

-- A version, complete or not ("1.2" is 1.2.0); nil for what is none.
local function read(text)
  local rest, metadata = text:match("^([^+]*)%+(.*)$")
  rest = rest or text
  if metadata and not dotted(metadata) then return nil end
  local numbers, pre = rest:match("^([^%-]*)%-(.*)$")
  numbers = numbers or rest
  if pre and not dotted(pre) then return nil end
  local major, minor, patch = numbers:match("^v?(%d+)%.?(%d*)%.?(%d*)$")
  if not major or numbers:find("%.$") or numbers:find("%.%.") then return nil end
  if (minor == "") ~= (not numbers:find(".", 1, true)) then return nil end
  for segment in (pre or ""):gmatch("[^.]+") do
    if segment:find("^0%d+$") then error("Version segment starts with 0", 0) end
  end
  return setmetatable({
    major = part(major), minor = part(minor == "" and "0" or minor), patch = part(patch == "" and "0" or patch), pre = pre or "",
    metadata = metadata or "", original = text,
  }, Version)
end

local function parse(text) return read(text) or error("Invalid Semantic Version", 0) end

local function sign(a, b) return a < b and -1 or a > b and 1 or 0 end

local function compare_pre(a, b)
  if a == b then return 0 end
  if a == "" then return 1 elseif b == "" then return -1 end
  local next_a, next_b = a:gmatch("[^.]+"), b:gmatch("[^.]+")
  while true do
    local x, y = next_a(), next_b()
    if not x or not y then return x and 1 or y and -1 or 0 end
    if x ~= y then
      local nx, ny = x:find("^%d+$") and tonumber(x), y:find("^%d+$") and tonumber(y)
      if nx and ny then
        if nx ~= ny then return sign(nx, ny) end
      elseif nx or ny then
        return nx and -1 or 1 -- numbers come before words
      else
        return sign(x, y)
      end
    end
  end
end

local function compare(a, b)
  local order = sign(a.major, b.major)
  if order == 0 then order = sign(a.minor, b.minor) end
  if order == 0 then order = sign(a.patch, b.patch) end
  if order == 0 then order = compare_pre(a.pre, b.pre) end
  return order
end

local function changed(v, fields)
  local new = setmetatable({ major = v.major, minor = v.minor, patch = v.patch, pre = v.pre, metadata = v.metadata }, Version)
  for k, x in pairs(fields) do new[k] = x end
  new.original = text_of(new)
  return new
end

local methods = {
  Major = define("-> uint64", function(_, v) return v.major end),
  Minor = define("-> uint64", function(_, v) return v.minor end),
  Patch = define("-> uint64", function(_, v) return v.patch end),
  Prerelease = define("-> string", function(_, v) return v.pre end),
  Metadata = define("-> string", function(_, v) return v.metadata end),
  Original = define("-> string", function(_, v) return v.original end),
  String = define("-> string", function(_, v) return text_of(v) end),
  Compare = define("version -> int", function(_, v, other) return compare(v, other) end),
  Equal = define("version -> bool", function(_, v, other) return compare(v, other) == 0 end),
  LessThan = define("version -> bool", function(_, v, other) return compare(v, other) < 0 end),
  LessThanEqual = define("version -> bool", function(_, v, other) return compare(v, other) <= 0 end),
  GreaterThan = define("version -> bool", function(_, v, other) return compare(v, other) > 0 end),
  GreaterThanEqual = define("version -> bool", function(_, v, other) return compare(v, other) >= 0 end),
  IncMajor = define("-> any", function(_, v)
    return changed(v, { major = v.major + 1, minor = 0, patch = 0, pre = "", metadata = "" })
  end),
  IncMinor = define("-> any", function(_, v) return changed(v, { minor = v.minor + 1, patch = 0, pre = "", metadata = "" }) end),
  IncPatch = define("-> any", function(_, v)
    return changed(v, { patch = v.pre == "" and v.patch + 1 or v.patch, pre = "", metadata = "" })
  end),
  SetPrerelease = define("string -> any", function(_, v, pre)
    if pre ~= "" and not dotted(pre) then error("Invalid Prerelease string", 0) end
    return changed(v, { pre = pre })
  end),
  SetMetadata = define("string -> any", function(_, v, metadata)
    if metadata ~= "" and not dotted(metadata) then error("Invalid Metadata string", 0) end
    return changed(v, { metadata = metadata })
  end),
}

Version = value.type("*semver.Version", "ptr", {
  str = text_of, methods = methods, equal = rawequal,
  json = function(v) return '"' .. text_of(v) .. '"' end,
})

M.semver = define("string -> any", function(_, text) return parse(text) end)

-- Constraints ------------------------------------------------------------------------------------------------------------

local operators = { ">=", "=>", "<=", "=<", "!=", "~>", "=", ">", "<", "~", "^" }

local function is_any(s) return s == "" or s == "x" or s == "X" or s == "*" end

-- One comparison at a position: itself and the position behind it.
local function comparison(text, at)
  at = text:match("^%s*()", at)
  local op = ""
  for _, candidate in ipairs(operators) do
    if text:sub(at, at + #candidate - 1) == candidate then
      op = candidate
      break
    end
  end
  at = text:match("^%s*()", at + #op)
  local original_start = at
  local major, after = text:match("^v?([%dxX*]+)()", at)
  if not major then return nil end
  local minor, after_minor = text:match("^%.([%dxX*]+)()", after)
  local patch, after_patch
  if minor then
    after = after_minor
    patch, after_patch = text:match("^%.([%dxX*]+)()", after)
    if patch then after = after_patch end
  end
  local pre, after_pre = text:match("^%-([%w%-]+[%w%-%.]*)()", after)
  if pre then after = after_pre end
  local metadata, after_metadata = text:match("^%+([%w%-]+[%w%-%.]*)()", after)
  if metadata then after = after_metadata end
  local c = { op = op, original = text:sub(original_start, after - 1) }
  local version
  pre = pre and "-" .. pre or ""
  if is_any(major) then
    version, c.dirty = "0.0.0" .. pre, true
  elseif is_any(minor or "") then
    version, c.dirty, c.minor_dirty = major .. ".0.0" .. pre, true, true
  elseif is_any(patch or "") then
    version, c.dirty, c.patch_dirty = major .. "." .. minor .. ".0" .. pre, true, true
  else
    version = major .. "." .. minor .. "." .. patch .. pre
  end
  c.version = read(version)
  if not c.version then error("constraint Parser Error", 0) end
  return c, after
end

local function constraints(text)
  -- "1.2 - 2.3" is ">=1.2 <=2.3"
  text = text:gsub("(v?[%dxX*][%w%.%-+*]*)%s+%-%s+(v?[%dxX*][%w%.%-+*]*)", ">=%1 <=%2")
  local alternatives = {}
  for segment in (text .. "||"):gmatch("(.-)||") do
    local all, at = {}, 1
    repeat
      local c, after = comparison(segment, at)
      if not c then error("improper constraint: " .. segment, 0) end
      all[#all + 1] = c
      at = segment:match("^%s*()", after)
      local separator = segment:match("^,%s*()", at)
      if at <= #segment and not separator and at == after then error("improper constraint: " .. segment, 0) end
      if separator and separator > #segment then error("improper constraint: " .. segment, 0) end
      at = separator or at
    until at > #segment
    alternatives[#alternatives + 1] = all
  end
  return alternatives
end

local function tilde(v, c)
  local w = c.version
  if compare(v, w) < 0 then return false end
  if w.major == 0 and w.minor == 0 and w.patch == 0 and not c.minor_dirty and not c.patch_dirty then return true end
  return v.major == w.major and (v.minor == w.minor or c.minor_dirty == true)
end

local function not_equal(v, c)
  local w = c.version
  if c.dirty then
    if v.major ~= w.major then return true end
    if c.minor_dirty then return false end
    if v.minor ~= w.minor then return true end
    if c.patch_dirty then return (v.pre ~= "" or w.pre ~= "") and compare_pre(v.pre, w.pre) ~= 0 end
  end
  return compare(v, w) ~= 0
end

local function greater(v, c)
  local w = c.version
  if c.dirty then
    if v.major ~= w.major then return v.major > w.major end
    if c.minor_dirty then return false end
    if c.patch_dirty then return v.minor > w.minor end
  end
  return compare(v, w) > 0
end

local function at_most(v, c)
  local w = c.version
  if not c.dirty then return compare(v, w) <= 0 end
  if v.major > w.major then return false end
  return not (v.major == w.major and v.minor > w.minor and not c.minor_dirty)
end

local function caret(v, c)
  local w = c.version
  if compare(v, w) < 0 then return false end
  if w.major > 0 or c.minor_dirty then return v.major == w.major end
  if v.major > 0 then return false end
  if w.minor > 0 or c.patch_dirty then return v.minor == w.minor end
  if v.minor > 0 then return false end
  return v.patch == w.patch
end

local function equal(v, c)
  if c.dirty then return tilde(v, c) end
  return compare(v, c.version) == 0
end

local function at_least(v, c) return compare(v, c.version) >= 0 end

local checks = {
  [""] = equal, ["="] = equal, ["!="] = not_equal, [">"] = greater, ["<"] = function(v, c) return compare(v, c.version) < 0 end,
  [">="] = at_least, ["=>"] = at_least, ["<="] = at_most, ["=<"] = at_most, ["~"] = tilde, ["~>"] = tilde, ["^"] = caret,
}

-- A pre-release only meets constraints that name one.
local function holds(v, c)
  if v.pre ~= "" and c.version.pre == "" and (c.op ~= "!=" or c.dirty) then return false end
  return checks[c.op](v, c)
end

M.semverCompare = define("string, string -> bool", function(_, constraint, version)
  local alternatives = constraints(constraint)
  local v = parse(version)
  for _, all in ipairs(alternatives) do
    local met = true
    for _, c in ipairs(all) do
      if not holds(v, c) then
        met = false
        break
      end
    end
    if met then return true end
  end
  return false
end)

return M
