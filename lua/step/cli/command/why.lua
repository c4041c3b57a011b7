--- luastep why RUN STEP: what holds a step, and what a person can do about it.

local cli = require "step.cli"
local json = require "step.json"
local look = require "step.cli.look"
local store = require "step.cli.store"
local terminal = require "step.cli.terminal"
local text = require "step.cli.text"

--- A word as a shell takes it.
local function word(value)
  if value:find "^[%w_./:=@-]+$" then return value end
  return "'" .. value:gsub("'", "'\\''") .. "'"
end

--- The step to retry from, so that it goes on with that one: of a child its foreach step.
local function from(run, name)
  local number = run.core:find(name)
  local parent = number and select(4, run.core:step(number))
  return parent and run.core:name(parent) or name
end

-- What can be done, as commands: fn(id, step, run, reason).
local COMMANDS = {
  { "signal", function(id, _, _, reason) return "signal", id, reason.callback, "DATA" end },
  { "show", function(_, _, _, reason) return "show", store.short(reason.run) end },
  { "resolve", function(id) return "resume", id end },
  { "resume", function(id) return "resume", id end },
  { "retry failed", function(id) return "retry", id, "--only-failed" end },
  { "retry", function(id, step, run) return "retry", id, "--from", from(run, step) end },
  { "set state", function(id, step) return "set-state", id, step, "DONE" end },
}

--- The commands that help: those of the first reason that names any.
local function commands(explanation, run, options)
  local list, seen = {}, {}
  for _, reason in ipairs(explanation.reasons) do
    local can = {}
    for _, name in ipairs(reason.can) do can[name] = true end
    for _, command in ipairs(COMMANDS) do
      if can[command[1]] then
        local words = { "luastep", command[2](store.short(run.id), reason.step or options.step, run, reason) }
        if options.store then table.move({ "--store", options.store }, 1, 2, #words + 1, words) end
        for i, value in ipairs(words) do words[i] = word(value) end
        local line = table.concat(words, " ")
        if not seen[line] then list[#list + 1] = line end
        seen[line] = true
      end
    end
    if #list > 0 then break end
  end
  return list
end

local function write(explanation, run, options, env)
  local screen = terminal.screen(env, env.out)
  local style, sign = look.of(explanation.state, screen.unicode)
  env.out:write(screen:paint(sign .. " " .. text.clean(options.step), "bold"), "  ", screen:paint(explanation.state, style),
    explanation.ready and "  ready" or "", "\n")
  for _, reason in ipairs(explanation.reasons) do env.out:write("  ", text.clean(reason.text), "\n") end
  local list = commands(explanation, run, options)
  if #list == 0 then return end
  env.out:write(screen:paint("What you can do:", "dim"), "\n")
  for _, line in ipairs(list) do env.out:write("  ", text.clean(line), "\n") end
end

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  return store.with_run(options, env, function(_, run)
    local explanation, err = run:why(options.step)
    if not explanation then
      cli.complain(env, err)
      return cli.status.NOT_DONE
    end
    if options.json then
      json.array(explanation.reasons)
      for _, reason in ipairs(explanation.reasons) do json.array(reason.can) end
      env.out:write(json.encode(explanation), "\n")
    else
      write(explanation, run, options, env)
    end
    return cli.status.DONE
  end)
end
