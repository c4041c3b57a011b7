-- Bad input: every callback throws, yields, returns what it should not, and calls back into the API. Never a crash, a hang or
-- a lost step; the run stays usable. (Run it under the sanitizers too: `make asan SPECS=spec/abuse_spec.lua`.)

local json = require "step.json"
local step = require "step"

-- ---- what callbacks do ----

local function nothing() end

local cyclic = {}
cyclic.self = cyclic

--- An error object whose __tostring throws itself.
local hostile = setmetatable({}, { __tostring = function(self) error(self) end })
local nameless = setmetatable({}, { __tostring = function() return {} end })
local indexed = setmetatable({}, {
  __index = function() error("__index") end, __newindex = function() error("__newindex") end, __len = function() error("__len") end,
  __pairs = function() error("__pairs") end, __call = function() error("__call") end, __name = 12,
})
local closing = setmetatable({}, { __close = function() error("__close") end })

local function deep(n)
  local t = {}
  local top = t
  for _ = 1, n do
    t.t = {}
    t = t.t
  end
  return top
end

local function recursion() return 1 + recursion() end

--- name -> function(world) that throws, yields or returns.
local BEHAVIOURS = {
  ["throws a text"] = function() error("oops", 0) end,
  ["throws nil"] = function() error(nil) end,
  ["throws a number"] = function() error(42) end,
  ["throws a table"] = function() error({ kind = 1, message = {} }) end,
  ["throws a cycle"] = function() error(cyclic) end,
  ["throws a function"] = function() error(nothing) end,
  ["throws an object whose __tostring throws"] = function() error(hostile) end,
  ["throws an object whose __tostring gives no text"] = function() error(nameless) end,
  ["throws one of our errors"] = function() error(step.error.bad_request("no")) end,
  ["throws while it closes"] = function()
    local _ <close> = closing
    error(hostile)
  end,
  ["throws invalid UTF-8"] = function() error("\xff\xfe\0\1", 0) end,
  ["recurses without end"] = function() return recursion() end,
  ["overflows in C"] = function() return string.rep("x", 10):gsub(".", function() return recursion() end) end,
  ["yields"] = function() return coroutine.yield(1, 2, 3) end,
  ["yields in a metamethod"] = function() return setmetatable({}, { __index = function() return coroutine.yield() end }).x end,
  ["yields in a coroutine of its own"] = function() return coroutine.wrap(function() coroutine.yield "in" end)() end,
  ["returns nothing"] = function() end,
  ["returns null"] = function() return json.null end,
  ["returns false"] = function() return false end,
  ["returns true"] = function() return true end,
  ["returns a text"] = function() return "text" end,
  ["returns invalid UTF-8"] = function() return "\xff\xfe\0" end,
  ["returns a number"] = function() return 1.5 end,
  ["returns NaN"] = function() return 0 / 0 end,
  ["returns infinity"] = function() return -math.huge end,
  ["returns NaN in a list"] = function() return { 0 / 0 } end,
  ["returns a function"] = function() return nothing end,
  ["returns functions in a list"] = function() return { nothing, { a = nothing } } end,
  ["returns a thread"] = function() return coroutine.create(nothing) end,
  ["returns a file"] = function() return io.stdout end,
  ["returns a cycle"] = function() return cyclic end,
  ["returns something deep"] = function() return deep(300) end,
  ["returns something very deep"] = function() return deep(5000) end,
  ["returns a list with a hole"] = function() return { 1, nil, 3, [1000000] = 4 } end,
  ["returns mixed keys"] = function() return { 1, 2, a = 3, [2.5] = 4, [true] = 5 } end,
  ["returns keys that are no text"] = function() return { [{}] = 1, [nothing] = 2 } end,
  ["returns an empty table"] = function() return {} end,
  ["returns a list"] = function() return { "a", "b" } end,
  ["returns an object"] = function() return { a = { b = {} } } end,
  ["returns many values"] = function() return table.unpack({}, 1, 200) end,
  ["returns five functions"] = function() return nothing, nothing, nothing, nothing, nothing end,
  ["returns something huge"] = function() return ("x"):rep(100000) end,
  ["returns an object full of metamethods"] = function() return indexed end,
  ["returns an object whose __tostring throws"] = function() return hostile end,
  ["collects"] = function() collectgarbage() return { 1 } end,
  ["sets states"] = function(w)
    for _, name in ipairs { "a", "b", "f", "z", "f-0", "none" } do
      for _, state in ipairs { "PRUNE", "TODO", "DONE", "RETRY_NOW", "TO_RETRY", "FATAL_ERROR", "RUNNING",
        "nonsense" } do w.run:set_state(name, state, "by hand") end
    end
  end,
  ["prunes everything"] = function(w) for _, name in ipairs { "a", "b", "f", "z" } do w.run:set_state(name, "PRUNE") end end,
  ["cancels"] = function(w) w.run:cancel() return { 1 } end,
  ["cancels twice"] = function(w) w.run:cancel() w.run:cancel() return { 1 } end,
  ["cancels, pauses and resumes"] = function(w) w.run:cancel() w.run:pause() w.run:resume() error "so" end,
  ["pauses and cancels"] = function(w) w.run:pause() w.run:cancel() end,
  ["cancels and closes"] = function(w) w.run:cancel() w.run:close() return {} end,
  ["cancels and resolves"] = function(w) w.run:cancel() return w.run:resolve() end,
  ["pauses"] = function(w) w.run:pause() return { 1 } end,
  ["pauses, resumes and retries"] = function(w)
    w.run:pause()
    w.run:resume()
    w.run:retry { from = "a" }
    return true
  end,
  ["closes the run"] = function(w) w.run:close() return { 1, 2 } end,
  ["closes the run and throws"] = function(w) w.run:close() error(hostile) end,
  ["closes the run twice and reads it"] = function(w)
    w.run:close()
    w.run:close()
    return w.run.steps.a.output
  end,
  ["closes the engine"] = function(w) w.engine:close() return { 1, 2 } end,
  ["closes the engine and works"] = function(w)
    w.engine:close()
    w.engine:work {}
    return w.engine:start "other"
  end,
  ["resolves the run itself"] = function(w) return w.run:resolve() end,
  ["waits for the run itself"] = function(w)
    if w.run.state == "RUNNING" then return w.run:resolve_as(true) end
  end,
  ["resolves another run"] = function(w)
    local other = w.engine:start "other"
    return other and other:resolve()
  end,
  ["resolves runs of the same definition"] = function(w)
    if w.depth > 2 then return "deep enough" end
    w.depth = w.depth + 1
    local other = w.definition:start { clock = w.clock }
    return other:resolve()
  end,
  ["works"] = function(w)
    if w.depth > 2 then return end
    w.depth = w.depth + 1
    w.engine:work { until_idle = true }
  end,
  ["restores the run"] = function(w) return step.restore(w.run:export(), w.definition):resolve() end,
  ["exports the run"] = function(w) return w.run:export() end,
  ["lists"] = function(w) for run in w.engine:list {} do w.seen = run.state end end,
  ["listens"] = function(w) return w.run:on("transition", function() error(hostile) end) end,
  ["changes what is shown to it"] = function(_, v)
    if type(v) == "userdata" then v.step = 1 end
    return v
  end,
  ["walks over v"] = function(_, v)
    if type(v) ~= "userdata" then return nil end
    for _, value in pairs(v) do
      if type(value) == "userdata" then
        for name, s in pairs(value) do for _ in pairs(s) do assert(name) end end
      end
    end
    return v.step.this.nothing, v.step.none, v[1], v[{}], v.step[{}]
  end,
}

