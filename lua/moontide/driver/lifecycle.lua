--- The life of a streaming context after its definition: what its events mean, what happens when a batch fails, and how
--- it stops. The public methods are in streaming.lua.
---
---     INITIALIZED ──start──► ACTIVE ──stop──► STOPPING ──drained──► STOPPED          (one way; getState shows STOPPING
---          └────────────────────stop──────────────────────────────────►               as ACTIVE)
---
--- A stop has stages. Graceful: sources stop, what was received is processed. If that takes longer than
--- gracefulStopTimeout, what still runs is reported and broken off, and the stop becomes an immediate one. Immediate: running
--- functions get stopTimeout, then they are reported and broken off. If even that does not end them they are left behind.

local check = require "moontide.base.check"
local conf = require "moontide.base.conf"
local errors = require "moontide.base.errors"
local event_queue = require "moontide.driver.event_queue"
local listener = require "moontide.driver.listener"
local loop = require "moontide.driver.loop"
local pace = require "moontide.driver.pace"
local save_to = require "moontide.driver.save_to"
local stop_report = require "moontide.driver.stop_report"

local lifecycle = {}

--- Failures that no awaitTermination has raised yet: the program tells them at its end.
---@type table<moontide.Error, boolean>
lifecycle.unraised = {}

local MIN_GRACEFUL = 10000 -- ms
local GRACEFUL_BATCHES = 10
local MOST_PASSED_OVER = 1000 -- batches

local function core()
    return require "moontide.core"
end

local function log(level, format, ...)
    core().log(level, "streaming", string.format(format, ...))
end

-- Failures --------------------------------------------------------------------------------------------------------

-- What was raised, in which function of which batch, and the traceback when a function of the script raised it.
local function describe_failure(task, raised, traceback)
    local text = ("%s\n  in %s (%s), batch %.0f ms"):format(errors.text(raised), task.name, task.site, task.time)
    local fields = { cause = raised, time = task.batch or task.time }
    if not errors.is(raised) then
        fields.traceback = errors.trim_traceback(traceback or "")
        text = errors.join(text, fields.traceback)
    end
    return errors.new(errors.is(raised) and raised.code or "ECLOSURE", text, fields)
end

-- What is wrong with the result of a transform function, or nil.
local function wrong_result(life, task, result)
    local reason
    if not life.scope.is_rdd(result) then
        reason = "the function must return an RDD, got " .. check.type_name(result)
    elseif result.scope ~= life.context.sc.scope then
        reason = "the function returned an RDD of another Context"
    else
        return nil
    end
    return errors.new("ECLOSURE", ("%s\n  in %s (%s), batch %.0f ms"):format(reason, task.name, task.site,
        task.time), { time = task.batch })
end

local function set_error(life, err)
    life.error = err
    lifecycle.unraised[err] = true
end

-- Stops once the batches before and of the failed one are done.
local function stop_after_failure(life)
    if life.state == "ACTIVE" then
        lifecycle.stop(life, false, false)
    end
end

-- Under onError = "skip". Whether the same operator has not been told of yet for that batch: a record that fails is met by each
-- output that computes it.
local function is_news(life, text, time)
    local place = text:match("\n  in (.-, batch %-?%d+ ms)") or text
    local told = life.passed_over[time]
    if not told then
        told = {}
        life.passed_over[time] = told
        table.insert(life.passed_over_times, time)
        if #life.passed_over_times > MOST_PASSED_OVER then
            life.passed_over[table.remove(life.passed_over_times, 1)] = nil
        end
    end
    if told[place] then
        return false
    end
    told[place] = true
    return true
end

-- The batch whose records were at work, as a worker's message tells.
local function batch_in(text)
    return tonumber(text:match("\n  in .-, batch (%-?%d+) ms"))
end

local function pass_over(life, err)
    if is_news(life, err.message, batch_in(err.message) or err.time) then
        log("error", "%s", err.message)
    end
end

