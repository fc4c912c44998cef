-- Actions that sum datasets up: statistics, the first records by an order, reducing in a tree, reading piece by piece.

local engine = require "spec.support.engine"
local order = require "moontide.operators.order"
local random = require "moontide.base.random"
local loop = require "moontide.driver.loop"
local moontide = require "moontide"

local message = engine.message

local function add(a, b) return a + b end

local function near(expected, got)
    return math.abs(expected - got) <= 1e-9 * math.max(1, math.abs(expected))
end

describe("statistics", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("of numbers", function()
        local numbers = sc:parallelize({ 5, 3, 8, 1, 9, 2 }, 4)
        assert.equal(28, numbers:sum())
        assert.is_true(near(28 / 6, numbers:mean()))
        assert.is_true(near(8.88888888888889, numbers:variance()))
        assert.is_true(near(math.sqrt(8.88888888888889), numbers:stdev()))
        assert.is_true(near(10.6666666666667, numbers:sampleVariance()))
        assert.is_true(near(math.sqrt(10.6666666666667), numbers:sampleStdev()))
        local s = numbers:stats()
        assert.same({ 6, 28, 1, 9 }, { s.count, s.sum, s.min, s.max })
        assert.equal("(count: 6, mean: 4.666666666666667, stdev: 2.9814239699997196, max: 9, min: 1)", tostring(s))
    end)

    it("do not lose precision far from zero", function()
        local numbers = sc:parallelize({ 1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16 }, 3)
        assert.is_true(near(22.5, numbers:variance()))
        assert.is_true(near(30, numbers:sampleVariance()))
    end)

    it("of nothing and of one number", function()
        for _, nothing in ipairs({ sc:emptyRDD(), sc:parallelize({}, 3) }) do
            assert.equal(0, nothing:sum())
            for _, name in ipairs({ "mean", "variance", "stdev", "sampleVariance", "sampleStdev" }) do
                local value = nothing[name](nothing)
                assert.is_true(value ~= value)
            end
            local s = nothing:stats()
            assert.same({ 0, 0, math.huge, -math.huge }, { s.count, s.sum, s.min, s.max })
        end
        local one = sc:parallelize({ 7 })
        assert.equal(7, one:mean())
        assert.equal(0, one:variance())
        assert.is_true(one:sampleVariance() ~= one:sampleVariance())
    end)

    it("refuse other records", function()
        assert.matches('rdd_numbers_spec.lua:%d+: sum: needs single numbers, but the record is "1"',
            message(function() sc:parallelize({ 1, "1" }, 1):sum() end))
        assert.matches('mean: needs single numbers, but the record is the pair %("a", 1%)',
            message(function() sc:parallelizePairs({ { "a", 1 } }):mean() end))
    end)

    it("agree with a plain computation on random numbers", function()
        local draw = random.new(3, 0)
        local list, sum = {}, 0
        for index = 1, 5000 do
            list[index] = draw() * 100 - 20
            sum = sum + list[index]
        end
        local squares = 0
        for _, x in ipairs(list) do
            squares = squares + (x - sum / 5000) ^ 2
        end
        local s = sc:parallelize(list, 7):stats()
        assert.is_true(near(sum, s.sum) and near(sum / 5000, s.mean) and near(squares / 5000, s.variance)
            and near(squares / 4999, s.sampleVariance))
    end)
end)

