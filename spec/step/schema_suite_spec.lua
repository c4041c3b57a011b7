-- The required tests of the official JSON-Schema-Test-Suite, drafts 4, 6 and 7 (Debian: json-schema-test-suite).

local json = require "step.json"
local pl_dir = require "pl.dir"
local pl_path = require "pl.path"
local schema = require "step.schema"

local CANDIDATES = {
  os.getenv "JSON_SCHEMA_TEST_SUITE" or false,
  "/usr/share/json-schema-test-suite", "/usr/local/share/json-schema-test-suite", "../JSON-Schema-Test-Suite",
}

local suite
for _, path in ipairs(CANDIDATES) do
  if path and pl_path.isdir(path .. "/tests") then
    suite = path
    break
  end
end

local function load(path)
  local f <close> = assert(io.open(path, "rb"))
  return assert(json.decode(f:read "a"))
end

--- What the suite's own server would serve at http://localhost:1234/.
local function remotes()
  local found = {}
  for _, path in ipairs(pl_dir.getallfiles(suite .. "/remotes", "*.json")) do
    found["http://localhost:1234/" .. path:sub(#suite + #"/remotes/" + 1)] = load(path)
  end
  return found
end

for _, draft in ipairs { 4, 6, 7 } do
  describe(("JSON Schema draft %d"):format(draft), function()
    if not suite then
      pending "needs the package json-schema-test-suite, or its folder in JSON_SCHEMA_TEST_SUITE"
      return
    end
    local options = { draft = draft, remotes = remotes() }
    local files = pl_dir.getfiles(("%s/tests/draft%d"):format(suite, draft), "*.json")
    table.sort(files)

    it("has its tests", function() assert.is_true(#files > 25) end)

    for _, path in ipairs(files) do
      for _, group in ipairs(load(path)) do
        it(("%s: %s"):format(pl_path.basename(path), group.description), function()
          local validator = assert(schema.compile(group.schema, options))
          for _, case in ipairs(group.tests) do
            local valid, err = validator(case.data)
            assert(valid == (case.valid or nil), ("%s: %s"):format(case.description, err and err.message or "accepted"))
            assert(valid or #err.errors > 0, case.description)
          end
        end)
      end
    end
  end)
end
