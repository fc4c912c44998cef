-- The cases about what streams keep: kinds interval, retention, slice, persistence and state_api. They look at the core's
-- streams under the public handles, because no public method tells these things.

local build = require "spec.conformance.build"
local compare = require "spec.conformance.compare"
local pipeline = require "spec.conformance.pipeline"
local situations = require "spec.conformance.situations"

local kept = {}

local function library()
    return require "moontide"
end

local function identity(x)
    return x
end

local function add(a, b)
    return a + b
end

local function subtract(a, b)
    return a - b
end

local function differs(what, wanted, got)
    if wanted ~= got then
        return string.format("%s: expected %s, got %s", what, tostring(wanted), tostring(got))
    end
end

-- A context on a manual clock that starts at 0, `define`d and started, for `use(ssc, advance)`.
local function with_context(batch, define, use)
    local checkpoint = require "moontide.driver.checkpoint"
    local directory = assert(checkpoint.temporary())
    local ssc
    local clock = situations.manual_clock(batch, 0, function() end, function(made)
        ssc = made
        ssc:checkpoint(directory)
        return define(ssc)
    end)
    local ok, result = pcall(use, ssc, clock.advance)
    clock.stop()
    checkpoint.remove(directory)
    if not ok then
        error(result, 0)
    end
    return result
end

local function pairs_of(ssc)
    return ssc:queueStream({}):map(function(x) return x, 1 end)
end

-- interval ---------------------------------------------------------------------------------------------------------

local function mapping_intervals(case)
    local null = require("spec.conformance.cases").null
    local mapped, state
    return with_context(case.batch_ms, function(ssc)
        mapped = pairs_of(ssc):mapWithState(library().StateSpec.func(identity))
        state = ssc.scope.kept[mapped.node:id()]
        if case.explicit_checkpoint_ms ~= null and case.explicit_checkpoint_ms then
            mapped:checkpoint(case.explicit_checkpoint_ms)
        end
        return mapped
    end, function()
        return differs("state", case.expected.internal_state_stream_checkpoint_ms, state:checkpoint())
            or differs("mapped", nil, mapped.node:checkpoint())
    end)
end