describe("histogram", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    local function both(...)
        return { ... }
    end

    it("counts in buckets of equal width", function()
        assert.same({ { 1, 3, 5, 7, 9 }, { 2, 1, 1, 2 } }, both(sc:parallelize({ 5, 3, 8, 1, 9, 2 }, 3):histogram(4)))
        assert.same({ { 0, 25, 50 }, { 25, 26 } }, both(sc:range(51):histogram(2)))
        assert.same({ { 7, 7 }, { 3 } }, both(sc:parallelize({ 7, 7, 7 }):histogram(5)))
    end)

    it("counts in given buckets", function()
        local numbers = sc:parallelize({ -1, 0, 4.9, 5, 10, 10.1 }, 3)
        assert.same({ { 0, 5, 10 }, { 2, 2 } }, both(numbers:histogram({ 0, 5, 10 })))
        assert.same({ 0, 0 }, select(2, sc:emptyRDD():histogram({ 0, 1, 2 })))
        assert.same({ 3, 4 }, select(2, sc:parallelize({ 1, 2, 2, 5, 6, 7, 8 }, 2):histogram({ -math.huge, 5, math.huge })))
    end)

    it("checks its arguments and numbers", function()
        local numbers = sc:parallelize({ 1, 2 })
        assert.matches("rdd_numbers_spec.lua:%d+: bad argument #1 to 'histogram' %(", message(function() numbers:histogram() end))
        assert.matches("bad argument #1 to 'histogram' %(a number from 1 to", message(function() numbers:histogram(0) end))
        assert.matches("at least two boundaries are needed, got 1", message(function() numbers:histogram({ 1 }) end))
        assert.matches("the boundaries must ascend, but 1 follows 1", message(function() numbers:histogram({ 1, 1 }) end))
        assert.matches("boundary 2: number expected, got string", message(function() numbers:histogram({ 1, "2" }) end))
        assert.matches("'histogram': the dataset is empty", message(function() sc:emptyRDD():histogram(2) end))
        assert.matches("'histogram': the dataset is empty", message(function() sc:parallelize({ 1, 1 / 0 }):histogram(2) end))
        assert.matches("histogram needs numbers, but a record is x",
            message(function() sc:parallelize({ "x" }):histogram({ 1, 2 }) end))
    end)
end)

