--- How the states of steps and runs look: a colour and a sign each.

local M = {}

local LOOKS = { -- style, sign, sign without Unicode
  TODO = { "dim", "·", "." }, WAITING = { "yellow", "…", "~" }, RUNNING = { "blue", "▶", ">" }, DONE = { "green", "✔", "+" },
  CLIENT_ERROR = { "red", "✖", "x" }, SERVER_ERROR = { "yellow", "↻", "!" }, FATAL_ERROR = { "red", "✖", "x" },
  CRASHED = { "red", "✖", "x" }, PRUNE = { "dim", "−", "-" }, TO_RETRY = { "yellow", "↻", "!" }, RETRY_NOW = { "yellow", "↻", "!" },
  AFTERRUN_ERROR = { "yellow", "↻", "!" }, EXPANDED = { "blue", "▼", "v" },
  ERROR = { "yellow", "↻", "!" }, CANCELLED = { "red", "✖", "x" }, PAUSED = { "yellow", "…", "~" },
}
local CUSTOM = { "cyan", "✔", "+" }
local BLOCKED = { "red", "✖", "x" }

--- The look of a state; a custom state of a step has one too.
---@param state string
---@param unicode boolean
---@return string style
---@return string sign
function M.of(state, unicode)
  local look = LOOKS[state] or (state:find "^BLOCKED_" and BLOCKED) or CUSTOM
  return look[1], unicode and look[2] or look[3]
end

--- What a state means for progress: "open", "active", "ended", "trouble".
---@param state string
---@return "open"|"active"|"ended"|"trouble"
function M.kind(state)
  local style = (LOOKS[state] or CUSTOM)[1]
  if state == "PRUNE" or state == "DONE" or style == "cyan" then return "ended" end
  if state == "TODO" then return "open" end
  if style == "blue" then return "active" end
  return "trouble"
end

return M
