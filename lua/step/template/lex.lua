--- Cuts a template into tokens: text, delimiters, and what stands between them, by Go's rules (text/template/parse).
--
-- One LPeg pattern matches one token inside an action; the loop over the text is here, so nothing recurses and the time
-- is linear. A lexical mistake becomes a token "error" at its place: the parser reports it if it gets that far.

local lpeg = require "lpeg"

local P, R, S, C, Cc, Cp = lpeg.P, lpeg.R, lpeg.S, lpeg.C, lpeg.Cc, lpeg.Cp

local M = {}

---@class step.template.Tokens
---@field kind string[]
---@field value string[]
---@field pos integer[]     byte position of the token's first byte
---@field n integer

local is_space = { [32] = true, [9] = true, [13] = true, [10] = true }
local space = S " \t\r\n"
local continuation = R "\128\191"
local rune = R "\1\127" + R "\194\223" * continuation + R "\224\239" * continuation * continuation
  + R "\240\244" * continuation * continuation * continuation
local letter = R("az", "AZ", "__") + (rune - R "\0\127")
local alnum = letter + R "09"

local keyword_list = { "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with" }
local keywords = {}
for _, word in ipairs(keyword_list) do keywords[word] = true end
M.keywords = keywords

-- Numbers: digits of the base with underscores, an exponent, an "i"; what follows must not be alphanumeric.
local function digits_of(set) return (set + P "_") ^ 0 end
local dec, hex = digits_of(R "09"), digits_of(R("09", "af", "AF"))
local sign = S "+-" ^ -1
local exponent = S "eE" * sign * dec
local hex_exponent = S "pP" * sign * dec
local plain_number = P "0" * S "xX" * hex * (P "." * hex) ^ -1 * hex_exponent ^ -1
  + P "0" * S "oO" * digits_of(R "07")
  + P "0" * S "bB" * digits_of(R "01")
  + dec * (P "." * dec) ^ -1 * exponent ^ -1
local real = sign * plain_number * P "i" ^ -1 * -alnum
local complex = sign * plain_number * P "i" ^ -1 * S "+-" * plain_number * P "i" * -alnum

local numeric = #(S "+-" ^ -1 * (R "09" + P "." * R "09"))

local escape = P "\\" * (P(1) - P "\n")
local string_body = (escape + (P(1) - S '"\n\\')) ^ 0
local char_body = (escape + (P(1) - S "'\n\\")) ^ 0

local function token(kind, pattern) return Cc(kind) * C(pattern) * Cp() end

local one = token("space", space ^ 1)
  + token("declare", P ":=")
  + token("pipe", P "|")
  + token("assign", P "=")
  + token("string", P '"' * string_body * P '"')
  + token("raw", P "`" * (P(1) - P "`") ^ 0 * P "`")
  + token("char", P "'" * char_body * P "'")
  + token("variable", P "$" * alnum ^ 0)
  + token("field", P "." * -R "09" * alnum ^ 1)
  + token("dot", P "." * -R "09")
  + token("complex", numeric * complex)
  + token("number", numeric * real)
  + token("identifier", letter * alnum ^ 0)
  + token("(", P "(")
  + token(")", P ")")

local char = token("other", R "\33\126")
local looks_number = S "+-" + R "09" + P "." * R "09"
local terminator = space + S ".,|:()" + -P(1)

local function unrecognized(text, at)
  local c = text:match("^[%z\1-\127\194-\244][\128-\191]*", at) or text:sub(at, at)
  local ok, code = pcall(utf8.codepoint, c)
  if not ok then code = 0xFFFD end
  return ("U+%04X"):format(code) .. (code >= 32 and code ~= 0xFFFD and (" '%s'"):format(c) or "")
end

local function mistake(text, at)
  local c = text:sub(at, at)
  if c == '"' then return "unterminated quoted string" end
  if c == "`" then return "unterminated raw quoted string" end
  if c == "'" then return "unterminated character constant" end
  if looks_number:match(text, at) then
    local stop = (S "+-" ^ -1 * (alnum + P ".") ^ 0 * Cp()):match(text, at)
    return ("bad number syntax: %q"):format(text:sub(at, math.max(stop - 1, at)))
  end
  return "unrecognized character in action: " .. unrecognized(text, at)
