--- Where findings stand in the file: their fields followed through what was read, to lines and columns; and their order.

local M = {}

--- The longest key of a container that a path starts with, and the rest of the path.
local function step_into(container, path)
  local index, rest = path:match "^%[(%d+)%](.*)$"
  index = math.tointeger(tonumber(index))
  if index and container[index] ~= nil then return index, rest end
  local bracketed = path:sub(1, 1) == "["
  local text = bracketed and path:sub(2) or path:match "^%.?(.*)$"
  local best
  for key in next, container do
    local size = type(key) == "string" and #key
    if size and text:sub(1, size) == key and (not best or size > #best) then
      local after = text:sub(size + 1, size + 1)
      if after == "" or after == "." or after == "[" or (bracketed and after == "]") or after == " " then best = key end
    end
  end
  if best == nil then return nil end
  return best, text:sub(#best + (bracketed and 2 or 1))
end

--- The place of a path's last part that is there.
local function follow(positions, container, path, line, column)
  while path and path ~= "" and type(container) == "table" do
    local key, rest = step_into(container, path)
    if key == nil then break end
    local at, across = positions:of(container, key)
    if at then line, column = at, across end
    container, path = container[key], rest
  end
  return line, column
end

--- Gives findings without a line theirs.
---@param findings step.Finding[]
---@param document table
---@param names string[]              of the steps
---@param specs table[]
---@param positions step.yaml.Positions
function M.fill(findings, document, names, specs, positions)
  local numbers
  for _, finding in ipairs(findings) do
    if not finding.line then
      if finding.step and not numbers then
        numbers = {}
        for i = #names, 1, -1 do numbers[names[i]] = i end
      end
      local number = finding.step and numbers[finding.step]
      local line, column
      if number then
        local steps = document.steps
        if steps[finding.step] ~= nil then
          line, column = positions:of(steps, finding.step)
        else
          line, column = positions:of(specs[number], "name")
        end
        line, column = follow(positions, specs[number], finding.field, line, column)
      elseif finding.step then
        line, column = positions:of(document.steps, finding.step)
      else
        line, column = follow(positions, document, finding.field)
      end
      finding.line, finding.column = line, column
    end
  end
end

--- Sorts findings: by line where they have one, else the definition's own first, then the steps in order; then by field.
---@param findings step.Finding[]
---@param names? string[]
function M.sort(findings, names)
  if #findings < 2 then return end
  local number, rank = {}, {}
  for i, name in ipairs(names or {}) do number[name] = number[name] or i end
  for i, finding in ipairs(findings) do rank[finding] = i end
  local function key(finding) return finding.line or 0, finding.column or 0, finding.step and number[finding.step] or 0 end
  table.sort(findings, function(a, b)
    local al, ac, an = key(a)
    local bl, bc, bn = key(b)
    if al ~= bl then return al < bl end
    if ac ~= bc then return ac < bc end
    if an ~= bn then return an < bn end
    if a.field ~= b.field then return (a.field or "") < (b.field or "") end
    if a.message ~= b.message then return a.message < b.message end
    return rank[a] < rank[b]
  end)
end

return M
