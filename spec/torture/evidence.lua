-- What workers leave outside of the store, in one file for all of them: effects, what was acknowledged, what a person released,
-- what went wrong. A line is one write at the file's end. A kill may cut it short where it crosses a page of memory: what lacks the
-- mark at its end was never written, and a line begins by ending the one before it.

local process = require "spec.process"

local M = {}

local FIELDS = { -- a line: its kind, its writer's number, then these
  effect = { "run", "step", "attempt", "time" },
  acknowledged = { "key", "run" },
  released = { "run" },
  lost = { "run" },
  problem = { "code", "message" },
}

local END = "\t."

--- Opens the file for one writer: write(kind, ...), the fields in order.
---@param path string
---@return fun(kind: string, ...: string|number)
function M.writer(path)
  local file = assert(io.open(path, "a"))
  file:setvbuf("full", 65536)
  return function(kind, ...)
    local words = { kind, tostring(process.pid()), ... }
    assert(#words == #FIELDS[kind] + 2, kind)
    for i = 3, #words do
      local word = words[i]
      words[i] = type(word) == "number" and ("%.17g"):format(word) or tostring(word):gsub("[\t\n]", " ")
    end
    assert(file:write("\n", table.concat(words, "\t"), END, "\n"))
    assert(file:flush())
  end
end

--- The keys that have been acknowledged, quickly: every worker asks as it begins.
---@param path string
---@return table<string, boolean>
function M.acknowledged(path)
  local known = {}
  local file = io.open(path)
  if not file then return known end
  for key in file:read("a"):gmatch "\nacknowledged\t%d+\t([^\t\n]+)\t[^\t\n]+\t%.\n" do known[key] = true end
  file:close()
  return known
end

---@class torture.Evidence
---@field effect { run: string, step: string, attempt: integer, time: number, pid: integer }[]
---@field acknowledged { key: string, run: string }[]
---@field released { run: string }[]
---@field lost { run: string }[]
---@field problem { code: string, message: string }[]

--- Reads what was written so far.
---@param path string
---@return torture.Evidence
function M.read(path)
  local evidence = {}
  for kind in pairs(FIELDS) do evidence[kind] = {} end
  local file = io.open(path)
  if not file then return evidence end
  for line in file:read("a"):gmatch "\n([^\n]+)\t%.%f[\n]" do
    local words = {}
    for word in (line .. "\t"):gmatch "(.-)\t" do words[#words + 1] = word end
    local fields = assert(FIELDS[words[1]], line)
    assert(#words == #fields + 2, line)
    local entry = { pid = math.tointeger(words[2]) }
    for i, field in ipairs(fields) do entry[field] = words[i + 2] end
    if entry.attempt then entry.attempt, entry.time = math.tointeger(entry.attempt), tonumber(entry.time) end
    table.insert(evidence[words[1]], entry)
  end
  file:close()
  return evidence
end

return M
