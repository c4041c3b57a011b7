--- The nearest known name, for messages that end in "did you mean 'fetch'?".
-- Optimal string alignment distance (insert, delete, replace, swap neighbours), cut off early: a name further than a
-- third of its length is no typing error.

local suggest = {}

--- Edits between two strings, or nil when there are more than `limit`.
---@param a string
---@param b string
---@param limit integer
---@return integer?
local function distance(a, b, limit)
  local la, lb = #a, #b
  if math.abs(la - lb) > limit then return nil end
  local before, previous = {}, {}
  for j = 0, lb do previous[j] = j end
  for i = 1, la do
    local row, best = { [0] = i }, i
    local ca = a:byte(i)
    for j = 1, lb do
      local cb = b:byte(j)
      local d = previous[j - 1] + (ca == cb and 0 or 1)
      if previous[j] + 1 < d then d = previous[j] + 1 end
      if row[j - 1] + 1 < d then d = row[j - 1] + 1 end
      if i > 1 and j > 1 and ca == b:byte(j - 1) and cb == a:byte(i - 1) and before[j - 2] + 1 < d then
        d = before[j - 2] + 1
      end
      row[j] = d
      if d < best then best = d end
    end
    if best > limit then return nil end
    before, previous = previous, row
  end
  return previous[lb] <= limit and previous[lb] or nil
end

--- The candidate nearest to `name`, or nil when none is near. Case differences cost nothing; the first of equals wins.
---@param name string
---@param candidates string[]
---@return string?
function suggest.nearest(name, candidates)
  local wanted = tostring(name):lower()
  local limit = #wanted < 2 and 0 or math.max(1, #wanted // 3)
  local best
  for _, candidate in ipairs(candidates) do
    if #candidate < 256 then
      local d = distance(wanted, candidate:lower(), limit)
      if d and candidate ~= name then
        best, limit = candidate, d - 1
        if limit < 0 then break end
      end
    end
  end
  return best
end

--- What to add to the refusal of a name: " (did you mean 'fetch'?)".
---@param name string
---@param candidates string[]
---@param otherwise? string   what to add when none is near; default: nothing
---@return string
function suggest.hint(name, candidates, otherwise)
  local near = suggest.nearest(name, candidates)
  return near and (" (did you mean '%s'?)"):format(near) or otherwise or ""
end

return suggest
