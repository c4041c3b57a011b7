local cli = require "spec.support.cli"

describe("luastep render", function()
  after_each(cli.clean)

  it("renders a template with given values", function()
    assert.same({ status = 0, out = "Hello World, 3", err = "" },
      cli.run { "render", "Hello {{.input.name}}, {{add 1 .step.a.output.x}}", "-v", "input.name=World", "-v", "step.a.output:={\"x\":2}" })
  end)

  it("takes values and the template from files", function()
    local folder = cli.folder { ["t.txt"] = "{{.input.a}} {{.input.b}}\n", ["v.yaml"] = "input: {a: 1, b: [x]}" }
    assert.equal("2 [x]\n", cli.run({ "render", "--file", folder .. "/t.txt", "--values", folder .. "/v.yaml", "-v", "input.a=2" }).out)
    assert.equal("<no value>", cli.run({ "render", "--file", "-" }, { input = "{{.input.x}}" }).out)
  end)

  it("ends the line on a terminal", function()
    assert.equal("x\n", cli.run({ "render", "x" }, { terminal = true }).out)
  end)

  it("knows variables", function()
    assert.equal("5", cli.run({ "render", "{{eval `five`}}", "-v", 'variables:=[{"name":"five","value":5}]' }).out)
  end)

  for name, case in pairs {
    ["a template that does not parse"] = { { "render", "{{.a" }, 2, "unclosed action" },
    ["a template that fails"] = { { "render", "{{index .input 1 2}}" }, 1, "index" },
    ["a missing value, if strict"] = { { "render", "{{.input.x}}", "--strict" }, 1, "x" },
    ["no template"] = { { "render" }, 3, "a template is expected" },
    ["two templates"] = { { "render", "a", "--file", "b" }, 3, "one of them" },
    ["a value without a path"] = { { "render", "a", "-v", "x" }, 3, "PATH=VALUE" },
    ["a file that is not there"] = { { "render", "--file", "/no/such/file" }, 3, "cannot open" },
    ["values that are not there"] = { { "render", "a", "--values", "/no/such/file" }, 3, "cannot open" },
  } do
    it("refuses " .. name, function()
      local done = cli.run(case[1])
      assert.equal(case[2], done.status)
      assert.equal("", done.out)
      assert.matches("^luastep: [^\n]*" .. case[3] .. "[^\n]*\n$", done.err)
    end)
  end
end)
