-- The storm: workers on stores, killed and paused at random moments until enough of that has happened; when a store has nothing
-- left to do, the checker reads it. `torture.lua [NAME=VALUE ...]`, see USAGE.

local checker = require "spec.torture.checker"
local evidence = require "spec.torture.evidence"
local mutants = require "spec.torture.mutants"
local process = require "spec.process"
local settings = require "spec.torture.settings"
local sqlite = require "step.sqlite"
local worker = require "spec.torture.worker"

local USAGE = [[
usage: torture.lua [NAME=VALUE ...]
  KILLS=1000      kills to reach
  PAUSES=100      pauses longer than the lease to reach; default: a tenth of KILLS
  MUTANT=NAME     workers with a broken engine: succeeds when the checker sees it
  SEED=N          default: the time
  STORES=4        stores at a time
  FOLDER=PATH     where; default: /dev/shm, $TMPDIR or /tmp
  VERBOSE=1       a line for every store]]

local SCALE = 100 -- the workers' clock: a lease of 10 to 30 s is 0.1 to 0.3 s
local KEYS = 100
local ACTIVE = 700 -- bytes of traces at most between two blows; an effect has about 80
local PATIENCE = 120 -- seconds without any kill or pause after which a store must have come to its end

--- A folder in memory: what is killed is a process, not the machine, so that nothing has to reach a disk.
local function memory()
  local kind, _, writable = sqlite.look "/dev/shm"
  return kind == "directory" and writable and "/dev/shm" or nil
end

local function settings_of(words)
  local set = settings.read(words, { KILLS = "1000", PAUSES = "", MUTANT = "", SEED = tostring(os.time()), STORES = "4",
    FOLDER = memory() or os.getenv "TMPDIR" or "/tmp", VERBOSE = "" }, USAGE)
  if set.MUTANT ~= "" and not mutants.shows[set.MUTANT] then error("there is no mutant " .. set.MUTANT, 0) end
  for _, name in ipairs { "KILLS", "SEED", "STORES" } do set[name] = assert(math.tointeger(tonumber(set[name])), name) end
  set.PAUSES = math.tointeger(tonumber(set.PAUSES)) or set.KILLS // 10
  return set
end

-- ---- workers ----

local function spawn(options)
  local pid = assert(process.fork())
  if pid ~= 0 then return pid end
  local ok, status = pcall(worker.run, options)
  process.exit(ok and status or 4)
end

--- Size of what the workers have left outside of the store: it grows while they do something.
local function traces(self)
  local _, size = sqlite.look(worker.evidence(self.path))
  return size or 0
end

--- When the next worker of a store is struck: in most cases when they have done some more, else at some time, whatever they do.
local function aim(self, now)
  self.deadline = now + math.random() * 0.1
  self.mark = math.random(4) > 1 and traces(self) + math.random(0, ACTIVE) or math.huge
  if self.mark < math.huge then self.deadline = self.deadline + 0.2 end
end

