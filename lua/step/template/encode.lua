--- JSON as Go's encoding/json writes it: keys sorted, "<", ">" and "&" escaped, floats in their shortest form.

local format = require "step.template.format"
local state = require "step.template.state"
local unicode = require "step.template.unicode"
local value = require "step.template.value"

local M = {}

local typeof, null = value.typeof, value.null
local MAX_DEPTH = 200

local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b", ["\f"] = "\\f" }

local function text(s, html)
  s = s:gsub(html and "[%z\1-\31\"\\<>&]" or "[%z\1-\31\"\\]", function(c) return short[c] or ("\\u%04x"):format(c:byte()) end)
  if s:find("[\128-\255]") then
    local out, n = {}, 0
    for at, code, after in unicode.runes(s) do
      n = n + 1
      if code == 0x2028 or code == 0x2029 or (code == 0xFFFD and after == at + 1) then
        out[n] = ("\\u%04x"):format(code)
      else
        out[n] = utf8.char(code)
      end
    end
    s = table.concat(out)
  end
  return '"' .. s .. '"'
end

local function number(x)
  if x ~= x or x == math.huge or x == -math.huge then
    error(("json: unsupported value: %s"):format(format.float(x, "g", -1)), 0)
  end
  local magnitude = math.abs(x)
  if magnitude ~= 0 and (magnitude < 1e-6 or magnitude >= 1e21) then
    local s = format.float(x, "e", -1)
    return (s:gsub("e%-0(%d)$", "e-%1"))
  end
  return format.float(x, "f", -1)
end

local function encode(out, x, options, depth, margin)
  state.spend(options.st, 2)
  if depth > MAX_DEPTH then error("values are nested too deeply", 0) end
  local t = typeof(x)
  local s
  if not t then
    s = "null"
  elseif t == value.types.number then
    s = value.text(x)
  elseif t.json then
    s = t.json(x)
  elseif t.kind == "string" then
    s = text(x, options.html)
  elseif t.class == "bool" then
    s = tostring(x)
  elseif t.class == "int" or t.class == "uint" then
    s = ("%d"):format(x[1])
  elseif t.class == "float" then
    s = number(x[1])
  elseif t.kind == "slice" then
    local n = #x
    if n == 0 then
      s = t.is_nil and "null" or "[]"
    else
      local inner = margin and margin .. options.indent
      out[#out + 1] = inner and "[\n" .. inner or "["
      for i = 1, n do
        if i > 1 then out[#out + 1] = inner and ",\n" .. inner or "," end
        encode(out, x[i], options, depth + 1, inner)
      end
      s = margin and "\n" .. margin .. "]" or "]"
    end
  elseif t.kind == "map" then
    local keys = value.keys(x)
    if #keys == 0 then
      s = "{}"
    else
      local inner = margin and margin .. options.indent
      out[#out + 1] = inner and "{\n" .. inner or "{"
      for i, k in ipairs(keys) do
        if i > 1 then out[#out + 1] = inner and ",\n" .. inner or "," end
        out[#out + 1] = text(k, options.html) .. (inner and ": " or ":")
        local entry = value.get(x, k)
        encode(out, entry == null and nil or entry, options, depth + 1, inner)
      end
      s = margin and "\n" .. margin .. "}" or "}"
    end
  else
    error(("json: unsupported type: %s"):format(t.name), 0)
  end
  out[#out + 1] = s
  options.size = options.size + #s
  if options.size > options.st.limit then state.reserve(options.st, options.size) end
end

--- json.Marshal, or MarshalIndent with two spaces.
---@param st step.template.State
---@param x any
---@param html boolean     escape "<", ">" and "&"
---@param pretty? boolean
---@return string
function M.json(st, x, html, pretty)
  local out = {}
  encode(out, x, { st = st, html = html, indent = "  ", size = 0 }, 0, pretty and "" or nil)
  return table.concat(out)
end

return M
