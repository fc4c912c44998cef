-- Operators by key over several datasets or streams, and the keyed operators that go with them.

local moontide = require "moontide"
local engine = require "spec.support.engine"
local testing = require "moontide.testing"
local text_form = require "moontide.base.text_form"

local message, sorted = engine.message, engine.sorted

local function add(a, b) return a + b end

describe("joins of datasets", function()
    local sc, left, right
    after_each(function() left, right = nil, nil end)
    engine.watch(after_each)

    before_each(function()
        sc = engine.context()
        left = sc:parallelizePairs({ { "a", 1 }, { "b", 2 }, { "a", 3 }, { "c", 4 } }, 3)
        right = sc:parallelizePairs({ { "b", 20 }, { "a", 10 }, { "d", 40 }, { "b", 21 } }, 2)
    end)

    it("combine every value with every value of the same key", function()
        local expected = { "[a,[1,10]]", "[a,[3,10]]", "[b,[2,20]]", "[b,[2,21]]" }
        for n = 1, 4 do
            assert.same(expected, sorted(left:join(right, n):collect()))
        end
        assert.equal(3, left:join(right, 3):getNumPartitions())
        assert.equal(2, left:join(right):getNumPartitions())
    end)

    it("keep unmatched values of the sides they are named after", function()
        assert.same({ "[a,[1,10]]", "[a,[3,10]]", "[b,[2,20]]", "[b,[2,21]]", "[c,[4]]" },
            sorted(left:leftOuterJoin(right):collect()))
        assert.same({ "[a,[1,10]]", "[a,[3,10]]", "[b,[2,20]]", "[b,[2,21]]", "[d,[nil,40]]" },
            sorted(left:rightOuterJoin(right):collect()))
        assert.same({ "[a,[1,10]]", "[a,[3,10]]", "[b,[2,20]]", "[b,[2,21]]", "[c,[4]]", "[d,[nil,40]]" },
            sorted(left:fullOuterJoin(right):collect()))
    end)

    it("leave an absent side nil for the functions that follow", function()
        local seen = left:fullOuterJoin(right, 1):mapValues(function(t)
            return (t[1] == nil and "-" or t[1]) .. "/" .. (t[2] == nil and "-" or t[2])
        end):collectAsMap()
        assert.equal("4/-", seen.c)
        assert.equal("-/40", seen.d)
    end)

    it("work on empty sides", function()
        local empty, none = sc:emptyRDD(), sc:parallelizePairs({}, 3)
        for _, nothing in ipairs({ empty, none }) do
            assert.same({}, left:join(nothing):collect())
            assert.same({}, nothing:join(left):collect())
            assert.same({}, nothing:fullOuterJoin(nothing):collect())
            assert.equal(4, left:leftOuterJoin(nothing):count())
            assert.equal(4, nothing:rightOuterJoin(left):count())
            assert.equal(4, left:subtractByKey(nothing):count())
        end
    end)

    it("take keys of any kind", function()
        local keys = { 1, 1.5, "1", true, false, moontide.null, 9007199254740993LL }
        local a, b = {}, {}
        for index, key in ipairs(keys) do
            a[index], b[index] = { key, index }, { key, -index }
        end
        a[#a + 1], b[#b + 1] = { { "x", { 2 } }, 100 }, { { "x", { 2 } }, -100 }
        local joined = sc:parallelizePairs(a, 2):join(sc:parallelizePairs(b, 3), 4):values():collect()
        assert.equal(#keys + 1, #joined)
        for _, pair in ipairs(joined) do
            assert.equal(0, pair[1] + pair[2])
        end
    end)

    it("join a dataset with itself", function()
        assert.same({ "[a,[1,1]]", "[a,[1,3]]", "[a,[3,1]]", "[a,[3,3]]", "[b,[2,2]]", "[c,[4,4]]" },
            sorted(left:join(left):collect()))
    end)

    it("say which side is not made of pairs", function()
        local single = sc:parallelize({ 1, 2 })
        local text = message(function() left:join(single):collect() end)
        assert.matches("joins_spec.lua:%d+: join: needs %(key, value%) pairs, but the record is the single value [12]", text)
        assert.matches("needs %(key, value%) pairs", message(function() single:cogroup(left):collect() end))
    end)

    it("cogroup any number of sides", function()
        assert.same({ "[a,[[1,3],[10]]]", "[b,[[2],[20,21]]]", "[c,[[4],[]]]", "[d,[[],[40]]]" },
            sorted(left:cogroup(right):collect()))
        assert.same(sorted(left:cogroup(right):collect()), sorted(left:groupWith(right):collect()))
        local third = left:cogroup(right, sc:parallelizePairs({ { "a", "x" } }), 3)
        assert.equal(3, third:getNumPartitions())
        assert.same({ "[a,[[1,3],[10],[x]]]", "[b,[[2],[20,21],[]]]", "[c,[[4],[],[]]]", "[d,[[],[40],[]]]" },
            sorted(third:collect()))
        local arrays = left:cogroup(right):mapValues(function(sides) return #sides[1] + #sides[2] end):collectAsMap()
        assert.same({ a = 3, b = 3, c = 1, d = 1 }, arrays)
    end)

    it("subtract by key", function()
        assert.same({ "[c,4]" }, sorted(left:subtractByKey(right):collect()))
        assert.same({ "[d,40]" }, sorted(right:subtractByKey(left, 5):collect()))
    end)

    it("do not shuffle what is partitioned alike", function()
        local a, b = left:partitionBy(4), right:partitionBy(4)
        local joined = a:join(b)
        assert.equal(4, joined:getNumPartitions())
        assert.equal(2, select(2, joined:toDebugString():gsub("shuffle", "")))
        assert.equal(1, select(2, joined:mapValues(function(t) return t[1] end):reduceByKey(add):toDebugString()
            :gsub("reduceByKey", "")))
        assert.equal(joined:getNumPartitions(), joined:groupByKey():getNumPartitions())
        assert.equal(2, select(2, joined:groupByKey():toDebugString():gsub("shuffle", "")))
        assert.same({ "[a,[1,10]]", "[a,[3,10]]", "[b,[2,20]]", "[b,[2,21]]" }, sorted(joined:collect()))
        -- One side only has to move.
        assert.equal(2, select(2, a:join(right):toDebugString():gsub("shuffle", "")))
        assert.equal(4, a:join(right):getNumPartitions())
        -- Another number of partitions moves all of them.
        assert.equal(4, select(2, a:join(b, 3):toDebugString():gsub("shuffle", "")))
    end)

    it("check their arguments at the caller's line", function()
        local other = engine.context():parallelizePairs({ { 1, 1 } })
        assert.matches("joins_spec.lua:%d+: bad argument #1 to 'join' %(RDD expected, got nil%)",
            message(function() left:join() end))
        assert.matches("bad argument #1 to 'leftOuterJoin' %(RDD expected, got table%)",
            message(function() left:leftOuterJoin({}) end))
        assert.matches("bad argument #2 to 'join' %(number of partitions: ", message(function() left:join(right, 0) end))
        assert.matches("bad argument #1 to 'join' %(it belongs to another Context%)", message(function() left:join(other) end))
        assert.matches("bad argument #1 to 'cogroup' %(RDD expected, got nil%)", message(function() left:cogroup() end))
        assert.matches("bad argument #2 to 'cogroup' %(RDD expected, got string%)",
            message(function() left:cogroup(right, "x") end))
        assert.matches("bad argument #2 to 'cogroup' %(number of partitions: ",
            message(function() left:cogroup(right, -1) end))
        assert.matches("x:join%(…%) with a colon", message(function() left.join() end))
    end)
end)

describe("operators by key", function()
    local sc, data
    after_each(function() data = nil end)
    engine.watch(after_each)

    before_each(function()
        sc = engine.context()
        data = sc:parallelizePairs({ { "a", 1 }, { "b", 2 }, { "a", 3 }, { "c", 4 }, { "a", 5 } }, 3)
    end)

    it("partition by the hash of the key", function()
        local parts = data:partitionBy(4):glom():collect()
        assert.equal(4, #parts)
        local where = {}
        for index, part in ipairs(parts) do
            for _, pair in ipairs(part) do
                assert.equal(where[pair[1]] or index, index)
                where[pair[1]] = index
            end
        end
        assert.same(sorted(data:collect()), sorted(data:partitionBy(4):collect()))
        assert.equal(2, data:partitionBy():getNumPartitions())
        assert.equal(data:partitionBy(3):id() + 1, data:partitionBy(3):partitionBy(3):id())
    end)

    it("fold and aggregate from a zero value for each key", function()
        assert.same({ a = 9, b = 2, c = 4 }, data:foldByKey(0, add):collectAsMap())
        local function append(list, x)
            list[#list + 1] = x
            return list
        end
        local function join(a, b)
            for _, x in ipairs(b) do
                a[#a + 1] = x
            end
            return a
        end
        for _, input in ipairs({ data, data:partitionBy(2) }) do
            local lists = input:aggregateByKey({}, append, join):collectAsMap()
            for _, list in pairs(lists) do
                table.sort(list)
            end
            assert.same({ a = { 1, 3, 5 }, b = { 2 }, c = { 4 } }, lists)
        end
        -- Once for each key and partition: partitioned by key that is once for each key.
        assert.same({ a = 19, b = 12, c = 14 }, data:partitionBy(3):foldByKey(10, add):collectAsMap())
        assert.same({ a = 19, b = 12, c = 14 }, data:coalesce(1):foldByKey(10, add, 1):collectAsMap())
    end)

    it("refuse bad functions and zero values", function()
        assert.matches("joins_spec.lua:%d+: bad argument #1 to 'foldByKey' %(the zero value is nil%)",
            message(function() data:foldByKey(nil, add) end))
        assert.matches("bad argument #2 to 'foldByKey' %(function expected, got nil%)", message(function() data:foldByKey(0) end))
        assert.matches("bad argument #3 to 'aggregateByKey' %(function expected, got nil%)",
            message(function() data:aggregateByKey(0, add) end))
        assert.matches("bad argument #3 to 'foldByKey' %(number of partitions: ",
            message(function() data:foldByKey(0, add, 0) end))
        assert.matches("bad argument #1 to 'aggregateByKey' %(the zero value: ",
            message(function() data:aggregateByKey({ io.stdout }, add, add) end))
    end)

    it("look up values", function()
        for _, input in ipairs({ data, data:partitionBy(7) }) do
            assert.same({ 1, 3, 5 }, input:lookup("a"))
            assert.same({}, input:lookup("nobody"))
        end
        local tables = sc:parallelizePairs({ { { 1, 2 }, "x" }, { { 1, 3 }, "y" }, { 1, "z" } })
        assert.same({ "y" }, tables:lookup({ 1, 3 }))
        assert.same({ "y" }, tables:partitionBy(5):lookup({ 1, 3 }))
        assert.same({ "z" }, tables:partitionBy(128):lookup(1))
        assert.matches("bad argument #1 to 'lookup' %(a key is never nil%)", message(function() data:lookup() end))
        assert.matches("bad argument #1 to 'lookup' %(", message(function() data:lookup(print) end))
    end)

    it("look up in one partition where that is enough", function()
        local failing = data:partitionBy(8):mapValues(function(v)
            if v == 4 then
                error("the partition of c was computed")
            end
            return v
        end)
        assert.same({ 1, 3, 5 }, failing:lookup("a"))
        assert.matches("the partition of c was computed", message(function() failing:lookup("c") end))
    end)

    it("reduce to a table of the script", function()
        assert.same({ a = 9, b = 2, c = 4 }, data:reduceByKeyLocally(add))
        assert.same({}, sc:emptyRDD():reduceByKeyLocally(add))
    end)

    it("sort within partitions by key", function()
        local numbers = {}
        for index = 1, 60 do
            numbers[index] = { (index * 7) % 60, index }
        end
        local parts = sc:parallelizePairs(numbers, 4):repartitionAndSortWithinPartitions(3):keys():glom():collect()
        assert.equal(3, #parts)
        local count = 0
        for _, part in ipairs(parts) do
            for index = 2, #part do
                assert.is_true(part[index - 1] < part[index])
            end
            count = count + #part
        end
        assert.equal(60, count)
        local down = sc:parallelizePairs(numbers, 4):repartitionAndSortWithinPartitions(1, false):keys():collect()
        assert.equal(59, down[1])
        assert.equal(0, down[60])
    end)

    it("keep the partitioning of a union of datasets partitioned alike", function()
        local both = data:partitionBy(4):union(data:partitionBy(4))
        assert.equal(4, both:getNumPartitions())
        assert.same({ a = 18, b = 4, c = 8 }, both:reduceByKey(add):collectAsMap())
        assert.equal(2, select(2, both:reduceByKey(add):toDebugString():gsub("shuffle", "")))
        assert.equal(7, data:partitionBy(4):union(data):getNumPartitions())
        assert.equal(9, data:partitionBy(4):union(data:partitionBy(5)):getNumPartitions())
    end)

    it("agree with a plain model on random data", function()
        math.randomseed(20140917)
        for _ = 1, 25 do
            local a, b = {}, {}
            for index = 1, math.random(0, 40) do
                a[index] = { math.random(8), math.random(100) }
            end
            for index = 1, math.random(0, 40) do
                b[index] = { math.random(8), math.random(100) }
            end
            local expected = {}
            local matched = {}
            for _, x in ipairs(a) do
                local alone = true
                for at, y in ipairs(b) do
                    if x[1] == y[1] then
                        alone = false
                        matched[at] = true
                        expected[#expected + 1] = { x[1], { x[2], y[2] } }
                    end
                end
                if alone then
                    expected[#expected + 1] = { x[1], { x[2] } }
                end
            end
            for at, y in ipairs(b) do
                if not matched[at] then
                    expected[#expected + 1] = { y[1], { nil, y[2] } }
                end
            end
            local left = sc:parallelizePairs(a, math.random(4))
            local right = sc:parallelizePairs(b, math.random(4))
            if math.random(2) == 1 then
                left = left:partitionBy(math.random(4))
            end
            assert.same(sorted(expected), sorted(left:fullOuterJoin(right, math.random(5)):collect()))
        end
    end)
end)

describe("joins of streams", function()
    local pairs_of = { { { "a", 1 }, { "b", 2 } }, {}, { { "a", 5 }, { "a", 6 } } }
    local others = { { { "a", "x" }, { "c", "y" } }, { { "a", "z" } }, { { "a", "w" } } }

    local function run(build, inputs)
        return testing.run({ inputs = inputs or { pairs_of, others }, pairs = { true, true }, build = build, checkpoint = false })
    end

    local function texts(result)
        assert.is_nil(result.error)
        local list = {}
        for index, batch in ipairs(result.batches) do
            list[index] = table.concat(sorted(batch.records), " ")
        end
        return list
    end

    it("work batch by batch", function()
        assert.same({ "[a,[1,x]]", "", "[a,[5,w]] [a,[6,w]]" },
            texts(run(function(_, a, b) return a:join(b) end)))
        assert.same({ "[a,[1,x]] [b,[2]]", "", "[a,[5,w]] [a,[6,w]]" },
            texts(run(function(_, a, b) return a:leftOuterJoin(b, 3) end)))
        assert.same({ "[a,[1,x]] [c,[nil,y]]", "[a,[nil,z]]", "[a,[5,w]] [a,[6,w]]" },
            texts(run(function(_, a, b) return a:rightOuterJoin(b) end)))
        assert.same({ "[a,[1,x]] [b,[2]] [c,[nil,y]]", "[a,[nil,z]]", "[a,[5,w]] [a,[6,w]]" },
            texts(run(function(_, a, b) return a:fullOuterJoin(b) end)))
        assert.same({ "[a,[[1],[x]]] [b,[[2],[]]] [c,[[],[y]]]", "[a,[[],[z]]]", "[a,[[5,6],[w]]]" },
            texts(run(function(_, a, b) return a:cogroup(b) end)))
    end)

    it("follow operators by key without another shuffle", function()
        local parts = {}
        local result = run(function(_, a, b)
            return a:groupByKey(3):join(b:partitionBy(3), 3):transform(function(rdd)
                parts[#parts + 1] = select(2, rdd:toDebugString():gsub("shuffle", ""))
                return rdd
            end)
        end)
        assert.same({ "[a,[[1],x]]", "", "[a,[[5,6],w]]" }, texts(result))
        assert.same({ 2, 2, 2 }, parts)
    end)

    it("fail a batch for which a side generated no dataset", function()
        local result = run(function(_, a, b) return a:join(b) end, { pairs_of, { testing.NONE, {}, {} } })
        assert.matches("join %(.*joins_spec.lua:%d+%): stream 1 generated no dataset for batch 1000 ms",
            tostring(result.error))
    end)

    it("check their arguments", function()
        local ssc, other = engine.streaming(), engine.streaming()
        local stream, foreign = ssc:queueStream({}), other:queueStream({})
        assert.matches("joins_spec.lua:%d+: bad argument #1 to 'join' %(DStream expected, got nil%)",
            message(function() stream:join() end))
        assert.matches("bad argument #1 to 'cogroup' %(it belongs to another StreamingContext%)",
            message(function() stream:cogroup(foreign) end))
        assert.matches("bad argument #2 to 'fullOuterJoin' %(number of partitions: ",
            message(function() stream:fullOuterJoin(stream, 1.5) end))
        assert.matches("bad argument #1 to 'partitionBy' %(number of partitions: ",
            message(function() stream:partitionBy(0) end))
        ssc.sc:stop()
        other.sc:stop()
        assert.equal("(a,1)", text_form.pair("a", 1))
    end)
end)
