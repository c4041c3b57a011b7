#!/bin/sh
# Installs what a target needs and this machine lacks: `setup.sh run|test|lint|valgrind|torture|rock ...`.
# Installs with apt where there is apt and the right to use it; elsewhere says what to install and fails.
set -eu

LUA=${LUA:-lua5.4}
CC=${CC:-cc}
LUA_INCDIR=${LUA_INCDIR:-/usr/include/lua5.4}
SCHEMAS=/usr/share/json-schema-test-suite/tests

apt='' other=''
lacks() { apt="$apt $1" other="$other
  $2"; }

command_() { command -v "$1" >/dev/null 2>&1 || lacks "$2" "$3"; }
module() { "$LUA" -e "require '$1'" >/dev/null 2>&1 || lacks "$2" "$3"; }
file() { [ -e "$1" ] || lacks "$2" "$3"; }
# What only some specs want, which are skipped without it: asked for only where apt can bring it.
wish() { ! command -v apt-get >/dev/null 2>&1 || "$@"; }

# What each purpose needs: how it is found, Debian's package, and what it is called elsewhere.
needs() {
  case $1 in
    run)
      command_ "$CC" gcc 'a C compiler'
      file "$LUA_INCDIR/lua.h" liblua5.4-dev "the headers of Lua 5.4 (set LUA_INCDIR where they are not in $LUA_INCDIR)"
      printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | "$CC" -xc -fsyntax-only - >/dev/null 2>&1 ||
        lacks libc6-dev 'the headers of the C library'
      printf '#include <sqlite3.h>\n' | "$CC" -xc -fsyntax-only - >/dev/null 2>&1 ||
        lacks libsqlite3-dev 'SQLite and its header, 3.38 or newer'
      command_ "$LUA" lua5.4 'Lua 5.4 (set LUA where it is not called lua5.4)'
      module cjson lua-cjson 'luarocks install lua-cjson'
      module lpeg lua-lpeg 'luarocks install lpeg'
      module lyaml lua-yaml 'luarocks install lyaml'
      module rex_pcre2 lua-rex-pcre2 'luarocks install lrexlib-pcre2'
      module luv lua-luv 'luarocks install luv'
      module argparse lua-argparse 'luarocks install argparse' ;;
    test)
      needs run
      module busted.runner lua-busted 'luarocks install busted'
      wish file "$SCHEMAS" json-schema-test-suite 'the JSON Schema test suite'
      wish command_ duk duktape 'duktape'
      wish module cqueues lua-cqueues 'luarocks install cqueues' ;;
    lint)
      needs test
      command_ luacheck lua-check 'luarocks install luacheck'
      command_ gcc gcc gcc
      command_ clang clang clang
      command_ clang-tidy clang-tidy clang-tidy
      command_ clang-format clang-format clang-format ;;
    valgrind)
      needs test
      command_ valgrind valgrind valgrind ;;
    torture)
      needs run
      wish command_ strace strace strace ;;
    rock)
      needs run
      command_ luarocks luarocks luarocks ;;
    *)
      echo "setup.sh: unknown purpose '$1'" >&2
      exit 2 ;;
  esac
}

for purpose in "$@"; do needs "$purpose"; done
[ -n "$apt" ] || exit 0

if [ "$(id -u)" = 0 ]; then root=''; else root=sudo; fi
if command -v apt-get >/dev/null 2>&1 && { [ -z "$root" ] || command -v sudo >/dev/null 2>&1; }; then
  echo "installing:$apt"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if { $root apt-get update -qq && $root apt-get install -y -qq --no-install-recommends $apt; } >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  cat "$log" >&2
  rm -f "$log"
  echo "apt could not install:$apt" >&2
  exit 1
fi

echo "Missing here:$other

On Debian and Ubuntu: apt-get install$apt" >&2
exit 1
