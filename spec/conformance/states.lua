-- The cases about what mapWithState keeps for its keys (kinds state_record and state_rdd, and the property of Spark's state
-- map): run as streams, with a look at the times of the last updates.

local cases = require "spec.conformance.cases"
local compare = require "spec.conformance.compare"
local operators = require "moontide.operators"

local states = {}

local setups = {}
for _, partitions in ipairs({ 1, 2, 4 }) do
    for _, master in ipairs({ "local[1]", "local[2]" }) do
        setups[#setups + 1] = { partitions = partitions, master = master }
    end
end

-- Runs `batches` of pairs through a mapWithState. The result has for each batch what the function returned, and the states as
-- { key, state, time of the last update }.
local function run(batches, fn, options, setup)
    local moontide = require "moontide"
    local spec = moontide.StateSpec.func(fn):numPartitions(setup.partitions)
    if options.timeout then
        spec = spec:timeout(options.timeout)
    end
    local result = moontide.testing.run {
        batch = options.batch, inputs = { batches }, pairs = { true }, partitions = setup.partitions, master = setup.master,
        batches = #batches,
        build = function(ssc, stream)
            if options.initial then
                spec = spec:initialState(ssc.sc:parallelizePairs(options.initial, 3))
            end
            local mapped = stream:mapWithState(spec)
            local kept = ssc.scope.kept[mapped.node:id()]
            return mapped, ssc.scope.wrap(kept:view(operators.descriptor("pickState", "states", "spec", { stamped = true }), true))
        end,
    }
    if result.error then
        error(result.error.message, 0)
    end
    local seen = {}
    for index, batch in ipairs(result.batches) do
        local kept = {}
        for _, record in ipairs(result.second[index].records) do
            kept[#kept + 1] = { record[1], record[2][2], record[2][1] }
        end
        seen[index] = { mapped = batch.records, states = kept }
    end
    return seen
end

local unordered = { ordered = false }

local function differs(what, wanted, got)
    wanted, got = compare.records(wanted, unordered), compare.records(got, unordered)
    if wanted ~= got then
        return string.format("%s: expected %s, got %s", what, wanted, got)
    end
end

local function in_all_setups(check)
    for _, setup in ipairs(setups) do
        local difference = check(setup)
        if difference then
            return "failed", string.format("%s, %d partitions: %s", setup.master, setup.partitions, difference)
        end
    end
    return "passed"
end

-- What the script's function is told to do with its key: { "set", state } or one of the case's words. What it returns is tagged.
local function instructed(_, instruction, state)
    if state:isTimingOut() then
        return { "timing out", state:get() }
    elseif type(instruction) == "table" then
        state:update(instruction[2])
    elseif instruction == "get-state" then
        return { "output", state:getOption() or -1 }
    elseif instruction == "update-state" then
        state:update(state:exists() and state:get() + 1 or 0)
    elseif instruction == "remove-state" then
        local removed = state:get()
        state:remove()
        return { "removed", removed }
    end
    return nil
end

--- One key: the state it has, what comes, and what is left.
function states.state_record(case)
    local expected = case.expected
    local threshold = case.timeout_threshold_ms ~= cases.null and case.timeout_threshold_ms or nil
    local timeout
    if threshold then -- without a full scan nothing is timed out yet: that is far away
        timeout = case.full_scan and case.batch_time_ms - threshold or 100 * case.batch_time_ms
    end
    local initial = case.initial_state[1]
    local batch = initial and math.min(initial[2], case.batch_time_ms) or case.batch_time_ms
    local batches = {}
    for index = 1, case.batch_time_ms / batch do
        batches[index] = {}
    end
    if initial then
        batches[initial[2] / batch][1] = { "key", { "set", initial[1] } }
    end
    for _, word in ipairs(case.data) do
        table.insert(batches[#batches], { "key", word })
    end
    return in_all_setups(function(setup)
        local last = run(batches, instructed, { batch = batch, timeout = timeout }, setup)[#batches]
        local got = { output = {}, ["timing out"] = {}, removed = {} }
        for _, tagged in ipairs(last.mapped) do
            table.insert(got[tagged[1]], tagged[2])
        end
        local left = {}
        for index, state in ipairs(last.states) do
            left[index] = { state[2], state[3] }
        end
        return differs("states", expected.states, left) or differs("output", expected.output, got.output)
            or differs("timing out", expected.timing_out, got["timing out"])
            or differs("removed", expected.removed, got.removed)
    end)
end

local function counted(_, what, state)
    if type(what) == "table" then
        state:update(what[2])
        return nil
    elseif what == 1 then
        state:update(state:exists() and state:get() + 1 or 0)
    elseif what == 2 and state:exists() then
        state:remove()
    end
    return "called"
end

local function from_initial(case)
    local initial = {}
    for index, pair in ipairs(case.initial) do
        initial[index] = { pair.k, pair.v }
    end
    return in_all_setups(function(setup)
        setup = { partitions = case.partitions or setup.partitions, master = setup.master }
        return differs("states", case.expected, run({ {} }, counted, { batch = case.time_ms, initial = initial }, setup)[1].states)
    end)
end

--- A whole state: what it is before, the data of one batch, and what it is afterwards.
function states.state_rdd(case)
    if case.initial then
        return from_initial(case)
    end
    local first = case.update_time_ms
    for _, state in ipairs(case.states_before) do
        first = math.min(first, state[3])
    end
    -- Times become batches: the first one and the one of the update are all there are.
    local batches = first == case.update_time_ms and { {} } or { {}, {} }
    local time_of = { [1] = first, [#batches] = case.update_time_ms }
    for _, state in ipairs(case.states_before) do
        table.insert(batches[state[3] == case.update_time_ms and #batches or 1], { state[1], { "set", state[2] } })
    end
    for _, pair in ipairs(case.data) do
        table.insert(batches[#batches], { pair[1] or pair.k, pair[2] or pair.v })
    end
    return in_all_setups(function(setup)
        local seen = run(batches, counted, { batch = 1000 }, setup)
        for _, batch in ipairs(seen) do
            for _, state in ipairs(batch.states) do
                state[3] = time_of[state[3] / 1000]
            end
        end
        local calls = #seen[#seen].mapped
        return differs("states", case.expected, seen[#seen].states)
            or calls ~= #case.data and string.format("%d calls for %d data", calls, #case.data)
            or #seen > 1 and differs("the states before", case.states_before, seen[1].states)
    end)
end

-- Three batches of three operations on each of 512 keys: bit 9 - op of the key says whether it is a put or a remove. After each
-- batch the state is that of a reference, and the states of the batches before are what they were.
local SETS, OPERATIONS, KEYS = 3, 3, 512

local function put_or_remove(_, what, state)
    if what > 0 then
        state:update(what)
    elseif state:exists() then
        state:remove()
    end
end

--- The property of Spark's state map, told as a stream.
function states.map_property(case)
    local sets, operations, keys = case.generator:match("^(%d+) sets x (%d+) ops per set; key id k in 0%.%.(%d+)")
    if tonumber(sets) ~= SETS or tonumber(operations) ~= OPERATIONS or tonumber(keys) ~= KEYS - 1 then
        return "missing", "the runner cannot read the generator '" .. case.generator .. "'"
    end
    local batches, expected, reference = {}, {}, {}
    for set = 1, SETS do
        batches[set], expected[set] = {}, {}
        for operation = 1, OPERATIONS do
            local number = (set - 1) * OPERATIONS + operation
            for key = 0, KEYS - 1 do
                local puts = math.floor(key / 2 ^ (SETS * OPERATIONS - number)) % 2 == 1
                table.insert(batches[set], { key, puts and number * 1000 + key or 0 })
                reference[key] = puts and { key, number * 1000 + key, set * 1000 } or nil
            end
        end
        for key = 0, KEYS - 1 do
            expected[set][#expected[set] + 1] = reference[key]
        end
    end
    return in_all_setups(function(setup) -- operations of one key stay in order, however the input is cut
        local seen = run(batches, put_or_remove, { batch = 1000 }, setup)
        for set = 1, SETS do
            local difference = differs("after set " .. set, expected[set], seen[set].states)
            if difference then
                return difference
            end
        end
    end)
end

return states
