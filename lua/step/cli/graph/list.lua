--- A picture as text: a line for each step, layer by layer, with what it depends on.

local model = require "step.cli.graph.model"
local rank = require "step.cli.graph.rank"
local text = require "step.cli.text"

--- The text of a picture.
---@param picture step.cli.Picture
---@param screen step.cli.Screen
---@return string
return function(picture, screen)
  local ranks = rank.assign(picture)
  local order, into, widest, action_width = {}, {}, 4, 6
  for i, node in ipairs(picture.nodes) do
    order[i], into[i] = i, {}
    widest = math.max(widest, math.min(text.width(node.name), 40))
    action_width = math.max(action_width, math.min(text.width(node.action), 20))
  end
  table.sort(order, function(a, b)
    if ranks[a] ~= ranks[b] then return ranks[a] < ranks[b] end
    return a < b
  end)
  for _, edge in ipairs(picture.edges) do
    if not edge.condition then
      table.insert(into[edge.to], picture.nodes[edge.from].name .. (edge.label and ":" .. edge.label:gsub(", ", ",") or ""))
    end
  end
  local arrow, back = screen.unicode and "→" or "->", screen.unicode and "←" or "<-"
  local lines = { screen:paint(picture.name, "bold") .. (picture.description and "  " .. picture.description or "") }
  local last
  for _, i in ipairs(order) do
    local node = picture.nodes[i]
    local layer = ranks[i] ~= last and tostring(ranks[i]) or ""
    last = ranks[i]
    local line = ("%s  %s  %s"):format(screen:paint(text.pad(layer, 3, true), "dim"), text.pad(node.name, widest),
      screen:paint(text.pad(node.action, action_width), "dim"))
    if #into[i] > 0 then line = line .. "  " .. back .. " " .. table.concat(into[i], " ") end
    lines[#lines + 1] = (line:gsub("%s+$", ""))
    for _, note in ipairs(node.notes) do lines[#lines + 1] = "       " .. screen:paint(note, "dim") end
    for _, cond in ipairs(node.conditions) do lines[#lines + 1] = "       " .. screen:paint(model.sentence(cond, arrow), "cyan") end
  end
  return table.concat(lines, "\n") .. "\n"
end