--- A batch failed: by the setting onError this ends the stream, or is logged and skipped.
---@param life table
---@param err moontide.Error with its `time`
local function fail(life, err)
    if life.stopping and life.stopping.stage ~= "graceful" and err.code == "ECANCELLED" then
        return
    end
    life.failed_batches = life.failed_batches + 1
    if conf.get(life.settings, "onError") == "skip" then
        pass_over(life, err)
        return
    end
    if not life.error then
        set_error(life, err)
        life.failed_time = err.time
    elseif not life.failed_time or err.time <= life.failed_time then
        log("error", "%s", err.message)
    end
    if life.state == "ACTIVE" then
        life.graph:listen(true)
        if life.graph:idle() and life.tasks == 0 then
            stop_after_failure(life)
        end
    end
end

lifecycle.fail = fail

-- Work of a later batch than the failed one shows that those before it are done.
local function after_failure(life, time)
    if life.failed_time and time > life.failed_time then
        stop_after_failure(life)
        return life.state ~= "ACTIVE"
    end
    return false
end

-- Ending ----------------------------------------------------------------------------------------------------------

local function abandon_tasks(life)
    for _, task in ipairs(loop.waiting_tasks(life)) do
        loop.abandon(task)
    end
end

local function finish(life)
    if life.state == "STOPPED" then
        return
    end
    abandon_tasks(life)
    life.state = "STOPPED"
    save_to.close(life, function() end) -- those that the stop had no time for
    abandon_tasks(life)
    if life.listener_queue.dropped > 0 then
        log("warn", "%.0f more events were not told to listeners", life.listener_queue:take_dropped())
    end
    life.graph:close()
    for index, other in ipairs(life.context.streams) do
        if other == life then
            table.remove(life.context.streams, index)
            break
        end
    end
    if life.on_stopped then
        life.on_stopped()
    end
    if life.stop_context then
        life.context.request_close()
    end
end

local function finish_when_done(life)
    local function done()
        return life.drained and life.tasks == 0 and #stop_report.lingering(life) == 0
    end
    if done() then
        save_to.close(life, function() finish_when_done(life) end)
    end
    if done() then
        finish(life)
    end
end

-- To be called when the graph has been stopped: tells what is lost, once, and adds it to the error that the stop ends with.
local function tell_lost(life)
    if life.lost then
        return
    end
    life.lost = stop_report.lost(life)
    for _, text in ipairs(life.lost) do
        log("warn", "%s", text)
    end
    if life.lost[1] and life.error then
        life.error.lost = life.lost
    end
end

local function seconds_from_now(ms)
    return core().monotonic() + ms / 1000
end

local function stop_now(life)
    life.stopping.stage = "immediate"
    life.stopping.deadline = seconds_from_now(conf.get(life.settings, "stopTimeout"))
    life.graph:stop(false)
    for _, task in ipairs(loop.waiting_tasks(life)) do
        if task.time then
            life.broken_off[("batch %.0f ms"):format(task.time)] = true
        end
        if task.job then
            task.job:cancel()
        end
    end
    tell_lost(life)
end

local function graceful_timeout(life)
    return conf.get(life.settings, "gracefulStopTimeout") or math.max(GRACEFUL_BATCHES * life.batch, MIN_GRACEFUL)
end

local function incomplete(life, message)
    life.incomplete = errors.new("ETIMEOUT", message)
    if not life.error then
        set_error(life, life.incomplete)
    end
end

--- A stage of a stop has taken too long.
local function overdue(life)
    local stopping = life.stopping
    if stopping.stage == "graceful" then
        incomplete(life, ("the graceful stop took longer than %.0f ms and was broken off%s"):format(
            graceful_timeout(life), stop_report.running(life)))
        stop_now(life)
        life.context.engine:interrupt()
        stopping.stage = "interrupted"
    elseif stopping.stage == "immediate" then
        local left = stop_report.lingering(life)
        if #left > 0 then
            incomplete(life, "functions that did not return were broken off by the stop" .. stop_report.listed(left))
        end
        life.context.engine:interrupt()
        stopping.stage = "interrupted"
        stopping.deadline = seconds_from_now(math.max(1000, conf.get(life.settings, "stopTimeout")))
    else
        log("error", "the stop left something running behind%s", stop_report.listed(stop_report.lingering(life)))
        finish(life)
    end
end

