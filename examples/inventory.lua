-- Takes stock of a folder: how many files, lines and bytes. Run it from the project's root:
--
--   lua5.4 examples/inventory.lua [--dry] [--store FILE [--pace TIME]] [FOLDER]
--
-- It shows a step that feeds another, a foreach with one child for each file, a condition that turns a result into a
-- state of its own, and one that decides before the action whether there is anything to do. With --store the run is kept in a
-- file: killed and called again it goes on where it was (examples/crash.lua does that). --pace 20ms: so long for each file.

local step = require "step"

local dry, folder, store, pace = false, ".", nil, nil
do
  local i = 1
  while arg[i] do
    if arg[i] == "--dry" then
      dry = true
    elseif arg[i] == "--store" then
      i, store = i + 1, arg[i + 1]
    elseif arg[i] == "--pace" then
      i, pace = i + 1, arg[i + 1]
    else
      folder = arg[i]
    end
    i = i + 1
  end
end

--- Paths of the files in a folder: those git knows, or else all that are not hidden and not built.
local function list_files(where)
  local quoted = "'" .. where:gsub("'", "'\\''") .. "'"
  local command = ([[cd %s && {
    git ls-files 2>/dev/null | grep . ||
    find . -type f ! -path '*/.*' ! -path './build/*' | cut -c 3-
  }]]):format(quoted)
  local pipe <close> = assert(io.popen(command))
  local files = {}
  for path in pipe:lines() do files[#files + 1] = path end
  table.sort(files)
  return files
end

local inventory = assert(step.define {
  name = "inventory",
  inputs = {
    { name = "folder", type = "string" },
    { name = "dry", type = "bool", default = false },
  },
  steps = {
    {
      name = "list",
      description = "which files are there?",
      idempotent = true, -- it only looks: after a crash in the middle of it, it may be run again
      action = function(v)
        local files = list_files(v.input.folder)
        if #files == 0 then error(step.error.bad_request("no file in " .. v.input.folder)) end
        return { files = step.json.array(files) }
      end,
    },
    {
      name = "count",
      description = "lines and bytes of each file",
      dependencies = { "list" },
      idempotent = true,
      execution_delay = pace,
      foreach = function(v) return v.step.list.output.files end,
      action = function(v)
        local file <close> = assert(io.open(v.input.folder .. "/" .. v.iterator, "rb"))
        local text = file:read("a")
        local _, lines = text:gsub("\n", "")
        return { lines = lines, bytes = #text }
      end,
      custom_states = { "EMPTY", "NOT_READ" },
      conditions = {
        { type = "skip", ["if"] = function(v) return v.input.dry end, ["then"] = { this = "NOT_READ" } },
        { type = "check", ["if"] = function(v) return v.step.this.output.bytes == 0 end, ["then"] = { this = "EMPTY" } },
      },
    },
    {
      name = "total",
      description = "all of it",
      dependencies = { "count" },
      idempotent = true,
      action = function(v)
        local total = { files = 0, lines = 0, bytes = 0, empty = 0, not_read = 0 }
        for _, child in ipairs(v.step.count.children) do
          total.files = total.files + 1
          if child.state == "NOT_READ" then
            total.not_read = total.not_read + 1
          else
            total.lines = total.lines + child.output.lines
            total.bytes = total.bytes + child.output.bytes
            if child.state == "EMPTY" then total.empty = total.empty + 1 end
          end
        end
        return total
      end,
    },
  },
})

-- Every change of every step is told; that is all a progress display or a log needs.
local began, took = {}, {}
local engine, run
if store then
  engine = assert(step.engine { store = store, max_concurrent = 8, lease = 1, poll = 0.1 }) -- a lease so short is for a demonstration
  run = assert(engine:add(inventory):start("inventory", { key = folder, input = { folder = folder, dry = dry } }))
else
  run = assert(inventory:start { input = { folder = folder, dry = dry } })
end
run:on("transition", function(event)
  if not event.step then return end -- the run itself
  if event.to == "RUNNING" or event.to == "EXPANDED" then
    began[event.step] = began[event.step] or event.time
  elseif began[event.step] then
    took[event.step] = event.time - began[event.step]
  end
end)

local state = assert(store and run:wait() or run:resolve())

-- The table.
local function row(name, step_state, seconds, result)
  print(("%-34s %-9s %9s  %s"):format(name, step_state, seconds and ("%.2f ms"):format(seconds * 1000) or "", result))
end

local function plural(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

local SHOWN = 12 -- children: the largest files, and everything that is not simply DONE
local function show_children()
  local children = {}
  for i, child in ipairs(run.steps.count.children or {}) do
    children[i] = { path = child.metadata.iterator, name = ("count-%d"):format(child.index), state = child.state,
                    output = child.output, bytes = child.output and child.output.bytes or 0 }
  end
  table.sort(children, function(a, b)
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return a.path < b.path
  end)
  local hidden = 0
  for i, child in ipairs(children) do
    if i <= SHOWN or child.state == "EMPTY" then
      row("  " .. child.path, child.state, took[child.name],
        child.output and ("%6d lines %8d bytes"):format(child.output.lines, child.output.bytes) or "")
    else
      hidden = hidden + 1
    end
  end
  if hidden > 0 then print(("  ... and %d more"):format(hidden)) end
end

row("STEP", "STATE", nil, "RESULT")
local list, count, total = run.steps.list, run.steps.count, run.steps.total
row("list", list.state, took.list, list.error or list.output and plural(#list.output.files, "file") or "")
row("count", count.state, took.count, count.error or plural(#(count.children or {}), "child"):gsub("childs", "children"))
show_children()
local sum = total.output
row("total", total.state, took.total, sum and ("%s, %s, %s"):format(plural(sum.files, "file"), plural(sum.lines, "line"),
  plural(sum.bytes, "byte")) or "")
if sum then
  if sum.empty > 0 then print(("%s empty."):format(plural(sum.empty, "file"))) end
  if sum.not_read > 0 then print(("--dry: %s not read."):format(plural(sum.not_read, "file"))) end
end
print(("\nThe run ended in %s."):format(state))
if engine then engine:close() end
if state ~= "DONE" then os.exit(1, true) end
