--- The documents of a schema: where its subschemas stand, the URIs they have, and what a `$ref` means.
--
-- A document is walked once, along the keywords of its draft whose values are schemas, so an `$id` inside `enum` or under
-- an unknown keyword names nothing. Each subschema becomes a node. Beside `$ref` everything is ignored (drafts 4 to 7),
-- except that `definitions` can still be referred to. Other documents are only those that were registered, and the
-- meta-schemas; nothing is fetched.

local meta = require "step.schema.meta"
local suggest = require "step.suggest"
local uri = require "step.schema.uri"
local value_of = require "step.schema.value"

local M = {}

---@class step.schema.Node
---@field value table|boolean
---@field draft 4|6|7
---@field document step.schema.Document
---@field pointer string     JSON pointer in the document
---@field base string        the URI that references in it are relative to
---@field ref? string
---@field at table<string, step.schema.Node|step.schema.Node[]|table<string, step.schema.Node>>  by keyword
---@field check? fun(value: any, state: table, depth: integer, level: integer): boolean?
---@field same step.schema.Node[]    nodes that are applied to the same instance (filled when it is built)

---@class step.schema.Document
---@field root table|boolean
---@field draft 4|6|7
---@field prefix string      what stands before a pointer in messages
---@field nodes table<table, step.schema.Node>    by the table
---@field booleans table<string, step.schema.Node>  by pointer
---@field list step.schema.Node[]  all that were found, parents first

-- Keywords whose value is a schema (and the draft they came with), a list of schemas, an object of schemas.
local ONE = { items = 4, additionalItems = 4, additionalProperties = 4, ["not"] = 4, contains = 6, propertyNames = 6,
              ["if"] = 7, ["then"] = 7, ["else"] = 7 }
local LIST = { allOf = true, anyOf = true, oneOf = true }
local MAP = { properties = true, patternProperties = true, definitions = true, dependencies = true }

---@class step.schema.Loader
---@field ids table<string, step.schema.Node>
local Loader = {}
Loader.__index = Loader

---@class step.schema.LoaderOptions
---@field remotes table<string, table|boolean>     URI -> document
---@field builtin fun(uri: string): step.schema.Node?
---@field verify fun(value: any, draft: integer): step.schema.Finding[]?   what is wrong with a schema

