--- YAML text to JSON data, as µTask reads it: YAML 1.1 resolved by go-yaml v2, then turned into JSON by ghodss/yaml.
--
-- It stands on the events of lyaml's C module (libyaml), not on lyaml.load: so {} and [] stay apart, numbers keep their
-- value (D22), the place of every key is known, and a duplicate key or an alias bomb is refused where it stands.
-- What comes out follows step.json: null is json.null, arrays carry json.array_mt, keys are strings.

local err = require "step.error"
local json = require "step.json"

local M = {
  max_depth = 1000,           -- of nested collections, aliases followed
  max_aliased = 400000,       -- values that aliases may add to a document
}

local NULL = json.null
local TAG_PREFIX = "tag:yaml.org,2002:"
local MAX_COLUMN = 0xFFFFF    -- a place is one integer: line << 20 | column

--- Raises a fault; `decode` catches it.
local function fail(line, column, message)
  local report = err.report()
  report:add { line = line, column = column, message = message }
  error(err.new("yaml", tostring(report.findings[1]), { line = line, column = column, errors = report.findings }), 0)
end

---@class step.yaml.Positions
local Positions = {}
Positions.__index = Positions

--- Where a key of an object, or an item of an array, stands.
---@param container table      a table that `decode` returned, at any depth
---@param key string|integer
---@return integer? line       1-based
---@return integer? column     1-based, in characters
function Positions:of(container, key)
  local places = self.places[container]
  local place = places and places[key]
  if place then return place >> 20, place & MAX_COLUMN end
end

local function place_of(mark)
  return (mark.line + 1) << 20 | math.min(mark.column + 1, MAX_COLUMN)
end

local WORDS = {}              -- text -> { tag, value }
for tag_and_value, texts in pairs {
  [{ "bool", true }] = "y Y yes Yes YES true True TRUE on On ON",
  [{ "bool", false }] = "n N no No NO false False FALSE off Off OFF",
  [{ "null", NULL }] = "~ null Null NULL",
  [{ "float", 0 / 0 }] = ".nan .NaN .NAN",
  [{ "float", math.huge }] = ".inf .Inf .INF +.inf +.Inf +.INF",
  [{ "float", -math.huge }] = "-.inf -.Inf -.INF",
} do
  for text in texts:gmatch "%S+" do WORDS[text] = tag_and_value end
end
WORDS[""] = WORDS["null"]

--- Digits of `width` bits each as an unsigned 64-bit number, nil when they are not such digits or too many.
local function unsigned(digits, width)
  local n = 0
  for i = 1, #digits do
    local digit = tonumber(digits:sub(i, i), 1 << width)
    if not digit or math.ult(-1 >> width, n) then return nil end
    n = n << width | digit
  end
  return #digits > 0 and n or nil
end

local WIDTHS = { b = 1, o = 3, x = 4 }

--- The integer (beyond 64 bits: the float) that a text without underscores spells, nil when it spells none.
local function integer(text)
  local sign, body = text:match "^([-+]?)(%w+)$"
  if not sign then return nil end
  local width, digits = WIDTHS[(body:match "^0(%a)" or ""):lower()], body:sub(3)
  if not width then
    if body:find "%D" then return nil end
    if #body == 1 or body:sub(1, 1) ~= "0" then return tonumber(text) end
    width, digits = WIDTHS.o, body:sub(2)
  end
  local n = unsigned(digits, width)
  if not n then return nil end
  if n >= 0 or (sign == "-" and n == math.mininteger) then return sign == "-" and -n or n end
  if sign == "" then return (n >> 1 | n & 1) * 2.0 end  -- 2^63 to 2^64 - 1
end

--- The float that a text without underscores spells in decimal, nil when it spells none.
local function decimal(text)
  local mantissa, exponent = text:match "^[-+]?([%d.]+)(.*)$"
  if mantissa and (mantissa:find "^%d+%.?%d*$" or mantissa:find "^%.%d+$")
    and (exponent == "" or exponent:find "^[eE][-+]?%d+$") then
    return tonumber(text)
  end
end

--- Kind and value of a plain text: go-yaml's resolution, timestamps excepted, which stay strings anyway.
local function resolve(text)
  local word = WORDS[text]
  if word then return word[1], word[2] end
  if text:find "^[-+%d]" then
    local plain = text:gsub("_", "")
    local number = integer(plain) or decimal(plain)
    if number and math.abs(number) ~= math.huge then
      local whole = not plain:find "[.eE]" or plain:find "^[-+]?0[xX]"
      return whole and "int" or "float", number
    end
  elseif text:find "^%." then
    local number = decimal(text)
    if number and number ~= math.huge then return "float", number end
  end
  return "str", text
