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
    options.lease = lease or engine.lease
    return save(self, list, options)
  end
  function store:renew(list, options)
    forge(list)
    return renew(self, list, options)
  end
end

--- No marks (D26): actions start before anything is stored, which happens when a resolve ends.
function apply.marks(engine)
  local store = engine.store
  local save = store.save
  function store:save(list, options)
    local ended = {}
    for _, core in ipairs(list) do
      if core:status() ~= "RUNNING" then ended[#ended + 1] = core end
    end
    if #ended == 0 then return {} end
    options.lease = options.lease or engine.lease
    return save(self, ended, options)
  end
end

--- What is not idempotent is run again after a crash all the same (S6.6): the worker's definitions say so.
function apply.idempotence() end

--- What the checker says of each, as a pattern: other violations do not count.
M.shows = {
  fencing = "leaves the state",
  idempotence = "is not idempotent and was made TODO",
  marks = "has no mark",
}

---@param name string
---@param engine step.Engine
function M.apply(name, engine) apply[name](engine) end

return M