--- A set of documents that refer to each other.
---@param options step.schema.LoaderOptions
---@return step.schema.Loader
function M.loader(options)
  local loader = { ids = {}, twice = {}, remotes = {}, names = {}, builtin = options.builtin, verify = options.verify }
  for name, schema in pairs(options.remotes) do
    name = uri.document(name)
    loader.remotes[name] = schema
    loader.names[#loader.names + 1] = name
  end
  table.sort(loader.names)
  return setmetatable(loader, Loader)
end

local function is_schema(value)
  return type(value) == "boolean" or value_of.kind(value) == "object"
end

function Loader:_register(name, node)
  if self.ids[name] and self.ids[name] ~= node then
    self.twice[name] = true
  else
    self.ids[name] = node
  end
end

--- The URI that the references of a node are relative to; its name is registered.
function Loader:_identify(node, base)
  local id = node.value[node.draft == 4 and "id" or "$id"]
  if type(id) ~= "string" then return base end
  local name, fragment = uri.resolve(base, id)
  if fragment == "" then
    self:_register(name, node)
    return name
  end
  if fragment:sub(1, 1) ~= "/" then self:_register(name .. "#" .. fragment, node) end
  return name
end

--- Makes the node of a subschema and of all below it.
---@param document step.schema.Document
---@param value table|boolean
---@param pointer string
---@param base string
---@return step.schema.Node
function Loader:_walk(document, value, pointer, base)
  local node = { value = value, draft = document.draft, document = document, pointer = pointer, base = base, at = {}, same = {} }
  document.list[#document.list + 1] = node
  if type(value) == "boolean" then
    document.booleans[pointer] = node
    return node
  end
  document.nodes[value] = node
  local ref = value["$ref"]
  if ref == nil then base = self:_identify(node, base) end
  node.ref, node.base = ref, base
  for _, keyword in ipairs(ref ~= nil and { "definitions" } or value_of.keys(value)) do
    node.at[keyword] = self:_below(node, keyword, value[keyword])
  end
  return node
end

--- The nodes of the schemas that a keyword holds; nil when it holds none.
function Loader:_below(node, keyword, value)
  local place = node.pointer .. "/" .. uri.escape(keyword)
  local kind = value_of.kind(value)
  local list = LIST[keyword] or keyword == "items" and kind == "array"
  if list and kind == "array" then
    local nodes = {}
    for i, child in ipairs(value) do nodes[i] = self:_walk(node.document, child, place .. "/" .. i - 1, node.base) end
    return nodes
  elseif MAP[keyword] and kind == "object" then
    local nodes = {}
    for _, key in ipairs(value_of.keys(value)) do
      if is_schema(value[key]) then  -- dependencies may be lists of names
        nodes[key] = self:_walk(node.document, value[key], place .. "/" .. uri.escape(key), node.base)
      end
    end
    return nodes
  elseif (ONE[keyword] or math.huge) <= node.draft and is_schema(value) then
    return self:_walk(node.document, value, place, node.base)
  end
  return nil
end

--- Adds a document; gives the node of its root.
---@param value table|boolean
---@param name string        its URI, "" when it has none
---@param draft 4|6|7
---@param prefix string
---@return step.schema.Node
function Loader:add(value, name, draft, prefix)
  local document = { root = value, draft = draft, prefix = prefix, nodes = {}, booleans = {}, list = {} }
  local node = self:_walk(document, value, "", name)
  self.ids[name] = node
  return node
end

--- The draft that `$schema` names; the default when there is none; nil and what is wrong.
---@param value any
---@param default 4|6|7
---@return (4|6|7)? draft
---@return string? message
function M.draft_of(value, default)
  local name = type(value) == "table" and value["$schema"]
  if not name then return default end
  local draft = type(name) == "string" and meta.drafts[uri.document(name)]
  if draft then return draft end
  return nil, ("$schema names a version that is not known, %s; accepted: %s#, .../draft-06/schema#, .../draft-07/schema#"):format(
    type(name) == "string" and '"' .. name .. '"' or "no string", meta.uris[4])
end

--- Adds a registered document when it is first needed. nil, message when it is no schema.
function Loader:_load(name, draft)
  local value = self.remotes[name]
  self.remotes[name] = nil
  local own, message = M.draft_of(value, draft)
  if not own then return nil, message end
  local findings = self.verify(value, own)
  if findings then
    return nil, ("it is no schema, #%s: %s"):format(findings[1].instance, findings[1].message)
  end
  return self:add(value, name, own, name .. "#")
end

--- The node of a document or of a subschema with an `$id`. false: there is none.
function Loader:_find(name, draft)
  if self.twice[name] then return nil, ("%s is the $id of more than one schema"):format(name) end
  if self.ids[name] then return self.ids[name] end
  if self.remotes[name] ~= nil then return self:_load(name, draft) end
  local built = self.builtin(name)
  if built then return built end
  for _, other in ipairs(self.names) do  -- it may be an $id in a registered document
    if self.remotes[other] ~= nil then
      local _, message = self:_load(other, draft)
      if message then return nil, ("%s: %s"):format(other, message) end
    end
  end
  return self.ids[name] or false
end

--- Follows a JSON pointer from a node.
function Loader:_follow(node, pointer)
  local keys = uri.keys(pointer)
  if not keys then return nil, ("%s is no JSON pointer"):format(pointer) end
  local document, value, at, base = node.document, node.value, node.pointer, node.base
  for _, key in ipairs(keys) do
    local child
    local kind = value_of.kind(value)
    if kind == "array" then
      if key == "0" or key:find "^[1-9]%d*$" then child = value[tonumber(key) + 1] end
    elseif kind == "object" then
      child = value[key]
    end
    if child == nil then
      local place = at == "" and "the schema" or "#" .. at
      return nil, ("there is no %q in %s%s"):format(key, place, kind == "object" and suggest.hint(key, value_of.keys(value)) or "")
    end
    value, at = child, at .. "/" .. uri.escape(key)
    local known = document.nodes[value]
    if known then base = known.base end
  end
  local found = document.nodes[value] or document.booleans[at]
  if found then return found end
  if not is_schema(value) then return nil, ("#%s is no schema"):format(at) end
  local findings = self.verify(value, document.draft)  -- it stands where no schema is expected
  if findings then
    return nil, ("#%s%s is no schema: %s"):format(at, findings[1].instance, findings[1].message)
  end
  return self:_walk(document, value, at, base)
end

--- The node that a node's `$ref` means, or nil and why there is none.
---@param node step.schema.Node
---@return step.schema.Node?
---@return string? message
function Loader:resolve(node)
  local ref = node.ref
  if type(ref) ~= "string" then return nil, "a reference is a string" end
  local name, fragment = uri.resolve(node.base, ref)
  local named = fragment ~= "" and fragment:sub(1, 1) ~= "/" and self.ids[name .. "#" .. fragment]
  if named and not self.twice[name .. "#" .. fragment] then return named end
  local root, message = self:_find(name, node.draft)
  if root == nil then return nil, ("the reference %q: %s"):format(ref, message) end
  if root == false then
    return nil, ("the reference %q leads to %s, which is not registered: remote schemas are not fetched"):format(ref, name)
  end
  if fragment == "" then return root end
  if fragment:sub(1, 1) ~= "/" then
    local key = name .. "#" .. fragment
    if self.twice[key] then return nil, ("the reference %q: more than one schema has this $id"):format(ref) end
    if self.ids[key] then return self.ids[key] end
    return nil, ("the reference %q: no schema has the $id %q"):format(ref, "#" .. fragment)
  end
  local target
  target, message = self:_follow(root, uri.decode(fragment))
  if target then return target end
  return nil, ("the reference %q leads nowhere: %s"):format(ref, message)
end

return M