describe("records by order", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("top and takeOrdered", function()
        local numbers = sc:parallelize({ 5, 3, 8, 1, 9, 2, 8 }, 3)
        assert.same({ 9, 8, 8 }, numbers:top(3))
        assert.same({ 1, 2, 3 }, numbers:takeOrdered(3))
        assert.same({ 1, 2, 3, 5, 8, 8, 9 }, numbers:takeOrdered(100))
        assert.same({}, numbers:top(0))
        assert.same({}, sc:emptyRDD():takeOrdered(2))
        assert.same({ 1, 2 }, numbers:top(2, function(x) return -x end))
        assert.same({ "ccc", "bb" }, sc:parallelize({ "a", "ccc", "bb" }, 2):top(2, function(w) return #w end))
        -- Equal ones: the earlier comes first.
        assert.same({ "a", "b", "c" }, sc:parallelize({ "a", "b", "c", "d" }, 3):top(3, function() return 1 end))
    end)

    it("of pairs go by key and value, or by a function", function()
        local counts = sc:parallelizePairs({ { "b", 2 }, { "a", 9 }, { "b", 1 }, { "c", 5 } }, 3)
        assert.same({ { "c", 5 }, { "b", 2 }, { "b", 1 } }, counts:top(3))
        assert.same({ { "a", 9 }, { "c", 5 } }, counts:top(2, function(_, n) return n end))
        assert.same({ "a", 9 }, counts:min())
        assert.same({ "a", 9 }, counts:max(function(_, n) return n end))
    end)

    it("max and min", function()
        local numbers = sc:parallelize({ 5, 3, 8 }, 4)
        assert.equal(8, numbers:max())
        assert.equal(3, numbers:min())
        assert.equal(5, numbers:min(function(x) return math.abs(x - 6) end))
        assert.equal("b", sc:parallelize({ "a", "b" }):max())
        assert.matches("rdd_numbers_spec.lua:%d+: 'max': the dataset is empty", message(function() sc:emptyRDD():max() end))
        assert.matches("'min': the dataset is empty", message(function() sc:parallelize({}, 2):min() end))
    end)

    it("agree with sorting on random records", function()
        local draw = random.new(8, 0)
        for _ = 1, 10 do
            local list = {}
            for index = 1, math.floor(draw() * 300) do
                list[index] = math.floor(draw() * 100)
            end
            local n = math.floor(draw() * 40)
            local rdd = sc:parallelize(list, 1 + math.floor(draw() * 5))
            table.sort(list)
            local first, last = {}, {}
            for index = 1, math.min(n, #list) do
                first[index], last[index] = list[index], list[#list + 1 - index]
            end
            assert.same(first, rdd:takeOrdered(n))
            assert.same(last, rdd:top(n))
        end
    end)

    it("check their arguments", function()
        local numbers = sc:parallelize({ 1 })
        assert.matches("rdd_numbers_spec.lua:%d+: bad argument #1 to 'top' %(", message(function() numbers:top() end))
        assert.matches("bad argument #2 to 'takeOrdered' %(function expected, got number%)",
            message(function() numbers:takeOrdered(1, 2) end))
        assert.matches("bad argument #1 to 'max' %(function expected, got string%)", message(function() numbers:max("x") end))
        assert.matches("the key function returned nil", message(function() numbers:top(1, function() end) end))
    end)

    it("order values of all kinds like sortByKey", function()
        local values = { { "x" }, "b", 2, true, moontide.null, "a", -1, false, { 1, 5 }, { 1, 2 }, 1.5, 9007199254740993LL,
            { z = 1 }, { a = 2 } }
        local by_key = {}
        for index, value in ipairs(values) do
            by_key[index] = { value, index }
        end
        local rdd = sc:parallelizePairs(by_key, 3)
        local expected = rdd:sortByKey(true, 1):values():collect()
        local got = {}
        for index, value in ipairs(rdd:keys():takeOrdered(#values)) do
            for at, other in ipairs(values) do
                if order.compare(value, other) == 0 then
                    got[index] = at
                end
            end
        end
        assert.same(expected, got)
    end)
end)

describe("reducing in a tree", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("gives what reduce and aggregate give", function()
        for _, n in ipairs({ 1, 2, 7, 40 }) do
            local numbers = sc:range(0, 100, 1, n)
            for depth = 1, 4 do
                assert.equal(4950, numbers:treeReduce(add, depth))
                assert.equal(4950, numbers:treeAggregate(0, add, add, depth))
            end
        end
        assert.equal(6, sc:parallelize({ 1, 2, 3 }, 50):treeReduce(add))
        local sets = sc:parallelize({ "a", "b", "a" }, 9):treeAggregate({}, function(set, x)
            set[x] = true
            return set
        end, function(a, b)
            for x in pairs(b) do
                a[x] = true
            end
            return a
        end)
        assert.same({ a = true, b = true }, sets)
    end)

    it("of nothing", function()
        assert.matches("rdd_numbers_spec.lua:%d+: 'treeReduce': the dataset is empty",
            message(function() sc:emptyRDD():treeReduce(add) end))
        assert.matches("'treeReduce': the dataset is empty", message(function() sc:parallelize({}, 3):treeReduce(add) end))
        assert.equal(7, sc:emptyRDD():treeAggregate(7, add, add))
        for _, rdd in ipairs { sc:emptyRDD(), sc:parallelize({}, 3), sc:parallelize({ 1 }, 1) } do
            local zero = { n = {} }
            local result = rdd:treeAggregate(zero, function(acc) acc.n[1] = 1 return acc end, function(a) return a end)
            result.n.mine = true
            assert.same({ n = {} }, zero) -- what comes back is not the script's own table
        end
        assert.equal(0, sc:parallelize({}, 3):treeAggregate(0, add, add))
    end)

    it("checks its arguments", function()
        local numbers = sc:parallelize({ 1 })
        assert.matches("rdd_numbers_spec.lua:%d+: bad argument #1 to 'treeReduce' %(function expected",
            message(function() numbers:treeReduce() end))
        assert.matches("bad argument #2 to 'treeReduce' %(a number from 1 to 32 expected, got 0%)",
            message(function() numbers:treeReduce(add, 0) end))
        assert.matches("bad argument #1 to 'treeAggregate' %(the zero value is nil%)",
            message(function() numbers:treeAggregate(nil, add, add) end))
    end)
end)

describe("toLocalIterator", function()
    engine.watch(after_each)

    it("computes one partition after the other", function()
        local sc = engine.context()
        local list = {}
        for x in sc:parallelize({ 1, 2, false, 4, 5 }, 7):toLocalIterator() do
            list[#list + 1] = x
        end
        assert.same({ 1, 2, false, 4, 5 }, list)
        local next_record = sc:parallelize({ 1, 2, 3 }, 3):map(function(x)
            if x == 3 then
                error("too far")
            end
            return x, x
        end):toLocalIterator()
        assert.same({ 1, 1 }, next_record())
        assert.same({ 2, 2 }, next_record())
        assert.matches("too far", message(next_record))
        assert.is_nil(sc:emptyRDD():toLocalIterator()())
    end)

    it("has one record at a time in the script's memory", function()
        local sc = engine.context()
        local next_record = sc:range(0, 200000, 1, 1):map(function(i) return ("x"):rep(40) .. i, i end):toLocalIterator()
        for i = 0, 1000 do
            assert.equal(i, next_record()[2])
        end
        collectgarbage()
        collectgarbage()
        local kilobytes = collectgarbage("count")
        local last
        for record in next_record do last = record end
        assert.equal(199999, last[2])
        collectgarbage()
        collectgarbage()
        assert(collectgarbage("count") > kilobytes - 4096, "the other records were in memory, more than 100 bytes each")
    end)

    -- Two outputs of one batch: the first reads one partition of many records, until on_record() is true; the second calls some
    -- actions once the first has begun to read, then `work`. Returns how far the first came.
    local function two_outputs(ssc, on_record, work)
        local seen
        ssc:queueStream({ ssc.sc:range(0, 3000000, 1, 1) }):foreachRDD(function(rdd)
            for x in rdd:toLocalIterator() do
                seen = x
                if on_record() then break end
            end
        end)
        ssc:queueStream({ { 1 } }):foreachRDD(function(rdd)
            repeat rdd:map(function(x) return x end):collect() until seen
            for _ = 1, 5 do rdd:map(function(x) return x end):collect() end
            work()
        end)
        ssc:start()
        ssc.life.graph:advance(1000)
        loop.run_until(function() return ssc.life.state == "STOPPED" or ssc.life.tasks == 0 and ssc.life.graph:idle() end)
        return seen
    end

    it("lets other outputs go on while it is read in foreachRDD", function()
        local ssc = engine.streaming(1000, { concurrentJobs = 2 })
        local done = false
        local seen = two_outputs(ssc, function() return done end, function() done = true end)
        assert(seen < 2999999, "the other output had to wait")
    end)

    it("ends when the streams are stopped meanwhile", function()
        local ssc = engine.streaming(1000, { concurrentJobs = 2 })
        local seen = two_outputs(ssc, function() end, function() ssc:stop(false, false) end)
        loop.run_until(function() return ssc.life.state == "STOPPED" end)
        assert(seen < 2999999, "it was read to its end")
    end)

    it("reads text, strings and pairs of several blocks", function()
        local sc = engine.context()
        local list = {}
        for i = 1, 5000 do list[i] = ("%d %s"):format(i, ("x"):rep(i % 90)) end
        local numbers = sc:parallelize(list, 3)
        local both = numbers:union(numbers)
        local seen = {}
        for line in both:toLocalIterator() do seen[#seen + 1] = line end
        assert.same(both:collect(), seen)
        local pairs_seen = {}
        local keyed = both:map(function(line) return #line, { line } end):groupByKey(4)
        for pair in keyed:toLocalIterator() do pairs_seen[#pairs_seen + 1] = pair end
        assert.same(keyed:collect(), pairs_seen)
        local lines = sc:textFile("README.md")
        seen = {}
        for line in lines:toLocalIterator() do seen[#seen + 1] = line end
        assert.same(lines:collect(), seen)
    end)
end)

describe("random numbers", function()
    it("are spread evenly, and differ from seed to seed and stream to stream", function()
        local seen = {}
        for seed = 0, 3 do
            for stream = -1, 3 do
                local draw = random.new(seed, stream)
                local first, sum = draw(), 0
                assert.is_nil(seen[first])
                seen[first] = true
                local buckets = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
                for _ = 1, 20000 do
                    local x = draw()
                    assert(x >= 0 and x < 1)
                    sum = sum + x
                    local at = math.floor(x * 10) + 1
                    buckets[at] = buckets[at] + 1
                end
                assert.is_true(math.abs(sum / 20000 - 0.5) < 0.012)
                for _, n in ipairs(buckets) do
                    assert.is_true(math.abs(n - 2000) < 220)
                end
            end
        end
    end)

    it("are Poisson distributed where that is asked for", function()
        local draw = random.new(1, 1)
        for _, mean in ipairs({ 0, 0.3, 4, 1200 }) do
            local n, sum, squares = 2000, 0, 0
            for _ = 1, n do
                local x = random.poisson(draw, mean)
                sum, squares = sum + x, squares + x * x
            end
            assert.is_true(math.abs(sum / n - mean) <= 5 * math.sqrt(mean / n))
            local variance = squares / n - (sum / n) ^ 2
            assert.is_true(math.abs(variance - mean) <= 0.25 * mean)
        end
    end)
end)

describe("merging statistics with nothing", function()
    engine.watch(after_each)

    local huge, most = math.huge, 1.7e308

    local function figures(stats)
        local list = {}
        for index, name in ipairs { "count", "sum", "mean", "min", "max", "variance", "sampleVariance" } do
            local x = stats[name]
            list[index] = x ~= x and "nan" or x
        end
        return list
    end

    it("changes nothing: an infinite or very large number in one of several partitions", function()
        local sc = engine.context()
        for _, case in ipairs {
            { { 1.8e308 }, { 1, huge, huge, huge, huge, "nan", "nan" } },
            { { -huge }, { 1, -huge, -huge, -huge, -huge, "nan", "nan" } },
            { { huge, huge }, { 2, huge, huge, huge, huge, "nan", "nan" } },
            { { huge, 1, 2, 3 }, { 4, huge, huge, 1, huge, "nan", "nan" } },
            { { 1, 2, 3, huge }, { 4, huge, huge, 1, huge, "nan", "nan" } },
            { { 1, huge, -huge }, { 3, "nan", "nan", -huge, huge, "nan", "nan" } },
            { { most }, { 1, most, most, most, most, 0, "nan" } },
            { { most, most }, { 2, huge, most, most, most, 0, 0 } },
            { { -most, most }, { 2, 0, 0, -most, most, huge, huge } },
            { { 1e200, 1e200, -1e200 }, { 3, 1e200, 1e200 / 3, -1e200, 1e200, huge, huge } },
            { {}, { 0, 0, "nan", huge, -huge, "nan", "nan" } },
        } do
            for _, partitions in ipairs { 1, 2, 4, 7 } do
                local got = figures(sc:parallelize(case[1], partitions):stats())
                if got[3] ~= case[2][3] and got[3] ~= "nan" and math.abs(got[3] / case[2][3] - 1) < 1e-15 then got[3] = case[2][3] end
                assert.same(case[2], got)
            end
        end
    end)

    it("changes nothing in sums, counts and histograms either", function()
        local sc = engine.context()
        for _, partitions in ipairs { 1, 4, 9 } do
            assert.equal(huge, sc:parallelize({ 1.8e308 }, partitions):sum())
            assert.equal(huge, sc:parallelize({ 1.8e308, 1 }, partitions):mean())
            assert.equal(most, sc:parallelize({ most }, partitions):sum())
            assert.same({ 0, 1 }, select(2, sc:parallelize({ 1.8e308 }, partitions):histogram({ 0, 1, huge })))
            assert.same({ most, most }, sc:parallelize({ most }, partitions):histogram(3))
            assert.equal(1, (sc:parallelize({ 1.8e308 }, partitions):countApprox("1min")))
            assert.equal(huge, sc:parallelize({ huge }, partitions):fold(0, function(a, b) return a + b end))
            assert.equal(huge, sc:parallelize({ huge }, partitions):reduce(function(a, b) return a * b end))
            assert.equal(huge, sc:parallelize({ huge }, partitions):treeReduce(function(a, b) return a * b end))
            assert.equal(huge, sc:parallelize({ huge }, partitions):max())
        end
    end)

    it("changes nothing in windows: a number that is in one of their batches", function()
        local testing = require "moontide.testing"
        for _, inverse in ipairs { false, true } do
            local result = testing.run {
                inputs = { { { { "a", math.huge } }, {}, {}, { { "a", 1 } } } }, pairs = { true }, batches = 5,
                build = function(_, stream)
                    if inverse then
                        return stream:reduceByKeyAndWindow(add, function(a, b) return a - b end, "3s", "1s")
                    end
                    return stream:reduceByKeyAndWindow(add, "3s", "1s")
                end,
            }
            for batch = 1, 3 do
                assert.same({ { "a", math.huge } }, result.batches[batch].records)
            end
        end
    end)
end)

describe("numbers of other kinds", function()
    engine.watch(after_each)

    it("64-bit integers count", function()
        local sc = engine.context()
        assert.equal(2 ^ 53 + 2, sc:parallelize({ 9007199254740993LL, 1LL, 1 }):sum())
        local s = sc:parallelize({ 1LL, 2, 3ULL }):stats()
        assert.same({ 1, 3, 2 }, { s.min, s.max, s.mean })
        assert.matches("needs single numbers, but the record is null",
            engine.message(function() sc:parallelize({ 1, require("moontide").null }):sum() end))
    end)
end)

describe("countApprox", function()
    engine.watch(after_each)

    it("is exact when there is time", function()
        local sc = engine.context()
        local about, bounds = sc:range(0, 1000, 1, 7):filter(function(x) return x % 2 == 0 end):countApprox("1min")
        assert.equal(500, about)
        assert.same({ low = 500, high = 500, confidence = 1, final = true }, bounds)
        assert.equal(0, (sc:emptyRDD():countApprox(1)))
    end)

    it("estimates from the first partitions when there is none", function()
        local sc = engine.context("local[2]")
        local about, bounds = sc:range(0, 100000, 1, 50):filter(function(x) return x % 2 == 0 end):countApprox(0)
        assert.is_false(bounds.final)
        assert.equal(0.95, bounds.confidence)
        assert.is_true(bounds.low < 50000 and 50000 < bounds.high and math.abs(about - 50000) < 500)
        local _, wider = sc:range(0, 100000, 1, 50):map(function(x) return x end):countApprox(0, 0.999)
        local _, narrower = sc:range(0, 100000, 1, 50):map(function(x) return x end):countApprox(0, 0.5)
        assert.is_true(wider.high > narrower.high and wider.low < narrower.low)
        -- 1.96 and 0.674 standard deviations
        local spread = (wider.high - wider.low) / (narrower.high - narrower.low)
        assert.is_true(math.abs(spread - 3.2905 / 0.67449) < 0.01)
    end)

    it("refuses what is no time or no probability", function()
        local rdd = engine.context():parallelize({ 1 })
        assert.matches("bad argument #1 to 'countApprox'", engine.message(function() rdd:countApprox("soon") end))
        assert.matches("a number from 0 to 1 expected, got 2", engine.message(function() rdd:countApprox(1, 2) end))
        assert.matches("use getNumPartitions", engine.message(function() return rdd.partitions end))
    end)
end)
