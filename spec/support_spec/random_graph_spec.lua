-- The generator of random cases and what makes them small.

local random_graph = require "spec.support.random_graph"
local reference = require "spec.support.reference"
local scripted = require "spec.support.scripted"
local shrink = require "spec.support.case_shrink"
local text = require "spec.support.case_text"
local trace = require "spec.support.case_trace"

describe("random_graph", function()
  it("gives the same case for the same seed, whatever math.random did", function()
    for _, profile in ipairs(random_graph.profiles) do
      local first = text.text(random_graph.case(7, profile))
      math.random()
      assert.equal(first, text.text(random_graph.case(7, profile)))
      assert.not_equal(first, text.text(random_graph.case(8, profile)))
    end
  end)

  it("gives valid cases (S2.1, S3.6, D10)", function()
    for _, profile in ipairs(random_graph.profiles) do
      for seed = 1, 300 do
        local case = random_graph.case(seed, profile)
        assert.is_nil(shrink.problem(case), text.text(case))
      end
    end
  end)

  it("gives cases in which every state of a step and of a run occurs", function()
    local seen = {}
    for _, profile in ipairs(random_graph.profiles) do
      for seed = 1, 300 do
        for _, entry in ipairs(scripted.play(random_graph.case(seed, profile), reference)) do
          seen[entry.state] = true
          for _, s in pairs(entry.steps) do seen["step " .. s.state] = true end
        end
      end
    end
    for state in ([[DONE ERROR WAITING CRASHED BLOCKED_TOCHECK BLOCKED_FATAL BLOCKED_BADREQUEST BLOCKED_DEADLOCK
      BLOCKED_MAXRETRIES]]):gmatch "%S+" do assert(seen[state], state) end
    for state in ([[TODO WAITING DONE CLIENT_ERROR SERVER_ERROR FATAL_ERROR CRASHED PRUNE TO_RETRY RETRY_NOW AFTERRUN_ERROR
      EXPANDED X Y]]):gmatch "%S+" do assert(seen["step " .. state], state) end
  end)
end)

describe("case_shrink", function()
  it("finds a small case for a planted defect", function()
    -- an engine that takes a custom state for DONE
    local broken = setmetatable({}, { __index = reference })
    function broken.define(fields)
      for _, s in ipairs(fields.steps) do
        for i, dependency in ipairs(s.dependencies) do
          if not dependency:find(":", 1, true) then s.dependencies[i] = dependency .. ":DONE,X,Y,Z" end
        end
      end
      return reference.define(fields)
    end
    local function fails(case) return trace.compare(case, reference, broken) ~= nil end
    local found
    for seed = 1, 100 do
      local case = random_graph.case(seed, "graph")
      if fails(case) then
        found = shrink.shrink(case, fails)
        break
      end
    end
    assert.equal(2, #found.steps)
    assert.equal(1, #found.plan)
    assert.matches('step %a: state: expected "PRUNE", got "DONE"', trace.compare(found, reference, broken))
  end)
end)
