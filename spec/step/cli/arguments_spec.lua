local arguments = require "step.cli.arguments"

describe("arguments", function()
  it("are read by command", function()
    local options = assert(arguments.parse {
      "run", "a.yaml", "b.yaml", "-i", "x=1", "--input", "y=2", "--json", "--no-wait", "-f", "functions",
    })
    assert.equal("run", options.command)
    assert.same({ "a.yaml", "b.yaml" }, options.files)
    assert.same({ "x=1", "y=2" }, options.input)
    assert.same({ "functions" }, options.functions)
    assert.is_true(options.json)
    assert.is_true(options.no_wait)
    assert.is_nil(options.lua)
  end)

  it("of the commands on a store", function()
    local options = assert(arguments.parse {
      "retry", "1f3a", "--only-failed", "-d", "a.lua", "-d", "b.lua", "--detach", "--store", "x.db",
    })
    assert.same({ "retry", "1f3a", true, { "a.lua", "b.lua" }, true, "x.db" },
      { options.command, options.run, options.only_failed, options.definition, options.detach, options.store })
    options = assert(arguments.parse { "list", "-t", "a=1", "-t", "b=2", "-n", "7" })
    assert.same({ { "a=1", "b=2" }, 7 }, { options.tag, options.limit })
    assert.equal(50, arguments.parse({ "list" }).limit)
    options = assert(arguments.parse { "set-state", "1f3a", "a", "DONE", "-m", "by hand" })
    assert.same({ "set-state", "1f3a", "a", "DONE", "by hand" },
      { options.command, options.run, options.step, options.state, options.message })
    assert.same({}, assert(arguments.parse { "work" }).files)
    assert.same({ "a", "b" }, assert(arguments.parse { "cancel", "a", "b" }).runs)
  end)

  it("tell how the drawing is wanted", function()
    local options = assert(arguments.parse { "graph", "a.yaml", "--svg", "-o", "a.svg" })
    assert.equal("auto", options.direction)
    assert.equal("a.svg", options.output)
  end)

  for name, case in pairs {
    ["a command that is none"] = { { "rnu", "x" }, "unknown command 'rnu' %(did you mean 'run'%?%)" },
    ["an option that is none"] = { { "run", "x", "--jsno" }, "^unknown option '%-%-jsno' %(did you mean '%-%-json'%?%)$" },
    ["no command"] = { {}, "^a command is expected: run, validate" },
    ["no file"] = { { "run" }, "^missing argument .-; see luastep help run$" },
    ["no step"] = { { "why", "x" }, "^missing argument 'step'; see luastep help why$" },
    ["an id that is empty"] = { { "show", "" }, "^RUN: the id of a run, or how it begins, is expected, found an empty text$" },
    ["one of several ids that is empty"] = { { "delete", "x", "" }, "^RUN: the id of a run, or how it begins, is expected" },
    ["a key that is empty"] = { { "start", "x", "--key", "" }, "^%-%-key: a text that is not empty is expected$" },
    ["two kinds of drawing"] = { { "graph", "x", "--svg", "--dot" }, "can not be used together" },
    ["two kinds of retry"] = { { "retry", "x", "--from", "a", "--only-failed" }, "can not be used together" },
    ["a limit that is no number"] = { { "list", "-n", "1.5" }, "^%-%-limit: a whole number from 0 is expected, found '1%.5'" },
    ["a word too many"] = { { "graph", "x", "y" }, "^too many arguments; see luastep help graph$" },
    ["an option without its value"] = { { "run", "x", "-i" }, "requires an argument" },
  } do
    it("are refused: " .. name, function()
      local options, message = arguments.parse(case[1])
      assert.is_nil(options)
      assert.matches(case[2], message)
      assert.is_nil(message:find "\n")
    end)
  end

  it("ask for help wherever it stands", function()
    assert.same({ command = "help", topic = "run" }, arguments.parse { "run", "--help" })
    assert.same({ command = "help", topic = "graph" }, arguments.parse { "graph", "x", "--wrong", "-h" })
    assert.same({ command = "help" }, arguments.parse { "-h" })
    assert.equal("version", arguments.parse({ "--version" }).command)
  end)

  it("have a help text for every command", function()
    local whole = arguments.help()
    for _, name in ipairs { "run", "validate", "graph", "render", "start", "work", "list", "show", "why", "resume", "retry", "pause",
      "cancel", "set-state", "delete", "version", "help" } do
      assert.matches("\n%s+" .. name:gsub("%-", "%%-") .. "%s", whole)
      assert.is_string(arguments.help(name))
    end
    assert.matches("%-%-functions", arguments.help "run")
    local text, message = arguments.help "grpah"
    assert.is_nil(text)
    assert.matches("did you mean 'graph'", message)
  end)
end)
