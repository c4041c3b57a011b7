--- Why a step is where it is: what holds it, the root of it first, and what a person can do about it.
--
-- A step is held by its own state, by steps that it waits for (step.why.walk), or by its run. Each of these has a sentence here.

local functions = require "step.functions"
local run_module = require "step.run"
local signal = require "step.signal"
local time = require "step.time"
local walk = require "step.why.walk"

local M = {}

--- Roots, children and the like that are told one by one.
local TOLD = 5

---@class step.Reason
---@field kind string     ended, pruned, failed, exhausted, crashed, retry, resource, waiting, running, children, turn, dependency, run
---@field step? string    the step that it is about
---@field text string     sentences, with what a person can do
---@field can string[]    that in words for programs: resolve, resume, retry, retry failed, set state, signal; see the methods of a
--- run; show: another run has to end first, look at that
---@field callback? string    its name, where a signal for one is waited for
---@field run? string         the id of that other run

---@class step.Explanation
---@field state string
---@field ready boolean           nothing holds the step but its turn
---@field reasons step.Reason[]   the root first

-- {step} and the like are filled in; {told} is the error, as the end of a sentence.
local SENTENCES = {
  CLIENT_ERROR = { "failed", { "resolve", "set state" },
    "{step} is CLIENT_ERROR: what it was asked for is wrong{told}. It is not tried again by itself: put that right and resolve the run, "
    .. "or set its state." },
  FATAL_ERROR = { "failed", { "resolve", "set state" },
    "{step} is FATAL_ERROR: it cannot go on{told}. It is not tried again by itself: put that right and resolve the run, or set its "
    .. "state." },
  exhausted = { "exhausted", { "retry failed", "retry", "set state" },
    "{step} is FATAL_ERROR: its tries are used up{told}. Resolving the run does not run it again: retry it, its tries forgotten, or set "
    .. "its state." },
  CRASHED = { "crashed", { "resolve", "set state" },
    "{step} is CRASHED: the process that ran it is gone{often}, and nobody knows whether its action took effect. Find out; then resolve "
    .. "the run to run it again, or set its state to what it came to." },
  gone = { "crashed", { "resolve" },
    "{step} is RUNNING, but the process that ran it is gone. The next resolve runs it again if it is idempotent; if it is not, a person "
    .. "has to look first." },
  WAITING = { "waiting", { "resolve", "set state" },
    "{step} is WAITING for somebody to act{told}. When that is done, resolve the run; or set its state.{over}" },
  callback = { "waiting", { "signal", "set state" },
    "{step} is WAITING for somebody to call back{told}. A signal has it go on; or set its state.{over}" },
  child = { "waiting", { "show", "set state" }, "{step} is WAITING{told}. It goes on when that run has ended; or set its state.{over}" },
  batch = { "waiting", { "set state" }, "{step} is WAITING{told}. It goes on when all of them have ended; or set its state.{over}" },
  RUNNING = { "running", {}, "{step} is RUNNING: its action has not ended yet.{resources}" },
  retry = { "retry", { "resolve", "set state" }, "{step} is {state}{told}. {when}" },
  resource = { "resource", { "resolve", "set state" },
    "{step} is {state}: it could not have its resources{told}. {when} How many may use them is the engine's resource_limits." },
  AFTERRUN_ERROR = { "retry", { "resolve", "set state" },
    "{step} is AFTERRUN_ERROR: its action has ended, but its check conditions could not be evaluated{told}. Only they are done again. "
    .. "{when}" },
  children = { "children", {}, "{step} is EXPANDED: {ended} of its {all} children have ended; it waits for {open}." },
  expanded = { "children", {}, "{step} is EXPANDED: its children have ended, it waits for what is before them." },
  turn = { "turn", {}, "{step} has all that it needs: it starts when the run goes on." },
  queued = { "turn", {},
    "{step} has all that it needs: it starts when it is its turn and the engine may have one more action in flight (max_concurrent)." },
  full = { "turn", {}, "{step} has all that it needs, but {whose} max_concurrent is {most}, and {n} {are} in flight: it starts when one of "
    .. "them ends." },
  tolerated = { "ended", { "resolve", "set state" }, "{step} has failed as {state}{told}, which its foreach step accepts (tolerate)." },
  hopeless = { "dependency", { "retry", "set state" },
    "{step} needs {target} to be {accepted}, and that has ended as {state}{told}. Neither changes by itself: retry from {target}, or set "
    .. "the state of one of them." },
  dependency = { "dependency", {}, "{step} needs {target} to be {accepted}; that is {state}{behind}." },
  previous = { "dependency", {}, "{step} comes after {target}, one child after the other; that is {state}{behind}." },
  more = { "dependency", {}, "{n} more before {step} hold it likewise." },
  pruned = { "pruned", { "retry", "set state" },
    "{step} is PRUNE{via}: {target} ended as {state}{told}, and {needs} needs it to be {accepted}. Retry from {target} to decide anew." },
  cut = { "pruned", { "retry", "set state" },
    "{step} is PRUNE{via}{told}: a condition or a person has cut {target} off. Retry from {target} to decide anew." },
  ended = { "ended", { "retry" }, "{step} has ended as {state}{told}." },
}

