--- The layout of a picture: layers with boxes, labels and the lines that pass, all with their places.

local order = require "step.cli.graph.order"
local place = require "step.cli.graph.place"
local rank = require "step.cli.graph.rank"

local M = {
  max_vertices = 60000,   -- boxes, labels and passing lines; more is no picture
}

---@class step.cli.Layout
---@field layers step.cli.Vertex[][]   each with `start` and `depth`: its place across
---@field chains step.cli.Vertex[][]   of each arc: from the upper box to the lower one
---@field arcs table[]
---@field breadth number
---@field depth number

--- The layers, with the vertices of every box and line.
local function build(picture, size_of, label_size)
  local ranks, arcs = rank.assign(picture)
  local labelled, last = {}, 0
  for _, arc in ipairs(arcs) do
    if arc.edge.label then labelled[ranks[arc.lower]] = true end
  end
  for _, r in ipairs(ranks) do last = math.max(last, r) end
  local layer_of, layers = {}, {}
  for r = 1, last do -- a layer for labels stands before that of the boxes they point to
    if labelled[r] then layers[#layers + 1] = { labels = true } end
    layers[#layers + 1] = {}
    layer_of[r] = #layers
  end
  local count = 0
  local function vertex(layer, fields)
    fields.layer, fields.up, fields.down = layer, {}, {}
    table.insert(layers[layer], fields)
    count = count + 1
    return fields
  end
  local boxes, chains = {}, {}
  for i = 1, #picture.nodes do
    local breadth, depth = size_of(i)
    boxes[i] = vertex(layer_of[ranks[i]], { node = i, breadth = breadth, depth = depth })
  end
  for k, arc in ipairs(arcs) do
    local from, to = boxes[arc.upper], boxes[arc.lower]
    local chain = { from }
    for layer = from.layer + 1, to.layer - 1 do
      local label = layer == to.layer - 1 and arc.edge.label or nil
      local breadth, depth = 2, 0
      if label then breadth, depth = label_size(label) end
      chain[#chain + 1] = vertex(layer, { arc = arc, label = label, breadth = breadth, depth = depth })
      if count > M.max_vertices then return nil end
    end
    chain[#chain + 1] = to
    for i = 1, #chain - 1 do
      table.insert(chain[i].down, chain[i + 1])
      table.insert(chain[i + 1].up, chain[i])
    end
    chains[k] = chain
  end
  return layers, chains, arcs
end

--- Lays a picture out.
---@param picture step.cli.Picture
---@param size_of fun(node: integer): number, number        breadth and depth of a box
---@param label_size fun(label: string): number, number
---@param gap number     between two boxes in a layer
---@return step.cli.Layout?     nil: there are too many lines
function M.new(picture, size_of, label_size, gap)
  local layers, chains, arcs = build(picture, size_of, label_size)
  if not layers then return nil end
  order.arrange(layers)
  local breadth = 0
  if #layers > 0 then
    breadth = place.set(layers, chains, function(a, b)
      if a.node and b.node then return gap end
      return a.node and gap * 0.8 or b.node and gap * 0.8 or 12
    end)
  end
  local at = 0
  for i, layer in ipairs(layers) do
    local depth, far = 0, 0
    for _, v in ipairs(layer) do
      depth = math.max(depth, v.depth)
      for _, w in ipairs(v.down) do far = math.max(far, math.abs(v.x - w.x)) end
    end
    layer.start, layer.depth = at, depth
    local below = layers[i + 1]
    local room = (layer.labels or below and below.labels) and 26 or 42
    at = at + depth + (below and room + math.min(far / 10, 90) or 0)
  end
  return { layers = layers, chains = chains, arcs = arcs, breadth = breadth, depth = at }
end

return M
