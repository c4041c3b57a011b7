-- Runners written in C. Build them and run this from the project's root:
--
--   make build parts
--   LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/?.so;;' lua5.4 examples/c_runner/checksum.lua [TEXT ...]
--
-- examples/c_runner/checksum.c is all there is to such a runner: it includes step.h (a struct of functions) and step_lua.h
-- (one call that hands it to Lua), links to nothing of ours, and gets its configuration as JSON. `checksum` ends its call at
-- once; `slow_checksum` ends it from a thread, so the checksums of a foreach are computed side by side: however many texts
-- there are, all of them take about as long as one.

local step = require "step"
local runners = require "examples.checksum"

assert(step.register_runner("checksum", runners.checksum))
assert(step.register_runner("slow_checksum", runners.slow_checksum))

local texts = #arg > 0 and { table.unpack(arg) } or { "123456789", "The quick brown fox jumps over the lazy dog", "" }

local definition = assert(step.define {
  name = "checksums",
  steps = {
    { name = "texts", action = function() return { list = texts, joined = table.concat(texts) } end },
    {
      name = "each",
      dependencies = { "texts" },
      foreach = function(v) return v.step.texts.output.list end,
      action = { type = "slow_checksum", configuration = { text = "{{.iterator}}", seconds = 0.05 } },
    },
    {
      name = "all",
      dependencies = { "each" },
      action = { type = "checksum", configuration = { text = "{{.step.texts.output.joined}}" } },
    },
  },
})

local run = assert(definition:start())
local state = assert(run:resolve())
for i, child in ipairs(run.steps.each.children or {}) do
  print(("%s  %4d bytes  %s"):format(child.output.crc32, child.metadata.bytes, texts[i]))
end
local all = run.steps.all
if state == "DONE" then print(("%s  %4d bytes  all of them"):format(all.output.crc32, all.metadata.bytes)) end
print("ended in " .. state)
if run.error then print(run.error) end
os.exit(state == "DONE" and 0 or 1, true)
