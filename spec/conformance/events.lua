-- The cases of kind `events`: what listeners and output functions are told, and what print writes. The form of a
-- case is recognised by the fields of its expectation.

local compare = require "spec.conformance.compare"
local shell = require "spec.support.shell"
local streams = require "spec.conformance.streams"
local tempdir = require "spec.support.tempdir"

local events = {}

local setup = { partitions = 2, master = "local[2]" }

-- Runs the case's pipeline with `also(ssc, stream)`, and a listener that notes every event: { name, info as it was
-- }.
local function run_with_listener(case, also)
    local noted = {}
    local result, missing = streams.run(case, setup, function(ssc, stream)
        local listener = {}
        for _, name in ipairs({ "onBatchSubmitted", "onBatchStarted", "onBatchCompleted", "onOutputOperationStarted",
            "onOutputOperationCompleted" }) do
            listener[name] = function(info)
                local copy = {}
                for field, value in pairs(info) do
                    copy[field] = value
                end
                noted[#noted + 1] = { name = name, info = copy }
            end
        end
        ssc:addStreamingListener(listener)
        if also then
            also(ssc, stream)
        end
    end)
    return noted, result, missing
end

local function named(noted, name)
    local list = {}
    for _, event in ipairs(noted) do
        if event.name == name then
            list[#list + 1] = event.info
        end
    end
    return list
end

-- `null` = not set yet, ">=0" = a number that is not negative.
local function check_fields(info, fields)
    for field, wanted in pairs(fields or {}) do
        local value = info[field]
        local right
        if wanted == ">=0" then
            right = type(value) == "number" and value >= 0
        else
            right = value == nil
        end
        if not right then
            return string.format("%s is %s, expected %s", field, tostring(value), tostring(wanted))
        end
    end
    return nil
end

local function check_ascending(list, field)
    for index = 2, #list do
        if list[index][field] < list[index - 1][field] then
            return string.format("%s goes back at batch %d", field, index)
        end
    end
    return nil
end

local function check_inputs(expected, info)
    if info.numRecords ~= expected.numRecords_each then
        return string.format("%s records, expected %d", tostring(info.numRecords), expected.numRecords_each)
    end
    for id, count in pairs(expected.streamIdToInputInfo or {}) do
        local input = info.streamIdToInputInfo[tonumber(id)]
        if not input or input.numRecords ~= count then
            return string.format("input %s is not told with %d records", id, count)
        end
    end
    return nil
end

local function batch_infos(case)
    local expected = case.expected
    local noted, result, missing = run_with_listener(case)
    if missing then
        return "missing", missing .. " does not exist yet"
    elseif result.error then
        return "failed", tostring(result.error)
    end
    for _, phase in ipairs({ "submitted", "started", "completed" }) do
        local list = named(noted, "onBatch" .. phase:sub(1, 1):upper() .. phase:sub(2))
        if #list ~= expected[phase] then
            return "failed", string.format("%d batches %s, expected %d", #list, phase, expected[phase])
        end
        for _, info in ipairs(list) do
            if expected.streamIdToInputInfo and info.streamIdToInputInfo == nil then
                return "missing", "BatchInfo.streamIdToInputInfo (records of each input) does not exist yet"
            end
            local problem = check_fields(info, expected[phase .. "_fields"]) or check_inputs(expected, info)
            if problem then
                return "failed", phase .. ": " .. problem
            end
        end
    end
    for _, field in ipairs(expected.monotonic or {}) do
        local problem = check_ascending(named(noted, "onBatchCompleted"), field)
        if problem then
            return "failed", problem
        end
    end
    return "passed"
end

local function one_batch(also)
    return run_with_listener({ inputs = { { { 1 } } }, op = "map(ident)", batch_ms = 1000 }, also)
end

local function output_ids(case)
    local noted, result = one_batch(function(_, stream)
        -- One output observes the stream for the run itself.
        for _ = 2, case.outputs do
            stream:foreachRDD(function() end)
        end
    end)
    if result.error then
        return "failed", tostring(result.error)
    end
    for _, phase in ipairs({ "Started", "Completed" }) do
        local ids = {}
        for index, info in ipairs(named(noted, "onOutputOperation" .. phase)) do
            ids[index] = info.id
        end
        table.sort(ids)
        local wanted = compare.canonical(case.expected[phase:lower() .. "_op_ids"])
        if compare.canonical(ids) ~= wanted then
            return "failed", string.format("%s: expected %s, got %s", phase, wanted, compare.canonical(ids))
        end
    end
    return "passed"
end

-- By the number of the output: "contains 'text'", or null for one that succeeds.
local function failure_reasons(case)
    local expected = case.expected.failure_reasons_by_output_op
    local outputs = 0
    for id in pairs(expected) do
        outputs = math.max(outputs, tonumber(id) + 1)
    end
    local function message_of(id)
        local reason = expected[tostring(id)]
        return type(reason) == "string" and (reason:match("'(.-)'") or reason) or nil
    end
    local core = require "moontide.core"
    core.logLevel("off") -- with several failures, only the first is the error of the run
    local noted = one_batch(function(_, stream)
        for id = 0, math.max(outputs - 1, 0) do
            local message = message_of(id)
            stream:foreachRDD(function() return message and error(message) end)
        end
    end)
    core.logLevel("warn")
    if #named(noted, "onBatchCompleted") ~= 1 then
        return "failed", "onBatchCompleted was not told once for the batch"
    end
    for _, info in ipairs(named(noted, "onOutputOperationCompleted")) do
        local message, told = message_of(info.id), info.failureReason
        if message and not (told and told:find(message, 1, true)) or not message and told then
            return "failed", string.format("output %d: the failure reason should be %s: %s", info.id,
                message and "'" .. message .. "'" or "none", tostring(told))
        end
    end
    return "passed"
end

local function output_calls(case)
    local calls, elements = 0, 0
    local result = streams.run({ inputs = case.inputs, op = "map(ident)", batch_ms = case.batch_ms,
        num_batches = case.num_batches }, setup, function(_, stream)
        stream:foreachRDD(function(rdd)
            calls = calls + 1
            elements = elements + rdd:count()
        end)
    end)
    if result.error then
        return "failed", tostring(result.error)
    elseif calls ~= case.expected.foreachRDD_calls or elements ~= case.expected.elements_seen then
        return "failed", string.format("%d calls with %d elements", calls, elements)
    end
    return "passed"
end

-- What print writes. The name of a batch is the end of its interval, so with that interval the first batch has that
-- name.
local function printed_lines(case)
    local records, pairs_in = {}, false
    for index, element in ipairs(case.elements) do
        local key, value = tostring(element):match("^%((.*),(.*)%)$")
        if key then
            records[index] = string.format("{%q, %s}", key, tonumber(value) or string.format("%q", value))
        else
            records[index] = type(element) == "number" and tostring(element) or string.format("%q", element)
        end
        pairs_in = pairs_in or key ~= nil
    end
    local dir = tempdir.new()
    local script = dir:write("print.lua", string.format([[
        require("moontide.testing").run {
            batch = %.0f, batches = 1, inputs = { { { %s } } }, pairs = { %s }, partitions = 1, master = "local[1]",
            build = function(_, stream) stream:print(%s) return stream end,
        }]], case.batch_time_ms, table.concat(records, ", "), tostring(pairs_in), tostring(case.num or "")))
    local result = shell.moontide({ "run", script })
    dir:remove()
    local wanted = table.concat(case.expected_lines, "\n") .. "\n"
    if result.code ~= 0 or result.out ~= wanted then
        return "failed", string.format("expected %q, got %q %s", wanted, result.out, result.err)
    end
    return "passed"
end

-- A context is stopped in its second batch: nothing is told of what would come after.
local function after_stop()
    local engine = require "spec.support.engine"
    local ssc, told = engine.streaming(1000), 0
    local function tell()
        told = told + 1
    end
    ssc:addStreamingListener { onStreamingStarted = tell, onBatchSubmitted = tell, onBatchStarted = tell,
        onBatchCompleted = tell, onOutputOperationStarted = tell, onOutputOperationCompleted = tell,
        onReceiverStarted = tell, onReceiverError = tell, onReceiverStopped = tell }
    ssc:queueStream({ { 1 }, { 2 } }):foreachRDD(function() end)
    ssc:start()
    engine.advance(ssc)
    ssc:stop(false, false)
    local at_stop = told
    pcall(ssc.awaitTerminationOrTimeout, ssc, 50)
    ssc.sc:parallelize({ 1 }):count() -- turns the loop
    ssc.sc:stop()
    if at_stop == 0 or told ~= at_stop then
        return "failed", string.format("%d events before the stop, %d after it", at_stop, told - at_stop)
    end
    return "passed"
end

-- What a progress display makes of the events of one batch.
local function progress(case)
    local inputs, seen = {}, {}
    for id, count in pairs(case.input_info) do
        inputs[tonumber(id) + 1] = { {} }
        for index = 1, count do
            inputs[tonumber(id) + 1][1][index] = index
        end
    end
    local now = { waiting = 0, running = 0, completed = 0, unprocessed = 0, totalCompleted = 0, totalReceivedRecords = 0,
        totalProcessedRecords = 0 }
    local function note(event, changes)
        for field, change in pairs(changes) do
            now[field] = now[field] + change
        end
        local copy = { event = event }
        for field, value in pairs(now) do
            copy[field] = value
        end
        seen[#seen + 1] = copy
    end
    local result = require("moontide.testing").run {
        inputs = inputs,
        build = function(ssc, a, b)
            ssc:addStreamingListener {
                onBatchSubmitted = function() note("submitted", { waiting = 1, unprocessed = 1 }) end,
                onBatchStarted = function(info)
                    note("started", { waiting = -1, running = 1, totalReceivedRecords = info.numRecords })
                end,
                onBatchCompleted = function(info)
                    note("completed", { running = -1, completed = 1, unprocessed = -1, totalCompleted = 1,
                        totalProcessedRecords = info.numRecords })
                end,
            }
            return a:union(b)
        end,
    }
    if result.error then
        return "failed", tostring(result.error)
    end
    for index, wanted in ipairs(case.expected) do
        for field, value in pairs(wanted) do
            if (seen[index] or {})[field] ~= value then
                return "failed", string.format("event %d: %s is %s, expected %s", index, field,
                    tostring((seen[index] or {})[field]), tostring(value))
            end
        end
    end
    return "passed"
end

-- The function fails in one batch only. With onError = "skip", which is Spark's way, the others run on; with "stop", the
-- default here, the error surfaces in awaitTermination.
local function failing_batch(case)
    local failing = case.expected.awaitTermination:match("batch[%- ](%d+)") or "1"
    local bad = case.inputs[1][tonumber(failing)][1]
    local function build(_, stream)
        return stream:map(function(x)
            if x == bad then
                error("this batch fails")
            end
            return x
        end)
    end
    local testing = require "moontide.testing"
    local core = require "moontide.core"
    core.logLevel("off")
    local result = testing.run { batch = case.batch_ms, inputs = case.inputs, build = build, conf = { onError = "skip" } }
    core.logLevel("warn")
    local collected = {}
    for _, batch in ipairs(result.batches) do
        collected[#collected + 1] = #batch.records > 0 and batch.records or nil
    end
    local wanted = case.expected.collected_nonempty_batches
    local difference = wanted and compare.batches(wanted, collected, { ordered = true })
    if difference then
        return "failed", difference
    end
    result = testing.run { batch = case.batch_ms, inputs = case.inputs, build = build }
    if not result.error or not tostring(result.error):find("this batch fails", 1, true)
            or result.error.time ~= tonumber(failing) * case.batch_ms then
        return "failed", "the error of batch " .. failing .. " did not surface: " .. tostring(result.error)
    end
    return "passed"
end

local function silent_batches(case)
    local expected = case.expected
    local with, without = {}, {}
    for _, batch in ipairs(expected.batches_with_events) do with[batch] = true end
    for _, batch in ipairs(expected.batches_without_any_event) do without[batch] = true end
    local noted, result, missing = run_with_listener({ inputs = { {} }, batch_ms = case.batch_ms, num_batches = 6,
        op = case.op:match("^(%S+)") })
    if missing then
        return "missing", missing .. " does not exist yet"
    elseif result.error then
        return "failed", tostring(result.error)
    end
    local told = {}
    for _, event in ipairs(noted) do
        told[event.info.batchTime / case.batch_ms] = true
    end
    for batch = 1, 6 do
        if (with[batch] and not told[batch]) or (without[batch] and told[batch]) then
            return "failed", string.format("batch %d has %s", batch, told[batch] and "events" or "no events")
        end
    end
    return "passed"
end

--- Runs a case of kind `events`.
---@param case table
---@return "passed"|"failed"|"missing" status
---@return string? reason
function events.run(case)
    local expected = case.expected or {}
    if case.expected_lines then
        return printed_lines(case)
    elseif expected.numRecords_each then
        return batch_infos(case)
    elseif expected.started_op_ids then
        return output_ids(case)
    elseif expected.failure_reasons_by_output_op then
        return failure_reasons(case)
    elseif expected.foreachRDD_calls then
        return output_calls(case)
    elseif expected.collected_nonempty_batches or expected.awaitTermination and case.inputs then
        return failing_batch(case)
    elseif expected.batches_with_events then
        return silent_batches(case)
    elseif case.input_info then
        return progress(case)
    elseif expected[1] == "no callbacks after stop" then
        return after_stop()
    end
    return "missing", "the runner does not read this form of the kind 'events' yet"
end

return events
