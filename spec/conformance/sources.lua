-- The cases of kind `source`: what a source gives to its batches.

local build = require "spec.conformance.build"
local compare = require "spec.conformance.compare"
local file_streams = require "spec.conformance.file_streams"
local line_server = require "spec.support.line_server"
local situations = require "spec.conformance.situations"

local sources = {}

local forms = {}

-- Lines over a real connection. How they are spread over batches is not looked at.
function forms.socketTextStream(case)
    local server = line_server.listen()
    local ssc = require("moontide").StreamingContext("local[2]", "conformance", case.batch_ms or 50)
    local seen, received, processed = {}, 0, 0
    ssc:socketTextStream("127.0.0.1", server.port):foreachRDD(function(rdd)
        for _, line in ipairs(rdd:collect()) do
            seen[#seen + 1] = line
        end
    end)
    ssc:addStreamingListener {
        onBatchStarted = function(info) received = received + info.numRecords end,
        onBatchCompleted = function(info) processed = processed + info.numRecords end,
    }
    ssc:start()
    server:accept():send(table.concat(case.sent_lines, "\n") .. "\n")
    for _ = 1, 500 do
        if ssc:awaitTerminationOrTimeout(10) or processed >= #case.sent_lines then
            break
        end
    end
    ssc:stop()
    server:close()
    local got = { flattened_in_order = seen, received_records = received, processed_records = processed }
    return compare.canonical(case.expected), compare.canonical(got)
end

-- Items are put into the queue before each tick.
function forms.queueStream(case)
    local seen, stream = {}, nil
    local one_at_a_time = not case.source:find("oneAtATime=false", 1, true)
    local clock = situations.manual_clock(case.batch_ms, 0, function(_, rdd)
        local records = rdd:collect()
        if #records > 0 then
            seen[#seen + 1] = records
        end
    end, function(ssc)
        stream = ssc:queueStream({}, one_at_a_time)
        return stream
    end)
    local next_item = 1
    for _, count in ipairs(case.enqueue_per_tick) do
        for _ = 1, count do
            stream:push({ case.items[next_item] })
            next_item = next_item + 1
        end
        clock.advance(case.batch_ms)
    end
    clock.stop()
    return compare.canonical(case.expected.nonempty_batches), compare.canonical(seen)
end

--- Runs a case of kind `source`.
---@param case table
---@return "passed"|"failed"|"missing" status
---@return string? reason
function sources.run(case)
    local method = case.source:match("^%w+")
    if method:find("[fF]ileStream$") or method == "binaryRecordsStream" then
        return file_streams.run(case)
    end
    if not forms[method] then
        local ssc = require("moontide").StreamingContext("local[1]", "conformance", 1000)
        local exists = build.has(ssc, method)
        ssc:stop()
        return "missing", exists and "the runner does not read this form of the kind 'source' yet"
            or "StreamingContext:" .. method .. " does not exist yet"
    end
    local wanted, got = forms[method](case)
    if wanted ~= got then
        return "failed", "expected " .. wanted .. ", got " .. got
    end
    return "passed"
end

return sources
