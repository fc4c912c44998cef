-- Pairs and single values: a dataset is of one kind, and so is a stream over all its batches. Mixing them is refused always, whatever
-- worker meets which record.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"
local testing = require "moontide.testing"

local message, sorted = engine.message, engine.sorted

local WORKERS = { "local[1]", "local[2]", "local[4]" }
local ROUNDS = 100
local SITE = "%(spec/arity_spec.lua:%d+%)"

local function add(a, b) return a + b end

-- Records up to 20 become single values, the others pairs: partitions of 10 are of one kind each.
local function by_partition(x)
    if x > 20 then return x, 1 end
    return x
end

-- Both kinds in each partition.
local function by_record(x)
    if x % 2 == 0 then return x, 1 end
    return x
end

local function forty()
    local list = {}
    for x = 1, 40 do list[x] = x end
    return list
end

-- Each makes a dataset of both kinds out of one of the numbers up to 40.
local MIXED = {
    ["between partitions"] = function(numbers) return numbers:map(by_partition) end,
    ["within a partition"] = function(numbers) return numbers:map(by_record) end,
    ["of flatMap"] = function(numbers)
        return numbers:flatMap(function(x)
            if x > 20 then return ipairs({ x }) end
            return { x }
        end)
    end,
    ["of mapPartitions"] = function(numbers)
        return numbers:mapPartitions(function(it)
            local first = it()
            if first > 20 then return ipairs({ first }) end
            return { first }
        end)
    end,
    ["of mapPartitionsWithIndex"] = function(numbers)
        return numbers:mapPartitionsWithIndex(function(index, it)
            return function()
                local x = it()
                if x and index % 2 == 0 then return x, index end
                return x
            end
        end)
    end,
    ["before other operators"] = function(numbers)
        return numbers:map(by_partition):filter(function(x) return x > 0 end):map(function(x) return x end)
    end,
    ["of a union"] = function(numbers) return numbers:union(numbers:map(function(x) return x, 1 end)) end,
    ["of a union of unions"] = function(numbers)
        local doubled = numbers:map(function(x) return 2 * x end)
        return doubled:union(numbers:union(doubled)):union(numbers:filter(add and function() return true end)
            :union(numbers:keyBy(function(x) return x end):filter(function() return true end):map(function(k, v) return k, v end)))
    end,
    ["joined in one partition"] = function(numbers)
        return numbers:union(numbers:map(function(x) return x, 1 end)):coalesce(1)
    end,
    ["of unions partitioned alike"] = function(numbers)
        local function partitioned() return numbers:map(function(x) return x, x end):partitionBy(3) end
        return partitioned():union(partitioned():mapPartitions(function(it)
            local x = it()
            return { x }
        end, true))
    end,
}

local ACTIONS = {
    count = function(rdd) return rdd:count() end,
    collect = function(rdd) return rdd:collect() end,
    take = function(rdd) return rdd:take(1000) end,
    foreach = function(rdd) return rdd:foreach(function() end) end,
    foreachPartition = function(rdd) return rdd:foreachPartition(function(it) for _ in it do end end) end,
    aggregate = function(rdd) return rdd:aggregate(0, function(n) return n + 1 end, add) end,
    countByValue = function(rdd) return rdd:countByValue() end,
    glom = function(rdd) return rdd:glom():count() end,
    distinct = function(rdd) return rdd:distinct():count() end,
    repartition = function(rdd) return rdd:repartition(3):count() end,
    coalesce = function(rdd) return rdd:coalesce(2):count() end,
    sortBy = function(rdd) return rdd:sortBy(function(x) return x end):collect() end,
    persist = function(rdd) return rdd:persist():count() end,
    ["persist on disk"] = function(rdd) return rdd:persist(moontide.StorageLevel.DISK_ONLY):map(function(x) return x end):count() end,
    zipWithIndex = function(rdd) return rdd:zipWithIndex():collect() end,
}

