-- A process that opened a new file while another was making its tables could be told that the file is no store: it read the
-- application_id of an empty file, then counted the tables of a store.

local sqlite = require "step.sqlite"
local store = require "step.store.sqlite"
local stores = require "spec.support.stores"

describe("a new file", function()
  after_each(stores.clean)

  it("is a store for who opens it while another process makes its tables", function()
    local path = stores.path()
    local open = sqlite.open
    finally(function() sqlite.open = open end)
    local made
    sqlite.open = function(...) -- luacheck: ignore 122
      local db, code, message = open(...)
      if not db then return db, code, message end
      return setmetatable({}, { __close = function() db:close() end, __index = function(_, name)
        return function(_, ...)
          local results = table.pack(db[name](db, ...))
          if name == "all" and not made and (...):find "application_id" then
            sqlite.open, made = open, true
            assert(store.open(path)):close()
          end
          return table.unpack(results, 1, results.n)
        end
      end })
    end
    local one <close> = assert(store.open(path))
    assert.is_true(made)
    assert.is_true(one:check())
  end)
end)
