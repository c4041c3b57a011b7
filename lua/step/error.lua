--- Errors as objects: what a runner throws or returns (S4.5), what a refused operation returns as its second value, and
-- the report that validation fills with everything it finds (S8).
--
-- An error object has `kind` (a word for programs), `message` (a sentence for people) and `errors` (the list of all that was found;
-- where there is but one, itself). `tostring` gives the text a person reads.

local suggest = require "step.suggest"

local M = {}

---@class step.Error
---@field kind string       "bad_request", "not_assigned", "not_provisioned", "server", "definition", "input", "refused", "io", ...
---@field message string
---@field errors step.Finding[]|step.Error[]   of kind "definition" and "input": everything that was found; else the error alone
local Error = { __name = "step.Error" }

function Error:__index(key)
  if key == "errors" then return { self } end
  return Error[key]
end

function Error:__tostring()
  return self.message
end

---@class step.Finding
---@field file? string
---@field line? integer     1-based
---@field column? integer   1-based
---@field step? string      the step's name
---@field field? string     path inside the step or the definition: "conditions[1].if[2].operator"
---@field message string    what is wrong
---@field found? string     what stands there
---@field accepted? string  what may stand there
---@field near? string      the nearest name that exists
local Finding = { __name = "step.Finding" }

-- A list of what is accepted that is longer is not shown where the nearest name is.
local LONG = 100

Finding.__index = Finding

function Finding:__tostring()
  local place = {}
  if self.file then place[#place + 1] = self.file end
  if self.line then place[#place + 1] = ("line %d"):format(self.line) .. (self.column and (", column %d"):format(self.column) or "") end
  if self.step then place[#place + 1] = ("step %q"):format(self.step) end
  if self.field then place[#place + 1] = self.field end
  local text = self.message
  if self.found then text = text .. ", found " .. self.found end
  if self.accepted and not (self.near and #self.accepted > LONG) then text = text .. "; accepted: " .. self.accepted end
  if self.near then text = text .. (" (did you mean '%s'?)"):format(self.near) end
  return #place > 0 and table.concat(place, ": ") .. ": " .. text or text
end

--- Makes an error object.
---@param kind string
---@param message string
---@param fields? table   further fields
---@return step.Error
function M.new(kind, message, fields)
  local e = fields or {}
  e.kind, e.message = kind, type(message) == "string" and message or tostring(message)
  return setmetatable(e, Error)
end

---@param value any
---@return boolean
function M.is(value)
  return getmetatable(value) == Error
end

--- For a runner: the request was wrong, the step becomes CLIENT_ERROR.
---@param message string
---@return step.Error
function M.bad_request(message) return M.new("bad_request", message) end

--- For a runner: somebody else has to act first, the step becomes WAITING.
---@param message string
---@return step.Error
function M.not_assigned(message) return M.new("not_assigned", message) end

--- For a runner that is told: what it waits for is posted to its run, the step becomes WAITING. Until then an automatic resolve leaves
--- it alone.
---@param message string
---@param again? number    it looks again at that time all the same
---@return step.Error
function M.awaits(message, again) return M.new("not_assigned", message, { again = again, awaits = true }) end

--- For a runner: what it needs is not there yet, the step becomes TO_RETRY.
---@param message string
---@return step.Error
function M.not_provisioned(message) return M.new("not_provisioned", message) end

--- A value as a message shows it: strings quoted, long ones shortened, tables by kind.
---@param value any
---@return string
function M.show(value)
  local t = type(value)
  if t == "string" then
    if #value > 60 then value = value:sub(1, 57) .. "..." end
    return '"' .. value:gsub("[%c\"\\]", function(c) return c == "\n" and "\\n" or (c == '"' or c == "\\") and "\\" .. c
      or ("\\x%02x"):format(c:byte()) end) .. '"'
  elseif t == "table" then
    local meta = getmetatable(value)
    local list = type(meta) == "table" and meta.__name == "step.array"
    if next(value) == nil then return list and "an empty list" or "an empty table" end
    return (list or value[1] ~= nil) and "a list" or "an object"
  elseif t == "function" or t == "thread" then
    return "a " .. t
  elseif t == "userdata" then
    return tostring(value):find("^userdata: [%(0]*[nN]") and "null" or "a userdata"
  end
  return tostring(value)
end

local YAML_WORDS = { y = "true", yes = "true", on = "true", n = "false", no = "false", off = "false" }

---@class step.Report
---@field file? string
---@field findings step.Finding[]
local Report = {}
Report.__index = Report

--- A value where a text is expected: YAML makes true or false of some words.
---@param value any
---@return string
function M.show_text(value)
  if type(value) == "boolean" then return tostring(value) .. " (in YAML yes, no, on, off, y and n are true or false: quote the text)" end
  if type(value) == "number" then return M.show(value) .. " (quote it to make it a text)" end
  return M.show(value)
end

--- What to add to the refusal of a name that does not exist, where YAML has made true or false of it.
---@param name string
---@param exists fun(name: string): any
---@return string
function M.yaml_hint(name, exists)
  local read = YAML_WORDS[type(name) == "string" and name:lower() or ""]
  if not read or not exists(read) then return "" end
  return (" (there is a '%s': in YAML %s without quotes is %s)"):format(read, name, read)
end

--- A list of findings under construction.
---@param file? string   set on every finding
---@return step.Report
function M.report(file)
  return setmetatable({ file = file, findings = {} }, Report)
end

--- Adds a finding. `candidates`, a list of names, gives `near` when `name` is close to one of them.
---@param finding step.Finding|{ name?: string, candidates?: string[] }
function Report:add(finding)
  if finding.candidates then
    finding.near = suggest.nearest(finding.name, finding.candidates)
    finding.candidates, finding.name = nil, nil
  end
  finding.file = finding.file or self.file
  if finding.found == "nil" then finding.found = nil end -- it is not there: the message says so
  self.findings[#self.findings + 1] = setmetatable(finding, Finding)
end

--- Findings that a text names; the list `errors` has all of them.
local NAMED = 100

--- nil while nothing was found, else the error that holds all of it.
---@param kind string
---@param title string     what was refused: "the definition 'greet' is refused"
---@return step.Error?
function Report:error(kind, title)
  local n = #self.findings
  if n == 0 then return nil end
  local lines = { ("%s: %d %s"):format(title, n, n == 1 and "error" or "errors") }
  for i = 1, math.min(n, NAMED) do lines[i + 1] = "  " .. tostring(self.findings[i]) end
  if n > NAMED then lines[#lines + 1] = ("  and %d more"):format(n - NAMED) end
  return M.new(kind, table.concat(lines, "\n"), { errors = self.findings })
end

return M
