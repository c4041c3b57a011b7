--- sprig's snakecase, kebabcase and camelcase.

local define = require("step.template.signature").define
local state = require "step.template.state"
local unicode = require "step.template.unicode"

local M = {}

local function is_connector(code) return code == 95 or code == 45 or unicode.is_space(code) end

local function is_punctuation(code)
  if code < 0x80 then
    return (code >= 33 and code <= 47 and code ~= 36 and code ~= 43) or code == 58 or code == 59 or code == 63 or code == 64
      or (code >= 91 and code <= 93) or code == 95 or code == 123 or code == 125
  end
  return code == 0xA1 or code == 0xA7 or code == 0xAB or code == 0xB6 or code == 0xB7 or code == 0xBB or code == 0xBF
    or (code >= 0x2010 and code <= 0x2027) or (code >= 0x2030 and code <= 0x205E) or (code >= 0x3001 and code <= 0x3003)
end

-- Letters of alphabets with words, not of scripts that write without spaces.
local function is_alphabetic(code) return code < 0x3007 and unicode.is_letter(code) end

local function class_of(code)
  if is_connector(code) then return "connector" end
  if is_punctuation(code) then return "punctuation" end
  if unicode.is_upper(code) then return "upper" end
  if is_alphabetic(code) then return "letters" end
  if unicode.is_digit(code) then return "number" end
  return "other"
end

-- Cuts a text into words: runs of one class. A capital takes the lower-case letters after it ("Name"); a run of capitals leaves its
-- last one to the word that follows ("HTTPServer" is "HTTP", "Server").
local function words_of(s)
  local codes = unicode.codes(s)
  local words, at, n = {}, 1, #codes
  while at <= n do
    local class = class_of(codes[at])
    local stop = at
    local function extend(wanted)
      while stop < n and wanted(codes[stop + 1]) do stop = stop + 1 end
    end
    local function small(code) return is_alphabetic(code) and not unicode.is_upper(code) end
    if class == "upper" then
      extend(unicode.is_upper)
      if stop == at then
        extend(small)
      elseif stop < n and small(codes[stop + 1]) then
        stop = stop - 1
      end
    elseif class == "letters" then
      extend(small)
    else
      extend(function(code) return class_of(code) == class end)
    end
    local text = utf8.char(table.unpack(codes, at, math.min(stop, at + 4000)))
    if stop > at + 4000 then -- too long for one call
      local parts = {}
      for i = at, stop do parts[#parts + 1] = utf8.char(codes[i]) end
      text = table.concat(parts)
    end
    words[#words + 1] = { class = class, text = text, size = stop - at + 1 }
    at = stop + 1
  end
  return words
end

-- Lower case with a connector between words. A number belongs to the word before it ("Bld4Floor" is bld4_floor) unless
-- lower-case letters follow ("HTTP2xx" is http_2xx).
local function connected(s, connector)
  local words = words_of(s)
  local out = {}
  local function put(word)
    if word.class == "connector" then
      out[#out + 1] = connector:rep(word.size)
    else
      out[#out + 1] = word.class == "upper" and unicode.lower(word.text) or word.text
    end
  end
  local function separates(word)
    return word and word.class ~= "connector" and word.class ~= "punctuation"
  end
  local i, n = 1, #words
  -- letters and numbers that follow a number without a capital stay with it
  local function tail()
    while words[i] and (words[i].class == "letters" or words[i].class == "number") do
      put(words[i])
      i = i + 1
    end
    if separates(words[i]) then out[#out + 1] = connector end
  end
  while i <= n do
    local word = words[i]
    put(word)
    i = i + 1
    local following = words[i]
    if not following then break end
    if word.class == "number" then
      tail()
    elseif word.class ~= "connector" and word.class ~= "punctuation" then
      if following.class ~= "number" then
        if separates(following) then out[#out + 1] = connector end
      elseif words[i + 1] then
        i = i + 1
        if words[i].class == "letters" then
          out[#out + 1] = connector
          put(following)
          tail()
        else
          put(following)
          if separates(words[i]) then out[#out + 1] = connector end
        end
      end
    end
  end
  return table.concat(out)
end

local function connecting(connector)
  return define("string -> string", function(st, s)
    state.spend(st, #s)
    return connected(s, connector)
  end)
end

M.snakecase = connecting "_"
M.kebabcase = connecting "-"

M.camelcase = define("string -> string", function(_, s)
  local codes = unicode.codes(s)
  local n, at, out = #codes, 1, {}
  while at <= n and is_connector(codes[at]) do
    out[#out + 1] = utf8.char(codes[at])
    at = at + 1
  end
  if at > n then return s end
  local previous = unicode.to_upper(codes[at])
  for i = at + 1, n do
    local code = codes[i]
    if is_connector(previous) then
      if is_connector(code) then out[#out + 1] = utf8.char(previous) else code = unicode.to_upper(code) end
    else
      out[#out + 1] = utf8.char(previous)
      if not is_connector(code) then code = unicode.to_lower(code) end
    end
    previous = code
  end
  out[#out + 1] = utf8.char(previous)
  return table.concat(out)
end)

return M
