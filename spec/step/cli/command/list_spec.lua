-- luastep list: which runs there are.

local cli = require "spec.support.cli"
local json = require "step.json"

local function definition(name, kind)
  return ("name: %s\nsteps: {a: {action: {type: echo, configuration: {%s}}}}"):format(name,
    kind and ("error_message: broken, error_type: " .. kind) or "output: 1")
end

describe("luastep list", function()
  after_each(cli.clean)

  local function filled()
    local store = cli.store { ["x.yaml"] = definition "x", ["z.yaml"] = definition("z", "client") }
    local ids = { store.start("@x.yaml", "-t", "team=red"), store.start("@z.yaml", "-t", "team=blue", "-t", "hot=1") }
    store.clock.advance(90)
    assert.equal(0, store.run("work", "-q", "--until-idle").status)
    ids[3] = store.start "@x.yaml"
    return store, ids
  end

  --- The numbers of the runs that are listed.
  local function listed(store, ids, ...)
    local done = store.run("list", "--json", ...)
    local found = {}
    for i, row in ipairs(json.decode(done.out)) do
      for number, id in ipairs(ids) do if row.id == id then found[i] = number end end
    end
    return table.concat(found, " ")
  end

  it("shows them, the newest last", function()
    local store, ids = filled()
    local done = store.run "list"
    for i, id in ipairs(ids) do done.out = done.out:gsub(id:sub(1, 8), "<run " .. i .. ">") end
    assert.same({ status = 0, err = "", out = [[
RUN       STATE               DEFINITION  CREATED               CHANGED               TAGS
<run 1>  DONE                x           1970-01-01T00:00:00Z  1970-01-01T00:01:30Z  team=red
<run 2>  BLOCKED_BADREQUEST  z           1970-01-01T00:00:00Z  1970-01-01T00:01:30Z  hot=1 team=blue
<run 3>  TODO                x           1970-01-01T00:01:30Z  1970-01-01T00:01:30Z
]] }, done)
  end)

  it("by state, definition and tag", function()
    local store, ids = filled()
    assert.equal("1 2 3", listed(store, ids))
    assert.equal("1", listed(store, ids, "--state", "done"))
    assert.equal("1 3", listed(store, ids, "--definition", "x"))
    assert.equal("1 2", listed(store, ids, "--tag", "team"))
    assert.equal("2", listed(store, ids, "--tag", "team=blue"))
    assert.equal("2", listed(store, ids, "--tag", "team=blue", "--tag", "hot=1"))
    assert.equal("", listed(store, ids, "--tag", "team=blue", "--tag", "hot=2"))
  end)

  it("the newest, when there are many", function()
    local store, ids = filled()
    assert.equal("2 3", listed(store, ids, "-n", "2"))
    assert.equal("1 2 3", listed(store, ids, "-n", "0"))
    for _, words in ipairs { {}, { "--json" } } do -- said where it is not taken for a run
      local done = store.run("list", "-n", "1", table.unpack(words))
      assert.equal("luastep: there are more than the newest 1; --limit 0 shows all\n", done.err)
      assert.equal("", store.run("list", "-n", "3", table.unpack(words)).err)
    end
  end)

  it("as JSON", function()
    local store, ids = filled()
    local rows = json.decode(store.run("list", "--json", "--definition", "z").out)
    assert.same({ { id = ids[2], name = "z", state = "BLOCKED_BADREQUEST", run_count = 1, created = "1970-01-01T00:00:00Z",
      changed = "1970-01-01T00:01:30Z", tags = { team = "blue", hot = "1" } } }, { table.unpack(rows) })
    assert.equal("[]\n", store.run("list", "--json", "--state", "PAUSED").out)
  end)

  for name, case in pairs {
    ["a state that is none"] = { { "--state", "DOEN" }, "%-%-state DOEN: a run has no such state %(did you mean 'DONE'%?%)" },
    ["a state that is like none"] = { { "--state", "foo" }, "a run has no such state; accepted: TODO, RUNNING, DONE, " },
    ["several tags of which one has no value"] = { { "--tag", "a=1", "--tag", "b" }, "%-%-tag b: of several tags each needs a value" },
    ["a limit that is no number"] = { { "-n", "few" }, "%-%-limit: a whole number from 0 is expected, found 'few'" },
  } do
    it("refuses " .. name, function()
      local store = filled()
      local done = store.run("list", table.unpack(case[1]))
      assert.equal(3, done.status)
      assert.matches(case[2], done.err)
    end)
  end
end)