-- ---- where they do it ----

--- name -> function(fields, callback, world): puts the callback into a definition of steps a, f, b, z.
local PLACES = {
  ["an action"] = function(d, call) d.a.action = call end,
  ["an action of a child"] = function(d, call) d.f.action = call end,
  ["a runner"] = function(d, call) d.a.action = { type = "lua", configuration = { fn = call } } end,
  ["a configuration"] = function(d, call) d.a.action = { type = "echo", configuration = { output = { call } } } end,
  ["a pre_hook"] = function(d, call) d.a.pre_hook = { type = "lua", configuration = { fn = call } } end,
  ["the function of ctx:await"] = function(d, call)
    d.a.action = { type = "lua", configuration = { fn = function(_, ctx)
      return ctx:await(function(resume)
        resume(1)
        call(resume)
      end)
    end } }
  end,
  ["a closing variable"] = function(d, call)
    d.a.action = { type = "lua", configuration = { fn = function(_, ctx)
      local _ <close> = setmetatable({}, { __close = function() return call(ctx) end })
      ctx:sleep(1)
      error("in the end")
    end } }
  end,
  ["a finalizer"] = function(d, call)
    d.a.action = function()
      setmetatable({}, { __gc = function() return call() end })
      collectgarbage()
    end
  end,
  ["__index of an output"] = function(d, call)
    d.a.action = function() return setmetatable({}, { __index = call, __len = call, __pairs = call }) end
  end,
  ["__tostring of an error"] = function(d, call)
    d.a.action = function() error(setmetatable({}, { __tostring = function() return call() end })) end
  end,
  ["the if of a skip condition"] = function(d, call) d.a.conditions = { { type = "skip", ["if"] = call,
    ["then"] = { this = "PRUNE" } } } end,
  ["the if of a check condition"] = function(d, call)
    d.a.conditions = { { type = "check", ["if"] = call, ["then"] = { this = "ODD", z = "PRUNE" } } }
  end,
  ["the if of a parent's skip condition"] = function(d, call)
    d.f.conditions = { { type = "skip", foreach = "parent", ["if"] = call, ["then"] = { this = "PRUNE" } } }
  end,
  ["the value of an assertion"] = function(d, call)
    d.a.conditions = { { type = "check", ["if"] = { { value = call, operator = "EQ", expected = "text" } }, ["then"] = { this = "ODD" } } }
  end,
  ["the numbers of an assertion"] = function(d, call)
    d.a.conditions = { { type = "check", ["if"] = { { value = call, operator = "GT", expected = call } }, ["then"] = { this = "ODD" } } }
  end,
  ["the pattern of an assertion"] = function(d, call)
    d.a.conditions = { { type = "skip", ["if"] = { { value = "text", operator = "REGEXP", expected = call } },
      ["then"] = { this = "DONE" } } }
  end,
  ["a message"] = function(d, call)
    d.a.conditions = { { type = "check", ["if"] = function() return true end, ["then"] = { this = "ODD" }, message = call } }
  end,
  ["a foreach"] = function(d, call) d.f.foreach = call end,
  ["an output format"] = function(d, call)
    d.a.action = { type = "echo", configuration = { output = { x = 1 } }, output = { strategy = "template", format = { call } } }
  end,
  ["a format to merge"] = function(d, call)
    d.a.action = { type = "echo", configuration = { output = { x = 1 } }, output = { strategy = "merge", format = { y = call } } }
  end,
  ["a listener"] = function(_, call, w) w.listener = call end,
  ["a clock"] = function(_, call, w)
    local n = 0
    function w.clock.now()
      n = n + 1
      if n % 5 == 3 then return call() end
      return w.clock.time
    end
  end,
  ["a sleeping clock"] = function(d, call, w)
    d.a.action = { type = "lua", configuration = { fn = function(_, ctx) ctx:sleep(1) end } }
    local n = 0
    function w.clock.sleep(seconds)
      w.clock.advance(seconds)
      n = n + 1
      if n == 1 then return call() end
    end
  end,
}

