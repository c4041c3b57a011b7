--- Ranks: which layer a box is in, so that every arrow points from a layer to a later one.
--
-- The drawing follows Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981),
-- in four parts: ranks (this file), order within a layer (order.lua), places (place.lua), lines (svg.lua).

local M = {}

--- The nodes in an order in which every dependency precedes what depends on it; of equals the definition's order.
local function topological(n, edges)
  local waiting, out = {}, {}
  for i = 1, n do waiting[i], out[i] = 0, {} end
  for _, edge in ipairs(edges) do
    if not edge.condition then
      waiting[edge.to] = waiting[edge.to] + 1
      table.insert(out[edge.from], edge.to)
    end
  end
  local order = {}
  for i = 1, n do if waiting[i] == 0 then order[#order + 1] = i end end
  local at = 1
  while order[at] do
    for _, next_one in ipairs(out[order[at]]) do
      waiting[next_one] = waiting[next_one] - 1
      if waiting[next_one] == 0 then order[#order + 1] = next_one end
    end
    at = at + 1
  end
  return order
end

--- Steps without any arrow would make one endless layer: they stand in a block.
local function spread(lonely, rank, widest)
  local columns = math.max(math.ceil(math.sqrt(#lonely * 2)), widest)
  for k, node in ipairs(lonely) do rank[node] = (k - 1) // columns + 1 end
end

--- Ranks, from 1, and the arrows as pairs of an upper and a lower node. An arrow of a condition may point upwards.
---@param picture step.cli.Picture
---@return integer[] rank
---@return { upper: integer, lower: integer, edge: step.cli.Edge, reversed: boolean }[] arcs
function M.assign(picture)
  local n = #picture.nodes
  local order = topological(n, picture.edges)
  local position = {}
  for i, node in ipairs(order) do position[node] = i end
  local arcs, into, out = {}, {}, {}
  for i = 1, n do into[i], out[i] = {}, {} end
  for _, edge in ipairs(picture.edges) do
    local reversed = position[edge.from] > position[edge.to]
    local arc = { upper = reversed and edge.to or edge.from, lower = reversed and edge.from or edge.to, edge = edge, reversed = reversed }
    arcs[#arcs + 1] = arc
    table.insert(into[arc.lower], arc.upper)
    table.insert(out[arc.upper], arc.lower)
  end
  local rank, size, widest = {}, {}, 1
  for _, node in ipairs(order) do
    local r = 1
    for _, upper in ipairs(into[node]) do r = math.max(r, rank[upper] + 1) end
    rank[node] = r
  end
  for i = #order, 1, -1 do -- down to what depends on it, where that shortens more lines than it stretches
    local node = order[i]
    if #out[node] > #into[node] then
      local lowest = math.huge
      for _, lower in ipairs(out[node]) do lowest = math.min(lowest, rank[lower] - 1) end
      rank[node] = lowest
    end
  end
  local lonely = {}
  for i = 1, n do
    if #into[i] + #out[i] == 0 then
      lonely[#lonely + 1] = i
    else
      size[rank[i]] = (size[rank[i]] or 0) + 1
      widest = math.max(widest, size[rank[i]])
    end
  end
  if #lonely > 6 then spread(lonely, rank, widest) end
  return rank, arcs
end

return M
