--- The order within each layer: few lines cross. Sweeps by median, improved by exchanging neighbours.

local M = {
  sweeps = 24,        -- at most; half of it without improvement is enough
  work = 2000000,     -- lines times sweeps, beyond which fewer sweeps are made
}

---@class step.cli.Vertex   a box, a label, or the place where a line passes a layer
---@field layer integer
---@field pos integer        place in its layer, from 1
---@field up step.cli.Vertex[]     its neighbours in the layer above, a line each
---@field down step.cli.Vertex[]
---@field breadth number     its size along the layer
---@field depth number       its size across
---@field node? integer      the box
---@field arc? table         else the line it belongs to
---@field label? string

local function by_pos(a, b) return a.pos < b.pos end

--- How many lines cross between a layer and the one below: pairs in the wrong order, counted with a Fenwick tree.
local function crossings(upper, below)
  local tree, size, total, seen = {}, below, 0, 0
  for i = 1, size do tree[i] = 0 end
  for _, v in ipairs(upper) do
    table.sort(v.down, by_pos)
    for _, w in ipairs(v.down) do
      local smaller, i = 0, w.pos
      while i > 0 do
        smaller = smaller + tree[i]
        i = i - (i & -i)
      end
      total = total + seen - smaller
    end
    for _, w in ipairs(v.down) do
      local i = w.pos
      while i <= size do
        tree[i] = tree[i] + 1
        i = i + (i & -i)
      end
      seen = seen + 1
    end
  end
  return total
end

local function all_crossings(layers)
  local total = 0
  for i = 1, #layers - 1 do total = total + crossings(layers[i], #layers[i + 1]) end
  return total
end

local function number(layer)
  for i, v in ipairs(layer) do v.pos = i end
end

--- The weighted median of the neighbours' places; nil without neighbours.
local function median(neighbours)
  local n = #neighbours
  if n == 0 then return nil end
  table.sort(neighbours, by_pos)
  local m = n // 2
  if n % 2 == 1 then return neighbours[m + 1].pos end
  if n == 2 then return (neighbours[1].pos + neighbours[2].pos) / 2 end
  local left, right = neighbours[m].pos - neighbours[1].pos, neighbours[n].pos - neighbours[m + 1].pos
  if left + right == 0 then return neighbours[m].pos end
  return (neighbours[m].pos * right + neighbours[m + 1].pos * left) / (left + right)
end

--- Orders a layer by its neighbours on one side; what has none keeps its place.
local function arrange(layer, side, from_right)
  local moving, free, wanted = {}, {}, {}
  for i, v in ipairs(layer) do
    local m = median(v[side])
    if m then
      moving[#moving + 1], free[#free + 1], wanted[v] = v, i, m
    end
  end
  table.sort(moving, function(a, b)
    if wanted[a] ~= wanted[b] then return wanted[a] < wanted[b] end
    if from_right then return a.pos > b.pos end
    return a.pos < b.pos
  end)
  for k, v in ipairs(moving) do layer[free[k]] = v end
  number(layer)
end

--- Crossings of the lines of two neighbours, in this order.
local function between(a, b, side)
  local n = 0
  for _, p in ipairs(a[side]) do
    for _, q in ipairs(b[side]) do
      if p.pos > q.pos then n = n + 1 end
    end
  end
  return n
end

--- Exchanges neighbours in their layers as long as that helps.
local function exchange(layers)
  for _ = 1, 8 do
    local improved = false
    for _, layer in ipairs(layers) do
      for i = 1, #layer - 1 do
        local a, b = layer[i], layer[i + 1]
        if (#a.up + #a.down) * (#b.up + #b.down) < 4000 then
          local now = between(a, b, "up") + between(a, b, "down")
          if now > 0 and between(b, a, "up") + between(b, a, "down") < now then
            layer[i], layer[i + 1] = b, a
            a.pos, b.pos = i + 1, i
            improved = true
          end
        end
      end
    end
    if not improved then return end
  end
end

local function snapshot(layers)
  local copy = {}
  for i, layer in ipairs(layers) do copy[i] = table.move(layer, 1, #layer, 1, {}) end
  return copy
end

--- The first order: depth first, so that what hangs together stands together.
local function initial(layers)
  local seen, placed = {}, {}
  for i = 1, #layers do placed[i] = {} end
  local function visit(first)
    local stack = { first }
    while #stack > 0 do
      local v = table.remove(stack)
      if not seen[v] then
        seen[v] = true
        table.insert(placed[v.layer], v)
        for i = #v.up, 1, -1 do stack[#stack + 1] = v.up[i] end
        for i = #v.down, 1, -1 do stack[#stack + 1] = v.down[i] end
      end
    end
  end
  for _, layer in ipairs(layers) do
    for _, v in ipairs(layer) do
      if not seen[v] then visit(v) end
    end
  end
  for i, layer in ipairs(placed) do
    table.move(layer, 1, #layer, 1, layers[i])
    number(layer)
  end
end

--- Orders the vertices in their layers.
---@param layers step.cli.Vertex[][]   changed in place; `pos` is set
---@return integer crossings
function M.arrange(layers)
  local lines = 0
  for _, layer in ipairs(layers) do
    for _, v in ipairs(layer) do lines = lines + #v.down end
  end
  initial(layers)
  local best, least = snapshot(layers), all_crossings(layers)
  local idle, sweeps = 0, math.min(M.sweeps, math.max(2, M.work // (lines + 1)))
  for sweep = 1, sweeps do
    if least == 0 or idle > M.sweeps // 2 then break end
    if sweep % 2 == 1 then
      for i = 2, #layers do arrange(layers[i], "up", sweep % 4 == 3) end
    else
      for i = #layers - 1, 1, -1 do arrange(layers[i], "down", sweep % 4 == 0) end
    end
    exchange(layers)
    local count = all_crossings(layers)
    idle = idle + 1
    if count < least then best, least, idle = snapshot(layers), count, 0 end
  end
  for i, layer in ipairs(best) do
    table.move(layer, 1, #layer, 1, layers[i])
    number(layer)
  end
  for _, layer in ipairs(layers) do
    for _, v in ipairs(layer) do
      table.sort(v.up, by_pos)
      table.sort(v.down, by_pos)
    end
  end
  return least
end

return M
