--- What the checks of a schema share: how they are called, and how they report what they find.
--
-- A check is called as check(value, state, depth, level): `state.path[1..depth]` are the keys that lead to the value,
-- `level` counts the schemas that are being applied. A value is first checked with `state.findings` nil, where the first
-- violation ends it and nothing is allocated; only when that fails is it checked again, with a list in `state.findings`
-- that every violation is reported to. Where violations do not matter yet (anyOf, not, if ...) the list is taken away.

local uri = require "step.schema.uri"

local M = {
  levels = 10000,             -- schemas within schemas while a value is checked: a table that contains itself ends here
  findings = 100,             -- violations that are kept
}

---@class step.schema.Finding
---@field instance string    JSON pointer of the value
---@field schema string      JSON pointer of the keyword, with the URI before it when it is in another document
---@field keyword? string    nil for the schema false
---@field message string
---@field causes? step.schema.Finding[]   why none of the schemas of anyOf or oneOf matched
local Finding = { __name = "step.schema.Finding" }
Finding.__index = Finding

function Finding:__tostring()
  return ("#%s: %s (schema %s%s)"):format(M.shown(self.instance), self.message, self.schema:find "#" and "" or "#", self.schema)
end

--- A pointer as a message shows it: of a long one the beginning and the end, in whole characters.
function M.shown(pointer)
  if #pointer <= 200 then return pointer end
  return pointer:sub(1, 100):gsub("[\192-\255][\128-\191]*$", "") .. "..." .. pointer:sub(-80):gsub("^[\128-\191]+", "")
end

-- Findings that say no more than that the value is of another type.
local mismatches = setmetatable({}, { __mode = "k" })

--- The check that accepts everything.
function M.accept() return true end

--- The JSON pointer of the first keys of a path.
function M.pointer(path, depth)
  local keys = {}
  for i = 1, depth do keys[i] = "/" .. uri.escape(path[i]) end
  return table.concat(keys)
end

--- Reports a violation; gives false. Only to be called while there is a list.
function M.report(state, depth, node, keyword, message, causes)
  local findings = state.findings
  if state.found >= M.findings then
    state.more = true
    return false
  end
  state.found = state.found + 1
  findings[#findings + 1] = setmetatable({
    instance = M.pointer(state.path, depth),
    schema = node.document.prefix .. node.pointer .. (keyword and "/" .. uri.escape(keyword) or ""),
    keyword = keyword,
    message = message,
    causes = causes,
  }, Finding)
  return false
end

--- The same for a value of a type that the keyword cannot accept.
function M.report_mismatch(state, depth, node, keyword, message)
  M.report(state, depth, node, keyword, message)
  mismatches[state.findings[#state.findings] or {}] = true
  return false
end

--- Gives the whole validation up; gives false.
function M.stop(state, depth, message)
  if not state.stopped then
    state.stopped, state.stopped_at = message, M.pointer(state.path, depth)
  end
  state.left = 0
  return false
end

--- Runs a check without reporting.
function M.quietly(check, value, state, depth, level)
  local findings = state.findings
  state.findings = nil
  local good = check(value, state, depth, level)
  state.findings = findings
  return good
end

--- The findings of a check that is known to fail.
function M.findings_of(check, value, state, depth, level)
  local findings = state.findings
  local own = {}
  state.findings = own
  check(value, state, depth, level)
  state.findings = findings
  return own
end

--- Whether a finding says no more than that the value is of another type.
function M.is_mismatch(finding)
  return mismatches[finding] ~= nil
end

--- A value's type in words.
function M.described(value, kind)
  if kind == "object" and next(value) == nil then return "an empty object" end
  if kind == "other" then return "a " .. type(value) .. " that is no JSON value" end
  if kind == "number" then return "the number " .. value end
  return kind
end

return M
