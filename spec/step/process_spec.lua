-- step.process: ctx:spawn, what ends a process, what is left of one.

local child = require "spec.support.child"
local core = require "step.core"
local fixture = require "spec.c_runner"
local outside = require "spec.support.outside"
local process = require "step.process"
local step = require "step"
local temp = require "spec.support.temp"

local kinds = 0

--- A run of steps; an exec is given as a function(ctx).
local function start(execs, options)
  local steps = {}
  for i, exec in ipairs(execs) do
    kinds = kinds + 1
    local kind = "process-spec" .. kinds
    assert(step.register_runner(kind, function(_, _, _, ctx) return exec(ctx) end))
    steps[i] = { name = string.char(96 + i), action = { type = kind } }
  end
  return assert(step.define { name = "processes", steps = steps }):start(options)
end

--- What ctx:spawn returns for a command.
local function spawn(argv, options, start_options)
  local result, err
  local run = start({ function(ctx) result, err = ctx:spawn(argv, options) end }, start_options)
  local state = run:resolve()
  assert.equal("DONE", state, run.steps.a.error)
  return result, err
end

local function sh(text, options)
  options = options or {}
  options.env = options.env or {}
  options.env.LD_PRELOAD = "" -- of a sanitizer
  return spawn({ "/bin/sh", "-c", text }, options)
end

--- The same with a time-out that comes after the program has said that it is ready, however slow the machine is.
local function late(text, options)
  options = options or {}
  for _, timeout in ipairs { 0.04, 0.1, 0.4, 1.6 } do
    options.timeout = timeout
    local r = sh(text, options)
    if r.stdout:find "^ready\n" then return r end
  end
  error "the machine is too slow"
end

--- What a Lua program prints in a process of its own.
local function lua(program) return (child.run { "-e", program }) end

after_each(fixture.reset)
after_each(function() assert.same({}, outside.left()) end)
after_each(temp.clean)

