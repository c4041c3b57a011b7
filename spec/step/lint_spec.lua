-- step.lint: references in templates are checked before anything runs (S8.13).

local refused = require "spec.support.refused"
local step = require "step"

step.register_runner("measured", {
  exec = function() end,
  metadata_schema = function() return { type = "object", properties = { status = {}, headers = { properties = { etag = {} } },
    free = { additionalProperties = true, properties = {} } } } end,
})

local function nothing() end

--- The definition in which step `a` has a text in its configuration.
local function document(text, more)
  local made = {
    name = "x", inputs = { { name = "input_one" }, { name = "other" } }, resolver_inputs = { { name = "approval" } },
    steps = {
      { name = "typed", action = { type = "measured" }, json_schema = { properties = { id = {}, user = { properties = { name = {} } },
        open = { additionalProperties = { type = "string" }, properties = { k = {} } } } } },
      { name = "free", action = { type = "echo" } }, { name = "plain", action = nothing },
      { name = "a", action = { type = "echo", configuration = { output = { deep = { text } } } },
        dependencies = { "typed", "free", "plain" } },
    },
  }
  for key, value in pairs(more or {}) do made[key] = value end
  return made
end

describe("lint accepts", function()
  for _, text in ipairs {
    "{{.input.input_one}}", "{{ .input.other }}", "{{.resolver_input.approval}}", "{{.step.typed.output.id}}",
      "{{.step.typed.output.user.name}}",
    "{{.step.typed.output.open.anything}}", "{{.step.free.output.anything.at.all}}", "{{.step.plain.output.x}}",
      "{{.step.this.state}}", "{{.step.a.error}}",
    "{{.step.typed.metadata.status}}", "{{.step.typed.metadata.headers.etag}}", "{{.step.typed.metadata.free.any}}",
      "{{.step.free.metadata.any}}", "{{.step.typed.output}}",
    "{{.task.task_id}} {{.task.requester_username}}", "{{.config.anything}}", "{{.iterator.anything}}", "{{.pre_hook.output.x}}",
      "no template .step.nobody.output",
    "{{`.step.nobody.output`}}", '{{print ".input.nobody"}}', "{{/* .step.nobody */}}", '{{index .step "typed"}}', "{{.output}}",
      "{{$x := 1}}{{$x}}",
  } do
    it(text, function() assert(step.define(document(text))) end)
  end
end)

