-- Every example runs, and shows what it promises.

local child = require "spec.support.child"
local files = require "spec.support.files"
local pl_path = require "pl.path"
local temp = require "spec.support.temp"

--- Runs an example as a person does. What it printed, and its exit code.
local function run_example(...) return child.run { ... } end

after_each(temp.clean)

describe("examples/inventory.lua", function()
  it("counts the files of a folder", function()
    local folder = temp.folder { ["a.txt"] = "one\ntwo\n", ["b.txt"] = "", ["c c.txt"] = "three" }
    local text, code = run_example("examples/inventory.lua", folder)
    assert.equal(0, code)
    assert.matches("list +DONE .-3 files", text)
    assert.matches("a.txt +DONE .- 2 lines +8 bytes", text)
    assert.matches("b.txt +EMPTY .- 0 lines +0 bytes", text)
    assert.matches("total +DONE .-3 files, 2 lines, 13 bytes", text)
    assert.matches("1 file empty", text)
    assert.matches("ended in DONE", text)
  end)

  it("reads nothing with --dry", function()
    local folder = temp.folder { ["a.txt"] = "one\n" }
    local text, code = run_example("examples/inventory.lua", "--dry", folder)
    assert.equal(0, code)
    assert.matches("a.txt +NOT_READ", text)
    assert.matches("1 file not read", text)
    assert.matches("1 file, 0 lines, 0 bytes", text)
  end)

  it("says what is wrong with a folder without files", function()
    local text, code = run_example("examples/inventory.lua", temp.folder())
    assert.equal(1, code)
    assert.matches("list +CLIENT_ERROR .-no file in", text)
    assert.matches("ended in BLOCKED_BADREQUEST", text)
  end)
end)

describe("examples/processes.lua", function()
  it("runs commands side by side, each with a time-out", function()
    local text, code = run_example("examples/processes.lua", "1", "echo first", "exit 3", "exec sleep 10")
    assert.equal(0, code)
    assert.matches("DONE +echo first  first\n", text)
    assert.matches("CLIENT_ERROR +exit 3  exit status 3", text)
    assert.matches("CLIENT_ERROR +exec sleep 10  it took more than 1 s\n", text)
    assert.matches("BLOCKED_BADREQUEST\n$", text)
  end)

  it("asks for a command", function()
    local text, code = run_example("examples/processes.lua")
    assert.equal(2, code)
    assert.matches("usage", text)
  end)
end)

describe("examples/luv_host.lua", function()
  it("goes on with its own timer while the engine's steps wait in the same loop", function()
    local folder = temp.folder { ["a.txt"] = "one\ntwo\n" }
    local text, code = run_example("examples/luv_host.lua", folder .. "/a.txt", "0.03")
    assert.equal(0, code, text)
    for _, line in ipairs { "tick 1", "tick 5", "lines  DONE", "size   DONE", "rest   DONE", "report DONE" } do
      assert.matches(line .. "\n", text, 1, true)
    end
    assert.is_true(text:find "tick 2" < text:find "rest   DONE", text)
    assert.matches("DONE after 0.%d s: .*/a.txt: 2 lines, 8 bytes\n$", text)
  end)

  it("says what is wrong with a file", function()
    local text, code = run_example("examples/luv_host.lua", temp.folder() .. "/none", "0.01")
    assert.equal(1, code)
    assert.matches("size   CLIENT_ERROR", text)
    assert.matches("BLOCKED_BADREQUEST after 0.%d s: ", text)
  end)
end)

describe("examples/cqueues_host.lua", function()
  if not package.searchpath("cqueues", package.path) then
    pending("has steps that coroutines of cqueues resume: cqueues is not here")
    return
  end

  it("goes on with its own coroutines while the engine's steps wait in the same controller", function()
    local text, code = run_example("examples/cqueues_host.lua", "15", "0.03")
    assert.equal(0, code, text)
    for _, line in ipairs { "tick 1", "tick 5", "price  DONE", "bill   DONE", "paid   DONE" } do
      assert.matches(line .. "\n", text, 1, true)
    end
    assert.is_true(text:find "tick 2" < text:find "paid   DONE", text)
    assert.matches("DONE after 0.%d s: to pay: 15\n$", text)
  end)

  it("fails the step with what the other coroutine answers", function()
    local text, code = run_example("examples/cqueues_host.lua", "cheap", "0.01")
    assert.equal(1, code)
    assert.matches("BLOCKED_BADREQUEST after 0.%d s: no price: cheap\n$", text)
  end)
end)