describe("ctx:spawn", function()
  it("returns how the process ended and what it printed", function()
    local r = sh "echo out; echo err >&2; exit 3"
    assert.same({ 3, "out\n", "err\n", false, false }, { r.code, r.stdout, r.stderr, r.timed_out, r.truncated })
    assert.is_nil(r.signal)
    assert.equal("float", math.type(r.duration))
  end)

  it("finds the command in PATH, passes words as they are, and is no shell", function()
    assert.equal("a b|$HOME|*|", spawn({ "printf", "%s|", "a b", "$HOME", "*" }).stdout)
    assert.equal("1 2.5 é\n", spawn({ "echo", 1, 2.5, "é" }).stdout)
  end)

  it("writes stdin; without it there is nothing to read", function()
    assert.equal("given\0\n", spawn({ "cat" }, { stdin = "given\0\n" }).stdout)
    assert.equal("", spawn({ "cat" }).stdout)
    assert.equal("", spawn({ "cat" }, { stdin = "" }).stdout)
    local r = spawn({ "wc", "-c" }, { stdin = ("x"):rep(300000) })
    assert.matches("^%s*300000\n$", r.stdout)
  end)

  it("a process that does not read its stdin is no error (SIGPIPE)", function()
    assert.equal(0, spawn({ "true" }, { stdin = ("x"):rep(1000000) }).code)
  end)

  it("its streams can be opened by name", function()
    local r = sh "echo out > /dev/stdout; echo err > /dev/stderr"
    assert.same({ "out\n", "err\n" }, { r.stdout, r.stderr })
  end)

  it("merges stderr into stdout, in order", function()
    local r = sh("echo 1; echo 2 >&2; echo 3", { merge_stderr = true })
    assert.same({ "1\n2\n3\n", "" }, { r.stdout, r.stderr })
  end)

  it("reads large output, and keeps max_output bytes of each stream", function()
    assert.equal(1000000, #spawn({ "head", "-c", "1000000", "/dev/zero" }).stdout)
    local r = sh("printf 12345; printf abcde >&2; exit 1", { max_output = 3 })
    assert.same({ "123", "abc", true, 1 }, { r.stdout, r.stderr, r.truncated, r.code })
    assert.is_false(sh("printf 123", { max_output = 3 }).truncated)
  end)

  it("has an environment: added to, or replaced", function()
    local r = sh("echo $A $B; test -n \"$PATH\"", { env = { A = "x y", B = 5 } })
    assert.same({ "x y 5\n", 0 }, { r.stdout, r.code })
    r = spawn({ "/usr/bin/env" }, { env = { A = true }, clear_env = true }, { id = "the-run" })
    assert.matches("^A=true\nSTEP_NAME=a\nSTEP_PROCESS=%d+:%d*:%d+\nSTEP_RUN_ID=the%-run\n$", r.stdout)
  end)

  it("runs in cwd", function()
    assert.equal("/\n", spawn({ "pwd" }, { cwd = "/" }).stdout)
  end)

  it("is the leader of a group of its own", function()
    local r = sh "echo $$; cut -d' ' -f5 /proc/self/stat 2>/dev/null || echo $$"
    local pid, group = r.stdout:match "^(%d+)\n(%d+)\n$"
    assert.equal(pid, group)
  end)

  it("says which signal ended it", function()
    local r = sh "kill -9 $$"
    assert.same({ "SIGKILL", nil }, { r.signal, r.code })
  end)

  it("nil and an error that names command and reason when it cannot be started", function()
    for _, case in ipairs {
      { { "no-such-command" }, nil, "ENOENT", "^no%-such%-command cannot be started: there is no such command in PATH %(.+%)$" },
      { { "/dev/null" }, nil, "EACCES", "^/dev/null cannot be started: permission denied: it is not executable" },
      { { "true" }, { cwd = "/no-such-folder" }, "ENOENT", "^true in /no%-such%-folder cannot be started: there is no such folder" },
    } do
      local r, err = spawn(case[1], case[2])
      assert.is_nil(r)
      assert.same({ "spawn", case[1][1], case[3] }, { err.kind, err.command, err.code })
      assert.matches(case[4], tostring(err))
    end
  end)

  it("refuses what it cannot use", function()
    for _, case in ipairs {
      { "ls", nil, "a list of texts expected" }, { {}, nil, "the command first" }, { { "ls", {} }, nil, "word 2 must be a text" },
      { { "ls", "a\0b" }, nil, "word 2 must be a text without a zero byte" }, { { "ls" }, 5, "table expected, got 5" },
      { { "ls" }, { stdn = "x" }, "unknown option 'stdn'; accepted: clear_env, cwd, env," },
      { { "ls" }, { timeout = -1 }, "timeout: a number from 0" }, { { "ls" }, { timeout = 0 / 0 }, "timeout: a number from 0" },
      { { "ls" }, { max_output = 2.5 }, "max_output: a whole number of bytes expected, got 2.5" },
      { { "ls" }, { stdin = 5 }, "stdin: string expected, got 5" }, { { "ls" }, { env = { ["a=b"] = "c" } }, 'env: "a=b" = "c"' },
      { { "ls" }, { env = { a = {} } }, 'env: "a" = an empty table' },
    } do
      local run = start { function(ctx) ctx:spawn(case[1], case[2]) end }
      assert.equal("ERROR", run:resolve())
      assert.is_truthy(run.steps.a.error:find(case[3], 1, true), run.steps.a.error)
    end
  end)

  it("is refused where Lua cannot yield, without a process", function()
    local run = start { function(ctx) table.sort({ 1, 2 }, function() ctx:spawn { "sleep", "10" } end) end }
    run:resolve()
    assert.matches("cannot yield", run.steps.a.error)
  end)

  it("many wait side by side, and others go on meanwhile", function()
    local log, sum = {}, 0
    local function wait(ctx)
      local r = ctx:spawn { "sleep", "0.05" }
      log[#log + 1] = "ended"
      sum = sum + r.duration
    end
    local uv = require "step.outside".luv()
    local from = uv.hrtime()
    local run = start {
      function(ctx)
        ctx:sleep(0.001)
        log[#log + 1] = "slept"
      end, wait, wait, wait, wait,
    }
    assert.equal("DONE", run:resolve())
    local took = (uv.hrtime() - from) / 1e9
    assert.same({ "ended", 5 }, { log[5], #log })
    assert.is_true(took < sum) -- one after the other it would be as much
  end)

  it("a manual clock stands still while a process is at work, and moves on then", function()
    local clock = step.manual_clock(100)
    local seen
    local run = start({
      function(ctx)
        ctx:spawn { "/bin/sh", "-c", "sleep 0.02" }
        seen = clock.time
      end,
      function(ctx) ctx:sleep(7) end,
    }, { clock = clock })
    assert.equal("DONE", run:resolve())
    assert.same({ 100, 107 }, { seen, clock.time })
  end)

  it("waits for results of other threads at the same time", function()
    local uv = require "step.outside".luv()
    local loop = core.loop()
    step.register_runner("process-spec-c", fixture.runner)
    local def = assert(step.define { name = "mixed", steps = {
      { name = "a", action = { type = "process-spec-c" } },
      { name = "b", action = { type = "lua", configuration = { fn = function(_, ctx) ctx:spawn { "sleep", "10" } end } } },
    } })
    fixture.now "open"
    local run = def:start { loop = loop }
    loop:begin(run.core)
    loop:turn()
    loop:pause(0.001) -- it has a descriptor for both now
    fixture.finish(1, "thread", 0, '"came"')
    local from = uv.hrtime()
    while run.steps.a.state == "RUNNING" do
      assert.is_true(loop:pause())
      loop:turn()
    end
    assert.is_true(uv.hrtime() - from < 0.2e9)
    assert.same({ "came", "RUNNING" }, { run.steps.a.output, run.steps.b.state })
    run:close()
    loop:close()
  end)
end)

describe("a time-out of ctx:spawn", function()
  it("ends the process", function()
    local r = spawn({ "sleep", "10" }, { timeout = 0.01 })
    assert.same({ true, "SIGTERM" }, { r.timed_out, r.signal })
    assert.is_true(r.duration < 1)
  end)

  it("and its whole group; what it printed is there", function()
    local r = late "sleep 10 & echo ready; echo $!; exec sleep 10"
    assert.is_true(r.timed_out)
    assert.is_false(outside.alive(math.tointeger(tonumber(r.stdout:match "%d+"))))
  end)

  it("longer than any timer is none", function()
    for _, timeout in ipairs { 1e15, 1e300 } do assert.equal(0, spawn({ "true" }, { timeout = timeout, grace = timeout }).code) end
  end)

  it("by force after the grace", function()
    local r = late("trap '' TERM; echo ready; while :; do sleep 0.01; done", { grace = 0.02 })
    assert.same({ true, "SIGKILL", "ready\n" }, { r.timed_out, r.signal, r.stdout })
  end)

  it("a process that ends by itself when asked has ended so", function()
    local r = late "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.005; done"
    assert.same({ true, 5, "ready\nbye\n" }, { r.timed_out, r.code, r.stdout })
  end)

  it("the leader's end is not its group's: who does not hear is forced", function()
    local r = late("(trap '' TERM; echo ready; while :; do sleep 0.01; done) & sleep 10", { grace = 0.03 })
    assert.same({ true, "SIGTERM" }, { r.timed_out, r.signal })
  end)
end)

describe("a grandchild that has left the group", function()
  --- The number that such a one prints, once it is there.
  local function stray(program) return ("setsid sh -c 'echo ready; echo $$; %s' >&2 & exec sleep 10"):format(program) end

  local function number(text) return math.tointeger(tonumber(text:match "%d+")) end

  it("is asked to end at the time-out, and those that it has started", function()
    local r = late(stray "setsid sleep 10 & exec sleep 10", { merge_stderr = true })
    assert.same({ true, "SIGTERM" }, { r.timed_out, r.signal })
    assert.is_false(outside.alive(number(r.stdout)))
    assert.same({}, outside.left())
    assert.is_true(r.duration < 5)
  end)

  it("is forced after the grace", function()
    local r = late("trap '' TERM; " .. stray "trap \"\" TERM; while :; do sleep 0.01; done", { merge_stderr = true, grace = 0.03 })
    assert.is_true(r.timed_out)
    assert.is_false(outside.alive(number(r.stdout)))
  end)

  it("ends with its run that is cancelled", function()
    local path = temp.path()
    local function pid()
      local file <close> = io.open(path)
      return file and file:read "n"
    end
    local run
    run = start {
      function(ctx) ctx:spawn { "sh", "-c", ("setsid sh -c 'echo $$ >%s; exec sleep 10' & exec sleep 10"):format(path) } end,
      function(ctx)
        while not pid() do ctx:sleep(0.002) end
        run:cancel()
      end,
    }
    assert.equal("CANCELLED", run:resolve())
    outside.settle()
    assert.is_false(outside.alive(pid()))
  end)

  it("is left alone when another process of the run is ended, and when its own has ended by itself", function()
    local kept, other = nil, nil
    local run = start {
      function(ctx)
        local r = ctx:spawn { "sh", "-c", "setsid sleep 10 >/dev/null 2>&1 & echo $!" }
        kept = number(r.stdout)
        other = ctx:spawn({ "sleep", "10" }, { timeout = 0.001 })
      end,
    }
    assert.equal("DONE", run:resolve(), run.steps.a.error)
    assert.is_true(other.timed_out and outside.alive(kept))
    require "step.outside".luv().kill(kept, "sigkill")
  end)
end)

describe("a grandchild that holds the output open", function()
  it("is not waited for once the process has ended", function()
    local r = sh "echo done; sleep 10 & echo $!"
    local pid = math.tointeger(tonumber(r.stdout:match "(%d+)\n$"))
    assert.matches("^done\n", r.stdout)
    assert.is_true(outside.alive(pid)) -- nobody asked to end it
    require "step.outside".luv().kill(pid, "sigkill")
  end)
end)

describe("what unwinds ctx:spawn ends the process", function()
  --- The number of a process that a step waits for while `act` is done by another.
  local function interrupted(act, argv)
    local pid
    local path = temp.path()
    local run
    run = start {
      function(ctx) return ctx:spawn(argv or { "/bin/sh", "-c", "echo $$ > " .. path .. "; exec sleep 10" }) end,
      function(ctx)
        local function number()
          local file <close> = io.open(path)
          return file and file:read "n"
        end
        while not number() do ctx:sleep(0.002) end
        pid = number()
        act(run)
      end,
    }
    local ok, state = pcall(run.resolve, run)
    return pid, run, ok and state
  end

  it("run:close", function()
    local pid = interrupted(function(run) run:close() end)
    outside.settle()
    assert.is_false(outside.alive(pid))
  end)

  it("run:cancel", function()
    local pid, run = interrupted(function(run) run:cancel() end)
    assert.equal("CANCELLED", run.state)
    outside.settle()
    assert.is_false(outside.alive(pid))
  end)

  it("the time-out of its step", function()
    local def = assert(step.define { name = "t", steps = { { name = "a", timeout = "20ms", action = { type = "script",
      configuration = { argv = { "sleep", "10" } } } } } })
    local run = def:start()
    run:resolve()
    assert.equal("SERVER_ERROR", run.steps.a.state)
    outside.settle()
  end)

  it("an error of the loop that gives up what is in flight", function()
    local calls, failing = 0, false
    local run
    run = start({
      function(ctx) ctx:spawn { "sleep", "10" } end,
      function(ctx)
        ctx:sleep(0)
        failing = true
      end,
    }, { clock = function()
      calls = calls + 1
      if failing then error "the clock broke" end
      return 1
    end })
    assert.is_false(pcall(run.resolve, run))
    outside.settle()
    assert.equal("SERVER_ERROR", run.steps.a.state)
  end)

  it("closing the engine, at once for who hears, by force for who does not", function()
    for _, program in ipairs { "sleep 10", "trap '' TERM; echo ready; while :; do sleep 0.01; done" } do
      local grace = require("step.outside").GRACE
      require("step.outside").GRACE = 0.02
      local engine = step.engine()
      kinds = kinds + 1
      local kind = "process-spec" .. kinds
      step.register_runner(kind, function(_, _, _, ctx) ctx:spawn { "/bin/sh", "-c", program } end)
      engine:add(assert(step.define { name = "e", steps = { { name = "a", action = { type = kind } } } }))
      local run = engine:start "e"
      engine.loop:begin(run.core)
      engine.loop:turn()
      assert.equal(1, require("step.outside").count())
      engine:close()
      require("step.outside").GRACE = grace
      assert.same({}, outside.left())
    end
  end)
end)

describe("a program that runs luv itself", function()
  it("drives the processes, and calls the loop now and then", function()
    local uv = require "step.outside".luv()
    local loop = core.loop()
    local run = start({ function(ctx) return ctx:spawn({ "echo", "x" }).stdout end }, { loop = loop })
    loop:begin(run.core)
    loop:turn()
    local bound = loop:timeout()
    assert.is_true(bound > 0 and bound <= 0.05)
    uv.run()
    assert.equal(0, loop:timeout())
    loop:turn()
    assert.equal("DONE", run.state)
    assert.is_nil(loop:timeout())
    loop:close()
  end)

  it("inside of its callbacks libuv is not run: the run is pending, and goes on later", function()
    local uv = require "step.outside".luv()
    local run = start { function(ctx) return ctx:spawn({ "echo", "x" }).stdout end }
    local timer, state, err = uv.new_timer(), nil, nil
    timer:start(0, 0, function()
      timer:close()
      state, err = run:resolve()
    end)
    uv.run()
    assert.same({ nil, "pending" }, { state, err and err.kind })
    assert.equal("DONE", run:wait())
    assert.equal("x\n", run.steps.a.output)
  end)
end)

describe("step.process.reap", function()
  local PROGRAM = [[
    local step = require "step"
    local uv = require "step.outside".luv()
    step.register_runner("sh", function(_, _, config, ctx)
      return ctx:spawn { "/bin/sh", "-c", "(trap '' HUP; exec sleep 30 >/dev/null 2>&1) & (exec setsid sleep 30 >/dev/null 2>&1) & "
        .. "exec sleep 30 >/dev/null" }
    end)
    step.register_runner("end", function(_, _, _, ctx)
      ctx:sleep(0.05)
      %s
    end)
    local run = step.define { name = "x", steps = { { name = "a", action = { type = "sh" } }, { name = "b", action = { type = "end" } } } }
      :start { id = %q }
    run:resolve()
  ]]

  --- The processes of a run that are there.
  local function running(id)
    local found = {}
    local uv = require "step.outside".luv()
    local scan = uv.fs_scandir "/proc"
    for name in function() return uv.fs_scandir_next(scan) end do
      local file <close> = name:find "^%d+$" and io.open("/proc/" .. name .. "/environ", "rb") or nil
      if file and (file:read "a" or ""):find("STEP_RUN_ID=" .. id .. "\0", 1, true) and outside.alive(tonumber(name)) then
        found[#found + 1] = tonumber(name)
      end
    end
    return found
  end

  it("ends what a program that was killed has left, descendants in other groups too (S6.6)", function()
    local id = "reap-spec-" .. math.random(1 << 40)
    lua(PROGRAM:format("uv.kill(uv.os_getpid(), 'sigkill')", id))
    assert.is_true(outside.until_true(function() return #running(id) >= 3 end)) -- they go on
    assert.equal(0, process.reap "another run")
    assert.is_true(process.reap(id) >= 3)
    assert.same({}, running(id))
    assert.equal(0, process.reap(id))
  end)

  it("leaves those alone whose owner is alive", function()
    local id = "reap-spec-" .. math.random(1 << 40)
    local run = start({ function(ctx) ctx:spawn { "sleep", "10" } end, function(ctx)
      while #running(id) == 0 do ctx:sleep(0.002) end
      assert(process.reap(id) == 0 and #running(id) == 1)
      error "enough"
    end }, { id = id })
    run.loop:begin(run.core)
    for _ = 1, 500 do
      run.loop:turn()
      if run.steps.b.state == "SERVER_ERROR" then break end
      run.loop:pause(0.002)
    end
    assert.matches("enough", run.steps.b.error)
    run:close()
    outside.settle()
    assert.same({}, running(id))
  end)

  it("at its own end a program leaves nothing", function()
    for _, last in ipairs { "os.exit(0, true)", "run = nil error 'no'" } do
      local id = "reap-spec-" .. math.random(1 << 40)
      lua(PROGRAM:format(last:find "error" and "step.engine() os.exit(1, true)" or last, id):gsub("setsid ", ""))
      assert.is_true(outside.until_true(function() return #running(id) == 0 end))
    end
  end)

  it("needs the id of a run", function()
    assert.error_matches(function() process.reap(nil) end, "a run's id expected")
  end)
end)

describe("luv", function()
  it("is not loaded by a run that waits for nothing but time", function()
    local text = lua [[
      local step = require "step"
      step.register_runner("s", function(_, _, _, ctx) ctx:sleep(0.001) ctx:await(function(resume) resume() end) end)
      local run = step.define { name = "x", steps = {
        { name = "a", action = { type = "s" } }, { name = "b", action = { type = "echo" } },
      } }:start()
      assert(run:resolve() == "DONE")
      print(package.loaded.luv, package.loaded["step.process"])
    ]]
    assert.equal("nil\tnil\n", text)
  end)
end)
