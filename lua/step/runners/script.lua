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
--   output_manual_delimiters  these two, regular expressions in which "." is a new line, too
--   exit_codes_unrecoverable  a list of codes and ranges ("1-10") that a retry does not mend: CLIENT_ERROR
--   max_output                bytes that are kept; default 8 MiB
--   file, timeout_seconds, last_line_not_json, allow_exit_non_zero   as µTask had them before
--
-- Output and errors are one text, in order, as the terminal would show them. The program finds STEP_RUN_ID, STEP_NAME and, for
-- scripts of µTask, UTASK_TASK_ID, UTASK_RESOLUTION_ID, UTASK_STEP_NAME in its environment.

local errors = require "step.error"
local json = require "step.json"
local settings = require "step.settings"

local M = {}

local DEFAULT_TIMEOUT = 120

-- What may be otherwise at the next try: the system has no more processes, files or memory just now, the file is being written.
local TRANSIENT = { EAGAIN = true, EMFILE = true, ENFILE = true, ENOMEM = true, ETXTBSY = true }

local function is_object(value) return type(value) == "table" and not json.is_array(value) end

-- ---- the file ----

local EACCES = 13 -- it may still be executed
local FOLDER = " is a folder"

--- Whether there is a file; if not, and there is a folder, what is wrong.
local function exists(path)
  local file <close>, _, code = io.open(path, "rb")
  if not file then return code == EACCES end
  local _, folder = file:read(0) -- of an empty file there is no message
  return not folder, folder and path .. FOLDER
end

