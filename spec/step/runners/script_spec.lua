-- step.runners.script: µTask's script plugin. What it documents, and where ours says more.

require "step.run" -- gives definitions their `start`

local cli = require "spec.support.cli"
local outside = require "spec.support.outside"
local refused = require "spec.support.refused"
local script = require "step.runners.script"
local step = require "step"

--- A folder with a definition's file and executable scripts.
local function folder_with(scripts)
  local folder = cli.folder(scripts)
  for name in pairs(scripts) do assert(os.execute(("chmod +x '%s/%s'"):format(folder, name))) end
  return folder
end

--- The step after a run with that configuration, in a definition whose file is in `folder`.
local function run(configuration, options)
  options = options or {}
  local def, err = require "step.definition".define({
    name = "x", base_configurations = { base = options.base }, inputs = { { name = "v", optional = true } },
    steps = { { name = "a", action = { type = "script", configuration = configuration, base_configuration = options.base and "base" } } },
  }, { file = (options.folder or "/no-such-folder") .. "/x.yaml" })
  assert(def, tostring(err))
  local r = assert(def:start { clock = step.manual_clock(0), id = options.id, input = { v = options.input } })
  r:resolve()
  return r.steps.a
end

--- The same for a program for the shell.
local function sh(program, more)
  local configuration = { argv = { program }, shell = true }
  for name, value in pairs(more or {}) do configuration[name] = value end
  return run(configuration)
end

after_each(function()
  cli.clean()
  assert.same({}, outside.left())
end)

