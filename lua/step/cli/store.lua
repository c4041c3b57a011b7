--- The store that a command works on, and the run in it that is meant.

local bounds = require "step.cli.bounds"
local cli = require "step.cli"
local step = require "step"
local text = require "step.cli.text"

local M = {}

--- The store's path: of --store, else of the environment; nil: none is given.
---@param options { store?: string }
---@param env step.cli.Environment
---@return string?
function M.path(options, env)
  local path = options.store or env.getenv "LUASTEP_STORE"
  return path ~= "" and path or nil
end

local function is_there(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

--- Opens the store.
---@param options { store?: string, upgrade?: boolean }   and what step.cli.bounds takes
---@param env step.cli.Environment
---@param create? boolean     it is made when it is not there
---@return step.Engine?
---@return integer? status    why not
function M.open(options, env, create)
  local path = M.path(options, env)
  if not path then
    cli.complain(env, "a store is expected: --store PATH, or the variable LUASTEP_STORE")
    return nil, cli.status.USAGE
  end
  if not create and not path:find "^%w+://" and not is_there(path) then
    cli.complain(env, ("there is no store '%s'"):format(path))
    return nil, cli.status.USAGE
  end
  local most, problem = bounds.of(options)
  if not most then
    cli.complain(env, problem)
    return nil, cli.status.USAGE
  end
  local engine, err = step.engine {
    store = path, clock = env.clock, upgrade = options.upgrade,
    max_concurrent = most.max_concurrent, resource_limits = most.resource_limits,
  }
  if engine then return engine end
  cli.complain(env, err)
  return nil, cli.status.USAGE
end

--- The run whose id is given, or begins like that.
---@param engine step.Engine
---@param id string
---@return step.Run?
---@return string? message
function M.find(engine, id)
  local run, err = engine:run(id)
  if run then return run end
  if err.kind ~= "refused" then return nil, tostring(err) end
  local found = {}
  for other in engine:list { id_prefix = id, limit = 3 } do
    found[#found + 1] = other
    if #found == 3 then break end
  end
  if #found == 1 then return found[1] end
  if #found == 0 then return nil, ("the store has no run '%s'"):format(id) end
  return nil, ("more than one run begins with '%s': %s, %s%s"):format(id, found[1].id, found[2].id, found[3] and ", ..." or "")
end

--- Opens the store, finds the run that the options name, calls fn, closes the store.
---@param options { run: string, store?: string, upgrade?: boolean }
---@param env step.cli.Environment
---@param fn fun(engine: step.Engine, run: step.Run): integer
---@return integer status
function M.with_run(options, env, fn)
  local engine <close>, status = M.open(options, env)
  if not engine then return status end
  local run, message = M.find(engine, options.run)
  if run then return fn(engine, run) end
  cli.complain(env, message)
  return cli.status.NOT_DONE
end

--- Says what is wrong with a run: which one it is, and why.
---@param env step.cli.Environment
---@param run step.Run
---@param problem any
function M.complain(env, run, problem)
  local words = tostring(problem)
  cli.complain(env, words:find(run.id, 1, true) and words or ("run %s: %s"):format(run.id, words))
end

--- The same for each of several runs, whose ids are in options.runs; a run that fails does not keep the others from their turn.
---@param options { runs: string[], store?: string }
---@param env step.cli.Environment
---@param fn fun(engine: step.Engine, run: step.Run): boolean?, step.Error?
---@return integer status
function M.each_run(options, env, fn)
  local engine <close>, status = M.open(options, env)
  if not engine then return status end
  status = cli.status.DONE
  for _, id in ipairs(options.runs) do
    local run, message = M.find(engine, id)
    local ok, problem
    if run then ok, problem = fn(engine, run) else cli.complain(env, message) end
    if run and not ok then M.complain(env, run, problem) end
    if not ok then status = cli.status.NOT_DONE end
  end
  return status
end

--- How an id is shown where there is little room: its beginning, which a command takes for the whole.
---@param id string
---@param length? integer    default 8
---@return string
function M.short(id, length) return text.clean(id:sub(1, length or 8)) end

local function differ(ids, length)
  local seen = {}
  for _, id in ipairs(ids) do
    local short = id:sub(1, length)
    if seen[short] then return false end
    seen[short] = true
  end
  return true
end

--- The shortest length, from 8, at which ids differ.
---@param ids string[]    no two are the same
---@return integer
function M.length(ids)
  local length = 8
  while not differ(ids, length) do length = length + 4 end
  return length
end

--- Says that a person's wish has been done, or that the engine which works on the run was asked for it.
---@param env step.cli.Environment
---@param run step.Run
---@param words string    what it is now: "is CANCELLED"
---@return true
function M.tell(env, run, words)
  if run.state == "RUNNING" then
    env.out:write(run.id, " is being worked on: the engine that does so was asked\n")
  else
    env.out:write(run.id, " ", words, "\n")
  end
  return true
end

return M
