--- The arguments of `luastep`: which there are, and what they say.

local argparse = require "argparse"

local bounds = require "step.cli.bounds"
local store_arguments = require "step.cli.store_arguments"
local suggest = require "step.suggest"

local M = {}

local EPILOG = "Exit status: 0 done, 1 not done, 2 a bad definition or template, 3 wrong usage."

local function add_source_options(command)
  command:option("-f --functions", "Functions from a file, or from all files of a directory and those below it.")
    :argname("DIR"):count "*"
  command:flag("--lua", "Let Lua in the files run: { $lua: ... } expressions, and .lua files of a directory.")
  command:option("--require", "Load a Lua module first; it may register runners."):argname("MODULE"):count "*":target "modules"
end

local function add_help(command)
  command:flag("-h --help", "Show this help."):target "help"
end

--- Options of commands that start runs.
local function add_start_options(command)
  command:option("-i --input", "An input, read by its declared type; a list as JSON, or one value after the other: -i h=a -i h=b.")
    :argname("KEY=VALUE"):count "*":target "input"
  command:option("--inputs", "A YAML or JSON file of inputs; - reads the standard input."):argname("FILE")
  command:option("-r --resolver-input", "An input of the person who resolves."):argname("KEY=VALUE"):count "*":target "resolver_input"
  command:option("--resolver-inputs", "A file of such inputs."):argname("FILE"):target "resolver_inputs"
  command:option("-c --config", "A YAML or JSON file: what templates see as .config."):argname("FILE")
  command:option("-t --tag", "A tag of the run."):argname("NAME=VALUE"):count "*":target "tag"
  command:option("--requester", "The name of who asks for the run; else the environment's USER."):argname("NAME")
  command:option("--resolver", "The name of who resolves it; else the same."):argname("NAME")
end

local function build()
  local parser = argparse("luastep", "Runs workflows from files, checks them and draws them.", EPILOG)
    :command_target "command":require_command(false):add_help(false)
    :help_max_width(100):help_description_margin(32)
  add_help(parser)
  parser:flag("--version", "Show the version."):target "version"

  local run = parser:command("run", "Run a definition."):add_help(false)
  run:argument("file", "Definitions: .yaml, .yml, .json, .lua, or a directory of them. They run one after the other.")
    :args "+":argname("FILE"):target "files"
  add_start_options(run)
  add_source_options(run)
  store_arguments.add_store(run, "Keep the runs in this file, where they outlive the process; else the variable LUASTEP_STORE names it.")
  run:option("--with", "Definitions, or directories of them, that a run may start by their names (workflow, batch)."):argname("FILE")
    :count "*"
  bounds.add(run)
  run:flag("--no-wait", "Do not wait for retries: one pass."):target "no_wait"
  run:flag("--json", "Print the run as JSON, one line a run, and nothing else.")
  run:flag("-q --quiet", "Show no progress.")
  add_help(run)

  local validate = parser:command("validate", "Check definitions: all errors and warnings."):add_help(false)
  validate:argument("file", "Definitions, or directories of them."):args "+":argname("FILE"):target "files"
  add_source_options(validate)
  validate:flag("--json", "Print what was found as JSON.")
  add_help(validate)

  local graph = parser:command("graph", "Draw a definition's steps and dependencies."):add_help(false)
  graph:argument("file", "A definition."):argname("FILE")
  graph:mutex(
    graph:flag("--text", "A list, layer by layer. The default."),
    graph:flag("--dot", "For Graphviz."),
    graph:flag("--mermaid", "For Mermaid, as Markdown pages show it."),
    graph:flag("--svg", "A picture."))
  graph:option("-d --direction", "Where the arrows of --svg point; auto: whatever gives the better shape.")
    :argname("DIRECTION"):choices { "auto", "down", "right" }:default "auto"
  graph:option("-o --output", "Write to a file."):argname("FILE")
  add_source_options(graph)
  add_help(graph)

  local render = parser:command("render", "Render a template with given values."):add_help(false)
  render:argument("template", "The template."):argname("TEMPLATE"):args "?"
  render:option("--file", "Read the template from a file; - reads the standard input."):argname("FILE")
  render:option("--values", "A YAML or JSON file of values: input, step, config, ..."):argname("FILE")
  render:option("-v --value", "One value: -v input.name=World; with := it is JSON: -v step.a.output:='{\"x\":1}'.")
    :argname("PATH=VALUE"):count "*":target "value"
  render:flag("--strict", "A missing value is an error, not \"<no value>\".")
  add_help(render)

  local commands = store_arguments.add(parser, { help = add_help, source = add_source_options, start = add_start_options })
  commands.run, commands.validate, commands.graph, commands.render = run, validate, graph, render
  parser:command("version", "Show the version."):add_help(false)
  local help = parser:command("help", "Show help, of a command."):add_help(false)
  help:argument("topic", "A command."):argname("COMMAND"):args "?"
  return parser, commands
end

local NAMES = { "run", "validate", "graph", "render" }
table.move(store_arguments.names, 1, #store_arguments.names, #NAMES + 1, NAMES)
table.move({ "version", "help" }, 1, 2, #NAMES + 1, NAMES)

--- argparse's words as one sentence.
local function sentence(message)
  local unknown = message:match "^unknown command '([^\n]*)'"
  if unknown then
    return ("unknown command '%s'%s; luastep help lists the commands"):format(unknown, suggest.hint(unknown, NAMES))
  end
  return (message:gsub("\nDid you mean (.-)%?$", " (did you mean %1?)"):gsub("\n", " "))
end

--- The help text, or that of a command.
---@param topic? string
---@return string? text
---@return string? message    there is no such command
function M.help(topic)
  local parser, commands = build()
  if topic == nil or topic == "help" or topic == "version" then return parser:get_help() end
  if commands[topic] then return commands[topic]:get_help() end
  return nil, sentence(("unknown command '%s'"):format(topic))
end

--- Reads the arguments.
---@param words string[]
---@return table? options     `command`, and what the command takes
---@return string? message    what is wrong with them
function M.parse(words)
  local parser = build()
  local first = words[1]
  for _, word in ipairs(words) do -- help wins, whatever else is missing
    if word == "--" then break end
    if word == "-h" or word == "--help" then
      return { command = "help", topic = first and first:sub(1, 1) ~= "-" and M.help(first) and first or nil }
    end
  end
  if first == nil then return nil, "a command is expected: " .. table.concat(NAMES, ", ") end
  local ok, result = parser:pparse(words)
  if not ok then
    local lost = result:find "^missing argument" or result:find "^too many arguments"
    return nil, sentence(result) .. (lost and M.help(first) and ("; see luastep help " .. first) or "")
  end
  if result.version and not result.command then result.command = "version" end
  if not result.command then return nil, "a command is expected: " .. table.concat(NAMES, ", ") end
  return result
end

return M
