-- DStream: operators and outputs batch by batch, on a manual clock.

local moontide = require "moontide"
local engine = require "spec.support.engine"
local tempdir = require "spec.support.tempdir"
local testing = require "moontide.testing"

local message, sorted = engine.message, engine.sorted

local function add(a, b)
    return a + b
end

-- The records of each batch of a pipeline, on 1, 2 and 4 partitions; `unordered` sorts their text.
local function each_partitioning(inputs, build, pair_flags, fn)
    for _, n in ipairs({ 1, 2, 4 }) do
        local result = testing.run({ inputs = inputs, build = build, pairs = pair_flags, partitions = n })
        assert.is_nil(result.error)
        fn(result, n)
    end
end

local function gives(expected, inputs, build, pair_flags)
    each_partitioning(inputs, build, pair_flags, function(result)
        local got = {}
        for index, batch in ipairs(result.batches) do
            got[index] = table.concat(sorted(batch.records), " ")
        end
        assert.same(expected, got)
    end)
end

describe("streams", function()
    engine.watch(after_each)

    it("tell their context and their slide", function()
        local ssc = engine.streaming(1000)
        local numbers = ssc:queueStream({})
        assert.equal(ssc, numbers:context())
        assert.equal(1000, numbers:slideDuration())
        assert.equal(3000, numbers:window(4000, 3000):slideDuration())
    end)

    it("map, filter, flatMap", function()
        gives({ "1 2 3 4", "5 6", "" }, { { { 1, 2, 3, 4 }, { 5, 6 }, {} } }, function(_, a)
            return a:map(function(x) return tostring(x) end)
        end)
        gives({ "2 4", "6" }, { { { 1, 2, 3, 4 }, { 5, 6 } } }, function(_, a)
            return a:filter(function(x) return x % 2 == 0 end)
        end)
        gives({ "a b c", "" }, { { { "a b", "c" }, { "" } } }, function(_, a)
            return a:flatMap(function(line) return line:gmatch("%S+") end)
        end)
    end)

    it("mapPartitions, glom", function()
        local result = testing.run({ inputs = { { { 1, 2, 3, 4 }, {} } }, build = function(_, a)
            return a:mapPartitions(function(it)
                local sum = 0
                for x in it do
                    sum = sum + x
                end
                return { sum }
            end), a:glom()
        end })
        assert.is_nil(result.error)
        assert.same({ 3, 7 }, result.batches[1].records)
        assert.same({ 0, 0 }, result.batches[2].records)
        assert.same({ { 1, 2 }, { 3, 4 } }, result.second[1].records)
        assert.equal(2, #result.second[2].records)
    end)

    it("mapValues, flatMapValues", function()
        gives({ "[a,10] [b,20]" }, { { { { "a", 1 }, { "b", 2 } } } }, function(_, a)
            return a:mapValues(function(v) return v * 10 end)
        end, { true })
        gives({ "[a,1] [a,1]" }, { { { { "a", 1 } } } }, function(_, a)
            return a:flatMapValues(function(v) return { v, v } end)
        end, { true })
    end)

    it("count: always one number", function()
        gives({ "0", "2", "0" }, { { {}, { 1, 2 }, {} } }, function(_, a) return a:count() end)
    end)

    it("reduce: one record, nothing for an empty batch", function()
        gives({ "6", "", "4" }, { { { 1, 2, 3 }, {}, { 4 } } }, function(_, a) return a:reduce(add) end)
    end)

    it("countByValue, on single records and on pairs", function()
        gives({ "[a,2] [b,1]", "" }, { { { "a", "b", "a" }, {} } }, function(_, a) return a:countByValue() end)
        gives({ "[[a,1],2] [[a,2],1]" }, { { { { "a", 1 }, { "a", 2 }, { "a", 1 } } } }, function(_, a)
            return a:countByValue(3)
        end, { true })
    end)

    it("reduceByKey, groupByKey, combineByKey", function()
        local input = { { { { "a", 1 }, { "b", 2 }, { "a", 3 } }, {}, { { "b", 1 } } } }
        gives({ "[a,4] [b,2]", "", "[b,1]" }, input, function(_, a) return a:reduceByKey(add) end, { true })
        gives({ "[a,4] [b,2]", "", "[b,1]" }, input, function(_, a) return a:reduceByKey(add, 5) end, { true })
        gives({ "[a,2] [b,1]", "", "[b,1]" }, input, function(_, a)
            return a:groupByKey():mapValues(function(list) return #list end)
        end, { true })
        gives({ "[a,4] [b,2]", "", "[b,1]" }, input, function(_, a)
            return a:combineByKey(function(v) return { v } end,
                function(c, v) return { c[1] + v } end,
                function(x, y) return { x[1] + y[1] } end):mapValues(function(c) return c[1] end)
        end, { true })
    end)

    it("repartition", function()
        local result = testing.run({ inputs = { { { 1, 2, 3, 4 }, {} } }, partitions = 5, build = function(_, a)
            return a:repartition(2)
        end })
        assert.equal(2, #result.batches[1].partitions)
        assert.same({ "1", "2", "3", "4" }, sorted(result.batches[1].records))
        assert.equal(2, #result.batches[2].partitions)
    end)

    it("union: this one's partitions first", function()
        local result = testing.run({ inputs = { { { 1, 2 }, { 3 } }, { { 4 }, {} }, { { 5 }, { 6 } } }, partitions = 1,
            build = function(ssc, a, b, c)
                return a:union(b), ssc:union({ a, b, c })
            end })
        assert.same({ { 1, 2 }, { 4 } }, result.batches[1].partitions)
        assert.same({ 3 }, result.batches[2].records)
        assert.same({ 1, 2, 4, 5 }, result.second[1].records)
        assert.same({ 3, 6 }, result.second[2].records)
    end)

    it("transform: the function runs for each batch, in the driver", function()
        local calls = {}
        gives({ "1001 1002", "", "3003" }, { { { 1, 2 }, {}, { 3 } } }, function(_, a)
            return a:transform(function(rdd, time)
                calls[#calls + 1] = time
                return rdd:map(function(x) return x + time end)
            end)
        end)
        assert.same({ 1000, 2000, 3000, 1000, 2000, 3000, 1000, 2000, 3000 }, calls)
    end)

    it("transform: actions inside", function()
        gives({ "2:1 2:2", "0:", "1:3" }, { { { 1, 2 }, {}, { 3 } } }, function(_, a)
            return a:transform(function(rdd)
                local n = rdd:count()
                return n == 0 and rdd:context():parallelize({ "0:" }) or rdd:map(function(x) return n .. ":" .. x end)
            end)
        end)
    end)

    it("transformWith and transform of several streams", function()
        local inputs = { { { 1, 2 }, {} }, { { 2, 3 }, { 4 } } }
        gives({ "1 2 3", "4" }, inputs, function(_, a, b)
            return a:transformWith(b, function(x, y, time)
                return time > 0 and x:union(y):distinct() or x
            end)
        end)
        gives({ "1 2 2 3", "4" }, inputs, function(ssc, a, b)
            return ssc:transform({ a, b }, function(rdds) return rdds[1]:union(rdds[2]) end)
        end)
    end)

    it("share one stream between several outputs", function()
        local result = testing.run({ inputs = { { { 1, 2 }, { 3 } } }, build = function(_, a)
            local doubled = a:map(function(x) return x * 2 end)
            return doubled:reduce(add), doubled:count()
        end })
        assert.same({ 6 }, result.batches[1].records)
        assert.same({ 2 }, result.second[1].records)
    end)
end)

describe("a batch without a dataset", function()
    local NONE = testing.NONE

    it("is passed over by operators and outputs", function()
        local calls = 0
        local result = testing.run({ inputs = { { { 1 }, NONE, { 3 } } }, build = function(_, a)
            a:foreachRDD(function() calls = calls + 1 end)
            return a:map(function(x) return x end):count()
        end })
        assert.is_nil(result.error)
        assert.equal(2, calls)
        assert.same({ 1000, 3000 }, { result.batches[1].time, result.batches[2].time })
    end)

    it("is an error for union and transform", function()
        for _, build in ipairs({
            function(_, a, b) return a:union(b) end,
            function(ssc, a, b) return ssc:union({ b, a }) end,
            function(_, a) return a:transform(function(rdd) return rdd end) end,
            function(_, a, b) return b:transformWith(a, function(x) return x end) end,
        }) do
            local result = testing.run({ inputs = { { { 1 }, NONE, { 3 } }, { { 1 }, { 2 }, { 3 } } }, build = build })
            assert.equal(1, #result.batches)
            assert.matches("no dataset for batch 2000 ms", tostring(result.error), 1, true)
        end
    end)
end)

describe("definitions", function()
    engine.watch(after_each)

    it("check their arguments", function()
        local ssc = engine.streaming()
        local stream = ssc:queueStream({})
        local function refused(fn)
            return message(fn)
        end
        assert.matches("dstream_spec.lua:%d+: bad argument #1 to 'map' %(function expected, got nil%)",
            refused(function() stream:map() end))
        assert.matches("#1 to 'union' (DStream expected, got table)",
            refused(function() stream:union({}) end), 1, true)
        assert.matches("#1 to 'union' (DStream expected, got RDD)",
            refused(function() stream:union(ssc.sc:emptyRDD()) end), 1, true)
        assert.matches("#1 to 'transformWith' (DStream expected, got function)",
            refused(function() stream:transformWith(print) end), 1, true)
        assert.matches("#1 to 'foreachRDD' (function expected, got string)",
            refused(function() stream:foreachRDD("x") end), 1, true)
        assert.matches("#1 to 'print' (whole number expected, got string)",
            refused(function() stream:print("x") end), 1, true)
        assert.matches("#1 to 'print' (a number from 0", refused(function() stream:print(-1) end), 1, true)
        assert.matches("#1 to 'saveAsTextFiles' (string expected, got number)",
            refused(function() stream:saveAsTextFiles(1) end), 1, true)
        assert.matches("#1 to 'repartition' (number of partitions: ",
            refused(function() stream:repartition(0) end), 1, true)
        assert.matches("'union': the list is empty", refused(function() ssc:union({}) end), 1, true)
        assert.matches("position 2, got number", refused(function() ssc:union({ stream, 2 }) end), 1, true)
        assert.matches("#2 to 'transform' (function expected, got nil)",
            refused(function() ssc:transform({ stream }) end), 1, true)
        assert.matches("#1 to 'socketTextStream' (string expected, got nil)",
            refused(function() ssc:socketTextStream() end), 1, true)
        assert.matches("#2 to 'socketTextStream' (a number from 1 to 65535 expected, got 0)",
            refused(function() ssc:socketTextStream("localhost", 0) end), 1, true)
        assert.matches("#3 to 'socketTextStream' (StorageLevel expected, got string)",
            refused(function() ssc:socketTextStream("localhost", 1, "MEMORY_ONLY") end), 1, true)
        assert.matches("no storage level 'MEMORY'; did you mean",
            refused(function() return moontide.StorageLevel.MEMORY end), 1, true)
    end)

    it("refuse streams of another context", function()
        local a, b = engine.streaming(), engine.streaming()
        local x, y = a:queueStream({}), b:queueStream({})
        assert.matches("dstream_spec.lua:%d+: 'union': the stream at position 2 belongs to another StreamingContext",
            message(function() x:union(y) end))
        assert.matches("belongs to another StreamingContext", message(function() a:union({ x, y }) end), 1, true)
        assert.matches("belongs to another StreamingContext",
            message(function() x:transformWith(y, function(r) return r end) end), 1, true)
        assert.matches("belongs to another StreamingContext",
            message(function() a:transform({ y }, function(r) return r[1] end) end), 1, true)
    end)

    it("refuse functions that cannot be shipped", function()
        local ssc = engine.streaming()
        local stream = ssc:queueStream({})
        assert.matches("map: the function at .*dstream_spec.lua:%d+ uses the DStream 'stream'",
            message(function() stream:map(function() return stream end) end))
        assert.matches("uses the StreamingContext 'ssc'",
            message(function() stream:filter(function() return ssc end) end), 1, true)
        local co = coroutine.create(print)
        assert.matches("'co'", message(function() stream:map(function() return co end) end), 1, true)
    end)
end)

describe("outputs", function()
    engine.watch(after_each)

    it("foreachRDD: dataset and time, for empty batches too", function()
        local seen = {}
        testing.run({ inputs = { { { 1 }, {}, { 2, 3 } } }, build = function(_, a)
            a:foreachRDD(function(rdd, time)
                seen[#seen + 1] = { time, rdd:count(), rdd:isEmpty() }
            end)
        end })
        assert.same({ { 1000, 1, false }, { 2000, 0, true }, { 3000, 2, false } }, seen)
    end)

    it("run in the order of their registration", function()
        local seen = {}
        testing.run({ inputs = { { { 1 }, { 2 } } }, build = function(_, a)
            for index = 1, 3 do
                a:foreachRDD(function(rdd, time)
                    rdd:count()
                    rdd:map(function(x) return x end):collect()
                    seen[#seen + 1] = time .. ":" .. index
                end)
            end
        end })
        assert.same({ "1000:1", "1000:2", "1000:3", "2000:1", "2000:2", "2000:3" }, seen)
    end)

    it("wait for actions in coroutines and callbacks of the script too", function()
        local seen = {}
        local result = testing.run({ inputs = { { { 3, 1, 2 } } }, build = function(_, a)
            a:foreachRDD(function(rdd)
                local co = coroutine.wrap(function() coroutine.yield(rdd:map(function(x) return x end):collect()) end)
                seen[1] = #co()
                local list = { 3, 1, 2 }
                table.sort(list, function(x, y)
                    return rdd:map(function(v) return v end):count() == 3 and x < y
                end)
                seen[2] = table.concat(list)
            end)
        end })
        assert.is_nil(result.error)
        assert.same({ 3, "123" }, seen)
    end)

    it("saveAsTextFiles: a directory for each batch", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        dir:write("out-2000.txt/part-00007", "stale\n")
        local result = testing.run({ inputs = { { { "a", "b" }, { "c" }, {} } }, build = function(_, a)
            a:map(function(x) return x, 1 end):saveAsTextFiles(dir:file("out"), "txt")
        end })
        assert.is_nil(result.error)
        assert.equal("(a,1)\n", dir:read("out-1000.txt/part-00000"))
        assert.equal("(b,1)\n", dir:read("out-1000.txt/part-00001"))
        assert.equal("", dir:read("out-1000.txt/_SUCCESS"))
        assert.equal("(c,1)\n", dir:read("out-2000.txt/part-00001"))
        assert.is_nil(dir:read("out-2000.txt/part-00007"))
        assert.equal("", dir:read("out-3000.txt/_SUCCESS"))
        local name = require("moontide.driver.save").name
        assert.equal("out-1000", name("out", nil, 1000))
        assert.equal("out-1000", name("out", "", 1000))
        assert.equal("1000.txt", name("", "txt", 1000))
        assert.equal("1000", name(nil, nil, 1000))
        assert.equal("/d/x-1357008430000.res", name("/d/x", "res", 1357008430000))
    end)

    it("fail the batch when a directory cannot be written", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        dir:write("file", "")
        local result = testing.run({ inputs = { { { "a" } } }, build = function(_, a)
            a:saveAsTextFiles(dir:file("file/out"))
        end })
        assert.equal("EIO", result.error.code)
        assert.matches("there is a file of that name", tostring(result.error), 1, true)
        assert.matches("in saveAsTextFiles %(.*dstream_spec.lua:%d+%), batch 1000 ms", tostring(result.error))
    end)
end)

describe("mapPartitionsWithIndex", function()
    engine.watch(after_each)

    it("tells each partition its number", function()
        local result = require("moontide.testing").run {
            inputs = { { { "a", "b", "c" }, {} } }, partitions = 3,
            build = function(_, stream)
                return stream:mapPartitionsWithIndex(function(index, it)
                    local count = 0
                    for _ in it do count = count + 1 end
                    return { index .. ":" .. count }
                end)
            end,
        }
        assert.is_nil(result.error)
        assert.same({ "0:1", "1:1", "2:1" }, result.batches[1].records)
        assert.same({ "0:0", "1:0", "2:0" }, result.batches[2].records)
    end)
end)
