-- Somebody has to approve a purchase, and may take days for it. Run it from the project's root:
--
--   lua5.4 examples/approval.lua ask 1200 "a new server"     # stores a run that waits; prints its id
--   lua5.4 examples/approval.lua answer RUN yes [reason]     # or no: tells the run, which goes on
--
-- The runs are kept in approvals.db (or the file that APPROVALS names): between the two no process has to live. What is cheap is
-- approved without asking: a skip condition decides that.

local step = require "step"

local order = assert(step.define {
  name = "order",
  inputs = { { name = "amount", type = "number" }, { name = "what" } },
  steps = {
    {
      name = "ask",
      description = "a callback that takes yes or no",
      action = { type = "callback", configuration = { action = "create", name = "approval", schema = {
        type = "object", required = { "approved" }, additionalProperties = false,
        properties = { approved = { type = "boolean" }, reason = { type = "string" } },
      } } },
    },
    {
      name = "decision",
      dependencies = { "ask" },
      custom_states = { "CHEAP", "REJECTED" },
      action = { type = "callback", configuration = { action = "wait", id = "{{.step.ask.output.id}}", timeout = "168h" } },
      conditions = {
        { type = "skip", ["if"] = function(v) return v.input.amount < 100 end, ["then"] = { this = "CHEAP" } },
        { type = "check", ["if"] = function(v)
          local answer = v.step.this.output
          return answer and not answer.body.approved
        end, ["then"] = { this = "REJECTED" }, message = "rejected: {{default \"no reason given\" .step.this.output.body.reason}}" },
      },
    },
    {
      name = "buy",
      dependencies = { "decision:DONE,CHEAP" },
      action = function(v) return { bought = v.input.what } end,
    },
  },
})

local function fail(message)
  io.stderr:write(message, "\n")
  os.exit(1, true)
end

local command, first, second, reason = table.unpack(arg)
local asks = command == "ask" and tonumber(first) and second
local answers = command == "answer" and first and (second == "yes" or second == "no")
if not asks and not answers then fail "usage: approval.lua ask AMOUNT WHAT | answer RUN yes|no [REASON]" end

local engine <close> = assert(step.engine { store = os.getenv "APPROVALS" or "approvals.db" })
engine:add(order)

--- Carries the run on as far as it goes, and says where it stands.
local function go_on(id)
  assert(engine:work { until_idle = true })
  local run = assert(engine:run(id))
  print(("%s is %s"):format(run.id, run.state))
  for _, name in ipairs { "ask", "decision", "buy" } do
    local state, problem = run.steps[name].state, run.steps[name].error
    print(("  %-9s %-9s %s"):format(name, state, problem or ""))
  end
  return run
end

if asks then
  local run = assert(engine:start("order", { input = { amount = tonumber(first), what = second } }))
  if go_on(run.id).state == "WAITING" then print(("Tell it: lua5.4 examples/approval.lua answer %s yes"):format(run.id)) end
else
  local ok, err = engine:signal(first, "approval", { approved = second == "yes", reason = reason })
  if not ok then fail(tostring(err)) end
  go_on(first)
end