local function default_intervals(case)
    local streams = {}
    return with_context(case.slide_ms, function(ssc)
        local stream = pairs_of(ssc)
        streams.updateStateByKey = stream:updateStateByKey(function(values) return #values end)
        streams.map = stream:map(identity)
        streams.reduceByKeyAndWindow = stream:reduceByKeyAndWindow(add, subtract, 2 * case.slide_ms)
        streams.map:print()
        streams.updateStateByKey:print()
        return streams.reduceByKeyAndWindow
    end, function(ssc)
        local window = ssc.scope.kept[streams.reduceByKeyAndWindow.node:id()]
        return differs("updateStateByKey", case.expected.checkpoint_ms, streams.updateStateByKey.node:checkpoint())
            or differs("inverse window", case.expected.checkpoint_ms, window:checkpoint())
            or differs("map", nil, streams.map.node:checkpoint())
    end)
end

function kept.interval(case)
    local difference
    if case.slide_ms then
        difference = default_intervals(case)
    elseif case.min_remember_ms then
        local remembered = require("spec.support.batch_grid").ceil(case.min_remember_ms, case.batch_ms)
        difference = differs("remembers", case.expected.remember_ms, remembered)
            or differs("batches", case.expected.batches, remembered / case.batch_ms)
    else
        difference = mapping_intervals(case)
    end
    if difference then
        return "failed", difference
    end
    return "passed"
end

-- retention --------------------------------------------------------------------------------------------------------

-- Pipes a queue of the case's input through its steps one by one; the streams in the order of the steps.
local function stepwise(case, ssc)
    local context = { ssc = ssc, library = library(), batch = case.batch_ms, detail = {}, partitions = 2, pairs_of = { false } }
    local list = {}
    for index, records in ipairs(case.inputs[1]) do
        list[index] = records
    end
    local stream, holds_pairs = ssc:queueStream(list), false
    local input, streams = stream, {}
    for index, step in ipairs(pipeline.parse(case.op)) do
        stream, holds_pairs = build.apply(context, stream, holds_pairs, { step })
        streams[index] = stream
    end
    return streams, input
end

local function check_retention(case, names, streams)
    local expected = case.expected
    for name, stream in pairs(names) do
        local node = streams[stream].node
        local difference = differs(name .. " remembers", expected.remember_ms[name], node:remember())
        for _, time in ipairs((expected.datasets_present or {})[name] or {}) do
            difference = difference or differs(name .. " at " .. time, true, node:dataset(time) ~= nil)
        end
        for _, time in ipairs((expected.datasets_absent or {})[name] or {}) do
            difference = difference or differs(name .. " at " .. time, false, node:dataset(time) ~= nil)
        end
        if difference then
            return difference
        end
    end
end

-- "mapped" is the step that maps, "state" the one with state, "window2(4s,2s)" the second window, "input" the input; others are
-- taken in the order of the steps.
local function names_of_steps(case)
    local names, windows, maps, states = {}, {}, {}, {}
    for index, step in ipairs(pipeline.parse(case.op)) do
        local list = step.name:find("[Ww]indow$") and windows or step.name:find("State") and states
            or step.name ~= "checkpoint" and maps or {}
        list[#list + 1] = index
    end
    for name in pairs(case.expected.remember_ms) do
        local list = name:find("^window") and windows or name:find("^state") and states or maps
        names[name] = name == "input" and 0 or list[tonumber(name:match("^%a+(%d+)")) or #list] or #pipeline.parse(case.op)
    end
    return names
end

local function retention_of_windows(case)
    local streams
    local names = names_of_steps(case)
    return with_context(case.batch_ms, function(ssc)
        if case.context_remember_ms then
            ssc:remember(case.context_remember_ms)
        end
        local input
        streams, input = stepwise(case, ssc)
        streams[0] = input
        if case.checkpoint_ms then
            streams[#streams]:checkpoint(case.checkpoint_ms)
        end
        return streams[#streams]
    end, function(_, advance)
        for _ = 1, case.num_batches do
            advance(case.batch_ms)
        end
        return check_retention(case, names, streams)
    end)
end

-- Whatever the source is: the first batch's datasets are let go of when the last one is done, although the script still holds
-- the persisted one.
local function retention_of_inputs(case)
    local persisted, input = nil, nil
    local datasets = {}
    return with_context(case.batch_ms, function(ssc)
        local list = {}
        for index, records in ipairs(case.inputs[1]) do
            list[index] = records
        end
        input = ssc:queueStream(list)
        persisted = input:map(function(x) return x .. "." end):persist()
        persisted:foreachRDD(function(rdd, time)
            datasets[time] = rdd
            rdd:count()
        end)
        return persisted
    end, function(_, advance)
        for _ = 1, case.num_batches do
            advance(case.batch_ms)
        end
        local last, first = case.num_batches * case.batch_ms, case.batch_ms
        local level, at_hand = datasets[last].node:storage()
        local none = datasets[first].node:storage()
        return differs("the latest one's level", 1, level) or differs("the latest one is computed", true, at_hand)
            or differs("the earliest one's level", 0, none)
            or differs("the latest input is there", true, input.node:dataset(last) ~= nil)
            or differs("the earliest input is there", false, input.node:dataset(first) ~= nil)
    end)
end

function kept.retention(case)
    local difference
    if case.expected.remember_ms then
        difference = retention_of_windows(case)
    elseif case.expected.latest_persisted then
        difference = retention_of_inputs(case)
    else
        return "missing", "the journal of received data does not exist yet"
    end
    if difference then
        return "failed", difference
    end
    return "passed"
end

-- slice ------------------------------------------------------------------------------------------------------------

function kept.slice(case)
    local stream
    local difference = with_context(case.batch_ms, function(ssc)
        ssc:remember(10 * case.batch_ms)
        local list = {}
        for index, records in ipairs(case.inputs[1]) do
            list[index] = records
        end
        stream = ssc:queueStream(list)
        return stream
    end, function(_, advance)
        advance(case.batch_ms)
        advance(case.batch_ms)
        for _, query in ipairs(case.queries) do
            local records = {}
            for _, rdd in ipairs(stream:slice(query.from_ms, query.to_ms)) do
                for _, record in ipairs(rdd:collect()) do
                    records[#records + 1] = record
                end
            end
            table.sort(records)
            local problem = differs(query.from_ms .. " to " .. query.to_ms, compare.canonical(query.elements),
                compare.canonical(records))
            if problem then
                return problem
            end
        end
    end)
    if difference then
        return "failed", difference
    end
    return "passed"
end

-- persistence ------------------------------------------------------------------------------------------------------

function kept.persistence(case)
    local levels, level_of = library().StorageLevel, require("moontide.wire.storage_bits").level
    local ssc = library().StreamingContext("local[1]", "conformance", case.batch_ms)
    local ok, difference = pcall(function()
        local stream = ssc:queueStream({})
        local windowed = stream:window(2 * case.batch_ms)
        local function check(what, expected)
            return differs(what .. ", input", expected.input, level_of(stream.node:level()).name)
                or differs(what .. ", window", expected.windowed, level_of(windowed.node:level()).name)
        end
        local first = check("after window", case.expected.after_window)
        windowed:persist(levels.MEMORY_ONLY)
        return first or check("after persist", case.expected.after_persist_on_windowed)
    end)
    ssc:stop(true, false)
    if not ok or difference then
        return "failed", difference
    end
    return "passed"
end

-- state_api --------------------------------------------------------------------------------------------------------

local function fails(state, method, ...)
    return not pcall(state[method], state, ...)
end

local getters = {
    exists = function(state) return state:exists() end,
    getOption = function(state) return state:getOption() end,
    updated = function(state) return state.updated end,
    removed = function(state) return state.removed end,
    timingOut = function(state) return state:isTimingOut() end,
}

local function check_state(step, state)
    local null = require("spec.conformance.cases").null
    for name, wanted in pairs(step.expect) do
        local method, argument = name:match("^(%w+)%((.-)%)$")
        local difference
        if method then
            difference = differs(name .. " fails", true, fails(state, method, tonumber(argument)))
        elseif name == "get" and type(wanted) == "string" then
            difference = differs("get fails", true, fails(state, "get"))
        elseif name == "get" then
            difference = differs("get", wanted, state:get())
        else
            if wanted == null then
                wanted = nil
            end
            difference = differs(name, wanted, getters[name](state))
        end
        if difference then
            return step["do"] .. ": " .. difference
        end
    end
end

function kept.state_api(case)
    local states = require "moontide.worker.state"
    local state = states.new(false)
    for _, step in ipairs(case.steps) do
        for action in step["do"]:gmatch("[^;%s]+") do
            local name, argument = action:match("^(%w+)%(?(.-)%)?$")
            local value = tonumber(argument)
            if name == "new" then
                state = states.new(false)
            elseif name == "wrap" then
                state = states.new(value ~= nil, value)
            elseif name == "wrapTimingOut" then
                state = states.new(true, value, true)
            else
                state[name](state, value)
            end
        end
        local difference = check_state(step, state)
        if difference then
            return "failed", difference
        end
    end
    return "passed"
end

return kept
