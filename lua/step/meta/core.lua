---@meta step.core
--- The C module `step.core` as an editor should know it. Nothing loads this file.
--
-- Steps are numbers from 1: those of the graph in the order of the definition, after them the children of foreach steps. States
-- are their names. Times are seconds since the epoch. Misuse raises an error with the number of the argument.

-- luacheck: ignore 212 241 431

local core = {}

---@class step.core.StateInfo
---@field name string         the last of the list stands for every custom state
---@field meaning string
---@field runnable boolean
---@field retriable boolean
---@field final boolean
---@field settable boolean    a condition may set it

--- The states of a step (S1.1), in the order of the C table.
---@type step.core.StateInfo[]
core.states = {}

--- The states of a run (S6.1).
---@type string[]
core.run_states = {}

--- The operators of assertions (S3.2).
---@type string[]
core.operators = {}

--- The bits of core.graph's `flags`. PLAIN: the action is called at once, as fn(v); with PLAIN_EXEC as exec(step_name, nil, nil, ctx).
---@type step.core.Flags
core.flags = {}

---@class step.core.Flags
---@field SECONDS integer
---@field MINUTES integer
---@field HOURS integer
---@field IDEMPOTENT integer
---@field FOREACH integer
---@field SEQUENCE integer
---@field ALWAYS integer
---@field PLAIN integer
---@field PLAIN_EXEC integer

--- The most custom states that one step can have.
---@type integer
core.max_custom_states = 30

---@class step.core.Problem
---@field step integer
---@field dependency integer    its place in the step's list; of "states" the place of the custom state
---@field code "name"|"full"|"states"|"type"|"unknown"|"twice"|"state"|"state twice"|"any"
---@field state? string         of "state" and "state twice"

--- What a step says beside its flags.
---@class step.core.Settings
---@field retry? step.core.Policy    instead of its pattern
---@field most? integer              of a foreach step: children that run at a time
---@field tolerate? number           of a foreach step: children that may fail
---@field percent? boolean           `tolerate` is percent of all of them

--- The delay after n tries is initial * factor^(n - 1), at most cap.
---@class step.core.Policy
---@field initial? number    seconds; default 10
---@field factor? number     from 1; default 1.25
---@field cap? number        seconds; default 600, or `initial` when that is longer
---@field jitter? number     0 to 1: the part of a delay by which it is spread evenly to both sides; default 0

--- Builds the graph of a definition (S8.10).
---@param names string[]
---@param steps { dependencies?: string[] }[]
---@param flags integer[]                        bits of core.flags
---@param max_retries table<integer, integer>    absent: 10000; 0 none; negative no limit
---@param customs table<integer, string[]>       custom states
---@param settings? table<integer, step.core.Settings>
---@return step.core.Graph?
---@return step.core.Problem[]|{ cycle?: string[] }? problems    cycle: the path, the first name again at its end
function core.graph(names, steps, flags, max_retries, customs, settings) end

--- Makes a run of a graph; all steps are TODO.
---@param graph step.core.Graph
---@param globals table      what v shows beside the steps: input, config, ...; tags of results are merged into its `tags`
---@param foreign? boolean   v.step and v.iterator are the globals' too
---@return step.core.Run
function core.run(graph, globals, foreign) end

---@class step.core.LoopOptions
---@field clock? fun(): number            default: the system's
---@field wait? fun(seconds: number)      lets time pass when there is nothing to do
---@field acquire_timeout? number         seconds; default 60
---@field max_concurrent? integer         actions in flight, those that wait for resources not counted; 0, the default: no limit

--- Makes a loop, which runs the actions of any number of runs.
---@param options? step.core.LoopOptions
---@return step.core.Loop
function core.loop(options) end