local OF_RUN = {
  PAUSED = { { "resume" }, "The run is PAUSED: resume it, then it goes on." },
  CANCELLED = { { "retry" }, "The run is CANCELLED{error}: nothing of it starts any more, unless it is retried from a step." },
  ending = { {}, "The run is being cancelled{error}: nothing of it starts any more but the steps that clean up (always)." },
  BLOCKED_MAXRETRIES = { { "retry failed", "resolve" },
    "The run is BLOCKED_MAXRETRIES: as many resolves have failed as may. See to the cause; then retry what failed." },
  often = { { "resolve" },
    "The run is BLOCKED_TOCHECK: too many of the processes that worked on it are gone. See what ends them; then resolve it." },
  blocked = { { "resolve" }, "The run is {state}: no worker goes on with it, a person has to resolve it{error}." },
  WAITING = { { "resolve" }, "The run is WAITING: it goes on when it is resolved." },
  later = { { "resolve" }, "The run is {state}: it goes on at {time}, or when it is resolved." },
  due = { { "resolve" }, "The run is {state}: it goes on as soon as there is a worker, or when it is resolved." },
  code = { { "resolve" },
    "The run is {state}, of a definition that holds Lua functions: only a worker that has it goes on with the run, or who resolves it "
    .. "with that." },
  alone = { { "resolve" }, "The run is {state}: it goes on when it is resolved." },
  others = { {}, "Another engine works on the run; its lease ends at {time} unless it is renewed." },
  silent = { {}, "The engine that worked on the run has given no sign of life until {time}, when its lease ended: the next worker takes it "
    .. "over." },
}

-- The most urgent roots first.
local URGENCY = {
  crashed = 1, exhausted = 1, failed = 1, dependency = 1, waiting = 2, resource = 3, retry = 3, running = 4, children = 5, turn = 6,
}

local function fill(text, values) return (text:gsub("{(%l+)}", values)) end