--- Begins to stop, or makes a graceful stop that is under way an immediate one. Returns at once.
---@param life table
---@param graceful boolean
---@param stop_context boolean also close the engine when done
function lifecycle.stop(life, graceful, stop_context)
    life.stop_context = life.stop_context or stop_context
    if life.state == "INITIALIZED" then
        finish(life)
    elseif life.state == "STOPPED" then
        if stop_context then
            life.context.request_close()
        end
    elseif not life.stopping then
        life.state = "STOPPING"
        life.stopping = { stage = "graceful" }
        if graceful then
            life.stopping.deadline = seconds_from_now(graceful_timeout(life))
            life.graph:stop(true)
        else
            stop_now(life)
        end
    elseif life.stopping.stage == "graceful" and not graceful then
        stop_now(life)
    end
end

-- Events ----------------------------------------------------------------------------------------------------------

local events = {}

function events.transform(life, event)
    if life.is_stopping_now() then
        return
    end
    local transform = life.transforms[event.node]
    local rdds = {}
    for index, node in ipairs(event.rdds) do
        rdds[index] = life.scope.wrap_rdd(node)
    end
    local task = {
        kind = "transform", stream = life, name = transform.name, site = transform.site, time = event.time,
        batch = event.batch, fn = transform.run,
    }
    function task.done(ok, result, traceback)
        local err = ok and wrong_result(life, task, result) or not ok and describe_failure(task, result, traceback)
        if life.state == "STOPPED" then
            return
        end
        if err then
            life.generation_error = err
            life.graph:transformDone(event.token, nil, err.message)
        else
            life.graph:transformDone(event.token, result.node)
        end
        finish_when_done(life)
    end
    loop.start(task, rdds, event.time)
end

function events.output(life, event)
    if after_failure(life, event.time) or life.is_stopping_now() then
        return
    end
    life.last_output = event.token
    local output = life.outputs[event.node]
    local task = {
        kind = "output", stream = life, name = output.name, site = output.site, time = event.time, fn = output.run,
    }
    function task.done(ok, raised, traceback)
        if life.state == "STOPPED" then
            return
        end
        pace.finish(life, task)
        if ok then
            life.graph:outputDone(event.token)
        else
            local err = describe_failure(task, raised, traceback)
            fail(life, err)
            if life.state ~= "STOPPED" then
                life.graph:outputDone(event.token, err.message)
            end
        end
        finish_when_done(life)
    end
    pace.begin(life, task)
    loop.start(task, life.scope.wrap_rdd(event.rdd), event.time)
end

function events.generation(life, event)
    local err = life.generation_error
    life.generation_error = nil
    if not (err and err.time == event.time) then
        local text = event.error
        if event.code == "ENOMEM" then -- no operator's line is in it
            text = ("%s\n  in start (%s)"):format(text, life.start_site)
        end
        err = errors.new(event.code or "EGENERATION", text, { time = event.time })
    end
    fail(life, err)
end

-- Windows, states and unions go on without a dataset that has failed.
function events.lost(life, event)
    if life.is_stopping_now() then
        return
    end
    local text = ("%s\n  what is made from it goes on as if there were no dataset for batch %.0f ms"):format(event.error, event.time)
    pass_over(life, errors.new(event.code or "ECLOSURE", text, { time = event.time }))
end

-- The next event with a callback; events of removed listeners, and those after the end, are dropped.
local function next_told(life)
    while not life.listener_queue:is_empty() do
        local event = life.listener_queue:pop()
        local callback = event.listener[event.name]
        if callback and life.listening[event.listener] and life.state ~= "STOPPED" then
            return event, callback
        end
    end
end

-- Listeners are told one event after the other, also when a callback waits for an action: when the callback ends, the next event follows here.
local function tell_waiting(life)
    if life.telling then
        return
    end
    local event, callback = next_told(life)
    while event do
        local returned = false -- the loop below goes on with the next one
        life.telling = true
        local task = { kind = "listener", stream = life, name = event.name, fn = callback }
        function task.done(ok, raised, traceback)
            life.telling = false
            if not ok then
                log("error", "a listener failed in %s: %s", task.name,
                    errors.join(errors.text(raised), errors.trim_traceback(traceback or "")))
            end
            if returned then
                tell_waiting(life)
                finish_when_done(life)
            end
        end
        loop.start(task, event.info)
        returned = true
        if life.telling then
            return
        end
        finish_when_done(life)
        event, callback = next_told(life)
    end
end

local DROPS_TOLD = 60 -- seconds between messages about dropped events

