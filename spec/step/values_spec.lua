-- step.values: what templates see, for programs that drive steps by themselves.

local json = require "step.json"
local step = require "step"

describe("step.values", function()
  for field, value in pairs {
    output = { a = 1 }, metadata = { m = 1 }, children = json.array { 1 }, error = "e", state = "DONE", try_count = 3, max_retries = 5,
  } do
    it(("sets, gets and unsets %s of a step"):format(field), function()
      local v = step.values()
      assert.is_nil(v["get_" .. field](v, "a"))
      v["unset_" .. field](v, "a")
      v["set_" .. field](v, "a", value)
      assert.same(value, v["get_" .. field](v, "a"))
      assert.is_nil(v["get_" .. field](v, "b"))
      assert.equal(json.encode(value), assert(v:apply(("{{toJson .step.a.%s}}"):format(field))))
      v["unset_" .. field](v, "a")
      assert.is_nil(v["get_" .. field](v, "a"))
    end)
  end

  it("keeps the fields of a step apart", function()
    local v = step.values()
    v:set_output("a", 1)
    v:set_state("a", "DONE")
    v:set_output("b", 2)
    v:unset_output "a"
    assert.same({ nil, "DONE", 2 }, { v:get_output "a", v:get_state "a", v:get_output "b" })
  end)

  it("raises an error for a step's name that is no text", function()
    assert.error_matches(function() step.values():set_output(5, 1) end, "bad argument #1 %(step name expected, got number%)")
  end)

  for name, case in pairs {
    ["input"] = { "set_input", { n = "x" }, "{{.input.n}}", "x" },
    ["resolver_input"] = { "set_resolver_input", { n = "x" }, "{{.resolver_input.n}}", "x" },
    ["config"] = { "set_config", { n = "x" }, "{{.config.n}}", "x" },
    ["task"] = { "set_task_infos", { task_id = "x" }, "{{.task.task_id}}", "x" },
    ["function_args"] = { "set_function_args", { n = "x" }, "{{.function_args.n}}", "x" },
    ["iterator"] = { "set_iterator", { n = "x" }, "{{.iterator.n}}", "x" },
    ["variables"] = { "set_variables", { { name = "n", value = "x" } }, "{{eval `n`}}", "x" },
  } do
    it("shows " .. name, function()
      local v = step.values()
      v[case[1]](v, case[2])
      assert.equal(case[4], assert(v:apply(case[3])))
    end)
  end

  it("S4.2: shows what the pre_hook gave", function()
    local v = step.values()
    v:set_pre_hook({ a = 1 }, { b = 2 })
    assert.equal("1 2", assert(v:apply "{{.pre_hook.output.a}} {{.pre_hook.metadata.b}}"))
  end)

  it("other variables forget what was evaluated of the ones before", function()
    local v = step.values()
    v:set_variables { { name = "n", value = "first" } }
    assert.equal("first", assert(v:apply "{{eval `n`}}"))
    v:set_variables { { name = "n", value = "second" } }
    assert.equal("second", assert(v:apply "{{eval `n`}}"))
  end)
end)

describe("values:apply", function()
  it("gives a text without templates as it is", function()
    assert.equal("plain }} text", step.values():apply "plain }} text")
  end)

  it("D3: `this` and the item live for one evaluation", function()
    local v = step.values()
    v:set_output("a", "out")
    assert.equal("out", assert(v:apply("{{.step.this.output}}", nil, "a")))
    assert.equal("item", assert(v:apply("{{.iterator}}", "item", "a")))
    assert.equal("<no value>", assert(v:apply "{{.iterator}}"))
    assert.equal("<no value>", assert(v:apply "{{.step.this.nothing}}"))
    assert.is_nil(v:get_output "this")
  end)

  it("S5.3: an item goes before the iterator that was set", function()
    local v = step.values()
    v:set_iterator "set"
    assert.equal("set given", assert(v:apply "{{.iterator}}") .. " " .. assert(v:apply("{{.iterator}}", "given")))
  end)

  it("D14: null is an item", function()
    local v = step.values()
    v:set_iterator "set"
    assert.equal("null", assert(v:apply("{{toJson .iterator}}", json.null)))
  end)

  it("a step without results is there as `this`", function()
    assert.equal("map[]", assert(step.values():apply("{{.step.this.output}}", nil, "unknown")))
  end)

  it("gives nil and an error when the template does not parse or fails", function()
    for text, expected in pairs { ["{{.x"] = "unclosed action", ['{{fail "no"}}'] = "no", ["{{nofunction 1}}"] = "nofunction" } do
      local result, err = step.values():apply(text)
      assert.is_nil(result)
      assert.equal("template", err.kind)
      assert.matches(expected, tostring(err), 1, true)
    end
  end)

  it("raises an error for what is no text", function()
    assert.error_matches(function() step.values():apply(5) end, "bad argument #1 to 'apply' %(string expected, got number%)")
  end)

  it("D3: changes nothing of what was set", function()
    local v, input = step.values(), { list = { 1, 2 } }
    v:set_input(input)
    v:apply("{{range .input.list}}{{.}}{{end}}{{.step.this}}", 5, "a")
    assert.same({ list = { 1, 2 } }, input)
  end)
end)
