-- The reference against cases whose outcome was worked out by hand from semantics.md.

local null = require "cjson".null
local reference = require "spec.support.reference"
local scripted = require "spec.support.scripted"

-- A step in short: name and dependencies as "c <- a b:ANY", and the other fields.
local function step(text, fields)
  local s = fields or {}
  local name, dependencies = text:match "^(%S+)%s*<?%-?%s*(.*)$"
  s.name, s.dependencies = name, {}
  for dependency in dependencies:gmatch "%S+" do s.dependencies[#s.dependencies + 1] = dependency end
  return s
end

local function condition(type, test, targets, more)
  local c = more or {}
  c.type, c["if"], c["then"] = type, test, targets
  return c
end

local function check(test, targets, more) return condition("check", test, targets, more) end

local function skip(test, targets, more) return condition("skip", test, targets, more) end

local ALWAYS = { "always" }

-- "the run's state: executions: step=state ..." for each operation of the plan.
local function played(steps, plan, run_max)
  local trace = scripted.play({ steps = steps, plan = plan or { { "resolve" } }, run_max = run_max }, reference)
  local lines = {}
  for i, entry in ipairs(trace) do
    local names, states = {}, {}
    for name in pairs(entry.steps) do names[#names + 1] = name end
    table.sort(names)
    for k, name in ipairs(names) do states[k] = name .. "=" .. entry.steps[name].state end
    lines[i] = ("%s: %s: %s"):format(entry.refused or entry.state, entry.executions, table.concat(states, " "))
  end
  return lines, trace
end

local function fails(kind, times, text)
  local calls = {}
  for i = 1, times do calls[i] = { kind, text or kind } end
  return { calls = calls }
end

local RESOLVE = { "resolve", 1000 }

describe("the reference", function()
  it("runs the steps in order of definition, then as they become available (D1, S2.2)", function()
    assert.same({ "DONE: b c a d: a=DONE b=DONE c=DONE d=DONE" },
      (played { step "d <- a", step "a <- b", step "b", step "c" }))
  end)

  it("prunes, transitively, what does not accept a final state (S2.3)", function()
    assert.same({ "DONE: a d e: a=X b=PRUNE c=PRUNE d=DONE e=DONE" }, (played {
      step("a", { custom_states = { "X" }, conditions = { check(ALWAYS, { this = "X" }) } }),
      step "b <- a", step "c <- b", step "d <- a:DONE,X", step "e <- b:ANY",
    }))
  end)

  it("lets an ANY dependency wait for all ancestors, and looks again when they end (S2.2, D9)", function()
    -- p is pruned by x before a and b have run: z waits for them nevertheless
    assert.same({ "DONE: x a b z: a=DONE b=DONE p=PRUNE x=DONE z=DONE" }, (played {
      step "z <- p:ANY", step("x", { conditions = { check(ALWAYS, { p = "PRUNE" }) } }), step "a", step "b <- a",
      step "p <- x b",
    }))
  end)

  it("leaves a step that has ended as it is when its dependency changes (D8)", function()
    assert.same({ "DONE: a b: a=ALT b=DONE c=PRUNE" }, (played {
      step("a", { custom_states = { "ALT" } }), step("b <- a", { conditions = { check(ALWAYS, { a = "ALT" }) } }),
      step "c <- a b",
    }))
  end)

  it("applies conditions in order, each seeing the state set before it, up to the final one (S3.3)", function()
    local _, trace = played {
      step("a", { custom_states = { "X", "Y" }, conditions = {
        check({ "state_is", "DONE" }, { this = "X" }, { message = "one" }),
        check({ "state_is", "DONE" }, { this = "PRUNE" }, { message = "two" }),
        check({ "state_is", "X" }, { this = "Y" }, { message = "three", final = true }),
        check(ALWAYS, { this = "FATAL_ERROR" }, { message = "four" }),
      } }),
    }
    assert.equal("Y", trace[1].steps.a.state)
    assert.equal("three", trace[1].steps.a.error)
  end)

  it("skips the action, but a later resolve may run it (S3.4, D7)", function()
    local lines, trace = played({
      step("a", { conditions = { skip({ "first", 1 }, { this = "TO_RETRY" }), check(ALWAYS, { this = "DONE" }) } }),
    }, { RESOLVE, RESOLVE })
    assert.same({ "ERROR: : a=TO_RETRY", "DONE: a: a=DONE" }, lines)
    assert.equal(0, trace[1].steps.a.try_count)
    assert.equal(2000.0 + 10, trace[1].next_retry)  -- D17: not below the first delay
  end)

  it("sets SERVER_ERROR when a skip condition fails, and does not act (S3.4)", function()
    local lines, trace = played({ step("a", { conditions = { skip({ "throws_first", 1, "why", { "never" } }, { this = "DONE" }) } }) },
      { RESOLVE, RESOLVE })
    assert.same({ "ERROR: : a=SERVER_ERROR", "DONE: a: a=DONE" }, lines)
    assert.equal("why", trace[1].steps.a.error)
  end)

  it("redoes only the check conditions after AFTERRUN_ERROR, in the state the action ended in (S3.5, D6)", function()
    local lines, trace = played({
      step("a", { calls = { { "client", "bad", output = true } }, conditions = {
        check({ "throws_first", 2, "why", { "state_is", "CLIENT_ERROR" } }, { this = "DONE" }, { message = "turned" }),
      } }),
    }, { RESOLVE, RESOLVE, RESOLVE })
    assert.same({ "ERROR: a: a=AFTERRUN_ERROR", "ERROR: : a=AFTERRUN_ERROR", "DONE: : a=DONE" }, lines)
    assert.same({ state = "DONE", error = "turned", output = { n = 1 }, try_count = 1 }, trace[3].steps.a)
  end)

  it("evaluates a check condition in the states that it lists, and only there (D13)", function()
    assert.same({ "DONE: a b: a=X b=DONE" }, (played {
      step("a", { custom_states = { "X" }, calls = { { "server", "down" } }, conditions = {
        check(ALWAYS, { this = "PRUNE" }), check(ALWAYS, { this = "X" }, { states = { "SERVER_ERROR" } }),
      } }),
      step("b", { conditions = { check(ALWAYS, { this = "PRUNE" }, { states = { "CLIENT_ERROR" } }) } }),
    }))
  end)

  it("executes an action at most max_retries + 1 times (S4.1, D18)", function()
    local a = step("a", fails("server", 9, "down"))
    a.max_retries = 1
    local lines, trace = played({ a, step("b", { max_retries = 0, calls = { { "notprovisioned", "no" } } }) },
      { RESOLVE, RESOLVE, RESOLVE, RESOLVE })
    assert.same({
      "ERROR: a b: a=SERVER_ERROR b=TO_RETRY", "BLOCKED_FATAL: a: a=SERVER_ERROR b=FATAL_ERROR",
      "BLOCKED_FATAL: : a=FATAL_ERROR b=FATAL_ERROR", "BLOCKED_FATAL: : a=FATAL_ERROR b=FATAL_ERROR",
    }, lines)
    assert.equal("Step reached max retries 1: down", trace[4].steps.a.error)  -- once
    assert.equal("Step reached max retries 0: no", trace[2].steps.b.error)
    assert.equal(1010.0 + 1000, trace[1].next_retry)
  end)

  it("runs a step in RETRY_NOW again in the same resolve, but not what depends on it (S6.2)", function()
    local lines, trace = played {
      step("a", { max_retries = 3 }), step("b <- a", { conditions = { check(ALWAYS, { a = "RETRY_NOW" }) } }), step "c <- b",
    }
    assert.same({ "DONE: a b a c: a=DONE b=DONE c=DONE" }, lines)
    assert.equal(2, trace[1].steps.a.try_count)
    assert.same({ "BLOCKED_FATAL: a a a: a=FATAL_ERROR" },
      (played { step("a", { max_retries = 2, conditions = { check(ALWAYS, { this = "RETRY_NOW" }) } }) }))
  end)

  it("tries the WAITING steps once more when nothing else is left, and counts no try (S6.3, D18)", function()
    local lines, trace = played({ step("a", fails("waiting", 3)), step("b <- a", { calls = {} }) }, { RESOLVE, RESOLVE })
    assert.same({ "WAITING: a a: a=WAITING b=TODO", "DONE: a a b: a=DONE b=DONE" }, lines)
    assert.equal(1, trace[2].steps.a.try_count)
  end)

  it("lets a step that has ended wait for the next resolve when it is to be retried (S6.2)", function()
    assert.same({ "ERROR: a b: a=TO_RETRY b=DONE", "DONE: a: a=DONE b=DONE" }, (played({
      step "a", step("b <- a", { conditions = { check(ALWAYS, { a = "TO_RETRY" }) } }),
    }, { RESOLVE, RESOLVE })))
    -- c has not started yet: it runs, whatever a condition made of it
    assert.same({ "DONE: b c: b=DONE c=DONE" }, (played {
      step("b", { conditions = { check(ALWAYS, { c = "CLIENT_ERROR" }) } }), step "c <- b",
    }))
  end)

  it("takes the worst state of a step as the state of the run (S6.4, D5)", function()
    local server, client, waiting = step("a", fails("server", 1)), step("b", fails("client", 1)), step("c", fails("waiting", 9))
    local fatal = step("d", { conditions = { check(ALWAYS, { this = "FATAL_ERROR" }) } })
    local done = { step "e", step "f" }
    assert.matches("^BLOCKED_FATAL:", played({ waiting, client, server, fatal })[1])
    assert.matches("^BLOCKED_BADREQUEST:", played({ waiting, client, server })[1])
    assert.matches("^ERROR:", played({ waiting, server })[1])
    assert.matches("^WAITING:", played({ waiting })[1])
    assert.matches("^DONE:", played(done)[1])
  end)

  it("plans retries by pattern and runs, by itself, only what is due (S6.5, D17)", function()
    local a, b, c = step("a", fails("server", 9)), step("b", fails("server", 9)), step("c", fails("server", 9))
    b.retry_pattern, c.retry_pattern = "minutes", "hours"
    local lines, trace = played({ a, b, c }, { { "resolve", 0 }, { "auto", 0 }, { "auto", 0 }, { "resolve", 0 }, { "auto", 4000 } })
    local states = ": a=SERVER_ERROR b=SERVER_ERROR c=SERVER_ERROR"
    assert.same({
      "ERROR: a b c" .. states, "ERROR: a" .. states, "ERROR: a" .. states, "ERROR: a b c" .. states, "ERROR: a b" .. states,
    }, lines)
    assert.equal(1000 + 10, trace[1].next_retry)
    assert.equal(1010 + 12.5, trace[2].next_retry)
    assert.equal(1022.5 + 15.625, trace[3].next_retry)
    assert.equal(1022.5 + 19.53125, trace[4].next_retry)
    assert.equal(1022.5 + 19.53125 + 4000 + 24.4140625, trace[5].next_retry)  -- a, before c, due 4200 s after the fourth
  end)

  it("gives up after run_max resolves that failed (S6.5, D18)", function()
    assert.same({
      "ERROR: a: a=SERVER_ERROR", "BLOCKED_MAXRETRIES: a: a=SERVER_ERROR", "DONE: a: a=DONE",
      "Can't run resolution: already done: : a=DONE",
    }, (played({ step("a", fails("server", 2)) }, { RESOLVE, RESOLVE, RESOLVE, RESOLVE }, 2)))
  end)

  it("recovers from a crash (S6.6)", function()
    local lines, trace = played({
      step("a", { idempotent = true }), step "b", step "c <- a b",
    }, { { "crash", { "a" } }, { "set", "b", "TODO" }, { "crash", { "b" } }, RESOLVE, RESOLVE })
    assert.same({
      "CRASHED: : a=RUNNING b=TODO c=TODO", "CRASHED: : a=RUNNING b=TODO c=TODO", "CRASHED: : a=RUNNING b=RUNNING c=TODO",
      "BLOCKED_TOCHECK: : a=TODO b=CRASHED c=TODO", "DONE: a b c: a=DONE b=DONE c=DONE",
    }, lines)
    assert.equal(0, trace[4].run_count)
    assert.equal(1, trace[5].run_count)
  end)

  it("takes an idempotent step that crashes a third time for the reason (D27)", function()
    local crash = { "crash", { "a" } }
    assert.same({ "CRASHED: : a=RUNNING b=TODO", "ERROR: b: a=TODO b=SERVER_ERROR", "CRASHED: : a=RUNNING b=SERVER_ERROR",
      "ERROR: b: a=TODO b=SERVER_ERROR", "CRASHED: : a=RUNNING b=SERVER_ERROR", "BLOCKED_TOCHECK: : a=CRASHED b=SERVER_ERROR",
      "DONE: b a: a=DONE b=DONE" },
      (played({ step("a <- b", { idempotent = true }), step("b", fails("server", 2)) },
        { crash, RESOLVE, crash, RESOLVE, crash, RESOLVE, RESOLVE })))
  end)

  describe("with foreach", function()
    it("expands, runs the children and collects them (S5.1, S5.4, D14)", function()
      local lines, trace = played({
        step("a", { items = { "p", null, "q" }, item_calls = { {}, { { "client", "bad" } }, {} }, metadata = true }), step "b <- a",
      }, { RESOLVE, RESOLVE })
      assert.same({
        "BLOCKED_BADREQUEST: a-0 a-1 a-2: a=EXPANDED a-0=DONE a-1=CLIENT_ERROR a-2=DONE b=TODO", "DONE: a-1 b: a=DONE b=DONE",
      }, lines)
      assert.same({
        { output = { n = 1 }, metadata = { m = 1, iterator = "p" }, state = "DONE", index = 0 },
        { output = { n = 2 }, metadata = { m = 2, iterator = null }, state = "DONE", index = 1 },
        { output = { n = 1 }, metadata = { m = 1, iterator = "q" }, state = "DONE", index = 2 },
      }, trace[2].steps.a.children)
    end)

    it("is done at once without items", function()
      assert.same({ "DONE: b: a=DONE b=DONE" }, (played { step("a", { items = {}, item_calls = {} }), step "b <- a" }))
    end)

    it("goes on with the next item of a sequence whatever became of the last (D15)", function()
      local lines, trace = played {
        step("a", { items = { "p", "q", "r" }, item_calls = { {}, {}, {} }, foreach_strategy = "sequence", conditions = {
          skip({ "item_is", "p" }, { this = "PRUNE" }, { message = "not p" }), check({ "item_is", "q" }, { this = "TO_RETRY" }),
        } }), step "b",
      }
      assert.same({ "ERROR: b a-1: a=EXPANDED a-0=PRUNE a-1=TO_RETRY a-2=TODO b=DONE" }, lines)
      assert.equal("not p", trace[1].steps["a-0"].error)
    end)

    it("leaves out pruned children and names the error of the others (S5.4, D14)", function()
      local _, trace = played {
        step("a", { items = { "p", "q" }, item_calls = { {}, {} }, custom_states = { "X" }, conditions = {
          skip({ "item_is", "p" }, { this = "PRUNE" }), check(ALWAYS, { this = "X" }, { message = "seen" }),
        } }),
      }
      assert.same({ { output = { n = 1 }, metadata = { iterator = "q" }, state = "X", index = 1, error = "seen" } },
        trace[1].steps.a.children)
    end)

    it("expands again in the next resolve after TO_RETRY (S5.5, D11)", function()
      local lines, trace = played({
        step("a", { items = { "p", "q" }, item_calls = { {}, {} }, foreach_strategy = "sequence", conditions = {
          check({ "first", 1 }, { a = "TO_RETRY" }, { message = "again" }),
        } }), step "b <- a",
      }, { RESOLVE, RESOLVE })
      assert.same({ "ERROR: a-0: a=TO_RETRY b=TODO", "DONE: a-0 a-1 b: a=DONE b=DONE" }, lines)
      local a = trace[1].steps.a
      assert.equal(1, a.try_count)
      assert.equal("", a.error)
      assert.same({ { output = { n = 1 }, metadata = { iterator = "p" }, state = "DONE", index = 0 },
        { metadata = { iterator = "q" }, state = "TODO", index = 1 } }, a.children)
    end)

    it("expands again at once after RETRY_NOW, at most max_retries times (D11)", function()
      local lines, trace = played {
        step("a", { max_retries = 2, items = { "p" }, item_calls = { {} }, conditions = { check(ALWAYS, { a = "RETRY_NOW" }) } }),
      }
      assert.same({ "BLOCKED_FATAL: a-0 a-0 a-0: a=FATAL_ERROR" }, lines)
      assert.equal(3, trace[1].steps.a.try_count)
      assert.equal("Step reached max retries 2: ", trace[1].steps.a.error)
    end)

    it("keeps the children of a parent that a condition blocks, until a person resolves again", function()
      assert.same({
        "BLOCKED_BADREQUEST: a-0 a-1: a=CLIENT_ERROR a-0=DONE a-1=DONE", "DONE: : a=DONE",
      }, (played({
        step("a", { items = { "p", "q" }, item_calls = { {}, {} }, conditions = { check({ "item_is", "p" }, { a = "CLIENT_ERROR" }) } }),
      }, { RESOLVE, RESOLVE })))
    end)

    it("evaluates the parent's skip conditions before it expands, the children's in the children (S5.1, D28)", function()
      assert.same({
        "ERROR: : a=TO_RETRY b=TODO", "ERROR: : a=SERVER_ERROR b=TODO", "BLOCKED_FATAL: : a=FATAL_ERROR b=TODO",
        "DONE: b: a=DONE b=DONE",
      }, (played({
        step("a", { items = { "p" }, item_calls = { {} }, expansions = { "not_list" }, conditions = {
          skip({ "first", 1 }, { this = "TO_RETRY" }, { foreach = "parent", final = true }),
          skip({ "throws_first", 1, "why", { "never" } }, { this = "DONE" }, { foreach = "parent" }),
          skip({ "item_is", "p" }, { this = "PRUNE" }),
        } }), step "b <- a",
      }, { RESOLVE, RESOLVE, RESOLVE, RESOLVE })))
    end)
  end)

  it("prunes when a person sets a state, and looks at nothing else", function()
    local lines, trace = played({ step "a", step("b <- a", { conditions = { check(ALWAYS, { a = "TO_RETRY" }) } }), step "c <- b:ANY" },
      { { "set", "a", "PRUNE", "by hand" }, { "set", "b", "DONE" }, { "set", "a", "TODO" }, RESOLVE })
    assert.same({
      "TODO: : a=PRUNE b=PRUNE c=TODO", "TODO: : a=PRUNE b=DONE c=TODO", "TODO: : a=TODO b=DONE c=TODO",
      "DONE: a c: a=DONE b=DONE c=DONE",
    }, lines)
    assert.equal("by hand", trace[1].steps.a.error)
  end)

  it("prunes only when a step becomes final, not when it stays what it was (S2.3)", function()
    assert.same({ "DONE: a a c: a=DONE b=DONE c=DONE" }, (played {
      step("a", { custom_states = { "X" }, conditions = { check({ "first", 1 }, { b = "DONE", this = "RETRY_NOW" }) } }),
      step "b <- a:X", step("c <- a", { conditions = { check(ALWAYS, { a = "DONE" }) } }),
    }))
  end)
end)