describe("lint refuses", function()
  for text, case in pairs {
    ["{{.input.input_on}}"] = { "Linting: the template uses the input key 'input_on', which is not defined", "input_one, other",
      "input_one" },
    ["{{ .input.nobody | upper }}"] = { "Linting: the template uses the input key 'nobody', which is not defined", "input_one, other" },
    ["{{.resolver_input.aproval}}"] = { "Linting: the template uses the resolver input key 'aproval', which is not defined",
      "approval", "approval" },
    ["{{.resolver_input.input_one}}"] = { "Linting: the template uses the resolver input key 'input_one', which is not defined",
      "approval" },
    ["{{.task.id}}"] = { "Linting: the template uses the task key 'id', which does not exist",
      "created, last_activity, region, requester_username, resolver_username, tags, task_id, title" },
    ["{{.step.tyepd.output}}"] = { "Linting: the template uses the step key 'tyepd', but there is no such step", nil, "typed" },
    ["{{if (.step.nobody.state)}}{{end}}"] = { "Linting: the template uses the step key 'nobody', but there is no such step" },
    ["{{.step.typed.output.idd}}"] = { "Linting: step 'typed' has no output field 'idd' by its json_schema", "id, open, user", "id" },
    ["{{.step.typed.output.user.age.years}}"] = { "Linting: step 'typed' has no output field 'user.age' by its json_schema", "name" },
    ["{{.step.typed.metadata.code}}"] = { "Linting: step 'typed' has no metadata field 'code' by its runner's schema",
      "free, headers, status" },
    ["{{.step.typed.metadata.headers.date}}"] = { "Linting: step 'typed' has no metadata field 'headers.date' by its runner's schema",
      "etag" },
  } do
    it("S8.13: " .. text, function()
      local finding = refused.only(refused.document(document(text)))
      assert.same({ "a", "action.configuration.output.deep[1]", case[1], case[2], case[3] },
        { finding.step, finding.field, finding.message, finding.accepted, finding.near })
    end)
  end

  it("S8.13: every reference of a template, at once", function()
    local err = refused.document(document('{{.input.p}} {{.step.q.output}} {{.input.input_one}} {{printf "%s" .input.r}}' ..
      "{{.step.typed.output.s}}"))
    assert.equal(4, #err.errors)
  end)

  local wrong = "{{.step.nobody.output}}"
  for field, spec in pairs {
    ["pre_hook.configuration.output"] = { pre_hook = { type = "echo", configuration = { output = wrong } } },
    ["action.output.format.x"] = { action = { type = "echo", output = { strategy = "merge", format = { x = wrong } } } },
    ["action.base_output.x"] = { action = { type = "echo", base_output = { x = wrong } } },
    ["foreach"] = { foreach = wrong },
    ["conditions[1].if[1].value"] = { conditions = { { type = "check", ["if"] = { { value = wrong, operator = "EQ" } } } } },
    ["conditions[1].if[1].expected"] = { conditions = { { type = "check", ["if"] = { { expected = wrong, operator = "EQ" } } } } },
    ["conditions[1].message"] = { conditions = { { type = "check", message = wrong } } },
  } do
    it("S8.13: a reference in " .. field, function()
      spec.name = "s"
      spec.action = spec.action or { type = "echo" }
      local finding = refused.only(refused.steps { spec })
      assert.same({ "s", field }, { finding.step, finding.field })
      assert.matches("there is no such step", finding.message, 1, true)
    end)
  end

  it("S8.13: a reference in a base configuration, where `this` is any step", function()
    local bases = { b = { text = wrong, this = "{{.step.this.name}}" } }
    local finding = refused.only(refused.steps({ { name = "s", action = { type = "echo" } } }, { base_configurations = bases }))
    assert.same({ nil, "base_configurations.b.text" }, { finding.step, finding.field })
  end)

  it("S8.13: an output field of the step itself", function()
    local finding = refused.only(refused.steps { { name = "s", action = { type = "echo" }, json_schema = { properties = { id = {} } },
      conditions = { { type = "check", message = "{{.step.this.output.id}} {{.step.this.output.ident}}" } } } })
    assert.equal("Linting: step 's' has no output field 'ident' by its json_schema", finding.message)
  end)

  it("S8.13: a metadata field of a runner behind functions", function()
    assert(step.register_function { name = "measuring", action = { type = "measured" } })
    local finding = refused.only(refused.steps { { name = "m", action = { type = "measuring" } },
      { name = "s", action = { type = "echo", configuration = { output = "{{.step.m.metadata.nobody}}" } }, dependencies = { "m" } } })
    assert.matches("has no metadata field 'nobody'", finding.message, 1, true)
  end)
end)

describe("lint warns", function()
  it("of a limit for a sequence, of which one child runs at a time", function()
    local def = assert(step.define { name = "x", steps = { { name = "s", foreach = "[1]", foreach_strategy = "sequence", max_concurrent = 2,
      action = { type = "echo" } } } })
    assert.same({ "s", "max_concurrent", "of a sequence one child runs at a time whatever this says" },
      { def.warnings[1].step, def.warnings[1].field, def.warnings[1].message })
    assert.equal(1, #def.warnings)
  end)

  it("of a resource that looks like a template, which it is not", function()
    local def = assert(step.define { name = "x", inputs = { { name = "db" } }, steps = {
      { name = "s", resources = { "z", "db-{{.input.db}}" }, action = { type = "echo" } } } })
    assert.same({ "s", "resources[2]", '"db-{{.input.db}}"', "this is no template but the name of a resource, which no engine is likely to "
      .. "limit" }, { def.warnings[1].step, def.warnings[1].field, def.warnings[1].found, def.warnings[1].message })
    assert.equal(1, #def.warnings)
  end)
end)
