local cli = require "spec.support.cli"
local json = require "step.json"

local GOOD = "name: good\nsteps: {a: {action: {type: echo}}, b: {action: {type: echo}, dependencies: [a]}}\n"
local BAD = "name: bad\nsteps: {a: {action: {type: ehco}}, b: {action: {type: echo}, dependencies: [c]}}\n"
local ODD = "name: odd\nsteps: {a: {action: {type: echo, configuration: {output: '{{ .input'}}}}\n"

describe("luastep validate", function()
  after_each(cli.clean)

  it("says that a definition is good", function()
    local folder = cli.folder { ["g.yaml"] = GOOD }
    assert.same({ status = 0, out = folder .. "/g.yaml: good, 2 steps\n", err = "" }, cli.run { "validate", folder .. "/g.yaml" })
  end)

  it("lists everything that is wrong, file by file", function()
    local folder = cli.folder { ["b.yaml"] = BAD, ["d/g.yaml"] = GOOD }
    local done = cli.run { "validate", folder .. "/b.yaml", folder .. "/d" }
    assert.equal(2, done.status)
    assert.equal(("%s/b.yaml: refused, 2 errors\n%s/d/g.yaml: good, 2 steps\n"):format(folder, folder), done.out)
    assert.matches('step "a": .-did you mean \'echo\'', done.err)
    assert.matches('step "b": .-dependencies', done.err)
  end)

  it("shows warnings and goes on", function()
    local done = cli.run { "validate", cli.folder { ["o.yaml"] = ODD } .. "/o.yaml" }
    assert.equal(0, done.status)
    assert.matches("good, 1 step, %d+ warning", done.out)
    assert.matches("^warning: .-/o.yaml: .-step \"a\"", done.err)
  end)

  it("prints what it found as JSON", function()
    local folder = cli.folder { ["b.yaml"] = BAD, ["g.yaml"] = GOOD }
    local done = cli.run { "validate", "--json", folder .. "/b.yaml", folder .. "/g.yaml", folder .. "/none.yaml" }
    assert.equal(2, done.status)
    assert.equal("", done.err)
    local report = assert(json.decode(done.out))
    assert.same({ false, true, false }, { report[1].ok, report[2].ok, report[3].ok })
    assert.equal(2, #report[1].errors)
    assert.equal("echo", report[1].errors[1].near)
    assert.same({}, report[2].errors)
    assert.matches("cannot open", report[3].errors[1].message)
  end)

  it("tells a file that is not there from a bad one", function()
    assert.equal(3, cli.run({ "validate", "/no/such/file.yaml" }).status)
  end)

  it("knows the functions it is given", function()
    local folder = cli.folder {
      ["d.yaml"] = "name: d\nsteps: {a: {action: {type: cli-validated}}}", ["f/f.yaml"] = "name: cli-validated\naction: {type: echo}",
    }
    assert.equal(2, cli.run({ "validate", folder .. "/d.yaml" }).status)
    assert.equal(0, cli.run({ "validate", folder .. "/d.yaml", "-f", folder .. "/f" }).status)
  end)
end)