describe("pairs and single values in one dataset", function()
    engine.watch(after_each)

    for _, master in ipairs(WORKERS) do
        it("are refused by each action, " .. master, function()
            local sc = engine.context(master)
            local numbers = sc:parallelize(forty(), 4)
            for kind, make in pairs(MIXED) do
                for name, act in pairs(ACTIONS) do
                    local ok, raised = pcall(act, make(numbers))
                    assert(not ok, ("%s took a dataset of pairs and single values %s"):format(name, kind))
                    local text = tostring(raised)
                    assert.matches("spec/arity_spec.lua:%d+", text)
                    assert(text:find("pair", 1, true) and text:find("single value", 1, true),
                        ("%s, %s: %s"):format(name, kind, text))
                end
            end
        end)

        it(("are refused %d times out of %d, %s"):format(ROUNDS, ROUNDS, master), function()
            local sc = engine.context(master)
            local numbers = sc:parallelize(forty(), 8)
            for round = 1, ROUNDS do
                for _, make in ipairs({ MIXED["between partitions"], MIXED["within a partition"], MIXED["of a union"] }) do
                    local mixed = make(numbers)
                    assert(not pcall(mixed.count, mixed), "count, round " .. round)
                    assert(not pcall(mixed.collect, mixed), "collect, round " .. round)
                    assert(not pcall(mixed.take, mixed, 1000), "take, round " .. round)
                end
            end
        end)

        it("leave no file, " .. master, function()
            local dir = tempdir.new()
            local sc = engine.context(master)
            local numbers = sc:parallelize(forty(), 4)
            for _, make in pairs(MIXED) do
                for _, save in ipairs({ "saveAsTextFile", "saveAsObjectFile" }) do
                    local mixed = make(numbers)
                    assert(not pcall(mixed[save], mixed, dir:file("out")), save)
                    assert.is_nil(io.open(dir:file("out") .. "/_SUCCESS"))
                    assert.is_nil(io.open(dir:file("out") .. "/part-00000"))
                end
            end
            dir:remove()
        end)
    end

    it("are told with both operators, their lines and a record of each", function()
        local sc = engine.context("local[2]")
        local numbers = sc:parallelize(forty(), 4)
        local text = message(function() numbers:map(by_partition):count() end)
        assert.matches("map " .. SITE .. ": the function returned pairs and single values: ", text)
        assert.matches("pairs, such as %(%d+, 1%) in partition [23]", text)
        assert.matches("single values, such as %d+ in partition [01]", text)
        assert.matches("return pairs always or never", text)

        text = message(function() numbers:union(numbers:map(function(x) return x, 1 end)):count() end)
        assert.matches("^union " .. SITE .. ": pairs and single values meet in one dataset or stream: ", text)
        assert.matches("parallelize " .. SITE .. " makes single values, such as 1; ", text)
        assert.matches("map " .. SITE .. " makes pairs, such as %(%d+, 1%) in partition %d", text)
        assert.matches("make pairs of both, or of neither, with map before", text)
    end)

    it("are refused by union at once where both are known", function()
        local sc = engine.context("local[2]")
        local single, two = sc:parallelize({ 1, 2 }), sc:parallelizePairs({ { "k", 3 } })
        for _, both in ipairs({ { single, two }, { two, single }, { single, single, two }, { two:mapValues(tostring), two:keys() },
            { single:keyBy(tostring), single:filter(function() return true end) }, { two:reduceByKey(add), single },
            { two:groupByKey():keys(), two:join(two) }, { sc:emptyRDD(), single, two } }) do
            local text = message(function() both[1]:union(unpack(both, 2)) end)
            assert.matches("^spec/arity_spec.lua:%d+: 'union': pairs and single values meet", text)
            assert.matches("make", text)
            assert.matches("^spec/arity_spec.lua:%d+: 'union': pairs", message(function() sc:union(both) end))
        end
        local text = message(function() single:union(two) end)
        assert.matches("parallelize " .. SITE .. " makes single values, such as 1; ", text)
        assert.matches('parallelizePairs ' .. SITE .. ' makes pairs, such as %("k", 3%);', text)
    end)

    it("are refused when the kind became known in an action before", function()
        local sc = engine.context("local[2]")
        local numbers = sc:parallelize(forty(), 4)
        local a, b = numbers:map(function(x) return x end), numbers:map(function(x) return x, x end)
        a:count()
        b:count()
        assert.matches("'union': pairs and single values meet", message(function() a:union(b) end))
        local mixed = numbers:map(by_partition)
        assert.equal(1, #mixed:take(1))
        local text = message(function() mixed:count() end)
        assert.matches("the function returned the pair %(%d+, 1%) after single values, such as 1 in partition 0", text)
    end)

    it("are no matter where there are no records", function()
        local sc = engine.context("local[2]")
        local single, two = sc:parallelize({ 1, 2 }), sc:parallelizePairs({ { 1, 2 } })
        local none = single:filter(function() return false end):map(function(x) return x, x end)
        assert.same({ 1, 2 }, single:union(none):collect())
        assert.same({ { 1, 2 } }, sc:emptyRDD():union(two):collect())
        assert.same({ 1, 2 }, sc:emptyRDD():union(single, sc:parallelizePairs({})):collect())
        assert.equal(2, single:union(none):coalesce(1):count())
        -- Also as the first thing that is computed.
        local either = sc:parallelize(forty(), 4):map(by_partition)
        assert.equal(20, either:mapPartitions(function() return {} end):union(sc:parallelize({ 5 })):count() + 19)
    end)

    it("teach nothing when the job fails", function()
        local sc = engine.context("local[2]")
        local switch = sc:accumulator(0)
        local numbers = sc:parallelize(forty(), 4)
        local mixed = numbers:map(by_partition)
        assert(not pcall(mixed.count, mixed))
        assert.equal(1, mixed:take(1)[1])
        assert.equal(0, switch:value())
    end)

    it("may come from one function, in datasets of their own", function()
        local sc = engine.context("local[1]")
        local function same(a, b)
            if b ~= nil then return a, b end
            return a
        end
        local singles, two = sc:parallelize({ 1, 2, 3 }, 3), sc:parallelizePairs({ { 1, 2 }, { 3, 4 } }, 2)
        for _ = 1, 20 do
            assert.same({ 1, 2, 3 }, singles:map(same):collect())
            assert.same({ { 1, 2 }, { 3, 4 } }, two:map(same):collect())
            assert.same({ 1, 2, 3 }, singles:map(same):map(same):collect())
            assert.same({ { 1, 2 }, { 3, 4 } }, two:map(same):distinct():sortBy(function(k) return k end):collect())
            assert.same({ 1, 2, 3 }, singles:map(same):distinct():sortBy(function(k) return k end):collect())
        end
        -- What a function returns also depends on what it is given.
        local function flag(x)
            if x > 3 then return x, "large" end
            return x
        end
        for _ = 1, 20 do
            assert.same({ 1, 2, 3 }, singles:map(flag):collect())
            assert.same({ { 4, "large" } }, sc:parallelize({ 4 }):map(flag):collect())
        end
    end)

    it("are refused after a checkpoint, and when lost partitions are computed again", function()
        local dir = tempdir.new()
        local sc = engine.context("local[2]")
        sc:setCheckpointDir(dir.path)
        local numbers = sc:parallelize(forty(), 4)
        local singles = numbers:map(function(x) return x end)
        singles:checkpoint()
        assert.equal(40, singles:count())
        assert.is_true(singles:isCheckpointed())
        assert.matches("'union': pairs and single values meet",
            message(function() singles:union(numbers:keyBy(function(x) return x end)) end))
        assert.equal(40, singles:count())
        dir:remove()
    end)
end)

-- Runs the batches through `build`; the text of the error and the records of each batch.
local function run(options)
    local result = testing.run(options)
    local seen = {}
    for index, batch in ipairs(result.batches) do
        seen[index] = ("%d: %s"):format(batch.time / 1000, table.concat(sorted(batch.records), " "))
    end
    return result.error and result.error.message, seen
end

local function large(x)
    if x > 10 then return x, "large" end
    return x
end

describe("pairs and single values in one stream", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    local BUILDS = {
        map = function(_, a) return a:map(large) end,
        flatMap = function(_, a)
            return a:flatMap(function(x)
                if x > 10 then return ipairs({ x }) end
                return { x }
            end)
        end,
        mapPartitions = function(_, a)
            return a:mapPartitions(function(it)
                local x = it()
                if x and x > 10 then return ipairs({ x }) end
                return { x }
            end)
        end,
        filter = function(_, a) return a:map(large):filter(function() return true end) end,
        window = function(_, a) return a:map(large):window(2000) end,
        countByWindow = function(_, a) return a:map(large):countByWindow(2000, 1000) end,
        transform = function(_, a) return a:transform(function(rdd) return rdd:map(large) end) end,
        ["transform to datasets at hand"] = function(ssc, a)
            return a:transform(function(_, time)
                return time > 2000 and ssc.sc:parallelizePairs({ { 1, 2 } }) or ssc.sc:parallelize({ 1 })
            end)
        end,
        repartition = function(_, a) return a:map(large):repartition(2) end,
        count = function(_, a) return a:map(large):count() end,
        union = function(_, a) return a:map(function(x) return x end):union(a:filter(function(x) return x > 10 end)
            :map(function(x) return x, 1 end)) end,
        mapWithState = function(_, a)
            return a:map(function(x) return x, x end):mapWithState(moontide.StateSpec.func(function(_, value)
                return large(value)
            end))
        end,
        ["a function before another"] = function(_, a) return a:map(large):map(function(x) return x end) end,
    }

    for _, master in ipairs(WORKERS) do
        it("are refused in a later batch, " .. master, function()
            for name, build in pairs(BUILDS) do
                local text, seen = run { inputs = { { { 1, 2, 3 }, {}, { 11, 12 }, { 4 } } }, build = build, master = master }
                assert(text, name .. " took a stream of pairs and single values")
                assert.matches("spec/arity_spec.lua:%d+", text, name)
                assert(text:find("pair", 1, true) and text:find("single value", 1, true), name .. ": " .. text)
                assert(#seen < 3, name)
            end
        end)

        it("are refused within a batch, " .. master, function()
            for name, build in pairs(BUILDS) do
                if not name:find("at hand") then
                    for _ = 1, 3 do
                        local text = run { inputs = { { { 1, 2, 3, 11, 12, 13 } } }, build = build, master = master, partitions = 6 }
                        assert(text, name .. " took a batch of pairs and single values")
                    end
                end
            end
        end)
    end

    it("are passed over with onError = skip, and teach nothing", function()
        local text, seen = run {
            inputs = { { { 1, 11, 2, 12 }, { 13 }, { 3 }, { 4, 14 }, { 15 } } }, partitions = 4, conf = { onError = "skip" },
            build = function(_, a) return a:map(large) end,
        }
        assert.is_nil(text)
        assert.same({ "2: [13,large]", "5: [15,large]" }, seen)
    end)

    it("of queueStream are refused", function()
        local errors = {}
        for _, order in ipairs({ { 1, 2 }, { 2, 1 } }) do
            local ssc = engine.streaming(1000)
            local kinds = { { 1, 2 }, ssc.sc:parallelizePairs({ { "k", 1 } }) }
            local seen = 0
            ssc:queueStream({ kinds[order[1]], kinds[order[2]] }):foreachRDD(function(rdd) seen = seen + rdd:count() end)
            ssc:start()
            engine.advance(ssc)
            engine.advance(ssc)
            errors[#errors + 1] = message(ssc.awaitTermination, ssc)
        end
        for _, text in ipairs(errors) do
            assert.matches("queueStream " .. SITE .. ": pairs and single values meet", text)
            assert.matches("parallelizePairs " .. SITE .. " makes pairs", text)
        end
    end)

    it("are refused by union of streams that are known", function()
        local ssc = engine.streaming(1000)
        local lines = ssc:socketTextStream("localhost", 9)
        local two = lines:map(function(x) return x, 1 end):reduceByKey(add)
        local text = message(function() lines:union(two) end)
        assert.matches("'union': pairs and single values meet", text)
        assert.matches("socketTextStream " .. SITE .. " makes single values; reduceByKey " .. SITE .. " makes pairs", text)
        assert.matches("'union'", message(function() ssc:union({ two, lines }) end))
        two:union(two:mapValues(tostring), two)
    end)

    it("are told with the batch that came before", function()
        local text = run { inputs = { { { 1 }, { 11 } } }, build = BUILDS.map }
        assert.matches("the function returned the pair %(11, \"large\"%) after single values, such as 1 in batch 1000 ms, partition %d",
            text)
        text = run { inputs = { { { 1 }, { 11 } } }, build = BUILDS.transform }
        assert.matches("transform " .. SITE .. ": pairs and single values meet", text)
        assert.matches("map " .. SITE .. " makes single values, such as 1 in batch 1000 ms", text)
        assert.matches("makes pairs, such as %(11, \"large\"%) in batch 2000 ms", text)
    end)
end)

-- One record may make millions, and range is one record: what is not known yet of those is asked for once.
describe("records that one record makes", function()
    local sc
    engine.watch(after_each)
    before_each(function() sc = engine.context("local[1]") end)
    after_each(function() sc = nil end)

    local function inc(x) return x + 1 end
    local function two(x) return x, 1 end
    local COUNT = 2000

    local SOURCES = {
        range = function() return sc:range(0, COUNT, 1, 1) end,
        ["an iterator"] = function()
            return sc:parallelize({ COUNT }, 1):flatMap(function(n)
                local i = -1
                return function()
                    i = i + 1
                    if i < n then return i end
                end
            end)
        end,
        ["an array"] = function()
            return sc:parallelize({ COUNT }, 1):flatMap(function(n)
                local list = {}
                for i = 1, n do list[i] = i - 1 end
                return list
            end)
        end,
        ["iterators in an iterator"] = function()
            return sc:range(0, COUNT / 100, 1, 1):flatMap(function(k)
                local i = -1
                return function()
                    i = i + 1
                    if i < 10 then return k * 10 + i end
                end
            end):flatMap(function(k)
                local list = {}
                for i = 1, 10 do list[i] = k * 10 + i - 1 end
                return list
            end)
        end,
    }

    -- These run in the worker.
    local function start_counting()
        local arity = require "moontide.worker.arity"
        local learn = arity.learn
        arity.calls = 0
        arity.original = learn
        function arity.learn(...)
            arity.calls = arity.calls + 1
            return learn(...)
        end
    end

    local function stop_counting()
        local arity = require "moontide.worker.arity"
        local calls = arity.calls
        arity.learn, arity.original, arity.calls = arity.original, nil, nil
        return { calls }
    end

    for name, make in pairs(SOURCES) do
        local function chain() return make():map(inc):map(two):mapValues(inc):map(add):map(inc) end

        it("of " .. name .. " are computed as others are", function()
            for _ = 1, 3 do
                local list = chain():collect()
                assert.equal(COUNT, #list)
                for x, value in ipairs(list) do assert.equal(x + 3, value) end
                assert.equal(COUNT, chain():count())
                assert.same({ 4, 5, 6 }, chain():take(3))
            end
        end)

        it("of " .. name .. " are not asked one by one of which kind they are", function()
            sc:parallelize({ 1 }, 1):foreachPartition(start_counting)
            chain():count()
            local calls = sc:parallelize({ 1 }, 1):mapPartitions(stop_counting):first()
            assert.is_true(calls > 0 and calls < 200, calls)
        end)

        it("of " .. name .. " are of one kind", function()
            local function late(x)
                if x == COUNT - 5 then return x, "late" end
                return x
            end
            for _ = 1, 3 do
                for _, rdd in ipairs { make():map(late), make():map(inc):map(late):map(inc), make():map(two):map(add):map(late) } do
                    assert.matches("map: the function returned the pair %(%d+, \"late\"%) after single values", message(rdd.count, rdd))
                end
            end
        end)
    end
end)
