-- Runs the pipeline of a case through moontide.testing: one engine per run, on a manual clock.

local build = require "spec.conformance.build"
local cases = require "spec.conformance.cases"
local pipeline = require "spec.conformance.pipeline"

local streams = {}

local default_partitions = 2

local function convert_batches(batches, library, testing)
    local converted = {}
    for index, batch in ipairs(batches) do
        if batch == cases.null then
            converted[index] = testing.NONE
        else
            local records = {}
            for position = 1, #batch do
                records[position] = cases.record(batch[position], library)
            end
            converted[index] = records
        end
    end
    return converted
end

-- An input without any element holds what the others hold.
local function pairs_of_inputs(inputs)
    local holds, any = {}, false
    for index, batches in ipairs(inputs) do
        holds[index] = cases.holds_pairs(batches)
        any = any or holds[index] or false
    end
    for index = 1, #inputs do
        if holds[index] == nil then
            holds[index] = any
        end
    end
    return holds
end

local function queue_stream(context, batches, holds_pairs)
    local sc, list = context.ssc.sc, {}
    for index, records in ipairs(batches) do
        local method = holds_pairs and "parallelizePairs" or "parallelize"
        list[index] = build.call(sc, "Context", method, records, context.partitions)
    end
    return build.call(context.ssc, "StreamingContext", "queueStream", list)
end

--- Runs a case once.
---@param case table with `inputs`, `op`, `batch_ms` and perhaps `op_detail`
---@param setup { partitions: integer, master: string }
---@param also? fun(ssc: table, stream: table) called when the pipeline has been built
---@return table result of testing.run; `error` is set when the run failed in any way
---@return string? missing feature the case needs and that does not exist
function streams.run(case, setup, also)
    local library = require "moontide"
    local testing = require "moontide.testing"
    local detail = case.op_detail or {}
    local steps = pipeline.parse(case.op)
    local inputs, longest = {}, 0
    for index, batches in ipairs(case.inputs) do
        inputs[index] = convert_batches(batches, library, testing)
        longest = math.max(longest, #batches)
    end

    local context = {
        library = library,
        batch = case.batch_ms,
        detail = detail,
        partitions = setup.partitions,
        pairs_of = pairs_of_inputs(case.inputs),
    }
    local queued = detail.source == "queue"

    local function build_streams(ssc, ...)
        context.ssc = ssc
        context.inputs = { ... }
        if queued then
            for index, batches in ipairs(inputs) do
                context.inputs[index] = queue_stream(context, batches, context.pairs_of[index])
            end
        end
        local stream = build.apply(context, context.inputs[1], context.pairs_of[1], steps)
        if also then
            also(ssc, stream)
        end
        if case.expected_state then
            return stream, context.snapshots
        end
        return stream
    end

    local settings = {
        batch = case.batch_ms,
        batches = detail.num_batches or case.num_batches or longest,
        inputs = queued and {} or inputs,
        pairs = queued and {} or context.pairs_of,
        partitions = setup.partitions,
        master = setup.master,
        restartAfter = detail.restart_after_batch,
        build = function(...)
            local built = { pcall(build_streams, ...) }
            if not built[1] then
                context.build_error = context.build_error or built[2]
                error(built[2], 0)
            end
            return unpack(built, 2, 3)
        end,
    }
    local ok, result = pcall(testing.run, settings)
    if not ok then
        result = { batches = {}, error = result }
    end
    local missing = context.problem or build.missing(context.build_error)
    result.error = context.build_error or result.error
    return result, missing
end

--- The set-ups a case is run with: 1, 2 and 4 partitions and its own number, each with one and with two workers.
--- Where the result depends on how the input is cut, only its own number.
---@param case table
---@return { partitions: integer, master: string }[]
function streams.setups(case)
    local own = (case.op_detail or {}).input_partitions or default_partitions
    local counts = { own }
    if not build.depends_on_partitions(pipeline.parse(case.op)) then
        for _, count in ipairs({ 1, 2, 4 }) do
            if count ~= own then
                counts[#counts + 1] = count
            end
        end
    end
    local setups = {}
    for _, count in ipairs(counts) do
        for _, master in ipairs({ "local[1]", "local[2]" }) do
            setups[#setups + 1] = { partitions = count, master = master, own = count == own }
        end
    end
    return setups
end

return streams
