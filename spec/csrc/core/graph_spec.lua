-- csrc/core/graph.c and names.c: names, dependencies as sets of states, cycles, who is related to whom.

local core = require "step.core"
local text = require "spec.support.core_graph"

--- The problems of a graph as text: "step/dependency code state".
local function problems(lines)
  local graph, found = text.graph(lines)
  assert.is_nil(graph)
  local list = {}
  for i, p in ipairs(found) do list[i] = ("%d/%d %s%s"):format(p.step, p.dependency, p.code, p.state and " " .. p.state or "") end
  return list, found.cycle
end

describe("graph", function()
  it("numbers steps in the order of the definition (D1)", function()
    local graph = assert(text.graph "z\na: z\nm")
    assert.equal(3, #graph)
    assert.same({ 1, 2, 3 }, { graph:find "z", graph:find "a", graph:find "m" })
    assert.equal("a", graph:name(2))
    assert.is_nil(graph:find "none")
    assert.is_nil(graph:find "")
  end)

  it("finds each of many names, of any bytes and length", function()
    local names, steps, flags = {}, {}, {}
    for i = 1, 5000 do names[i], steps[i], flags[i] = ("s"):rep(i % 90) .. "\0\xff" .. i, {}, 0 end
    local graph = assert(core.graph(names, steps, flags, {}, {}))
    for i = 1, 5000, 7 do
      assert.equal(i, graph:find(names[i]))
      assert.equal(names[i], graph:name(i))
    end
    assert.is_nil(graph:find "s")
  end)

  it("may be empty", function()
    local graph = assert(core.graph({}, {}, {}, {}, {}))
    assert.equal(0, #graph)
    assert.is_nil(graph:find "a")
    local run = core.run(graph, {})
    assert.equal(0, run:top())
  end)

  it("a name twice is a problem", function()
    assert.same({ "2/1 name" }, (problems "a\na"))
  end)

  it("S2.1: a dependency is DONE, custom states of its target, or ANY", function()
    local graph = assert(text.graph "a {X,Y}\nb: a\nc: a:DONE\nd: a:Y,DONE\ne: a:X,Y\nf: a:ANY")
    local function written(name) return graph:dependencies(graph:find(name)) end
    assert.same({}, written "a")
    assert.same({ "a" }, written "b")
    assert.same({ "a" }, written "c")
    assert.same({ "a:DONE,Y" }, written "d")
    assert.same({ "a:X,Y" }, written "e")
    assert.same({ "a:ANY" }, written "f")
  end)

  it("S8.10: what is wrong with dependencies, all of it, with its place", function()
    assert.same({ "2/1 unknown", "2/2 state NONE", "2/3 state twice X", "3/1 any", "4/2 twice", "5/1 state ", "6/1 state RUNNING" },
      (problems "a {X}\nb: none a:NONE a:X,X\nc: a:ANY,DONE\nd: a a:X\ne: a:\nf: a:RUNNING"))
  end)

  it("S8.10: a dependency that is no text", function()
    local _, found = core.graph({ "a" }, { { dependencies = { 1, {} } } }, { 0 }, {}, {})
    assert.same({ "type", "type" }, { found[1].code, found[2].code })
  end)

  it("a cycle is shown as its path (S8.10)", function()
    for lines, path in pairs {
      ["a: c\nb: a\nc: b"] = { "a", "c", "b", "a" }, ["a: a"] = { "a", "a" },
      ["x\na: x c\nb: a\nc: b\nd: c"] = { "a", "c", "b", "a" },
    } do
      local _, cycle = problems(lines)
      assert.equal(path[1], cycle[#cycle])
      assert.equal(#path, #cycle)
      local graph_path = table.concat(cycle, " ")
      assert.equal(cycle[1], cycle[#cycle])
      assert.matches("[abc]", graph_path)
    end
  end)

  it("a cycle of many steps is found", function()
    local lines = { "s1: s2000" }
    for i = 2, 2000 do lines[i] = ("s%d: s%d"):format(i, i - 1) end
    local _, cycle = problems(table.concat(lines, "\n"))
    assert.equal(2001, #cycle)
  end)

  it("knows the states of a step (S1.1, S1.3)", function()
    local graph = assert(text.graph "a {X}\nb {Y}\nc")
    assert.same({ true, false }, { graph:state(1, "DONE") })
    assert.same({ true, true }, { graph:state(1, "X") })
    assert.same({ false, false }, { graph:state(2, "X") })
    assert.same({ false, false }, { graph:state(3, "Y") })
    assert.same({ false, false }, { graph:state(1, "ANY") })
    assert.same({ false, false }, { graph:state(1, "any custom state") })
  end)

  it("a step has at most max_custom_states", function()
    local states = {}
    for i = 1, core.max_custom_states do states[i] = "S" .. i end
    local list = table.concat(states, ",")
    assert(text.graph("a {" .. list .. "}\nb: a:S1,S" .. core.max_custom_states))
    assert.same({ ("1/%d states"):format(core.max_custom_states + 1) }, (problems("a {" .. list .. ",MORE}")))
  end)

  describe("related (S3.6)", function()
    it("is the step itself, its ancestors and its descendants", function()
      local graph = assert(text.graph "a\nb: a\nc: b\nd: a\ne")
      local function related(x, y) return graph:related(graph:find(x), graph:find(y)) end
      for _, pair in ipairs { "aa", "ab", "ba", "ac", "ca", "ad", "bc" } do assert.is_true(related(pair:sub(1, 1), pair:sub(2))) end
      for _, pair in ipairs { "bd", "db", "cd", "ae", "ea" } do assert.is_false(related(pair:sub(1, 1), pair:sub(2))) end
      graph:forget()
      assert.is_true(related("a", "c"))
    end)

    it("is the same for near and far steps of random graphs", function()
      math.randomseed(7)
      for _ = 1, 10 do
        local n, lines, above = 60, {}, {}
        for i = 1, n do
          above[i] = { [i] = true }
          local deps, seen = {}, {}
          for _ = 1, math.random(0, 3) do
            local j = math.random(1, i)
            if j < i and not seen[j] then
              seen[j] = true
              deps[#deps + 1] = "s" .. j
              for k in pairs(above[j]) do above[i][k] = true end
            end
          end
          lines[i] = ("s%d: %s"):format(i, table.concat(deps, " "))
        end
        local graph = assert(text.graph(table.concat(lines, "\n")))
        for a = 1, n do
          for b = 1, n do assert.equal(above[a][b] or above[b][a] or false, graph:related(a, b)) end
        end
      end
    end)

    it("of steps far apart costs no walk over everything", function()
      local lines = {}
      for i = 1, 3000 do lines[i] = ("s%d:%s"):format(i, i > 3 and (" s%d s%d s%d"):format(i - 1, i - 2, i - 3) or "") end
      local graph = assert(text.graph(table.concat(lines, "\n")))
      for i = 1, 2990, 13 do assert.is_true(graph:related(i, 3000)) end
      assert.is_true(graph:related(1, 2999))
      assert.is_false(graph:related(1, 2))
    end)
  end)

  it("refuses numbers that are no step", function()
    local graph = assert(text.graph "a")
    for _, number in ipairs { 0, 2, -1, 1 << 40 } do
      assert.is_false((pcall(graph.name, graph, number)))
      assert.is_false((pcall(graph.related, graph, 1, number)))
      assert.is_false((pcall(graph.dependencies, graph, number)))
    end
    assert.is_false((pcall(core.graph, { {} }, {}, {}, {}, {})))
    assert.is_false((pcall(core.graph, "a")))
  end)
end)
