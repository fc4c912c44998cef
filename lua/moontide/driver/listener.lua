--- Streaming listeners: tables with a function for each kind of event they want to hear of.
---
---     ssc:addStreamingListener{
---         onBatchCompleted = function(info) print(info.batchTime, info.processingDelay) end,
---     }
---
--- Callbacks run in the driver's Lua state, one after the other, never inside a batch. One that fails is reported in the
--- log and the others still run.

local check = require "moontide.base.check"

local listener = {}

---@class moontide.BatchInfo
---@field batchTime number ms
---@field submissionTime number wall clock, ms
---@field processingStartTime number?
---@field processingEndTime number?
---@field schedulingDelay number? start - submission
---@field processingDelay number? end - start
---@field totalDelay number? their sum
---@field numRecords number records of all inputs
---@field streamIdToInputInfo table<integer, moontide.InputInfo> by the number of the input: 0, 1, … as they were made
---@field outputOperationInfos table<integer, moontide.OutputOperationInfo> by id; what is known of each up to now

---@class moontide.InputInfo
---@field inputStreamId integer
---@field numRecords number 0 when it is not known: of files, before the batch has read them, and of SequenceFiles
---@field metadata { Description: string, files: string[]? } files: of a file stream, those of the batch
---@field metadataDescription string "socketTextStream(localhost:9999)", "queueStream" …

---@class moontide.OutputOperationInfo
---@field batchTime number ms
---@field id integer 0, 1, … in each batch
---@field name string "print", "foreachRDD" …
---@field description string where the script registered it
---@field startTime number? the streams' clock, ms
---@field endTime number?
---@field duration number?
---@field failureReason string?

---@class moontide.ReceiverInfo
---@field streamId integer
---@field name string
---@field active boolean
---@field location string "localhost"
---@field executorId string "driver"
---@field lastErrorMessage string?
---@field lastError string? "EIO" …
---@field lastErrorTime number wall clock, ms; -1: none

---@class moontide.StreamingListener
---@field onStreamingStarted? fun(info: { time: number })
---@field onBatchSubmitted? fun(info: moontide.BatchInfo)
---@field onBatchStarted? fun(info: moontide.BatchInfo)
---@field onBatchCompleted? fun(info: moontide.BatchInfo)
---@field onOutputOperationStarted? fun(info: moontide.OutputOperationInfo)
---@field onOutputOperationCompleted? fun(info: moontide.OutputOperationInfo)
---@field onReceiverStarted? fun(info: moontide.ReceiverInfo)
---@field onReceiverError? fun(info: moontide.ReceiverInfo)
---@field onReceiverStopped? fun(info: moontide.ReceiverInfo)

listener.callbacks = {
    "onStreamingStarted", "onBatchSubmitted", "onBatchStarted", "onBatchCompleted", "onOutputOperationStarted",
    "onOutputOperationCompleted", "onReceiverStarted", "onReceiverError", "onReceiverStopped",
}

local known = {}
for _, name in ipairs(listener.callbacks) do
    known[name] = true
end

--- Checks a listener given by a script.
---@param index integer
---@param method string
---@param value any
---@return moontide.StreamingListener
function listener.check(index, method, value)
    if check.type_name(value) ~= "table" then
        check.bad_argument(index, method, "table of callbacks", value)
    end
    local found = false
    for name, callback in pairs(value) do
        if type(name) == "string" and name:sub(1, 2) == "on" then
            if not known[name] then
                check.fail("a listener has no callback '%s'%s", name, check.suggestion(name, listener.callbacks))
            end
            if type(callback) ~= "function" then
                check.fail("the listener's %s must be a function, got %s", name, check.type_name(callback))
            end
            found = true
        end
    end
    -- A listener may be an object whose callbacks sit in its class.
    for _, name in ipairs(listener.callbacks) do
        found = found or type(value[name]) == "function"
    end
    if not found then
        check.fail("bad argument #%d to '%s' (the listener has no callback; callbacks: %s)", index, method,
            table.concat(listener.callbacks, ", "))
    end
    return value
end

-- Adds the delays Spark's BatchInfo has.
local function add_delays(info)
    local submitted, started, ended = info.submissionTime, info.processingStartTime, info.processingEndTime
    info.schedulingDelay = submitted and started and started - submitted or nil
    info.processingDelay = started and ended and ended - started or nil
    info.totalDelay = info.processingDelay and info.schedulingDelay and ended - submitted or nil
end

local function output_info(life, batch_time, id, node)
    local output = life.outputs[node] or {}
    return { batchTime = batch_time, id = id, name = output.name, description = output.site }
end

local function input_infos(life, records, time)
    local infos = {}
    for node, count in pairs(records or {}) do
        local source = listener.source(life, node)
        infos[source.id] = {
            inputStreamId = source.id, numRecords = count, metadataDescription = source.name,
            metadata = { Description = source.name, files = source.files and source.files(time) },
        }
    end
    return infos
end

local function copy(map)
    local made = {}
    for key, value in pairs(map) do
        made[key] = value
    end
    return made
end

-- What was told of the outputs of a batch so far.
local function told(life, info)
    local batch = life.told[info.batchTime]
    if not batch then
        batch = {}
        life.told[info.batchTime] = batch
        for index, node in ipairs(info.outputs or {}) do
            batch[index - 1] = output_info(life, info.batchTime, index - 1, node)
        end
    end
    return batch
end

local function batch_info(life, event)
    local info = event.info
    add_delays(info)
    info.streamIdToInputInfo = input_infos(life, info.inputs, info.batchTime)
    info.outputOperationInfos = copy(told(life, info))
    info.inputs, info.outputs = nil, nil
    if event.name == "onBatchCompleted" then
        life.told[info.batchTime] = nil
    end
    return info
end

local function operation_info(life, event)
    local from = event.info
    local info = output_info(life, from.batchTime, from.id, event.node)
    info.startTime, info.endTime, info.failureReason = from.startTime, from.endTime, from.failureReason
    info.duration = info.endTime and info.endTime - info.startTime or nil
    told(life, from)[info.id] = info
    return copy(info)
end

--- Completes the information of an event of the core.
---@param life table
---@param event table
---@return table info
function listener.info(life, event)
    if event.info.id then
        return operation_info(life, event)
    elseif event.info.batchTime then
        return batch_info(life, event)
    end
    return event.info
end

--- Gives an input its number and description; at its declaration, or when it is met first.
---@param life table
---@param node integer id of its stream
---@param name string?
---@return { id: integer, name: string, files: (fun(time: number): string[])? }
function listener.source(life, node, name)
    local source = life.sources[node]
    if not source then
        source = { id = life.inputs, name = name or "input" }
        life.sources[node] = source
        life.inputs = life.inputs + 1
    end
    return source
end

local CALLBACK = { started = "onReceiverStarted", error = "onReceiverError", stopped = "onReceiverStopped" }

--- A receiver's event as listeners get it: the callback's name and its argument.
---@param life table
---@param event table
---@param now number wall clock, ms
---@return string name
---@return moontide.ReceiverInfo info
function listener.receiver(life, event, now)
    local source = listener.source(life, event.source, "receiver")
    if event.error then
        source.lastErrorMessage, source.lastError, source.lastErrorTime = event.error, event.code, now
    end
    return CALLBACK[event.state] or "onReceiverError", {
        streamId = source.id, name = source.name, active = event.state ~= "stopped", location = "localhost",
        executorId = "driver", lastErrorMessage = source.lastErrorMessage, lastError = source.lastError,
        lastErrorTime = source.lastErrorTime or -1,
    }
end

return listener
