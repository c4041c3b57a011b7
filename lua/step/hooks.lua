--- Hooks of an engine: whom it tells of what happens to its runs, and when.
--
-- `transition` is told while it happens, also of what may never be stored. All others that tell of a run are told when it is stored:
-- what a hook does with it (a message, an entry in another system) is not made a lie by a crash. A hook that fails is reported by
-- warn() and changes nothing.

local M = {}

--- Told of the run itself, by the state that it has now.
local BY_STATE = { CANCELLED = "cancelled", CRASHED = "failed", DONE = "done", ERROR = "failed", WAITING = "waiting" }

--- Told when what happened is stored.
local STORED = { blocked = true, cancelled = true, done = true, failed = true, state = true, step = true, waiting = true }

M.EVENTS = { "blocked", "cancelled", "done", "failed", "lost", "refused", "state", "step", "takeover", "transition", "waiting" }

---@param event any
---@return boolean
function M.known(event)
  for _, name in ipairs(M.EVENTS) do
    if name == event then return true end
  end
  return false
end

--- Calls the hooks of an event.
---@param keeper step.Keeper
---@param event string
---@param ... any
function M.emit(keeper, event, ...)
  for _, fn in ipairs(keeper.hooks[event] or {}) do
    local ok, problem = pcall(fn, ...)
    if not ok then
      local said, text = pcall(tostring, problem)
      warn(("step: error in a hook for '%s': "):format(event), said and text or "an error without a text")
    end
  end
end

--- Tells of one transition of a run.
local function tell(keeper, event)
  local run = event.run
  if event.step then
    M.emit(keeper, "step", run, event.step, event.from, event.to, event.message)
  else
    M.emit(keeper, "state", run, event.from, event.to)
    local name = BY_STATE[event.to] or (event.to:find "^BLOCKED_" and "blocked")
    if name then M.emit(keeper, name, run) end
  end
end

--- Has the engine's hooks told of a run, as far as there are any. `stored` of what happens is told by M.flush, or at once where
--- there is nothing to store.
---@param keeper step.Keeper
---@param run step.Run
function M.attach(keeper, run)
  local hooks = keeper.hooks
  if hooks.transition and not run.attached then
    run.attached = true
    run:on("transition", function(event) M.emit(keeper, "transition", event) end)
  end
  if run.told then return end
  for event in pairs(hooks) do
    if STORED[event] then
      run.told = true
      run:on("transition", function(happened)
        if keeper.store.live then return tell(keeper, happened) end
        run.untold = run.untold or {}
        table.insert(run.untold, happened)
      end)
      return
    end
  end
end

--- Tells of a transition that the store has made by itself.
---@param keeper step.Keeper
---@param event { run: step.Run, from: string, to: string, message?: string, time: number, seq: integer }
function M.stored(keeper, event)
  M.emit(keeper, "transition", event)
  tell(keeper, event)
end

--- Tells what has been stored of a run.
---@param keeper step.Keeper
---@param run step.Run
function M.flush(keeper, run)
  local untold = run.untold
  if not untold then return end
  run.untold = nil
  for _, event in ipairs(untold) do
    event.run = run
    tell(keeper, event)
  end
end

return M
