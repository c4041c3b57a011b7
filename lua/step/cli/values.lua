--- Values from the command line and from files: inputs by their declared type, paths into a tree.

local json = require "step.json"
local suggest = require "step.suggest"

local M = {}

--- Reads a file of data, YAML or JSON.
---@param path string       "-": the standard input
---@param env step.cli.Environment
---@return any value        nil when it cannot be read
---@return string? message
function M.read(path, env)
  local text, message
  if path == "-" then
    text = env.input:read "a"
  else
    local handle <close>, problem = io.open(path, "rb")
    if not handle then return nil, "cannot open " .. problem end
    text, message = handle:read "a"
    if not text then return nil, ("cannot read %s: %s"):format(path, message) end
  end
  local value, err
  if path:find "%.json$" then value, err = json.decode(text) else value, err = require "step.yaml".decode(text) end
  if value == nil then return nil, ("%s: %s"):format(path == "-" and "standard input" or path, tostring(err)) end
  return value
end

--- Reads a file that holds an object.
---@param path? string      nil: an empty object
---@param env step.cli.Environment
---@return table? object
---@return string? message
function M.object(path, env)
  if not path then return {} end
  local value, message = M.read(path, env)
  if value == nil then return nil, message end
  if type(value) ~= "table" or json.is_array(value) then return nil, path .. ": an object is expected" end
  return value
end

-- Reads the text of one value, by the kind of the input.
local READERS = {
  ["a number"] = function(text)
    local value = json.decode(text)
    if type(value) == "number" then return value end
    return nil, "a number"
  end,
  ["a boolean"] = function(text)
    if text == "true" then return true elseif text == "false" then return false end
    return nil, "true or false"
  end,
}

local function read_one(declared, text)
  local reader = READERS[declared.kind[1]]
  if not reader then return text end
  return reader(text)
end

--- The values for the inputs of a definition.
---@param pairs_given string[]              "key=value", as given
---@param declared step.InputSpec           the definition's inputs
---@param option string                     the option's name, for messages
---@param values table                      they are put here, over what is there
---@return boolean? ok
---@return string? message
---@return string? unknown                  the name that is no input, when that is what is wrong
function M.inputs(pairs_given, declared, option, values)
  local by_name, names, given = {}, {}, {}
  for _, input in ipairs(declared) do
    by_name[input.name] = input
    names[#names + 1] = input.name
  end
  for _, pair in ipairs(pairs_given) do
    local key, text = pair:match "^([^=]+)=(.*)$"
    if not key then return nil, ("%s %s: KEY=VALUE is expected"):format(option, pair) end
    local input = by_name[key]
    if not input then
      local known = #names > 0 and "; inputs: " .. table.concat(names, ", ") or "; it has no inputs"
      return nil, ("%s %s: the definition has no such input%s"):format(option, key, suggest.hint(key, names, known)), key
    end
    if input.collection then
      if not given[key] then values[key] = json.array {} end
      if text:find "^%s*%[" then
        local list, err = json.decode(text)
        if list == nil then return nil, ("%s %s: %s"):format(option, key, tostring(err)) end
        table.move(list, 1, #list, #values[key] + 1, values[key])
      else
        local value, expected = read_one(input, text)
        if value == nil then return nil, ("%s %s: %s is expected, found %s"):format(option, key, expected, text) end
        table.insert(values[key], value)
      end
    elseif given[key] then
      return nil, ("%s %s: it is given twice, and is no list"):format(option, key)
    else
      local value, expected = read_one(input, text)
      if value == nil then return nil, ("%s %s: %s is expected, found %s"):format(option, key, expected, text) end
      values[key] = value
    end
    given[key] = true
  end
  return true
end

--- Puts a value into a tree.
---@param tree table
---@param pair string       "a.b=text", or "a.b:=JSON"
---@return boolean? ok
---@return string? message
function M.put(tree, pair)
  local path, text = pair:match "^([^=]-):?=(.*)$"
  if not path or path == "" then return nil, ("-v %s: PATH=VALUE is expected"):format(pair) end
  local value = text
  if pair:sub(#path + 1, #path + 2) == ":=" then
    local err
    value, err = json.decode(text)
    if value == nil then return nil, ("-v %s: %s"):format(path, tostring(err)) end
  end
  local names = {}
  for name in path:gsub("^%.", ""):gmatch "[^.]+" do names[#names + 1] = name end
  if #names == 0 then return nil, ("-v %s: PATH=VALUE is expected"):format(pair) end
  for i = 1, #names - 1 do
    local inner = tree[names[i]]
    if inner == nil then
      inner = {}
      tree[names[i]] = inner
    elseif type(inner) ~= "table" or json.is_array(inner) then
      return nil, ("-v %s: %s is no object"):format(path, table.concat(names, ".", 1, i))
    end
    tree = inner
  end
  tree[names[#names]] = value
  return true
end

return M