local function tell(life, name, info)
    local taken = true
    for _, target in ipairs(life.listeners) do
        taken = life.listener_queue:push({ listener = target, name = name, info = info }) and taken
    end
    local now = not taken and core().monotonic()
    if now and (not life.drops_told or now - life.drops_told >= DROPS_TOLD) then
        life.drops_told = now
        log("warn", "listeners are slower than the streams: %.0f events wait, and %.0f were not told (setting listener.maxEvents)",
            life.listener_queue.most, life.listener_queue:take_dropped())
    end
    tell_waiting(life)
end

function events.listener(life, event)
    local info = listener.info(life, event)
    tell(life, event.name, info)
    if event.name == "onBatchCompleted" and life.failed_time and (info.batchTime >= life.failed_time
            or life.graph:idle()) then
        stop_after_failure(life)
    end
end

function events.receiver(life, event)
    local name, info = listener.receiver(life, event, core().wall())
    if event.state == "error" then
        log("warn", "%s: %s", info.name, event.error)
    else
        log("info", "%s: %s%s", info.name, event.state, event.error and " (" .. event.error .. ")" or "")
    end
    tell(life, name, info)
end

function events.drained(life)
    life.drained = true
    tell_lost(life)
    finish_when_done(life)
end

-- For the loop ----------------------------------------------------------------------------------------------------

local function add_callbacks(life)
    function life.handle(event)
        local handler = events[event.kind]
        if handler and life.state ~= "STOPPED" then
            handler(life, event)
        end
    end

    function life.before_turn()
        for _, queue in ipairs(life.queues) do
            queue.sync()
        end
        if life.drained then
            finish_when_done(life)
        end
    end

    function life.deadline()
        return life.stopping and life.stopping.deadline
    end

    function life.look()
        return pace.look(life)
    end

    function life.overdue()
        overdue(life)
    end

    function life.stop(graceful, stop_context)
        lifecycle.stop(life, graceful, stop_context)
    end

    -- stop() inside a listener would wait for the event that the listener is handling.
    function life.refuse_stop_in_listener()
        local task = loop.enclosing()
        if task and task.kind == "listener" and task.stream == life then
            check.fail("stop() cannot be called inside a listener callback (%s): stop from foreachRDD or from the main script",
                task.name)
        end
    end

    function life.is_busy()
        return life.state == "ACTIVE" or life.state == "STOPPING"
    end

    function life.is_stopping_now()
        return life.state == "STOPPED" or life.stopping ~= nil and life.stopping.stage ~= "graceful"
    end

    function life.on_signal(count)
        if not life.is_busy() then
            return false
        end
        life.signals = math.max(life.signals, count)
        if count == 1 then
            log("info", "stopping gracefully; a second signal stops at once")
            lifecycle.stop(life, true, false)
        elseif not life.is_stopping_now() then
            incomplete(life, "stopped at once by a second signal" .. stop_report.running(life))
            lifecycle.stop(life, false, false)
        else
            life.context.engine:interrupt()
        end
        return true
    end
end

--- The state of a new streaming context.
---@param state table engine state, see context.lua
---@param graph userdata
---@param batch number ms
---@return table life
function lifecycle.new(state, graph, batch)
    local life = {
        context = state, graph = graph, batch = batch, settings = state.settings, state = "INITIALIZED",
        outputs = {},          -- node number → { name, site, run }
        outputs_in_order = {},
        saves = {},            -- what saveAs…Files write to → who does (save.lua)
        sinks = {},            -- what saveTo writes to, in the order of the script (save_to.lua)
        transforms = {},       -- stream id → { name, site, run }
        sources = {},          -- stream id → { id, name }, the id as listeners are told it
        inputs = 0,            -- how many of them
        queues = {},           -- queue streams
        listeners = {}, listening = {}, telling = false,
        listener_queue = event_queue.new(conf.get(state.settings, "listener.maxEvents")),
        told = {},             -- batch time → what listeners were told of its outputs
        tasks = 0,             -- functions of the script that have not returned
        failed_batches = 0, last_output = 0, pace = pace.new(), passed_over = {}, passed_over_times = {}, signals = 0,
        stop_context = false, drained = false,
        broken_off = {},       -- "batch 1000 ms" → true, for the jobs that a stop cancelled
    }
    add_callbacks(life)
    table.insert(state.streams, life)
    return life
end

return lifecycle