describe("runner script", function()
  it("makes the last line the output, the rest is in the metadata", function()
    local folder = folder_with { ["scripts/hello.sh"] =
      '#!/bin/sh\necho "Hello $1"\necho note >&2\necho "{\\"who\\":\\"$1\\",\\"n\\":[1,2.5]}"\n' }
    local a = run({ file_path = "hello.sh", argv = { "world" }, timeout = "25s" }, { folder = folder })
    assert.same({ "DONE", { who = "world", n = { 1, 2.5 } } }, { a.state, a.output })
    local metadata = step.json.copy(a.metadata)
    assert.matches("^%d+%.?%d*[µm]?s$", metadata.execution_time)
    metadata.execution_time = nil
    assert.same({ exit_code = "0", process_state = "exit status 0", error = "",
      output = 'Hello world\nnote\n{"who":"world","n":[1,2.5]}\n' }, metadata)
  end)

  it("has no fields of metadata but those of its schema", function()
    local a = sh "exit 0"
    local properties = script.metadata_schema().properties
    for name, value in pairs(a.metadata) do assert.equal(properties[name].type, type(value)) end
    for name in pairs(properties) do assert.is_not_nil(a.metadata[name]) end
  end)

  it("S8.13: a template that asks for another field is refused", function()
    local finding = refused.only(refused.steps {
      { name = "a", action = { type = "script", configuration = { argv = { "true" } } } },
      { name = "b", dependencies = { "a" }, action = { type = "echo", configuration = { output = "{{.step.a.metadata.exit_status}}" } } },
    })
    assert.matches("exit_status", tostring(finding))
  end)

  it("S4.4: names the resource fork", function()
    assert.same({ "fork" }, script.resources())
    local engine <close> = step.engine { resource_limits = { fork = 0 }, clock = step.manual_clock(0) }
    engine:add(assert(step.define { name = "x", steps = { { name = "a", action = { type = "script",
      configuration = { argv = { "true" } } } } } }))
    local r = engine:start "x"
    r:resolve()
    assert.equal("TO_RETRY", r.steps.a.state)
  end)

  describe("file_path", function()
    it("is looked for in scripts/ beside the definition, then beside it, then from the working directory", function()
      local text = "#!/bin/sh\nprintf '{\"at\":\"%s\"}' \"$(pwd -P)\"\n"
      local folder = folder_with { ["scripts/a"] = text, a = text, b = text, ["scripts/sub/c"] = text }
      local pipe = assert(io.popen(("cd '%s' && pwd -P"):format(folder)))
      local real = pipe:read "l"
      pipe:close()
      assert.equal(real .. "/scripts", run({ file_path = "a" }, { folder = folder }).output.at)
      assert.equal(real, run({ file_path = "b" }, { folder = folder }).output.at)
      assert.equal(real .. "/scripts", run({ file_path = "./sub/c" }, { folder = folder }).output.at)
      assert.equal(real, run({ file_path = folder .. "/a" }).output.at)
      assert.equal(real .. "/scripts", run({ file_path = "../a" }, { folder = folder .. "/scripts" }).output.at)
    end)

    it("that is not there is refused, with the places where it was looked for", function()
      local def, err = step.define { name = "x", steps = { { name = "a", action = { type = "script",
        configuration = { file_path = "no-such-script.sh" } } } } }
      assert.is_nil(def)
      assert.equal('file_path: there is no file "no-such-script.sh"; looked for in: ./scripts/, ./', err.errors[1].message)
      local a = run({ file_path = "{{.input.v}}" }, { folder = "/no-such-folder", input = "no-such-script.sh" })
      assert.equal("CLIENT_ERROR", a.state)
      assert.equal('file_path: there is no file "no-such-script.sh"; looked for in: /no-such-folder/scripts/, /no-such-folder/, '
        .. "./scripts/, ./", a.error)
    end)

    it("that cannot be executed says how to make it so", function()
      local folder = cli.folder { ["scripts/plain.sh"] = "echo x" }
      local a = run({ file_path = "plain.sh" }, { folder = folder })
      assert.equal("CLIENT_ERROR", a.state)
      assert.equal("./plain.sh cannot be started: permission denied: it is not executable (chmod +x)", a.error)
      assert.equal(a.error, a.metadata.error)
    end)

    it("that is a folder is none", function()
      local folder = folder_with { ["scripts/tool/x"] = "", tool = "#!/bin/sh\necho '{\"a\":1}'\n" }
      assert.same({ a = 1 }, run({ file_path = "tool" }, { folder = folder }).output)
      assert.equal("file_path: /usr is a folder", refused.configuration("script", { file_path = "/usr" }))
      local a = run({ file_path = "{{.input.v}}" }, { folder = folder, input = "scripts" })
      assert.same({ "CLIENT_ERROR", ("file_path: %s/scripts is a folder; looked for in: %s/scripts/, %s/, ./scripts/, ./")
        :format(folder, folder, folder) }, { a.state, a.error })
    end)

    it("has an older name, file", function()
      local folder = folder_with { ["scripts/a"] = "#!/bin/sh\necho '{\"a\":1}'\n" }
      assert.same({ a = 1 }, run({ file = "a", timeout_seconds = "25" }, { folder = folder }).output)
    end)
  end)

  describe("argv", function()
    it("alone is a whole command, and no shell", function()
      assert.same({ a = "$HOME; *" }, run({ argv = { "printf", '{"a":"%s"}', "$HOME; *" } }).output)
    end)

    it("takes numbers and templates", function()
      assert.same({ list = { 1, 2.5, true, 7 } }, run({ argv = { "printf", '{"list":[%s,%s,%s,%s]}', 1, 2.5, true, "{{.input.v}}" } },
        { input = "7" }).output)
    end)

    it("with shell is a program and its $1, $2", function()
      assert.same({ a = "y x" }, run({ argv = { 'printf \'{"a":"%s %s"}\' "$2" "$1"', "x", "y" }, shell = true }).output)
      assert.same({ a = 1 }, run({ argv = { "echo '{\"a\":1}' | cat" }, shell = "true" }).output)
    end)
  end)

  it("writes stdin; it is empty by default", function()
    assert.same({ a = 1 }, run({ argv = { "cat" }, stdin = '{"a":1}' }).output)
    assert.same({}, run({ argv = { "cat" } }).output)
    assert.equal("5", run({ argv = { "cat" }, stdin = 5, output_mode = "disabled" }).metadata.output)
  end)

  it("has an environment: its own, STEP_* and UTASK_*", function()
    local program = [[printf '{"all":"%s"}' "$A|$B|$STEP_RUN_ID|$STEP_NAME|$UTASK_TASK_ID|$UTASK_RESOLUTION_ID|$UTASK_STEP_NAME"]]
    local a = run({ argv = { program }, shell = true, environment = { A = "x y", B = 5 } }, { id = "the-run" })
    assert.equal("x y|5|the-run|a|the-run|the-run|a", a.output.all)
  end)

  describe("output_mode", function()
    it("manual-lastline: one empty line at the end does not count", function()
      for text, output in pairs {
        ['{"a":1}'] = { a = 1 }, ['{"a":1}\n'] = { a = 1 }, ['x\n  {"a":1}  \n'] = { a = 1 }, ['x\n{"a":1}\n \t'] = { a = 1 },
        [""] = {}, ["\n"] = {}, ['{"a":1}\n\n'] = {},
      } do
        local a = run { argv = { "printf", "%s", text } }
        assert.same({ "DONE", output }, { a.state, a.output }, ("%q"):format(text))
      end
    end)

    it("is read in time that grows with the output, whatever its lines are long", function()
      local fill = "head -c %d /dev/zero | tr '\\0' '%s'; "
      for name, program in pairs {
        ["a long line before the last"] = fill:gsub("%%s", "x") .. "echo; echo '{\"a\":1}'",
        ["blanks before the object"] = fill:gsub("%%s", " ") .. "echo '{\"a\":1}'",
        ["blanks inside of it"] = "printf '{'; " .. fill:gsub("%%s", " ") .. "echo '\"a\":1}'",
        ["blanks alone"] = fill:gsub("%%s", " ") .. "printf '\\v'",
      } do
        local function seconds(length)
          local started = os.clock()
          local a = sh(program:format(length))
          assert.equal("DONE", a.state, name .. ": " .. tostring(a.error))
          assert.equal(name ~= "blanks alone" and 1 or nil, a.output.a, name)
          return os.clock() - started
        end
        assert.is_true(seconds(50000) < 40 * math.max(seconds(5000), 0.005), name) -- 100 times when it grew with the square
      end
    end)

    it("a last line that is no JSON object is an error", function()
      local a = sh "echo hello"
      assert.equal("SERVER_ERROR", a.state)
      assert.matches("^the output is no JSON: .*; output_mode disabled takes none$", a.error)
      assert.equal("hello\n", a.metadata.output)
      a = sh "echo '[1]'"
      assert.same({ "SERVER_ERROR", "the output is to be a JSON object, found a list" }, { a.state, a.error })
      assert.is_nil(sh("echo null").output)
    end)

    it("manual-delimiters: between the last beginning that has an end after it, and the last end", function()
      local function with(text, delimiters)
        return run({ argv = { "printf", "%s", text }, output_mode = "manual-delimiters", output_manual_delimiters = delimiters }).output
      end
      assert.same({ a = 1 }, with('x BEGIN {"a":\n1} END y', { "BEGIN", "END" }))
      assert.same({ a = 2 }, with('BEGIN {"a":1} BEGIN {"a":2} END', { "BEGIN", "END" }))
      assert.same({ a = 3 }, with('<<1 {"a":3} >>', { "<<[0-9]", ">{2}" }))
      assert.same({}, with("nothing", { "BEGIN", "END" }))
      assert.same({ a = 4 }, with('<-{"a":4}->', { "<.", ".>" }))
    end)

    it("manual-delimiters: alternatives, groups and flags of each are its own", function()
      local function with(text, first, last)
        local a = run({ argv = { "printf", "%s", text }, output_mode = "manual-delimiters", output_manual_delimiters = { first, last } })
        assert.equal("DONE", a.state, a.error)
        return a.output
      end
      assert.same({ a = 1 }, with('x BEGIN {"a":1} END y', "(BEGIN|START)", "(END|STOP)"))
      assert.same({ a = 2 }, with('x START {"a":2} STOP y', "BEGIN|START", "END|STOP"))
      assert.same({ a = 3 }, with('START {"a":3}', "(((S)T)A)(?P<name>R)T|(B)EGIN", "$"))
      assert.same({ a = 7 }, with('B1 {"a":7} E1', "B(?P<n>\\d)", "E(?P<n>\\d)"))
      assert.same({ a = 4 }, with('begin {"a":4} end END', "(?i)BEGIN", "end"))
      assert.same({ a = 5 }, with('START\n{"a":5}\nEND\n', "(?m)^START$", "(?m)^END$"))
      assert.same({ a = 6 }, with('("{"a":6}"]', '\\Q("', '"\\]'))
    end)

    it("manual-delimiters: are found in a long output, wherever they stand", function()
      local a = sh("echo 'BEGIN{\"a\":1}END'; head -c 2000000 /dev/zero | tr '\\0' x; true",
        { output_mode = "manual-delimiters", output_manual_delimiters = { "BEGIN", "END" } })
      assert.same({ "DONE", { a = 1 } }, { a.state, a.output }, a.error)
    end)

    it("manual-delimiters: that take too long are an error (D12)", function()
      local a = sh("head -c 300 /dev/zero | tr '\\0' a; echo END",
        { output_mode = "manual-delimiters", output_manual_delimiters = { "(a+)+[bc]", "END" } })
      assert.equal("SERVER_ERROR", a.state)
      assert.matches("^output_manual_delimiters: the regular expression `.*` exceeds its match budget$", a.error)
    end)

    it("manual-delimiters: may look like templates once templates have given them", function()
      local a = sh([[echo '{''{ {"a":4} }}']], { output_mode = "manual-delimiters", output_manual_delimiters = { "{{`{{1} `}}", " }}" } })
      assert.same({ "DONE", { a = 4 } }, { a.state, a.output })
    end)

    it("disabled: the output is {}", function()
      local a = sh("echo '{\"a\":1}'", { output_mode = "disabled" })
      assert.same({ "DONE", {} }, { a.state, a.output })
      assert.same({}, sh("echo x", { last_line_not_json = true }).output)
    end)
  end)

  describe("an exit code", function()
    it("other than 0 is a server error: it is tried again", function()
      local a = sh "echo '{\"a\":1}'; exit 7"
      assert.same({ "SERVER_ERROR", "exit code: 7", { a = 1 } }, { a.state, a.error, a.output })
      assert.same({ "7", "exit status 7", "exit status 7" }, { a.metadata.exit_code, a.metadata.process_state, a.metadata.error })
      assert.same({}, sh("echo text; exit 7").output)
    end)

    it("that is listed is a client error", function()
      for code, state in pairs { [1] = "CLIENT_ERROR", [5] = "CLIENT_ERROR", [10] = "CLIENT_ERROR", [11] = "SERVER_ERROR",
        [100] = "CLIENT_ERROR", [110] = "CLIENT_ERROR" } do
        local a = sh("exit " .. code, { exit_codes_unrecoverable = { "1-10", "{{add 40 60}}", 110 } })
        assert.equal(state, a.state)
        if state == "CLIENT_ERROR" then assert.equal(("Client error: exit code: %d: exit status %d"):format(code, code), a.error) end
      end
    end)

    it("is -1 of a script that a signal has ended", function()
      local a = sh "kill -9 $$"
      assert.same({ "SERVER_ERROR", "-1", "signal: killed", "signal: killed" },
        { a.state, a.metadata.exit_code, a.metadata.process_state, a.metadata.error })
    end)

    it("is ignored with allow_exit_non_zero, as µTask did", function()
      local a = sh("echo '{\"a\":1}'; exit 7", { allow_exit_non_zero = true })
      assert.same({ "DONE", { a = 1 }, "7" }, { a.state, a.output, a.metadata.exit_code })
    end)
  end)

  it("the time-out ends it: a server error that says the time", function()
    for _, timeout in ipairs { "20ms", 0.02, "0.02" } do
      local a = sh("echo before; sleep 10", { timeout = timeout })
      assert.equal("SERVER_ERROR", a.state)
      assert.equal("the script was stopped after the timeout of 20ms", a.error)
      assert.same({ "-1", "signal: terminated" }, { a.metadata.exit_code, a.metadata.process_state })
    end
  end)

  it("keeps max_output bytes: the last line is lost then", function()
    local a = sh("echo 12345; echo '{}'", { max_output = 3 })
    assert.same({ "CLIENT_ERROR", "123" }, { a.state, a.metadata.output })
    assert.matches("more than max_output, 3 bytes", a.error)
    assert.equal("DONE", sh("echo 12345", { max_output = "3", output_mode = "disabled" }).state)
  end)

  it("output that is no UTF-8 becomes what JSON can hold", function()
    local a = sh("printf 'a\\377b\\303\\251'", { output_mode = "disabled" })
    assert.equal("a\u{FFFD}bé", a.metadata.output)
  end)

  it("lays the configuration over the base (D21)", function()
    local a = run({ argv = { "printf", "%s", '{"a":1}' } }, { base = { timeout = "1m", output_mode = "disabled", argv = { "false" } } })
    assert.same({ "DONE", {} }, { a.state, a.output })
    a = run({ argv = { [[printf '{"a":"%s"}' "$A$B$C"]] }, shell = true, environment = { B = "own", C = "own" } },
      { base = { environment = { A = "base ", B = "base " } } })
    assert.equal("base ownown", a.output.a)
  end)

  it("a command that cannot be started is CLIENT_ERROR, and says why", function()
    local a = run { argv = { "/usr" } }
    assert.same({ "CLIENT_ERROR", "/usr cannot be started: it is a folder", a.error }, { a.state, a.error, a.metadata.error })
  end)

  it("S4.5: what keeps it from starting just now is SERVER_ERROR: it is tried again", function()
    for code, kind in pairs { EAGAIN = "spawn", EMFILE = "spawn", ENOMEM = "spawn", ENOENT = "bad_request" } do
      local ctx = { run_id = "x" }
      function ctx.spawn() return nil, step.error.new("spawn", "no", { code = code }) end
      local _, _, _, err = script.exec("a", nil, { argv = { "true" } }, ctx)
      assert.equal(kind, err.kind, code)
    end
  end)

  it("S8.2: refuses what it cannot use", function()
    local command = { "true" }
    for message, configuration in pairs {
      ["file_path is missing, and argv is no command either"] = {},
      ["file_path: a text is expected, found true (in YAML yes, no, on, off, y and n are true or false: quote the text)"]
        = { file_path = true },
      ["argv: a list of texts is expected, found \"ls -l\""] = { argv = "ls -l" },
      ["argv[2]: a text is expected, found an object"] = { argv = { "ls", { a = 1 } } },
      ["argv: its first value is the command's name alone, found \"ls -l\"; every argument is a value of its own, and a program for a "
        .. "shell needs shell: true"] = { argv = { "ls -l" } },
      ["shell: argv is the program for the shell then, there cannot be a file_path"]
        = { shell = true, argv = { "ls" }, file_path = "Makefile" },
      ['shell: true or false is expected, found "bash"'] = { shell = "bash", argv = command },
      ["stdin: a text is expected, found an object"] = { argv = command, stdin = { a = 1 } },
      ["environment: an object of texts is expected, found a list"] = { argv = command, environment = { "A=1" } },
      ["environment.A: a text is expected, found an object"] = { argv = command, environment = { A = { b = 1 } } },
      ['environment: a variable cannot have the name "A=B"'] = { argv = command, environment = { ["A=B"] = "x" } },
      ["argv[2]: a zero byte cannot be passed to a program"] = { argv = { "ls", "a\0b" } },
      ["environment.A: a zero byte cannot be passed to a program"] = { argv = command, environment = { A = "a\0b" } },
      ["file_path: a file's name has no zero byte"] = { file_path = "a\0b" },
      ['timeout: more than 0 seconds are expected, found "-5s"'] = { argv = command, timeout = "-5s" },
      ["timeout: more than 0 seconds are expected, found 0"] = { argv = command, timeout = 0 },
      ['timeout: a text like "1.5s" is expected (units: ns, us, ms, s, m, h), found "5 sec"']
        = { argv = command, timeout = "5 sec" },
      ['output_mode: found "auto-result"; accepted: manual-lastline, manual-delimiters, disabled']
        = { argv = command, output_mode = "auto-result" },
      ["output_manual_delimiters: they are for output_mode manual-delimiters, it is manual-lastline"]
        = { argv = command, output_manual_delimiters = { "a", "b" } },
      ["output_manual_delimiters: two texts are expected, found none"] = { argv = command, output_mode = "manual-delimiters" },
      ["output_manual_delimiters: two texts are expected, found 1"]
        = { argv = command, output_mode = "manual-delimiters", output_manual_delimiters = { "a" } },
      ['exit_codes_unrecoverable[1]: an exit code, or a range like "120-130", is expected, found "1..5"']
        = { argv = command, exit_codes_unrecoverable = { "1..5" } },
      ['exit_codes_unrecoverable[1]: the end of a range is to be over its beginning, found "5-5"']
        = { argv = command, exit_codes_unrecoverable = { "5-5" } },
      ['exit_codes_unrecoverable[1]: the exit code 0 is success, found "0-5"'] = { argv = command, exit_codes_unrecoverable = { "0-5" } },
      ["exit_codes_unrecoverable: a list of exit codes is expected, found 5"] = { argv = command, exit_codes_unrecoverable = 5 },
      ["max_output: a whole number from 1 is expected, found 0"] = { argv = command, max_output = 0 },
      ["unknown field 'time_out'; accepted: allow_exit_non_zero, argv, environment, exit_codes_unrecoverable, file, file_path, "
        .. "last_line_not_json, max_output, output_manual_delimiters, output_mode, shell, stdin, timeout, timeout_seconds "
        .. "(did you mean 'timeout'?)"] = { argv = command, time_out = "5s" },
      ['the configuration: an object is expected, found "x"'] = "x",
    } do
      assert.equal(message, refused.configuration("script", configuration))
    end
    for i, delimiters in ipairs { { "(", "b)" }, { "{{1}}", "b)" } } do
      assert.matches(("^output_manual_delimiters%%[%d%%]: no regular expression: .*parenthesis.*, found \"[(b)]+\"$"):format(i),
        refused.configuration("script", { argv = command, output_mode = "manual-delimiters", output_manual_delimiters = delimiters }))
    end
  end)

  it("passes over keys that it does not know, as µTask does", function()
    assert.equal("DONE", run({ argv = { "true" }, something_else = 5 }).state)
  end)

  it("S4.5: what only templating shows to be wrong is CLIENT_ERROR", function()
    for message, configuration in pairs {
      ['timeout: more than 0 seconds are expected, found "-1s"'] = { argv = { "true" }, timeout = "{{.input.v}}" },
      ["argv: its first value is the command's name alone, found \"-1s \"; every argument is a value of its own, and a program for a shell "
        .. "needs shell: true"] = { argv = { "{{.input.v}} " } },
    } do
      local a = run(configuration, { input = "-1s" })
      assert.same({ "CLIENT_ERROR", message }, { a.state, a.error })
    end
  end)
end)
