-- csrc/lua/core.c, run.c, graph.c: the module step.core refuses what it cannot use.

local core = require "step.core"
local make = require("spec.support.core_graph").run

describe("step.core", function()
  it("counts what lives", function()
    collectgarbage()
    collectgarbage()
    local before = core.live()
    local r = make "a"
    local now = core.live()
    assert.same({ before.graphs + 1, before.runs + 1, before.loops + 1 }, { now.graphs, now.runs, now.loops })
    r.run:close()
    r.run:close()
    r.loop:close()
    r.loop:close()
    now = core.live()
    assert.same({ before.runs, before.loops }, { now.runs, now.loops })
  end)

  it("tells the time", function() assert.is_true(math.abs(core.now() - os.time()) < 5) end)

  it("methods of a closed run and a closed loop are refused, close and closed are not", function()
    local r = make "a"
    r.run:close()
    assert.is_true(r.run:closed())
    for name, method in pairs(getmetatable(r.run).__index) do
      if name ~= "close" and name ~= "closed" then
        local ok, why = pcall(method, r.run, 1, "DONE", 1, 1, 1)
        assert.is_false(ok, name)
        assert.matches("closed", why)
      end
    end
    assert.is_false((pcall(r.loop.begin, r.loop, r.run)))
    r.loop:close()
    for name, method in pairs(getmetatable(r.loop).__index) do
      if name ~= "close" then
        local ok, why = pcall(method, r.loop, r.run, 1)
        assert.is_false(ok, name)
        assert.matches("closed", why)
      end
    end
  end)

  it("every method and function survives any arguments", function()
    local r = make "a\nf*"
    local values = { nil, true, 0, -1, 1, 3, 1.5, math.huge, 0 / 0, 1 << 62, "", "a", "DONE", ("x"):rep(1000), {}, print, r.run, r.loop,
      r.graph, io.stdout, coroutine.create(print) }
    local function hammer(fn, self)
      for i = 1, 21 do
        for j = 1, 21 do
          pcall(fn, self, values[i], values[j], values[(i + j) % 21 + 1], values[j])
          pcall(fn, values[i], values[j], self)
        end
      end
    end
    for _, self in ipairs { r.run, r.loop, r.graph } do
      for name, method in pairs(getmetatable(self).__index) do
        if name ~= "close" and name ~= "pause" and name ~= "code" and name ~= "set_status" then hammer(method, self) end
      end
      for name, method in pairs(getmetatable(self)) do
        if type(method) == "function" and name ~= "__gc" and name ~= "__close" then hammer(method, self) end
      end
    end
    for name, fn in pairs(core) do
      if type(fn) == "function" and name ~= "loop" then hammer(fn) end
    end
    assert.is_false(r.run:closed())
  end)

  it("options of a loop are checked", function()
    for _, options in ipairs { 1, "x", { acquire_timeout = {} }, { max_concurrent = "x" }, { max_concurrent = 1.5 } } do
      assert.is_false((pcall(core.loop, options)))
    end
  end)
end)
