-- Pictures: what they show, and that nothing in them lies over anything else.

local layout = require "step.cli.graph.layout"
local model = require "step.cli.graph.model"
local order = require "step.cli.graph.order"
local rank = require "step.cli.graph.rank"
local step = require "step"
local svg = require "step.cli.graph.svg"

local function picture_of(steps, fields)
  local document = fields or {}
  document.name, document.steps = document.name or "drawn", steps
  return model.new(assert(step.define(document)))
end

local function action() end

--- Steps with random dependencies, some of which accept ANY, and conditions that set other steps.
local function random_steps(n, seed)
  math.randomseed(seed)
  local steps = {}
  for i = 1, n do
    local dependencies, seen = {}, {}
    for _ = 1, math.random(0, 3) do
      local target = math.random(math.max(1, i - 12), i)
      if target < i and not seen[target] then
        seen[target] = true
        dependencies[#dependencies + 1] = "s" .. target .. (math.random(5) == 1 and ":ANY" or "")
      end
    end
    steps[i] = { name = "s" .. i, dependencies = dependencies, action = action }
    local target = next(seen)
    if target and math.random(6) == 1 then
      steps[i].conditions = { { type = "check", ["if"] = action, ["then"] = { this = "DONE", ["s" .. target] = "TO_RETRY" } } }
    end
  end
  return steps
end

--- The tags of an SVG, each closed by the right one; an error otherwise.
local function check_xml(text)
  local open, count = {}, 0
  for slash, name, rest in text:gmatch "<(/?)(%w+)([^>]*)>" do
    count = count + 1
    if slash == "/" then
      assert.equal(table.remove(open), name)
    elseif rest:sub(-1) ~= "/" then
      open[#open + 1] = name
    end
  end
  assert.same({}, open)
  assert.is_nil(text:gsub("&%a+;", ""):find("&", 1, true))
  return count
end

--- Rectangles of a class: x, y, width, height.
local function rectangles(text, class)
  local found = {}
  local pattern = '<rect class="' .. class .. '" x="([%d.-]+)" y="([%d.-]+)" width="([%d.-]+)" height="([%d.-]+)"'
  for x, y, width, height in text:gmatch(pattern) do
    found[#found + 1] = { x = tonumber(x), y = tonumber(y), width = tonumber(width), height = tonumber(height) }
  end
  return found
end

local function overlap(a, b)
  return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height
end

--- Points along the lines: { x, y }, curves in 16 parts.
local function points(text)
  local found = {}
  for path in text:gmatch '<path class="line[^"]*" d="([^"]+)"' do
    local x, y
    for command, numbers in path:gmatch "([MLC])([^MLC]+)" do
      local n = {}
      for number in numbers:gmatch "[%d.-]+" do n[#n + 1] = tonumber(number) end
      if command == "C" then
        for i = 1, 16 do
          local t = i / 16
          local u = 1 - t
          found[#found + 1] = {
            x = u ^ 3 * x + 3 * u * u * t * n[1] + 3 * u * t * t * n[3] + t ^ 3 * n[5],
            y = u ^ 3 * y + 3 * u * u * t * n[2] + 3 * u * t * t * n[4] + t ^ 3 * n[6],
          }
        end
      elseif command == "L" then
        for i = 1, 8 do found[#found + 1] = { x = x + (n[1] - x) * i / 8, y = y + (n[2] - y) * i / 8 } end
      end
      x, y = n[#n - 1], n[#n]
    end
  end
  return found
end

describe("a picture", function()
  it("shows names, actions, conditions and accepted states", function()
    local text = svg.draw(picture_of {
      { name = "a<b>", action = action, custom_states = { "ODD" },
        conditions = { { type = "check", ["if"] = { { value = "{{.step.this.output}}", operator = "GT", expected = 3 } },
          ["then"] = { this = "ODD" } } } },
      { name = "c", action = action, dependencies = { "a<b>:ODD,DONE" } },
      { name = "d", action = { type = "echo" }, dependencies = { "c:ANY", "a<b>" }, foreach = function() return {} end },
    })
    check_xml(text)
    assert.matches(">a&lt;b&gt;<", text)
    assert.matches(">check if this.output &gt; 3 → ODD<", text)
    assert.matches(">Lua function · ends also in ODD<", text)
    assert.matches(">echo · for each<", text)
    assert.matches('class="teal".->ODD, DONE<', text)
    assert.matches('class="plain".->ANY<', text)
    local _, arrows = text:gsub('class="head"', "")
    assert.equal(3, arrows)
    local _, stacked = text:gsub('class="stack"', "")
    assert.equal(1, stacked)
  end)

  it("shows what conditions set on other steps, dashed, upwards too", function()
    local picture = picture_of {
      { name = "a", action = action },
      { name = "b", action = action, dependencies = { "a" },
        conditions = { { type = "check", ["if"] = action, ["then"] = { a = "RETRY_NOW", this = "DONE" } } } },
    }
    local text = svg.draw(picture, "down")
    assert.matches('class="line set"', text)
    assert.matches(">RETRY_NOW<", text)
    assert.matches("dashed: a condition sets", text)
    local _, arcs = rank.assign(picture)
    assert.is_true(arcs[2].reversed)
  end)

  it("holds nothing that is no text", function()
    local text = svg.draw(picture_of { { name = "a\1\27[31m\"&'", action = action } })
    check_xml(text)
    assert.is_nil(text:find "[%z\1-\8\11-\31]")
  end)

  it("tells long names apart", function()
    local long = ("very-long-"):rep(6)
    local text = svg.draw(picture_of { { name = long .. "one", action = action }, { name = long .. "two", action = action } })
    assert.matches(">very%-.-…[%w-]+%-one</text>", text)
    assert.matches(">very%-.-…[%w-]+%-two</text>", text)
    assert.is_truthy(text:find("<title>" .. long .. "one</title>", 1, true)) -- the whole of it where the pointer rests
  end)

  it("has nothing over anything else", function()
    for seed = 1, 6 do
      local picture = picture_of(random_steps(10 + seed * 14, seed))
      for _, direction in ipairs { "down", "right" } do
        local text = svg.draw(picture, direction)
        check_xml(text)
        local boxes, labels = rectangles(text, "box"), rectangles(text, "pill")
        assert.equal(#picture.nodes, #boxes)
        local all = table.move(labels, 1, #labels, #boxes + 1, table.move(boxes, 1, #boxes, 1, {}))
        for i = 1, #all do
          for k = i + 1, #all do
            if overlap(all[i], all[k]) then error(("seed %d, %s: %d over %d"):format(seed, direction, i, k)) end
          end
        end
        for _, point in ipairs(points(text)) do
          for i, box in ipairs(boxes) do
            local x, y = point.x - box.x, point.y - box.y
            local inside = x > 0.2 and x < box.width - 0.2 and y > 0.2 and y < box.height - 0.2
            if inside then error(("seed %d, %s: a line over box %d"):format(seed, direction, i)) end
          end
        end
        local width, height = text:match 'viewBox="0 0 ([%d.]+) ([%d.]+)"'
        for _, one in ipairs(all) do
          assert.is_true(one.x >= 0 and one.y >= 0 and one.x + one.width <= tonumber(width) and one.y + one.height <= tonumber(height))
        end
      end
    end
  end)

  it("is as long as it needs to be: a chain goes down, a fan to the right", function()
    local chain, fan = {}, { { name = "s0", action = action } }
    for i = 1, 20 do
      chain[i] = { name = "s" .. i, action = action, dependencies = i > 1 and { "s" .. i - 1 } or nil }
      fan[i + 1] = { name = "s" .. i, action = action, dependencies = { "s0" } }
    end
    for direction, steps in pairs { down = chain, right = fan } do
      assert.equal(svg.draw(picture_of(steps), direction), svg.draw(picture_of(steps)))
    end
    local width, height = svg.draw(picture_of(chain), "right"):match 'viewBox="0 0 ([%d.]+) ([%d.]+)"'
    assert.is_true(tonumber(width) > 10 * tonumber(height))
  end)

  it("puts steps without any arrow in a block", function()
    local steps = {}
    for i = 1, 40 do steps[i] = { name = "s" .. i, action = action } end
    local width, height = svg.draw(picture_of(steps)):match 'viewBox="0 0 ([%d.]+) ([%d.]+)"'
    assert.is_true(width / height < 4 and height / width < 4)
  end)

  it("is drawn of no steps, and of a thousand", function()
    check_xml(svg.draw { name = "empty", nodes = {}, edges = {} })
    local steps = {}
    for i = 1, 1000 do steps[i] = { name = "s" .. i, action = action, dependencies = i > 1 and { "s" .. i // 2 } or nil } end
    assert.is_true(check_xml(svg.draw(picture_of(steps), "right")) > 1000)
  end)

  it("says when there is too much of it", function()
    local before = layout.max_vertices
    layout.max_vertices = 10
    local text, message = svg.draw(picture_of(random_steps(60, 1)))
    layout.max_vertices = before
    assert.is_nil(text)
    assert.matches("too many", message)
  end)
end)

describe("the order in layers", function()
  local function vertices(layer, n)
    local made = {}
    for i = 1, n do made[i] = { layer = layer, up = {}, down = {}, node = i, breadth = 1, depth = 1 } end
    return made
  end

  it("has no crossing where none is needed", function()
    local upper, lower = vertices(1, 4), vertices(2, 4)
    for i, k in ipairs { 3, 1, 4, 2 } do
      table.insert(upper[i].down, lower[k])
      table.insert(lower[k].up, upper[i])
    end
    assert.equal(0, order.arrange { upper, lower })
  end)

  it("counts the crossings that are left", function()
    local upper, lower = vertices(1, 3), vertices(2, 3)
    for _, u in ipairs(upper) do
      for _, v in ipairs(lower) do
        table.insert(u.down, v)
        table.insert(v.up, u)
      end
    end
    assert.equal(9, order.arrange { upper, lower })
  end)
end)
