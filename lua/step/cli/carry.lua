--- Carries a run on before somebody's eyes: a live table or a line an event, then its result.

local cli = require "step.cli"
local drive = require "step.cli.drive"
local json = require "step.json"
local progress = require "step.cli.progress"
local result_of = require "step.result".result
local terminal = require "step.cli.terminal"
local text = require "step.cli.text"

local M = {}

--- Whether a run is kept in a store: others may know it by its id.
local function is_kept(run) return run.keeper ~= nil and not run.keeper.store.live end

--- What shows the run while it goes on: an object with event, tick, catch_up and finish; nil when nothing is to be shown.
local function view(run, options, env)
  local screen = terminal.screen(env, options.json and env.err or env.out)
  if options.quiet or (options.json and not screen.live) then return nil end
  local known, seen = progress.new(run, run.loop:now()), run.events or 0
  local shown = require(screen.live and "step.cli.live" or "step.cli.lines").new(screen, known)
  local title = screen:paint(text.clean(run.title), "bold")
  if is_kept(run) then title = title .. screen:paint("  run " .. text.clean(run.id), "dim") end
  screen.stream:write(title, "\n")
  local function show(event)
    seen = event.seq
    shown:event(event, known:feed(event))
  end
  run:on("transition", show)
  --- Shows what another engine has done meanwhile.
  local function catch_up()
    for _, event in ipairs(run.keeper.engine:events(run.id, { after = seen }) or {}) do show(event) end
  end
  return shown, catch_up
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

--- The first words of what is said of a run.
local function subject(run)
  return is_kept(run) and ("%s (run %s)"):format(run.definition.name, run.id) or run.definition.name
end

--- What a run that is WAITING waits for, and how it goes on.
local function waiting(run)
  for name, step in pairs(run.steps) do
    if step.state == "WAITING" then
      local how = is_kept(run) and ("; `luastep why RUN %s` tells how it goes on"):format(name) or ""
      return ("step '%s' is WAITING%s%s"):format(name, step.error and ": " .. step.error or "", how)
    end
  end
end

local function report(run, ok, err, env)
  if not ok then
    local words = tostring(err)
    cli.complain(env, is_kept(run) and words:find(run.id, 1, true) and words or ("%s: %s"):format(subject(run), words))
  elseif run.state ~= "DONE" then
    local why, when = run.error, ""
    if run.state == "WAITING" then
      why = waiting(run)
    elseif run.next_retry then
      when = "; it can be tried again in " .. text.duration(run.next_retry - run.loop:now())
    end
    cli.complain(env, ("%s is %s%s%s"):format(subject(run), run.state, why and ": " .. why or "", when))
  end
end

--- Carries a run on to its end. Asked to stop, it cancels a run in memory and pauses one of a store.
---@param run step.Run
---@param options { quiet?: boolean, json?: boolean, no_wait?: boolean, now?: boolean, shared?: boolean }
--- now: begin as a person, whatever the state; shared: unless a worker has begun already
---@param env step.cli.Environment
---@return boolean done
---@return boolean interrupted
function M.run(run, options, env)
  local shown, catch_up = view(run, options, env)
  local family = run.keeper and not is_kept(run) and run.keeper.engine or nil
  local interrupted = false
  local ok, err = drive.run(run, {
    wait = not options.no_wait, now = options.now, shared = options.shared, engine = family,
    tick = function(now) if shown then shown:tick(now) end end,
    watch = function() if catch_up then catch_up() end end,
    stop = env.interrupts and env.interrupts.asked,
    stopped = function()
      interrupted = true
      if is_kept(run) then run:pause() else run:cancel() end
      local words = "interrupted: the run stops as soon as it can; once more to give up"
      if shown and shown.note then shown:note(words) else cli.complain(env, words) end
    end,
  })
  if shown then shown:finish(run.loop:now()) end
  if run.state == "CLOSED" then -- the store has failed, or somebody else has taken the run
    require "step.cli.store".complain(env, run, err)
    return false, interrupted
  end
  local done = ok and run.state == "DONE" or false
  if options.json then
    local exported = run:export()
    exported.title, exported.result, exported.error = run.title, result_of(run), run.error
    env.out:write(json.encode(exported), "\n")
  elseif done then
    done = show_result(run, env)
  end
  env.out:flush()
  report(run, ok, err, env)
  return done, interrupted or (err ~= nil and err.kind == "interrupted")
end

return M
