-- luastep run, on a clock that only moves when somebody waits.

local cli = require "spec.support.cli"
local step = require "step"

local GREET = [[
name: greet
title_format: Greets {{.input.who}}
result_format: {text: "{{.step.say.output}}"}
inputs:
- {name: who}
- {name: times, type: number, default: 1}
- {name: hosts, collection: true, optional: true}
steps:
  say:
    action:
      type: echo
      configuration:
        output: "Hello {{.input.who}}, {{.input.times}}, {{with .config.place}}{{.}}{{end}}{{.task.requester_username}}"
]]

local function failing(kind)
  return ("name: fails\nsteps: {a: {action: {type: echo, configuration: {error_message: it broke, error_type: %s}}}}\n"):format(kind)
end

describe("luastep run", function()
  after_each(cli.clean)

  --- Runs the command in a folder with files; "@" in front of a word stands for the folder.
  local function run(contents, words, given)
    local folder = cli.folder(contents)
    local list = { "run" }
    for _, word in ipairs(words) do list[#list + 1] = (word:gsub("^@", function() return folder .. "/" end)) end
    given = given or {}
    given.clock = given.clock or step.manual_clock(0)
    local done = cli.run(list, given)
    done.out, done.err = done.out:gsub(folder, "@", 100), done.err:gsub(folder, "@", 100)
    return done
  end

  it("shows a line an event, and the result", function()
    assert.same({ status = 0, err = "", out = [[
Greets World
  0.000s  ▶  run   RUNNING
  0.000s  ▶  say   RUNNING
  0.000s  ✔  say   DONE  after 0.000s
  0.000s  ✔  run   DONE
{
  "text": "Hello World, 2, "
}
]] }, run({ ["g.yaml"] = GREET }, { "@g.yaml", "-i", "who=World", "-i", "times=2" }))
  end)

  it("shows a live table on a terminal", function()
    local done = run({ ["g.yaml"] = GREET }, { "@g.yaml", "-i", "who=World" }, { terminal = true })
    assert.equal(0, done.status)
    assert.matches("^\27%[1mGreets World\27%[0m\n\r  \27%[2m·\27%[0m say .-\n\27%[J\27%[2A\r  \27%[34m▶", done.out)
    assert.matches("1 of 1  \27%[32mDONE\27%[0m  0.000s\27%[K\n\27%[J{\n", done.out)
  end)

  it("prints the run as JSON with --json, and nothing else", function()
    local done = run({ ["g.yaml"] = GREET }, { "@g.yaml", "-i", "who=World", "--json" })
    assert.same({ 0, "" }, { done.status, done.err })
    assert.matches("^[^\n]+\n$", done.out)
    local exported = assert(step.json.decode(done.out))
    assert.equal("DONE", exported.state)
    assert.equal("DONE", exported.steps.say.state)
    assert.equal("Greets World", exported.title)
    assert.same({ text = "Hello World, 1, " }, exported.result)
  end)

  it("shows nothing but the result with --quiet", function()
    assert.equal('{\n  "text": "Hello World, 1, "\n}\n', run({ ["g.yaml"] = GREET }, { "@g.yaml", "-q", "-i", "who=World" }).out)
  end)

  it("takes inputs from files, options over them", function()
    local done = run({ ["g.yaml"] = GREET, ["in.json"] = '{"who":"A","times":3}', ["c.yaml"] = "place: there " },
      { "@g.yaml", "-q", "--inputs", "@in.json", "-i", "who=B", "-c", "@c.yaml", "--requester", "me" })
    assert.matches("Hello B, 3, thereme", done.out)
    done = run({ ["g.yaml"] = GREET }, { "@g.yaml", "-q", "--inputs", "-" }, { input = "who: C", getenv = { USER = "you" } })
    assert.matches("Hello C, 1, you", done.out)
  end)

  it("warns of an input in a file that nobody wants", function()
    local done = run({ ["g.yaml"] = GREET, ["in.yaml"] = "who: A\ntimse: 3" }, { "@g.yaml", "-q", "--inputs", "@in.yaml" })
    assert.equal(0, done.status)
    assert.equal("warning: @/in.yaml: no definition has an input 'timse' (did you mean 'times'?)\n", done.err)
  end)

  it("takes the resolver's inputs", function()
    local text = "name: r\nresolver_inputs: [{name: go, type: bool}]\nresult_format: {go: '{{.resolver_input.go}}'}\n"
      .. "steps: {a: {action: {type: echo}}}"
    assert.equal('{\n  "go": "true"\n}\n', run({ ["r.yaml"] = text }, { "@r.yaml", "-q", "-r", "go=true" }).out)
    assert.same({ 3, "luastep: r: Missing input 'go'\n" }, { run({ ["r.yaml"] = text }, { "@r.yaml" }).status,
      run({ ["r.yaml"] = text }, { "@r.yaml" }).err })
  end)

  it("uses functions of a directory", function()
    local done = run({
      ["f/deep/one.yaml"] = "name: cli-greeting\naction: {type: echo, configuration: {output: 'Hi {{.function_args.who}}'}}",
      ["d.yaml"] = "name: d\nresult_format: {text: '{{.step.a.output}}'}\n"
        .. "steps: {a: {action: {type: cli-greeting, configuration: {who: you}}}}",
    }, { "@d.yaml", "-q", "--functions", "@f" })
    assert.same({ status = 0, out = '{\n  "text": "Hi you"\n}\n', err = "" }, done)
  end)

  it("loads modules that register runners", function()
    package.preload["spec.cli_runner"] = function() assert(step.register_runner("cli-spec", function() return "mine" end)) end
    local done = run({ ["d.yaml"] = "name: d\nresult_format: {text: '{{.step.a.output}}'}\nsteps: {a: {action: {type: cli-spec}}}" },
      { "@d.yaml", "-q", "--require", "spec.cli_runner" })
    package.preload["spec.cli_runner"] = nil
    assert.equal('{\n  "text": "mine"\n}\n', done.out)
    assert.equal(3, run({ ["g.yaml"] = GREET }, { "@g.yaml", "--require", "spec.no_such_module" }).status)
  end)

  it("runs several, one after the other, and a directory of them", function()
    local done = run({ ["d/a.yaml"] = failing "client", ["d/b/g.yaml"] = GREET }, { "@d", "-i", "who=World" })
    assert.equal(1, done.status)
    assert.matches("^fails\n.-\nGreets World\n", done.out)
    assert.equal("luastep: fails is BLOCKED_BADREQUEST: step 'a' is CLIENT_ERROR: it broke\n", done.err)
    done = run({ ["d/a.yaml"] = failing "client", ["d/b/g.yaml"] = GREET }, { "@d", "-i", "who=World", "--json" })
    assert.matches("^{[^\n]+}\n{[^\n]+}\n$", done.out)
    assert.equal("step 'a' is CLIENT_ERROR: it broke", step.json.decode(done.out:match "^[^\n]+").error)
  end)

  it("waits for retries, until there are no more", function()
    local clock = step.manual_clock(0)
    local done = run({ ["f.yaml"] = "retry_max: 2\n" .. failing "server" }, { "@f.yaml" }, { clock = clock })
    assert.equal(1, done.status)
    assert.equal("luastep: fails is BLOCKED_MAXRETRIES: step 'a' is SERVER_ERROR: it broke\n", done.err)
    assert.matches("next try in 10%.0s", done.out)
    assert.equal(10, clock.now())
  end)

  it("says what a run waits for, which is no retry", function()
    local waits = [[
name: waits
steps:
  ask: {action: {type: callback, configuration: {action: create}}}
  answer: {dependencies: [ask], action: {type: callback, configuration: {action: wait, id: "{{.step.ask.output.id}}", timeout: 24h}}}
]]
    local done = run({ ["w.yaml"] = waits }, { "@w.yaml", "-q" }, { clock = step.manual_clock(0) })
    local words = "luastep: waits is WAITING: step 'answer' is WAITING: waits for the callback 'ask'\n"
    assert.same({ status = 1, out = "", err = words }, done)
  end)

  describe("--with", function()
    local PARENT = [[
name: parent
result_format: {of_child: "{{.step.call.output.result.text}}"}
steps:
  call: {action: {type: workflow, configuration: {definition: child, input: {word: "{{.input.word}}"}}}}
inputs: [{name: word, default: hello}]
]]
    local CHILD = [[
name: child
inputs: [{name: word}]
result_format: {text: "{{.step.say.output}}"}
steps: {say: {action: {type: echo, configuration: {output: "{{.input.word}} back"%s}}}}
]]
    local function files(more) return { ["p.yaml"] = PARENT, ["d/c.yaml"] = CHILD:format(more or "") } end

    it("carries the runs on that a run starts by their names, from files or folders", function()
      for _, with in ipairs { "@d/c.yaml", "@d" } do
        local done = run(files(), { "@p.yaml", "--with", with, "-i", "word=hi" })
        assert.same({ 0, "" }, { done.status, done.err })
        assert.matches("call  WAITING .- waits for the run %S+ %('child'%)", done.out)
        assert.matches('{\n  "of_child": "hi back"\n}\n$', done.out)
      end
    end)

    it("waits for their retries, unless told not to", function()
      local more = ', error_message: "{{if eq (int .step.this.try_count) 0}}not yet{{end}}"'
      local clock = step.manual_clock(0)
      local done = run(files(more), { "@p.yaml", "--with", "@d", "-q", "--no-wait" }, { clock = clock })
      assert.same({ 1, 0 }, { done.status, clock.now() })
      assert.matches("^luastep: parent is WAITING: step 'call' is WAITING: waits for the run %S+ %('child'%)", done.err)
      done = run(files(more), { "@p.yaml", "--with", "@d", "-q" }, { clock = clock })
      assert.same({ 0, "" }, { done.status, done.err })
      assert.equal(10, clock.now())
    end)

    it("tells of a run that is blocked", function()
      local done = run(files ", error_message: it broke, error_type: client", { "@p.yaml", "--with", "@d", "-q" })
      assert.equal(1, done.status)
      assert.matches("step 'call' is WAITING: the run %S+ %('child'%) is BLOCKED_BADREQUEST: .*it broke", done.err)
    end)

    it("is refused beside a store, where a worker carries them all on; a bad definition is", function()
      local done = run(files(), { "@p.yaml", "--with", "@d", "--store", "@s.db" })
      assert.equal(3, done.status)
      assert.matches("^luastep: %-%-with is for runs without a store: .* `luastep work`", done.err)
      done = run({ ["p.yaml"] = PARENT, ["c.yaml"] = "name: child\nsteps: {a: {}}\n" }, { "@p.yaml", "--with", "@c.yaml" })
      assert.equal(2, done.status)
      assert.matches("c.yaml: ", done.err)
    end)

    it("does not guess which of two definitions of a name is meant, and knows all of the files that it runs", function()
      local done = run({ ["p.yaml"] = PARENT, ["c.yaml"] = CHILD:format "", ["d.yaml"] = CHILD:format "" },
        { "@p.yaml", "--with", "@c.yaml", "--with", "@d.yaml" })
      assert.equal(3, done.status)
      assert.matches("^luastep: two definitions are called 'child': @/c.yaml and @/d.yaml; a run starts one by its name", done.err)
      local free = CHILD:format(""):gsub("{name: word}", "{name: word, default: alone}")
      done = run({ ["p.yaml"] = PARENT, ["c.yaml"] = free, ["e.yaml"] = "name: e\nsteps: {}\n" },
        { "@p.yaml", "@c.yaml", "--with", "@e.yaml", "--with", "@p.yaml", "-q", "-i", "word=hi" })
      assert.same({ 0, "" }, { done.status, done.err })
    end)

    it("is what a run needs that starts another one", function()
      local done = run(files(), { "@p.yaml", "-q" })
      assert.equal(1, done.status)
      assert.matches("start it with engine:start, or let luastep do so %(run %-%-with, start%)", done.err)
    end)
  end)

  it("does not wait with --no-wait", function()
    local clock = step.manual_clock(0)
    local done = run({ ["f.yaml"] = failing "server" }, { "@f.yaml", "-q", "--no-wait" }, { clock = clock })
    local words = "luastep: fails is ERROR: step 'a' is SERVER_ERROR: it broke; it can be tried again in 10.0s\n"
    assert.same({ status = 1, out = "", err = words }, done)
    assert.equal(0, clock.now())
  end)

  it("fails when the result cannot be made", function()
    local done = run({ ["d.yaml"] = "name: d\nresult_format: {text: '{{index .input 1 2}}'}\nsteps: {a: {action: {type: echo}}}" },
      { "@d.yaml", "-q" })
    assert.equal(1, done.status)
    assert.matches("^luastep: d: result_format: ", done.err)
  end)

  it("lets Lua in files run only when it may", function()
    local text = "name: l\nresult_format: {text: {$lua: 'v.step.a.output + 1'}}\n"
      .. "steps: {a: {action: {type: echo, configuration: {output: 1}}}}"
    local done = run({ ["l.yaml"] = text }, { "@l.yaml" })
    assert.equal(2, done.status)
    assert.matches("^error: @/l.yaml: .-result_format.text: a Lua expression stands here; use the option %-%-lua to allow", done.err)
    assert.equal('{\n  "text": 2\n}\n', run({ ["l.yaml"] = text }, { "@l.yaml", "-q", "--lua" }).out)
  end)

  it("runs nothing when a definition is bad", function()
    local done = run({ ["g.yaml"] = GREET, ["bad.yaml"] = "name: bad\nstps: {}" }, { "@g.yaml", "@bad.yaml", "-i", "who=x" })
    assert.equal(2, done.status)
    assert.equal("", done.out)
    assert.matches("error: @/bad.yaml: .-stps: unknown key of a definition.-%(did you mean 'steps'%?%)\n", done.err)
    for line in done.err:gmatch "[^\n]+" do assert.matches("^error: @/bad.yaml: ", line) end
  end)

  it("refuses a bad function", function()
    local done = run({ ["g.yaml"] = GREET, ["f/bad.yaml"] = "name: bad" }, { "@g.yaml", "-f", "@f" })
    assert.equal(2, done.status)
    assert.matches("^error: @/f/bad.yaml: ", done.err)
  end)

  for name, case in pairs {
    ["a file that is not there"] = { { "@none.yaml" }, "^error: cannot open the definition: @/none.yaml: " },
    ["an empty directory"] = { { "@d" }, "holds no file" },
    ["an input that there is not"] = { { "@g.yaml", "-i", "woh=x" },
      "^luastep: %-i woh: the definition has no such input %(did you mean 'who'%?%)\n$" },
    ["an input that is missing"] = { { "@g.yaml" }, "^luastep: greet: Missing input 'who'\n$" },
    ["an input of the wrong type"] = { { "@g.yaml", "-i", "who=x", "-i", "times=x" },
      "^luastep: greet: %-i times: a number is expected, found x\n$" },
    ["a file of inputs that is not there"] = { { "@g.yaml", "--inputs", "@no.yaml" }, "^luastep: cannot open @/no.yaml: " },
    ["inputs that are no object"] = { { "@g.yaml", "--inputs", "@d/list.txt" }, "list.txt: an object is expected" },
  } do
    it("refuses " .. name, function()
      local done = run({ ["g.yaml"] = GREET, ["d/list.txt"] = "[1]" }, case[1])
      assert.equal(3, done.status)
      assert.equal("", done.out)
      assert.matches(case[2], done.err)
    end)
  end

  it("runs a template with a script from the folder `scripts` beside it", function()
    local contents = {
      ["t/greet.yaml"] = [[
name: greet-by-script
description: Says hello to everybody by a script
title_format: "Greets {{.input.who}}"
result_format:
  message: "{{.step.greet.output.message}}"
  exit: "{{.step.greet.metadata.exit_code}}"
  each: "{{range .step.each.children}}{{.output.task}} {{end}}"
inputs:
  - name: who
    description: Who is to be greeted
steps:
  greet:
    description: a script with arguments and the default output mode
    action:
      type: script
      configuration:
        file_path: hello.sh
        argv:
          - "{{.input.who}}"
        timeout: "25s"
        output_mode: manual-lastline
        exit_codes_unrecoverable:
          - "1-10"
          - "100"
  each:
    dependencies: [greet]
    foreach: '["x", "y"]'
    action:
      type: script
      configuration:
        file_path: each.sh
        stdin: "{{.iterator}}"
        environment:
          greeting: "{{.step.greet.output.message}}"
        output_mode: manual-delimiters
        output_manual_delimiters: ["JSON_START", "JSON_END"]
  refuse:
    dependencies: [each]
    custom_states: [REFUSED]
    action:
      type: script
      configuration:
        file_path: refuse.sh
        output_mode: disabled
        exit_codes_unrecoverable: ["3"]
    conditions:
      - type: check
        if:
          - {value: "{{.step.this.metadata.exit_code}}", operator: EQ, expected: "3"}
        then: {this: REFUSED}
]],
      ["t/scripts/hello.sh"] = '#!/bin/sh\necho "saying hello"\necho "{\\"message\\":\\"Hello $1!\\"}"\n',
      ["t/scripts/each.sh"] = "#!/bin/sh\nread -r word || :\n"
        .. 'echo "noise JSON_START{\\"task\\":\\"$UTASK_STEP_NAME=$word, $greeting\\"}JSON_END"\n',
      ["t/scripts/refuse.sh"] = "#!/bin/sh\nexit 3\n",
    }
    local folder = cli.folder(contents)
    assert(os.execute(("chmod +x '%s'/t/scripts/*"):format(folder)))
    local done = cli.process { "run", folder .. "/t/greet.yaml", "-q", "-i", "who=World" }
    assert.same({ 0, "" }, { done.status, done.err })
    local each = "each-0=x, Hello World! each-1=y, Hello World! "
    assert.same({ message = "Hello World!", exit = "0", each = each }, step.json.decode(done.out))
    assert.matches("REFUSED", cli.process({ "run", folder .. "/t/greet.yaml", "-i", "who=World" }).out)
  end)
end)
