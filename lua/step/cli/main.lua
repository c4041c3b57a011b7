#!/usr/bin/env lua5.4
--- The command `luastep`. In a checkout it finds the modules beside itself, unless the environment says where they are;
--- installed, the interpreter finds them.

local root = arg[0]:match "^(.-)lua/step/cli/main%.lua$"
if root and not (os.getenv "LUA_PATH" or os.getenv "LUA_PATH_5_4") then
  package.path = ("%slua/?.lua;%slua/?/init.lua;%s"):format(root, root, package.path)
  package.cpath = ("%sbuild/?.so;%s"):format(root, package.cpath)
end

local core = require "step.core"
local interrupts = { watch = core.watch_interrupts, asked = core.interrupted }

os.exit(require "step.cli".main(arg, { interrupts = interrupts }), true)
