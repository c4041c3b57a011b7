-- Runs the benchmarks: `run.lua [name ...]`, each a module in this folder that returns a function which prints its
-- table. `run.lua --child name ...` is one measurement, in a process of its own: memory and the collector start fresh.

local BENCHES = { "schedule", "render", "durable", "waiting" }

local function child_command()
  return ("exec '%s' spec/bench/run.lua --child"):format(arg[-1])
end

--- Runs one measurement in a fresh process. Its words come back as a table: "a=1 b=2" gives { a = 1, b = 2 }.
local function measure(...)
  local words = table.concat({ ... }, " ")
  local pipe = assert(io.popen(child_command() .. " " .. words))
  local result = {}
  for key, value in pipe:read("a"):gmatch("(%w+)=(%S+)") do result[key] = tonumber(value) end
  if not pipe:close() then error("the measurement '" .. words .. "' failed", 0) end
  return result
end

if arg[1] == "--child" then
  local words = require("spec.bench." .. arg[2]).child(table.unpack(arg, 3))
  for key, value in pairs(words) do io.write(key, "=", value, " ") end
else
  for _, name in ipairs(#arg > 0 and arg or BENCHES) do
    require("spec.bench." .. name).main(measure)
  end
end
