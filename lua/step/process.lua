--- Processes: ctx:spawn starts one and waits for its end.
--
-- A process is the leader of a session of its own. Whatever ends its step before it has ended (an error, a time-out, a run that is
-- cancelled or closed) unwinds ctx:spawn, and that ends the process: its whole group is asked to (SIGTERM), and forced (SIGKILL)
-- after the grace, and then likewise what it has started in other groups, as far as the system shows it (step.marked). Times are real
-- seconds, whatever clock the run goes by. What it prints over max_output is dropped, the process goes on. Its standard streams are
-- pipes, so that /dev/stderr and the like can be opened in it.

local command = require "step.command"
local core = require "step.core"
local errors = require "step.error"
local marked = require "step.marked"
local outside = require "step.outside"

local M = {}

local MEBIBYTE = 1024 * 1024
local TICK = 20     -- milliseconds between two looks at a group that is ending, or at a pipe that a grandchild holds
local QUIET = 2     -- ticks without output after which nobody waits for that pipe any more
local PATIENCE = 50 -- ticks after which nobody does, with output or without
local HOPELESS = 1e9 -- nanoseconds after which nobody waits for what was forced to end and left the group: the system holds it
local EVER = 1e15   -- seconds: what is longer than luv's timers can count is no limit

---@class step.SpawnOptions
---@field stdin? string          default: nothing to read
---@field env? table<string, string|number|boolean>   added to the environment
---@field clear_env? boolean     `env` is the whole environment
---@field cwd? string
---@field timeout? number        seconds; default: no limit
---@field grace? number          seconds between SIGTERM and SIGKILL; default 2
---@field max_output? integer    bytes of each stream that are kept; default 8 MiB
---@field merge_stderr? boolean  what goes to stderr goes to stdout, in order

---@class step.ProcessResult
---@field code? integer          exit status; nil: ended by a signal
---@field signal? string         "SIGTERM", ...
---@field stdout string
---@field stderr string
---@field timed_out boolean
---@field truncated boolean      there was more output than max_output
---@field duration number        seconds

-- ---- arguments ----

local OPTIONS = {
  stdin = "string", env = "table", clear_env = "boolean", cwd = "string", timeout = "number", grace = "number", max_output = "number",
  merge_stderr = "boolean",
}

