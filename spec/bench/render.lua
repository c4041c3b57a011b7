-- Templates: a million renderings of one path, through the cache, beside the Lua function that gives the same text.

local M = {}

local TEXT = "{{.step.a.output.x}}"
local TIMES = 1000000

--- One measurement, in nanoseconds a rendering.
function M.child()
  local template = require "step.template"
  local v = { step = { a = { output = { x = "hello" } } } }
  local function by_hand(values) return tostring(values.step.a.output.x) end
  local function timed(fn)
    collectgarbage()
    local start = os.clock()
    for _ = 1, TIMES do fn(v) end
    return (os.clock() - start) / TIMES * 1e9
  end
  local function cached(values) return template.compile(TEXT)(values) end
  assert(cached(v) == by_hand(v))
  local hand, compiled, looked_up = {}, {}, {}
  for round = 1, 5 do -- interleaved
    hand[round], compiled[round], looked_up[round] = timed(by_hand), timed(template.compile(TEXT)), timed(cached)
  end
  for _, list in ipairs { hand, compiled, looked_up } do table.sort(list) end
  return { hand = hand[3], compiled = compiled[3], cached = looked_up[3] }
end

function M.main(measure)
  local result = assert(measure("render"))
  print("Templates: nanoseconds to render " .. TEXT .. " (median of 5 times " .. TIMES .. ")")
  print(("Lua function %6.1f | compiled %6.1f, %4.2fx | through the cache %6.1f, %4.2fx"):format(result.hand, result.compiled,
    result.compiled / result.hand, result.cached, result.cached / result.hand))
end

return M
