--- luastep render TEMPLATE: a template with given values.

local cli = require "step.cli"
local json = require "step.json"
local source = require "step.cli.values"
local template = require "step.template"

--- The template's text, or nil and what is wrong.
local function text_of(options, env)
  if options.template and options.file then return nil, "a template and --file: one of them is expected" end
  if options.template then return options.template end
  if not options.file then return nil, "a template is expected, or --file FILE" end
  if options.file == "-" then return env.input:read "a" end
  local handle <close>, message = io.open(options.file, "rb")
  if not handle then return nil, "cannot open " .. message end
  local text
  text, message = handle:read "a"
  return text, message and ("cannot read %s: %s"):format(options.file, message)
end

--- The values, or nil and what is wrong.
local function values_of(options, env)
  local values, message = source.object(options.values, env)
  if not values then return nil, message end
  for _, pair in ipairs(options.value) do
    local ok, problem = source.put(values, pair)
    if not ok then return nil, problem end
  end
  for _, name in ipairs { "input", "resolver_input", "config", "task", "step" } do -- a run always has these
    if values[name] == nil then values[name] = {} end
  end
  if values.variables == nil then values.variables = json.array {} end
  values.eval_cache = {}
  return values
end

---@param options table
---@param env step.cli.Environment
---@return integer status
return function(options, env)
  local text, message = text_of(options, env)
  local values
  if text then values, message = values_of(options, env) end
  if not values then
    cli.complain(env, message)
    return cli.status.USAGE
  end
  local render, problem = template.compile(text, options.strict and { strict = true } or nil)
  if not render then
    cli.complain(env, problem)
    return cli.status.BAD
  end
  local ok, result = pcall(render, values)
  if not ok then
    cli.complain(env, result)
    return cli.status.NOT_DONE
  end
  env.out:write(result)
  if env.is_terminal(env.out) and result:sub(-1) ~= "\n" then env.out:write "\n" end
  return cli.status.DONE
end
