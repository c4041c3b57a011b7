--- The arguments of the commands that work on a store.

local bounds = require "step.cli.bounds"

local M = {}

--- Names of the commands, in the order in which help lists them.
M.names = { "start", "work", "list", "show", "why", "resume", "retry", "pause", "cancel", "set-state", "signal", "delete" }

--- Adds the option that names the store.
---@param command table    of argparse
---@param words? string
function M.add_store(command, words)
  command:option("--store", words or "The file of the store; else the variable LUASTEP_STORE names it."):argname("PATH")
end

local function add_json(command, what) command:flag("--json", ("Print %s as JSON."):format(what)) end

--- An empty text is how every id begins; it is a shell's variable that is not set, more often than not.
local function id_of(text)
  if text ~= "" then return text end
  return nil, "RUN: the id of a run, or how it begins, is expected, found an empty text"
end

local function add_run(command) command:argument("run", "Its id, or how it begins."):argname("RUN"):convert(id_of) end

local function add_runs(command)
  command:argument("runs", "Ids, or how they begin."):args("+"):argname("RUN"):convert(id_of)
end

--- Options of commands that carry a run on.
local function add_going_on(command, add_source)
  command:flag("--detach", "Leave it to a worker.")
  command:option("-d --definition", "The run's definition, when that is code; definitions that its steps start runs of. The store has "
    .. "all others."):argname("FILE"):count "*"
  command:flag("--upgrade", "Go on with code that has changed since the run was started.")
  add_source(command)
  bounds.add(command)
  command:flag("--no-wait", "Do not wait for retries: one pass."):target "no_wait"
  command:flag("--json", "Print the run as JSON and nothing else.")
  command:flag("-q --quiet", "Show no progress.")
end

local function limit_of(text)
  local n = math.tointeger(tonumber(text))
  if n and n >= 0 then return n end
  return nil, ("--limit: a whole number from 0 is expected, found '%s'"):format(text)
end

local function key_of(text)
  if text ~= "" then return text end
  return nil, "--key: a text that is not empty is expected"
end

--- Adds the commands.
---@param parser table     of argparse
---@param add { help: fun(command: table), source: fun(command: table), start: fun(command: table) }
---@return table<string, table> commands
function M.add(parser, add)
  local commands = {}
  local function command(name, words)
    local made = parser:command(name, words):add_help(false)
    commands[name] = made
    return made
  end

  local start = command("start", "Store a run for the next worker; prints its id.")
  start:argument("files", "A definition, or several."):args("+"):argname("FILE")
  start:option("-k --key", "Of the runs with the same key only the first is made; the others are that one."):argname("KEY"):convert(key_of)
  add.start(start)
  add.source(start)
  M.add_store(start)
  add_json(start, "id, name, key and state")

  local work = command("work", "Carry on the runs of a store that are due: a worker. Ctrl-C stops it.")
  work:argument("files", "Definitions that are code, and those that steps start runs of (workflow, batch); the store has all others.")
    :args("*"):argname("FILE")
  M.add_store(work)
  work:flag("--until-idle", "Until every run has ended, is blocked or waits for somebody."):target "until_idle"
  work:flag("--upgrade", "Runs of code that has changed go on with what it is now.")
  add.source(work)
  bounds.add(work)
  work:flag("-q --quiet", "Show no progress.")

  local list = command("list", "Show the runs of a store.")
  M.add_store(list)
  list:option("-s --state", "Those in a state: TODO, RUNNING, DONE, ERROR, ..."):argname("STATE")
  list:option("-d --definition", "Those of a definition."):argname("NAME")
  list:option("-t --tag", "Those with a tag, or with a value of it."):argname("NAME[=VALUE]"):count "*"
  list:option("-n --limit", "So many of the newest; 0: all."):argname("N"):convert(limit_of):default "50"
  add_json(list, "them")

  local show = command("show", "Show a run: its state, its steps, what happened to it.")
  add_run(show)
  M.add_store(show)
  show:flag("-e --events", "Everything that happened to it, too.")
  add_json(show, "the run, all results included,")

  local why = command("why", "Show what holds a step, and what you can do about it.")
  add_run(why)
  why:argument("step", "The step."):argname("STEP")
  M.add_store(why)
  add_json(why, "it")

  local resume = command("resume", "A PAUSED run goes on; a blocked or failed one is tried again.")
  add_run(resume)
  M.add_store(resume)
  add_going_on(resume, add.source)

  local retry = command("retry", "Try again what failed. Without --from and --only-failed: as resume does.")
  add_run(retry)
  M.add_store(retry)
  retry:mutex(
    retry:option("--from", "This step and all that depends on it, as if they had never run."):argname("STEP"),
    retry:flag("--only-failed", "Only the steps that failed, their tries forgotten."):target "only_failed")
  add_going_on(retry, add.source)

  local pause = command("pause", "No step of a run starts any more until it is resumed.")
  add_runs(pause)
  M.add_store(pause)

  local cancel = command("cancel", "End a run: nothing of it starts any more but the steps that clean up.")
  add_runs(cancel)
  M.add_store(cancel)

  local set_state = command("set-state", "Set the state of a run's step by hand.")
  add_run(set_state)
  set_state:argument("step", "The step."):argname("STEP")
  set_state:argument("state", "DONE, TODO, PRUNE, ..., or a state that the step declares."):argname("STATE")
  M.add_store(set_state)
  set_state:option("-m --message", "Why; it is kept as the step's error."):argname("TEXT")

  local signal = command("signal", "Say something to a run: a step of it waits for a callback.")
  add_run(signal)
  signal:argument("name", "The callback's name, or its id."):argname("NAME")
  signal:argument("data", "JSON; - reads it from the standard input. Default: null."):args("?"):argname("DATA")
  M.add_store(signal)

  local delete = command("delete", "Remove a run and everything of it.")
  add_runs(delete)
  M.add_store(delete)

  for _, made in pairs(commands) do add.help(made) end
  return commands
end

return M
