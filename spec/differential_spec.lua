-- The engine against the reference (spec/support/reference.lua): random graphs with failures, conditions, foreach, pruning,
-- retries and crashes give the same states, results, retry times and the same order of execution.
--
-- STEP_DAGS sets how many there are in all, STEP_SEED where they begin. A difference is shown for the smallest case found.

local step = require "step"
local random_graph = require "spec.support.random_graph"
local reference = require "spec.support.reference"
local shrink = require "spec.support.case_shrink"
local text = require "spec.support.case_text"
local trace = require "spec.support.case_trace"

local COUNT = math.tointeger(os.getenv "STEP_DAGS") or 21000
local SEED = math.tointeger(os.getenv "STEP_SEED") or 20201221

local function difference(case)
  return trace.compare(case, reference, step)
end

-- What a person needs to see of a case that differs.
local function report(case)
  local seed, profile = case.seed, case.profile
  case = shrink.shrink(case, function(candidate) return difference(candidate) ~= nil end)
  return ("%s\n%s\nthe whole case: STEP_SEED=%d STEP_DAGS=1, profile %s"):format(text.text(case), difference(case), seed, profile)
end

describe("the engine does what the reference does", function()
  local each = math.ceil(COUNT / #random_graph.profiles)

  for _, profile in ipairs(random_graph.profiles) do
    it(("in %d cases of profile %s (chapters 2 to 6, D1 to D28)"):format(each, profile), function()
      for seed = SEED, SEED + each - 1 do
        local case = random_graph.case(seed, profile)
        if difference(case) then error(report(case), 0) end
      end
    end)
  end
end)
