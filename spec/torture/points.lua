-- Every point at which a process can be stopped, one after the other: a small fixed scenario is run again and again, the n-th
-- write, sync or truncation of it killed or failed by strace, for every n; then another worker recovers and the checker reads the
-- store. `points.lua [NAME=VALUE ...]`, see USAGE.

local checker = require "spec.torture.checker"
local evidence = require "spec.torture.evidence"
local process = require "spec.process"
local settings = require "spec.torture.settings"
local worker = require "spec.torture.worker"

local USAGE = [[
usage: points.lua [NAME=VALUE ...]
  POINTS=N        so many points of each call and fault, evenly spread; default: all
  FOLDER=PATH     where; default: $TMPDIR or /tmp, which must be a file system with all of these calls
  VERBOSE=1       a line for every call and fault]]

local PLAN = 7
local KEYS = 3
local LEASE, SCALE = 20, 200

local FAULTS = { KILL = "signal=SIGKILL", EIO = "error=EIO", ENOSPC = "error=ENOSPC" }
-- Lua's own files are written with `write`: the effects, which are to be left as they are; they can be killed before, though.
local CALLS = {
  { call = "pwrite64", faults = { "KILL", "EIO", "ENOSPC" } }, { call = "write", faults = { "KILL" } },
  { call = "fsync", faults = { "KILL", "EIO" } }, { call = "fdatasync", faults = { "KILL", "EIO", "ENOSPC" } },
  { call = "ftruncate", faults = { "KILL", "EIO" } }, { call = "unlink", faults = { "KILL", "EIO" } },
}
-- What a worker may say when its disk fails; afterwards nothing may be wrong.
local FAILING = { busy = true, cantopen = true, full = true, ioerr = true }

local function options_of(path, exclusive, origin)
  return { path = path, prepared = worker.prepare(PLAN), seed = 1, keys = KEYS, lease = LEASE, scale = SCALE, origin = origin,
    exclusive = exclusive }
end

local function remove(path)
  worker.remove(path)
  os.remove(path .. ".strace")
end

--- Runs the scenario under strace. Gives how many calls there were, whether one was hit, and how the process ended.
local function run_traced(self, call, fault, n)
  local quick = fault ~= "KILL" and "--seccomp-bpf" or "" -- signals are lost with it
  local words = { "exec timeout -s KILL 60 strace -f", quick, "-q -o", self.path .. ".strace", "-e", "trace=" .. call, "-e",
    ("inject=%s:%s:when=%d"):format(call, FAULTS[fault], n), self.lua, "spec/torture/points.lua --child", self.path,
    self.exclusive and "wal" or "rollback", ("%.6f"):format(self.origin), "2>/dev/null" }
  os.execute(table.concat(words, " "))
  local file <close> = assert(io.open(self.path .. ".strace"))
  local calls, hit, ended = 0, false, nil
  for line in file:lines() do
    if line:find(call .. "(", 1, true) then calls = calls + 1 end
    hit = hit or line:find("(INJECTED)", 1, true) ~= nil or line:find("+++ killed by SIGKILL", 1, true) ~= nil
    ended = line:match "%+%+%+ (.-) %+%+%+" or ended
  end
  return calls, hit, ended
end

--- Another worker goes on, this time undisturbed.
local function recover(self)
  local pid = assert(process.fork())
  if pid == 0 then
    local ok, status = pcall(worker.run, options_of(self.path, self.exclusive, self.origin))
    process.exit(ok and status or 4)
  end
  local limit = process.now() + 60
  repeat
    local how, number = process.wait(pid)
    if how then return how == "exit" and number == 0 end
    process.sleep(0.002)
  until process.now() > limit
  process.kill(pid, "KILL")
  repeat process.sleep(0.002) until process.wait(pid)
  return false
end

--- One point. Returns whether it was hit.
local function try(self, call, fault, n)
  remove(self.path)
  self.origin = process.now()
  local _, hit, ended = run_traced(self, call, fault, n)
  if not hit then return false end
  self.points = self.points + 1
  local found = {}
  if fault ~= "KILL" and ended and ended:find "killed" then found[1] = "the process " .. ended end
  if not recover(self) then found[#found + 1] = "the worker that was to recover did not come to an end" end
  local left = evidence.read(worker.evidence(self.path))
  local ok, checked = pcall(checker.check, { path = self.path, evidence = left, definitions = self.definitions, keys = KEYS,
    tolerated = fault == "KILL" and {} or FAILING })
  for _, violation in ipairs(ok and checked.violations or { tostring(checked) }) do found[#found + 1] = violation end
  for _, violation in ipairs(found) do
    self.violations = self.violations + 1
    if self.violations <= 30 then
      print(("%s, %s of %s number %d: %s"):format(self.exclusive and "wal" or "rollback", fault, call, n, violation))
    end
  end
  return true
end

--- All points of a call and a fault, or some.
local function sweep(self, call, fault, wanted)
  local before, violations = self.points, self.violations
  remove(self.path)
  self.origin = process.now()
  local calls = run_traced(self, call, fault, 65535) -- never
  local n = wanted and math.random(math.max(calls // wanted, 1)) or 1
  while n <= calls or not wanted do
    if not try(self, call, fault, n) and n > calls then break end
    n = n + (wanted and math.max(calls // wanted, 1) or 1)
  end
  if self.verbose then
    print(("%s, %s of %s: %d points of about %d, %d violations"):format(self.exclusive and "wal" or "rollback", fault, call,
      self.points - before, calls, self.violations - violations))
    io.stdout:flush()
  end
end

local function child(path, mode, origin)
  return worker.run(options_of(path, mode == "wal", tonumber(origin)))
end

local function main(words)
  local set = settings.read(words, { POINTS = "", FOLDER = os.getenv "TMPDIR" or "/tmp", VERBOSE = "" }, USAGE)
  math.randomseed(os.time())
  if not os.execute "strace -qq -e trace=none true 2>/dev/null" then
    print "points: skipped, strace is not there or may not trace"
    return
  end
  local self = { path = ("%s/torture-points-%d.db"):format(set.FOLDER, process.pid()), lua = arg[-1], points = 0, violations = 0,
    verbose = set.VERBOSE ~= "", definitions = worker.prepare(PLAN).plan }
  local points = math.tointeger(tonumber(set.POINTS))
  local began = process.now()
  for _, exclusive in ipairs { false, true } do
    self.exclusive = exclusive
    for _, entry in ipairs(CALLS) do
      for _, fault in ipairs(entry.faults) do sweep(self, entry.call, fault, points) end
    end
  end
  remove(self.path)
  print(("%d points, %d violations; %.0f s"):format(self.points, self.violations, process.now() - began))
  os.exit(self.violations == 0, true)
end

if arg[1] == "--child" then os.exit(child(table.unpack(arg, 2))) else main(arg) end
