--- The meta-schemas of drafts 4, 6 and 7: what a schema must look like. Built where they are needed; what the drafts share
-- is written once.

local json = require "step.json"

local M = {}

local list = json.array

M.uris = {
  [4] = "http://json-schema.org/draft-04/schema",
  [6] = "http://json-schema.org/draft-06/schema",
  [7] = "http://json-schema.org/draft-07/schema",
}

--- `$schema` -> draft, without the last "#". A schema without a number is of the latest draft.
M.drafts = { ["http://json-schema.org/schema"] = 7, ["https://json-schema.org/schema"] = 7 }
for draft, uri in pairs(M.uris) do
  M.drafts[uri] = draft
  M.drafts[uri:gsub("^http:", "https:")] = draft
end

local function self() return { ["$ref"] = "#" } end

local function definition(name) return { ["$ref"] = "#/definitions/" .. name } end

local function map_of_schemas(more)
  local schema = { type = "object", additionalProperties = self(), default = {} }
  for key, value in pairs(more or {}) do schema[key] = value end
  return schema
end

--- A new copy of a draft's meta-schema.
---@param draft 4|6|7
---@return table
function M.schema(draft)
  local old = draft == 4
  local any = draft == 7 and function() return true end or function() return {} end
  local count = old and "positiveInteger" or "nonNegativeInteger"
  local function text(format) return { type = "string", format = format } end
  local function schema_or_boolean()
    return old and { anyOf = list { { type = "boolean" }, self() }, default = {} } or self()
  end

  local properties = {
    ["$schema"] = text(not old and "uri" or nil),
    title = text(), description = text(), format = text(), default = any(),
    pattern = text "regex",
    multipleOf = old and { type = "number", minimum = 0, exclusiveMinimum = true } or { type = "number", exclusiveMinimum = 0 },
    maximum = { type = "number" }, exclusiveMaximum = { type = old and "boolean" or "number" },
    minimum = { type = "number" }, exclusiveMinimum = { type = old and "boolean" or "number" },
    maxLength = definition(count), minLength = definition(count .. "Default0"),
    maxItems = definition(count), minItems = definition(count .. "Default0"),
    maxProperties = definition(count), minProperties = definition(count .. "Default0"),
    uniqueItems = { type = "boolean", default = false },
    items = { anyOf = list { self(), definition "schemaArray" }, default = any() },
    additionalItems = schema_or_boolean(), additionalProperties = schema_or_boolean(),
    required = definition "stringArray",
    definitions = map_of_schemas(), properties = map_of_schemas(),
    patternProperties = map_of_schemas(draft == 7 and { propertyNames = { format = "regex" } } or nil),
    dependencies = { type = "object", additionalProperties = { anyOf = list { self(), definition "stringArray" } } },
    enum = draft == 7 and { type = "array", items = true } or { type = "array", minItems = 1, uniqueItems = true },
    type = { anyOf = list {
      definition "simpleTypes",
      { type = "array", items = definition "simpleTypes", minItems = 1, uniqueItems = true },
    } },
    allOf = definition "schemaArray", anyOf = definition "schemaArray", oneOf = definition "schemaArray",
    ["not"] = self(),
  }
  if old then
    properties.id = text()
  else
    properties["$id"], properties["$ref"] = text "uri-reference", text "uri-reference"
    properties.const, properties.contains, properties.propertyNames = any(), self(), self()
    properties.examples = { type = "array", items = any() }
  end
  if draft == 7 then
    properties["$comment"], properties.contentMediaType, properties.contentEncoding = text(), text(), text()
    properties.readOnly = { type = "boolean", default = false }
    properties["if"], properties["then"], properties["else"] = self(), self(), self()
  end

  local string_array = { type = "array", items = { type = "string" }, uniqueItems = true }
  if old then string_array.minItems = 1 else string_array.default = list {} end
  local schema = {
    [old and "id" or "$id"] = M.uris[draft] .. "#",
    ["$schema"] = M.uris[draft] .. "#",
    [old and "description" or "title"] = "Core schema meta-schema",
    definitions = {
      schemaArray = { type = "array", minItems = 1, items = self() },
      [count] = { type = "integer", minimum = 0 },
      [count .. "Default0"] = { allOf = list { definition(count), { default = 0 } } },
      simpleTypes = { enum = list { "array", "boolean", "integer", "null", "number", "object", "string" } },
      stringArray = string_array,
    },
    type = old and "object" or list { "object", "boolean" },
    properties = properties,
    default = any(),
  }
  if old then
    schema.dependencies = { exclusiveMaximum = list { "maximum" }, exclusiveMinimum = list { "minimum" } }
  end
  return schema
end

return M
