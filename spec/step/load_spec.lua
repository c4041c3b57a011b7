-- step.load: definitions and functions from files, texts and directories.

local clock = require "step.clock"
local json = require "step.json"
local loader = require "step.load"
local path = require "pl.path"
local step = require "step"
local temp = require "spec.support.temp"

local folder

--- Writes a file into the temporary directory; gives its path.
local function file(name, text)
  local place = path.join(folder, name)
  temp.write(place, text)
  return place
end


local ONE = "name: %s\nsteps: {a: {action: {type: echo, configuration: {output: 1}}}}\n"

local YAML = [[
name: greet
inputs:
  - {name: who, default: world}
steps:
  hello:
    action: {type: echo, configuration: {output: {text: "hello {{.input.who}}", list: [], object: {}, k: 1.50}}}
]]

local JSON = [[{"name": "greet", "inputs": [{"name": "who", "default": "world"}], "steps": {"hello":
  {"action": {"type": "echo", "configuration": {"output": {"text": "hello {{.input.who}}", "list": [], "object": {}, "k": 1.50}}}}}}]]

local LUA = [[
return { name = "greet", steps = { { name = "hello", action = function() return { text = "hello world", n = 1.5 } end } } }
]]

--- The output of the only step.
local function output(def, name)
  local run = assert(def:start { clock = clock.manual() })
  assert.equal("DONE", run:resolve())
  return run.steps[name or "hello"].output
end

--- The error with which a source is refused.
local function refusal(source, options)
  local def, err = step.load(source, options)
  assert.is_nil(def)
  return err
end

