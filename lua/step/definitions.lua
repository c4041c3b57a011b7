--- The definitions that an engine knows: by name, the latest of each, and by the hash of their structure, which is what stored
--- runs go by.

local errors = require "step.error"
local snapshot = require "step.snapshot"
local stored = require "step.stored"
local suggest = require "step.suggest"

local M = {}

---@class step.Definitions
---@field package by_name table<string, step.Definition>
---@field package names string[]
---@field package by_hash table<string, step.Definition>    those that were added, and data that stored runs go on with
---@field package hashes string[]                           of those that were added
---@field package store table
---@field package upgrade? boolean
local Definitions = {}
Definitions.__index = Definitions

---@param store table
---@param upgrade? boolean    runs of code that has changed go on with what has their name now
---@return step.Definitions
function M.new(store, upgrade)
  return setmetatable({ by_name = {}, names = {}, by_hash = {}, hashes = {}, store = store, upgrade = upgrade }, Definitions)
end

---@param def step.Definition
function Definitions:add(def)
  if not self.by_name[def.name] then self.names[#self.names + 1] = def.name end
  self.by_name[def.name] = def
  if self.store.live then return end
  local hash = snapshot.of(def).hash
  if not self.by_hash[hash] then
    self.by_hash[hash] = def
    self.hashes[#self.hashes + 1] = hash
  end
end

--- The definition of a name.
---@param name string
---@return step.Definition?
---@return step.Error? err    kind "refused", code "definition": there is none
function Definitions:get(name)
  local def = self.by_name[name]
  if def then return def end
  local names = table.move(self.names, 1, #self.names, 1, {})
  table.sort(names)
  return nil, errors.new("refused", ("the engine has no definition '%s'%s"):format(name,
    suggest.hint(name, names, #names > 0 and "; it has: " .. table.concat(names, ", ") or "; add one with engine:add")),
    { code = "definition" })
end

--- What a store has to know of a definition to carry its runs on.
---@param def step.Definition
---@return step.Snapshot?
function Definitions:kept(def)
  if self.store.live then return nil end
  return snapshot.of(def)
end

--- The definition that a stored run goes on with.
---@param row table            of the run
---@param looking? boolean     it is only looked at: one of code that is not here will do
---@param upgrade? boolean     what has its name now will do
---@return step.Definition?
---@return step.Error? err
---@return boolean? upgraded   it is another version than the one that the run was started with
function Definitions:of(row, looking, upgrade)
  local def = self.by_hash[row.definition]
  if def then return def end
  local old, err = self.store:definition(row.definition)
  if not old then
    return nil, err or errors.new("store", ("run '%s' is of a definition that the store lacks"):format(row.id))
  end
  local own = self.by_name[row.name]
  if old.code and not looking then
    if own and (upgrade or self.upgrade) then return own, nil, true end
    return nil, stored.changed(row, old, own)
  end
  def, err = snapshot.define(old)
  if not def then return nil, err end
  if not old.code then self.by_hash[row.definition] = def end
  return def
end

--- Whether runs of that row can be carried on with a definition: not of one that was made to look at only.
---@param row table
---@param def step.Definition
---@return boolean
function Definitions:is(row, def) return def == self.by_hash[row.definition] end

--- Has a store be asked only for runs that can be carried on here: those whose code is here, and all that are data.
---@param query table
---@return table query
function Definitions:feasible(query)
  if not self.store.live then query.hashes, query.names = self.hashes, self.upgrade and self.names or nil end
  return query
end

return M
