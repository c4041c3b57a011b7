--- sprig's questions about types.

local define = require("step.template.signature").define
local value = require "step.template.value"

local M = {}

M.typeOf = define("any -> string", function(_, x) return value.type_name(x) end)
M.typeIs = define("string, any -> bool", function(_, name, x) return value.type_name(x) == name end)
M.typeIsLike = define("string, any -> bool", function(_, name, x)
  local own = value.type_name(x)
  return own == name or "*" .. name == own
end)
M.kindOf = define("any -> string", function(_, x) return value.kind(x) end)
M.kindIs = define("string, any -> bool", function(_, kind, x) return value.kind(x) == kind end)
M.deepEqual = define("any, any -> bool", function(st, a, b) return value.deep_equal(st, a, b) end)

return M