--- The folder that a script runs in and its path from there; nil and what is wrong.
local function locate(path, definition_file)
  if path:sub(1, 1) == "/" then
    local there, folder = exists(path)
    if not there then return nil, "file_path: " .. (folder or ("there is no file %s"):format(errors.show(path))) end
    return path:match "^(.*)/[^/]*$" .. "/", path
  end
  local folders, trouble = {}, nil
  local beside = definition_file and (definition_file:match "^(.*/)[^/]*$" or "./")
  for _, folder in ipairs { beside or "./", "./" } do
    for _, place in ipairs { folder .. "scripts/", folder } do
      if not folders[place] then
        folders[#folders + 1], folders[place] = place, true
        local there, problem = exists(place .. path)
        if there then return place, "./" .. path end
        trouble = trouble or problem
      end
    end
  end
  return nil, ("file_path: %s; looked for in: %s"):format(trouble or ("there is no file %s"):format(errors.show(path)),
    table.concat(folders, ", "))
end

-- ---- the configuration ----

--- The first and the last of a range of exit codes.
local RANGE = { template = true, read = function(value)
  local text = tostring(math.type(value) == "float" and math.tointeger(value) or value)
  local first, last = text:match "^(%d+)%-(%d+)$"
  local is_range = first ~= nil
  if not is_range then first = text:match "^%d+$" end
  first, last = math.tointeger(tonumber(first)), math.tointeger(tonumber(last or first))
  if not first or not last then return settings.refuse('an exit code, or a range like "120-130",', value) end
  if first == 0 then return nil, "the exit code 0 is success, found " .. errors.show(value) end
  if is_range and last <= first then
    return nil, "the end of a range is to be over its beginning, found " .. errors.show(value)
  end
  return { first, last }
end }

local VARIABLES = settings.object_of("texts", settings.KINDS.word)

--- The two delimiters as regular expressions.
local DELIMITERS = { read = function(value, field, checking)
  local list, message, inside = settings.KINDS.words.read(value, field, checking)
  if not list then return nil, message, inside end
  if #list ~= 2 then return nil, ("two texts are expected, found %d"):format(#list) end
  for i, pattern in ipairs(list) do
    if not checking or not settings.is_open(pattern) then
      list[i], message = require "step.regex".compile(pattern)
      if not list[i] then return nil, ("no regular expression: %s, found %s"):format(message, errors.show(pattern)), ("[%d]"):format(i) end
    end
  end
  return list
end }

--- What is wrong with the names of the variables.
local function check_names(variables)
  for name in pairs(variables) do
    if name == "" or name:find "[=\0]" then return ("environment: a variable cannot have the name %s"):format(errors.show(name)) end
  end
end

--- The same of what is given to the program: the system ends a text at a zero byte.
local function check_words(set)
  for i, word in ipairs(set.argv or {}) do
    if type(word) == "string" and word:find "\0" then return ("argv[%d]: a zero byte cannot be passed to a program"):format(i) end
  end
  for name, value in pairs(set.environment or {}) do
    if type(value) == "string" and value:find "\0" then
      return ("environment.%s: a zero byte cannot be passed to a program"):format(name)
    end
  end
  if set.file_path and set.file_path:find "\0" then return "file_path: a file's name has no zero byte" end
end

local function check(set, open, place)
  if set.last_line_not_json then set.output_mode = "disabled" end
  if not open.output_mode then set.output_mode = set.output_mode or "manual-lastline" end
  local mode, has_delimiters = set.output_mode, set.output_manual_delimiters or open.output_manual_delimiters
  if mode and mode ~= "manual-delimiters" and has_delimiters then
    return "output_manual_delimiters: they are for output_mode manual-delimiters, it is " .. mode
  end
  if mode == "manual-delimiters" and not has_delimiters then return "output_manual_delimiters: two texts are expected, found none" end
  local command, has_file = set.argv and set.argv[1], set.file_path or open.file_path
  if not has_file and not open.argv and (command == nil or command == "") then
    return "file_path is missing, and argv is no command either"
  end
  if set.shell and has_file then return "shell: argv is the program for the shell then, there cannot be a file_path" end
  if command and not has_file and not set.shell and not open.shell and #set.argv == 1 and not settings.is_open(command)
    and command:find "%s" then
    return ("argv: its first value is the command's name alone, found %s; every argument is a value of its own, and a program for a "
      .. "shell needs shell: true"):format(errors.show(command))
  end
  local problem = set.environment and check_names(set.environment) or check_words(set)
  if problem then return problem end
  if place and set.file_path then
    local folder, missing = locate(set.file_path, place.file)
    if not folder then return missing end
  end
end

local configuration = settings.reader({
  file_path = { kind = "text", number = true }, file = { is = "file_path" }, argv = { kind = "words" }, shell = { kind = "boolean" },
  stdin = { kind = "text", number = true }, environment = { kind = VARIABLES },
  timeout = { kind = "span" }, timeout_seconds = { is = "timeout" },
  output_mode = { kind = "text", accepted = { "manual-lastline", "manual-delimiters", "disabled" } },
  output_manual_delimiters = { kind = DELIMITERS }, exit_codes_unrecoverable = { kind = settings.list_of("exit codes", RANGE) },
  max_output = { kind = "count", from = 1 }, last_line_not_json = { kind = "boolean" }, allow_exit_non_zero = { kind = "boolean" },
}, { check = check, others = true })

M.valid_config = configuration.valid_config

-- ---- the result ----

--- JSON's object in the output; {} when there is none; nil and what is wrong.
local function payload(output, set)
  local found = ""
  if set.output_mode == "manual-lastline" then
    local body = output:gsub("\n[ \t\r\v\f]*$", "", 1) -- most programs end with a new line
    found = body:match "^.*\n(.*)$" or body -- from the end: a match that begins at each byte of a long line takes its square
  elseif set.output_mode == "manual-delimiters" then
    local first, last = table.unpack(set.output_manual_delimiters)
    local between, problem = require "step.regex".between(first, last, output)
    if problem then return nil, "output_manual_delimiters: " .. problem end
    found = between or ""
  end
  local first = found:find "%S"
  if not first then return {} end
  found = found:match("^.*%S", first)
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

--- µTask's name for "one process more".
function M.resources() return { "fork" } end

function M.metadata_schema()
  local properties = {}
  for _, name in ipairs { "exit_code", "process_state", "output", "execution_time", "error" } do properties[name] = { type = "string" } end
  return { type = "object", properties = properties, additionalProperties = false }
end

function M.exec(step_name, base_config, config, ctx)
  local set = configuration.read(base_config, config)
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
    local metadata = { exit_code = "1", process_state = "", output = "", execution_time = "0s", error = err.message }
    return nil, metadata, nil, TRANSIENT[err.code] and err or errors.bad_request(err.message)
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
