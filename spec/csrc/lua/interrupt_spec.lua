-- csrc/lua/interrupt.c: requests to end are noted, the first of a kind; the second ends the process.

local child = require "spec.support.child"

local BEGIN = [[
local core = require "step.core"
local function ask(signal) io.popen("kill -" .. signal .. " $PPID"):close() end
core.watch_interrupts(true)
io.stdout:setvbuf "no"
]]

describe("an interrupt", function()
  for signal, number in pairs { HUP = 1, INT = 2, TERM = 15 } do
    it(("SIG%s is noted; the second one ends the process"):format(signal), function()
      local text, code, how = child.run({ "-e", BEGIN .. ([[
        print(core.interrupted())
        ask "%s"
        print(core.interrupted())
        ask "%s"
        print "not here"]]):format(signal, signal) }, nil, true)
      assert.equal("false\ntrue\n", text)
      assert.same({ "signal", number }, { how, code })
    end)
  end

  it("that was ignored is none: nohup", function()
    local pipe = assert(io.popen("trap '' HUP; " .. child.command { "-e", BEGIN .. [[ask "HUP" print(core.interrupted())]] }))
    assert.equal("false\n", pipe:read "a")
    pipe:close()
  end)

  it("is handled as before when nobody watches any more", function()
    local text, _, how = child.run { "-e", BEGIN .. [[
      ask "INT"
      core.watch_interrupts(false)
      core.watch_interrupts(false)
      print(core.interrupted())
      print(pcall(function() ask "INT" for i = 1, 100 do end end))]] }
    assert.matches("^false\nfalse\t.*interrupted!\n$", text)
    assert.equal("exit", how)
  end)
end)