--- Evaluates conditions (S3.3) outside of a run.
---@param list table[]       as step.condition compiles them
---@param v table
---@param ended? string      check conditions: the state the action ended in
---@param set fun(step_name: string, state: string, message: string)   "this" is passed as it is
---@return boolean? held     whether one of them held; nil: one could not be evaluated
---@return string? message   why not
function core.conditions(list, v, ended, set) end

--- A dependency's parts: "a:DONE,B" -> "a", { "DONE", "B" } (S2.1).
---@param dependency string
---@return string step_name
---@return string[] states
function core.dependency_parts(dependency) end

--- The delay before a retry (S6.5, D17).
---@param policy "seconds"|"minutes"|"hours"|""|step.core.Policy
---@param tries integer
---@param seed? integer    of the jitter: the same one, the same delay
---@return number seconds
function core.retry_delay(policy, tries, seed) end

--- Applies an operator other than REGEXP and NOTREGEXP (S3.2, D12).
---@param operator string     in any case
---@param value string
---@param expected string
---@param separator? string   of IN and NOTIN; default ","
---@return boolean? result    nil: numbers are compared and one of the texts is none
---@return string? text       that text
function core.compare(operator, value, expected, separator) end

--- The name of an operator in capitals, or nothing when there is no such operator.
---@param name string    in any case
---@return string?
function core.operator(name) end

--- The time of the system's clock.
---@return number
function core.now() end

--- Tells versions of a text apart: 128 bits. No secret is safe behind it.
---@param text string
---@return string hash    32 hexadecimal digits
function core.hash(text) end

--- Random bytes of the system's: nobody else gets the same.
---@param n integer
---@return string
function core.random(n) end

--- A UUID of version 4, from random bytes of the system's: two programs that start in the same second have the same math.random.
---@return string
function core.uuid() end

--- What has been neither closed nor collected: for specs that look for leaks.
---@return { graphs: integer, runs: integer, loops: integer }
function core.live() end

--- The context of the action whose coroutine is running; nil outside of one and in other coroutines.
---@return step.Context?
function core.here() end

--- The loop that an action belongs to.
---@param ctx step.Context
---@return step.core.Loop
function core.loop_of(ctx) end

--- As ctx:await, for what comes from another event loop, the one that loop:outside named: while somebody waits so, the loop waits for it.
---@param ctx step.Context
---@param begin fun(resume: fun(...))
---@return ...    what resume was called with
function core.await_outside(ctx, begin) end

--- Loads a module on a Lua thread of its own, and keeps both for ever: for luv, which calls back on the thread that loaded it.
---@param name string
---@return any module
function core.load_apart(name) end

--- Notes from now on when the process is asked to end (Ctrl-C, SIGTERM, SIGHUP), the first time; the second time ends it.
---@param on boolean    false: what was there before handles it again
function core.watch_interrupts(on) end

--- Whether it was asked to since.
---@return boolean
function core.interrupted() end

-- ---- json ----

core.json = {}

--- The text of a value.
---@param value any
---@return string? text
---@return string? message
---@return string? path     where in the value: "$.a[3].b"
function core.json.encode(value) end

--- The value of a text.
---@param text string
---@return any value
---@return string? message
---@return integer? line
---@return integer? column
---@return integer? offset
function core.json.decode(text) end

--- A deep copy of a value.
---@param value any
---@return any copy
---@return string? message
---@return string? path
function core.json.copy(value) end

--- Works with a new instance of this cjson from now on: for specs that stand in for another release.
---@param cjson table
function core.json.use(cjson) end

-- ---- graphs ----

---@class step.core.Graph
---@operator len: integer    steps
local graph = {}

--- Gives the graph what its steps do; runs made from now on read it.
---@param code table    step number -> function, or plan (step.plan)
function graph:code(code) end

--- The number of a step.
---@param name string
---@return integer?
function graph:find(name) end

--- The name of a step.
---@param number integer
---@return string
function graph:name(number) end

--- Whether two are the same step or one is an ancestor of the other (S3.6). Cheap when calls with the same b follow one another.
---@param a integer
---@param b integer
---@return boolean
function graph:related(a, b) end

