-- step.thread: Lua in the thread pool; what comes back, exactly.

local json = require "step.json"
local outside = require "spec.support.outside"
local step = require "step"

local exec
step.register_runner("thread-spec", function(_, _, _, ctx) return exec(ctx) end)

--- What an action returned, and the step after it.
local function run(fn)
  local got
  exec = function(ctx) got = table.pack(fn(ctx)) end
  local def = assert(step.define { name = "threads", steps = { { name = "a", action = { type = "thread-spec" } } } })
  local r = def:start { clock = step.manual_clock(0) }
  r:resolve()
  return got, r.steps.a
end

--- What comes back from a thread that returns its arguments.
local function echo(...)
  local args = table.pack(...)
  local got, a = run(function() return step.thread("return ...", args) end)
  assert.equal("DONE", a.state, a.error)
  return got
end

--- The same value, of the same type, down to the bits.
local function same(expected, found, place)
  assert.equal(math.type(expected) or type(expected), math.type(found) or type(found), place)
  if type(expected) == "table" then
    assert.equal(json.array_mt == getmetatable(expected), json.array_mt == getmetatable(found), place)
    for key, value in pairs(expected) do same(value, found[key], place .. "." .. tostring(key)) end
    for key in pairs(found) do assert.is_not_nil(expected[key], place .. "." .. tostring(key)) end
  elseif type(expected) == "number" then
    assert.equal(("%q"):format(expected), ("%q"):format(found), place)
  else
    assert.equal(expected, found, place)
  end
end

local function random_value(depth)
  local kind = math.random(depth > 3 and 7 or 9)
  if kind == 1 then return math.random(0) end
  if kind == 2 then return (string.unpack("d", string.pack("i8", math.random(0)))) end
  if kind == 3 then return math.random(-5, 5) end
  if kind == 4 then return math.random(-5, 5) / 4 end
  if kind == 5 then return math.random(2) == 1 end
  if kind == 6 then return json.null end
  if kind == 7 then
    local bytes = {}
    for i = 1, math.random(0, 20) do bytes[i] = string.char(math.random(0, 255)) end
    return table.concat(bytes)
  end
  local t = kind == 8 and json.array() or {}
  for i = 1, math.random(0, 4) do t[kind == 8 and i or ("k%d"):format(i)] = random_value(depth + 1) end
  return t
end

after_each(function() assert.same({}, outside.left()) end)

