--- AES-256 in CBC mode, for sprig's encryptAES and decryptAES.

local M = {}

-- The S-box from its definition: the inverse in GF(2^8), then an affine map.
local sbox, inverse = {}, {}
do
  local p, q = 1, 1
  repeat
    p = p ~ (p << 1 & 0xFF) ~ ((p & 0x80) ~= 0 and 0x1B or 0) -- times 3
    q = q ~ (q << 1)
    q = q ~ (q << 2)
    q = (q ~ (q << 4)) & 0xFF
    if q & 0x80 ~= 0 then q = q ~ 0x09 end -- divided by 3
    local x = q ~ (q << 1 | q >> 7) ~ (q << 2 | q >> 6) ~ (q << 3 | q >> 5) ~ (q << 4 | q >> 4)
    sbox[p] = (x & 0xFF) ~ 0x63
  until p == 1
  sbox[0] = 0x63
  for i = 0, 255 do inverse[sbox[i]] = i end
end

local function double(x) return (x << 1 & 0xFF) ~ ((x & 0x80) ~= 0 and 0x1B or 0) end

local ROUNDS = 14

-- 15 round keys of 16 bytes from a key of 32.
local function expand(key)
  local w = { key:byte(1, 32) }
  local rcon = 1
  for i = 32, 16 * (ROUNDS + 1) - 1, 4 do
    local a, b, c, d = w[i - 3], w[i - 2], w[i - 1], w[i]
    if i % 32 == 0 then
      a, b, c, d = sbox[b] ~ rcon, sbox[c], sbox[d], sbox[a]
      rcon = double(rcon)
    elseif i % 32 == 16 then
      a, b, c, d = sbox[a], sbox[b], sbox[c], sbox[d]
    end
    w[i + 1], w[i + 2], w[i + 3], w[i + 4] = w[i - 31] ~ a, w[i - 30] ~ b, w[i - 29] ~ c, w[i - 28] ~ d
  end
  return w
end

local function add_key(s, w, round)
  for i = 1, 16 do s[i] = s[i] ~ w[round * 16 + i] end
end

local function encrypt_block(s, w)
  add_key(s, w, 0)
  for round = 1, ROUNDS do
    local t = {}
    for i = 0, 15 do t[i + 1] = sbox[s[(i + (i % 4) * 4) % 16 + 1]] end
    if round < ROUNDS then
      for c = 1, 16, 4 do
        local a, b, d, e = t[c], t[c + 1], t[c + 2], t[c + 3]
        local all = a ~ b ~ d ~ e
        t[c], t[c + 1] = a ~ all ~ double(a ~ b), b ~ all ~ double(b ~ d)
        t[c + 2], t[c + 3] = d ~ all ~ double(d ~ e), e ~ all ~ double(e ~ a)
      end
    end
    s = t
    add_key(s, w, round)
  end
  return s
end

local function decrypt_block(s, w)
  for round = ROUNDS, 1, -1 do
    add_key(s, w, round)
    if round < ROUNDS then
      for c = 1, 16, 4 do
        local a, b, d, e = s[c], s[c + 1], s[c + 2], s[c + 3]
        local u, v = double(double(a ~ d)), double(double(b ~ e))
        a, b, d, e = a ~ u, b ~ v, d ~ u, e ~ v
        local all = a ~ b ~ d ~ e
        s[c], s[c + 1] = a ~ all ~ double(a ~ b), b ~ all ~ double(b ~ d)
        s[c + 2], s[c + 3] = d ~ all ~ double(d ~ e), e ~ all ~ double(e ~ a)
      end
    end
    local t = {}
    for i = 0, 15 do t[(i + (i % 4) * 4) % 16 + 1] = inverse[s[i + 1]] end
    -- t is filled by the same permutation that encryption reads by
    s = t
  end
  add_key(s, w, 0)
  return s
end

--- Encrypts whole blocks.
---@param key string   32 bytes
---@param iv string    16 bytes
---@param text string  a multiple of 16 bytes
---@return string
function M.encrypt(key, iv, text)
  local w, out = expand(key), {}
  local previous = { iv:byte(1, 16) }
  for at = 1, #text, 16 do
    local s = { text:byte(at, at + 15) }
    for i = 1, 16 do s[i] = s[i] ~ previous[i] end
    previous = encrypt_block(s, w)
    out[#out + 1] = string.char(table.unpack(previous))
  end
  return table.concat(out)
end

--- Decrypts whole blocks.
---@param key string
---@param iv string
---@param text string
---@return string
function M.decrypt(key, iv, text)
  local w, out = expand(key), {}
  local previous = { iv:byte(1, 16) }
  for at = 1, #text, 16 do
    local cipher = { text:byte(at, at + 15) }
    local s = decrypt_block({ table.unpack(cipher) }, w)
    for i = 1, 16 do s[i] = s[i] ~ previous[i] end
    previous = cipher
    out[#out + 1] = string.char(table.unpack(s))
  end
  return table.concat(out)
end

return M
