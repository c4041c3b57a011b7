#!/bin/sh
# Builds and installs the rock into build/rock without a network, and runs a workflow from there.
# The C libraries and rocks that the system's packages bring count as provided.
set -eu

top=$(pwd)
rm -rf build/rock
mkdir -p build/rock/source
cp -r csrc lua rockspec LICENSE Makefile build/rock/source # luarocks leaves its object files beside the sources

cat >build/rock/config.lua <<END
lua_version = "5.4"
lua_interpreter = "$LUA"
rocks_servers = {}
rocks_provided = {
  ["lua-cjson"] = "2.1.0-1", lpeg = "1.0.2-1", lyaml = "6.2.8-1", ["lrexlib-pcre2"] = "2.9.1-1",
  luv = "1.44.2-1", argparse = "0.7.1-1",
}
variables = { LUA_INCDIR = "$LUA_INCDIR", LUA_BINDIR = "$(dirname "$(command -v "$LUA")")" }
END

cd build/rock/source
LUAROCKS_CONFIG="$top/build/rock/config.lua" $LUAROCKS --tree "$top/build/rock/tree" make rockspec/step-scm-1.rockspec

cd "$top/build/rock"
tree=$top/build/rock/tree
LUA_PATH="$tree/share/lua/5.4/?.lua;$tree/share/lua/5.4/?/init.lua;;" LUA_CPATH="$tree/lib/lua/5.4/?.so;;" "$LUA" - <<'END'
local step = require "step"
assert(package.searchpath("step.core", package.cpath):find("build/rock/tree", 1, true))
local def = assert(step.define {
  name = "rock",
  steps = { { name = "a", action = function() return { text = "the rock works" } end } },
})
local run = def:start {}
assert(run:resolve() == "DONE")
print(run.steps.a.output.text)
local path = "store.db"
local store = assert(require "step.store.sqlite".open(path))
assert(package.searchpath("step.sqlite", package.cpath):find("build/rock/tree", 1, true))
assert(store:check())
store:close()
for _, name in ipairs { path, path .. "-journal", path .. "-wal" } do os.remove(name) end
END
