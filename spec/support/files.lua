-- The project's files, for specs that read the sources.

local dir = require "pl.dir"

local M = {}

--- Paths below `folder`, with "/" and relative to the project's root, that end in one of the extensions, sorted.
---@param folder string
---@param ... string       extensions without the dot
---@return string[]
function M.list(folder, ...)
  local wanted = {}
  for _, extension in ipairs { ... } do wanted[extension] = true end
  local found = {}
  for _, path in ipairs(dir.getallfiles(folder)) do
    if wanted[path:match("%.(%w+)$")] then found[#found + 1] = path end
  end
  table.sort(found)
  return found
end

---@param path string
---@return string
function M.read(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read("a")
end

--- A copy without comments.
---@param text string
---@param language "c"|"lua"
---@return string
function M.code(text, language)
  if language == "c" then return (text:gsub("/%*.-%*/", " ")) end
  return (text:gsub("%-%-%[(=*)%[.-%]%1%]", " "):gsub("%-%-[^\n]*", ""))
end

return M
