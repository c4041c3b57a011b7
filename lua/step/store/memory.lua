--- The store in memory: runs are kept as long as the engine lives.

local M = {}

---@class step.MemoryStore
---@field package runs table<string, step.Run>
---@field package order string[]
---@field package keys table<string, string>
local Store = {}
Store.__index = Store

---@return step.MemoryStore
function M.new() return setmetatable({ runs = {}, order = {}, keys = {} }, Store) end

--- Keeps a new run.
---@param run step.Run
---@param key? string   idempotency key
function Store:add(run, key)
  self.runs[run.id] = run
  self.order[#self.order + 1] = run.id
  if key then self.keys[key] = run.id end
end

---@param id string
---@return step.Run?
function Store:get(id) return self.runs[id] end

--- The run that was started with a key.
---@param key string
---@return step.Run?
function Store:by_key(key) return self.runs[self.keys[key]] end

--- Iterates over all runs, oldest first.
---@return fun(): step.Run?
function Store:each()
  local i = 0
  return function()
    i = i + 1
    return self.runs[self.order[i]]
  end
end

function Store:close()
  for _, run in pairs(self.runs) do run:close() end
  self.runs, self.order, self.keys = {}, {}, {}
end

return M
