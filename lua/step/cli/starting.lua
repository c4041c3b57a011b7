--- What runs are started with: the definitions, inputs, configuration and names that a command line gives.

local cli = require "step.cli"
local core = require "step.core"
local inputs = require "step.inputs"
local source = require "step.cli.source"
local suggest = require "step.suggest"
local values = require "step.cli.values"

local M = {}

local KINDS = { { "input", "inputs", "-i" }, { "resolver_input", "resolver_inputs", "-r" } }

--- The inputs given as options that are inputs of a definition; one that is none of any definition's is refused.
local function sort_inputs(defs, options)
  local mine = {}
  for _, def in ipairs(defs) do mine[def] = { input = {}, resolver_input = {} } end
  for _, kind in ipairs(KINDS) do
    local name, list, option = table.unpack(kind)
    for _, pair in ipairs(options[name]) do
      local known, problem = false, nil
      for _, def in ipairs(defs) do
        local ok, message, unknown = values.inputs({ pair }, def[list], option, {})
        if ok or not unknown then
          known = true
          table.insert(mine[def][name], pair)
        else
          problem = problem or message
        end
      end
      if not known then return nil, problem end
    end
  end
  return mine
end

--- Warns of what a file of inputs has and no definition wants: a typing error, more often than not.
local function warn_unknown(object, path, defs, list, env)
  local names, known = {}, {}
  for _, def in ipairs(defs) do
    for _, input in ipairs(def[list]) do
      names[#names + 1] = input.name
      known[input.name] = true
    end
  end
  local unknown = {}
  for name in pairs(object) do
    if not known[name] then unknown[#unknown + 1] = name end
  end
  table.sort(unknown)
  for _, name in ipairs(unknown) do
    source.warning(env, ("%s: no definition has an input '%s'%s"):format(path, name, suggest.hint(name, names)))
  end
end

--- The tags of "NAME=VALUE" words.
local function tags_of(words)
  local tags = {}
  for _, word in ipairs(words) do
    local name, value = word:match "^([^=]+)=(.*)$"
    if not name then return nil, ("-t %s: NAME=VALUE is expected"):format(word) end
    tags[name] = value
  end
  return tags
end

--- What the options say about the start of a run.
local function start_options(def, options, files, env, mine)
  local tags, problem = tags_of(options.tag)
  if not tags then return nil, problem end
  local start = {
    input = {}, resolver_input = {}, config = files.config, clock = env.clock or core.now, tags = tags, key = options.key,
    requester_username = options.requester or env.getenv "USER" or "",
  }
  start.resolver_username = options.resolver or start.requester_username
  for _, kind in ipairs(KINDS) do
    local name, list, option = table.unpack(kind)
    for key, value in pairs(files[name]) do start[name][key] = value end
    local ok, message = values.inputs(mine[name], def[list], option, start[name])
    if not ok then return nil, message end
  end
  return start
end

--- The definitions that files hold; what is wrong with them is said.
---@param names string[]
---@param options table
---@param env step.cli.Environment
---@return step.Definition[]?
---@return integer? status
function M.definitions(names, options, env)
  local paths, status = source.paths(names, options, env)
  if not paths then return nil, status end
  local defs = {}
  for _, path in ipairs(paths) do
    local def, bad = source.load(path, options, env)
    if def then
      source.warn(env, def)
      defs[#defs + 1] = def
    else
      status = status == cli.status.BAD and status or bad
    end
  end
  if status then return nil, status end
  return defs
end

--- What is wrong with the inputs of a run; nil: nothing.
local function refusal(def, start)
  for _, kind in ipairs(KINDS) do
    local checked, err = inputs.check(def[kind[2]], start[kind[1]])
    if not checked then return err end
  end
end

local function complain(env, def, problem)
  for _, finding in ipairs(type(problem) == "table" and problem.errors or { problem }) do
    cli.complain(env, ("%s: %s"):format(def.name, type(finding) == "table" and tostring(finding):gsub("^[^:]*: ", "", 1) or finding))
  end
end

---@class step.cli.Start
---@field def step.Definition
---@field options step.StartOptions    what to start it with; its inputs are good

--- What the files and options of a command line say is to be started.
---@param options table
---@param env step.cli.Environment
---@return step.cli.Start[]?
---@return integer? status    why nothing is
function M.all(options, env)
  local defs, status = M.definitions(options.files, options, env)
  if not defs then return nil, status end
  local files = {}
  for _, kind in ipairs { { "input", "inputs" }, { "resolver_input", "resolver_inputs" }, { "config", "config" } } do
    local name, path = kind[1], options[kind[2]]
    local object, message = values.object(path, env)
    if not object then
      cli.complain(env, message)
      return nil, cli.status.USAGE
    end
    files[name] = object
    if name ~= "config" then warn_unknown(object, path, defs, kind[2], env) end
  end
  local mine, problem = sort_inputs(defs, options)
  if not mine then
    cli.complain(env, problem)
    return nil, cli.status.USAGE
  end
  local starts = {}
  for i, def in ipairs(defs) do
    local start
    start, problem = start_options(def, options, files, env, mine[def])
    problem = problem or refusal(def, start)
    if problem then
      complain(env, def, problem)
      return nil, cli.status.USAGE
    end
    starts[i] = { def = def, options = start }
  end
  return starts
end

return M
