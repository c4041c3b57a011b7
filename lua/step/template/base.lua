--- Base64 and base32 as Go's encoding packages write and refuse them.

local M = {}

local byte, char = string.byte, string.char

local B64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local B32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

local function reverse(alphabet)
  local t = {}
  for i = 1, #alphabet do t[alphabet:byte(i)] = i - 1 end
  return t
end

local from64, from32 = reverse(B64), reverse(B32)

local function letters(a, b, c, d)
  return char(byte(B64, a + 1), byte(B64, b + 1), byte(B64, c + 1), byte(B64, d + 1))
end

---@param s string
---@param raw? boolean   without padding
---@return string
function M.encode64(s, raw)
  local out, n = {}, 0
  for i = 1, #s - #s % 3, 3 do
    local a, b, c = s:byte(i, i + 2)
    local bits = a << 16 | b << 8 | c
    n = n + 1
    out[n] = letters(bits >> 18, bits >> 12 & 63, bits >> 6 & 63, bits & 63)
  end
  local rest = #s % 3
  if rest > 0 then
    local a, b = s:byte(#s - rest + 1, #s)
    local bits = a << 16 | (b or 0) << 8
    local tail = string.char(B64:byte((bits >> 18) + 1), B64:byte((bits >> 12 & 63) + 1))
    if rest == 2 then tail = tail .. string.char(B64:byte((bits >> 6 & 63) + 1)) end
    if not raw then tail = tail .. ("="):rep(3 - rest) end
    out[n + 1] = tail
  end
  return table.concat(out)
end

local function corrupt(name, at) return nil, ("illegal %s data at input byte %d"):format(name, at) end

-- The codes of a text without line ends, up to its padding; where each stands, counted from 0.
local function codes_of(s, alphabet, name)
  local codes, places, n = {}, {}, 0
  for i = 1, #s do
    local b = s:byte(i)
    if b ~= 10 and b ~= 13 then
      if b == 61 then return codes, places, i end
      local code = alphabet[b]
      if not code then return corrupt(name, i - 1) end
      n = n + 1
      codes[n], places[n] = code, i - 1
    end
  end
  return codes, places, nil
end

---@param s string
---@param raw? boolean   without padding
---@return string? data
---@return string? problem
function M.decode64(s, raw)
  local codes, places, padding = codes_of(s, from64, "base64")
  if not codes then return nil, places end
  local n = #codes
  local rest = n % 4
  if padding then
    if raw or rest < 2 then return corrupt("base64", padding - 1) end
    local wanted, found, at = 4 - rest, 0, padding
    while at <= #s do
      local b = s:byte(at)
      if b == 61 and found < wanted then
        found = found + 1
      elseif b ~= 10 and b ~= 13 then
        return corrupt("base64", at - 1)
      end
      at = at + 1
    end
    if found < wanted then return corrupt("base64", #s) end
  elseif rest == 1 or (rest > 0 and not raw) then
    return corrupt("base64", places[n - rest + 1])
  end
  local out, count = {}, 0
  for i = 1, n, 4 do
    local a, b, c, d = codes[i], codes[i + 1], codes[i + 2], codes[i + 3]
    local bits = a << 18 | b << 12 | (c or 0) << 6 | (d or 0)
    count = count + 1
    out[count] = string.char(bits >> 16, bits >> 8 & 255, bits & 255):sub(1, d and 3 or c and 2 or 1)
  end
  return table.concat(out)
end

---@param s string
---@return string
function M.encode32(s)
  local out, n = {}, 0
  for i = 1, #s, 5 do
    local chunk = s:sub(i, i + 4)
    local bits = 0
    for k = 1, 5 do bits = bits << 8 | (chunk:byte(k) or 0) end
    local group = {}
    for k = 1, 8 do group[k] = B32:byte((bits >> (40 - 5 * k) & 31) + 1) end
    local used = math.ceil(#chunk * 8 / 5)
    n = n + 1
    out[n] = string.char(table.unpack(group, 1, used)) .. ("="):rep(8 - used)
  end
  return table.concat(out)
end

---@param s string
---@return string? data
---@return string? problem
function M.decode32(s)
  s = s:gsub("[\r\n]", "")
  local out, at = {}, 1
  while at <= #s do
    local bits, count, padded = 0, 0, false
    repeat
      local b = s:byte(at)
      if not b then return corrupt("base32", #s - count) end
      local rest = #s - at                       -- what comes after this byte
      at = at + 1
      if b == 61 and count >= 2 and rest < 8 then
        if rest + count < 7 then return corrupt("base32", #s) end
        for k = 0, 6 - count do
          if s:byte(at + k) ~= 61 then return corrupt("base32", at - 2 + k) end
        end
        if count == 3 or count == 6 then return corrupt("base32", at - 2) end
        padded = true
      else
        local code = from32[b]
        if not code then return corrupt("base32", at - 2) end
        bits, count = bits << 5 | code, count + 1
      end
    until padded or count == 8
    bits = bits << 5 * (8 - count)
    for k = 1, count * 5 // 8 do out[#out + 1] = string.char(bits >> 40 - 8 * k & 255) end
    if padded then break end
  end
  return table.concat(out)
end

return M
