--- A picture for Graphviz.

local model = require "step.cli.graph.model"

local function quote(s) return '"' .. s:gsub('[\\"]', "\\%0") .. '"' end

--- The text of a picture in the DOT language.
---@param picture step.cli.Picture
---@return string
return function(picture)
  local out = {
    "digraph " .. quote(picture.name) .. " {",
    '  node [shape=box, style=rounded, fontname="monospace", fontsize=11];',
    '  edge [fontname="monospace", fontsize=9];',
  }
  for i, node in ipairs(picture.nodes) do
    local lines = { node.name, table.concat({ node.action, table.unpack(node.notes) }, ", ") }
    for _, cond in ipairs(node.conditions) do lines[#lines + 1] = model.sentence(cond) end
    for k, line in ipairs(lines) do lines[k] = line:gsub('[\\"]', "\\%0") end
    out[#out + 1] = ('  s%d [label="%s\\l"%s];'):format(i, table.concat(lines, "\\l"), node.foreach and ", peripheries=2" or "")
  end
  for _, edge in ipairs(picture.edges) do
    local attributes = {}
    if edge.label then attributes[1] = "label=" .. quote(edge.label) end
    if edge.condition then attributes[#attributes + 1] = "style=dashed, constraint=false" end
    local list = #attributes > 0 and " [" .. table.concat(attributes, ", ") .. "]" or ""
    out[#out + 1] = ("  s%d -> s%d%s;"):format(edge.from, edge.to, list)
  end
  out[#out + 1] = "}\n"
  return table.concat(out, "\n")
end
