-- Engines that break one promise each, made of the real one from outside: the checker has to see them.

local M = {}

local apply = {}

--- No fencing (D27): who wakes up after its lease writes over what its successor has written.
function apply.fencing(engine)
  local store, db = engine.store, engine.store.db
  assert(db:exec [[CREATE TEMP TRIGGER last_writer_wins BEFORE INSERT ON main.event
    WHEN EXISTS (SELECT 1 FROM main.event WHERE run = new.run AND seq = new.seq)
    BEGIN DELETE FROM event WHERE run = new.run AND seq >= new.seq; END]])
  local function forge(list)
    for _, core in ipairs(list) do
      local number = db:bound(core)
      local row = (db:all("SELECT epoch FROM run WHERE number = ?", number) or {})[1]
      if row then db:bind(core, number, row.epoch) end
    end
  end
  local save, renew = store.save, store.renew
  function store:save(list, options)
    forge(list)
    local lease = options.lease
    options.lease = lease or engine.keeper.lease
    return save(self, list, options)
  end
  function store:renew(list, options)
    forge(list)
    return renew(self, list, options)
  end
end

--- Adds what a core run has to store to what is held back of it.
local function hold(held, core)
  local events, forget, steps = core:changes()
  table.move(events, 1, #events, #held.events + 1, held.events)
  for _, number in ipairs(forget) do
    for key, row in pairs(held.steps) do
      if row.step == number and row.child >= 0 then held.steps[key] = nil end
    end
  end
  for _, row in ipairs(steps) do held.steps[row.step .. "/" .. row.child] = row end
  core:saved()
end

--- Writes what was held back; what is stored already is newer.
local function write_held(db, number, held)
  assert(db:begin())
  for _, e in ipairs(held.events) do
    db:run("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", number, e.seq, e.time, e.step, e.from, e.to, e.message)
  end
  for _, s in pairs(held.steps) do
    db:run("INSERT INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", number, s.step, s.child, s.name,
      s.state, s.tries, s.last_run, s.output, s.metadata, s.error, s.children, s.items, s.extra)
  end
  assert(db:commit())
end

--- No marks (D26): what happens while a run is RUNNING is called stored at once, and is when its resolve ends.
function apply.marks(engine)
  local store, db = engine.store, engine.store.db
  local save, held = store.save, setmetatable({}, { __mode = "k" })
  function store:save(list, options)
    local ended, gone = {}, {}
    for _, core in ipairs(list) do
      held[core] = held[core] or { events = {}, steps = {} }
      if core:status() == "RUNNING" then hold(held[core], core) else ended[#ended + 1] = core end
    end
    if #ended == 0 then return {} end
    options.lease = options.lease or engine.keeper.lease
    local lost, err = save(self, ended, options)
    if not lost then return nil, err end
    for _, core in ipairs(lost) do gone[core] = true end
    for _, core in ipairs(ended) do
      if not gone[core] then write_held(db, (db:bound(core)), held[core]) end
      held[core] = nil
    end
    return lost
  end
end

--- What is not idempotent is run again after a crash all the same (S6.6): the worker's definitions say so.
function apply.idempotence() end

--- What the checker says of each, as patterns: other violations do not count. A history that was written over shows as states that do
--- not follow from each other, as events that are gone, or as effects whose marks are gone with them: which of it comes first is chance.
M.shows = {
  fencing = { "leaves the state", "event %d+ is missing", "has no mark", "before its mark" },
  idempotence = { "is not idempotent and was made TODO" },
  marks = { "has no mark" },
}

---@param name string
---@param engine step.Engine
function M.apply(name, engine) apply[name](engine) end

return M
