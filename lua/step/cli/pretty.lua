--- JSON over several lines, for people.

local json = require "step.json"

local function write(value, indent, out)
  if type(value) ~= "table" or next(value) == nil then
    out[#out + 1] = assert(json.encode(value))
    return
  end
  local inner = indent .. "  "
  if json.is_array(value) then
    out[#out + 1] = "["
    for i, item in ipairs(value) do
      out[#out + 1] = (i > 1 and "," or "") .. "\n" .. inner
      write(item, inner, out)
    end
    out[#out + 1] = "\n" .. indent .. "]"
    return
  end
  local keys = {}
  for key in next, value do keys[#keys + 1] = key end
  table.sort(keys)
  out[#out + 1] = "{"
  for i, key in ipairs(keys) do
    out[#out + 1] = (i > 1 and "," or "") .. "\n" .. inner .. json.encode(key) .. ": "
    write(value[key], inner, out)
  end
  out[#out + 1] = "\n" .. indent .. "}"
end

--- The text of a value.
---@param value any
---@return string
return function(value)
  local out = {}
  write(value, "", out)
  return table.concat(out)
end
