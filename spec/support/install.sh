#!/bin/sh
# Copies the modules, the public headers and the command below a prefix: `install.sh PREFIX BUILD`.
set -eu
prefix=$1 build=$2

find lua/step -name '*.lua' | while read -r file; do
  install -D -m 644 "$file" "$prefix/share/lua/5.4/${file#lua/}"
done
for module in core sqlite; do
  install -D -m 755 "$build/step/$module.so" "$prefix/lib/lua/5.4/step/$module.so"
done
install -D -m 644 -t "$prefix/include" csrc/step.h csrc/step_lua.h
if [ -e lua/step/cli/main.lua ]; then install -D -m 755 lua/step/cli/main.lua "$prefix/bin/luastep"; fi
