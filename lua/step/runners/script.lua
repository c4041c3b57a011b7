--- The runner `script` (µTask's): runs a program as a process of its own and makes its output the step's.
--
-- Configuration, a base configuration laid under it:
--   file_path                 the program, an executable file. A relative one is looked for in the folder `scripts` beside the file of
--                             the definition, beside that file, in ./scripts and in the working directory; it runs in the folder it
--                             was found from
--   argv                      its arguments, a list; without file_path a whole command, looked up in PATH
--   shell                     true: argv's first is a program for /bin/sh, what follows are its $1, $2, ...
--   stdin                     a text; default: empty
--   environment               an object of texts, added to the environment
--   timeout                   a duration ("25s", "1m30s") or seconds; default 2 minutes
--   output_mode               manual-lastline (default): the last line is a JSON object, the output; manual-delimiters: it stands between
--                             two; disabled: the output is {}
--   output_manual_delimiters  these two, regular expressions
--   exit_codes_unrecoverable  a list of codes and ranges ("1-10") that a retry does not mend: CLIENT_ERROR
--   max_output                bytes that are kept; default 8 MiB
--   file, timeout_seconds, last_line_not_json, allow_exit_non_zero   as µTask had them before
--
-- Output and errors are one text, in order, as the terminal would show them. The program finds STEP_RUN_ID, STEP_NAME and, for
-- scripts of µTask, UTASK_TASK_ID, UTASK_RESOLUTION_ID, UTASK_STEP_NAME in its environment.

local duration = require "step.duration"
local errors = require "step.error"
local json = require "step.json"
local suggest = require "step.suggest"

local M = {}

local DEFAULT_TIMEOUT = 120
local MODES = { ["manual-lastline"] = true, ["manual-delimiters"] = true, disabled = true }
local MODE_NAMES = "manual-lastline, manual-delimiters, disabled"

local function is_object(value) return type(value) == "table" and not json.is_array(value) end
local function is_list(value) return json.is_array(value) or type(value) == "table" and next(value) == nil end
local function present(value) return value ~= nil and value ~= json.null end

--- Whether a value is known only when its step runs.
local function open(value) return type(value) == "function" or type(value) == "string" and value:find("{{", 1, true) ~= nil end

local function is_word(value) return type(value) == "string" or type(value) == "number" or type(value) == "boolean" end

-- ---- values ----

--- true and false, also as templates give them.
local function boolean(value)
  if type(value) == "boolean" then return value end
  if value == "true" then return true end
  if value == "false" then return false end
  return nil, "true or false is expected, found " .. errors.show(value)
end

local function text(value)
  if type(value) == "number" then return tostring(value) end
  if type(value) ~= "string" then return nil, "a text is expected, found " .. errors.show_text(value) end
  return value
end

local function words(value)
  if not is_list(value) then return nil, "a list of texts is expected, found " .. errors.show(value) end
  local list = {}
  for i, word in ipairs(value) do
    if not is_word(word) and not open(word) then
      return nil, ("a list of texts is expected, its value %d is %s"):format(i, errors.show(word))
    end
    list[i] = type(word) == "function" and word or tostring(word)
  end
  return list
end

local function variables(value)
  if not is_object(value) then return nil, "an object of texts is expected, found " .. errors.show(value) end
  local made = {}
  for name, word in pairs(value) do
    if name == "" or name:find "[=\0]" then return nil, ("a variable cannot have the name %s"):format(errors.show(name)) end
    if present(word) then
      if not is_word(word) and not open(word) then
        return nil, ("the variable %s is to be a text, found %s"):format(name, errors.show(word))
      end
      made[name] = word
    end
  end
  return made
end

local function seconds(value)
  local number = tonumber(value)
  local message
  if not number then
    number, message = duration.seconds(value)
    if not number then return nil, ("%s, or a number of seconds, found %s"):format(message, errors.show(value)) end
  end
  if not (number > 0 and number < math.huge) then return nil, "it must be positive, found " .. errors.show(value) end
  return number
end

local function mode(value)
  if value == "" then return "manual-lastline" end
  if not MODES[value] then return nil, ("unknown mode %s; accepted: %s"):format(errors.show(value), MODE_NAMES) end
  return value
end

local function bytes(value)
  local number = math.tointeger(tonumber(value))
  if not number or number < 1 then return nil, "a whole number from 1 is expected, found " .. errors.show(value) end
  return number
end

--- Exit codes: a list of { first, last }.
local function codes(value)
  if not is_list(value) then return nil, "a list of exit codes is expected, found " .. errors.show(value) end
  local ranges = {}
  for _, item in ipairs(value) do
    if not open(item) then
      local written = math.type(item) == "float" and math.tointeger(item) or item
      local first, last = tostring(written):match "^(%d+)%-(%d+)$"
      if not first then first = tostring(written):match "^%d+$" end
      first, last = math.tointeger(tonumber(first)), math.tointeger(tonumber(last or first))
      if not first or not last or type(item) == "boolean" then
        return nil, ('an exit code, or a range like "120-130", is expected, found %s'):format(errors.show(item))
      end
      if first == 0 then return nil, ("the exit code 0 is success, found %s"):format(errors.show(item)) end
      if tostring(written):find "-" and last <= first then
        return nil, ("the end of a range is to be over its beginning, found %s"):format(errors.show(item))
      end
      ranges[#ranges + 1] = { first, last }
    end
  end
  return ranges
end

--- Makes a regular expression: what stands between the last beginning that has an end after it, and the last end.
local function delimiters(value)
  local list, message = words(value)
  if not list then return nil, message end
  if #list ~= 2 then return nil, ("two texts are expected, found %d"):format(#list) end
  if open(list[1]) or open(list[2]) then return list end
  local regex
  regex, message = require "step.regex".compile(("(?s)^.*%s(.*)%s.*$"):format(list[1], list[2]))
  if not regex then return nil, "not regular expressions: " .. message end
  list.regex = regex
  return list
end

local FIELDS = {
  file_path = text, file = text, argv = words, shell = boolean, stdin = text, environment = variables, timeout = seconds,
  timeout_seconds = seconds, output_mode = mode, output_manual_delimiters = delimiters, exit_codes_unrecoverable = codes,
  max_output = bytes, last_line_not_json = boolean, allow_exit_non_zero = boolean,
}
local NAMES = {}
for name in pairs(FIELDS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

--- The configuration over the base configuration, every value in the form it is used in; nil and what is wrong. What is known only
--- when the step runs is left as it is.
local function settings(base_config, config)
  local set = {}
  for _, source in ipairs { base_config or false, config or false } do
    if source and source ~= json.null then
      if not is_object(source) then return nil, "an object is expected, found " .. errors.show(source) end
      local names = {}
      for name in pairs(source) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
        local value, convert = source[name], FIELDS[name]
        if not convert then -- µTask passes over what it does not know; a name that is nearly known is a typing error
          local near = suggest.nearest(name, NAMES)
          if near then return nil, ("unknown key '%s' (did you mean '%s'?)"):format(name, near) end
        elseif present(value) then
          local made, message = value, nil
          if not open(value) then made, message = convert(value) end
          if made == nil then return nil, ("%s: %s"):format(name, message) end
          set[name] = made
        end
      end
    end
  end
  if not set.file_path or set.file_path == "" then set.file_path = set.file end
  if not set.file_path or set.file_path == "" then set.file_path = nil end
  if not set.timeout then set.timeout = set.timeout_seconds end
  if set.last_line_not_json == true then set.output_mode = "disabled" end
  set.output_mode = set.output_mode or "manual-lastline"
  if set.output_manual_delimiters and set.output_mode ~= "manual-delimiters" and not open(set.output_mode) then
    return nil, ("output_manual_delimiters: they are for output_mode manual-delimiters, it is %s"):format(set.output_mode)
  end
  if set.output_mode == "manual-delimiters" and not set.output_manual_delimiters then
    return nil, "output_manual_delimiters: two texts are expected, found none"
  end
  local argv = set.argv
  if not set.file_path and (not argv or not open(argv) and (argv[1] == nil or argv[1] == "")) then
    return nil, "file_path is missing, and argv is no command either"
  end
  if set.shell == true and set.file_path then
    return nil, "shell: argv is the program for the shell then, there cannot be a file_path"
  end
  if not set.file_path and not set.shell and argv and not open(argv) and #argv == 1 and not open(argv[1]) and argv[1]:find "%s" then
    return nil, ("argv: its first value is the command's name alone, found %s; every argument is a value of its own, and a program for a "
      .. "shell needs shell: true"):format(errors.show(argv[1]))
  end
  return set
end

-- ---- the file ----

local function exists(path)
  local file, _, code = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil or code == 13 -- EACCES: it may still be executed
end

--- The folder that a script runs in and its path from there; nil and what is wrong.
local function locate(path, definition_file)
  if path:sub(1, 1) == "/" then
    if not exists(path) then return nil, ("file_path: there is no file %s"):format(errors.show(path)) end
    return path:match "^(.*)/[^/]*$" .. "/", path
  end
  local folders = {}
  local beside = definition_file and (definition_file:match "^(.*/)[^/]*$" or "./")
  for _, folder in ipairs { beside or "./", "./" } do
    for _, place in ipairs { folder .. "scripts/", folder } do
      if not folders[place] then
        folders[#folders + 1], folders[place] = place, true
        if exists(place .. path) then return place, "./" .. path end
      end
    end
  end
  return nil, ("file_path: there is no file %s; looked for in: %s"):format(errors.show(path), table.concat(folders, ", "))
end

-- ---- the result ----

--- JSON's object in the output; {} when there is none; nil and what is wrong.
local function payload(output, set)
  local found = ""
  if set.output_mode == "manual-lastline" then
    local body = output:gsub("\n[ \t\r\v\f]*$", "", 1) -- most programs end with a new line
    found = body:match "([^\n]*)$"
  elseif set.output_mode == "manual-delimiters" then
    local ok, match = pcall(set.output_manual_delimiters.regex.regex.match, set.output_manual_delimiters.regex.regex, output)
    if not ok then return nil, "output_manual_delimiters: " .. tostring(match) end
    found = match or ""
  end
  found = found:match "^%s*(.-)%s*$"
  if found == "" then return {} end
  local value, err = json.decode(found)
  if value == nil then return nil, ("the output is no JSON: %s; output_mode disabled takes none"):format(tostring(err)) end
  if value == json.null then return nil end
  if not is_object(value) then return nil, "the output is to be a JSON object, found " .. errors.show(value) end
  return value
end

--- A text in which every byte that is not of UTF-8 is replaced: JSON has no place for it.
local function clean(output)
  local parts, at = {}, 1
  while true do
    local length, bad = utf8.len(output, at)
    if length then break end
    parts[#parts + 1] = output:sub(at, bad - 1) .. "\u{FFFD}"
    at = bad + 1
  end
  if at == 1 then return output end
  return table.concat(parts) .. output:sub(at)
end

-- How Go names the signals that end most programs.
local SIGNALS = {
  SIGHUP = "hangup", SIGINT = "interrupt", SIGQUIT = "quit", SIGABRT = "aborted", SIGFPE = "floating point exception", SIGKILL = "killed",
  SIGSEGV = "segmentation fault", SIGPIPE = "broken pipe", SIGALRM = "alarm clock", SIGTERM = "terminated",
}

--- The error of an exit code other than 0.
local function failure(code, state, set)
  for _, range in ipairs(set.exit_codes_unrecoverable or {}) do
    if range[1] <= code and code <= range[2] then
      return errors.bad_request(("Client error: exit code: %d: %s"):format(code, state))
    end
  end
  return errors.new("server", ("exit code: %d"):format(code))
end

local function span(value) return require "step.template.time".duration_text(math.floor(value * 1e9)) end

-- ---- the runner ----

function M.valid_config(base_config, config, place)
  local set, message = settings(base_config, config)
  if not set then return nil, message end
  if set.file_path and not open(set.file_path) then
    local folder, missing = locate(set.file_path, place and place.file)
    if not folder then return nil, missing end
  end
  return true
end

--- µTask's name for "one process more".
function M.resources() return { "fork" } end

function M.metadata_schema()
  local properties = {}
  for _, name in ipairs { "exit_code", "process_state", "output", "execution_time", "error" } do properties[name] = { type = "string" } end
  return { type = "object", properties = properties, additionalProperties = false }
end

function M.exec(step_name, base_config, config, ctx)
  local set, message = settings(base_config, config)
  if not set then error(errors.bad_request(message)) end
  local argv, cwd = set.argv or {}, nil
  if set.file_path then
    local path
    cwd, path = locate(set.file_path, ctx.definition_file)
    if not cwd then error(errors.bad_request(path)) end
    argv = table.move(argv, 1, #argv, 2, { path })
  elseif set.shell then
    argv = table.move(argv, 2, #argv, 5, { "/bin/sh", "-c", argv[1], "sh" })
  end
  local env = { UTASK_TASK_ID = ctx.run_id, UTASK_RESOLUTION_ID = ctx.run_id, UTASK_STEP_NAME = step_name }
  for name, value in pairs(set.environment or {}) do env[name] = value end
  local timeout = set.timeout or DEFAULT_TIMEOUT
  local done, err = ctx:spawn(argv, {
    stdin = set.stdin, env = env, cwd = cwd, timeout = timeout, max_output = set.max_output, merge_stderr = true,
  })
  if not done then
    local hint = err.code == "EACCES" and ": it is not executable (chmod +x)" or ""
    local metadata = { exit_code = "1", process_state = "", output = "", execution_time = "0s", error = err.message .. hint }
    return nil, metadata, nil, errors.bad_request(err.message .. hint)
  end

  local code = done.code or -1
  local state = done.signal and "signal: " .. (SIGNALS[done.signal] or done.signal) or ("exit status %d"):format(code)
  local output = clean(done.stdout)
  local metadata = {
    exit_code = ("%d"):format(code), process_state = state, output = output, execution_time = span(done.duration),
    error = code == 0 and "" or state,
  }
  if done.timed_out then
    metadata.error = ("stopped after the timeout of %s"):format(span(timeout))
    return nil, metadata, nil, errors.new("server", "the script was " .. metadata.error)
  end
  if done.truncated and code == 0 and set.output_mode ~= "disabled" then
    return nil, metadata, nil, errors.bad_request(("the script printed more than max_output, %d bytes: what it says at the end is lost")
      :format(set.max_output or 8 * 1024 * 1024))
  end
  local value, problem = payload(output, set)
  if code ~= 0 and set.allow_exit_non_zero ~= true then return value or {}, metadata, nil, failure(code, state, set) end
  if problem then return nil, metadata, nil, errors.new("server", problem) end
  return value, metadata
end

return M
