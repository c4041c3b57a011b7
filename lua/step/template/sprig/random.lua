--- sprig's random texts and numbers, from the system's source of randomness.

local base = require "step.template.base"
local define = require("step.template.signature").define
local sources = require "step.template.sources"
local state = require "step.template.state"
local unicode = require "step.template.unicode"

local M = {}

-- A number from 0 to n - 1, all equally likely.
local function below(n)
  local limit = 0x7FFFFFFFFFFFFFFF - 0x7FFFFFFFFFFFFFFF % n
  while true do
    local x = ("<I8"):unpack(sources.random(8)) & 0x7FFFFFFFFFFFFFFF
    if x < limit then return x % n end
  end
end

local function picker(alphabet)
  local size = #alphabet
  local usable = 256 - 256 % size
  return define("int -> string", function(st, count)
    if count < 0 then error("the number of characters must not be negative", 0) end
    state.reserve(st, count * 8.0)
    local out, n = {}, 0
    while n < count do
      for _, b in ipairs { sources.random(math.min(math.max((count - n) * 2, 16), 1024)):byte(1, -1) } do
        if b < usable and n < count then
          n = n + 1
          out[n] = alphabet:sub(b % size + 1, b % size + 1)
        end
      end
    end
    return table.concat(out)
  end)
end

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
local ascii = {}
for code = 32, 126 do ascii[#ascii + 1] = string.char(code) end

M.randAlpha = picker(letters)
M.randAlphaNum = picker(letters .. "0123456789")
M.randNumeric = picker("0123456789")
M.randAscii = picker(table.concat(ascii))

M.randBytes = define("int -> string", function(st, count)
  if count < 0 then error("the number of bytes must not be negative", 0) end
  state.reserve(st, count * 2.0)
  return base.encode64(count > 0 and sources.random(count) or "")
end)

M.randInt = define("int, int -> int", function(_, min, max)
  if max <= min then error("invalid argument to Intn", 0) end
  return min + below(max - min)
end)

M.shuffle = define("string -> string", function(st, s)
  local codes = unicode.codes(s)
  state.spend(st, #codes)
  for i = #codes, 2, -1 do
    local k = below(i) + 1
    codes[i], codes[k] = codes[k], codes[i]
  end
  for i, code in ipairs(codes) do codes[i] = utf8.char(code) end
  return table.concat(codes)
end)

M.uuidv4 = define("-> string", function()
  local b = { sources.random(16):byte(1, 16) }
  b[7], b[9] = b[7] & 0x0F | 0x40, b[9] & 0x3F | 0x80
  return ("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x"):format(table.unpack(b))
end)

return M
