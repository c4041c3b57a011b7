-- Includes and requires go one way: lua/step -> csrc/lua -> csrc/core -> the C library.

local files = require "spec.support.files"
local pl_path = require "pl.path"

local HEADERS = { -- of the C library and POSIX, as <...>
  assert = true, ctype = true, errno = true, float = true, inttypes = true, limits = true, locale = true, math = true,
  pthread = true, setjmp = true, signal = true, stdarg = true, stdatomic = true, stdbool = true, stddef = true,
  stdint = true, stdio = true, stdlib = true, string = true, time = true,
}
local SYSTEM = { dlfcn = true, fcntl = true, poll = true, unistd = true, ["sys/random"] = true, ["sys/types"] = true, ["sys/stat"] = true,
  ["sys/wait"] = true }
local LUA = { lua = true, lauxlib = true, lualib = true }
local SQLITE = { sqlite3 = true }

-- What each place may include: headers of the system, and our files of which places.
local PLACES = {
  { place = "csrc/step.h", system = { HEADERS }, own = {} },
  { place = "csrc/step_lua.h", system = { HEADERS, LUA }, own = { "csrc/step.h" } },
  { place = "csrc/core/", system = { HEADERS }, own = { "csrc/core/", "csrc/step.h" } },
  { place = "csrc/lua/", system = { HEADERS, SYSTEM, LUA },
    own = { "csrc/lua/", "csrc/core/", "csrc/step.h", "csrc/step_lua.h", "csrc/store/sink.h" } },
  { place = "csrc/store/", system = { HEADERS, SYSTEM, LUA, SQLITE }, own = { "csrc/store/" } },
  { place = "examples/c_runner/", system = { HEADERS, SYSTEM, LUA }, own = { "csrc/step.h", "csrc/step_lua.h" } },
}

-- What lua/step may require beside itself. (yaml is lyaml's part in C.)
local LIBRARIES = { cjson = true, lyaml = true, yaml = true, lpeg = true, rex_pcre2 = true, argparse = true, luv = true }

local function place_of(path)
  for _, rule in ipairs(PLACES) do
    if path:sub(1, #rule.place) == rule.place then return rule end
  end
end

--- "csrc/lua/x.c" and "../core/run.h" give "csrc/core/run.h". What lies outside of csrc is compiled with -Icsrc.
local function resolve(from, include)
  local path = (from:find("^csrc/") and from:match("^(.*/)") or "csrc/") .. include
  local n
  repeat path, n = path:gsub("[^/]+/%.%./", "", 1) until n == 0
  return path
end

local function allows(list, path)
  for _, place in ipairs(list) do
    if path:sub(1, #place) == place then return true end
  end
  return false
end

local function includes(path)
  local found = {}
  for name in files.code(files.read(path), "c"):gmatch("#%s*include%s*[<\"]([^>\"]+)") do found[#found + 1] = name end
  return found
end

local function module_of(path)
  return (path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

--- Module names required; `top` only those outside of any function, which run while the module is being loaded.
local function requires(path, top)
  local found = {}
  for line in files.code(files.read(path), "lua"):gmatch("[^\n]+") do
    if not top or line:find("^%S") then
      for name in line:gmatch("require%s*%(?%s*[\"']([^\"']+)[\"']") do found[#found + 1] = name end
    end
  end
  return found
end

--- A cycle in a graph given by `successors(node)`, as "a -> b -> a", or nil.
local function cycle(nodes, successors)
  local state, path = {}, {}
  local function visit(node)
    if state[node] == "done" then return nil end
    path[#path + 1] = node
    if state[node] == "open" then return table.concat(path, " -> ") end
    state[node] = "open"
    for _, successor in ipairs(successors(node)) do
      local found = visit(successor)
      if found then return found end
    end
    state[node] = "done"
    path[#path] = nil
    return nil
  end
  for _, node in ipairs(nodes) do
    local found = visit(node)
    if found then return found end
  end
  return nil
end

describe("layers", function()
  local c_files, lua_files = files.list("csrc", "c", "h"), files.list("lua", "lua")
  for _, path in ipairs(files.list("examples", "c", "h")) do c_files[#c_files + 1] = path end

  it("sees the sources", function()
    assert.is_true(#c_files > 5 and #lua_files > 5)
  end)

  it("every #include goes downward", function()
    local wrong = {}
    for _, path in ipairs(c_files) do
      local rule = place_of(path)
      if not rule then wrong[#wrong + 1] = path .. ": this place has no rule" end
      for _, name in ipairs(rule and includes(path) or {}) do
        local fine = allows(rule.own, resolve(path, name))
        for _, set in ipairs(rule.system) do fine = fine or set[name:match("^(.*)%.h$")] end
        if not fine then wrong[#wrong + 1] = ("%s includes %s"):format(path, name) end
      end
    end
    assert.same({}, wrong)
  end)

  it("headers do not include each other in a circle", function()
    assert.is_nil(cycle(c_files, function(path)
      local found = {}
      for _, name in ipairs(includes(path)) do
        if pl_path.exists(resolve(path, name)) then found[#found + 1] = resolve(path, name) end
      end
      return found
    end))
  end)

  it("every require in lua/step is of lua/step, of the C module or of a library that is listed", function()
    local known, wrong = { ["step.core"] = true, ["step.sqlite"] = true }, {}
    for _, path in ipairs(lua_files) do
      known[module_of(path)] = true
      known[module_of(path):match("^.*%.") or ""] = true -- require("step.template." .. name)
    end
    for _, path in ipairs(lua_files) do
      for _, name in ipairs(requires(path)) do
        if not known[name] and not LIBRARIES[name] then wrong[#wrong + 1] = ("%s requires %s"):format(path, name) end
        if name:find("^step%.cli") and not path:find("^lua/step/cli/") then
          wrong[#wrong + 1] = ("%s requires the command line, %s"):format(path, name)
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("modules do not load each other in a circle", function()
    local paths, modules = {}, {}
    for _, path in ipairs(lua_files) do
      paths[module_of(path)] = path
      modules[#modules + 1] = module_of(path)
    end
    assert.is_nil(cycle(modules, function(name) return paths[name] and requires(paths[name], true) or {} end))
  end)

  it("nothing prints except the command line", function()
    local wrong = {}
    for _, path in ipairs(lua_files) do
      local code = files.code(files.read(path), "lua")
      if not path:find("^lua/step/cli/") and (code:find("%f[%w_.]print%s*%(") or code:find("io%.std") or code:find("io%.write")) then
        wrong[#wrong + 1] = path
      end
    end
    for _, path in ipairs(c_files) do
      local code = files.code(files.read(path), "c")
      if path:find("^csrc/") and (code:find("%f[%w_]f?printf%s*%(") or code:find("%f[%w_]f?puts%s*%(")) then
        wrong[#wrong + 1] = path
      end
    end
    assert.same({}, wrong)
  end)

  it("no file has more than 1000 lines", function()
    local long = {}
    for _, list in ipairs { c_files, lua_files } do
      for _, path in ipairs(list) do
        local _, lines = files.read(path):gsub("\n", "")
        if lines > 1000 then long[#long + 1] = ("%s: %d lines"):format(path, lines) end
      end
    end
    assert.same({}, long)
  end)
end)