--- Frees what graph:related keeps.
function graph:forget() end

--- Whether a step can be in a state.
---@param number integer
---@param name string
---@return boolean known
---@return boolean custom    it is a custom state of the step
function graph:state(number, name) end

--- The dependencies of a step as a definition may write them.
---@param number integer
---@return string[]
function graph:dependencies(number) end

-- ---- runs ----

---@class step.core.Run
local run = {}

--- Gives up what is in flight and frees the memory as soon as nothing executes. A second close does nothing; any other method is
--- an error then.
function run:close() end

--- Whether it is closed.
---@return boolean
function run:closed() end

--- The number of a step or of a child that is there now.
---@param name string
---@return integer?
function run:find(name) end

--- The name of a step.
---@param number integer
---@return string
function run:name(number) end

--- The largest number in use; not all below it are steps.
---@return integer
function run:top() end

--- Whether a number stands for a step now.
---@param number integer
---@return boolean
function run:exists(number) end

--- The run's state and counters.
---@return string state
---@return integer run_count
---@return integer failed        resolves that ended in ERROR or CRASHED
---@return integer run_max
---@return number? next_retry
---@return boolean active        a resolve is in progress
---@return integer events        transitions reported so far
---@return number changed        when the run's state changed last; 0: not in this process
function run:status() end

--- Sets them: restoring.
---@param state string
---@param run_count integer
---@param failed integer
---@param run_max integer
---@param next_retry? number
function run:set_status(state, run_count, failed, run_max, next_retry) end

--- A step's state.
---@param number integer
---@return string state
---@return integer tries
---@return number? last_run
---@return integer? parent    of a child
---@return integer? index     of a child, from 0
function run:step(number) end

--- A step's results.
---@param number integer
---@return any output
---@return any metadata
---@return string? error
---@return table[]? children
---@return any item           of a child
function run:results(number) end

--- Whether a step is a failed child that its foreach step accepts.
---@param number integer
---@return boolean
function run:tolerated(number) end

--- Sets, unless it is nil, how many actions may be in flight at a time; 0: any number.
---@param n? integer
---@return integer?    how many; nil: any number
function run:limit(n) end

--- Sets a step's results: restoring. nil clears.
---@param number integer
---@param output any
---@param metadata any
---@param err? string
---@param children? table[]
function run:put(number, output, metadata, err, children) end

--- Sets a step's state: restoring.
---@param number integer
---@param state string
---@param tries integer
---@param last_run? number
function run:load(number, state, tries, last_run) end

--- Gives a foreach step its children, all TODO: restoring.
---@param number integer
---@param items any[]         one at least
---@return integer first      number of the first child
function run:load_loop(number, items) end

---@class step.core.Extra
---@field next_retry? number
---@field expires? number            when the attempt is over that has been WAITING
---@field wait_count? integer        results "not assigned" (D18)
---@field resource_count? integer    resources that could not be had
---@field eval_count? integer        skip conditions that could not be evaluated
---@field takeovers? integer         crashes that found it RUNNING (D27)
---@field unbegun? boolean           RUNNING, but its action waits for resources and has not begun
---@field awaits? boolean            WAITING for what is posted to the run: an automatic resolve leaves it alone until it is woken
---@field ended? string              of AFTERRUN_ERROR: the state the action ended in (D6)
---@field ended_error? string        and its error

--- What few steps have.
---@param number integer
---@return step.core.Extra?
function run:extra(number) end

--- Sets it: restoring.
---@param number integer
---@param extra step.core.Extra
function run:load_extra(number, extra) end

--- Sets a step's state, as a person; of a RUNNING step when its result arrives (D8).
---@param number integer
---@param state string        not RUNNING, not EXPANDED
---@param message? string     becomes its error
---@param time number
function run:set(number, state, message, time) end

