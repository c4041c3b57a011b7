-- Runs busted under the interpreter that runs this file: plain, with a sanitizer preloaded, or under valgrind.
require "busted.runner" { standalone = false }
