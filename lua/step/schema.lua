--- JSON Schema, drafts 4, 6 and 7 (S4.7, S8.9).
--
-- A schema is compiled once to closures; what does not compile is refused with every finding, it never means "no
-- validation" (D25). Before that it is checked against the meta-schema of its draft. Nothing is fetched: a reference to
-- another document is refused unless that was registered; the meta-schemas are here.
--
-- Values are those of step.json: an empty table is an object unless json.array made it; nil counts as null. Numbers compare
-- exactly; in draft 4 the float 1.0 is no integer, in drafts 6 and 7 it is. `format` is checked on demand. The keywords
-- contentEncoding and contentMediaType are annotations.

local build = require "step.schema.build"
local document = require "step.schema.document"
local errors = require "step.error"
local json = require "step.json"
local meta = require "step.schema.meta"
local states = require "step.schema.state"

local M = {
  steps = 50000000,           -- schemas applied in one validation before it is given up
}

---@class step.schema.Validator
---@field draft 4|6|7
---@operator call(any): true?, step.Error?
local Validator = { __name = "step.schema.Validator" }
Validator.__index = Validator

--- The lines of a list of findings.
local function lines_of(findings, indent, lines)
  for _, finding in ipairs(findings) do
    lines[#lines + 1] = indent .. tostring(finding)
    if finding.causes then lines_of(finding.causes, indent .. "  ", lines) end
  end
  return lines
end

local function text_of(title, findings, more)
  local lines = lines_of(findings, "  ", {})
  if #lines == 1 and not more then return ("%s: %s"):format(title, lines[1]:sub(3)) end
  if more then lines[#lines + 1] = "  ..." end
  return ("%s: %s%d %s\n%s"):format(title, more and "more than " or "", #findings, #findings == 1 and "error" or "errors",
    table.concat(lines, "\n"))
end

--- The findings in a value, or nil when it is valid; and why the check was given up.
function Validator:_findings(value)
  local state, check = self.state, self.check
  state.left, state.findings, state.stopped = M.steps, nil, nil
  local good = check(value, state, 0, 1)
  if state.stopped then return nil, state.stopped, state.stopped_at end
  if good then return nil end
  local findings = {}
  state.left, state.findings, state.found, state.more = M.steps, findings, 0, false
  check(value, state, 0, 1)
  state.findings = nil
  if #findings == 0 then return nil, state.stopped, state.stopped_at end
  return findings
end

--- Validates a value.
---@param value any
---@return true? valid
---@return step.Error? err   kind "schema"; `errors` are all findings: { instance, schema, message, causes }
function Validator:__call(value)
  local findings, stopped, place = self:_findings(value)
  if stopped then
    return nil, errors.new("schema", ("the value cannot be checked: #%s: %s"):format(states.shown(place), stopped),
      { errors = { { instance = place, schema = "", message = stopped } } })
  end
  if not findings then return true end
  return nil, errors.new("schema", text_of("the value does not match its schema", findings, self.state.more), { errors = findings })
end

--- Something wrong with a schema.
local Problem = { __name = "step.schema.Problem" }

function Problem:__tostring()
  return ("%s%s: %s"):format(self.schema:find("#", 1, true) and "" or "#", states.shown(self.schema), self.message)
end

--- What a meta-schema finds, seen from the schema.
local function problems_of(findings)
  local problems = {}
  for i, finding in ipairs(findings) do
    problems[i] = { schema = finding.instance, message = finding.message, causes = finding.causes and problems_of(finding.causes) }
    setmetatable(problems[i], Problem)
  end
  return problems
end

--- The error of a schema that is refused.
local function refused(findings)
  for _, finding in ipairs(findings) do setmetatable(finding, Problem) end
  return errors.new("schema", text_of("Jsonschema", findings), { errors = findings })
end

local validators = {}         -- of the meta-schemas, by draft

local function meta_validator(draft)
  if validators[draft] then return validators[draft] end
  local loader = document.loader { remotes = {}, builtin = function() end, verify = function() end }
  local name = meta.uris[draft]
  local root = loader:add(meta.schema(draft), name, draft, name .. "#")
  build.build(loader, root, { formats = false, problem = function(_, _, message) error(message) end })
  validators[draft] = setmetatable({ draft = draft, root = root, check = root.check, state = { path = {} } }, Validator)
  return validators[draft]
end

--- What the meta-schema finds in a schema: a list, or nil.
local function verify(schema, draft)
  local findings, stopped, place = meta_validator(draft):_findings(schema)
  if stopped then return { { instance = place, message = stopped } } end
  return findings
end

--- The root of a meta-schema by its URI.
local function builtin(uri)
  for draft, name in pairs(meta.uris) do
    if name == uri then return meta_validator(draft).root end
  end
  return nil
end

--- The draft in a top-level field "version", which is µTask's way to name it.
local function version_of(schema)
  local version = type(schema) == "table" and schema.version
  version = math.tointeger(tonumber(version or nil))
  return meta.uris[version] and version or nil
end

local function copied(schema)
  if type(schema) ~= "table" and type(schema) ~= "boolean" then
    return nil, { { schema = "", message = ("a schema is an object or a boolean, got %s"):format(errors.show(schema)) } }
  end
  local copy, err = json.copy(schema)
  if err then return nil, { { schema = "", message = "the schema is no JSON data: " .. err.message } } end
  return copy
end

--- Compiles a schema.
---@param schema table|boolean
---@param options? { draft?: 4|6|7, remotes?: table<string, table|boolean>, format?: boolean }
---  draft: default is what `$schema` names, then a field `version` of 4, 6 or 7, then draft 7;
---  remotes: URI -> schema, what references may lead to; format: whether `format` is checked
---@return step.schema.Validator? validator   validator(value) -> true, or nil, err
---@return step.Error? err   kind "schema"; `errors` are all findings: { schema = JSON pointer, message }
function M.compile(schema, options)
  options = options or {}
  if options.draft ~= nil and not meta.uris[options.draft] then
    error(("bad argument #2 to 'compile' (draft 4, 6 or 7 expected, got %s)"):format(options.draft), 2)
  end
  local value, findings = copied(schema)
  if findings then return nil, refused(findings) end

  local draft = options.draft
  if not draft then
    local own, message = document.draft_of(value, version_of(value) or 7)
    if not own then return nil, refused { { schema = "/$schema", message = message } } end
    draft = own
  end

  local remotes = {}
  for name, remote in pairs(options.remotes or {}) do
    remotes[name], findings = copied(remote)
    if findings then
      return nil, refused { { schema = "", message = ("the schema registered as %s: %s"):format(name, findings[1].message) } }
    end
  end

  findings = verify(value, draft)
  if findings then return nil, refused(problems_of(findings)) end

  local problems = {}
  local loader = document.loader { remotes = remotes, builtin = builtin, verify = verify }
  local root = loader:add(value, "", draft, "")
  build.build(loader, root, {
    formats = options.format == true,
    problem = function(node, keyword, text)
      problems[#problems + 1] = { schema = node.document.prefix .. node.pointer .. (keyword and "/" .. keyword or ""), message = text }
    end,
  })
  if #problems > 0 then return nil, refused(problems) end
  return setmetatable({ draft = draft, check = root.check, state = { path = {} } }, Validator)
end

--- A schema that says which draft it is written for (S4.7): without `$schema` it gets that of `version` (4, 6 or 7), else that
-- of draft 7, and loses the field `version`. What is no object is given back as it is.
---@param schema any
---@param version? integer|string   default: the field of that name
---@return any schema        a copy of the topmost level where something was changed
function M.normalize(schema, version)
  if type(schema) ~= "table" or schema["$schema"] ~= nil or json.is_array(schema) then return schema end
  local draft = version_of { version = version } or version_of(schema) or 7
  local copy = {}
  for key, value in pairs(schema) do
    if key ~= "version" then copy[key] = value end
  end
  copy["$schema"] = meta.uris[draft] .. "#"
  return copy
end

return M
