--- luastep list: the runs of a store.

local cli = require "step.cli"
local core = require "step.core"
local json = require "step.json"
local look = require "step.cli.look"
local store = require "step.cli.store"
local suggest = require "step.suggest"
local terminal = require "step.cli.terminal"
local text = require "step.cli.text"
local time = require "step.time"

--- The filter that the options make, or nil and what is wrong with them.
local function filter_of(options)
  local filter = { definition = options.definition, newest = true }
  if options.state then
    local known = false
    filter.state = options.state:upper()
    for _, state in ipairs(core.run_states) do known = known or state == filter.state end
    if not known then
      return nil, ("--state %s: a run has no such state%s"):format(options.state,
        suggest.hint(filter.state, core.run_states, "; accepted: " .. table.concat(core.run_states, ", ")))
    end
  end
  for _, word in ipairs(options.tag) do
    local name, value = word:match "^([^=]+)=(.*)$"
    if not name and #options.tag > 1 then return nil, ("--tag %s: of several tags each needs a value, NAME=VALUE"):format(word) end
    if name then
      filter.tag = filter.tag or {}
      filter.tag[name] = value
    else
      filter.tag = word
    end
  end
  return filter
end

--- "a=1 b=2"
local function tag_words(tags)
  local list = {}
  for name, value in pairs(tags) do list[#list + 1] = ("%s=%s"):format(name, tostring(value)) end
  table.sort(list)
  return text.clean(table.concat(list, " "))
end

local function moment(seconds) return time.format(math.floor(seconds)) end

local function write_json(runs, env)
  local list = json.array {}
  for i, run in ipairs(runs) do
    local row = run.row
    list[i] = {
      id = row.id, key = row.key, name = row.name, state = row.state, run_count = row.run_count, created = time.format(row.created),
      changed = time.format(row.changed), next_retry = row.next_retry and time.format(row.next_retry), tags = row.tags, owner = row.owner,
    }
  end
  env.out:write(json.encode(list), "\n")
end

local function write_table(runs, env)
  local screen = terminal.screen(env, env.out)
  local ids, rows = {}, { { "RUN", "STATE", "DEFINITION", "CREATED", "CHANGED", "TAGS" } }
  for i, run in ipairs(runs) do ids[i] = run.id end
  local length = store.length(ids)
  for i, run in ipairs(runs) do
    local row = run.row
    rows[i + 1] = {
      store.short(row.id, length), row.state, text.clean(row.name), moment(row.created), moment(row.changed), tag_words(row.tags),
    }
  end
  local widths = {}
  for _, row in ipairs(rows) do
    for k, cell in ipairs(row) do widths[k] = math.max(widths[k] or 0, text.width(cell)) end
  end
  for i, row in ipairs(rows) do
    local cells = {}
    for k, cell in ipairs(row) do
      local style = i == 1 and "dim" or k == 2 and look.of(cell, true) or nil
      cells[k] = screen:paint(k < #row and text.pad(cell, widths[k]) or cell, style)
    end
    env.out:write((table.concat(cells, "  "):gsub(" +$", "")), "\n")
  end
end

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local filter, message = filter_of(options)
  if not filter then
    cli.complain(env, message)
    return cli.status.USAGE
  end
  local engine <close>, status = store.open(options, env)
  if not engine then return status end
  local limit = options.limit == 0 and math.huge or options.limit
  local newest, more = {}, false
  for run in engine:list(filter) do
    if #newest == limit then
      more = true
      break
    end
    newest[#newest + 1] = run
  end
  local runs = {}
  for i = #newest, 1, -1 do runs[#runs + 1] = newest[i] end
  if options.json then write_json(runs, env) else write_table(runs, env) end
  if more then cli.complain(env, ("there are more than the newest %d; --limit 0 shows all"):format(#runs)) end
  return cli.status.DONE
end
