-- What is done with a case, by its kind. Each function returns "passed", "failed" or "missing", and why.
--
-- A kind without a function here is missing as a whole. A case is missing when it asks for a feature that the
-- library does not have yet; that is found out by asking the library.

local batch_grid = require "spec.support.batch_grid"
local arithmetic = require "spec.conformance.arithmetic"
local behaviours = require "spec.conformance.behaviours"
local compare = require "spec.conformance.compare"
local events = require "spec.conformance.events"
local file_streams = require "spec.conformance.file_streams"
local kept = require "spec.conformance.kept"
local pipeline = require "spec.conformance.pipeline"
local situations = require "spec.conformance.situations"
local sources = require "spec.conformance.sources"
local states = require "spec.conformance.states"
local streams = require "spec.conformance.streams"

local kinds = {}

local function records_of(batches, nonempty)
    local list = {}
    for _, batch in ipairs(batches or {}) do
        if not nonempty or #batch.records > 0 then
            list[#list + 1] = batch.records
        end
    end
    return list
end

local function chooses_partitions(case)
    for _, step in ipairs(pipeline.parse(case.op)) do
        if step.name == "repartition" or step.name == "partitionBy" then
            return true
        end
    end
    return false
end

local function check_partitions(case, result, setup)
    local wanted = (case.op_detail or {}).expected_partitions
    if not wanted or not (setup.own or chooses_partitions(case)) then
        return nil
    end
    for index, batch in ipairs(result.batches) do
        if #batch.partitions ~= wanted then
            return string.format("output %d: expected %d partitions, got %d", index, wanted, #batch.partitions)
        end
    end
    return nil
end

local function check_table(case, result, setup)
    if result.error then
        return tostring(result.error)
    end
    local detail = case.op_detail or {}
    local options = { ordered = case.ordered, group_values_unordered = detail.group_values_unordered }
    local actual = records_of(result.batches, detail.collect == "nonempty")
    local difference = compare.batches(case.expected, actual, options) or check_partitions(case, result, setup)
    if not difference and case.expected_state then
        difference = compare.batches(case.expected_state, records_of(result.second), { ordered = false })
        difference = difference and "state: " .. difference
    end
    return difference
end

function kinds.table(case)
    compare.explicit_null = require("moontide").null
    for _, setup in ipairs(streams.setups(case)) do
        local result, missing = streams.run(case, setup)
        if missing then
            return "missing", missing .. " does not exist yet"
        end
        local difference = check_table(case, result, setup)
        if difference then
            return "failed", string.format("%s, %d partitions: %s", setup.master, setup.partitions, difference)
        end
    end
    return "passed"
end

local function can_recover()
    local constructor, asked = require("moontide").StreamingContext, false
    pcall(function()
        constructor.getOrCreate(os.tmpname() .. ".none", function()
            asked = true
            error("asked", 0)
        end)
    end)
    return asked
end

-- The run is broken off after a batch, and goes on from the checkpoint; all batches together are the uninterrupted
-- result.
function kinds.recovery(case)
    if not can_recover() then
        return "missing", "StreamingContext.getOrCreate (recovery from a checkpoint) does not exist yet"
    end
    return kinds.table(case)
end

local grid_names = { ["until"] = "until_" }

function kinds.time(case)
    local fn = batch_grid[grid_names[case.fn] or case.fn]
    if not fn then
        return "missing", "batch_grid." .. case.fn .. " does not exist yet"
    end
    local wanted, got = compare.canonical(case.expected), compare.canonical(fn(unpack(case.args)))
    if wanted ~= got then
        return "failed", "expected " .. wanted .. ", got " .. got
    end
    return "passed"
end

-- A clock moved by hand, on a streaming context whose batches are the ticks. The first batch comes strictly after
-- the start, a tick of Spark's timer at its start time itself: so the clock starts one millisecond earlier, on a
-- later day.
local function run_ticks(case)
    local fired, day = {}, 86400000
    local clock = situations.manual_clock(case.period_ms, day + case.start_ms - 1, function(time)
        fired[#fired + 1] = time - day
    end)
    local problem
    clock.advance(1)
    for index, step in ipairs(case.steps) do
        clock.advance(step.advance or 0)
        if step.stop then
            clock.stop()
        end
        local wanted = step.fired and compare.canonical(step.fired) or compare.canonical(step.returns)
        local got = step.fired and compare.canonical(fired) or compare.canonical(fired[#fired])
        if wanted ~= got and not problem then
            problem = string.format("step %d: expected %s, got %s", index, wanted, got)
        end
    end
    clock.stop()
    if problem then
        return "failed", problem
    end
    return "passed"
end

function kinds.timer(case)
    if case.steps then
        return run_ticks(case)
    end
    local fn = batch_grid[case.fn]
    if not fn then
        return "missing", "batch_grid." .. tostring(case.fn) .. " does not exist yet"
    end
    local got = fn(unpack(case.args))
    if case.fn == "start_time" then
        -- The same question to a real context, on a clock that starts at that time.
        local period = case.args[2]
        got = { first_batch_ms = got, zero_time_ms = got - period }
        local seen
        local clock = situations.manual_clock(period, case.args[1], function(time) seen = seen or time end)
        clock.advance(period)
        clock.stop()
        if seen ~= got.first_batch_ms then
            return "failed", "the first batch of a context came at " .. tostring(seen)
        end
    end
    local wanted, shown = compare.canonical(case.expected), compare.canonical(got)
    if wanted ~= shown then
        return "failed", "expected " .. wanted .. ", got " .. shown
    end
    return "passed"
end

kinds.format = arithmetic.format
kinds.pid = arithmetic.pid
kinds.state_record = states.state_record
kinds.state_rdd = states.state_rdd

function kinds.property(case)
    if case.estimator then
        return arithmetic.pid_property(case)
    elseif type(case.generator) == "string" and case.generator:find("ops per set", 1, true) then
        return states.map_property(case)
    end
    return "missing", "the runner does not read this form of the kind 'property' yet"
end

-- An error case with a pipeline: the run has to fail in the batch that `when` names, after the outputs before it.
local function failing_pipeline(case)
    local setup = { partitions = 2, master = "local[2]" }
    local result, missing = streams.run(case, setup)
    if missing then
        return "missing", missing .. " does not exist yet"
    end
    if case.expected then -- a difference on purpose: it does not fail
        local difference = check_table(case, result, setup)
        if difference then
            return "failed", difference
        end
        return "passed"
    end
    local batch = tonumber(case.when:match("batch (%d+)"))
    if not result.error then
        return "failed", "expected " .. case.error .. " in batch " .. tostring(batch) .. ", but the run went well"
    end
    local before = #result.batches
    if batch and before ~= batch - 1 then
        return "failed", string.format("expected %d outputs before the error, got %d; the error: %s", batch - 1,
            before, tostring(result.error))
    end
    return situations.check_message(case, tostring(result.error))
end

function kinds.error(case)
    compare.explicit_null = require("moontide").null
    if case.inputs and case.op then
        return failing_pipeline(case)
    end
    return situations.run(case)
end

function kinds.events(case)
    compare.explicit_null = require("moontide").null
    return events.run(case)
end

function kinds.source(case)
    return sources.run(case)
end

function kinds.file_select(case)
    return file_streams.select(case)
end

function kinds.behaviour(case)
    return behaviours.run(case)
end

for name, kind in pairs(kept) do
    kinds[name] = kind
end

return kinds
