-- Partitioners of the script: where records go, that results are the same as by key hash, and what need not be shuffled.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local testing = require "moontide.testing"

local message, sorted = engine.message, engine.sorted

local function whole(key) return key end

local function add(a, b) return a + b end

-- The keys of each partition, in order.
local function keys_of(rdd)
    local lists = {}
    for index, partition in ipairs(rdd:glom():collect()) do
        local keys = {}
        for at, record in ipairs(partition) do keys[at] = record[1] end
        table.sort(keys)
        lists[index] = keys
    end
    return lists
end

-- A join that shuffles nothing more has this many shuffles in its lineage.
local function shuffles(rdd)
    return select(2, rdd:toDebugString():gsub("shuffle", ""))
end

describe("partitioners", function()
    local sc, numbers
    after_each(function() numbers = nil end)
    engine.watch(after_each)

    before_each(function()
        sc = engine.context()
        numbers = sc:parallelizePairs({ { 1, 10 }, { 2, 20 }, { 3, 30 }, { 4, 40 }, { -1, 5 }, { 4, 2 } }, 3)
    end)

    it("put a key in the partition that is the remainder of what the function returns", function()
        assert.same({ { 3 }, { 1, 4, 4 }, { -1, 2 } }, keys_of(numbers:partitionBy(3, whole)))
        assert.same({ { 3 }, { 1, 4, 4 }, { -1, 2 } }, keys_of(numbers:partitionBy(moontide.Partitioner(3, whole))))
        assert.same({ {}, { -1 }, {}, {}, {}, {}, { 4, 4 }, { 3 }, { 2 }, { 1 } },
            keys_of(numbers:partitionBy(10, function(key) return -key end)))
        assert.same({ {}, { -1, 1, 2, 3, 4, 4 } }, keys_of(numbers:partitionBy(2, function() return 1 - 2 ^ 52 end)))
    end)

    it("number partitions as mapPartitionsWithIndex does", function()
        local parts = numbers:partitionBy(3, whole):mapPartitionsWithIndex(function(index, it)
            for key in it do
                assert(key % 3 == index)
            end
            return { index }
        end)
        assert.same({ 0, 1, 2 }, parts:collect())
    end)

    it("are taken by every operator by key in place of a number, with the results of key hash", function()
        local other = sc:parallelizePairs({ { 1, "a" }, { 4, "b" }, { 9, "c" } }, 2)
        local by = moontide.Partitioner(3, whole)
        local operators = {
            reduceByKey = function(n) return numbers:reduceByKey(add, n) end,
            reduceByKeyOfTables = function(n)
                return numbers:mapValues(function(v) return { v } end):reduceByKey(function(a, b) return { a[1] + b[1] } end, n)
            end,
            groupByKey = function(n) return numbers:groupByKey(n):mapValues(function(vs) table.sort(vs) return vs end) end,
            combineByKey = function(n) return numbers:combineByKey(whole, add, add, n) end,
            foldByKey = function(n) return numbers:foldByKey(0, add, n) end,
            aggregateByKey = function(n) return numbers:aggregateByKey(0, add, add, n) end,
            join = function(n) return numbers:join(other, n) end,
            leftOuterJoin = function(n) return numbers:leftOuterJoin(other, n) end,
            rightOuterJoin = function(n) return numbers:rightOuterJoin(other, n) end,
            fullOuterJoin = function(n) return numbers:fullOuterJoin(other, n) end,
            cogroup = function(n)
                return numbers:cogroup(other, n):mapValues(function(t) table.sort(t[1]) return t end)
            end,
            groupWith = function(n)
                return numbers:groupWith(other, n):mapValues(function(t) table.sort(t[1]) return t end)
            end,
            subtractByKey = function(n) return numbers:subtractByKey(other, n) end,
            repartitionAndSortWithinPartitions = function(n) return numbers:repartitionAndSortWithinPartitions(n) end,
            partitionBy = function(n) return numbers:partitionBy(n) end,
        }
        for name, make in pairs(operators) do
            local spread = make(by)
            assert.same(sorted(make(3):collect()), sorted(spread:collect()), name)
            for index, keys in ipairs(keys_of(spread)) do
                for _, key in ipairs(keys) do assert.equal(index - 1, key % 3, name) end
            end
            assert.is_true(spread:partitioner() == by or name == "cogroup", name)
        end
    end)

    it("spread whole records where these are the keys", function()
        local by = moontide.Partitioner(2, function(record) return record end)
        local here, there = sc:parallelize({ 1, 2, 3, 4 }), sc:parallelize({ 2, 3 })
        assert.same({ { 4 }, { 1 } }, here:subtract(there, by):glom():collect())
        assert.same({ { 2 }, { 3 } }, here:intersection(there, by):glom():collect())
        assert.same({ { { 0, { 2, 4 } } }, { { 1, { 1, 3 } } } },
            here:groupBy(function(n) return n % 2 end, by):mapValues(function(ns) table.sort(ns) return ns end):glom():collect())
    end)

    it("get keys of every kind as they are", function()
        local keys = sc:parallelizePairs({ { "ann", 1 }, { { user = "bob", at = 3 }, 2 }, { true, 3 }, { 0.5, 4 } })
        local by = moontide.Partitioner(4, function(key)
            return type(key) == "table" and key.at or type(key) == "string" and #key + 2 or type(key) == "boolean" and 0 or 2
        end)
        assert.same({ { { true, 3 } }, { { "ann", 1 } }, { { 0.5, 4 } }, { { { user = "bob", at = 3 }, 2 } } },
            keys:partitionBy(by):glom():collect())
        assert.same({ { { true, 3 } }, { { "ann", 1 } }, { { 0.5, 4 } }, { { { user = "bob", at = 3 }, 2 } } },
            keys:reduceByKey(add, by):glom():collect())
    end)

    it("are the same when function and number are, or when their id is", function()
        local function by(step) return moontide.Partitioner(3, function(key) return key + step end) end
        assert.is_true(by(1) == by(1))
        assert.is_false(by(1) == by(2))
        assert.is_false(moontide.Partitioner(3, whole) == moontide.Partitioner(4, whole))
        assert.is_false(moontide.Partitioner(3, whole) == moontide.Partitioner(3))
        assert.is_true(moontide.Partitioner(3, whole, "mine") == moontide.Partitioner(3, function() return 0 end, "mine"))
        assert.is_false(moontide.Partitioner(3, whole, "1") == moontide.Partitioner(3, whole, 1))
    end)

    it("save the shuffle where both sides are partitioned alike", function()
        local by = moontide.Partitioner(3, whole)
        local a, b = numbers:partitionBy(3, whole), numbers:reduceByKey(add, by)
        assert.equal(2, shuffles(a:join(b)))
        assert.equal(3, a:join(b):getNumPartitions())
        assert.is_true(a:join(b):partitioner() == by)
        assert.equal(3, shuffles(a:join(numbers:partitionBy(3))))
        assert.equal(1, shuffles(a:reduceByKey(add)))
        assert.is_true(a:reduceByKey(add):partitioner() == by)
        assert.equal(1, shuffles(a:filter(function(key) return key > 1 end):mapValues(whole):groupByKey(by)))
        assert.equal(3, shuffles(numbers:partitionBy(3, function(key) return key * 5 end):join(b, by)))
        assert.same(sorted(numbers:join(numbers:reduceByKey(add)):collect()), sorted(a:join(b):collect()))
    end)

    it("stay through a union of datasets partitioned alike, an empty dataset among them", function()
        local by = moontide.Partitioner(3, whole)
        local a = numbers:partitionBy(by)
        assert.is_true(a:union(numbers:partitionBy(by)):partitioner() == by)
        assert.is_true(sc:union({ sc:emptyRDD(), a, sc:emptyRDD(), a }):partitioner() == by)
        assert.is_true(numbers:partitionBy(2):union(sc:emptyRDD()):partitioner() == moontide.Partitioner(2))
        assert.is_nil(a:union(numbers):partitioner())
        assert.is_nil(a:union(numbers:partitionBy(3)):partitioner())
        assert.equal(6, a:union(sc:emptyRDD()):count())
        assert.equal(0, sc:emptyRDD():union(sc:emptyRDD()):count())
    end)

    it("are told by the dataset and can be asked", function()
        local by = moontide.Partitioner(3, whole)
        assert.is_nil(numbers:partitioner())
        assert.is_nil(numbers:sortByKey():partitioner())
        assert.is_nil(numbers:partitionBy(3):map(function(k, v) return k, v end):partitioner())
        assert.equal(5, numbers:partitionBy(5):partitioner():numPartitions())
        assert.equal(2, numbers:partitionBy(by):partitioner():getPartition(-1))
        local hash = numbers:partitionBy(5)
        for index, keys in ipairs(keys_of(hash)) do
            for _, key in ipairs(keys) do assert.equal(index - 1, hash:partitioner():getPartition(key)) end
        end
        assert.equal("Partitioner (3 partitions, by key hash)", tostring(moontide.Partitioner(3)))
        assert.matches("^Partitioner %(3 partitions, by the function of .*partitioner_spec.lua:%d+%)$", tostring(by))
    end)

    it("let lookup compute one partition", function()
        local seen = sc:accumulator(0)
        local counted = numbers:partitionBy(3, whole):mapPartitions(function(it)
            seen:add(1)
            return it
        end, true)
        assert.same({ 40, 2 }, (function(list) table.sort(list, function(a, b) return a > b end) return list end)(counted:lookup(4)))
        assert.equal(1, seen:value())
        assert.same({}, counted:lookup(12))
    end)

    it("sort each partition by key, or by what a function makes of it", function()
        local words = sc:parallelizePairs({ { "bb", 1 }, { "a", 2 }, { "dddd", 3 }, { "ccc", 4 }, { "B", 5 } }, 2)
        local by = moontide.Partitioner(2, function(key) return #key end)
        local function keys(rdd)
            local lists = {}
            for index, part in ipairs(rdd:glom():collect()) do
                lists[index] = {}
                for at, record in ipairs(part) do lists[index][at] = record[1] end
            end
            return lists
        end
        assert.same({ { "bb", "dddd" }, { "B", "a", "ccc" } }, keys(words:repartitionAndSortWithinPartitions(by)))
        assert.same({ { "dddd", "bb" }, { "ccc", "a", "B" } }, keys(words:repartitionAndSortWithinPartitions(by, false)))
        assert.same({ { "bb", "dddd" }, { "a", "B", "ccc" } },
            keys(words:repartitionAndSortWithinPartitions(by, true, string.lower)))
        assert.is_true(words:repartitionAndSortWithinPartitions(by, true, string.lower):partitioner() == by)
        assert.same({ { "a", 2 }, { "B", 5 }, { "bb", 1 }, { "ccc", 4 }, { "dddd", 3 } },
            words:sortByKey(true, 2, string.lower):collect())
        assert.same({ "dddd", "ccc", "bb" }, words:sortByKey(false, 3, function(key) return #key end):keys():take(3))
    end)

    it("say what is wrong, with operator, line and key", function()
        assert.matches("partitioner_spec.lua:%d+: partitionBy: the partitioner's function returned \"x\" for the key %-?%d; "
            .. "it must return a whole number", message(function()
            numbers:partitionBy(2, function() return "x" end):collect()
        end))
        for _, bad in ipairs { 0.5, 1 / 0, 0 / 0, "1", true } do
            local by = moontide.Partitioner(2, function() return bad end)
            assert.matches("it must return a whole number", message(function() numbers:reduceByKey(add, by):collect() end))
            assert.matches("it must return a whole number", message(function() by:getPartition(1) end))
        end
        assert.matches("returned nil for the key", message(function()
            numbers:groupByKey(moontide.Partitioner(2, function() end)):collect()
        end))
        assert.matches("partitioner_spec.lua:%d+: oops", message(function()
            numbers:partitionBy(2, function() error("oops") end):collect()
        end))
        assert.matches("bad argument #1 to 'Partitioner' %(number of partitions: a number from 1 to 100000 expected, got 0%)",
            message(function() moontide.Partitioner(0, whole) end))
        assert.matches("bad argument #2 to 'Partitioner' %(function expected, got number%)",
            message(function() moontide.Partitioner(2, 3) end))
        assert.matches("bad argument #3 to 'Partitioner' %(an id goes with a function%)",
            message(function() moontide.Partitioner(2, nil, "x") end))
        assert.matches("bad argument #3 to 'Partitioner' %(string or number expected, got table%)",
            message(function() moontide.Partitioner(2, whole, {}) end))
        assert.matches("bad argument #2 to 'partitionBy' %(the partitioner has a function already%)",
            message(function() numbers:partitionBy(moontide.Partitioner(2, whole), whole) end))
        assert.matches("write moontide.Partitioner%(n, f%)", message(function() numbers:reduceByKey(add, whole) end))
        assert.matches("a key is never NaN", message(function() moontide.Partitioner(2):getPartition(0 / 0) end))
        assert.matches("uses the Context 'ssc'", (message(function()
            local ssc = sc
            moontide.Partitioner(2, function() return ssc end)
        end)))
    end)

    it("work in streams: by key, in windows, in joins and for states", function()
        local by = moontide.Partitioner(3, whole)
        local batches = { { { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 } }, { { 1, 1 }, { 6, 1 } }, {}, { { 2, 5 } } }
        local function spec(n)
            local made = moontide.StateSpec.func(function(key, value, state)
                state:update((state:getOption() or 0) + (value or 0))
                return key, state:get()
            end)
            return type(n) == "number" and made:numPartitions(n) or made:partitioner(n)
        end
        local builds = {
            function(s, n) return s:reduceByKey(add, n) end,
            function(s, n) return s:groupByKey(n) end,
            function(s, n) return s:partitionBy(n) end,
            function(s, n) return s:join(s:mapValues(function(v) return v * 2 end), n) end,
            function(s, n) return s:reduceByKeyAndWindow(add, 2000, 1000, n) end,
            function(s, n) return s:reduceByKeyAndWindow(add, function(a, b) return a - b end, 2000, 1000, n) end,
            function(s, n) return s:groupByKeyAndWindow(2000, 1000, n) end,
            function(s, n)
                return s:updateStateByKey(function(values, old)
                    for _, v in ipairs(values) do old = (old or 0) + v end
                    return old
                end, n)
            end,
            function(s, n)
                return s:updateStateByKey(function(values, old) return (old or 0) + #values end, { partitions = n })
            end,
            function(s, n) return s:mapWithState(spec(n)) end,
            function(s, n) return s:mapWithState(spec(n)):stateSnapshots() end,
        }
        for at, build in ipairs(builds) do
            local function run(n)
                return testing.run {
                    inputs = { batches }, pairs = { true },
                    build = function(_, s) return build(s, n) end,
                }
            end
            local plain, chosen = run(3), run(by)
            assert.is_nil(chosen.error)
            for index, batch in ipairs(plain.batches) do
                assert.same(sorted(batch.records), sorted(chosen.batches[index].records), "build " .. at)
                for number, partition in ipairs(chosen.batches[index].partitions) do
                    for _, record in ipairs(partition) do assert.equal(number - 1, record[1] % 3, "build " .. at) end
                end
            end
        end
    end)

    it("take an initial state along", function()
        local by = moontide.Partitioner(2, whole)
        local result = testing.run {
            inputs = { { { { 1, 1 } }, { { 2, 1 } } } }, pairs = { true },
            build = function(ssc, s)
                return s:updateStateByKey(function(values, old) return (old or 0) + #values end,
                    { partitions = by, initial = ssc.sc:parallelizePairs({ { 1, 10 }, { 2, 20 }, { 3, 30 } }) })
            end,
        }
        assert.same({ { { 2, 21 } }, { { 1, 11 }, { 3, 30 } } }, {
            sorted and result.batches[2].partitions[1], (function(list)
                table.sort(list, function(a, b) return a[1] < b[1] end)
                return list
            end)(result.batches[2].partitions[2]),
        })
    end)
end)