end

local function from_base64(text)
  text = text:gsub("[\r\n]", "")
  local body, padding = text:match "^([%w+/]*)(=?=?)$"
  if not body or #text % 4 ~= 0 then return nil end
  local bits, size, bytes = 0, 0, {}
  for c in body:gmatch "." do
    local b = c:byte()
    local digit = c == "+" and 62 or c == "/" and 63 or b <= 57 and b + 4 or b <= 90 and b - 65 or b - 71
    bits, size = (bits << 6 | digit) & 0xFFFFFF, size + 6
    if size >= 8 then
      size = size - 8
      bytes[#bytes + 1] = string.char(bits >> size & 0xFF)
    end
  end
  return #padding < 3 and table.concat(bytes) or nil
end

local function is_timestamp(text)
  return text:find "^%d%d%d%d%-%d%d?%-%d%d?$" or text:find "^%d%d%d%d%-%d%d?%-%d%d?[Tt ]%d%d?:%d%d?:%d"
end

--- The number as ghodss spells it in a key, shortest form that keeps the value.
local function number_text(number)
  if math.type(number) == "integer" then return tostring(number) end
  if number ~= number then return ".nan" end
  if math.abs(number) == math.huge then return number > 0 and ".inf" or "-.inf" end
  for precision = 15, 17 do
    local text = ("%%.%dg"):format(precision):format(number)
    if tonumber(text) == number then return text end
  end
end

---@class step.yaml.Reader
---@field next fun(): table       lyaml's event iterator
---@field text string
---@field has_nul boolean         some string may hold an escaped NUL
---@field char_index integer      a place in the text, in characters from 0,
---@field byte_index integer      and the same place in bytes from 1
---@field event table             the event at hand
---@field anchors table<string, { value: any, open: boolean }>
---@field positions table<table, table<string|integer, integer>>
---@field depth integer
---@field aliased integer         values that aliases have added
local Reader = {}
Reader.__index = Reader

function Reader:fail(message, ...)
  local mark = self.event.start_mark
  fail(mark.line + 1, mark.column + 1, message:format(...))
end

--- The character at a 1-based line and column, for messages.
local function character(text, line, column)
  local start = 1
  for _ = 2, line do
    start = text:find("\n", start, true)
    if not start then return "" end
    start = start + 1
  end
  local row = text:match("^[^\n]*", start)
  local offset = utf8.offset(row, column)
  return offset and row:match(utf8.charpattern, offset) or ""
end

--- libyaml's own words, with the place in front and the usual mistakes named.
local function fail_syntax(text, message)
  message = tostring(message)
  local problem, rest = message:match "^(.-) at document: %d+(.*)$"
  problem, rest = problem or message, rest or ""
  local context, from = rest:match "\n?(while [^\n]-) at (line: %d+, column: %d+)"
  local line, column = rest:match "^, line: (%d+), column: (%d+)"
  if not line then line, column = rest:match "line: (%d+), column: (%d+)" end
  line, column = math.tointeger(line) or 1, math.tointeger(column) or 1
  local found = character(text, line, column)
  if found == "\t" then
    fail(line, column, "a tab cannot indent, use spaces")
  elseif problem:find "cannot start any token" and found ~= "" then
    fail(line, column, ("%s cannot start a value, quote the text"):format(err.show(found)))
  end
  if problem:find "^mapping values are not allowed" then
    problem = problem .. ', a text that contains ": " needs quotes'
  end
  if problem:find "^did not find expected key" then
    local before = column > 1 and character(text, line, column - 1)
    if before == "'" then
      problem, context = "the text in single quotes ends before this; a ' inside of it is written ''", nil
    elseif before == '"' then
      problem, context = 'the text in double quotes ends before this; a " inside of it is written \\"', nil
    elseif found == "}" or found == "]" then
      problem, context = ("%s closes nothing"):format(err.show(found)), nil
    else
      problem = "a key that does not fit here, is the indentation right?"
    end
  elseif problem:find "unknown escape" then
    problem = problem .. ": in double quotes a \\ is written \\\\, in single quotes \\"
  end
  if context and not context:find "next token" then
    problem = ("%s, %s that starts at %s"):format(problem, context, from:gsub(":", ""))
  end
  fail(line, column, problem)
end

function Reader:advance()
  local ok, event = pcall(self.next)
  if not ok then fail_syntax(self.text, event) end
  self.event = event
  return event
end

--- lyaml hands scalars over as C strings: a NUL would cut the rest off unseen.
function Reader:check_nul(event)
  if event.style ~= "DOUBLE_QUOTED" or not self.has_nul then return end
  local index = event.start_mark.index
  local first = utf8.offset(self.text, index - self.char_index + 1, self.byte_index)
  local last = utf8.offset(self.text, event.end_mark.index - index + 1, first)
  self.char_index, self.byte_index = index, first       -- the next search starts here
  local source = self.text:sub(first, last - 1):gsub("\\\\", "")
  if source:find "\\0" or source:find "\\x00" or source:find "\\u0000" or source:find "\\U00000000" then
    self:fail "a NUL character in a string is not supported"
  end
end

--- Kind and value of a scalar event.
function Reader:scalar(event)
  self:check_nul(event)
  local text, tag = event.value, event.tag
  if not tag then
    if event.plain_implicit then return resolve(text) end
    return "str", text
  end
  tag = tag:sub(1, #TAG_PREFIX) == TAG_PREFIX and tag:sub(#TAG_PREFIX + 1) or tag
  if tag == "binary" then
    local bytes = from_base64(text)
    if not bytes then self:fail "!!binary that is not base64" end
    if not utf8.len(bytes) then self:fail "!!binary whose bytes are no UTF-8 text; keep it as base64 without the tag" end
    return "str", bytes
  elseif tag == "bool" or tag == "int" or tag == "float" or tag == "null" or tag == "timestamp" then
    local kind, value = resolve(text)
    if tag == "timestamp" and kind == "str" and is_timestamp(text) then
      kind = "timestamp"
    elseif tag == "float" and kind == "int" then
      kind, value = "float", value + 0.0
    end
    if kind ~= tag then self:fail("%s is not a value of type !!%s", err.show(text), tag) end
    return kind, value
  end
  return "str", text
end

--- A deep copy for an alias: what stands in two places of a document is two values.
function Reader:copy(value, depth)
  self.aliased = self.aliased + 1
  if self.aliased > M.max_aliased then self:fail("excessive aliasing: aliases add more than %d values", M.max_aliased) end
  if type(value) ~= "table" then return value end
  if depth > M.max_depth then self:fail("nested deeper than %d levels", M.max_depth) end
  local copy = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do copy[key] = self:copy(item, depth + 1) end
  self.positions[copy] = self.positions[value]
  return copy
end

function Reader:alias(event)
  local anchor = self.anchors[event.anchor]
  if not anchor then self:fail("unknown anchor '%s'", event.anchor) end
  if anchor.open then self:fail("the value of anchor '%s' contains itself", event.anchor) end
  return self:copy(anchor.value, self.depth)
end

function Reader:enter()
  self.depth = self.depth + 1
  if self.depth > M.max_depth then self:fail("nested deeper than %d levels", M.max_depth) end
end

function Reader:sequence()
  self:enter()
  local list, places, n = json.array {}, {}, 0
  self.positions[list] = places
  while self:advance().type ~= "SEQUENCE_END" do
    n = n + 1
    places[n] = place_of(self.event.start_mark)
    list[n] = self:node()
  end
  self.depth = self.depth - 1
  return list
end

--- The key at hand as a string, as ghodss makes it one.
function Reader:key()
  local event = self.event
  local value
  if event.type == "SCALAR" then
    local kind
    kind, value = self:scalar(event)
    if event.anchor then self.anchors[event.anchor] = { value = value } end
    if kind == "str" or kind == "timestamp" then return value end
  elseif event.type == "ALIAS" then
    value = self:alias(event)
  elseif event.type == "MAPPING_START" then
    self:fail "a mapping key cannot be a mapping; a template that starts a value needs quotes: \"{{ ... }}\""
  else
    self:fail "a mapping key cannot be a list; a text that starts with [ needs quotes"
  end
  if type(value) == "string" then return value end
  if type(value) == "number" then return number_text(value) end
  if type(value) == "boolean" then return tostring(value) end
  self:fail("a mapping key cannot be %s", err.show(value))
end

local function is_merge(event)
  return event.type == "SCALAR" and event.value == "<<" and (event.plain_implicit or event.tag == TAG_PREFIX .. "merge")
end

--- Merges what follows `<<` into a mapping. As in go-yaml v2 the last in the text wins: what stands after the `<<`
-- overrides the merged keys, the merged keys override what stands before it. In a list the first wins.
function Reader:merge(map, places)
  self:advance()
  local at = self.event
  local value = self:node()
  local sources = json.is_array(value) and value or { value }
  for i = #sources, 1, -1 do
    local source = sources[i]
    if type(source) ~= "table" or json.is_array(source) then
      self.event = at
      self:fail("<< needs a mapping or a list of mappings, found %s", err.show(source))
    end
    local source_places = self.positions[source]
    for key, item in pairs(source) do map[key], places[key] = item, source_places[key] end
  end
end

function Reader:mapping()
  self:enter()
  local map, places, own = {}, {}, {}
  self.positions[map] = places
  while self:advance().type ~= "MAPPING_END" do
    local event = self.event
    if is_merge(event) then
      self:merge(map, places)
    else
      local key = self:key()
      if own[key] then
        local first = own[key]
        local written = event.value and event.value ~= key and (" (written %s)"):format(event.value) or ""
        self:fail("duplicate key %s%s, it stands already at line %d, column %d", err.show(key), written, first >> 20, first & MAX_COLUMN)
      end
      own[key] = place_of(event.start_mark)
      places[key] = own[key]
      self:advance()
      map[key] = self:node()
    end
  end
  self.depth = self.depth - 1
  return map
end

--- The value that starts with the event at hand.
function Reader:node()
  local event = self.event
  local kind = event.type
  if kind == "ALIAS" then return self:alias(event) end
  local anchor = event.anchor and { open = true }
  if anchor then self.anchors[event.anchor] = anchor end
  local value
  if kind == "SCALAR" then
    local _
    _, value = self:scalar(event)
    if value ~= value or value == math.huge or value == -math.huge then
      self:fail("%s is not a number of JSON", event.value)
    end
  elseif kind == "SEQUENCE_START" then
    value = self:sequence()
  elseif kind == "MAPPING_START" then
    value = self:mapping()
  else
    self:fail("unexpected %s", kind)
  end
  if anchor then anchor.value, anchor.open = value, false end
  return value
end

--- Only one document, or none (null).
function Reader:document()
  self:advance()                                        -- STREAM_START
  if self:advance().type == "STREAM_END" then return NULL end
  self:advance()                                        -- after DOCUMENT_START
  local value = self:node()
  self:advance()                                        -- DOCUMENT_END
  if self:advance().type ~= "STREAM_END" then self:fail "a second document; a file holds one" end
  return value
end

--- What libyaml would refuse without saying where.
local function check_characters(text)
  local _, bad = utf8.len(text)
  local what = "no UTF-8"
  if not bad then
    bad = text:find "[%z\1-\8\11\12\14-\31\127]" or text:find "\xC2[\x80-\x84\x86-\x9F]" or text:find "\xEF\xBF[\xBE\xBF]"
    what = "a control character"
  end
  if bad then
    local before = text:sub(1, bad - 1)
    local _, breaks = before:gsub("\n", "")
    fail(breaks + 1, utf8.len(before:match "[^\n]*$") + 1, what)
  end
end

local function read(text)
  check_characters(text)
  if text:sub(1, 3) == "\xEF\xBB\xBF" then text = text:sub(4) end
  local has_nul = (text:find "\\0" or text:find "\\x00" or text:find "\\u0000" or text:find "\\U00000000") ~= nil
  local places = {}
  local reader = setmetatable({
    next = require "yaml".parser(text), text = text, anchors = {}, positions = places, depth = 0, aliased = 0,
    has_nul = has_nul, char_index = 0, byte_index = 1,
  }, Reader)
  return reader:document(), setmetatable({ places = places }, Positions)
end

--- Reads one YAML document.
---@param text string
---@return any value            JSON data; nil when it is refused
---@return step.yaml.Positions|step.Error positions   places of the keys; the error (kind "yaml", with `line` and `column`) when refused
function M.decode(text)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'decode' (string expected, got %s)"):format(type(text)), 2)
  end
  if not pcall(require, "yaml") then
    return nil, err.new("yaml", "reading YAML needs lyaml (luarocks install lyaml; Debian: lua-yaml)")
  end
  local ok, value, positions = pcall(read, text)
  if ok then return value, positions end
  if not err.is(value) then error(value, 0) end
  return nil, value
end

return M
