-- A program with a loop of its own, a controller of cqueues, and an engine inside of it: one of its coroutines is the engine's, which
-- takes its turns and leaves the waiting to the controller.
--
--   LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/?.so;;' lua5.4 examples/cqueues_host.lua [PRICE [SECONDS]]
--
-- sells something: a workflow asks for a price, over a socket that another coroutine serves, has a process write the bill, and
-- sleeps for SECONDS (default 1) until it is paid. Meanwhile a clock ticks five times.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local socket = require "cqueues.socket"
local step = require "step"

local price, seconds = arg[1] or "12", tonumber(arg[2]) or 1

local controller = cqueues.new()
local resumed = condition.new() -- somebody has done something that the engine is to hear of

local client, server = assert(socket.pair())

local function lua_action(fn) return { type = "lua", configuration = { fn = fn } } end

local def = assert(step.define {
  name = "sell",
  steps = {
    { name = "price", action = lua_action(function(_, ctx) -- any coroutine of the program's may resume a step
      local answer = ctx:await(function(resume)
        controller:wrap(function()
          client:write "price?\n"
          client:flush()
          resume(client:read "*l")
          resumed:signal()
        end)
      end)
      local number = tonumber(answer)
      if not number then error(step.error.bad_request("no price: " .. tostring(answer))) end
      return number
    end) },
    { name = "bill", dependencies = { "price" }, action = { type = "lua", configuration = {
      args = { price = "{{.step.price.output}}" },
      fn = function(args, ctx) return (assert(ctx:spawn { "echo", "to pay: " .. args.price }).stdout:gsub("\n$", "")) end } } },
    { name = "paid", dependencies = { "bill" }, action = lua_action(function(_, ctx) ctx:sleep(seconds) end) },
  },
})

local engine <close> = assert(step.engine())
engine:add(def)

local run = assert(engine:start "sell")
run:on("transition", function(event)
  if event.step and event.to ~= "RUNNING" then print(("%-6s %s"):format(event.step, event.to)) end
end)

-- The engine's coroutine. It waits until the engine is needed next or something is resumed. Processes are luv's, which the engine has
-- loaded if there was one; what luv waits for is seen at its descriptor, else a twentieth of a second later.
controller:wrap(function()
  while run.state == "TODO" or run.state == "RUNNING" do
    local luv = package.loaded.luv
    if luv then luv.run "nowait" end
    local progress, err = engine:step()
    if progress == nil then error(tostring(err)) end
    local wait = progress and 0 or engine:timeout() or math.huge -- after progress the other coroutines have their turn first
    local events = luv and { pollfd = luv.backend_fd(), events = "r" }
    if events then cqueues.poll(resumed, events, wait) else cqueues.poll(resumed, wait) end
  end
end)

-- From here on it is the program's own affair.
controller:wrap(function()
  for _ in server:lines "*l" do
    server:write(price, "\n")
    server:flush()
  end
end)

controller:wrap(function()
  for tick = 1, 5 do
    print("tick " .. tick)
    cqueues.sleep(seconds / 5)
  end
  client:shutdown "rw" -- the server has nobody to serve any more
end)

local begun = cqueues.monotime()
assert(controller:loop()) -- until all coroutines have ended

print(("%s after %.1f s: %s"):format(run.state, cqueues.monotime() - begun, run.steps.bill.output or run.steps.price.error or "no bill"))
os.exit(run.state == "DONE", true)