describe("step.load", function()
  setup(function() folder = temp.folder() end)
  teardown(temp.clean)

  for name, text in pairs { ["greet.yaml"] = YAML, ["greet.yml"] = YAML, ["greet.json"] = JSON } do
    it("loads a file: " .. name, function()
      local def = assert(step.load(file(name, text)))
      assert.equal("greet", def.name)
      assert.equal('{"k":1.5,"list":[],"object":{},"text":"hello world"}', json.encode(output(def)))
    end)
  end
  it("loads a file: greet.lua", function()
    assert.same({ text = "hello world", n = 1.5 }, output(assert(step.load(file("greet.lua", LUA)))))
  end)

  for format, text in pairs { yaml = YAML, yml = YAML, json = JSON } do
    it("loads a text: " .. format, function()
      assert.equal("hello world", output(assert(step.load { text = text, format = format })).text)
    end)
  end
  it("loads a text as YAML by default", function()
    assert.equal("greet", assert(step.load { text = YAML }).name)
    assert.equal("greet", assert(step.load { text = JSON }).name)
  end)
  it("runs a text in Lua only with permission: it is a program", function()
    local ran = "step_load_spec_ran"
    local err = refusal { text = ("_G[%q] = true return {}"):format(ran), format = "lua" }
    assert.same({ "refused", nil }, { err.kind, rawget(_G, ran) })
    assert.equal("a definition written in Lua is a program: pass { lua = true } to run it", tostring(err))
    assert.same({ text = "hello world", n = 1.5 }, output(assert(step.load({ text = LUA, format = "lua" }, { lua = true }))))
  end)
  it("D1: keeps the order of a list", function()
    local def = assert(step.load { text = "name: x\nsteps:\n  - {name: z, action: {type: echo}}\n  - {name: a, action: {type: echo}}" })
    assert.same({ "z", "a" }, { def:step(1).name, def:step(2).name })
  end)

  for name, case in pairs {
    ["a file that is not there"] = { function() return path.join(folder, "none.yaml") end, "io", "cannot open the definition: " },
    ["a file whose ending tells no format"] = { function() return file("greet.txt", YAML) end, "io",
      "greet.txt: the file's ending tells its format; accepted: .yaml, .yml, .json, .lua" },
    ["a file without an ending"] = { function() return file("greet", YAML) end, "io", "the file's ending tells its format" },
    ["an unknown format"] = { function() return { text = YAML, format = "xml" } end, "io",
      'unknown format "xml"; accepted: yaml, json, lua' },
    ["a text that is no JSON"] = { function() return { text = "{", format = "json" } end, "definition", "" },
    ["a text that is no YAML"] = { function() return { text = "a: [", format = "yaml" } end, "definition", "" },
    ["a list"] = { function() return { text = "[1]", format = "json" } end, "definition", "a definition is an object, found a list" },
    ["a text"] = { function() return { text = "hello" } end, "definition", 'a definition is an object, found "hello"' },
    ["null"] = { function() return { text = "null", format = "json" } end, "definition", "a definition is an object, found null" },
    ["a Lua file that does not compile"] = { function() return file("bad.lua", "return {") end, "definition", "bad.lua:1: " },
    ["a Lua file that fails"] = { function() return file("fails.lua", "error 'broken here'") end, "definition", "broken here" },
    ["a Lua file that returns nothing"] = { function() return file("empty.lua", "") end, "definition",
      "a definition is an object, found nil" },
    ["precompiled Lua"] = { function() return file("binary.lua", string.dump(function() end)) end, "definition",
      "attempt to load a binary chunk" },
  } do
    it("refuses " .. name, function()
      local err = refusal(case[1]())
      assert.equal(case[2], err.kind)
      assert.is_true(#err.message > 0)
      assert.matches(case[3], err.message, 1, true)
    end)
  end

  it("tells the file and the place of what cannot be read", function()
    local place = file("broken.yaml", "name: x\nsteps: {a: [}\n")
    local err = refusal(place)
    assert.equal(2, err.line)
    assert.is_number(err.column)
    assert.matches(place, err.message, 1, true)
    place = file("broken.json", '{"name": "x",\n "steps": }')
    err = refusal(place)
    assert.equal(2, err.line)
    assert.matches(place, err.message, 1, true)
  end)

  it("S8: tells the file of every finding, and the line of an input", function()
    local place = file("wrong.yaml", "name: x\ninputs:\n  - name: i\n    type: txet\nsteps: {a: {action: {type: ehco}}}\n")
    local err = refusal(place)
    assert.equal(2, #err.errors)
    for _, finding in ipairs(err.errors) do assert.equal(place, finding.file) end
    assert.same({ 4, "inputs[1].type" }, { err.errors[1].line, err.errors[1].field })
  end)

  it("raises an error for what is no source", function()
    for _, source in ipairs { 5, true, {}, { text = 5 } } do
      assert.error_matches(function() step.load(source) end, "bad argument #1 %(a path or { text =, format = } expected")
    end
  end)

  it("reads all of a directory and those below it, in the order of their paths", function()
    local top = temp.folder {
      ["z.yaml"] = ONE:format "z", ["b/w.yml"] = ONE:format "w", ["b/c/x.json"] = '{"name":"x","steps":{"a":{"action":{"type":"echo"}}}}',
      [".hidden.yaml"] = "no: definition", ["notes.txt"] = "no definition", ["program.lua"] = "error 'it ran'",
    }
    local names = {}
    for i, def in ipairs(assert(step.load(top .. "/"))) do names[i] = def.name end
    assert.same({ "x", "w", "z" }, names)
  end)

  it("runs the Lua files of a directory only when it may", function()
    local top = temp.folder { ["d.lua"] = "return { name = 'd', steps = { a = { action = function() end } } }" }
    local defs, err = step.load(top)
    assert.is_nil(defs)
    assert.equal("io", err.kind)
    assert.matches("holds no file ending in .yaml, .yml, .json$", err.message)
    assert.equal("d", assert(step.load(top, { lua = true }))[1].name)
  end)

  it("finds what is wrong in every file of a directory", function()
    local top = temp.folder { ["a.yaml"] = "name: a\nstps: {}\n", ["b.yaml"] = "name: [\n", ["c.yaml"] = ONE:format "c" }
    local defs, err = step.load(top)
    assert.is_nil(defs)
    assert.equal("definition", err.kind)
    assert.matches("a.yaml.-stps", err.message)
    assert.matches("b.yaml: line", err.message)
    assert.equal(3, #err.errors)
  end)

  it("names the files that a path stands for", function()
    local top = temp.folder { ["a.yaml"] = "", ["b/c.json"] = "" }
    assert.same({ top .. "/a.yaml", top .. "/b/c.json" }, loader.paths(top))
    assert.same({ "none.yaml" }, loader.paths "none.yaml")
  end)

  describe("$lua", function()
    local TEXT = [[
name: x
inputs: [{name: num, type: number}]
steps:
  a:
    action: {type: echo, configuration: {output: {$lua: "v.input.num + 1"}}}
    conditions:
      - type: check
        if: {$lua: "v.step.this.output > 3"}
        then: {this: BIG}
    custom_states: [BIG]
  each:
    foreach: {$lua: "{ v.input.num, 2 }"}
    action: {$lua: "v.iterator * 10"}
]]
    it("stands for a function of v when it is allowed", function()
      for source in pairs { [file("lua.yaml", TEXT)] = true, [{ text = TEXT }] = true } do
        local run = assert(assert(step.load(source, { lua = true })):start { input = { num = 3 }, clock = clock.manual() })
        assert.equal("DONE", run:resolve())
        assert.same({ 4, "BIG", 30, 20 }, { run.steps.a.output, run.steps.a.state, run.steps.each.children[1].output,
          run.steps.each.children[2].output })
      end
    end)
    it("is refused by default, with its place", function()
      local err = refusal { text = "name: x\nsteps: [{name: a, action: {type: echo, configuration: {output: [1, {$lua: v.x}]}}}]" }
      assert.equal("refused", err.kind)
      assert.equal("line 2, column 69: steps[1].action.configuration.output[2]: a Lua expression stands here; " ..
        "pass { lua = true } to allow programs in this file", tostring(err))
      local place = file("refused.yaml", TEXT)
      local message = tostring(refusal(place))
      assert.equal(place, message:match "^(.-): line %d+, column %d+: steps%.", message)
    end)
    it("that does not compile is refused, with its place", function()
      local err = refusal({ text = "name: x\nsteps: {a: {action: {$lua: 'v.('}}}" }, { lua = true })
      assert.equal("definition", err.kind)
      assert.matches("^line 2, column 22: steps%.a%.action: ", tostring(err))
    end)
    it("is an expression, not a program", function()
      assert.equal("definition", refusal({ text = "name: x\nsteps: {a: {action: {$lua: 'local x = 1'}}}" }, { lua = true }).kind)
    end)
    it("beside other keys is data", function()
      local def = assert(step.load { text = "name: x\nsteps: {hello: {action: {type: echo, configuration: {output: {$lua: a, b: c}}}}}" })
      assert.same({ ["$lua"] = "a", b = "c" }, output(def))
    end)
  end)
end)

describe("step.register_function", function()
  setup(function() folder = temp.folder() end)
  teardown(temp.clean)

  local TEXT = "name: %s\naction: {type: echo, configuration: {output: '{{.function_args.a}}!'}}"

  --- What a function gives for a = "x".
  local function used(name)
    return output(assert(step.define { name = "x", steps = { { name = "hello", action = { type = name, configuration = { a = "x" } } } } }))
  end

  it("S7.3: takes a table, a path or a text", function()
    assert.is_true(step.register_function { name = "from-table",
      action = { type = "echo", configuration = { output = "{{.function_args.a}}!" } } })
    assert.is_true(step.register_function(file("fn.yaml", TEXT:format "from-path")))
    assert.is_true(step.register_function { text = TEXT:format "from-text" })
    local json_text = '{"name": "from-json", "action": {"type": "echo", "configuration": {"output": "{{.function_args.a}}!"}}}'
    assert.is_true(step.register_function { text = json_text, format = "json" })
    local lua_text = "name: from-lua\naction: {type: echo, configuration: {output: {$lua: \"v.function_args.a .. '!'\"}}}"
    assert.is_true(step.register_function({ text = lua_text }, { lua = true }))
    for _, name in ipairs { "from-table", "from-path", "from-text", "from-json", "from-lua" } do assert.equal("x!", used(name), name) end
  end)

  it("refuses what it cannot read, and says why", function()
    local place = file("bad.yaml", "action: {type: echo}")
    for _, case in ipairs {
      { path.join(folder, "none.yaml"), "io", "cannot open the function: " },
        { { text = "[]" }, "definition", "a function is an object, found an empty list" },
      { { text = "name: f\naction: {$lua: v}" }, "refused", "action: a Lua expression stands here" },
        { place, "definition", place .. ": name: a function needs a name" },
    } do
      local ok, err = step.register_function(case[1])
      assert.is_nil(ok)
      assert.equal(case[2], err.kind)
      assert.matches(case[3], err.message, 1, true)
    end
  end)

  it("takes a directory, in which functions may use each other", function()
    local top = temp.folder {
      ["a.yaml"] = "name: load-outer\naction: {type: load-inner, configuration: {text: '{{.function_args.text}}!'}}",
      ["b/c.yaml"] = "name: load-inner\naction: {type: echo, configuration: {output: '<{{.function_args.text}}>'}}",
    }
    assert.is_true(step.register_function(top))
    local def = assert(step.define { name = "uses", steps = { a = { action = { type = "load-outer", configuration = { text = "x" } } } } })
    local run <close> = def:start {}
    run:resolve()
    assert.equal("<x!>", run.steps.a.output)
  end)

  it("finds what is wrong in every file, and registers the others", function()
    local top = temp.folder {
      ["a.yaml"] = "name: load-bad\n", ["b.yaml"] = "action: {type: echo}\n", ["c.yaml"] = "name: load-good\naction: {type: echo}\n",
    }
    local ok, err = step.register_function(top)
    assert.is_nil(ok)
    assert.equal(2, #err.errors)
    assert.is_table(require "step.functions".find "load-good")
  end)
end)
