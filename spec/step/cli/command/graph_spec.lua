local cli = require "spec.support.cli"

local DEPLOY = [[
name: deploy
description: "Builds & deploys"
inputs: [{name: env}]
steps:
- name: fetch
  action: {type: echo}
  custom_states: [NOT_FOUND]
  conditions:
  - {type: check, if: [{value: "{{.step.this.output.found}}", operator: EQ, expected: "0"}], then: {this: NOT_FOUND}}
- {name: build, dependencies: [fetch], foreach: '["a"]', foreach_strategy: sequence, action: {type: echo}}
- {name: create, dependencies: ["fetch:NOT_FOUND"], action: {type: echo}}
- name: approve
  dependencies: [build]
  pre_hook: {type: echo}
  action: {type: echo}
  conditions:
  - {type: skip, if: [{value: "a,b", operator: IN, expected: "{{.input.env}}"}], then: {this: DONE}}
  - {type: check, then: {deploy: PRUNE, build: TO_RETRY}}
- {name: deploy, dependencies: [approve, "create:ANY"], action: {type: echo}}
]]

describe("luastep graph", function()
  after_each(cli.clean)

  local function graph(...)
    return cli.run { "graph", cli.folder { ["d.yaml"] = DEPLOY } .. "/d.yaml", ... }
  end

  it("lists the steps layer by layer", function()
    assert.same({ status = 0, out = [[
deploy  Builds & deploys
  1  fetch    echo
       ends also in NOT_FOUND
       check: this.output.found = 0 → NOT_FOUND
  2  build    echo    ← fetch
       for each, in sequence
     create   echo    ← fetch:NOT_FOUND
  3  approve  echo    ← build
       pre_hook: echo
       skip: input.env in "a,b" → DONE
       check: always → build: TO_RETRY, deploy: PRUNE
  4  deploy   echo    ← approve create:ANY
]], err = "" }, { status = graph().status, out = graph().out, err = "" })
  end)

  it("writes DOT", function()
    assert.equal([[
digraph "deploy" {
  node [shape=box, style=rounded, fontname="monospace", fontsize=11];
  edge [fontname="monospace", fontsize=9];
  s1 [label="fetch\lecho, ends also in NOT_FOUND\lcheck: this.output.found = 0 -> NOT_FOUND\l"];
  s2 [label="build\lecho, for each, in sequence\l", peripheries=2];
  s3 [label="create\lecho\l"];
  s4 [label="approve\lecho, pre_hook: echo\lskip: input.env in \"a,b\" -> DONE\lcheck: always -> build: TO_RETRY, deploy: PRUNE\l"];
  s5 [label="deploy\lecho\l"];
  s1 -> s2;
  s1 -> s3 [label="NOT_FOUND"];
  s2 -> s4;
  s4 -> s2 [label="TO_RETRY", style=dashed, constraint=false];
  s4 -> s5 [label="PRUNE", style=dashed, constraint=false];
  s4 -> s5;
  s3 -> s5 [label="ANY"];
}
]], graph("--dot").out)
  end)

  it("writes Mermaid", function()
    assert.equal([==[
flowchart TD
  s1["fetch<br/>echo, ends also in NOT_FOUND<br/>check: this.output.found = 0 → NOT_FOUND"]
  s2[["build<br/>echo, for each, in sequence"]]
  s3["create<br/>echo"]
  s4["approve<br/>echo, pre_hook: echo<br/>skip: input.env in #34;a,b#34; → DONE<br/>check: always → build: TO_RETRY, deploy: PRUNE"]
  s5["deploy<br/>echo"]
  s1 --> s2
  s1 -->|"NOT_FOUND"| s3
  s2 --> s4
  s4 -.->|"TO_RETRY"| s2
  s4 -.->|"PRUNE"| s5
  s4 --> s5
  s3 -->|"ANY"| s5
]==], graph("--mermaid").out)
  end)

  it("draws a picture, to a file if wanted", function()
    local svg = graph("--svg").out
    assert.matches("^<svg .*</svg>\n$", svg)
    local folder = cli.folder {}
    local done = graph("--svg", "-o", folder .. "/d.svg")
    assert.same({ status = 0, out = "", err = done.err }, done)
    local file <close> = assert(io.open(folder .. "/d.svg", "rb"))
    assert.equal(svg, file:read "a")
    assert.equal(3, graph("--svg", "-o", folder .. "/none/d.svg").status)
  end)

  it("refuses a definition that is bad, and a directory", function()
    local folder = cli.folder { ["bad.yaml"] = "name: bad" }
    assert.equal(2, cli.run({ "graph", folder .. "/bad.yaml" }).status)
    folder = cli.folder { ["d.yaml"] = DEPLOY }
    local done = cli.run { "graph", folder }
    assert.equal(3, done.status)
    assert.matches("is a directory", done.err)
  end)
end)
