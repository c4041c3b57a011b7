--- A picture as SVG. The layout is across (breadth) and along (depth) the arrows; they point down or to the right.
--
-- Letters are of one width, so that boxes fit their texts whatever font is there.

local layout = require "step.cli.graph.layout"
local model = require "step.cli.graph.model"
local text = require "step.cli.text"

local M = {}

local ADVANCE = 0.605                -- width of a letter, in its size
local NAME, SMALL, LABEL = 13, 10.5, 10.5
local PAD_X, PAD_Y = 12, 9
local MAX_NAME, MAX_LINE, MAX_LABEL = 36, 46, 30 -- letters
local MARGIN = 24
local ARROW = 7

local STYLE = [[
text{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:#0f172a}
.title{font-size:17px;font-weight:bold}.about{font-size:12px;fill:#64748b}
.name{font-size:13px;font-weight:bold}.small{font-size:10.5px;fill:#64748b}.cond{font-size:10.5px;fill:#334155}
.box{fill:#ffffff;stroke:#94a3b8;stroke-width:1.2}.stack{fill:#f1f5f9;stroke:#94a3b8;stroke-width:1.2}.rule{stroke:#e2e8f0}
.line{fill:none;stroke:#64748b;stroke-width:1.4}.head{fill:#64748b}.pill{fill:#f8fafc;stroke:#cbd5e1}.label{font-size:10.5px;fill:#334155}
.set{stroke-dasharray:5 4}.red .line{stroke:#dc2626}.red .head,.red .label{fill:#b91c1c}.red .pill{stroke:#fca5a5;fill:#fef2f2}
.amber .line{stroke:#d97706}.amber .head,.amber .label{fill:#b45309}.amber .pill{stroke:#fcd34d;fill:#fffbeb}
.green .line{stroke:#16a34a}.green .head,.green .label{fill:#15803d}.green .pill{stroke:#86efac;fill:#f0fdf4}
.teal .line{stroke:#0891b2}.teal .head,.teal .label{fill:#0e7490}.teal .pill{stroke:#67e8f9;fill:#ecfeff}]]

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escape(s)
  return (text.clean(s):gsub('[&<>"]', ESCAPES):gsub("\xEF\xBF[\xBE\xBF]", "?"))
end

--- A number as short as it can be: pictures are read by people, too.
local function n(x)
  local s = ("%.1f"):format(x):gsub("%.0$", "")
  return s == "-0" and "0" or s
end

local COLOURS = {
  DONE = "green", PRUNE = "amber", CLIENT_ERROR = "red", FATAL_ERROR = "red", CRASHED = "red", TO_RETRY = "amber", RETRY_NOW = "amber",
  SERVER_ERROR = "red", WAITING = "amber",
}

--- The colour of an arrow: that of the state it stands for.
local function colour_of(edge)
  if edge.condition then return COLOURS[edge.state] or "teal" end
  if not edge.label or edge.label == "ANY" then return "plain" end
  return COLOURS[edge.label] or "teal"
end

--- The lines of a box: { text, class, size }; and how many stand before those of the conditions.
local function lines_of(node)
  local lines = { { text.shorten(node.name, MAX_NAME, "…"), "name", NAME } }
  local about = { node.action }
  for _, note in ipairs(node.notes) do about[#about + 1] = note end
  local joined = table.concat(about, " · ")
  if text.width(joined) <= MAX_LINE then about = { joined } end
  for _, line in ipairs(about) do lines[#lines + 1] = { text.cut(line, MAX_LINE, "…"), "small", SMALL } end
  local before = #lines
  for _, cond in ipairs(node.conditions) do
    local ending = " → " .. table.concat(cond.sets, ", ")
    local start = cond.kind .. " " .. (cond.when == "always" and "always" or "if " .. cond.when)
    if text.width(start .. ending) <= MAX_LINE then
      lines[#lines + 1] = { start .. ending, "cond", SMALL }
    else
      lines[#lines + 1] = { text.cut(start, MAX_LINE, "…"), "cond", SMALL }
      lines[#lines + 1] = { text.cut("  " .. ending, MAX_LINE, "…"), "cond", SMALL }
    end
  end
  return lines, before
end

local function box_of(node)
  local lines, before = lines_of(node)
  local width, height = 0, 2 * PAD_Y
  for i, line in ipairs(lines) do
    width = math.max(width, text.width(line[1]) * line[3] * ADVANCE)
    line.step = i == 1 and 16 or 15
    height = height + line.step
  end
  local conditions = #node.conditions > 0
  if conditions then height = height + 7 end
  return { lines = lines, width = math.max(width + 2 * PAD_X, 72), height = height, rule = conditions and before or nil }
end

--- Where the lines leave and enter a box: side by side, in the order of their other ends.
local function ports(plan)
  local out, into = {}, {}
  for k, chain in ipairs(plan.chains) do
    local first, last = chain[1], chain[#chain]
    out[first], into[last] = out[first] or {}, into[last] or {}
    table.insert(out[first], { k, chain[2].x })
    table.insert(into[last], { k, chain[#chain - 1].x })
  end
  local starts, ends = {}, {}
  for _, side in ipairs { { out, starts }, { into, ends } } do
    for box, list in pairs(side[1]) do
      table.sort(list, function(a, b)
        if a[2] ~= b[2] then return a[2] < b[2] end
        return a[1] < b[1]
      end)
      local distance = math.min(14, (box.breadth - 20) / math.max(#list - 1, 1))
      for i, item in ipairs(list) do side[2][item[1]] = box.x + (i - (#list + 1) / 2) * distance end
    end
  end
  return starts, ends
end

local Canvas = {}
Canvas.__index = Canvas

function Canvas:add(format, ...) self.out[#self.out + 1] = format:format(...) end

--- A point of the layout as a point of the picture.
function Canvas:point(breadth, depth)
  if self.right then return MARGIN + depth, self.top + breadth end
  return MARGIN + breadth, self.top + depth
end

function Canvas:at(breadth, depth)
  local x, y = self:point(breadth, depth)
  return n(x) .. " " .. n(y)
end

--- The line of an arc: straight through layers, curved between them, so that it never crosses a box.
function Canvas:arc(arc, chain, start, stop)
  local layers = self.plan.layers
  local points = {}
  local function straight(b, d) points[#points + 1] = (#points == 0 and "M" or "L") .. self:at(b, d) end
  local first, last = chain[1], chain[#chain]
  local from = layers[first.layer].start + (layers[first.layer].depth + first.depth) / 2
  local to = layers[last.layer].start + (layers[last.layer].depth - last.depth) / 2
  straight(start, from + (arc.reversed and ARROW or 0))
  local b, d = start, layers[first.layer].start + layers[first.layer].depth + (arc.reversed and ARROW or 0)
  straight(b, d)
  for i = 2, #chain do
    local v = chain[i]
    local layer = layers[v.layer]
    local next_b = i == #chain and stop or v.x
    local next_d = layer.start - (i == #chain and not arc.reversed and ARROW or 0)
    if math.abs(next_b - b) < 0.05 then
      straight(next_b, next_d)
    else
      local middle = (d + next_d) / 2
      points[#points + 1] = ("C%s %s %s"):format(self:at(b, middle), self:at(next_b, middle), self:at(next_b, next_d))
    end
    b, d = next_b, layer.start + layer.depth
    straight(b, i == #chain and to - (arc.reversed and 0 or ARROW) or d)
  end
  local tip, wing = arc.reversed and from or to - 0.5, arc.reversed and from + ARROW or to - ARROW
  local at = arc.reversed and start or stop
  self:add('<path class="line%s" d="%s"/>', arc.edge.condition and " set" or "", table.concat(points))
  self:add('<path class="head" d="M%sL%sL%sZ"/>', self:at(at, tip), self:at(at - 4, wing), self:at(at + 4, wing))
end

function Canvas:label(v)
  local layer = self.plan.layers[v.layer]
  local x, y = self:point(v.x, layer.start + layer.depth / 2)
  local words = text.cut(v.label, MAX_LABEL, "…")
  local width = text.width(words) * LABEL * ADVANCE + 12
  self:add('<rect class="pill" x="%s" y="%s" width="%s" height="17" rx="8.5"/>', n(x - width / 2), n(y - 8.5), n(width))
  self:add('<text class="label" x="%s" y="%s" text-anchor="middle">%s</text>', n(x), n(y + 3.6), escape(words))
end

function Canvas:box(v, node, box)
  local layer = self.plan.layers[v.layer]
  local x, y = self:point(v.x, layer.start + layer.depth / 2)
  local left, top = x - box.width / 2, y - box.height / 2
  self:add("<g>")
  local full = { node.name }
  if node.description then full[#full + 1] = node.description end
  for _, note in ipairs(node.notes) do full[#full + 1] = note end
  for _, cond in ipairs(node.conditions) do full[#full + 1] = model.sentence(cond, "→") end
  for i, line in ipairs(full) do full[i] = escape(line) end
  self:add("<title>%s</title>", table.concat(full, "\n"))
  if node.foreach then
    self:add('<rect class="stack" x="%s" y="%s" width="%s" height="%s" rx="6"/>', n(left + 4), n(top + 4), n(box.width), n(box.height))
  end
  self:add('<rect class="box" x="%s" y="%s" width="%s" height="%s" rx="6"/>', n(left), n(top), n(box.width), n(box.height))
  local at = top + PAD_Y
  for i, line in ipairs(box.lines) do
    self:add('<text class="%s" x="%s" y="%s" xml:space="preserve">%s</text>',
      line[2], n(left + PAD_X), n(at + line.step - 4), escape(line[1]))
    at = at + line.step
    if i == box.rule then
      self:add('<path class="rule" d="M%s %sH%s"/>', n(left + 1), n(at + 3.5), n(left + box.width - 1))
      at = at + 7
    end
  end
  self:add("</g>")
end

local function lay_out(picture, boxes, right)
  return layout.new(picture, function(i)
    if right then return boxes[i].height, boxes[i].width end
    return boxes[i].width, boxes[i].height
  end, function(label)
    local width = text.width(text.cut(label, MAX_LABEL, "…")) * LABEL * ADVANCE + 12
    if right then return 17, width end
    return width, 17
  end, right and 18 or 28)
end

--- How unlike a page, twice as wide as high or as high as wide, a shape is.
local function badness(width, height)
  local ratio = width / height
  return (ratio > 1.6 and ratio / 1.6 or ratio < 0.8 and 0.8 / ratio or 1) * math.sqrt(width * height)
end

--- Draws a picture.
---@param picture step.cli.Picture
---@param direction? "auto"|"down"|"right"
---@return string? svg
---@return string? message      why not: there is too much of it
function M.draw(picture, direction)
  local boxes = {}
  for i, node in ipairs(picture.nodes) do boxes[i] = box_of(node) end
  local plan, right
  for _, sideways in ipairs { false, true } do
    if (direction or "auto") == "auto" or sideways == (direction == "right") then
      local one = lay_out(picture, boxes, sideways)
      if one then
        one.width, one.height = one.breadth, one.depth
        if sideways then one.width, one.height = one.depth, one.breadth end
        if not plan or badness(one.width, one.height) < badness(plan.width, plan.height) then plan, right = one, sideways end
      end
    end
  end
  if not plan then return nil, "there are too many steps and lines for a picture; --dot has no limit" end
  local top = MARGIN + 20 + (picture.description and 18 or 0) + 14
  local canvas = setmetatable({ out = {}, plan = plan, right = right, top = top }, Canvas)
  local sets, labels = false, false
  for _, edge in ipairs(picture.edges) do
    sets = sets or edge.condition ~= nil
    labels = labels or (edge.label ~= nil and not edge.condition)
  end
  local legend = {}
  if labels then legend[#legend + 1] = "label: the states that are accepted, where it is not DONE alone" end
  if sets then legend[#legend + 1] = "dashed: a condition sets the state of another step" end
  local name = text.cut(picture.name, 80, "…")
  local about = picture.description and text.cut(picture.description, 110, "…")
  local widest = math.max(plan.width, text.width(name) * 17 * ADVANCE, text.width(about or "") * 12 * ADVANCE)
  for _, line in ipairs(legend) do widest = math.max(widest, text.width(line) * SMALL * ADVANCE) end
  local width, height = widest + 2 * MARGIN + 4, top + plan.height + MARGIN + 4 + (#legend > 0 and #legend * 16 + 6 or 0)

  canvas:add('<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s">',
    n(width), n(height), n(width), n(height))
  canvas:add("<title>%s</title>\n<style>%s</style>", escape(picture.name), STYLE)
  canvas:add('<rect width="%s" height="%s" fill="#ffffff"/>', n(width), n(height))
  canvas:add('<text class="title" x="%d" y="%d">%s</text>', MARGIN, MARGIN + 14, escape(name))
  if about then canvas:add('<text class="about" x="%d" y="%d">%s</text>', MARGIN, MARGIN + 34, escape(about)) end

  local starts, ends = ports(plan)
  for k, arc in ipairs(plan.arcs) do
    canvas:add('<g class="%s">', colour_of(arc.edge))
    canvas:arc(arc, plan.chains[k], starts[k], ends[k])
    canvas:add("</g>")
  end
  for _, layer in ipairs(plan.layers) do
    for _, v in ipairs(layer) do
      if v.node then
        canvas:box(v, picture.nodes[v.node], boxes[v.node])
      elseif v.label then
        canvas:add('<g class="%s">', colour_of(v.arc.edge))
        canvas:label(v)
        canvas:add("</g>")
      end
    end
  end
  for i, line in ipairs(legend) do
    canvas:add('<text class="small" x="%d" y="%s">%s</text>', MARGIN, n(top + plan.height + 12 + i * 16), escape(line))
  end
  canvas:add("</svg>\n")
  return table.concat(canvas.out, "\n")
end

return M
