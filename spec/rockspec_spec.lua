-- The rock holds what the checkout holds: every module, every C file, no more.

local files = require "spec.support.files"

local function rockspec()
  local env = {}
  assert(loadfile("rockspec/step-scm-1.rockspec", "t", env))()
  return env
end

describe("rockspec", function()
  it("lists every C file of the modules, and no other", function()
    for module, folders in pairs { ["step.core"] = { "csrc/core", "csrc/lua" }, ["step.sqlite"] = { "csrc/store" } } do
      local listed, present = rockspec().build.modules[module].sources, {}
      for _, folder in ipairs(folders) do
        for _, path in ipairs(files.list(folder, "c")) do present[#present + 1] = path end
      end
      table.sort(listed)
      table.sort(present)
      assert.same(present, listed)
    end
  end)

  it("lists every Lua module, and no other", function()
    local listed, present = {}, {}
    for name, path in pairs(rockspec().build.modules) do
      if type(path) == "string" then listed[name] = path end
    end
    for _, path in ipairs(files.list("lua", "lua")) do
      if not path:find("/meta/") then -- annotations for editors: nothing loads them
        present[path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")] = path
      end
    end
    assert.same(present, listed)
  end)

  it("depends on every library that lua/step requires", function()
    local rocks = {
      cjson = "lua-cjson", lyaml = "lyaml", yaml = "lyaml", lpeg = "lpeg", rex_pcre2 = "lrexlib-pcre2",
      argparse = "argparse", luv = "luv",
    }
    local needed = {}
    for _, path in ipairs(files.list("lua", "lua")) do
      for name in files.code(files.read(path), "lua"):gmatch("require%s*%(?%s*[\"']([^\"'.]+)[\"']") do
        needed[name] = name ~= "step" and rocks[name] or nil
      end
    end
    local text = table.concat(rockspec().dependencies, "\n")
    for name, rock in pairs(needed) do
      assert.is_truthy(text:find(rock, 1, true), name)
    end
  end)
end)