describe("examples/inventory.lua --store", function()
  it("keeps the run in a file: called again it shows the same one", function()
    local folder, store = temp.folder { ["a.txt"] = "one\n" }, temp.folder()
    local text, code = run_example("examples/inventory.lua", "--store", store .. "/runs.db", folder)
    assert.equal(0, code)
    assert.matches("list +DONE +%S+ ms +1 file\n", text)
    text, code = run_example("examples/inventory.lua", "--store", store .. "/runs.db", folder)
    assert.equal(0, code)
    assert.matches("list +DONE +1 file\n", text) -- no time: it did not run here
    assert.matches("total +DONE .-1 file, 1 line, 4 bytes", text)
  end)
end)

describe("examples/crash.lua", function()
  it("kills the inventory in the middle; the next process repeats nothing that had ended", function()
    local contents = {}
    for i = 1, 600 do contents[("%03d.txt"):format(i)] = "a line\n" end
    local text, code = run_example("examples/crash.lua", temp.folder(contents))
    assert.equal(0, code, text)
    assert.matches("total +DONE .-600 files, 600 lines, 4200 bytes", text)
    assert.matches("%(the run%) +RUNNING %-> CRASHED", text)
    local had, again, running, repeated =
      text:match "Of the (%d+) steps that had ended (%d+) ran again; of the (%d+) that were running (%d+),"
    assert.is_true(tonumber(had) > 60 and tonumber(had) < 601)
    assert.equal("0", again)
    assert.is_true(tonumber(running) > 0)
    assert.equal(running, repeated)
  end)

  it("says so when there was nothing in which it could be killed", function()
    local text, code = run_example("examples/crash.lua", temp.folder())
    assert.equal(1, code)
    assert.matches("It had ended before it could be killed", text)
  end)
end)

local WORKFLOW = [[
{"schemaVersion": "1.5", "workflow": {
  "specification": {"tasks": [
    {"id": "a", "name": "a", "parents": [], "children": ["b", "c"]},
    {"id": "b", "name": "b", "parents": ["a"], "children": ["d"]},
    {"id": "c", "name": "c", "parents": ["a"], "children": ["d"]},
    {"id": "d", "name": "d", "parents": ["b", "c"], "children": []}]},
  "execution": {"tasks": [
    {"id": "a", "runtimeInSeconds": 1}, {"id": "b", "runtimeInSeconds": 2.5},
    {"id": "c", "runtimeInSeconds": 10}, {"id": "d", "runtimeInSeconds": 0.25}]}}}
]]

describe("examples/wfformat.lua", function()
  it("runs tasks beside each other in the time they were measured to take", function()
    local folder = temp.folder { ["diamond.json"] = WORKFLOW }
    local text, code = run_example("examples/wfformat.lua", folder .. "/diamond.json")
    assert.equal(0, code)
    assert.matches("diamond.json: 4 tasks, DONE", text)
    assert.matches("makespan +11.250 s +%(13.750 s of work", text)
    assert.matches("critical path +11.250 s +3 tasks:\n +a +1.000 s\n +c +10.000 s\n +d +0.250 s", text)
    assert.matches("engine +%d+ steps per second", text)
  end)

  it("asks for a file", function()
    local text, code = run_example("examples/wfformat.lua")
    assert.equal(2, code)
    assert.matches("usage", text)
  end)

  local data = "../shared/data/wf"
  if not pl_path.isdir(data) then
    pending("replays recorded workflows: " .. data .. " is not here")
  else
    for _, path in ipairs(files.list(data, "json")) do
      it("replays " .. pl_path.basename(path), function()
        local text, code = run_example("examples/wfformat.lua", path)
        assert.equal(0, code)
        assert.equal(text:match("makespan +(%S+) s"), text:match("critical path +(%S+) s"))
      end)
    end
  end
end)

describe("examples/approval.lua", function()
  local folder

  before_each(function() folder = temp.folder() end)

  local function approval(...) return child.run({ "examples/approval.lua", ... }, { APPROVALS = folder .. "/a.db" }) end

  it("asks, waits over the end of the process, and goes on with the answer", function()
    local text, code = approval("ask", "1200", "a new server")
    assert.equal(0, code)
    local id = text:match "^(%S+) is WAITING\n"
    assert.matches("decision  WAITING   waits for the callback 'approval'", text, 1, true)
    text, code = approval("answer", id, "yes")
    assert.equal(0, code)
    assert.matches(" is DONE\n", text, 1, true)
    assert.matches("buy       DONE", text, 1, true)
    text, code = approval("answer", id, "no")
    assert.same({ "nobody waits for the signal any more: the run is DONE\n", 1 }, { text, code })
  end)

  it("does not buy what is rejected, and does not ask for what is cheap", function()
    local id = approval("ask", "1200", "a new server"):match "^(%S+)"
    local text = approval("answer", id, "no", "too dear")
    assert.matches("decision  REJECTED  rejected: too dear", text, 1, true)
    assert.matches("buy       PRUNE", text, 1, true)
    text = approval("ask", "20", "pencils")
    assert.matches("decision  CHEAP", text, 1, true)
    assert.matches("buy       DONE", text, 1, true)
  end)
end)
