--- What the parts of the SQLite store share: its failures, statements and transactions, JSON in columns.

local errors = require "step.error"
local json = require "step.json"
local opening = require "step.store.sqlite.open"

--- The error object for what step.sqlite gave.
local function failure(self, code, message, fatal)
  local broken = self.broken
  if broken and broken.code == code and broken.cause == message then return broken end
  local err = opening.failure(self.path, code, message)
  if fatal then self.broken = err end
  return err
end

--- The error object for what the store itself refuses.
local function refusal(self, code, message)
  return errors.new("store", ("the store %s: %s"):format(self.path, message), { code = code })
end

--- What a call of step.sqlite gave, failures as nil, err.
local function outcome(self, value, code, message, fatal)
  if value == nil then return nil, failure(self, code, message, fatal) end
  return value
end

--- The rows that a statement gives.
local function query(self, sql, ...) return outcome(self, self.db:all(sql, ...)) end

--- Inside a transaction: nothing is done after a failure.
local function must(value, err)
  if value == nil then error(err, 0) end
  return value
end

--- Runs a statement inside a transaction: how many rows it changed, the number of the row it inserted last.
local function change(self, sql, ...)
  local count, second, message, fatal = self.db:run(sql, ...)
  if count == nil then error(failure(self, second, message, fatal), 0) end
  return count, second
end

--- Calls fn(self, ...) in a transaction.
local function write(self, fn, ...)
  local ok, err = outcome(self, self.db:begin())
  if not ok then return nil, err end
  local results = table.pack(pcall(fn, self, ...))
  if not results[1] then
    self.db:rollback()
    if errors.is(results[2]) then return nil, results[2] end
    error(results[2], 0)
  end
  ok, err = outcome(self, self.db:commit())
  if not ok then return nil, err end
  return table.unpack(results, 2, results.n)
end

--- A column's text for a value, nil for none; inside a transaction.
local function encode(self, what, value)
  if value == nil then return nil end
  local text, err = json.encode(value)
  if not text then error(refusal(self, "json", ("%s: %s"):format(what, err.message)), 0) end
  return text
end

--- Decodes columns of a row in place.
local function decode(self, row, columns, what)
  for i = 1, #columns do
    local text = row[columns[i]]
    if text ~= nil then
      local value, err = json.decode(text)
      if value == nil then return nil, refusal(self, "corrupt", ("the %s of %s is no JSON: %s"):format(columns[i], what, err.message)) end
      row[columns[i]] = value
    end
  end
  return row
end

return {
  failure = failure,
  refusal = refusal,
  outcome = outcome,
  query = query,
  must = must,
  change = change,
  write = write,
  encode = encode,
  decode = decode,
}
