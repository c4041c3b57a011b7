-- Cases that nobody of this project wrote: Go's own tests, sprig's, and templates rendered by µTask. The folder is not part
-- of the project; where it is absent the specs are pending.

local json = require "step.json"
local builtins = require "step.template.builtins"
local functions = require "step.template.functions"
local sources = require "step.template.sources"
local template = require "step.template"
local value = require "step.template.value"

local FOLDER = "../shared/"

-- Cases that cannot pass, and why.
local KNOWN = {
  derivePassword = "needs scrypt with 32 MB of work: about ten seconds in Lua, so the function gives an error instead",
}

local function cases_of(path)
  local file = io.open(FOLDER .. path, "rb")
  if not file then return nil end
  local list = {}
  for line in file:lines() do list[#list + 1] = assert(json.decode(line)) end
  file:close()
  return list
end

-- JSON numbers as Go's numbers, not as json.Number: what a case with `number_modes` was made for.
local function native(x)
  if math.type(x) == "integer" then return value.int(x) end
  if type(x) == "number" then return value.float(x) end
  if type(x) ~= "table" then return x end
  local copy = {}
  for k, e in pairs(x) do copy[k] = native(e) end
  return setmetatable(copy, getmetatable(x))
end

local function verify(text, case, v, options)
  local fn, message = template.compile(text, options)
  local ok, output = false, message
  if fn then ok, output = pcall(fn, v) end
  if case.error then
    assert.is_false(ok, "should have failed, gave " .. tostring(output))
    if case.error_contains then assert.is_truthy(output:find(case.error_contains, 1, true), output) end
    if case.error_line then assert.equal(case.error_line, tonumber(output:match("^template: (%d+):"))) end
    return
  end
  assert.is_true(ok, tostring(output))
  assert.equal(case.expect or case.output, output)
end

local function known(case)
  for _, name in ipairs(case.funcs or {}) do
    if KNOWN[name] then return KNOWN[name] end
  end
end

local function data_cases(path)
  describe(path, function()
    local cases = cases_of(path)
    if not cases then
      pending("needs " .. FOLDER .. path)
      return
    end
    for _, case in ipairs(cases) do
      local reason = known(case)
      if reason then
        pending(case.name .. ": " .. reason)
      else
        it(case.name, function()
          local getenv = sources.getenv
          if case.env then sources.getenv = function(name) return case.env[name] end end
          finally(function() sources.getenv = getenv end)
          local v = case.data
          if case.number_modes then v = native(v) end
          if v == json.null then v = nil end
          local options
          if case.builtin_slice then options = { functions = setmetatable({ slice = builtins.slice }, { __index = functions.all() }) } end
          verify(case.template, case, v, options)
        end)
      end
    end
  end)
end

data_cases "data/templates/go.jsonl"
data_cases "data/templates/sprig.jsonl"

describe("traces/templates.jsonl", function()
  local cases = cases_of "traces/templates.jsonl"
  if not cases then
    pending("needs " .. FOLDER .. "traces/templates.jsonl")
    return
  end
  for _, case in ipairs(cases) do
    it(case.id, function()
      local v = case.values
      v.iterator, v.eval_cache, v.step = case.item, {}, v.step or {}
      if case.step_name then v.step.this = v.step[case.step_name] or {} end
      verify(case.template, case, v)
    end)
  end
end)
