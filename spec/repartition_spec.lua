-- repartition, and what is built on it: partitions differ by one record at most, however the records lay before.

local engine = require "spec.support.engine"
local testing = require "moontide.testing"

local function sizes_of(partitions)
    local sizes = {}
    for index, partition in ipairs(partitions) do
        sizes[index] = #partition
    end
    return sizes
end

local function assert_even(sizes, records, partitions)
    local sum, most, least = 0, 0, math.huge
    for _, size in ipairs(sizes) do
        sum, most, least = sum + size, math.max(most, size), math.min(least, size)
    end
    local shown = table.concat(sizes, " ")
    assert.equal(partitions, #sizes)
    assert.equal(records, sum, shown)
    assert.is_true(most - least <= 1, shown)
end

-- Partitions of these sizes, of single records or pairs.
local function uneven(sc, sizes, as_pairs)
    local parts = {}
    for index, size in ipairs(sizes) do
        parts[index] = size
    end
    local rdd = sc:parallelize(parts, #parts):flatMap(function(size)
        local list = {}
        for n = 1, size do list[n] = n end
        return list
    end)
    return as_pairs and rdd:map(function(n) return n % 7, n end) or rdd
end

describe("repartition", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("spreads ten partitions of ten over twenty by fives", function()
        local spread = sc:parallelize((function() local t = {} for i = 1, 100 do t[i] = i end return t end)(), 10):repartition(20)
        assert.same({ 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5 }, sizes_of(spread:glom():collect()))
    end)

    it("gives 64 partitions one record each of eight by eight", function()
        local sizes = sizes_of(uneven(sc, { 8, 8, 8, 8, 8, 8, 8, 8 }):repartition(64):glom():collect())
        assert_even(sizes, 64, 64)
    end)

    it("is even within one record for partitions of any sizes", function()
        math.randomseed(11)
        for _ = 1, 40 do
            local sizes, records = {}, 0
            for index = 1, math.random(1, 9) do
                sizes[index] = math.random(0, 3) == 0 and 0 or math.random(0, 40)
                records = records + sizes[index]
            end
            local n = math.random(1, 30)
            for _, as_pairs in ipairs { false, true } do
                local rdd = uneven(sc, sizes, as_pairs)
                assert_even(sizes_of(rdd:repartition(n):glom():collect()), records, n)
                assert_even(sizes_of(rdd:coalesce(n, true):glom():collect()), records, n)
                assert_even(sizes_of(rdd:cache():repartition(n):glom():collect()), records, n)
            end
        end
    end)

    it("loses and doubles nothing", function()
        local rdd = uneven(sc, { 3, 0, 17, 5, 1 })
        local before, after = rdd:collect(), rdd:repartition(4):repartition(11):collect()
        table.sort(before)
        table.sort(after)
        assert.same(before, after)
    end)

    it("is even in every batch of a stream", function()
        local result = testing.run {
            inputs = { { { 1, 2, 3, 4, 5, 6, 7 }, { 1 }, {}, { 1, 2, 3, 4, 5, 6, 7, 8, 9 } } },
            partitions = 3,
            build = function(_, numbers) return numbers:repartition(5) end,
        }
        for index, records in ipairs { 7, 1, 0, 9 } do
            assert_even(sizes_of(result.batches[index].partitions), records, 5)
        end
    end)

    it("keeps the merging of treeReduce even", function()
        local function most(a, b) return { sum = a.sum + b.sum, parts = a.parts + b.parts } end
        local rdd = sc:range(0, 64, 1, 64):map(function(n) return { sum = n, parts = 1 } end)
        assert.same({ sum = 2016, parts = 64 }, rdd:treeReduce(most, 3))
    end)
end)
