-- Runs the benchmarks: `run.lua [name ...]`, each a module in this folder that returns a function which prints its
-- table. `run.lua --child name ...` is one measurement, in a process of its own: memory and the collector start fresh.

local BENCHES = { "schedule" }

local function child_command()
  return ("exec '%s' spec/bench/run.lua --child"):format(arg[-1])
end

--- Runs one measurement in a fresh process. Its words come back as a table: "a=1 b=2" gives { a = 1, b = 2 }.
local function measure(...)
  local pipe <close> = assert(io.popen(child_command() .. " " .. table.concat({ ... }, " ")))
  local text = pipe:read("a")
  local result = {}
  for key, value in text:gmatch("(%w+)=(%S+)") do result[key] = tonumber(value) end
  return next(result) and result or nil, text
end

if arg[1] == "--child" then
  local words = require("spec.bench." .. arg[2]).child(table.unpack(arg, 3))
  for key, value in pairs(words) do io.write(key, "=", value, " ") end
else
  for _, name in ipairs(#arg > 0 and arg or BENCHES) do
    require("spec.bench." .. name).main(measure)
  end
end