describe("step.thread", function()
  it("runs a text with its arguments, and returns all results", function()
    local got = run(function() return step.thread("local a, b = ... return a + b, a .. b, nil", { 1, 2 }) end)
    assert.same({ 3, "12", nil, n = 3 }, got)
    assert.equal(0, run(function() return step.thread "" end).n)
  end)

  it("runs a function", function()
    local got = run(function() return step.thread(function(n) local s = 0 for i = 1, n do s = s + i end return s end, { 1000 }) end)
    assert.same({ 500500, n = 1 }, got)
  end)

  it("is a method of ctx as well", function()
    assert.same({ 5, n = 1 }, (run(function(ctx) return ctx:thread("return ...", { 5 }) end)))
  end)

  it("keeps values: integers, floats, bytes, nil, null, lists and objects (D22)", function()
    local values = table.pack(1, 1.0, math.maxinteger, math.mininteger, 0.1, -0.0, 1 / 0, 2 ^ 53, "a\0\255", "", true, false, nil,
      json.null, {}, json.array(), json.array { 1, json.array() }, { a = { 1, 2 }, b = "x" }, nil)
    local got = echo(table.unpack(values, 1, values.n))
    assert.equal(values.n, got.n)
    for i = 1, values.n do same(values[i], got[i], "value " .. i) end
  end)

  it("keeps any value", function()
    local values = {}
    for i = 1, 300 do values[i] = random_value(0) end
    local got = echo(table.unpack(values))
    for i = 1, #values do same(values[i], got[i], "value " .. i) end
  end)

  it("does not hold up the others", function()
    local log = {}
    local other = step.register_runner("thread-spec-other", function(_, _, _, ctx)
      ctx:sleep(0.001)
      log[#log + 1] = "other"
    end)
    assert(other)
    exec = function()
      step.thread [[local t = os.clock() while os.clock() - t < 0.03 do end]]
      log[#log + 1] = "thread"
    end
    local r = step.define { name = "threads", steps = {
      { name = "a", action = { type = "thread-spec" } }, { name = "b", action = { type = "thread-spec-other" } },
    } }:start()
    assert.equal("DONE", r:resolve())
    assert.same({ "other", "thread" }, log)
  end)

  it("more than there are threads wait for their turn", function()
    exec = function() return step.thread("return ...", { 7 }) end
    local r = step.define { name = "threads", steps = { { name = "a", foreach = function()
      local list = {}
      for i = 1, 40 do list[i] = i end
      return list
    end, action = { type = "thread-spec" } } } }:start()
    assert.equal("DONE", r:resolve())
    for i = 1, 40 do assert.equal(7, r.steps.a.children[i].output) end
  end)

  it("finds the program's modules; its globals are its own", function()
    assert.equal('{"a":[1]}', run(function() return step.thread("return require'step.json'.encode({a = {1}})") end)[1])
    run(function() return step.thread "leaked = 1 _G.leaked_too = 1" end)
    for _ = 1, 8 do assert.same({ n = 2 }, (run(function() return step.thread "return leaked, leaked_too" end))) end
  end)

  it("raises its errors, with the traceback of the thread", function()
    local got, a, _ = run(function()
      return pcall(step.thread, "local function deep() error('boom') end\ndeep()")
    end)
    assert.equal("DONE", a.state)
    assert.is_false(got[1])
    assert.same({ "thread", "thread:1: boom" }, { got[2].kind, tostring(got[2]) })
    assert.matches("in local 'deep'.*thread:2: in main chunk", got[2].traceback)
    _, a = run(function() return step.thread "error('boom')" end)
    assert.same({ "SERVER_ERROR", "thread:1: boom" }, { a.state, a.error })
  end)

  it("an error object keeps its kind (S4.5)", function()
    local _, a = run(function() return step.thread "error(require'step.error'.bad_request 'not so')" end)
    assert.same({ "CLIENT_ERROR", "not so" }, { a.state, a.error })
    _, a = run(function() return step.thread "error(print)" end)
    assert.matches("^function: ", a.error)
    _, a = run(function() return step.thread "error()" end)
    assert.equal("the thread threw nil", a.error)
  end)

  it("a text that is no program is an error", function()
    local _, a = run(function() return step.thread "return return" end)
    assert.matches("^thread:1: unexpected symbol", a.error)
  end)

  it("refuses what cannot be passed, with its place", function()
    local endless = {}
    endless.t = endless
    for _, case in ipairs {
      { { print }, "argument 1 is a function" }, { { 1, { a = { b = io.stdout } } }, 'argument 2["a"]["b"] is a userdata' },
      { { endless }, "too deep, or contains itself" }, { { { [{}] = 1 } }, "a table is a key" },
      { 5, "a list of arguments expected, got 5" },
    } do
      local _, a = run(function() return step.thread("return 1", case[1]) end)
      assert.is_truthy(a.error:find("bad argument #2 to 'thread' (", 1, true), a.error)
      assert.is_truthy(a.error:find(case[2], 1, true), a.error)
    end
    local _, a = run(function() return step.thread "return 1, { 2, print }" end)
    assert.equal("result 2[2] is a function", a.error)
  end)

  it("refuses what is no program", function()
    local upvalue = 5
    for _, case in ipairs {
      { 5, "a Lua program as a text, or a function expected, got 5" }, { print, "a function written in C" },
      { function() return upvalue end, "uses the local variable 'upvalue' of its surroundings" },
    } do
      local _, a = run(function() return step.thread(case[1]) end)
      assert.is_truthy(a.error:find("bad argument #1 to 'thread' (", 1, true) and a.error:find(case[2], 1, true), a.error)
    end
  end)

  it("outside of a runner, and in another coroutine, says so", function()
    assert.error_matches(function() step.thread "return 1" end, "call it in a runner, and in the runner's own coroutine")
    local _, a = run(function() return coroutine.wrap(function() return step.thread "return 1" end)() end)
    assert.matches("in the runner's own coroutine", a.error)
  end)

  it("when the run is closed its result is dropped; one that waits for its turn is not begun", function()
    local r
    local begun = 0
    exec = function()
      begun = begun + 1
      if begun == 8 then r:close() end
      return step.thread [[local t = os.clock() while os.clock() - t < 0.01 do end]]
    end
    r = step.define { name = "threads", steps = { { name = "a", foreach = function() return { 1, 2, 3, 4, 5, 6, 7, 8 } end,
      action = { type = "thread-spec" } } } }:start()
    local state, err = r:resolve()
    assert.same({ nil, "closed" }, { state, err.kind })
    outside.settle()
  end)
end)
