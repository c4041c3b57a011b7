--- The corpus of broken definitions, spec/data/bad: how its files are read, and what comes out of a case.
--
-- A case is a line "### title", the text of the definition, and lines "=> " with all that must be said about it, in order:
-- findings as a person reads them, the file's name left out. Words in brackets at the end of the title are options: [json] or
-- [lua] is the format, [allow] passes { lua = true }, [run] runs the definition and expects the error of the run. "%% function"
-- and "%% input" start the text of a function and the values for the inputs (JSON), "%% definition" goes back. "{runners}" stands
-- for the names of all runners, "{step keys}" and "{definition keys}" for what a step and a definition may have.

local fields = require "step.fields"
local step = require "step"

local M = {}

---@class spec.BadCase
---@field title string
---@field options table<string, boolean>
---@field definition? string
---@field functions string[]
---@field input? string
---@field expected string[]

--- The cases of a file.
---@param path string
---@return spec.BadCase[]
function M.read(path)
  local cases, case, text, kind = {}, nil, nil, nil
  local function flush()
    if not text then return end
    local whole = table.concat(text, "\n")
    if kind == "function" then
      table.insert(case.functions, whole)
    elseif whole ~= "" or kind == "input" or #case.functions == 0 then
      case[kind] = whole
    end
    text = nil
  end
  for line in io.lines(path) do
    local title, section, expected = line:match "^### (.+)$", line:match "^%%%% (%l+)$", line:match "^=> (.*)$"
    if title then
      if case then flush() end
      local options = {}
      title = title:gsub(" %[(%l+)%]", function(option) options[option] = true return "" end)
      case, text, kind = { title = title, options = options, functions = {}, expected = {} }, {}, "definition"
      cases[#cases + 1] = case
    elseif section then
      flush()
      text, kind = {}, section
    elseif expected then
      table.insert(case.expected, expected)
    elseif text then
      text[#text + 1] = line
    end
  end
  if case then flush() end
  for _, made in ipairs(cases) do
    if made.definition == "" and #made.functions > 0 then made.definition = nil end
  end
  return cases
end

local function without_file(text) return (text:gsub("^bad%.%l+: ", "")) end

--- Appends the text of a finding; what comes from a file must name it.
local function add_finding(lines, finding, file, prefix)
  if finding.file ~= file then error(("the file %s is not named: %s"):format(file, tostring(finding)), 0) end
  lines[#lines + 1] = (prefix or "") .. without_file(tostring(finding))
end

local function lines_of(err, file)
  if type(err) ~= "table" or not err.kind then error("no error object: " .. tostring(err), 0) end
  local lines = {}
  for _, finding in ipairs(err.errors or {}) do add_finding(lines, finding, file) end
  if not err.errors then lines[1] = without_file(err.message) end
  return lines
end

local function play(case)
  local format = case.options.json and "json" or case.options.lua and "lua" or "yaml"
  local file = "bad." .. format
  for _, text in ipairs(case.functions) do
    local ok, err = step.register_function { text = text, file = file }
    if not ok then return lines_of(err, file) end
  end
  if not case.definition then return {} end
  local def, err = step.load({ text = case.definition, format = format, file = file }, { lua = case.options.allow })
  if not def then return lines_of(err, file) end
  local lines = {}
  for _, finding in ipairs(def.warnings) do add_finding(lines, finding, file, "warning: ") end
  if case.options.run then
    local run
    run, err = def:start { input = case.input and assert(step.json.decode(case.input)) }
    if not run then return lines_of(err) end -- inputs come from no file
    run:resolve()
    lines[#lines + 1] = ("run: %s: %s"):format(run.state, run.error or "")
    run:close()
  end
  return lines
end

--- The lines that a case gives.
---@param case spec.BadCase
---@return string[]
function M.outcome(case)
  local functions = require "step.functions"
  local lines = play(case)
  for _, name in ipairs(functions.names()) do functions.forget(name) end
  for i, line in ipairs(lines) do lines[i] = line:gsub("\n", "\\n") end
  return lines
end

--- The list that a word in braces stands for.
---@param word string
---@return string? list
function M.lists(word)
  if word == "runners" then return table.concat(require "step.runner".names(), ", ") end
  if word == "step keys" then return table.concat(fields.STEP_KEYS, ", ") end
  if word == "definition keys" then return table.concat(fields.DOCUMENT_KEYS, ", ") end
end

--- Registers the runner "measured", whose metadata has a schema and whose configuration is judged.
function M.register()
  assert(step.register_runner("measured", {
    exec = function() return {}, { status = 200 } end,
    valid_config = function(_, config)
      if type(config) == "table" and config.url == nil then return nil, "url is missing" end
      return true
    end,
    metadata_schema = function() return { type = "object", properties = { status = { type = "integer" } } } end,
  }))
end

return M
