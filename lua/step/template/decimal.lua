--- Exact decimals, as sprig computes with floats: 0.1 + 0.2 is 0.3, and a quotient has 16 digits after the point.
--
-- A decimal is { n = natural, exp = integer, negative = boolean }: n * 10^exp. A natural is a list of digits of base 10^7, the
-- lowest first, without zeros at its end.

local value = require "step.template.value"

local M = {}

local BASE, WIDTH = 10000000, 7
local PLACES = 16             -- of a quotient

local function trimmed(a)
  while a[1] and a[#a] == 0 do a[#a] = nil end
  return a
end

local function natural(digits)
  local a = {}
  for last = #digits, 1, -WIDTH do a[#a + 1] = tonumber(digits:sub(math.max(1, last - WIDTH + 1), last)) end
  return trimmed(a)
end

local function digits_of(a)
  if not a[1] then return "0" end
  local out = { ("%d"):format(a[#a]) }
  for i = #a - 1, 1, -1 do out[#out + 1] = ("%07d"):format(a[i]) end
  return table.concat(out)
end

local function compare(a, b)
  if #a ~= #b then return #a - #b end
  for i = #a, 1, -1 do
    if a[i] ~= b[i] then return a[i] - b[i] end
  end
  return 0
end

local function plus(a, b)
  local sum, carry = {}, 0
  for i = 1, math.max(#a, #b) do
    local x = (a[i] or 0) + (b[i] or 0) + carry
    sum[i], carry = x % BASE, x // BASE
  end
  if carry > 0 then sum[#sum + 1] = carry end
  return sum
end

--- a - b, where a is not the smaller one.
local function minus(a, b)
  local rest, borrow = {}, 0
  for i = 1, #a do
    local x = a[i] - (b[i] or 0) - borrow
    rest[i], borrow = x % BASE, x < 0 and 1 or 0
  end
  return trimmed(rest)
end

local function times(a, b)
  local product = {}
  for i = 1, #a + #b do product[i] = 0 end
  for i = 1, #a do
    local carry = 0
    for k = 1, #b do
      local x = product[i + k - 1] + a[i] * b[k] + carry
      product[i + k - 1], carry = x % BASE, x // BASE
    end
    product[i + #b] = product[i + #b] + carry
  end
  return trimmed(product)
end

local function shifted(a, places)
  if places == 0 or not a[1] then return a end
  return natural(digits_of(a) .. ("0"):rep(places))
end

--- a / b, rounded half away from zero.
local function quotient(a, b)
  local out, rest, ten = {}, {}, { 10 }
  for digit in digits_of(a):gmatch "." do
    rest = plus(times(rest, ten), natural(digit))
    local n = 0
    while compare(rest, b) >= 0 do rest, n = minus(rest, b), n + 1 end
    out[#out + 1] = n
  end
  local q = natural(table.concat(out))
  return compare(plus(rest, rest), b) >= 0 and plus(q, { 1 }) or q
end

--- The decimal that a float is written as.
---@param x number   a float, neither infinite nor NaN
function M.of(x)
  local digits, point = value.shortest(x < 0 and -x or x)
  return { n = natural(digits), exp = point - #digits, negative = x < 0 }
end

--- The float nearest to a decimal.
---@return number
function M.float(d)
  local x = tonumber(digits_of(d.n) .. "e" .. d.exp)
  return d.negative and x ~= 0 and -x or x
end

function M.add(a, b)
  local exp = math.min(a.exp, b.exp)
  local x, y = shifted(a.n, a.exp - exp), shifted(b.n, b.exp - exp)
  if a.negative == b.negative then return { n = plus(x, y), exp = exp, negative = a.negative } end
  if compare(x, y) >= 0 then return { n = minus(x, y), exp = exp, negative = a.negative } end
  return { n = minus(y, x), exp = exp, negative = b.negative }
end

function M.sub(a, b) return M.add(a, { n = b.n, exp = b.exp, negative = not b.negative }) end

function M.mul(a, b) return { n = times(a.n, b.n), exp = a.exp + b.exp, negative = a.negative ~= b.negative } end

function M.div(a, b)
  if not b.n[1] then error("decimal division by 0", 0) end
  local places = a.exp - b.exp + PLACES
  local x, y = shifted(a.n, math.max(places, 0)), shifted(b.n, math.max(-places, 0))
  return { n = quotient(x, y), exp = -PLACES, negative = a.negative ~= b.negative }
end

return M
