-- Replays the recorded runs (../shared/traces, not part of the repository) and compares what its README says to compare.
-- Each case is a test of its own, named by its id. Without the recordings there is nothing to replay.

local json = require "step.json"

local PATH = "../shared/traces/runs.jsonl"

local file = io.open(PATH)
if not file then
  describe("recorded runs", function()
    pending("are replayed where " .. PATH .. " exists")
  end)
  return
end

local replay = require "spec.support.replay"

local null = json.null

local RETRIABLE = { SERVER_ERROR = true, TO_RETRY = true, AFTERRUN_ERROR = true }

-- Seconds to wait after the n-th try (S6.5), with the first delay at least (D17).
local function delay(pattern, n)
  n = math.max(n, 1)
  if pattern == "minutes" then return math.min(96 * n, 1800) end
  if pattern == "hours" then return math.min(3600 + (n - 1) * 600, 10800) end
  return math.min(8 * 1.25 ^ n, 600)
end

local function is_foreach(played, name)
  local definition = played.definition.steps[name]
  return definition ~= nil and not replay.is_empty(definition.foreach)
end

--- The step whose number of tries µTask counts in another way: it has been WAITING, or is a foreach parent (D11, D18).
local function counts_differently(played, name)
  return played.waited[name] or is_foreach(played, name)
end

--- What next_retry_in_seconds should be: what was recorded, except where a step was never tried (D17: at least the first
-- delay of its pattern) or has been WAITING (D18: that was no try).
local function expected_retry(expected, got, played)
  if not expected.next_retry_in_seconds or expected.refused or expected.err then return expected.next_retry_in_seconds end
  local soonest, differs
  for name, s in pairs(expected.steps) do
    if RETRIABLE[s.state] then
      local ours = got.steps[name] or {}
      local n = played.waited[name] and ours.try_count or s.try_count or 0
      differs = differs or n == 0 or n ~= s.try_count
      local seconds = delay(ours.retry_pattern, n)
      soonest = math.min(soonest or seconds, seconds)
    end
  end
  return differs and soonest or expected.next_retry_in_seconds
end

-- What a comparison has found, as lines.
local Differences = {}
Differences.__index = Differences

function Differences:add(place, what, expected, got)
  self[#self + 1] = ("%s: %s: expected %s, got %s"):format(place, what, replay.shown(expected), replay.shown(got))
end

--- A field of a step or a run: absent, null and empty are equal.
function Differences:field(place, what, expected, got)
  if replay.is_empty(expected) and replay.is_empty(got) then return end
  if not replay.same(expected, got) then self:add(place, what, expected, got) end
end

-- An item that is itself an entry of another step's children has that entry's position in it (D14).
local function without_index(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do
    if not (key == "index" and value.state ~= nil and value.metadata ~= nil) then copy[key] = without_index(item) end
  end
  return setmetatable(copy, getmetatable(value))
end

--- The list of a foreach parent: position and error of an entry are ours alone (D14).
function Differences:children(place, expected, got)
  expected, got = expected or {}, got ~= null and got or {}
  if #expected ~= #got then return self:add(place, "number of children", #expected, #got) end
  for i, child in ipairs(expected) do
    for _, what in ipairs { "output", "metadata", "state" } do
      self:field(("%s, child %d"):format(place, i - 1), what, child[what], without_index(got[i][what]))
    end
    if got[i].index ~= nil and math.type(got[i].index) ~= "integer" then self:add(place, "index", i - 1, got[i].index) end
  end
end

function Differences:step(place, name, expected, got, played)
  local definition = played.definition.steps[name]
  for _, what in ipairs { "state", "output", "metadata", "item" } do self:field(place, what, expected[what], got[what]) end
  self:children(place, expected.children, got.children)
  if not counts_differently(played, name) then self:field(place, "try_count", expected.try_count, got.try_count) end
  if expected.error_like then
    if replay.is_empty(got.error) then self:add(place, "error", "some text like " .. expected.error_like, got.error) end
  else
    self:field(place, "error", expected.error, got.error)
  end
  self:field(place, "dependencies", expected.dependencies or definition and definition.dependencies, got.dependencies)
end

function Differences:resolve(number, expected, got, played)
  local place = ("resolve %d"):format(number)
  self:field(place, "state", expected.state, got.state)
  self:field(place, "run_count", expected.run_count, got.run_count)
  self:field(place, "err", expected.err, got.err)
  self:field(place, "tags", expected.tags, got.tags)
  local retry, got_retry = expected_retry(expected, got, played), got.next_retry_in_seconds
  if not (retry and got_retry and math.abs(retry - got_retry) < 1e-3) then
    self:field(place, "next_retry_in_seconds", retry, got_retry)
  end
  for name, s in pairs(expected.steps) do
    local at = ("%s, step %s"):format(place, name)
    if got.steps[name] then
      self:step(at, name, s, got.steps[name], played)
    else
      self:add(at, "is missing", s.state, nil)
    end
  end
  for name, s in pairs(got.steps) do
    if not expected.steps[name] then self:add(("%s, step %s"):format(place, name), "should not be there", nil, s.state) end
  end
end

--- The distinct pairs, sorted by their text.
local function distinct(pairs_seen)
  local texts, seen = json.array {}, {}
  for _, pair in ipairs(pairs_seen) do
    local text = json.encode(pair)
    if not seen[text] then
      seen[text] = true
      texts[#texts + 1] = text
    end
  end
  table.sort(texts)
  return texts
end

--- Fails unless all texts occur in an error.
local function check_refusal(texts, problem, what)
  if not problem then error(what .. " was accepted, expected " .. replay.shown(texts), 0) end
  local message = tostring(problem)
  for _, text in ipairs(type(texts) == "table" and texts or { texts }) do
    if not message:find(text, 1, true) then error(("%s: %q is not in: %s"):format(what, text, message), 0) end
  end
end

local function check(case)
  local expect, played = case.expect, replay.play(case)
  if not expect.valid then return check_refusal(expect.error_contains, played.refused, "the definition") end
  if played.refused then error("the definition was refused: " .. tostring(played.refused), 0) end
  if expect.start_error_contains then return check_refusal(expect.start_error_contains, played.start_refused, "the start") end
  if played.start_refused then error("the start was refused: " .. tostring(played.start_refused), 0) end

  local found = setmetatable({}, Differences)
  for number, expected in ipairs(expect.resolves) do found:resolve(number, expected, played.resolves[number], played) end
  found:field("run", "executions", expect.executions, json.array(played.executions))
  if expect.contexts then found:field("run", "contexts", distinct(expect.contexts), distinct(played.contexts)) end
  table.sort(found)
  if #found > 0 then error(table.concat(found, "\n"), 0) end
end

-- Why a case cannot be played here, nil when it can.
local MISSING = {}
for _, need in ipairs { { "full", "step.template", "the template language" }, { "schema", "step.schema", "JSON schemas" } } do
  local ok, problem = pcall(require, need[2])
  if not ok and tostring(problem):find("module '" .. need[2] .. "' not found", 1, true) then
    MISSING[need[1]] = need[3] .. " are not there yet"
  end
end

local function reason_to_skip(case)
  return case.templating == "full" and MISSING.full or case.template:find("json_schema", 1, true) and MISSING.schema or nil
end

describe("recorded runs", function()
  for line in file:lines() do
    local case = assert(json.decode(line))
    local reason = reason_to_skip(case)
    if reason then
      pending(("%s (%s)"):format(case.id, reason))
    else
      it(case.id, function() check(case) end)
    end
  end
  file:close()
end)