--- Kills or pauses one of the workers.
local function strike(self, now)
  local storm, able = self.storm, {}
  for _, one in ipairs(self.workers) do
    if one.wakes == nil and not one.killed then able[#able + 1] = one end
  end
  local one = able[math.random(math.max(#able, 1))]
  if not one then return end
  if math.random() < storm.pause_share then
    process.kill(one.pid, "STOP")
    storm.pauses, one.wakes = storm.pauses + 1, now + self.lease / SCALE * (1.05 + math.random()) + 0.01
  else
    process.kill(one.pid, "KILL")
    storm.kills, one.killed = storm.kills + 1, true
  end
end

--- The pause of a worker is over; some never wake up.
local function wake(self, one)
  one.wakes = nil
  process.kill(one.pid, "CONT")
  if not self.storm.over and not self.ending and math.random(10) == 1 then
    process.kill(one.pid, "KILL")
    self.storm.kills, one.killed = self.storm.kills + 1, true
  end
end

-- ---- stores ----

local function new_store(storm)
  storm.stores = storm.stores + 1
  local self = { storm = storm, number = storm.stores, plan = math.random(1 << 40), lease = ({ 10, 15, 30 })[math.random(3)], workers = {},
    origin = process.now(), since = process.now() }
  self.keys = storm.mutant ~= "" and KEYS // 3 or KEYS
  self.prepared = worker.prepare(self.plan, storm.mutant)
  self.path = ("%s/torture-%d-%d.db"):format(storm.folder, process.pid(), self.number)
  self.exclusive = storm.mutant == "" and math.random(4) == 1
  self.size = self.exclusive and 1 or math.random(storm.mutant ~= "" and 2 or 1, 4)
  worker.remove(self.path)
  aim(self, process.now())
  return self
end

local function options_of(self)
  return { path = self.path, prepared = self.prepared, seed = math.random(1 << 40), keys = self.keys, lease = self.lease,
    scale = SCALE, origin = self.origin, exclusive = self.exclusive, releases = true,
    mutant = self.storm.mutant ~= "" and self.storm.mutant or nil }
end

--- Strikes when it is time to.
local function threaten(self, now)
  if self.storm.over or self.ending then return end
  if self.hit then
    if now < self.hit then return end
    strike(self, now)
    self.hit = nil
    aim(self, now)
  elseif now >= self.deadline or traces(self) > self.mark then
    self.hit = now + (math.random(3) > 1 and math.random() * 0.003 or 0)
  end
end

--- Takes note of workers that have ended. Once one has found nothing left to do the store comes to its end, unless another that
--- was killed has begun something since: somebody has to look again then.
local function bury(self, now)
  local alive, fallen = {}, false
  for _, one in ipairs(self.workers) do
    local how, number = process.wait(one.pid)
    if not how then
      alive[#alive + 1] = one
    else
      self.since = now
      fallen = fallen or one.killed
      if how == "exit" and number == 0 then
        self.ending = true
      elseif how == "exit" and number ~= 3 or how == "signal" and not one.killed then
        table.insert(self.storm.violations, ("store %d: a worker ended by itself: %s %d"):format(self.number, how, number))
      end
    end
  end
  if fallen and not self.given_up then self.ending = false end
  self.workers = alive
end

--- Looks after the workers of a store. Returns whether it has come to its end.
local function tend(self, now)
  threaten(self, now)
  for _, one in ipairs(self.workers) do
    if one.wakes and (now >= one.wakes or self.ending) then wake(self, one) end
  end
  bury(self, now)
  local calm = self.storm.over or self.ending
  if calm and #self.workers > 0 and now - self.since > PATIENCE then
    table.insert(self.storm.violations, ("store %d: it does not come to an end"):format(self.number))
    for _, one in ipairs(self.workers) do
      process.kill(one.pid, "KILL")
      one.killed = true
    end
    self.since, self.ending, self.given_up = now, true, true
  end
  if self.ending then return #self.workers == 0 end
  while #self.workers < (calm and 1 or self.size) do table.insert(self.workers, { pid = spawn(options_of(self)) }) end
  return false
end

local function add(totals, checked, evidence_of)
  totals.runs, totals.effects = totals.runs + checked.runs, totals.effects + checked.effects
  totals.takeovers, totals.lost = totals.takeovers + checked.takeovers, totals.lost + #evidence_of.lost
  totals.released = totals.released + #evidence_of.released
  for state, n in pairs(checked.states) do totals.states[state] = (totals.states[state] or 0) + n end
end

local function examine(self)
  local storm, found = self.storm, evidence.read(worker.evidence(self.path))
  local ok, checked = pcall(checker.check, { path = self.path, evidence = found, definitions = self.prepared.plan, keys = self.keys,
    tolerated = { busy = true } })
  if not ok then checked = { violations = { tostring(checked) }, runs = 0, effects = 0, takeovers = 0, states = {} } end
  add(storm.totals, checked, found)
  for _, violation in ipairs(checked.violations) do
    table.insert(storm.violations, ("store %d: %s"):format(self.number, violation))
  end
  if storm.verbose then
    local states = {}
    for state, n in pairs(checked.states) do states[#states + 1] = ("%d %s"):format(n, state) end
    table.sort(states)
    print(("store %d (plan %d, %s, %d workers): %d runs, %s; %d takeovers, %d lost, %d effects, %d violations; %d kills, %d pauses so far")
      :format(self.number, self.plan, self.exclusive and "wal" or "rollback", self.size, checked.runs, table.concat(states, ", "),
        checked.takeovers, #found.lost, checked.effects, #checked.violations, storm.kills, storm.pauses))
  end
  if #checked.violations == 0 or storm.mutant ~= "" then worker.remove(self.path) else print("kept for a look: " .. self.path) end
end

-- ---- the storm ----

local function new_storm(set)
  return { folder = set.FOLDER, verbose = set.VERBOSE ~= "", mutant = set.MUTANT, kills = 0, pauses = 0, stores = 0, violations = {},
    pause_share = set.PAUSES / math.max(set.KILLS + set.PAUSES, 1),
    totals = { runs = 0, effects = 0, takeovers = 0, lost = 0, released = 0, states = {} } }
end

--- Whether the checker has seen what the mutant does.
local function caught(storm)
  for _, violation in ipairs(storm.violations) do
    for _, pattern in ipairs(mutants.shows[storm.mutant]) do
      if violation:find(pattern) then return true end
    end
  end
  return false
end

local function main(words)
  local set = settings_of(words)
  math.randomseed(set.SEED)
  local storm, began, stores = new_storm(set), process.now(), {}
  local reported = began
  repeat
    local now = process.now()
    storm.over = storm.over or storm.kills >= set.KILLS and storm.pauses >= set.PAUSES
      or storm.mutant ~= "" and caught(storm)
    while not storm.over and #stores < set.STORES do stores[#stores + 1] = new_store(storm) end
    for i = #stores, 1, -1 do
      if tend(stores[i], now) then
        examine(stores[i])
        table.remove(stores, i)
      end
    end
    if now - reported > 60 then
      reported = now
      print(("%d kills, %d pauses, %d runs, %d violations"):format(storm.kills, storm.pauses, storm.totals.runs, #storm.violations))
      io.stdout:flush()
    end
    process.sleep(0.0005)
  until storm.over and #stores == 0
  local totals, seconds = storm.totals, process.now() - began
  for i = 1, math.min(#storm.violations, storm.mutant == "" and 20 or 2) do print(storm.violations[i]) end
  print(("%s%d kills, %d pauses, %d stores, %d runs, %d effects, %d takeovers, %d lost, %d released: %d violations; %.1f kills/s, seed %d")
    :format(storm.mutant ~= "" and "mutant " .. storm.mutant .. ": " or "", storm.kills, storm.pauses, storm.stores, totals.runs,
      totals.effects, totals.takeovers, totals.lost, totals.released, #storm.violations, storm.kills / seconds, set.SEED))
  if storm.mutant == "" then os.exit(#storm.violations == 0, true) end
  os.exit(caught(storm), true)
end

main(arg)
