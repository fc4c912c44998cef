--- StreamingContext: cuts live data in batches and runs the streams defined on it. See lifecycle.lua for what happens
--- after start.

local check = require "moontide.base.check"
local closure = require "moontide.closure"
local conf = require "moontide.base.conf"
local context = require "moontide.context"
local dstream = require "moontide.dstream"
local duration = require "moontide.base.duration"
local errors = require "moontide.base.errors"
local handles = require "moontide.operators.handles"
local lifecycle = require "moontide.driver.lifecycle"
local listener = require "moontide.driver.listener"
local loop = require "moontide.driver.loop"
local save_to = require "moontide.driver.save_to"
local seeding = require "moontide.driver.seeding"

local streaming = {}

--- A streaming context. Misuse is raised at the caller's line. What fails in operation is raised by awaitTermination.
---@class moontide.StreamingContext
---@field sc moontide.Context the engine under it
local StreamingContext = {}

local class, begin = handles.StreamingContext, handles.begin

--- Makes a streaming context on an engine.
---@param sc moontide.Context
---@param batch number ms
---@param clock? { clock: "wall"|"manual", start: number? } default the wall clock
---@return moontide.StreamingContext
function streaming.create(sc, batch, clock)
    clock = clock or { clock = "wall" }
    local graph, reason, code = sc.state.engine:graph({
        batch = batch, clock = clock.clock, start = clock.start,
        concurrent = conf.get(sc.state.settings, "concurrentJobs"),
        skips = conf.get(sc.state.settings, "onError") == "skip",
    })
    if not graph then
        error(errors.new(code or "EIO", reason), 0)
    end
    local life = lifecycle.new(sc.state, graph, batch)
    local ssc = setmetatable({ sc = sc, life = life, scope = false }, class)
    ssc.scope = dstream.scope(ssc, life)
    life.scope = ssc.scope
    life.manual = clock.clock == "manual"
    return ssc
end

function class.__tostring(self)
    return ("StreamingContext(%s, %s, %.0f ms)"):format(self.sc.master, self.sc.appName, self.life.batch)
end

-- Combining -------------------------------------------------------------------------------------------------------

--- The records of all the streams of a list.
---
---     ssc:union{ a, b, c }
---
--- As in Spark 0.9.
---@param streams moontide.DStream[] at least one; of this context, with one slide
---@return moontide.DStream
function StreamingContext:union(streams)
    local scope = begin(self, class, "union")
    check.array(1, "union", streams)
    return scope.union("union", streams)
end

--- Applies any operation on the datasets of several streams; `f` gets them in the order of the list, and runs in the
--- driver for each batch.
---
---     ssc:transform({ a, b }, function(rdds, time) return rdds[1]:union(rdds[2]):distinct() end)
---
--- As in Spark 0.9.
---@param streams moontide.DStream[] at least one; of this context, with one slide
---@param f fun(rdds: moontide.RDD[], time: number): moontide.RDD
---@return moontide.DStream
function StreamingContext:transform(streams, f)
    local scope = begin(self, class, "transform")
    check.array(1, "transform", streams)
    check.func(2, "transform", f)
    return scope.transform("transform", scope.nodes("transform", streams), f, f)
end

-- Life ------------------------------------------------------------------------------------------------------------

-- Contexts that run, the newest last: each may have an engine of its own.
local running = {}

-- One context of an engine runs at a time, as in Spark, where a process has one engine; those on a manual clock, which
-- tests have, are by themselves.
local function refuse_second(ssc)
    for _, other in ipairs(running) do
        if other.sc == ssc.sc and not (ssc.life.manual or other.life.manual) then
            check.fail("'start': another StreamingContext of %s (started at %s) is running: stop it first, define the streams "
                .. "on it, or give this one a Context of its own", other.sc.appName, other.life.started_at)
        end
    end
end

-- What a checkpoint would have to hold: the functions that run in the driver. Those of other operators were packaged when
-- they were given.
local function refuse_unstorable(life)
    local function look(list)
        for _, entry in pairs(list) do
            local reason = entry.fn and closure.not_storable(entry.fn, entry.name)
            if reason then
                check.fail("'start': checkpointing is on, but the DStreams with their functions are not serializable: %s",
                    reason)
            end
        end
    end
    look(life.outputs_in_order)
    look(life.transforms)
end

-- What the graph has against a start, with the names that the script knows its streams by.
local function refuse(life, reason)
    check.fail("'start': %s", (reason:gsub("[Ss]tream (%d+) %([%w_]+%)", function(id)
        return life.scope.labels[tonumber(id)]
    end)))
end

