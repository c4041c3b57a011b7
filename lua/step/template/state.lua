--- One rendering: the values, the output, the budget of operations and the limits that keep a template from hanging or
-- filling memory.

local M = {}

--- What a rendering may use unless the caller says otherwise.
M.limits = {
  steps = 1000000,           -- operations: iterations, calls, elements made or looked at
  bytes = 16 * 1024 * 1024,  -- of output, and of any text or list made on the way
  depth = 500,               -- of template invocations
  evals = 20,                -- of eval inside eval
}

---@class step.template.State
---@field root any           the values
---@field out string[]
---@field n integer
---@field bytes integer      of output so far
---@field limit integer      bytes
---@field steps integer      operations left
---@field depth integer
---@field evals integer
---@field strict boolean     a missing field is an error
---@field shadow? table      maps of the data that the template has "changed": original -> copy
---@field node? table        where the rendering is, for the error message
---@field call? string       the function being called

---@param root any
---@param strict? boolean
---@return step.template.State
function M.new(root, strict)
  local limits = M.limits
  return {
    root = root, out = {}, n = 0, bytes = 0, limit = limits.bytes, steps = limits.steps, depth = 0, evals = 0,
    strict = strict or false,
  }
end

--- Takes n operations from the budget.
---@param st step.template.State
---@param n integer
function M.spend(st, n)
  local left = st.steps - n
  st.steps = left
  if left < 0 then error(("the template takes more than %d operations"):format(M.limits.steps), 0) end
end

--- Fails when a text of `size` bytes must not be made; making a long one costs operations.
---@param st step.template.State
---@param size number
function M.reserve(st, size)
  if size > st.limit then error(("a text of more than %d bytes"):format(st.limit), 0) end
  if size > 1024 then M.spend(st, math.ceil(size / 64)) end
end

--- Appends to the output.
---@param st step.template.State
---@param text string
function M.emit(st, text)
  local n, bytes = st.n + 1, st.bytes + #text
  st.n, st.bytes = n, bytes
  st.out[n] = text
  if bytes > st.limit then error(("the output is larger than %d bytes"):format(st.limit), 0) end
end

return M
