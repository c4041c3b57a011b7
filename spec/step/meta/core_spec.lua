-- lua/step/meta/core.lua: the annotations of step.core tell what the C module has, all of it and nothing else.

local core = require "step.core"
local files = require "spec.support.files"
local json = require "step.json"

local PATH = "lua/step/meta/core.lua"

--- The functions that the annotations declare: "graph:find" -> its parameters; and what is written above each.
local function declared()
  local found, comments, comment = {}, {}, {}
  for line in files.read(PATH):gmatch "[^\n]*" do
    local name, parameters = line:match "^function ([%w_.:]+)%((.-)%) end$"
    if name then
      found[name], comments[name] = parameters, table.concat(comment, "\n")
    end
    if line:find "^%-%-%-" then comment[#comment + 1] = line else comment = {} end
  end
  return found, comments
end

--- The methods of a userdata.
local function methods(prefix, object, into)
  for name, value in pairs(debug.getmetatable(object).__index) do
    if type(value) == "function" then into[prefix .. ":" .. name] = true end
  end
end

--- What the module has.
local function present()
  local names = {}
  for key, value in pairs(core) do
    if type(value) == "function" then names["core." .. key] = true end
  end
  for key in pairs(core.json) do names["core.json." .. key] = true end
  local graph = core.graph({ "a" }, { {} }, { 0 }, {}, {})
  local run, loop = core.run(graph, {}), core.loop()
  methods("graph", graph, names)
  methods("run", run, names)
  methods("loop", loop, names)
  run:close()
  loop:close()
  for name in pairs(debug.getregistry()["step.runner"].__index) do names["runner:" .. name] = true end
  names["context:sleep"], names["context:await"] = true, true
  return names
end

describe("the annotations of step.core", function()
  it("have every function and method, and no other", function()
    local missing, unknown = {}, {}
    local annotated, there = declared(), present()
    for name in pairs(there) do if not annotated[name] then missing[#missing + 1] = name end end
    for name in pairs(annotated) do if not there[name] then unknown[#unknown + 1] = name end end
    assert.same({}, missing)
    assert.same({}, unknown)
  end)

  it("tell every parameter, and what it is for", function()
    local annotated, comments = declared()
    local lacking = {}
    for name, parameters in pairs(annotated) do
      if not comments[name]:find "^%-%-%- %u" then lacking[#lacking + 1] = name .. ": no sentence" end
      for parameter in parameters:gmatch "[%w_]+" do
        if not comments[name]:find("@param " .. parameter .. "%??%f[%s]") then lacking[#lacking + 1] = name .. ": " .. parameter end
      end
    end
    assert.same({}, lacking)
  end)

  it("have every constant", function()
    local text = files.read(PATH)
    for key, value in pairs(core) do
      if type(value) ~= "function" then assert.is_truthy(text:find("\ncore." .. key .. " = ", 1, true), key) end
    end
    for key in pairs(core.flags) do assert.is_truthy(text:find("---@field " .. key .. " integer", 1, true), key) end
    assert.is_truthy(text:find(("core.max_custom_states = %d\n"):format(core.max_custom_states), 1, true))
    for key in pairs(core.states[1]) do assert.is_truthy(text:find("---@field " .. key .. " ", 1, true), key) end
  end)

  it("tell the fields of a step's view", function()
    local text = files.read(PATH):match "@class step%.core%.StepView(.-)\n\n"
    local graph = core.graph({ "a" }, { {} }, { core.flags.FOREACH }, {}, {})
    local run <close> = core.run(graph, { tags = {} })
    run:load(1, "SERVER_ERROR", 1, 5)
    run:put(1, 1, {}, "e", json.array())
    run:load_extra(1, { next_retry = 5 })
    local first = run:load_loop(1, { 1 })
    local seen = {}
    for _, number in ipairs { 1, first } do
      for key in pairs(run:steps()[run:name(number)]) do seen[key] = true end
    end
    for key in pairs(seen) do assert.is_truthy(text:find("@field " .. key .. "%??%f[%s]"), key) end
    for key in text:gmatch "@field ([%w_]+)" do assert.is_true(seen[key], key) end
  end)

  it("are loaded by nothing, and are Lua", function()
    assert.is_function(loadfile(PATH))
  end)
end)