--- What a step may wait for has come: it has another turn in the resolve in progress if it is WAITING, or ends so.
---@param number integer
function run:wake(number) end

--- A step keeps that, whatever becomes of its action.
---@param number integer
---@param metadata any    JSON data
---@param time number
function run:note(number, metadata, time) end

--- Tells whose core it is: what actions see as ctx.run, whose keeper's `engine` is ctx.engine.
---@param object table
function run:belong(object) end

--- Ends the run, or the resolve in progress once nothing is in flight and, where it is cancelled, its ALWAYS steps have run. A
--- second cancel gives these up. TO_AUTORUN, to go on elsewhere, takes the place of neither.
---@param state "CANCELLED"|"PAUSED"|"TO_AUTORUN"
---@param time number
---@return boolean begin    a resolve is to be begun for them
function run:stop(state, time) end

--- Why it is CANCELLED, or is going to be.
---@return "cancelled"|"deadline"|nil
function run:ending() end

--- Sets it, after the state: restoring. One that is not CANCELLED is cancelled by its next resolve.
---@param why "cancelled"|"deadline"
function run:set_ending(why) end

--- When the run is to have ended.
---@return number?
function run:deadline() end

--- Sets it.
---@param time? number
---@param span? number    seconds from the first resolve on: for a time that is not known yet
function run:set_deadline(time, span) end

--- Sets the run's state.
---@param state string
---@param time number
function run:become(state, time) end

--- Makes a step and its descendants TODO, results and tries forgotten.
---@param number integer
---@param time number
---@return integer count    of steps
function run:rewind(number, time) end

--- Has every transition reported; nil ends it. Errors of the listener are warnings.
---@param fn? fun(step_name: string?, from: string, to: string, message: string?, time: number, seq: integer)   step_name nil: of the run
function run:listen(fn) end

--- From now on a store keeps the run: no action starts before the loop's keeper has stored its RUNNING mark (D26).
---@param events integer    number of the last transition that is stored
---@param all? boolean       nothing of it is stored: all of it is to be
function run:keep(events, all) end

---@class step.core.Event
---@field seq integer
---@field time number
---@field step? string    a name; nil: the run itself
---@field from string
---@field to string
---@field message? string

---@class step.core.StepRow    texts are JSON but name, state and error
---@field step integer    from 1
---@field child integer    index from 0; -1: the step itself
---@field name string
---@field state string
---@field tries integer
---@field last_run? number
---@field output? string
---@field metadata? string
---@field error? string
---@field children? string
---@field items? string    of a foreach step that has its children
---@field extra? string    see run:extra

--- What has changed since run:saved: transitions, foreach steps whose stored children are to be forgotten before the rows are
--- written, rows, and the tags as JSON when they have changed. A kept run's.
---@return step.core.Event[] events
---@return integer[] forget
---@return step.core.StepRow[] steps
---@return string? tags
function run:changes() end

--- What run:changes gave is stored.
function run:saved() end

--- A kept run's actions may start until then without another save (D27).
---@param time number
function run:fresh(time) end

--- The table given to core.run.
---@return table
function run:globals() end

--- The view of all steps by name; read-only, pairs() in order.
---@return table<string, step.core.StepView>
function run:steps() end

---@class step.core.StepView
---@field name string
---@field state string
---@field output any
---@field metadata any
---@field children? table[]
---@field error? string
---@field try_count integer
---@field max_retries integer
---@field last_run? number
---@field next_retry? number
---@field item any

--- What templates and Lua functions see of a step, outside of any execution.
---@param number integer
---@return step.core.Values
function run:values(number) end

---@class step.core.Values
---@field step table<string, step.core.StepView>    `this` is the step at work
---@field iterator any                              of a child: its item
---@field pre_hook? { output: any, metadata: any }
---@field function_args any
---@field input table
---@field resolver_input table
---@field config table
---@field task table

--- Whether the invariants of the core hold: for specs, between settles.
---@return boolean
function run:sound() end

