--- Context: the batch engine under a StreamingContext (Spark's SparkContext). It owns one engine of the core, and with it
--- the worker threads.

local check = require "moontide.base.check"
local conf = require "moontide.base.conf"
local environment = require "moontide.driver.environment"
local errors = require "moontide.base.errors"
local fast = require "moontide.wire.ffi"
require "moontide.driver.error_writes"
local handles = require "moontide.operators.handles"
local loop = require "moontide.driver.loop"
local rdd = require "moontide.rdd"
local seeding = require "moontide.driver.seeding"
local shared = require "moontide.driver.shared"

local context = {}

--- What the command line says: it overrides the script. `watch_signals` is set by the program.
---@type { master: string?, appName: string?, conf: table<string, any>, watch_signals: boolean }
context.overrides = { conf = {}, watch_signals = false }

--- The batch engine. Misuse is raised at the caller's line: wrong arguments, or anything new once it is stopped.
---@class moontide.Context
---@field master string
---@field appName string
local Context = {}

local class, begin = handles.Context, handles.begin

local MAX_WORKERS = 1024

-- One for each processor that this process may use: affinity and containers limit them.
local function cores()
    return math.min((require("moontide.core").machine()), MAX_WORKERS)
end

--- The number of workers that a master names.
---
---     context.workers("local[2]")  --> 2
---
---@param master any
---@return integer? workers nil when it is not a master
---@return string? reason
function context.workers(master)
    if type(master) ~= "string" then
        return nil, ("the master must be text like \"local[2]\", got %s"):format(check.type_name(master))
    end
    if master == "local" then
        return 1
    elseif master == "local[*]" then
        return cores()
    end
    local inside = master:match("^local%[(.*)%]$")
    if inside then
        local count = inside:match("^%d+$") and tonumber(inside)
        if not count then
            return nil, ("master '%s': '%s' is not a number of workers (valid: local, local[N], local[*])"):format(
                master, inside)
        end
        if count < 1 or count > MAX_WORKERS then
            return nil, ("master '%s': the number of workers must be from 1 to %d"):format(master, MAX_WORKERS)
        end
        return count
    end
    return nil, ("master '%s' is not supported: Moontide runs in one process (valid: local, local[N], local[*])%s"):format(
        master, check.suggestion(master, { "local", "local[2]", "local[*]" }))
end

local function close(state)
    state.closed = true
    shared.close(state)
    loop.remove(state)
    local busy = state.engine:describe()
    local done, reason = state.engine:close(conf.get(state.settings, "stopTimeout"))
    if not done then
        state.close_error = reason .. (#busy > 0 and ": " .. table.concat(busy, "; ") or "")
        require("moontide.core").log("error", "context", state.close_error)
    end
end

-- The engine ends when its streams have, and outside of tasks: their functions still use it.
local function close_when_done(state)
    if state.closing and not state.closed and #state.streams == 0 and not loop.enclosing() then
        close(state)
    end
end

local function add_callbacks(state)
    -- Asks the engine to end: streams on it are stopped at once. It is closed when that is done and the running task has
    -- returned; `state.closed` tells.
    function state.request_close()
        if not state.closing then
            state.closing = true
            for _, stream in ipairs({ unpack(state.streams) }) do
                stream.stop(false, false)
            end
            close_when_done(state)
        end
    end

    function state.before_turn()
        close_when_done(state)
    end

    -- The first signal stops streams gracefully, the second at once. Without streams it breaks off what is waited for.
    function state.on_signal(count)
        local streaming = false
        for _, stream in ipairs({ unpack(state.streams) }) do
            streaming = stream.on_signal(count) or streaming
        end
        if not streaming then
            state.interrupted = true
            for job in pairs(state.running) do
                job:cancel()
            end
            if count > 1 then
                state.engine:interrupt()
            end
        end
    end
end

local function script_name()
    local name = type(arg) == "table" and type(arg[0]) == "string" and arg[0] or "moontide"
    return name:match("([^/]+)%.lua$") or name:match("([^/]+)$") or name
end

-- Command line before arguments before conf before the environment before defaults.
local function settings_of(what, master, app_name, given)
    local settings = conf.check(what, given)
    local outside, reason = environment.settings()
    if not outside then
        check.fail("%s: %s", what, reason)
    end
    for key, value in pairs(outside) do
        if settings[key] == nil then
            settings[key] = value
        end
    end
    settings.master = master or settings.master or "local[*]"
    settings.appName = app_name or settings.appName or script_name()
    for key, value in pairs(context.overrides.conf) do
        settings[key] = value
    end
    settings.master = context.overrides.master or settings.master
    settings.appName = context.overrides.appName or settings.appName
    return settings
end

--- When a context began (driver/save.lua): directories that others complete from then on are not replaced.
---@class moontide.Outputs
---@field since ffi.cdata* monotonic time, ns
---@field since_file ffi.cdata* the time of file systems, ns
---@field closed fun(): boolean whether the context is stopped

local function outputs_of(state)
    local weak = setmetatable({ state }, { __mode = "v" })
    local function closed()
        return weak[1] == nil or weak[1].closed
    end
    return { since = fast.C.tide_clock_monotonic_ns(), since_file = fast.C.tide_clock_file_ns(), closed = closed }
end

--- Makes an engine; misuse is an error at the caller's line.
---@param what string the function called, for messages
---@param master string?
---@param app_name string?
---@param given table? settings
---@return moontide.Context
function context.create(what, master, app_name, given)
    if app_name ~= nil and (type(app_name) ~= "string" or app_name == "") then
        check.fail("%s: appName must be text, got %s", what, app_name == "" and "an empty text"
            or check.type_name(app_name))
    end
    if master ~= nil and type(master) ~= "string" then
        check.fail("%s: %s", what, select(2, context.workers(master)))
    end
    local settings = settings_of(what, master, app_name, given)
    local workers, reason = context.workers(settings.master)
    if not workers then
        check.fail("%s: %s", what, reason)
    end

    local core = require "moontide.core"
    if settings.logLevel then
        core.logLevel(settings.logLevel)
    end
    local engine, engine_reason, code = core.engine({
        workers = workers, packagePath = package.path, packageCpath = package.cpath,
        taskTimeout = conf.get(settings, "task.timeout"),
        maxFailures = conf.get(settings, "task.maxFailures"), memoryLimit = conf.get(settings, "memory.limit"),
        socketMemory = conf.get(settings, "socket.memory"), spillDirectory = conf.get(settings, "spill.directory"),
    })
    if not engine then
        error(errors.new(code or "EIO", ("%s: the engine cannot start: %s"):format(what, engine_reason)), 0)
    end
    if context.overrides.watch_signals then
        engine:watchSignals()
    end
    local state = {
        engine = engine, settings = settings, workers = workers, jobs = 0, running = {}, streams = {},
        closed = false, closing = false, interrupted = false,
        parallelism = settings.defaultParallelism or workers,
    }
    state.outputs = outputs_of(state)
    seeding.begin(state)
    add_callbacks(state)
    loop.add(state)
    local sc = setmetatable({ master = settings.master, appName = settings.appName, state = state, scope = false }, class)
    sc.scope = rdd.scope(sc, state)
    state.sc = sc
    return sc
end

--- A dataset of the records in an array, cut in `n` slices of neighbouring records.
---
---     sc:parallelize({ 1, 2, 3, 4 }, 2):map(function(x) return x * x end):collect()  --> { 1, 4, 9, 16 }
---
--- As in Spark 0.9.
---@param array any[] no nil inside; functions, userdata and coroutines are refused
---@param n? integer partitions, default sc:defaultParallelism()
---@return moontide.RDD
function Context:parallelize(array, n)
    local scope = begin(self, class, "parallelize")
    check.array(1, "parallelize", array)
    n = check.partitions(2, "parallelize", n, self.state.parallelism)
    return scope.from_array("parallelize", array, n, 1)
end

--- A dataset of pairs from an array of {key, value} tables.
---
---     sc:parallelizePairs({ { "a", 1 }, { "b", 2 }, { "a", 3 } }):reduceByKey(function(a, b) return a + b end):collect()
---         --> { { "a", 4 }, { "b", 2 } } in any order
---
--- As parallelize in Spark 0.9.
---@param array table[] {key, value}; neither may be nil
---@param n? integer partitions, default sc:defaultParallelism()
---@return moontide.RDD
function Context:parallelizePairs(array, n)
    local scope = begin(self, class, "parallelizePairs")
    check.array(1, "parallelizePairs", array)
    n = check.partitions(2, "parallelizePairs", n, self.state.parallelism)
    return scope.from_array("parallelizePairs", array, n, 2)
end

--- A dataset without records and partitions.
---
---     sc:emptyRDD():collect()  --> {}
---
--- As in Spark 1.0.
---@return moontide.RDD
function Context:emptyRDD()
    local scope = begin(self, class, "emptyRDD")
    return scope.wrap(self.state.engine:blocks({}))
end

--- The records of all the datasets of a list; their partitions follow one another.
---
---     sc:union{ a, b, c }
---
--- As in Spark 0.9.
---@param rdds moontide.RDD[] at least one
---@return moontide.RDD
function Context:union(rdds)
    local scope = begin(self, class, "union")
    check.array(1, "union", rdds)
    return scope.union("union", rdds)
end

--- A value that functions in the workers read: each worker gets it once, however many functions and batches use it, where a
--- plain variable travels with every function.
---
---     local names = sc:broadcast({ [1] = "ebb", [2] = "flow" })
---     sc:parallelize({ 2, 3 }):map(function(id) return names:value()[id] or "?" end):collect()  --> { "flow", "?" }
---
--- A value that cannot travel (a file, a coroutine, a context) is an error that says where in it. As in Spark 0.9.
---@param value any what closures can carry; not nil
---@return moontide.Broadcast handle with :value(), :unpersist() and :destroy()
function Context:broadcast(value)
    begin(self, class, "broadcast")
    return shared.broadcast(self.state, value)
end

--- A value that functions in the workers add to and the driver reads. What a task adds counts when the task has succeeded, once
--- for each partition, also when it was tried again.
---
---     local bad = sc:accumulator(0)
---     sc:parallelize({ "1", "x", "3" }):foreach(function(text) if not tonumber(text) then bad:add(1) end end)
---     bad:value()   --> 1
---
---     local seen = sc:accumulator({}, function(a, b) for k in pairs(b) do a[k] = true end return a end, "seen")
---     sc:parallelize({ "ebb", "flow", "ebb" }):foreach(function(word) seen:add({ [word] = true }) end)
---     seen:value()  --> { ebb = true, flow = true }
---
--- As in Spark 0.9.
---@param zero any a number, or with `merge` any plain value; adding it changes nothing
---@param merge? fun(a: any, b: any): any associative and commutative; may change and return its first argument; default:
---  addition of numbers
---@param name? string for messages
---@return moontide.Accumulator handle with :add(x) and :value()
function Context:accumulator(zero, merge, name)
    begin(self, class, "accumulator")
    return shared.accumulator(zero, merge, name)
end

--- Where kept data is at the moment: persisted datasets, windows and states, and what shuffles have written.
---
---     local status = sc:getStorageStatus()
---     print(status.memUsed, status.maxMem)
---
--- Not in Spark, which has getExecutorStorageStatus.
---@return { maxMem: number, memUsed: number, memRemaining: number, memPeak: number, diskUsed: number, spilled: number, dropped: integer }
---   in bytes: the setting memory.limit, what is in memory, what is left, the most there was; what is on disk, and all that was
---   written there; how many partitions were dropped, to be computed again
function Context:getStorageStatus()
    begin(self, class, "getStorageStatus")
    local memory = self.state.engine:memory()
    return {
        maxMem = memory.limit, memUsed = memory.memory, memRemaining = math.max(0, memory.limit - memory.memory),
        memPeak = memory.peak, diskUsed = memory.disk, spilled = memory.spilled, dropped = memory.dropped,
    }
end

--- Partitions of shuffles and of parallelize when a call does not say: the number of workers, or the setting
--- `defaultParallelism`.
---
---     moontide.Context("local[2]"):defaultParallelism()  --> 2
---
--- As in Spark 0.9.
---@return integer
function Context:defaultParallelism()
    check.self(self, class, "defaultParallelism")
    return self.state.parallelism
end

--- Chooses the least important messages written to stderr, for the whole process.
---
---     sc:setLogLevel("info")
---
--- Another word is an error that names the nearest level. As in Spark 1.4.
---@param level "debug"|"info"|"warn"|"error"|"off" default warn
function Context:setLogLevel(level)
    check.self(self, class, "setLogLevel")
    check.text(1, "setLogLevel", level)
    local name, reason = conf.read("logLevel", level:lower())
    if not name then
        check.fail("bad argument #1 to 'setLogLevel' (%s)", (reason:gsub("^setting 'logLevel': ", "")))
    end
    require("moontide.core").logLevel(name)
end

--- Stops the engine: streaming contexts on it are stopped at once, then its threads end. May be called again.
---
---     moontide.Context("local[1]"):stop()  --> true
---
--- Not allowed in a callback of a listener. As in Spark 0.9.
---@return true? stopped
---@return string? reason when a worker could not be ended (it is stuck in a call of a C library)
function Context:stop()
    check.self(self, class, "stop")
    local state = self.state
    for _, stream in ipairs(state.streams) do
        stream.refuse_stop_in_listener()
    end
    state.request_close()
    if not loop.enclosing() then
        loop.run_until(function()
            return state.closed
        end)
    end
    if state.close_error then
        return nil, state.close_error
    end
    return true
end

--- Whether stop was called.
---
---     sc:isStopped()  --> false
---
--- As in Spark 1.6.
---@return boolean
function Context:isStopped()
    check.self(self, class, "isStopped")
    return self.state.closed or self.state.closing
end

handles.add { Context = Context }
handles.on_demand("Context", { "moontide.operators.sources", "moontide.operators.checkpoint" })

function class.__tostring(self)
    return ("Context(%s, %s)"):format(self.master, self.appName)
end

local OPTIONS = { "master", "appName", "conf" }

--- Makes a batch engine.
---
---     local sc = moontide.Context{ master = "local[2]", appName = "Report", conf = { defaultParallelism = 4 } }
---     local sc = moontide.Context("local[2]", "Report")
---
--- A master that is none, and settings that are unknown or out of range, are errors. As in Spark 0.9.
---@param options string|{ master: string?, appName: string?, conf: table<string, any>? } master is local, local[N] or
---   local[*] (default); for the settings see `moontide help conf`
---@param appName? string default: the name of the script
---@return moontide.Context
local function new(_, options, appName)
    if type(options) == "table" and check.type_name(options) == "table" then
        check.options("Context", options, OPTIONS)
        return context.create("Context", options.master, options.appName, options.conf)
    end
    if type(options) ~= "string" then
        check.fail("bad argument #1 to 'Context' (master such as \"local[2]\", or a table of options expected, got %s)",
            check.type_name(options))
    end
    return context.create("Context", options, appName)
end

context.constructor = setmetatable({}, { __call = new, __name = "Context constructor" })

return context