local function list_words(list, last)
  if #list < 2 then return list[1] or "" end
  return table.concat(list, ", ", 1, #list - 1) .. " " .. last .. " " .. list[#list]
end

--- The first few, and how many more.
local function some(list)
  local told = table.move(list, 1, math.min(#list, TOLD), 1, {})
  if #list > TOLD then told[#told + 1] = ("%d more"):format(#list - TOLD) end
  return list_words(told, "and")
end

local function accepted(need) return need.states and list_words(need.states, "or") or "in a final state, and all before it" end

local function moment(seconds) return time.format(math.floor(seconds + 0.5)) end

local function because(text) return text and text ~= "" and ": " .. text or "" end

---@param w step.why.Walk
local function error_of(w, i) return (select(3, w.core:results(i))) end

--- Calls fn for every condition of a definition, functions' conditions with those of the steps that use them.
local function each_condition(def, fn)
  local function find(name) return def.used_functions[name] end
  for number, spec in pairs(def.specs) do
    local lists = { spec.conditions }
    local chain = type(spec.action) == "table" and functions.chain(spec.action, find) or {} -- else it is a Lua function
    for _, link in ipairs(chain) do lists[#lists + 1] = link.fn and link.fn.conditions end
    for _, list in ipairs(lists) do
      for _, cond in ipairs(list) do fn(number, cond) end
    end
  end
end

--- Which condition has set the state a step is in, as far as can be told: nothing is kept of it but its message.
---@param w step.why.Walk
local function setter(w, i)
  local owner, state, text = w:parent(i) or i, w:state(i), error_of(w, i)
  local name, sure, perhaps = w.graph:name(owner), nil, nil
  each_condition(w.run.definition, function(number, cond)
    local targets = type(cond["then"]) == "table" and cond["then"] or {}
    if not (targets[name] == state or number == owner and targets.this == state) then return end
    local message = cond.message
    if type(message) == "string" and not message:find("{{", 1, true) then
      if message == text then sure = math.min(sure or number, number) end
    elseif type(message) == "function" or type(message) == "string" then
      perhaps = math.min(perhaps or number, number)
    elseif text == nil then
      sure = math.min(sure or number, number)
    end
  end)
  if sure then return ("set by a condition of '%s'"):format(w.graph:name(sure)) end
  if perhaps then return ("as a condition of '%s' may have set it"):format(w.graph:name(perhaps)) end
end

--- A step's error as the end of a sentence, with the condition that has set its state.
local function told(w, i)
  local by = setter(w, i)
  return because(error_of(w, i)) .. (by and (" (%s)"):format(by) or "")
end

local function quoted(w, i) return ("'%s'"):format(w:name(i)) end

--- The reason of that name about a step.
local function reason(w, name, i, values)
  local kind, can, text = table.unpack(SENTENCES[name])
  values = values or {}
  values.step, values.state = quoted(w, i), values.state or w:state(i)
  return { kind = kind, step = w:name(i), text = fill(text, values), can = table.move(can, 1, #can, 1, {}) }
end

-- ---- what a step's own state says ----

--- When a step is tried again by itself.
local function retry_time(w, i)
  local extra = w.core:extra(i)
  return extra and extra.next_retry or w.run.next_retry
end

local function retry(w, i, state)
  local run, due = w.run, retry_time(w, i)
  local when
  if run.state ~= "ERROR" and run.state ~= "CRASHED" then
    when = "It is tried again when the run goes on."
  elseif due and due > run.loop:now() then
    when = ("It is tried again at %s; resolve the run to try it now."):format(moment(due))
  else
    when = "It is due: it is tried again as soon as there is a worker, or when the run is resolved."
  end
  local text = error_of(w, i)
  local name = state == "AFTERRUN_ERROR" and state or text and text:find "^failed to acquire resources" and "resource" or "retry"
  return reason(w, name, i, { told = told(w, i), when = when })
end

--- Steps in flight that use one of the resources of a step.
local function rivals(w, i, resources)
  local wanted, list = {}, {}
  for _, name in ipairs(resources) do wanted[name] = true end
  for other = 1, w.core:top() do
    if other ~= i and w.core:exists(other) and w:state(other) == "RUNNING" then
      local spec, shared = w:spec(other), false
      for _, name in ipairs(spec and spec.resources or {}) do shared = shared or wanted[name] end
      if shared then list[#list + 1] = quoted(w, other) end
    end
  end
  return list
end

local function running(w, i)
  if w.run.state ~= "RUNNING" then return reason(w, "gone", i) end
  local spec, text = w:spec(i), ""
  local resources = spec and spec.resources or {}
  if #resources > 0 then
    local list = rivals(w, i, resources)
    text = (" It may have to wait for its resources (%s)%s."):format(table.concat(resources, ", "),
      #list > 0 and ("; steps in flight that use them, too: %s"):format(some(list)) or "")
  end
  return reason(w, "RUNNING", i, { resources = text })
end

local function expanded(w, i)
  local all, open = w.children[i] or {}, {}
  for k, child in ipairs(w:open_children(i)) do open[k] = ("%s (%s)"):format(quoted(w, child), w:state(child)) end
  if #open == 0 then return reason(w, "expanded", i) end
  return reason(w, "children", i, { ended = #all - #open, all = #all, open = some(open) })
end

--- A step that may start while the run goes on. Limits of its loop and of its run are known, the engine's is not.
local function queued(w, i)
  local parent = w:parent(i)
  local function full(most, whose, list)
    local n = 0
    for _, other in ipairs(list) do if w:state(other) == "RUNNING" then n = n + 1 end end
    if n >= most then return reason(w, "full", i, { whose = whose, most = most, n = n, are = n == 1 and "is" or "are" }) end
  end
  local of_loop = parent and w:spec(i).max_concurrent
  local made = math.type(of_loop) == "integer" and full(of_loop, "its foreach step's", w.children[parent])
  local of_run = w.core:limit()
  if not made and of_run then
    local all = {}
    for other = 1, w.core:top() do if w.core:exists(other) then all[#all + 1] = other end end
    made = full(of_run, "the run's", all)
  end
  return made or reason(w, "queued", i)
end

--- A step that waits for somebody, for a callback or for other runs, as its metadata tells (lua/step/runners).
local function waiting(w, i)
  local run, expires = w.run, (w.core:extra(i) or {}).expires
  local values = { told = told(w, i), over = expires and (" Its timeout ends this at %s."):format(moment(expires)) or "" }
  local metadata = select(2, w.core:results(i))
  if type(metadata) ~= "table" then return reason(w, "WAITING", i, values) end
  for _, callback in ipairs(metadata.waits_for and signal.callbacks(run) or {}) do
    if callback.id == metadata.waits_for then
      local made = reason(w, "callback", i, values)
      made.callback = callback.name
      return made
    end
  end
  local store = run.keeper and run.keeper.store
  if store and type(metadata.batch_id) == "string" then return reason(w, "batch", i, values) end
  if store and type(metadata.id) == "string" and store:get(metadata.id) then
    local made = reason(w, "child", i, values)
    made.run = metadata.id
    return made
  end
  return reason(w, "WAITING", i, values)
end

--- A root: what its state says.
local function root_reason(w, i)
  local state, tries = w.core:step(i)
  if state == "RUNNING" then return running(w, i) end
  if state == "EXPANDED" then return expanded(w, i) end
  if state == "WAITING" then return waiting(w, i) end
  if state == "TODO" or state == "RETRY_NOW" then return w.run.state == "RUNNING" and queued(w, i) or reason(w, "turn", i) end
  if state == "FATAL_ERROR" then
    local most = w.run.steps[w:name(i)].max_retries
    if most >= 0 and tries > most then return reason(w, "exhausted", i, { told = because(error_of(w, i)) }) end
  elseif state == "CRASHED" then
    local times = (w.core:extra(i) or {}).takeovers or 0
    return reason(w, state, i, { often = times > 1 and (", for the %d. time"):format(times) or "" })
  elseif not SENTENCES[state] or state == "AFTERRUN_ERROR" then
    return retry(w, i, state)
  end
  return reason(w, state, i, { told = told(w, i) })
end

local function hopeless(w, i, need)
  local made = reason(w, "hopeless", i, {
    target = quoted(w, need.target), accepted = accepted(need), state = w:state(need.target), told = told(w, need.target),
  })
  made.step = w:name(need.target)
  return made
end

--- Why a step is PRUNE: back to the one that was not.
local function pruned(w, i)
  local path = { i }
  local need
  repeat
    need = w:pruner(path[#path])
    if need then path[#path + 1] = need.target end
  until not need or w:state(need.target) ~= "PRUNE"
  local last = path[#path]
  local values = { target = quoted(w, last), state = w:state(last), told = told(w, last), via = "" }
  local between = {} -- PRUNE, too, between the step and the one that began it
  for k = 2, need and #path - 1 or #path do between[#between + 1] = quoted(w, path[k]) end
  if #between > 0 then values.via = (", as %s %s"):format(some(between), #between == 1 and "is" or "are") end
  if need then values.accepted, values.needs = accepted(need), quoted(w, path[#path - 1]) end
  local made = reason(w, need and "pruned" or "cut", i, values)
  made.step = w:name(last)
  return made
end

-- ---- what the run says ----

--- Why nothing of the run starts now; nil when that is not so, or when the roots say it.
---@param kinds table<string, boolean>    of the roots
local function of_run(run, kinds)
  local state, row, now = run.state, rawget(run, "row"), run.loop:now()
  local function say(name, at)
    local can, text = table.unpack(OF_RUN[name])
    local elsewhere = not (kinds.failed or kinds.crashed or kinds.exhausted) and run.error -- the roots do not tell
    text = fill(text, { state = state, time = at and moment(at), error = elsewhere and (" (%s)"):format(elsewhere) or "" })
    return { kind = "run", text = text, can = table.move(can, 1, #can, 1, {}) }
  end
  if state == "RUNNING" and not run.core:ending() then
    if not row or not row.owner or row.owner == run.keeper.owner then return nil end
    return say(row.due and row.due <= now and "silent" or "others", row.due or now)
  end
  if run_module.worn(run) then return say "often" end
  if OF_RUN[state] and state ~= "WAITING" then return say(state) end
  if run.core:ending() then return say "ending" end
  if state:find "^BLOCKED_" then return say "blocked" end
  local due = run.next_retry
  local later = due and due > now
  if rawget(run, "looking") and state ~= "WAITING" and not later then return say "code" end
  if kinds.retry or kinds.resource or kinds.waiting then return nil end
  if state == "WAITING" then return say(state) end
  if later then return say("later", due) end
  return say(run.keeper and "due" or "alone")
end

-- ---- everything ----

--- The roots, the most urgent first, as reasons; and the root behind each blocker of the step itself.
---@return step.Reason[]
---@return table<integer, string> behind
local function roots_of(w, i)
  local reasons, behind, place = {}, {}, {}
  for k, root in ipairs(w:roots(i)) do
    local made = root.need and hopeless(w, root.step, root.need) or root_reason(w, root.step)
    reasons[k], place[made] = made, k
    if root.first and (not behind[root.first] or URGENCY[made.kind] < URGENCY[behind[root.first].kind]) then behind[root.first] = made end
  end
  table.sort(reasons, function(a, b)
    local one, other = URGENCY[a.kind], URGENCY[b.kind]
    if one ~= other then return one < other end
    return place[a] < place[b]
  end)
  return reasons, behind
end

--- The unmet dependencies of the step itself.
---@param behind table<integer, step.Reason>
local function direct(w, i, behind)
  local list = {}
  local function add(name, target, need)
    local root = behind[target]
    local hidden = root and root.step ~= w:name(target) and (", held by '%s'"):format(root.step) or ""
    local made = reason(w, name, i, {
      target = quoted(w, target), state = w:state(target), accepted = need and accepted(need), behind = hidden,
    })
    made.step = w:name(target)
    list[#list + 1] = made
  end
  for _, need in ipairs(w:dependencies(i)) do
    if not w:met(need) and not w:hopeless(need) then add("dependency", need.target, need) end
  end
  local previous = w:previous(i)
  if previous and not w:is_over(previous) then add("previous", previous) end
  return list
end

--- Appends the first few of a list.
local function append(w, i, reasons, list)
  table.move(list, 1, math.min(#list, TOLD), #reasons + 1, reasons)
  if #list > TOLD then reasons[#reasons + 1] = reason(w, "more", i, { n = #list - TOLD }) end
end

local STARTS = { TODO = true, RETRY_NOW = true }
local AGAIN = { SERVER_ERROR = true, TO_RETRY = true, AFTERRUN_ERROR = true }

--- Whether a step does not run any more, as its run is being cancelled and it does not clean up.
local function given_up(w, i)
  local spec = w:spec(i)
  return w.run.core:ending() ~= nil and not (spec and spec.always)
end

--- Whether nothing holds a step but its turn.
local function is_ready(w, i)
  local state, run = w:state(i), w.run
  if run.state == "PAUSED" or run.state == "CANCELLED" or run.state:find "^BLOCKED_" or given_up(w, i) then return false end
  if not STARTS[state] and not (AGAIN[state] and (retry_time(w, i) or 0) <= run.loop:now()) then return false end
  local list, never = w:blockers(i)
  return #list == 0 and #never == 0
end

--- Explains a step.
---@param run step.Run
---@param step_name string
---@return step.Explanation?
---@return step.Error? err    kind "refused": there is no such step
function M.explain(run, step_name)
  local i, err = run_module.find(run, step_name)
  if not i then return nil, err end
  local w = walk.new(run)
  local state = w:state(i)
  if w.final(state) then
    local made = state == "PRUNE" and pruned(w, i) or reason(w, "ended", i, { told = told(w, i) })
    return { state = state, ready = false, reasons = { made } }
  elseif w.core:tolerated(i) then
    return { state = state, ready = false, reasons = { reason(w, "tolerated", i, { told = told(w, i) }) } }
  end
  local roots, behind = roots_of(w, i)
  local kinds, held, turns, reasons = {}, {}, {}, {}
  for _, made in ipairs(roots) do
    kinds[made.kind] = true
    local list = made.kind == "turn" and turns or held
    list[#list + 1] = made
  end
  if given_up(w, i) and state ~= "RUNNING" then
    return { state = state, ready = false, reasons = { of_run(run, kinds) } }
  end
  append(w, i, reasons, held)
  reasons[#reasons + 1] = of_run(run, kinds)
  append(w, i, reasons, turns)
  if state ~= "EXPANDED" and state ~= "RUNNING" then append(w, i, reasons, direct(w, i, behind)) end
  return { state = state, ready = is_ready(w, i), reasons = reasons }
end

return M
