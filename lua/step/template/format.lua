--- Go's fmt: Sprint, Sprintln and Sprintf with its verbs, flags and the texts it prints for mistakes.

local quote = require "step.template.quote"
local state = require "step.template.state"
local unicode = require "step.template.unicode"
local value = require "step.template.value"

local M = {}

local typeof, null = value.typeof, value.null
local spend = state.spend
local concat = table.concat
local rep = string.rep

local MAX_WIDTH = 1000000 -- as in Go: a larger width or precision is none
local MAX_DEPTH = 200

-- Floats -----------------------------------------------------------------------------------------------------------------

-- strconv.FormatFloat without a sign for a finite, non-negative number; precision -1 is the shortest.
local function float_digits(x, verb, precision)
  local lower_verb = verb:lower()
  local out
  if lower_verb == "f" then
    if precision < 0 then
      local digits, point = value.shortest(x)
      if point <= 0 then
        out = x == 0 and "0" or "0." .. rep("0", -point) .. digits
      elseif #digits <= point then
        out = digits .. rep("0", point - #digits)
      else
        out = digits:sub(1, point) .. "." .. digits:sub(point + 1)
      end
    elseif precision <= 99 then
      out = ("%." .. precision .. "f"):format(x)
    else
      out = ("%.99f"):format(x) .. rep("0", precision - 99)
    end
  elseif lower_verb == "e" then
    if precision < 0 then
      local digits, point = value.shortest(x)
      local e = x == 0 and 0 or point - 1
      out = digits:sub(1, 1) .. (#digits > 1 and "." .. digits:sub(2) or "") .. ("e%s%02d"):format(e < 0 and "-" or "+", e < 0 and -e or e)
    elseif precision <= 99 then
      out = ("%." .. precision .. "e"):format(x)
    else
      local mantissa, e = ("%.99e"):format(x):match("^(.*)(e.*)$")
      out = mantissa .. rep("0", precision - 99) .. e
    end
  elseif lower_verb == "g" then
    local digits, point
    local threshold = precision
    if precision < 0 then
      digits, point = value.shortest(x)
      threshold = 6
    else
      if precision == 0 then precision, threshold = 1, 1 end
      local mantissa, e = ("%." .. math.min(precision, 90) - 1 .. "e"):format(x):match("^(.*)e(.*)$")
      digits = mantissa:gsub("%.", ""):gsub("0+$", "")
      if digits == "" then digits = "0" end
      point = math.tointeger(tonumber(e)) + 1
      if threshold > #digits and #digits >= point then threshold = #digits end
    end
    local e = point - 1
    if x == 0 then e, point = 0, 1 end
    if e < -4 or e >= threshold then
      out = digits:sub(1, 1) .. (#digits > 1 and "." .. digits:sub(2) or "") .. ("e%s%02d"):format(e < 0 and "-" or "+", e < 0 and -e or e)
    elseif point <= 0 then
      out = "0." .. rep("0", -point) .. digits
    elseif #digits <= point then
      out = digits .. rep("0", point - #digits)
    else
      out = digits:sub(1, point) .. "." .. digits:sub(point + 1)
    end
  elseif lower_verb == "x" then
    out = precision < 0 and ("%a"):format(x) or ("%." .. math.min(precision, 99) .. "a"):format(x)
    out = out:gsub("p([-+])(%d)$", "p%10%2")
  else -- "b"
    if x == 0 then return "0p-1074" end
    local m, e = x, 0
    while m < 4503599627370496.0 and e > -1074 do m, e = m * 2, e - 1 end
    while m >= 9007199254740992.0 do m, e = m / 2, e + 1 end
    out = ("%dp%+d"):format(math.tointeger(m), e)
  end
  if verb:find("%u") then out = out:upper() end
  return out
end

--- strconv.FormatFloat.
---@param x number
---@param verb string   "e", "f", "g", ...
---@param precision integer   -1: as many digits as are needed
---@return string
function M.float(x, verb, precision)
  if x ~= x then return "NaN" end
  if x == math.huge then return "+Inf" elseif x == -math.huge then return "-Inf" end
  local negative = x < 0 or (x == 0 and 1 / x < 0)
  return (negative and "-" or "") .. float_digits(negative and -x or x, verb, precision)
end

local float = M.float

-- The printer ------------------------------------------------------------------------------------------------------------

local Printer = {}
Printer.__index = Printer

function Printer:put(s)
  if s ~= "" then
    local n = self.n + 1
    self.n, self[n] = n, s
    self.size = self.size + #s
    if self.size > self.limit then error(("the output is larger than %d bytes"):format(self.limit), 0) end
    if n % 512 == 0 and self.st then spend(self.st, 512) end
  end
end

function Printer:clear()
  self.plus, self.minus, self.sharp, self.space, self.zero = false, false, false, false, false
  self.plus_v, self.sharp_v = false, false
  self.width, self.precision = nil, nil
end

function Printer:pad(s)
  local width = self.width
  if width then
    local gap = width - unicode.count(s)
    if gap > 0 then
      if self.size + gap > self.limit then self:put(rep(" ", self.limit + 1)) end
      if self.minus then
        s = s .. rep(" ", gap)
      else
        s = rep(self.zero and "0" or " ", gap) .. s
      end
    end
  end
  self:put(s)
end

function Printer:bad_verb(verb, x)
  self:put("%!" .. verb .. "(")
  if x == nil or x == null then
    self:put("<nil>")
  else
    self:put(typeof(x).name .. "=")
    local width, precision, plus, minus, sharp, space, zero =
      self.width, self.precision, self.plus, self.minus, self.sharp, self.space, self.zero
    self.erroring = true
    self:value(x, "v", 0)
    self.erroring = false
    self.width, self.precision, self.plus, self.minus, self.sharp, self.space, self.zero =
      width, precision, plus, minus, sharp, space, zero
  end
  self:put(")")
end

local function in_base(n, base, digits)
  if n == 0 then return "0" end
  if base == 10 then return M.unsigned(n) end
  if base == 16 then
    local s = ("%x"):format(n)
    return digits and s:upper() or s
  end
  if base == 8 then return ("%o"):format(n) end
  local bits, i = {}, 0
  while n ~= 0 do
    i = i + 1
    bits[i] = n & 1
    n = n >> 1
  end
  return concat(bits):reverse()
end

--- A 64-bit pattern read as an unsigned number.
function M.unsigned(n)
  if n >= 0 then return ("%d"):format(n) end
  local q = ((n >> 1) // 5)
  return ("%d%d"):format(q, n - q * 10)
end

-- n as signed (or not) integer; kind of digits by verb.
function Printer:integer(n, signed, base, verb, upper_digits)
  local negative = signed and n < 0
  local magnitude = negative and -n or n
  local digits = in_base(magnitude, base, upper_digits)
  local precision = 0
  if self.precision then
    precision = self.precision
    if precision == 0 and n == 0 then
      local zero = self.zero
      self.zero = false
      self:pad("")
      self.zero = zero
      return
    end
  elseif self.zero and not self.minus and self.width then
    precision = self.width
    if negative or self.plus or self.space then precision = precision - 1 end
  end
  if #digits < precision then digits = rep("0", precision - #digits) .. digits end
  if self.sharp then
    if base == 2 then
      digits = "0b" .. digits
    elseif base == 8 then
      if digits:sub(1, 1) ~= "0" then digits = "0" .. digits end
    elseif base == 16 then
      digits = (upper_digits and "0X" or "0x") .. digits
    end
  end
  if verb == "O" then digits = "0o" .. digits end
  if negative then
    digits = "-" .. digits
  elseif self.plus then
    digits = "+" .. digits
  elseif self.space then
    digits = " " .. digits
  end
  local zero = self.zero
  self.zero = false
  self:pad(digits)
  self.zero = zero
end

local bases = { d = 10, b = 2, o = 8, O = 8, x = 16, X = 16 }

function Printer:print_int(x, n, signed, verb)
  if verb == "v" then
    if self.sharp_v and not signed then
      local sharp = self.sharp
      self.sharp = true
      self:integer(n, signed, 16, "v")
      self.sharp = sharp
    else
      self:integer(n, signed, 10, verb)
    end
  elseif bases[verb] then
    self:integer(n, signed, bases[verb], verb, verb == "X")
  elseif verb == "c" then
    self:pad(unicode.char(n))
  elseif verb == "q" then
    self:pad(quote.quote_rune(n, self.plus))
  elseif verb == "U" then
    local s = ("U+%0" .. math.max(4, math.min(self.precision or 4, 90)) .. "X"):format(n)
    if self.sharp and n >= 0 and n <= 0x10FFFF and unicode.is_print(n) then s = s .. " '" .. unicode.char(n) .. "'" end
    local zero = self.zero
    self.zero = false
    self:pad(s)
    self.zero = zero
  else
    self:bad_verb(verb, x)
  end
end

local float_precision = { v = -1, b = -1, g = -1, G = -1, x = -1, X = -1, f = 6, F = 6, e = 6, E = 6 }

-- %#g and the like: a decimal point always, trailing zeros kept.
local function sharpened(num, verb, precision)
  local digits_wanted = 0
  local v = verb == "v" and "g" or verb
  if v == "g" or v == "G" then digits_wanted = precision < 0 and 6 or precision end
  local head, tail = num:match("^(.-)([eEpP][-+]%d+)$")
  if not head then head, tail = num, "" end
  local significant = head:gsub("[^%d]", ""):gsub("^0+", "")
  if head:find(".", 1, true) == nil then
    if #head == 2 and head:sub(2) == "0" then digits_wanted = digits_wanted - 1 end -- a lone zero counts
    head = head .. "."
  end
  local missing = digits_wanted - #significant
  if (v == "g" or v == "G") and missing > 0 then head = head .. rep("0", missing) end
  return head .. tail
end

function Printer:print_float(x, n, verb)
  local precision = float_precision[verb]
  if not precision then return self:bad_verb(verb, x) end
  if self.precision then precision = self.precision end
  if verb == "v" and self.sharp_v and not self.precision then precision = -1 end
  local num = float(n, verb == "v" and "g" or verb, precision)
  if num:sub(1, 1) ~= "-" and num:sub(1, 1) ~= "+" then num = "+" .. num end
  if self.space and num:sub(1, 1) == "+" and not self.plus then num = " " .. num:sub(2) end
  if num:find("Inf", 1, true) or num:find("NaN", 1, true) then
    local zero = self.zero
    self.zero = false
    if num:find("NaN", 1, true) and not self.space and not self.plus then num = num:sub(2) end
    self:pad(num)
    self.zero = zero
    return
  end
  if self.sharp and verb ~= "b" then num = sharpened(num, verb, precision) end
  if self.plus or num:sub(1, 1) ~= "+" then
    if self.zero and not self.minus and self.width and self.width > #num then
      self:put(num:sub(1, 1) .. rep("0", self.width - #num) .. num:sub(2))
    else
      self:pad(num)
    end
    return
  end
  self:pad(num:sub(2))
end

function Printer:print_complex(x, verb)
  if not float_precision[verb] then return self:bad_verb(verb, x) end
  local plus = self.plus
  self:put("(")
  self:print_float(x, x[1], verb)
  self.plus = true
  self:print_float(x, x[2], verb)
  self:put("i)")
  self.plus = plus
end

function Printer:truncated(s)
  return self.precision and unicode.head(s, self.precision) or s
end

function Printer:print_string(x, s, verb)
  if verb == "v" and not self.sharp_v or verb == "s" then
    self:pad(self:truncated(s))
  elseif verb == "q" or verb == "v" then
    s = self:truncated(s)
    if self.sharp and verb == "q" and quote.can_backquote(s) then
      self:pad("`" .. s .. "`")
    else
      self:pad(quote.quote(s, self.plus and verb == "q"))
    end
  elseif verb == "x" or verb == "X" then
    if self.precision and self.precision < #s then s = s:sub(1, self.precision) end
    local pattern = verb == "x" and "%02x" or "%02X"
    local prefix = self.sharp and "0" .. verb or ""
    local out = s:gsub(".", function(c)
      return (self.space and " " .. prefix or "") .. pattern:format(c:byte())
    end)
    if self.space then out = out:sub(2) elseif s ~= "" then out = prefix .. out end
    self:pad(out)
  else
    self:bad_verb(verb, x)
  end
end

local string_verbs = { v = true, s = true, x = true, X = true, q = true }

function Printer:print_map(x, t, verb, depth)
  local sharp = self.sharp_v
  self:put(sharp and t.name .. "{" or "map[")
  for i, key in ipairs(value.keys(x)) do
    if i > 1 then self:put(sharp and ", " or " ") end
    self:print_string(key, key, verb)
    self:put(":")
    self:element(value.get(x, key), verb, depth)
  end
  self:put(sharp and "}" or "]")
end

function Printer:element(x, verb, depth)
  if x == nil or x == null then
    self:put(self.sharp_v and "interface {}(nil)" or "<nil>")
  else
    self:value(x, verb, depth + 1)
  end
end

function Printer:print_list(x, t, verb, depth)
  local sharp = self.sharp_v
  if sharp and t.is_nil then return self:put(t.name .. "(nil)") end
  self:put(sharp and t.name .. "{" or "[")
  for i = 1, #x do
    if i > 1 then self:put(sharp and ", " or " ") end
    self:element(x[i], verb, depth)
  end
  self:put(sharp and "}" or "]")
end

--- Prints a value that is not nil.
function Printer:value(x, verb, depth)
  if depth > MAX_DEPTH then error("values are nested too deeply to print", 0) end
  local t = typeof(x)
  if t.str and not self.erroring and string_verbs[verb] and not self.sharp_v then
    return self:print_string(x, t.str(x), verb)
  end
  if t == value.types.number then
    local text = value.text(x)
    if self.sharp_v and verb == "v" then return self:pad(quote.quote(text)) end
    return self:print_string(x, text, verb)
  end
  local class = t.class
  if class == "string" then return self:print_string(x, x, verb) end
  if class == "bool" then
    if verb == "t" or verb == "v" then return self:pad(tostring(x)) end
    return self:bad_verb(verb, x)
  end
  if class == "int" then return self:print_int(x, x[1], true, verb) end
  if class == "uint" then return self:print_int(x, x[1], false, verb) end
  if class == "float" then return self:print_float(x, x[1], verb) end
  if class == "complex" then return self:print_complex(x, verb) end
  if verb == "p" then return self:pad("0xc000010000") end
  if t.kind == "slice" then return self:print_list(x, t, verb, depth) end
  if t.kind == "map" then return self:print_map(x, t, verb, depth) end
  if t.str then return self:print_string(x, t.str(x), "s") end
  self:put("{" .. t.name .. "}")
end

function Printer:arg(x, verb)
  if x == null then x = nil end
  if x == nil then
    if verb == "T" or verb == "v" then return self:pad("<nil>") end
    return self:bad_verb(verb, x)
  end
  if verb == "T" then return self:print_string(x, typeof(x).name, "s") end
  if verb == "p" and not (typeof(x).kind == "slice" or typeof(x).kind == "map" or typeof(x).kind == "ptr") then
    return self:bad_verb(verb, x)
  end
  self:value(x, verb, 0)
end

local function printer(st)
  local p = setmetatable({ n = 0, size = 0, st = st, limit = st and st.limit or math.huge, erroring = false }, Printer)
  p:clear()
  return p
end

-- Public -----------------------------------------------------------------------------------------------------------------

--- A value as %v prints it.
---@param x any
---@param st? step.template.State   whose budget and limit it takes
---@return string
function M.value(x, st)
  if type(x) == "string" then return x end
  if x == nil or x == null then return "<nil>" end
  if type(x) == "number" then return value.text(x) end
  if type(x) == "boolean" then return tostring(x) end
  local p = printer(st)
  p:value(x, "v", 0)
  return concat(p)
end

--- fmt.Sprint: a space between two operands when neither is a text.
---@param args table   with n
---@param st? step.template.State
---@return string
function M.sprint(args, st)
  local p = printer(st)
  local previous = true
  for i = 1, args.n do
    local x = args[i]
    local t = typeof(x)
    local is_text = t ~= nil and t.kind == "string"
    if i > 1 and not is_text and not previous then p:put(" ") end
    p:arg(x, "v")
    previous = is_text
  end
  return concat(p)
end

--- fmt.Sprintln.
---@param args table   with n
---@param st? step.template.State
---@return string
function M.sprintln(args, st)
  local p = printer(st)
  for i = 1, args.n do
    if i > 1 then p:put(" ") end
    p:arg(args[i], "v")
  end
  p:put("\n")
  return concat(p)
end

-- Reads a number of a format: value or nil, position behind it.
local function number_at(format, i)
  local digits = format:match("^%d+", i)
  if not digits then return nil, i end
  local n = tonumber(digits)
  if n > MAX_WIDTH then return nil, #format + 1 end
  return math.tointeger(n), i + #digits
end

-- An explicit argument index "[n]": new argument number, position, found, well formed.
local function argument_index(format, i, arg, count)
  if format:byte(i) ~= 91 then return arg, i, false, true end
  local close = format:find("]", i + 1, true)
  if not close then return arg, i + 1, false, false end
  local n, after = number_at(format, i + 1)
  if not n or after ~= close or n < 1 or n > count then return arg, close + 1, true, false end
  return n, close + 1, true, true
end

local function int_argument(args, arg)
  local x = arg <= args.n and args[arg] or nil
  local t = typeof(x)
  if not t or (t.class ~= "int" and t.class ~= "uint") then return nil, arg <= args.n and arg + 1 or arg end
  local n = x[1]
  if n > MAX_WIDTH or n < -MAX_WIDTH then return nil, arg + 1 end
  return n, arg + 1
end

local flags = { ["#"] = "sharp", ["0"] = "zero", ["+"] = "plus", ["-"] = "minus", [" "] = "space" }

--- fmt.Sprintf.
---@param format string
---@param args table   with n
---@param st? step.template.State
---@return string
function M.sprintf(format, args, st)
  local p = printer(st)
  local i, size, arg, count = 1, #format, 1, args.n
  local reordered = false
  while i <= size do
    local at = format:find("%", i, true)
    p:put(format:sub(i, (at or 0) - 1))
    if not at then break end
    i = at + 1
    p:clear()
    local good = true
    while flags[format:sub(i, i)] and i <= size do
      p[flags[format:sub(i, i)]] = true
      i = i + 1
    end
    local found, ok
    arg, i, found, ok = argument_index(format, i, arg, count)
    local after_index = found
    reordered, good = reordered or found or not ok, good and ok
    if format:sub(i, i) == "*" then
      local width
      width, arg = int_argument(args, arg)
      i = i + 1
      if not width then p:put("%!(BADWIDTH)") end
      if width and width < 0 then
        width = -width
        p.minus, p.zero = true, false
      end
      p.width = width
      after_index = false
    else
      p.width, i = number_at(format, i)
      if after_index and p.width then good = false end
    end
    if format:sub(i, i) == "." then
      i = i + 1
      if after_index then good = false end
      arg, i, found, ok = argument_index(format, i, arg, count)
      after_index, reordered, good = found, reordered or found or not ok, good and ok
      if format:sub(i, i) == "*" then
        i = i + 1
        p.precision, arg = int_argument(args, arg)
        if p.precision and p.precision < 0 then p.precision = nil end
        if not p.precision then p:put("%!(BADPREC)") end
        after_index = false
      else
        p.precision, i = number_at(format, i)
        p.precision = p.precision or 0
      end
    end
    if not after_index then
      arg, i, found, ok = argument_index(format, i, arg, count)
      reordered, good = reordered or found or not ok, good and ok
    end
    if i > size then
      p:put("%!(NOVERB)")
      break
    end
    local code, after = unicode.decode(format, i)
    local verb = format:sub(i, after - 1)
    if code == 0xFFFD then verb = "\u{FFFD}" end
    i = after
    if verb == "%" then
      p:put("%")
    elseif not good then
      p:put("%!" .. verb .. "(BADINDEX)")
    elseif arg > count then
      p:put("%!" .. verb .. "(MISSING)")
    else
      if verb == "v" then
        p.sharp_v, p.sharp = p.sharp, false
        p.plus_v, p.plus = p.plus, false
      end
      p:arg(args[arg], verb)
      arg = arg + 1
    end
  end
  if not reordered and arg <= count then
    p:clear()
    p:put("%!(EXTRA ")
    for k = arg, count do
      if k > arg then p:put(", ") end
      local x = args[k]
      if x == nil or x == null then
        p:put("<nil>")
      else
        p:put(typeof(x).name .. "=")
        p:arg(x, "v")
      end
    end
    p:put(")")
  end
  return concat(p)
end

return M
