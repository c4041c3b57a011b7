-- A configuration that contains itself used to end in a bare "stack overflow".

local step = require "step"

describe("a definition with a table that contains itself", function()
  local cycle = {}
  cycle.self = cycle

  local function refused(document)
    local def, err = step.define(document)
    assert.is_nil(def)
    assert.matches("nested more than 200 levels deep", err.message, 1, true)
    return err
  end

  it("is refused with its place (D3, S8)", function()
    local action = { type = "echo", configuration = { output = cycle } }
    local err = refused { name = "x", steps = {
      { name = "a", action = action }, { name = "b", dependencies = { "gone" }, action = print },
    } }
    assert.matches('step "a"', err.message, 1, true)
    assert.matches("no step with that name: 'gone'", err.message, 1, true) -- and the rest is still checked
    refused { name = "x", base_configurations = cycle, steps = { { name = "a", action = print } } }
    refused { name = "x", steps = { { name = "a", action = print, conditions = cycle } } }
  end)

  it("is refused as a function and as a step object", function()
    local action = { type = "echo", configuration = cycle }
    local ok, err = step.register_function { name = "cyclic-function", action = action }
    assert.is_nil(ok)
    assert.matches("200 levels", err.message, 1, true)
    assert.error_matches(function() step.new { name = "a", action = action } end, "200 levels")
  end)
end)
