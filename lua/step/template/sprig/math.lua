--- sprig's arithmetic: 64-bit integers, floats by way of decimals, sequences.

local decimal = require "step.template.decimal"
local define = require("step.template.signature").define
local format = require "step.template.format"
local number = require "step.template.number"
local state = require "step.template.state"
local text = require "step.template.text"
local value = require "step.template.value"

local M = {}

local integer, float = text.integer, text.float
local spend = state.spend

-- Integers ---------------------------------------------------------------------------------------------------------------

M.int = define("any -> int", function(_, x) return integer(x) end)
M.int64 = define("any -> int64", function(_, x) return integer(x) end)
M.float64 = define("any -> float64", function(_, x) return float(x) end)
M.atoi = define("string -> int", function(_, s)
  local n, problem, nearest = number.parse_int(s)
  return n or (problem == "range" and nearest) or 0
end)
M.toDecimal = define("any -> int64", function(st, x) return (number.parse_int(format.value(x, st), 8)) or 0 end)

local function fold(args, first, step)
  local n = first
  for i = 1, args.n do n = step(n, integer(args[i])) end
  return n
end

M.add = define("...any -> int64", function(_, args) return fold(args, 0, function(a, b) return a + b end) end)
M.add1 = define("any -> int64", function(_, x) return integer(x) + 1 end)
M.sub = define("any, any -> int64", function(_, a, b) return integer(a) - integer(b) end)
M.mul = define("any, ...any -> int64", function(_, a, rest) return fold(rest, integer(a), function(x, y) return x * y end) end)

-- Division truncates towards zero, as in Go.
local function divide(a, b)
  if b == 0 then error("runtime error: integer divide by zero", 0) end
  local q = a // b
  if q < 0 and q * b ~= a then q = q + 1 end
  return q
end

M.div = define("any, any -> int64", function(_, a, b) return divide(integer(a), integer(b)) end)
M.mod = define("any, any -> int64", function(_, x, y)
  local a, b = integer(x), integer(y)
  return a - divide(a, b) * b
end)

M.max = define("any, ...any -> int64", function(_, a, rest) return fold(rest, integer(a), math.max) end)
M.biggest = M.max
M.min = define("any, ...any -> int64", function(_, a, rest) return fold(rest, integer(a), math.min) end)

-- Floats -----------------------------------------------------------------------------------------------------------------

local function exact(x)
  if x ~= x or x == math.huge or x == -math.huge then error(("Cannot create a Decimal from %s"):format(format.float(x, "g", -1)), 0) end
  return decimal.of(x)
end

-- What is computed grows with each argument, and so does the work.
local function fold_float(st, args, first, step)
  local n = exact(first)
  for i = 1, args.n do
    spend(st, #n.n)
    n = step(n, exact(float(args[i])))
  end
  return decimal.float(n)
end

M.addf = define("...any -> float64", function(st, args) return fold_float(st, args, 0.0, decimal.add) end)
M.add1f = define("any -> float64", function(st, x) return fold_float(st, { x, n = 1 }, 1.0, decimal.add) end)
M.subf = define("any, ...any -> float64", function(st, a, rest) return fold_float(st, rest, float(a), decimal.sub) end)
M.mulf = define("any, ...any -> float64", function(st, a, rest) return fold_float(st, rest, float(a), decimal.mul) end)
M.divf = define("any, ...any -> float64", function(st, a, rest) return fold_float(st, rest, float(a), decimal.div) end)

local function extreme(better)
  return function(_, a, rest)
    local n = float(a)
    for i = 1, rest.n do
      local x = float(rest[i])
      if x ~= x or better(x, n) then n = x end
    end
    return n
  end
end

M.maxf = define("any, ...any -> float64", extreme(function(a, b) return a > b end))
M.minf = define("any, ...any -> float64", extreme(function(a, b) return a < b end))

-- math.floor gives an integer where it can; these stay floats of any size.
local function floor(x) return x == 0 and x or x - x % 1 end -- 0 and -0 stay what they are
local function ceil(x) return -floor(-x) end

M.floor = define("any -> float64", function(_, x) return floor(float(x)) end)
M.ceil = define("any -> float64", function(_, x) return ceil(float(x)) end)

M.round = define("any, int, ...float64 -> float64", function(_, x, places, options)
  local limit = options.n > 0 and options[1] or 0.5
  local power = 10.0 ^ places
  local scaled = power * float(x)
  local _, fraction = math.modf(scaled)
  local result = fraction >= limit and ceil(scaled) or floor(scaled)
  return result / power
end)

-- Sequences --------------------------------------------------------------------------------------------------------------

local function sequence(st, start, stop, step)
  local list = {}
  if stop == start or step == 0 or (stop < start) ~= (step < 0) then return list end
  local count = divide(stop - start, step)
  if start + count * step ~= stop then count = count + 1 end
  state.spend(st, count)
  for i = 1, count do list[i] = start + (i - 1) * step end
  return list
end

local function ints(list)
  for i = 1, #list do list[i] = value.int(list[i]) end
  return setmetatable(list, value.types.ints)
end

M["until"] = define("int -> any", function(st, n) return ints(sequence(st, 0, n, n < 0 and -1 or 1)) end)
M.untilStep = define("int, int, int -> any", function(st, start, stop, step) return ints(sequence(st, start, stop, step)) end)

M.seq = define("...int -> string", function(st, p)
  local list
  if p.n == 1 then
    local step = p[1] < 1 and -1 or 1
    list = sequence(st, 1, p[1] + step, step)
  elseif p.n == 2 then
    local step = p[2] < p[1] and -1 or 1
    list = sequence(st, p[1], p[2] + step, step)
  elseif p.n == 3 then
    local step = p[3] < p[1] and -1 or 1
    if step < 0 and p[2] > 0 then return "" end
    list = sequence(st, p[1], p[3] + step, p[2])
  end
  return table.concat(list or {}, " ")
end)

return M