end

--- Where the action that starts here ends: position after "}}" (or " -}}"), and whether it trims; nil when it goes on.
local function right_delimiter(text, at)
  local c = text:byte(at)
  if c == 125 then -- "}"
    if text:byte(at + 1) == 125 then return at + 2, false end
  elseif c == 32 or c == 9 or c == 10 or c == 13 then
    if text:sub(at + 1, at + 3) == "-}}" then return at + 4, true end
  end
  return nil
end

--- Cuts the whole text.
---@param text string
---@return step.template.Tokens
function M.lex(text)
  local kind, value, pos, n = {}, {}, {}, 0
  local function add(k, v, p)
    n = n + 1
    kind[n], value[n], pos[n] = k, v, p
  end

  local at, trim = 1, false -- trim: the delimiter before the text that follows asked to drop its leading space
  local size = #text
  while true do
    local open = text:find("{{", at, true)
    local stop = open and open - 1 or size
    local from = at
    if trim then from = text:find("[^ \t\r\n]", from) or size + 1 end
    local body = from <= stop and text:sub(from, stop) or ""
    local inside = open and open + 2
    if open and text:find("^%-[ \t\r\n]", inside) then
      local last = #body
      while last > 0 and is_space[body:byte(last)] do last = last - 1 end
      body = body:sub(1, last)
      inside = inside + 2
    end
    if body ~= "" then add("text", body, from) end
    if not open then break end

    if text:sub(inside, inside + 1) == "/*" then
      local _, close = text:find("*/", inside + 2, true)
      if not close then
        add("error", "unclosed comment", inside)
        break
      end
      local after, trims = right_delimiter(text, close + 1)
      if not after then
        add("error", "comment ends before closing delimiter", inside)
        break
      end
      at, trim = after, trims
    else
      add("{{", "{{", open)
      at = inside
      local depth, failed = 0, false
      while true do
        local after, trims = right_delimiter(text, at)
        if after then
          if depth > 0 then
            add("error", "unclosed left paren", at)
            failed = true
            break
          end
          add("}}", "}}", at)
          at, trim = after, trims
          break
        end
        if at > size then
          add("error", "unclosed action", size + 1)
          failed = true
          break
        end
        local k, v, next_at = one:match(text, at)
        if not k then
          if not looks_number:match(text, at) and not text:find("^[\"`']", at) then k, v, next_at = char:match(text, at) end
          if not k then
            add("error", mistake(text, at), at)
            failed = true
            break
          end
        end
        if k == "space" and text:find("^%-}}", next_at) then
          -- the last space belongs to the trim mark: " -}}"
          next_at = next_at - 1
          v = v:sub(1, -2)
        elseif k == "identifier" then
          if keywords[v] then k = v elseif v == "true" or v == "false" then k = "bool" end
        end
        if (k == "identifier" or k == "bool" or k == "field" or k == "variable" or keywords[v]) and not right_delimiter(text, next_at)
          and not terminator:match(text, next_at) then
          add("error", "bad character " .. unrecognized(text, next_at), next_at)
          failed = true
          break
        end
        if k == "(" then
          depth = depth + 1
        elseif k == ")" then
          depth = depth - 1 -- below 0: the parser finds it in the way
        end
        if k == "identifier" or k ~= "space" or v ~= "" then add(k, v, at) end
        at = next_at
      end
      if failed then break end
    end
  end
  add("eof", "", size + 1)
  return { kind = kind, value = value, pos = pos, n = n }
end

--- Line and column (both from 1) of a byte position.
---@return integer line
---@return integer column
function M.place(text, pos)
  local line, start = 1, 1
  while true do
    local newline = text:find("\n", start, true)
    if not newline or newline >= pos then break end
    line, start = line + 1, newline + 1
  end
  return line, pos - start + 1
end

return M
