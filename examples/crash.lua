-- Takes stock of a folder in a process that is killed in the middle, goes on in another one, and shows by what the store has kept
-- that no step which had ended ran again. Run it from the project's root:
--
--   lua5.4 examples/crash.lua [FOLDER]

local step = require "step"

local folder = arg[1] or "."

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local store = os.tmpname()
os.remove(store)

--- Takes stock; so long for each file that there is time to kill it.
local function command(pace)
  return table.concat({ arg[-1], "examples/inventory.lua", "--store", quote(store), "--pace", pace, quote(folder) }, " ")
end

--- Forgets the store.
local function clean()
  for _, suffix in ipairs { "", "-journal", "-wal", "-shm" } do os.remove(store .. suffix) end
end

--- What the store has kept of the run: its events, the steps that have ended, how many those are, and whether it is time to kill:
--- half of the files are counted, or the run has ended. A store can be read while others work on it.
local function look()
  local engine <close> = assert(step.engine { store = store })
  local run = engine:list()()
  if not run then return {}, {}, 0, false end
  local ended, n = {}, 0
  local events = assert(engine:events(run.id))
  for _, event in ipairs(events) do
    if event.step and event.from == "RUNNING" then
      ended[event.step] = true
      n = n + 1
    end
  end
  local list = run.steps.list.output
  return events, ended, n, list and n > #list.files / 2 or run.state ~= "TODO" and run.state ~= "RUNNING"
end

--- Starts the inventory, and kills it in the middle.
local function start_and_kill(pace)
  local process <close> = assert(io.popen("echo $$; exec " .. command(pace) .. " 2>&1"))
  local pid = process:read "l"
  for _ = 1, 2000 do -- should it never begin
    os.execute "sleep 0.02"
    if select(4, look()) then break end
  end
  os.execute("kill -9 " .. pid)
  return pid
end

local pace, pid, before, ended, count
local running, in_flight = {}, {}
for _, try in ipairs { "20ms", "200ms" } do -- on a machine that is busy the first may have ended before it is seen to have begun
  pace, pid = try, start_and_kill(try)
  before, ended, count = look()
  for _, event in ipairs(before) do
    if event.step then running[event.step] = event.to == "RUNNING" or nil end
  end
  for name in pairs(running) do in_flight[#in_flight + 1] = name end
  if #in_flight > 0 then break end
  clean()
end
table.sort(in_flight)
print(("Process %s was killed: %d steps had ended, %d were running:\n  %s"):format(pid, count, #in_flight, table.concat(in_flight, ", ")))
if #in_flight == 0 then
  print "It had ended before it could be killed: that takes a folder with more files."
  os.exit(1, true)
end
print "Another process goes on, when the lease of the first is over.\n"

local done = os.execute(command(pace))

print "\nWhat the store has kept of the moment of the kill:"
local events = look()
for i = math.max(#before - 2, 1), math.min(#before + 6, #events) do
  local event = events[i]
  local mark = i == #before and "  <- killed after this" or ""
  print(("  %4d  %-10s %s -> %s%s"):format(event.seq, event.step or "(the run)", event.from, event.to, mark))
end

local again, repeated = 0, 0
for i = #before + 1, #events do
  local event = events[i]
  if event.step and event.to == "RUNNING" then
    if ended[event.step] then again = again + 1 end
    if running[event.step] then repeated = repeated + 1 end
  end
end
print(("\nOf the %d steps that had ended %d ran again; of the %d that were running %d, as they are idempotent."):format(count, again,
  #in_flight, repeated))
clean()
os.exit(done and again == 0 and repeated == #in_flight, true)