-- Everything that can be known before anything is opened, made or begun.
local function check_start(ssc)
    local life = ssc.life
    refuse_second(ssc)
    if #life.outputs_in_order == 0 then
        check.fail("'start': no output operation is registered, so nothing would run: add print(), foreachRDD(f) or "
            .. "saveAsTextFiles(prefix) to a stream before start()")
    end
    local fits, reason = life.graph:check()
    if not fits then
        refuse(life, reason)
    end
    if life.checkpoint and not life.checkpoint_lent then
        refuse_unstorable(life)
        local usable, unusable = require("moontide.driver.checkpoint").prepare(life.checkpoint)
        if not usable then
            check.fail("'start': the checkpoint directory '%s' cannot be used any more: %s; mend that, or set another one with "
                .. "ssc:checkpoint(directory)", life.checkpoint, unusable)
        end
    end
end

local function set_running(ssc)
    ssc.life.started_at = check.site()
    table.insert(running, ssc)
    ssc.life.on_stopped = function()
        for index, other in ipairs(running) do
            if other == ssc then
                table.remove(running, index)
                return
            end
        end
    end
end

--- Starts to receive and process. Returns at once; nothing runs until the script waits (awaitTermination). A context that
--- is started already stays as it is. One context of an engine runs at a time.
---
---     counts:print()
---     ssc:start()
---     ssc:awaitTermination()
---
--- Errors: no output operation is registered; something that needs a checkpoint directory has none, or it cannot be used any more;
--- a function could not be stored in it; another context of the engine runs; a sink of saveTo cannot be opened; there is no thread
--- or no open file left for receivers. Each says what to change. Then the context is as it was before the call: change that, and call
--- start() again. A context that is stopped cannot be started at all. Guide: "A Quick Example".
function StreamingContext:start()
    check.self(self, class, "start")
    local life = self.life
    if life.state == "STOPPED" then
        check.fail("'start': the streaming context is stopped (stop was called); a stopped context cannot run again, "
            .. "make a new one")
    elseif life.state ~= "INITIALIZED" then
        require("moontide.core").log("warn", "streaming", "start: the context has been started already")
        return
    end
    if life.opening then
        check.fail("'start': the streaming context is being started: a sink's method cannot do it once more")
    end
    check_start(self)
    life.start_site = check.site()
    local closed_sink = save_to.open(life)
    if closed_sink then
        check.fail("'start': %s", closed_sink)
    end
    life.graph:listen(#life.listeners > 0)
    local started, reason = life.graph:start()
    if not started then
        save_to.close_again(life)
        refuse(life, reason)
    end
    seeding.freeze(self.sc.state)
    life.state = "ACTIVE"
    set_running(self)
end

-- Waiting for the end inside a function that the end waits for would never return.
local function check_may_wait(self, name)
    check.self(self, class, name)
    local task = loop.enclosing()
    if task then
        check.fail("'%s' cannot be called inside %s: call it in the main script", name, task.name)
    end
    if self.life.state == "INITIALIZED" then
        check.fail("'%s': the streaming context was not started: call start() first", name)
    end
end

-- The first failure is raised, now and at every later call.
local function rethrow(self)
    local life = self.life
    life.context.before_turn()
    if life.error then
        lifecycle.unraised[life.error] = nil
        error(life.error, 0)
    end
end

--- Runs the streams until they are stopped: by stop() in one of the functions of the script, by a signal, or by a
--- failure, which is raised here as an error value.
---
---     ssc:start()
---     local ok, err = pcall(ssc.awaitTermination, ssc)
---     if not ok then print(err.code, err.message) end
---
--- Called before start, or inside a function of foreachRDD, transform or a listener, it is an error.
--- Guide: "A Quick Example".
function StreamingContext:awaitTermination()
    check_may_wait(self, "awaitTermination")
    loop.run_until(function()
        return self.life.state == "STOPPED"
    end)
    rethrow(self)
end

--- Like awaitTermination, for at most `timeout`.
---
---     while not ssc:awaitTerminationOrTimeout("10s") do report() end
---
--- As in Spark 1.3.
---@param timeout number|string duration
---@return boolean stopped false when the time has passed
function StreamingContext:awaitTerminationOrTimeout(timeout)
    check_may_wait(self, "awaitTerminationOrTimeout")
    timeout = duration.argument(1, "awaitTerminationOrTimeout", timeout, true)
    local life = self.life
    local stopped = loop.run_until(function()
        return life.state == "STOPPED"
    end, timeout)
    if stopped then
        rethrow(self)
    end
    return stopped
end

local STOP_OPTIONS = { "stopContext", "graceful" }

--- Stops the streams, and the engine under them. May be called again, and inside foreachRDD and transform, where it
--- takes effect when the function has returned.
---
---     ssc:stop()                                        -- at once
---     ssc:stop(true, true)                              -- after everything received was processed
---     ssc:stop{ stopContext = false, graceful = true }
---
--- A graceful stop that takes longer than the setting `gracefulStopTimeout` is broken off. As in Spark 1.0.
---@param stopContext? boolean|{ stopContext: boolean?, graceful: boolean? } default true (setting `stopContextByDefault`)
---@param graceful? boolean default false
---@return true? stopped
---@return moontide.Error? err what was broken off, or the sink that could not be closed
function StreamingContext:stop(stopContext, graceful)
    check.self(self, class, "stop")
    if type(stopContext) == "table" then
        check.options("stop", stopContext, STOP_OPTIONS)
        stopContext, graceful = stopContext.stopContext, stopContext.graceful
    end
    local life = self.life
    stopContext = check.boolean(1, "stop", stopContext, conf.get(life.settings, "stopContextByDefault"))
    graceful = check.boolean(2, "stop", graceful, false)
    life.refuse_stop_in_listener()
    lifecycle.stop(life, graceful, stopContext)
    if loop.enclosing() then
        return true
    end
    loop.run_until(function()
        return life.state == "STOPPED"
    end)
    life.context.before_turn()
    if life.incomplete then
        return nil, life.incomplete
    end
    return true
end

--- Keeps the datasets of each stream at least this long, for functions that use them after their batch. Once, before
--- start.
---
---     ssc:remember("5min")
---
--- A second call is an error. As in Spark 0.9.
---@param time number|string duration, longer than 0
function StreamingContext:remember(time)
    begin(self, class, "remember")
    local ms = duration.argument(1, "remember", time)
    if self.life.remember then
        check.fail("'remember': it was set to %.0f ms already", self.life.remember)
    end
    self.life.graph:remember(ms)
    self.life.remember = ms
end

--- Sets the directory for checkpoints, which windows with an inverse function and keyed state need. It is made if it is not
--- there, and must be writable.
---
---     ssc:checkpoint("checkpoints")
---
--- In this release streams write nothing there yet: recovery from a checkpoint (getOrCreate) comes with a later one. Datasets
--- do, as after sc:setCheckpointDir(directory): see RDD:checkpoint.
--- Guide: "RDD Checkpointing".
--- A directory that cannot be made or written to is an error.
---@param directory string? nil takes it away again
function StreamingContext:checkpoint(directory)
    begin(self, class, "checkpoint")
    if directory ~= nil then
        check.text(1, "checkpoint", directory, true)
        local ok, reason = require("moontide.driver.checkpoint").prepare(directory)
        if not ok then
            check.fail("'checkpoint': the directory '%s' cannot be used: %s", directory, reason)
        end
    end
    self.life.checkpoint, self.life.checkpoint_lent = directory, false
    self.life.graph:checkpointing(directory ~= nil)
    if directory ~= nil then
        require("moontide.driver.checkpoint").use(self.sc.state, directory)
    end
end

--- Has a listener told of batches, outputs and receivers; before or after start.
---
---     ssc:addStreamingListener{ onBatchCompleted = function(info) print(info.batchTime, info.totalDelay) end }
---
--- A table without a callback, or with a misspelled one, is an error. Guide: "Monitoring".
---@param target moontide.StreamingListener table with a function for each event it wants to hear of
function StreamingContext:addStreamingListener(target)
    check.self(self, class, "addStreamingListener")
    listener.check(1, "addStreamingListener", target)
    if self.life.state == "STOPPED" then
        check.fail("'addStreamingListener': the streaming context is stopped (stop was called)")
    end
    table.insert(self.life.listeners, target)
    self.life.listening[target] = true
    if self.life.state ~= "INITIALIZED" then
        self.life.graph:listen(true)
    end
end

--- Takes a listener away again; it hears of nothing from now on. Before or after start.
---
---     local listener = moontide.StatsReportListener(20)
---     ssc:addStreamingListener(listener)
---     ssc:removeStreamingListener(listener)  --> true
---
--- As in Spark 3.0.
---@param target moontide.StreamingListener the same table
---@return boolean removed false when it was not there
function StreamingContext:removeStreamingListener(target)
    check.self(self, class, "removeStreamingListener")
    local life = self.life
    if not life.listening[target] then
        return false
    end
    life.listening[target] = nil
    for index = #life.listeners, 1, -1 do
        if life.listeners[index] == target then
            table.remove(life.listeners, index)
        end
    end
    if life.state == "ACTIVE" and #life.listeners == 0 and not life.failed_time then
        life.graph:listen(false)
    end
    return true
end

--- Where the context is in its life.
---
---     ssc:getState()  --> "INITIALIZED"
---
--- As in Spark 1.4.
---@return "INITIALIZED"|"ACTIVE"|"STOPPED"
function StreamingContext:getState()
    check.self(self, class, "getState")
    return self.life.state == "STOPPING" and "ACTIVE" or self.life.state
end

-- Making one ------------------------------------------------------------------------------------------------------

local OPTIONS = { "master", "appName", "batch", "conf", "sc" }

local function from_options(options)
    check.options("StreamingContext", options, OPTIONS)
    local batch, reason = duration.parse(options.batch)
    if not batch or batch == 0 then
        check.fail("StreamingContext: option 'batch': %s", reason or "the duration must be longer than 0 ms")
    end
    local sc = options.sc
    if sc ~= nil then
        if getmetatable(sc) ~= handles.Context then
            check.fail("StreamingContext: option 'sc': Context expected, got %s", check.type_name(sc))
        end
        if options.master or options.appName or options.conf then
            check.fail("StreamingContext: master, appName and conf belong to the Context given as 'sc'")
        end
    end
    return sc, batch, options
end

local function on_context(sc, batch)
    if sc:isStopped() then
        check.fail("StreamingContext: the context is stopped (stop was called); make a new one")
    end
    return streaming.create(sc, batch)
end

--- Makes a streaming context.
---
---     moontide.StreamingContext("local[2]", "Count", moontide.seconds(1))
---     moontide.StreamingContext(sc, "500ms")
---     moontide.StreamingContext{ master = "local[2]", appName = "Count", batch = "1s", conf = { onError = "skip" } }
---
---@param first string|moontide.Context|{ master: string?, appName: string?, batch: number|string, conf: table?, sc:
---   moontide.Context? }
---@param second? string|number
---@param third? number|string batch interval, a duration
---@return moontide.StreamingContext
local function new(_, first, second, third)
    if getmetatable(first) == handles.Context then
        return on_context(first, duration.argument(2, "StreamingContext", second))
    end
    if type(first) == "string" then
        if second == nil and third == nil then
            check.no_recovery("StreamingContext(checkpointDirectory)")
        end
        local batch = duration.argument(3, "StreamingContext", third)
        return streaming.create(context.create("StreamingContext", first, second), batch)
    end
    if check.type_name(first) ~= "table" then
        check.fail("bad argument #1 to 'StreamingContext' (master, Context or table of options expected, got %s)",
            check.type_name(first))
    end
    local sc, batch, options = from_options(first)
    if sc then
        return on_context(sc, batch)
    end
    return streaming.create(context.create("StreamingContext", options.master, options.appName, options.conf), batch)
end

local constructor = {}

--- Recovers a context from a checkpoint directory; comes with a later release. In this one a call is an error.
---
---     moontide.StreamingContext.getOrCreate("/var/lib/counts", build)  -- refused in this release
---
--- Guide: "Failure of the Driver Node".
function constructor.getOrCreate()
    check.no_recovery("StreamingContext.getOrCreate")
end

--- The streaming context of this process that was started last and is not stopped.
---
---     local ssc = moontide.StreamingContext.getActive()
---
--- As in Spark 1.4.
---@return moontide.StreamingContext? nil when none runs
function constructor.getActive()
    return running[#running]
end

--- The running streaming context, or the one that `create` makes.
---
---     local ssc = moontide.StreamingContext.getActiveOrCreate(function()
---         return moontide.StreamingContext("local[2]", "Count", "1s")
---     end)
---
--- As in Spark 1.4.
---@param create fun(): moontide.StreamingContext called only when none runs
---@param ... any a directory as first argument is refused: recovery comes with a later release
---@return moontide.StreamingContext
function constructor.getActiveOrCreate(create, ...)
    if type(create) == "string" or select("#", ...) > 0 then
        check.no_recovery("StreamingContext.getActiveOrCreate(directory, create)")
    end
    check.func(1, "getActiveOrCreate", create)
    local active = running[#running]
    if active then
        return active
    end
    local made = create()
    if getmetatable(made) ~= class then
        check.fail("getActiveOrCreate: the function must return a StreamingContext, got %s", check.type_name(made))
    end
    return made
end

handles.add { StreamingContext = StreamingContext }
require "moontide.operators.inputs"
handles.on_demand("StreamingContext", { "moontide.operators.file_streams" })

streaming.constructor = setmetatable(constructor, {
    __call = new,
    __index = function(_, name)
        check.fail("StreamingContext has no function '%s'%s", tostring(name),
            check.suggestion(tostring(name), check.names(constructor)))
    end,
})

return streaming
