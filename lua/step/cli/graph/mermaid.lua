--- A picture for Mermaid.

local model = require "step.cli.graph.model"

--- A text between quotes: what Mermaid would read as markup is written by its number.
local function quote(s)
  return '"' .. s:gsub("[^%w%s%.,:=_/()%-\x80-\xFF]", function(c) return ("#%d;"):format(c:byte()) end) .. '"'
end

--- The text of a picture as a flowchart.
---@param picture step.cli.Picture
---@return string
return function(picture)
  local out = { "flowchart TD" }
  for i, node in ipairs(picture.nodes) do
    local lines = { node.name, table.concat({ node.action, table.unpack(node.notes) }, ", ") }
    for _, cond in ipairs(node.conditions) do lines[#lines + 1] = model.sentence(cond, "→") end
    for k, line in ipairs(lines) do lines[k] = quote(line):sub(2, -2) end
    local open, close = "[", "]"
    if node.foreach then open, close = "[[", "]]" end
    out[#out + 1] = ('  s%d%s"%s"%s'):format(i, open, table.concat(lines, "<br/>"), close)
  end
  for _, edge in ipairs(picture.edges) do
    local arrow = edge.condition and "-.->" or "-->"
    out[#out + 1] = ("  s%d %s%s s%d"):format(edge.from, arrow, edge.label and "|" .. quote(edge.label) .. "|" or "", edge.to)
  end
  return table.concat(out, "\n") .. "\n"
end