local function check(argv, options)
  if type(argv) ~= "table" or type(argv[1]) ~= "string" or argv[1] == "" then
    error("bad argument #1 to 'spawn' (a list of texts expected, the command first)", 3)
  end
  for i = 1, #argv do
    local word = argv[i]
    if type(word) ~= "string" and type(word) ~= "number" or tostring(word):find "\0" then
      error(("bad argument #1 to 'spawn' (word %d must be a text without a zero byte, got %s)"):format(i, errors.show(word)), 3)
    end
  end
  if type(options) ~= "table" then error(("bad argument #2 to 'spawn' (table expected, got %s)"):format(errors.show(options)), 3) end
  for name, value in pairs(options) do
    local kind = OPTIONS[name]
    if not kind then
      local names = {}
      for known in pairs(OPTIONS) do names[#names + 1] = known end
      table.sort(names)
      error(("bad argument #2 to 'spawn' (unknown option '%s'; accepted: %s)"):format(tostring(name), table.concat(names, ", ")), 3)
    end
    if type(value) ~= kind then
      error(("bad argument #2 to 'spawn' (%s: %s expected, got %s)"):format(name, kind, errors.show(value)), 3)
    end
    if kind == "number" and not (value >= 0 and value < math.huge) then
      error(("bad argument #2 to 'spawn' (%s: a number from 0 expected, got %s)"):format(name, errors.show(value)), 3)
    end
    if name == "max_output" and not math.tointeger(value) then
      error(("bad argument #2 to 'spawn' (max_output: a whole number of bytes expected, got %s)"):format(errors.show(value)), 3)
    end
  end
  for name, value in pairs(options.env or {}) do
    local kind = type(value)
    if type(name) ~= "string" or name == "" or name:find "[=\0]" or kind ~= "string" and kind ~= "number" and kind ~= "boolean"
      or tostring(value):find "\0" then
      error(("bad argument #2 to 'spawn' (env: %s = %s; names and texts expected)"):format(errors.show(name), errors.show(value)), 3)
    end
  end
end

local function environment(uv, ctx, options, mark)
  local variables = options.clear_env and {} or uv.os_environ()
  for name, value in pairs(options.env or {}) do variables[name] = tostring(value) end
  variables.STEP_RUN_ID, variables.STEP_NAME, variables.STEP_PROCESS = ctx.run_id, ctx.step_name, mark
  return variables
end

local function listed(variables)
  local list = {}
  for name, value in pairs(variables) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return list
end

-- ---- one process ----

---@class step.Process: step.outside.Job
---@field waits boolean        somebody has to see it end
---@field resume? fun(...)     who waits for its result
---@field open integer         handles that are not closed yet
---@field mark string          of this process and what it starts
---@field asked table<integer, boolean>   what has left the group and was asked to end
local Process = {}
Process.__index = Process

local signal_names

local function signal_name(uv, number)
  if not signal_names then
    signal_names = {}
    for name, value in pairs(uv.constants) do
      if name:find "^SIG%u" then signal_names[value] = name end
    end
  end
  return signal_names[number] or ("signal %d"):format(number)
end

--- Closes a handle; the last one to be closed ends the job.
function Process:close(handle)
  if handle:is_closing() then return end
  handle:close(function()
    self.open = self.open - 1
    if self.open == 0 then self:ended() end
  end)
end

function Process:own(handle)
  self.open = self.open + 1
  self.handles[#self.handles + 1] = handle
  return handle
end

--- Everything is closed.
function Process:ended()
  self.waits = false
  outside.leave(self)
  local resume = self.resume
  if not resume then return end
  self.resume = nil
  local signal = self.signal ~= 0 and signal_name(self.uv, self.signal) or nil
  resume {
    code = not signal and self.code or nil, signal = signal, stdout = table.concat(self.stdout), stderr = table.concat(self.stderr),
    timed_out = self.timed_out, truncated = self.truncated, duration = (self.over - self.started) / 1e9,
  }
end

--- Signals the whole group; whether there is one.
function Process:signal_group(signal) return self.uv.kill(-self.pid, signal) == 0 end

--- Ends what has left the group; whether nothing is there any more. Asked when the group is gone or has been forced: by then
--- nobody of it starts another.
function Process:strays_gone()
  local uv = self.uv
  if self.alone or self.forced and uv.hrtime() >= self.hopeless_at then return true end
  self.group_gone = self.group_gone or uv.hrtime()
  local pids = marked.with(uv, self.mark, self.group_gone)
  if not pids then return false end
  if #pids == 0 then
    self.alone = true
    return true
  end
  self.group_gone = nil -- look again, they may have others
  for _, pid in ipairs(pids) do
    if self.forced or not self.asked[pid] then uv.kill(pid, self.forced and "sigkill" or "sigterm") end
    self.asked[pid] = true
  end
  return false
end

--- Closes all handles if nothing is left to wait for.
function Process:settle()
  if not self.exited then return end
  if self.ending then
    if not self.forced and self:signal_group(0) then return end -- the leader's end is not its group's
    if not self:strays_gone() then return end
  end
  if self.resume and self.streams > 0 and not self.deaf then return end
  for _, handle in ipairs(self.handles) do self:close(handle) end
end

--- Looks again and again: at a group that is ending, and at pipes that are open though the process has ended.
function Process:watch()
  if self.watching then return end
  self.watching = true
  local seen, quiet, ticks = -1, 0, 0
  self.watcher:start(TICK, TICK, function()
    if self.ending and not self.forced and self.uv.hrtime() >= self.force_at then self:force() end
    if self.exited then
      ticks = ticks + 1
      quiet = self.received == seen and quiet + 1 or 0
      seen = self.received
      if quiet >= QUIET or ticks >= PATIENCE then self.deaf = true end
    end
    self:settle()
  end)
end

function Process:force()
  self.forced, self.hopeless_at = true, self.uv.hrtime() + HOPELESS
  self:signal_group "sigkill"
end

--- Ends it: asks its group, and forces it after the grace. `now`: forces it.
---@param now? boolean
function Process:stop(now)
  if not self.ending then
    self.ending = true
    self.force_at = self.uv.hrtime() + math.floor(self.grace * 1e9)
    self:signal_group "sigterm"
  end
  if now and not self.forced then self:force() end
  self:settle()
  if self.yard and not self.watcher:is_closing() then self:watch() end
end

--- Nobody waits for its result any more.
function Process:abandon()
  self.resume = nil
  if self.yard then self:stop() end
end

--- Reads one of its streams into a list of texts.
function Process:read(fd, list)
  local uv = self.uv
  local pipe, kept = self:own(uv.new_pipe(false)), 0
  pipe:open(fd)
  self.streams = self.streams + 1
  pipe:read_start(function(_, data)
    if data then
      self.received = self.received + #data
      if kept + #data > self.max_output then
        data = data:sub(1, self.max_output - kept)
        self.truncated = true
      end
      kept = kept + #data
      if #data > 0 then list[#list + 1] = data end
      return
    end
    self.streams = self.streams - 1 -- its end, or an error
    self:close(pipe)
    self:settle()
  end)
end

--- Writes its standard input. Who ends without reading all of it must not end us (SIGPIPE).
function Process:write(fd, text)
  local uv = self.uv
  local pipe, pipe_signal = self:own(uv.new_pipe(false)), self:own(uv.new_signal())
  pipe_signal:start("sigpipe", function() end)
  pipe:open(fd)
  pipe:write(text, function()
    self:close(pipe)
    self:close(pipe_signal)
  end)
end

--- Stops it after so many milliseconds. libuv calls timers before it looks who has ended, and this program may have been busy: who
--- has ended in time is seen in the moment between the two.
function Process:limit(milliseconds)
  local timer = self:own(self.uv.new_timer())
  self.uv.update_time() -- timers go by the time it was when libuv last ran
  timer:start(milliseconds, 0, function()
    if self.exited then return end
    timer:start(1, 0, function()
      if self.exited then return end
      self.timed_out = true
      self:stop()
    end)
  end)
end

--- Starts it; nil and why not.
function Process:start(argv, options, env)
  local uv = self.uv
  local mine, its = {}, {} -- descriptors: our ends of the pipes, and the process's
  local function give_up()
    for _, list in ipairs { mine, its } do
      for _, fd in pairs(list) do uv.fs_close(fd) end
    end
  end
  for i, wanted in ipairs { options.stdin ~= nil, true, not options.merge_stderr } do
    local ends, message = nil, nil
    if wanted then ends, message = uv.pipe({ nonblock = i ~= 1 }, { nonblock = i == 1 }) end
    if ends then
      mine[i], its[i] = i == 1 and ends.write or ends.read, i == 1 and ends.read or ends.write
    elseif wanted then
      give_up()
      return nil, message
    end
  end
  local words = {}
  for i = 2, #argv do words[i - 1] = tostring(argv[i]) end
  local handle, pid = uv.spawn(argv[1], {
    args = words, stdio = { its[1], its[2], its[3] or its[2] }, env = env, cwd = options.cwd, detached = true,
  }, function(code, signal)
    self.exited, self.code, self.signal, self.over = true, code, signal, uv.hrtime()
    self:settle()
    if self.yard and not self.watcher:is_closing() then self:watch() end
  end)
  if not handle then
    give_up()
    return nil, pid
  end
  for _, fd in pairs(its) do uv.fs_close(fd) end
  self.pid = pid
  self:own(handle)
  self.watcher = self:own(uv.new_timer())
  if mine[1] then self:write(mine[1], options.stdin) end
  self:read(mine[2], self.stdout)
  if mine[3] then self:read(mine[3], self.stderr) end
  if options.timeout and options.timeout < EVER then self:limit(math.ceil(options.timeout * 1000)) end
  return true
end

local function new(options)
  return setmetatable({
    uv = outside.luv(), mark = marked.new(outside.luv()), asked = {}, handles = {}, open = 0, streams = 0, received = 0,
    stdout = {}, stderr = {}, waits = true, timed_out = false,
    truncated = false, grace = options.grace or outside.GRACE, max_output = options.max_output or 8 * MEBIBYTE,
  }, Process)
end

--- Starts a process and waits until it has ended and its output is read. Method of a runner's ctx.
---@param ctx step.Context
---@param argv string[]    the command, looked up in PATH, and its arguments; no shell
---@param options? step.SpawnOptions
---@return step.ProcessResult?
---@return step.Error? err   kind "spawn": it could not be started; `command`, and `code` as the system names it: "ENOENT"
function M.spawn(ctx, argv, options)
  options = options or {}
  check(argv, options)
  local loop = core.loop_of(ctx)
  local process = new(options)
  local uv = process.uv
  local _ <close> = setmetatable({}, { __close = function() process:abandon() end })
  local result, err = core.await_outside(ctx, function(resume)
    process.resume, process.started = resume, uv.hrtime()
    local variables = environment(uv, ctx, options, process.mark)
    local ok, message = process:start(argv, options, listed(variables))
    if ok then
      outside.enter(process, loop)
    else
      process.resume = nil
      outside.tidy() -- luv has made a handle for it
      resume(nil, command.refusal(uv, argv[1], { cwd = options.cwd, path = variables.PATH }, tostring(message)))
    end
  end)
  return result, err
end

-- ---- what a program that died has left ----

--- The processes of a run whose owner is gone: number -> number of the group.
local function orphans(uv, run_id)
  local found, n = {}, 0
  marked.each(uv, function(pid, id, mark)
    if id ~= run_id or not marked.orphaned(mark) then return end
    local _, group = marked.start_time(pid)
    found[pid], n = group, n + 1
  end)
  return found, n
end

--- Ends the processes of a run that a program started and did not live to end: all whose environment says so, their groups with
--- them. Works on Linux, which shows it; elsewhere it does nothing. Waits until they are gone, two seconds at most before it
--- forces them.
---@param run_id string
---@return integer count        processes found
---@return string? unsupported  the system does not show the environment of processes
function M.reap(run_id)
  if type(run_id) ~= "string" then error(("bad argument #1 to 'reap' (a run's id expected, got %s)"):format(errors.show(run_id)), 2) end
  if not marked.start_time "self" then return 0, "only Linux shows the environment of processes" end
  local uv = outside.luv()
  local _, mine = marked.start_time "self"
  local seen, count = {}, 0
  local force_at, over = uv.hrtime() + outside.GRACE * 1e9, uv.hrtime() + 2 * outside.GRACE * 1e9
  local signal = "sigterm"
  repeat
    local found, n = orphans(uv, run_id)
    if signal == "sigterm" and uv.hrtime() >= force_at then signal = "sigkill" end
    for pid, group in pairs(found) do
      if seen[pid] ~= signal then
        if not seen[pid] then count = count + 1 end
        seen[pid] = signal
        if group and group ~= mine then uv.kill(-group, signal) end
        uv.kill(pid, signal)
      end
    end
    if n > 0 then uv.sleep(5) end
  until n == 0 or uv.hrtime() >= over
  return count
end

return M
