--- Checksums in Lua's 64-bit integers: SHA-1, SHA-256, SHA-512, Adler-32.

local M = {}

local MASK = 0xFFFFFFFF

-- The message with its padding: a one bit, zeros, the length in bits.
local function padded(s, block)
  local zeros = (-(#s + 1 + block // 8)) % block
  return s .. "\128" .. ("\0"):rep(zeros) .. (block == 128 and ("\0"):rep(8) or "") .. (">I8"):pack(#s * 8)
end

---@param s string
---@return string hex
function M.sha1(s)
  local h0, h1, h2, h3, h4 = 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0
  local message = padded(s, 64)
  local w = {}
  for at = 1, #message, 64 do
    for i = 0, 15 do w[i] = (">I4"):unpack(message, at + i * 4) end
    for i = 16, 79 do
      local x = w[i - 3] ~ w[i - 8] ~ w[i - 14] ~ w[i - 16]
      w[i] = (x << 1 | x >> 31) & MASK
    end
    local a, b, c, d, e = h0, h1, h2, h3, h4
    for i = 0, 79 do
      local f, k
      if i < 20 then
        f, k = b & c | ~b & d, 0x5A827999
      elseif i < 40 then
        f, k = b ~ c ~ d, 0x6ED9EBA1
      elseif i < 60 then
        f, k = b & c | b & d | c & d, 0x8F1BBCDC
      else
        f, k = b ~ c ~ d, 0xCA62C1D6
      end
      local t = ((a << 5 | a >> 27) + (f & MASK) + e + k + w[i]) & MASK
      a, b, c, d, e = t, a, (b << 30 | b >> 2) & MASK, c, d
    end
    h0, h1, h2, h3, h4 = (h0 + a) & MASK, (h1 + b) & MASK, (h2 + c) & MASK, (h3 + d) & MASK, (h4 + e) & MASK
  end
  return ("%08x%08x%08x%08x%08x"):format(h0, h1, h2, h3, h4)
end

-- The constants of SHA-2 are the first 64 bits of the fractions of square and cube roots of primes: computed by integer search,
-- as floats are too short for them.
local primes = {}
do
  local n = 2
  while #primes < 80 do
    local is_prime = true
    for _, p in ipairs(primes) do
      if n % p == 0 then
        is_prime = false
        break
      end
    end
    if is_prime then primes[#primes + 1] = n end
    n = n + 1
  end
end

-- a * b as limbs of 16 bits, least first.
local function times(a, b)
  local out = {}
  for i = 1, #a + #b do out[i] = 0 end
  for i = 1, #a do
    local carry = 0
    for k = 1, #b do
      local x = out[i + k - 1] + a[i] * b[k] + carry
      out[i + k - 1], carry = x & 0xFFFF, x >> 16
    end
    out[i + #b] = out[i + #b] + carry
  end
  return out
end

local function greater(a, b)
  for i = math.max(#a, #b), 1, -1 do
    local x, y = a[i] or 0, b[i] or 0
    if x ~= y then return x > y end
  end
  return false
end

-- The 64 bits behind the point of the root of n: the largest r with (whole + r / 2^64)^degree <= n.
local function fraction_of_root(n, degree)
  local whole = 1
  while (whole + 1) ^ degree <= n do whole = whole + 1 end
  local target = {}
  for i = 1, 4 * degree do target[i] = 0 end
  target[4 * degree + 1] = n
  local root = { 0, 0, 0, 0, whole }
  for bit = 63, 0, -1 do
    local limb, mask = bit // 16 + 1, 1 << (bit % 16)
    root[limb] = root[limb] | mask
    local power = root
    for _ = 2, degree do power = times(power, root) end
    if greater(power, target) then root[limb] = root[limb] & ~mask end
  end
  return root[4] << 48 | root[3] << 32 | root[2] << 16 | root[1]
end

local cubes, squares -- computed when first needed

local function constants()
  if cubes then return end
  cubes, squares = {}, {}
  for i = 1, 80 do cubes[i - 1] = fraction_of_root(primes[i], 3) end
  for i = 1, 8 do squares[i] = fraction_of_root(primes[i], 2) end
end

-- Both SHA-2 functions: words of 32 or 64 bits.
local function sha2(s, wide)
  constants()
  local block, rounds, mask = wide and 128 or 64, wide and 79 or 63, wide and -1 or MASK
  local size, format = wide and 8 or 4, wide and ">I8" or ">I4"
  local bits = wide and 64 or 32
  local function turn(x, n) return (x >> n | x << (bits - n)) & mask end
  local function shorten(x) return wide and x or x >> 32 end
  local h = {}
  for i = 1, 8 do h[i] = shorten(squares[i]) end
  local message = padded(s, block)
  local w = {}
  local s00, s01, s02 = wide and 1 or 7, wide and 8 or 18, wide and 7 or 3
  local s10, s11, s12 = wide and 19 or 17, wide and 61 or 19, wide and 6 or 10
  local e0, e1, e2 = wide and 14 or 6, wide and 18 or 11, wide and 41 or 25
  local a0, a1, a2 = wide and 28 or 2, wide and 34 or 13, wide and 39 or 22
  for at = 1, #message, block do
    for i = 0, 15 do w[i] = format:unpack(message, at + i * size) end
    for i = 16, rounds do
      local x, y = w[i - 15], w[i - 2]
      w[i] = (w[i - 16] + w[i - 7] + (turn(x, s00) ~ turn(x, s01) ~ x >> s02) + (turn(y, s10) ~ turn(y, s11) ~ y >> s12)) & mask
    end
    local a, b, c, d, e, f, g, k = table.unpack(h)
    for i = 0, rounds do
      local t1 = k + (turn(e, e0) ~ turn(e, e1) ~ turn(e, e2)) + (e & f ~ ~e & g) + shorten(cubes[i]) + w[i]
      local t2 = (turn(a, a0) ~ turn(a, a1) ~ turn(a, a2)) + (a & b ~ a & c ~ b & c)
      k, g, f, e, d, c, b, a = g, f, e, (d + t1) & mask, c, b, a, (t1 + t2) & mask
    end
    local new = { a, b, c, d, e, f, g, k }
    for i = 1, 8 do h[i] = (h[i] + new[i]) & mask end
  end
  local out = {}
  for i = 1, 8 do out[i] = (wide and "%016x" or "%08x"):format(h[i]) end
  return table.concat(out)
end

---@param s string
---@return string hex
function M.sha256(s) return sha2(s, false) end

---@param s string
---@return string hex
function M.sha512(s) return sha2(s, true) end

---@param s string
---@return integer
function M.adler32(s)
  local a, b = 1, 0
  for i = 1, #s do
    a = (a + s:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return b << 16 | a
end

return M