-- ---- loops ----

---@class step.core.Loop
local loop = {}

--- Does what can be done now and waits for nothing.
---@return boolean progress
function loop:turn() end

--- Waits until the earliest timer, a result from another thread, or so many seconds.
---@param seconds? number
---@return boolean waited    false: there is nothing to wait for
function loop:pause(seconds) end

--- Seconds until there is something to do; nil: nothing is known to come.
---@return number?
function loop:timeout() end

--- Starts a resolve of a run.
---@param run step.core.Run
---@param automatic boolean     nobody asked for it: only what is due runs (D17)
---@return boolean? started
---@return "cancelled"|"running"|"done"|"check"? why    check: it is BLOCKED_TOCHECK now (S6.6)
function loop:begin(run, automatic) end

--- Turns and waits until the resolve of a run has ended.
---@param run step.core.Run
---@return boolean ended    false: it waits for what this loop cannot bring
function loop:finish(run) end

--- Sets how many may hold a resource at a time (S4.4).
---@param name string
---@param n integer    0: nobody, ever
function loop:limit(name, n) end

--- Names another event loop, where something is at work for this one; nil: nothing is any more.
---@param drive? fun(): integer?, integer?   lets it do what it can now: its descriptor, and milliseconds until it has a timer (-1: none);
--- nothing where it cannot be waited for
---@param shut? fun()                       called when the loop is closed
function loop:outside(drive, shut) end

--- Sets how often what needs a resource may start.
---@param name string
---@param n integer         in any period, whenever it begins; 0: never
---@param seconds number    the period
function loop:rate(name, n, seconds) end

--- The time of the loop's clock.
---@return number
function loop:now() end

--- Whether a resolve is in progress.
---@return boolean
function loop:active() end

--- Sets who keeps the runs of the loop that a store keeps.
--- save stores what run:changes gives, all of it at once, and closes the runs that it could not store; false: not now
---@param save fun(runs: userdata[]): boolean?
---@param tick fun(): number            renews leases and the like while runs are active; returns the seconds until the next call
function loop:keeper(save, tick) end

--- Frees the loop. Runs that are active stay as they are, nothing of them goes on.
function loop:close() end

-- ---- what a runner is given ----

--- The context of an action (S7.1, S7.4). Fields of the runner's own context value are found in it too.
---@class step.Context
---@field run_id string
---@field task_id string               the same
---@field step_name string
---@field attempt integer              from 1
---@field key string                   the same for every try of this step of this run
---@field cancelled boolean
---@field requester_username string
---@field resolver_username string
---@field created string
---@field context any                  the runner's own context value, templated
---@field definition_file? string     where the definition was loaded from
---@field run step.Run                 the run itself
---@field engine? step.Engine          whose it is; nil: it was started without one
---@field log fun(...)
---@field spawn fun(self: step.Context, argv: string[], options?: step.SpawnOptions): step.ProcessResult?, step.Error?   step.process
---@field thread fun(self: step.Context, source: string|function, args?: any[]): ...   step.thread
local context = {}

--- Waits while others go on.
---@param seconds number
function context:sleep(seconds) end

--- Waits until `resume`, which `begin` is given, is called: now, or later from any event loop.
---@param begin fun(resume: fun(...))
---@return ...    what resume was called with
function context:await(begin) end

-- ---- runners written in C ----

--- Made by csrc/step_lua.h.
---@class step.core.Runner
local runner = {}

--- Judges a configuration.
---@param base_config any
---@param config any
---@return boolean? ok
---@return string? message
function runner:valid_config(base_config, config) end

--- The context value.
---@param step_name string
---@return any
function runner:context(step_name) end

--- The schema of the metadata.
---@return any
function runner:metadata_schema() end

--- The resources that a configuration needs.
---@param base_config any
---@param config any
---@return string[]
function runner:resources(base_config, config) end

return core
