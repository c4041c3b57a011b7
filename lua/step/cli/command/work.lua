--- luastep work: a worker. It carries on the runs of a store that are due, until it is asked to stop.

local cli = require "step.cli"
local fleet = require "step.cli.fleet"
local source = require "step.cli.source"
local starting = require "step.cli.starting"
local store = require "step.cli.store"
local terminal = require "step.cli.terminal"
local text = require "step.cli.text"

--- What shows the work: an object with event, tick and finish.
local function view(engine, options, env, now)
  local screen = terminal.screen(env, options.json and env.err or env.out)
  if options.quiet then return nil end
  local known = fleet.new(now)
  local shown
  if screen.live then
    shown = require "step.cli.live".new(screen, known)
  else
    shown = require "step.cli.lines".new(screen, known, function(event)
      return store.short(event.run.id) .. "  " .. text.clean(event.step or event.run.definition.name)
    end)
  end
  engine:on("transition", function(event)
    local row = known:feed(event)
    shown:event(event, not event.step and row or nil)
  end)
  return shown
end

--- Says what the engine says of runs that it cannot carry on.
local function listen(engine, env)
  local told = {}
  local function tell(run, err)
    local words = run.id .. tostring(err)
    if not told[words] then store.complain(env, run, err) end
    told[words] = true
  end
  engine:on("refused", tell)
  engine:on("lost", tell)
  engine:on("takeover", function(run) cli.complain(env, ("run %s is taken over: the process that worked on it is gone"):format(run.id)) end)
end

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local status = source.prepare(options, env)
  if status then return status end
  local defs
  defs, status = starting.definitions(options.files, options, env)
  if not defs then return status end
  local engine <close>, bad = store.open(options, env, true)
  if not engine then return bad end
  for _, def in ipairs(defs) do engine:add(def) end
  local now = function() return engine.loop:now() end
  local shown = view(engine, options, env, now())
  listen(engine, env)
  local interrupts, asked = env.interrupts, false
  local function stop()
    if shown then shown:tick(now()) end
    if not interrupts or not interrupts.asked() then return false end
    asked = true
    local words = "stopping: what is running ends first; once more to give up"
    if shown and shown.note then shown:note(words) else cli.complain(env, words) end
    return true
  end
  local ok, err = engine:work { until_idle = options.until_idle, stop = stop }
  if shown then shown:finish(now()) end
  if not ok then
    cli.complain(env, err)
    return cli.status.NOT_DONE
  end
  return asked and options.until_idle and cli.status.NOT_DONE or cli.status.DONE
end
