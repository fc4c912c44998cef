-- Streaming listeners: tables with a function for each kind of event they want to hear of.
--
--     ssc:addStreamingListener{
--         onBatchCompleted = function(info) print(info.batchTime, info.processingDelay) end,
--     }
--
-- Callbacks run in the driver's Lua state, one after the other, never inside a batch. One that fails is reported in the
-- log and the others still run.

local check = require "moontide.check"

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

---@class moontide.OutputOperationInfo
---@field batchTime number ms
---@field id integer 0, 1, … in each batch
---@field name string "print", "foreachRDD" …
---@field description string where the script registered it
---@field startTime number
---@field endTime number?
---@field duration number?
---@field failureReason string?

---@class moontide.ReceiverInfo
---@field streamId integer
---@field name string
---@field active boolean
---@field lastErrorMessage string?
---@field lastError string?

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
--- @param index integer
--- @param method string
--- @param value any
--- @return moontide.StreamingListener
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

--- Adds the delays Spark's BatchInfo has.
--- @param info table batchTime, submissionTime, processingStartTime, processingEndTime
--- @return moontide.BatchInfo
function listener.with_delays(info)
    local submitted, started, ended = info.submissionTime, info.processingStartTime, info.processingEndTime
    info.schedulingDelay = submitted and started and started - submitted or nil
    info.processingDelay = started and ended and ended - started or nil
    info.totalDelay = info.processingDelay and info.schedulingDelay and ended - submitted or nil
    return info
end

return listener
