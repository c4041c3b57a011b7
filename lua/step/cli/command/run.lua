--- luastep run FILE...: runs definitions, one after the other.

local cli = require "step.cli"
local core = require "step.core"
local drive = require "step.cli.drive"
local json = require "step.json"
local progress = require "step.cli.progress"
local source = require "step.cli.source"
local suggest = require "step.suggest"
local terminal = require "step.cli.terminal"
local text = require "step.cli.text"
local values = require "step.cli.values"
local result_of = require "step.result".result

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
    local near = suggest.nearest(name, names)
    near = near and (" (did you mean '%s'?)"):format(near) or ""
    source.warning(env, ("%s: no definition has an input '%s'%s"):format(path, name, near))
  end
end

--- What the options say about the start of a run.
local function start_options(def, options, files, env, mine)
  local start = {
    input = {}, resolver_input = {}, config = files.config, clock = env.clock or core.now,
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

--- All runs, started; nil and a status when that is impossible.
local function start_all(options, env)
  local paths, status = source.paths(options.files, options, env)
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
  local runs = {}
  for _, def in ipairs(defs) do
    local start, message = start_options(def, options, files, env, mine[def])
    local run, err
    if start then run, err = def:start(start) end
    if not run then
      for _, finding in ipairs(err and err.errors or { message or err }) do
        cli.complain(env, ("%s: %s"):format(def.name, finding.message and tostring(finding):gsub("^[^:]*: ", "", 1) or tostring(finding)))
      end
      return nil, cli.status.USAGE
    end
    runs[#runs + 1] = run
  end
  return runs
end

--- What shows the run while it goes on: an object with event, tick and finish; nil when nothing is to be shown.
local function view(run, options, env)
  local screen = terminal.screen(env, options.json and env.err or env.out)
  if options.quiet or (options.json and not screen.live) then return nil end
  local known = progress.new(run, run.loop:now())
  local shown = require(screen.live and "step.cli.live" or "step.cli.lines").new(screen, known)
  screen.stream:write(screen:paint(text.clean(run.title), "bold"), "\n")
  run:on("transition", function(event) shown:event(event, known:feed(event)) end)
  return shown
end

local function show_result(run, env)
  local result, err = result_of(run)
  if err then
    cli.complain(env, ("%s: %s"):format(run.definition.name, tostring(err)))
  elseif result ~= nil then
    env.out:write(require "step.cli.pretty"(result), "\n")
  end
  return err == nil
end

--- Runs one; whether it is done.
local function execute(run, options, env)
  local shown = view(run, options, env)
  local ok, err = drive.run(run, {
    wait = not options.no_wait,
    tick = function(now) if shown then shown:tick(now) end end,
    interrupted = function()
      local words = "interrupted: what is running ends first; once more to give up"
      if shown and shown.note then shown:note(words) else cli.complain(env, words) end
    end,
  })
  if shown then shown:finish(run.loop:now()) end
  local done = ok and run.state == "DONE"
  if options.json then
    local exported = run:export()
    exported.title, exported.result = run.title, result_of(run)
    env.out:write(json.encode(exported), "\n")
  elseif done then
    done = show_result(run, env)
  end
  env.out:flush()
  if not ok then
    cli.complain(env, ("%s: %s"):format(run.definition.name, tostring(err)))
  elseif run.state ~= "DONE" then
    local why = run.error
    local when = ""
    if run.next_retry then when = "; it can be tried again in " .. text.duration(run.next_retry - run.loop:now()) end
    cli.complain(env, ("%s is %s%s%s"):format(run.definition.name, run.state, why and ": " .. why or "", when))
  end
  return done
end

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local status = source.prepare(options, env)
  if status then return status end
  local runs
  runs, status = start_all(options, env)
  if not runs then return status end
  status = cli.status.DONE
  for _, run in ipairs(runs) do
    if not execute(run, options, env) then status = cli.status.NOT_DONE end
    local cancelled = run.state == "CANCELLED"
    run:close()
    if cancelled then break end
  end
  return status
end
