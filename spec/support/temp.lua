-- Files and folders for specs. They are all in one folder, which is made when it is needed and removed by `clean` with whatever
-- is in it by then: a store's journal, a copy, what a child has written.

local pl_dir = require "pl.dir"
local pl_path = require "pl.path"

local M = {}

local root, count

--- The name of a file that is not there.
---@return string
function M.path()
  if not root then
    root, count = os.tmpname(), 0
    os.remove(root)
    assert(pl_path.mkdir(root))
  end
  count = count + 1
  return ("%s/%d"):format(root, count)
end

--- Writes a file.
---@param path string
---@param text string
function M.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

--- A file with a text.
---@param text string
---@return string path
function M.file(text)
  local path = M.path()
  M.write(path, text)
  return path
end

--- A folder with files.
---@param contents? table<string, string>   path in the folder -> text
---@return string path
function M.folder(contents)
  local folder = M.path()
  assert(pl_path.mkdir(folder))
  for name, text in pairs(contents or {}) do
    local path = folder .. "/" .. name
    assert(pl_dir.makepath(pl_path.dirname(path)))
    M.write(path, text)
  end
  return folder
end

--- Removes everything.
function M.clean()
  if root then assert(pl_dir.rmtree(root)) end
  root = nil
end

--- The folder that has not been removed.
---@return string?
function M.left() return root end

return M
