--- luastep run FILE...: runs definitions, one after the other. With a store the runs are kept in it.

local bounds = require "step.cli.bounds"
local carry = require "step.cli.carry"
local cli = require "step.cli"
local source = require "step.cli.source"
local starting = require "step.cli.starting"
local step = require "step"
local store = require "step.cli.store"

--- A run of a definition, in the store when there is one.
local function begin(start, engine, env)
  if not engine then return assert(start.def:start(start.options)) end -- the inputs are good
  local run, err = engine:add(start.def):start(start.def.name, start.options)
  if not run then cli.complain(env, err) end
  return run
end

local function run_all(starts, engine, options, env)
  local status = cli.status.DONE
  for _, start in ipairs(starts) do
    local run = begin(start, engine, env)
    local done, interrupted = false, false
    if run then
      done, interrupted = carry.run(run, options, env)
      run:close()
    end
    if not done then status = cli.status.NOT_DONE end
    if interrupted then break end
  end
  return status
end

--- Of several definitions of one name, runs could only start the last.
local function ambiguous(defs)
  local files = {}
  for _, def in ipairs(defs) do
    local known = files[def.name]
    if known and known ~= def.file then
      return ("two definitions are called '%s': %s and %s; a run starts one by its name"):format(def.name, known, def.file)
    end
    files[def.name] = def.file
  end
end

--- An engine in memory for runs that start others.
local function engine_of(defs, most, env)
  local engine = assert(step.engine { clock = env.clock, max_concurrent = most.max_concurrent, resource_limits = most.resource_limits })
  for _, def in ipairs(defs) do engine:add(def) end
  return engine
end

--- Runs that are kept nowhere.
local function run_in_memory(starts, options, env)
  local most, problem = bounds.of(options)
  if not most then
    cli.complain(env, problem)
    return cli.status.USAGE
  end
  if #options.with > 0 then
    local defs, bad = starting.definitions(options.with, options, env)
    if not defs then return bad end
    for i, start in ipairs(starts) do table.insert(defs, i, start.def) end
    problem = ambiguous(defs)
    if problem then
      cli.complain(env, problem)
      return cli.status.USAGE
    end
    local engine <close> = engine_of(defs, most, env)
    return run_all(starts, engine, options, env)
  end
  local loop = bounds.loop(most, env)
  for _, start in ipairs(starts) do start.options.loop = loop end
  local status = run_all(starts, nil, options, env)
  loop:close()
  return status
end

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local status = source.prepare(options, env)
  if status then return status end
  local starts
  starts, status = starting.all(options, env)
  if not starts then return status end
  if not store.path(options, env) then return run_in_memory(starts, options, env) end
  if #options.with > 0 then
    cli.complain(env, ("--with is for runs without a store%s: in a store they and the runs that they start are carried on by "
      .. "`luastep work`, which takes the files of all of them"):format(options.store and "" or ", and LUASTEP_STORE names one"))
    return cli.status.USAGE
  end
  local engine <close>, bad = store.open(options, env, true)
  return engine and run_all(starts, engine, options, env) or bad
end
