--- Places along the layers: straight lines where possible, no two things closer than they may be.
--
-- After Brandes and Köpf, "Fast and simple horizontal coordinate assignment" (2001): neighbours are aligned into blocks in four
-- ways (from above or below, leaning left or right), each is made compact, and each place is the mean of the two middle ones.

local M = {}

--- Lines that are not aligned because they cross the long straight part of another one. Set of pairs: marked[upper][lower].
local function conflicts(layers)
  local marked = {}
  for i = 1, #layers - 1 do
    local upper, lower = layers[i], layers[i + 1]
    local left, scanned = 0, 1
    for l, v in ipairs(lower) do
      local inner = not v.node and v.up[1] and not v.up[1].node and v.up[1] or nil
      if inner or l == #lower then
        local right = inner and inner.pos or #upper + 1
        while scanned <= l do
          for _, u in ipairs(lower[scanned].up) do
            local is_inner = not lower[scanned].node and not u.node
            if not is_inner and (u.pos < left or u.pos > right) then
              marked[u] = marked[u] or {}
              marked[u][lower[scanned]] = true
            end
          end
          scanned = scanned + 1
        end
        left = right
      end
    end
  end
  return marked
end

--- One of the four: a place for each vertex.
local function lean(layers, side, mirrored, marked, gap)
  local root, align, pos = {}, {}, {}
  local rows = {}
  for i = 1, #layers do
    local layer = layers[side == "up" and i or #layers + 1 - i]
    local row = {}
    for k, v in ipairs(layer) do
      local at = mirrored and #layer + 1 - k or k
      row[at], pos[v] = v, at
      root[v], align[v] = v, v
    end
    rows[i] = row
  end
  for _, row in ipairs(rows) do
    local last = 0
    for _, v in ipairs(row) do
      local neighbours = v[side]
      local n = #neighbours
      if n > 0 then
        local first, second = neighbours[(n + 1) // 2], neighbours[(n + 2) // 2]
        if mirrored then first, second = second, first end
        for _, u in ipairs(first == second and { first } or { first, second }) do
          local upper, lower = u, v
          if side == "down" then upper, lower = v, u end
          if align[v] == v and not (marked[upper] and marked[upper][lower]) and last < pos[u] then
            align[u], root[v] = v, root[u]
            align[v] = root[v]
            last = pos[u]
          end
        end
      end
    end
  end
  -- The blocks as a graph: which stands left of which, and how far.
  local after, before, blocks, waiting = {}, {}, {}, {}
  for _, row in ipairs(rows) do
    for k, v in ipairs(row) do
      local b = root[v]
      if not after[b] then
        after[b], before[b], waiting[b] = {}, {}, 0
        blocks[#blocks + 1] = b
      end
      if k > 1 then
        local u = row[k - 1]
        local a, distance = root[u], (u.breadth + v.breadth) / 2 + gap(u, v)
        table.insert(after[a], { b, distance })
        table.insert(before[b], { a, distance })
        waiting[b] = waiting[b] + 1
      end
    end
  end
  local order, x = {}, {}
  for _, b in ipairs(blocks) do if waiting[b] == 0 then order[#order + 1] = b end end
  for at = 1, #blocks do
    local b = order[at]
    x[b] = 0
    for _, edge in ipairs(before[b]) do x[b] = math.max(x[b], x[edge[1]] + edge[2]) end
    for _, edge in ipairs(after[b]) do
      waiting[edge[1]] = waiting[edge[1]] - 1
      if waiting[edge[1]] == 0 then order[#order + 1] = edge[1] end
    end
  end
  for at = #order, 1, -1 do -- as near to the right neighbour as it gets
    local b = order[at]
    local most = math.huge
    for _, edge in ipairs(after[b]) do most = math.min(most, x[edge[1]] - edge[2]) end
    if most < math.huge then x[b] = math.max(x[b], most) end
  end
  local places = {}
  for _, row in ipairs(rows) do
    for _, v in ipairs(row) do places[v] = mirrored and -x[root[v]] or x[root[v]] end
  end
  return places
end

local function bounds(places)
  local low, high = math.huge, -math.huge
  for v, x in pairs(places) do
    low, high = math.min(low, x - v.breadth / 2), math.max(high, x + v.breadth / 2)
  end
  return low, high
end

--- The straight parts of a line between its two boxes: runs of vertices with one place.
local function straight_parts(chain)
  local parts = {}
  for i = 2, #chain - 1 do
    local v = chain[i]
    local part = parts[#parts]
    if part and math.abs(part[#part].x - v.x) < 0.01 then
      part[#part + 1] = v
    else
      parts[#parts + 1] = { v, before = chain[i - 1] }
    end
    parts[#parts].after = chain[i + 1]
  end
  return parts
end

--- Pulls the straight parts of lines that make a detour back between their ends, as far as what stands beside them lets them.
local function pull(layers, chains, gap)
  local parts = {}
  for _, chain in ipairs(chains) do
    local own = straight_parts(chain)
    table.move(own, 1, #own, #parts + 1, parts)
  end
  for _ = 1, 4 do
    for _, part in ipairs(parts) do
      local low, high = -math.huge, math.huge
      for _, v in ipairs(part) do
        local left, right = layers[v.layer][v.pos - 1], layers[v.layer][v.pos + 1]
        if left then low = math.max(low, left.x + (left.breadth + v.breadth) / 2 + gap(left, v)) end
        if right then high = math.min(high, right.x - (right.breadth + v.breadth) / 2 - gap(v, right)) end
      end
      local left, right = math.min(part.before.x, part.after.x), math.max(part.before.x, part.after.x)
      local wanted = math.max(left, math.min(part[1].x, right))
      local x = math.max(low, math.min(wanted, high))
      if low <= high + 0.01 then
        for _, v in ipairs(part) do v.x = x end
      end
    end
  end
end

--- Sets `x`, the middle of each vertex along its layer, from 0.
---@param layers step.cli.Vertex[][]
---@param chains step.cli.Vertex[][]   the vertices of each line
---@param gap fun(a: step.cli.Vertex, b: step.cli.Vertex): number   the least distance between neighbours
---@return number breadth
function M.set(layers, chains, gap)
  local marked = conflicts(layers)
  local all, narrowest = {}, nil
  for _, side in ipairs { "up", "down" } do
    for _, mirrored in ipairs { false, true } do
      local places = lean(layers, side, mirrored, marked, gap)
      local low, high = bounds(places)
      local one = { places = places, low = low, high = high, mirrored = mirrored }
      all[#all + 1] = one
      if not narrowest or high - low < narrowest.high - narrowest.low then narrowest = one end
    end
  end
  for _, layer in ipairs(layers) do
    for _, v in ipairs(layer) do
      local xs = {}
      for i, one in ipairs(all) do
        local shift = one.mirrored and narrowest.high - one.high or narrowest.low - one.low
        xs[i] = one.places[v] + shift
      end
      table.sort(xs)
      v.x = (xs[2] + xs[3]) / 2
    end
  end
  pull(layers, chains, gap)
  local low, high = math.huge, -math.huge
  for _, layer in ipairs(layers) do
    for _, v in ipairs(layer) do
      low, high = math.min(low, v.x - v.breadth / 2), math.max(high, v.x + v.breadth / 2)
    end
  end
  for _, layer in ipairs(layers) do
    for _, v in ipairs(layer) do v.x = v.x - low end
  end
  return high - low
end

return M
