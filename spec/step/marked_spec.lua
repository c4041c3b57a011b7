-- step.marked: processes are found by their environment.

local child = require "spec.support.child"
local marked = require "step.marked"

local uv = require "step.outside".luv()

describe("step.marked", function()
  it("a mark names this program, and each is another one", function()
    local one, two = marked.new(uv), marked.new(uv)
    assert.not_equal(one, two)
    local pid, since = one:match "^(%d+):(%d*):%d+$"
    assert.equal(math.tointeger(uv.os_getpid()), math.tointeger(tonumber(pid)))
    assert.equal(marked.start_time "self" or "", since)
    assert.is_false(marked.orphaned(one))
  end)

  it("who gave a mark is gone when another process has its number, or none", function()
    assert.is_true(marked.orphaned(("%d:1:1"):format(uv.os_getpid())))
    assert.is_true(marked.orphaned "999999999:1:1")
    assert.is_true(marked.orphaned "999999999:1") -- as it was written before
    assert.is_false(marked.orphaned "")
    assert.is_false(marked.orphaned ":1:1")
  end)

  it("a search answers who asked before it began; others have to wait a little", function()
    local fresh = dofile(package.searchpath("step.marked", package.path)) -- with no search before
    local listed = 0
    local now = 1e18
    local fake = {
      hrtime = function() return now end, os_getpid = function() return 1 end, fs_scandir_next = function() return nil end,
      fs_scandir = function()
        listed = listed + 1
        now = now + 5e6
        return {}
      end,
    }
    local since = now
    assert.same({}, fresh.with(fake, "a", since))
    assert.same({}, fresh.with(fake, "b", since))
    assert.equal(1, listed)
    since = now
    assert.is_nil(fresh.with(fake, "a", since))
    now = now + 19e6
    assert.is_nil(fresh.with(fake, "a", since))
    now = now + 1e6
    assert.same({}, fresh.with(fake, "a", since))
    assert.equal(2, listed)
  end)

  it("visits what has both variables, and not this process", function()
    local program = [[
      local uv, marked = require "step.outside".luv(), require "step.marked"
      local child, pid = uv.spawn("sleep", { args = { "10" },
        env = { "STEP_RUN_ID=marked-spec", "STEP_PROCESS=1:2:3", "PATH=/usr/bin:/bin" } })
      local found = {}
      for _ = 1, 500 do -- until it is the program that it is to be
        marked.each(uv, function(id, run_id, mark) if run_id == "marked-spec" then found = { id == pid, mark } end end)
        if found[1] ~= nil then break end
        uv.sleep(2)
      end
      child:kill "sigkill"
      io.write(tostring(found[1]), " ", tostring(found[2]))
    ]]
    assert.equal("true 1:2:3", (child.run { "-e", program }))
  end)
end)