for _, method in ipairs { "exec", "valid_config", "context", "resources", "metadata_schema" } do
  PLACES[method .. " of a runner"] = function(d, call, w)
    w.count = w.count + 1
    local kind = "abuse-" .. method .. w.count .. tostring(w)
    local runner = { exec = function() return { n = 1 } end }
    runner[method] = call
    assert(step.register_runner(kind, runner))
    d.a.action = { type = kind, configuration = { x = 1 } }
  end
end

-- These take their time: a million stack slots each. They are tried in a few places.
local SLOW = { ["recurses without end"] = true, ["overflows in C"] = true }
local SLOW_PLACES = { ["an action"] = true, ["a message"] = true, ["a closing variable"] = true }

-- ---- the world ----

local function sorted(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local FINAL = {}
for _, state in ipairs(sorted(step.run_state)) do FINAL[state] = state ~= "RUNNING" end

local count = 0

local function world()
  count = count + 1
  local w = { clock = step.manual_clock(1000), depth = 0, calls = 0, count = count }
  w.engine = step.engine { clock = w.clock, resource_limits = { r = 1 } }
  w.engine:add(assert(step.define { name = "other", steps = { { name = "o", action = function() return 1 end } } }))
  return w
end

--- Steps a -> f (foreach) -> b, and z, with the callback in its place. The definition, or nil and why it is refused.
local function define(w, place, behaviour)
  local d = {
    a = { name = "a", custom_states = { "ODD" }, resources = { "r" }, action = function() return { n = 1 } end },
    f = { name = "f", dependencies = { "a:ANY" }, foreach = function() return { 1, 2 } end, action = function(v) return v.iterator end },
    b = { name = "b", dependencies = { "f:ANY" }, action = function() return "b" end },
    z = { name = "z", action = function() return "z" end },
    y = { name = "y", dependencies = { "b", "z" }, always = true, timeout = 5, action = function() return "y" end },
  }
  PLACES[place](d, function(...)
    w.calls = w.calls + 1
    if w.calls <= 30 then return behaviour(w, ...) end -- a listener that always changes something is called for ever
    return place == "a clock" and w.clock.time or nil
  end, w)
  d.z.dependencies = d.z.dependencies or { "a:ANY" }
  for _, s in pairs(d) do s.max_retries = 2 end
  return step.define { name = "abused", steps = { d.a, d.f, d.b, d.z, d.y } }
end

--- What is wrong with a run that has been resolved, or nil.
local function wrong(run)
  if run.core:closed() then return nil end
  local state = run.state
  if not FINAL[state] then return "it is " .. state end
  if not run.core:sound() then return "its counters are wrong" end
  local exported, err = run:export()
  if not exported then return "it cannot be exported: " .. tostring(err) end
  for name, s in pairs(exported.steps) do
    if s.state == "RUNNING" then return ("step %s is RUNNING in a run that is %s"):format(name, state) end
    if state == "DONE" and not (s.state == "DONE" or s.state == "PRUNE" or s.state == "ODD") then
      return ("step %s is %s in a run that is DONE"):format(name, s.state)
    end
    if s.error ~= nil and type(s.error) ~= "string" then return ("the error of step %s is a %s"):format(name, type(s.error)) end
  end
end

local function play(place, behaviour)
  local w = world()
  local ok, def, err = pcall(define, w, place, behaviour)
  if not ok or not def then -- a callback that is asked while the definition is made
    if not place:find("^valid_config") and not place:find("^metadata_schema") then error("refused: " .. tostring(def or err), 0) end
    return
  end
  w.engine:add(def)
  w.definition = def
  local started, run = pcall(w.engine.start, w.engine, "abused")
  if not started then -- the clock
    if place ~= "a clock" then error(run, 0) end
    return
  end
  if not run then -- the engine was closed while the definition was made
    assert(not w.engine.loop, err)
    return
  end
  w.run = run
  if w.listener then run:on("transition", w.listener) end
  local problem
  for _ = 1, 4 do
    if run.core:closed() then break end
    local resolved, state = pcall(run.resolve, run)
    if resolved and state == nil and not run.core:closed() and run.state == "RUNNING" then problem = "it is left RUNNING" end
    problem = problem or wrong(run)
    w.clock.advance(3600)
  end
  if problem then error(problem, 0) end
  -- the rest of the world goes on
  local after = assert(step.define { name = "after", steps = { { name = "x", action = function() end } } })
  local other = assert(after:start { loop = place ~= "a clock" and w.engine.loop or nil })
  local fine, state = pcall(other.resolve, other)
  if not fine or state ~= "DONE" then error("another run is " .. tostring(state), 0) end
end

describe("bad input:", function()
  local warn_ = warn
  setup(function() warn "@off" end)
  teardown(function()
    warn_ "@on"
    for _ = 1, 40 do collectgarbage() end -- finalizers that resolve runs leave runs to be collected
  end)

  for _, place in ipairs(sorted(PLACES)) do
    it(place .. " may do what it likes", function()
      local problems = {}
      for _, name in ipairs(sorted(BEHAVIOURS)) do
        if not SLOW[name] or SLOW_PLACES[place] then
          if SLOW[name] then -- Lua drops a finalizer that it calls where the stack is full: not those of other runs
            collectgarbage()
            collectgarbage("stop")
          end
          local ok, problem = pcall(play, place, BEHAVIOURS[name])
          collectgarbage("restart")
          if not ok then problems[#problems + 1] = ("%s: %s"):format(name, tostring(problem)) end
        end
      end
      assert.same({}, problems)
    end)
  end
end)
