--- luastep show RUN: what is known of a run: its state, its steps, what happened to it.

local cli = require "step.cli"
local json = require "step.json"
local look = require "step.cli.look"
local result_of = require "step.result".result
local store = require "step.cli.store"
local terminal = require "step.cli.terminal"
local text = require "step.cli.text"
local time = require "step.time"

--- When each step started last, and how long it took.
---@return table<string, { started: number, seconds?: number }>
local function times_of(events)
  local times = {}
  for _, event in ipairs(events) do
    if event.step and (event.to == "RUNNING" or event.to == "EXPANDED") then
      times[event.step] = { started = event.time }
    elseif event.step and times[event.step] and not times[event.step].seconds then
      times[event.step].seconds = event.time - times[event.step].started
    end
  end
  return times
end

--- The numbers of the steps, children after their parents.
local function order_of(run)
  local c, children, order = run.core, {}, {}
  for i = 1, c:top() do
    local parent = c:exists(i) and select(4, c:step(i))
    if parent then
      children[parent] = children[parent] or {}
      table.insert(children[parent], i)
    end
  end
  for i = 1, #run.definition.graph do
    order[#order + 1] = i
    for _, child in ipairs(children[i] or {}) do order[#order + 1] = child end
  end
  return order
end

local function moment(seconds) return time.format(math.floor(seconds)) end

--- With milliseconds.
local function exact(seconds)
  local millis = math.floor(seconds * 1000 + 0.5)
  return ("%s.%03dZ"):format(moment(millis // 1000):sub(1, -2), millis % 1000)
end

local function head(run, screen)
  local row, now = run.row, run.loop:now()
  local style, sign = look.of(run.state, screen.unicode)
  local lines = { { "run", run.id }, { "state", screen:paint(sign .. " " .. run.state, style) }, { "definition", row.name } }
  local function add(name, value) if value then lines[#lines + 1] = { name, text.clean(tostring(value)) } end end
  add("error", run.error)
  add("key", row.key)
  add("created", moment(row.created) .. (row.requester_username ~= "" and " by " .. row.requester_username or ""))
  add("changed", moment(row.changed))
  add("resolves", run.run_count > 0 and ("%d%s"):format(run.run_count, row.failed_count > 0 and (", %d of at most %d failed"):format(
    row.failed_count, row.run_max) or ""))
  if run.next_retry and run.next_retry ~= run.deadline then
    local what = run.state == "WAITING" and "next look" or "next try"
    add(what, ("%s, in %s"):format(moment(run.next_retry), text.duration(run.next_retry - now)))
  end
  add("deadline", run.deadline and moment(run.deadline))
  add("worker", row.owner and ("%s, lease until %s%s"):format(row.owner, moment(row.due), row.due < now and " (over)" or ""))
  add("parent", row.parent and ("%s, step %s"):format(row.parent, row.parent_step or "?"))
  local tags = {}
  for name, value in pairs(run.tags) do tags[#tags + 1] = ("%s=%s"):format(name, tostring(value)) end
  table.sort(tags)
  add("tags", #tags > 0 and table.concat(tags, " "))
  return lines
end

local function steps(run, screen, events)
  local c, times, lines, width = run.core, times_of(events), {}, 4
  for _, i in ipairs(order_of(run)) do
    local state, tries, _, parent = c:step(i)
    local name = (parent and "  " or "") .. text.clean(c:name(i))
    local at = times[c:name(i)]
    lines[#lines + 1] = { i = i, name = name, state = state, tries = tries, at = at }
    width = math.max(width, math.min(text.width(name), 40))
  end
  local titles = ("  %s  %-16s %5s  %-20s %8s"):format(text.pad("STEP", width), "STATE", "TRIES", "STARTED", "TOOK")
  screen.stream:write("\n", screen:paint(titles, "dim"), "\n")
  for _, line in ipairs(lines) do
    local style, sign = look.of(line.state, screen.unicode)
    local message = select(3, c:results(line.i))
    local words = ("%s %s  %s %5s  %-20s %8s  %s"):format(screen:paint(sign, style), text.pad(line.name, width),
      screen:paint(text.pad(line.state, 16), style), line.tries > 0 and line.tries or "", line.at and moment(line.at.started) or "",
      line.at and line.at.seconds and text.duration(line.at.seconds) or "", message and text.clean(message) or "")
    screen.stream:write((words:gsub(" +$", "")), "\n")
  end
end

local function write_events(events, screen)
  screen.stream:write("\n")
  for _, event in ipairs(events) do
    local parts = {
      ("%5d"):format(event.seq), exact(event.time), text.clean(event.step or "run"),
      ("%s -> %s"):format(event.from, screen:paint(event.to, (look.of(event.to, screen.unicode)))),
    }
    if event.message and event.message ~= "" then parts[#parts + 1] = text.clean(event.message) end
    screen.stream:write(table.concat(parts, "  "), "\n")
  end
end

local function write_json(run, events, options, env)
  local exported, err = run:export()
  if not exported then return err end
  local row = run.row
  exported.title, exported.result, exported.error = run.title, result_of(run), run.error
  exported.key, exported.changed, exported.owner = row.key, time.format(row.changed), row.owner
  exported.lease_until = row.owner and time.format(row.due)
  exported.parent, exported.parent_step = row.parent, row.parent_step
  if options.events then
    exported.events = json.array {}
    for i, event in ipairs(events) do
      exported.events[i] = {
        seq = event.seq, time = time.format(event.time), step = event.step, from = event.from, to = event.to, message = event.message,
      }
    end
  end
  env.out:write(json.encode(exported), "\n")
end

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  return store.with_run(options, env, function(engine, run)
    local events, err = engine:events(run.id)
    if events and options.json then
      err = write_json(run, events, options, env)
    elseif events then
      local screen = terminal.screen(env, env.out)
      env.out:write(screen:paint(text.clean(run.title), "bold"), "\n")
      for _, line in ipairs(head(run, screen)) do
        env.out:write(screen:paint(("  %-11s"):format(line[1]), "dim"), line[2], "\n")
      end
      steps(run, screen, events)
      if options.events then write_events(events, screen) end
    end
    if not err then return cli.status.DONE end
    cli.complain(env, err)
    return cli.status.NOT_DONE
  end)
end
