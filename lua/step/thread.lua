--- Threads: Lua that blocks runs in libuv's thread pool, in a Lua state of its own, while its step waits.
--
-- Nothing is shared: arguments and results are copied, exactly (integers, floats and their bits, texts of any bytes, booleans, nil,
-- null, tables of them). A chunk finds the modules that the program finds; globals that it makes are its own. A thread cannot be
-- stopped: when its step ends before it has, its result is dropped.

local core = require "step.core"
local errors = require "step.error"
local outside = require "step.outside"

local M = {}

--- Makes pack(...) -> text, which raises what cannot be packed, and unpack(text) -> ... Runs in both states, so it has no upvalue.
local function codec()
  local json
  local function lazily_json()
    json = json or require "step.json"
    return json
  end

  local function put(out, value, place, depth)
    local kind = math.type(value) or type(value)
    if kind == "nil" then
      out[#out + 1] = "n"
    elseif kind == "boolean" then
      out[#out + 1] = value and "t" or "f"
    elseif kind == "integer" then
      out[#out + 1] = string.pack("<c1i8", "i", value)
    elseif kind == "float" then
      out[#out + 1] = string.pack("<c1d", "d", value)
    elseif kind == "string" then
      out[#out + 1] = string.pack("<c1s8", "s", value)
    elseif kind == "table" then
      if depth > 200 then error(place:sub(1, 40) .. "... is too deep, or contains itself", 0) end
      local meta = getmetatable(value)
      local marked = type(meta) == "table" and rawget(meta, "__name") == "step.array" -- json.array_mt
      out[#out + 1] = marked and "A" or "T"
      for key, item in next, value do
        if type(key) == "table" then error(("%s: a table is a key of it"):format(place), 0) end
        put(out, key, place, depth + 1)
        put(out, item, ("%s[%s]"):format(place, math.type(key) and key or ("%q"):format(key)), depth + 1)
      end
      out[#out + 1] = "e"
    elseif kind == "userdata" and value == lazily_json().null then
      out[#out + 1] = "N"
    else
      error(("%s is a %s"):format(place, kind), 0)
    end
  end

  local get
  local function get_table(text, at)
    local t = {}
    while true do
      local key, behind, ended = get(text, at)
      if ended then return t, behind end
      t[key], at = get(text, behind)
    end
  end
  function get(text, at)
    local tag = text:sub(at, at)
    at = at + 1
    if tag == "n" then return nil, at end
    if tag == "t" then return true, at end
    if tag == "f" then return false, at end
    if tag == "i" then return string.unpack("<i8", text, at) end
    if tag == "d" then return string.unpack("<d", text, at) end
    if tag == "s" then return string.unpack("<s8", text, at) end
    if tag == "N" then return lazily_json().null, at end
    if tag == "e" then return nil, at, true end
    local t
    t, at = get_table(text, at)
    return tag == "A" and lazily_json().array(t) or t, at
  end

  local function pack(what, ...)
    local values = table.pack(...)
    local out = { string.pack("<i8", values.n) }
    for i = 1, values.n do put(out, values[i], ("%s %d"):format(what, i), 0) end
    return table.concat(out)
  end
  local function unpack(text)
    local n, at = string.unpack("<i8", text)
    local values = {}
    for i = 1, n do values[i], at = get(text, at) end
    return table.unpack(values, 1, n)
  end
  return pack, unpack
end

--- What runs in the pool. Returns the job's number, whether it went well, and the packed results or error.
local function work(id, codec_code, source, arguments, path, cpath)
  package.path, package.cpath = path, cpath
  local loaded = package.loaded
  if not loaded["step.thread.codec"] then loaded["step.thread.codec"] = { load(codec_code, "=step.thread", "b")() } end
  local pack, unpack = table.unpack(loaded["step.thread.codec"])
  local trace
  local ok, text = xpcall(function()
    local own = setmetatable({}, { __index = _G })
    own._G = own
    local chunk, message = load(source, "=thread", "bt", own)
    if not chunk then error(message, 0) end
    return pack("result", chunk(unpack(arguments)))
  end, function(problem)
    trace = debug.traceback(nil, 2)
    return problem
  end)
  if ok then return id, true, text end
  local packed, problem = pcall(pack, "error", text, trace)
  if not packed then problem = pack("error", tostring(text), trace) end
  return id, false, problem
end

local pack, unpack = codec()

-- ---- the pool ----

---@class step.Thread: step.outside.Job
---@field source string     the chunk: a text, or compiled
---@field text string       the packed arguments
local Thread = {}
Thread.__index = Thread

function Thread:stop() self.resume = nil end

local pool -- luv's context of work
local jobs = {} -- those in the pool, by number
local waiting, first, last = {}, 1, 0 -- those that wait for a place, in order
local serial, busy, most = 0, 0, nil

-- Every job that is queued at the same time has a Lua state of its own, which luv keeps: no more than threads.
local function feed()
  while busy < most and first <= last do
    local job = waiting[first]
    waiting[first] = nil
    first = first + 1
    if job.resume then
      serial, busy = serial + 1, busy + 1
      local id = ("%d"):format(serial)
      jobs[id] = job
      pool:queue(id, string.dump(codec), job.source, job.text, package.path, package.cpath)
    else
      outside.leave(job)
    end
  end
end

local function start_pool()
  local uv = outside.luv()
  most = math.max(1, math.tointeger(tonumber(os.getenv "UV_THREADPOOL_SIZE")) or 4)
  pool = uv.new_work(work, function(id, ok, text)
    busy = busy - 1
    local job = jobs[id]
    jobs[id] = nil
    outside.leave(job)
    if job.resume then job.resume(ok, text) end
    feed()
  end)
end

-- ---- what a runner calls ----

--- The chunk's code.
local function chunk_of(source, level)
  if type(source) == "string" then return source end
  if type(source) ~= "function" then
    error(("bad argument #1 to 'thread' (a Lua program as a text, or a function expected, got %s)"):format(errors.show(source)), level)
  end
  for i = 1, math.huge do
    local name = debug.getupvalue(source, i)
    if not name then break end
    if name ~= "_ENV" then
      error(("bad argument #1 to 'thread' (the function uses the local variable '%s' of its surroundings, which is not there in the "
        .. "thread: pass it as an argument)"):format(name), level)
    end
  end
  local ok, code = pcall(string.dump, source)
  if not ok then error("bad argument #1 to 'thread' (a function written in C cannot be passed)", level) end
  return code
end

--- The error of a chunk, as it is raised in the runner: tables and texts as they were thrown, with the traceback of the thread.
local function problem_of(value, trace)
  if type(value) == "table" and type(value.message) == "string" then
    value.traceback = trace
    return errors.new(value.kind, value.message, value)
  end
  local message = type(value) == "string" and value or "the thread threw " .. errors.show(value)
  return errors.new("thread", message, { traceback = trace, value = value })
end

local function run(ctx, source, args)
  local code = chunk_of(source, 3)
  if args == nil then args = {} end
  if type(args) ~= "table" then
    error(("bad argument #2 to 'thread' (a list of arguments expected, got %s)"):format(errors.show(args)), 2)
  end
  local fine, text = pcall(pack, "argument", table.unpack(args, 1, args.n or #args))
  if not fine then error(("bad argument #2 to 'thread' (%s: it cannot be passed to a thread)"):format(text), 2) end
  local loop = core.loop_of(ctx)
  if not pool then start_pool() end
  local job = setmetatable({ source = code, text = text, waits = false }, Thread)
  local _ <close> = setmetatable({}, { __close = function() job:stop() end })
  local ok, result = core.await_outside(ctx, function(resume)
    job.resume = resume
    outside.enter(job, loop)
    last = last + 1
    waiting[last] = job
    feed()
  end)
  if ok then return unpack(result) end
  error(problem_of(unpack(result)), 0)
end

--- Runs Lua in the thread pool, waits, and returns its results. An error of it is raised here: an error object with its message,
--- the `kind` it was thrown with ("thread" for a text) and its `traceback`. Method of a runner's ctx.
---@param ctx step.Context
---@param source string|function    a program, which has the arguments as `...`, or a function without upvalues
---@param args? any[]               the arguments; `n` tells how many where some are nil
---@return any ...
function M.thread(ctx, source, args) return run(ctx, source, args) end

--- The same for the runner that is at work: what step.thread calls.
---@param source string|function
---@param args? any[]
---@return any ...
function M.current(source, args)
  local ctx = core.here()
  if not ctx then
    error("step.thread waits for its thread: call it in a runner, and in the runner's own coroutine", 2)
  end
  return run(ctx, source, args)
end

return M
