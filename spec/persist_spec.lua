-- Keeping computed datasets. How often something is computed is seen in the files that the functions append to.

local moontide = require "moontide"
local engine = require "spec.support.engine"
local tempdir = require "spec.support.tempdir"

local message, sorted = engine.message, engine.sorted
local levels = moontide.StorageLevel

describe("persist", function()
    engine.watch(after_each)
    local sc, directory, log

    before_each(function()
        sc = engine.context()
        directory = tempdir.new()
        log = directory:file("log")
    end)

    after_each(function() directory:remove() end)

    -- How many records the functions made by `counted` have seen.
    local function seen()
        local file = io.open(log, "r")
        if not file then
            return 0
        end
        local text = file:read("*a")
        file:close()
        return #text
    end

    local function counted(rdd)
        local name = log
        return rdd:map(function(x)
            local file = assert(io.open(name, "a"))
            file:write("x")
            file:close()
            return x
        end)
    end

    it("computes once for several jobs", function()
        local numbers = counted(sc:parallelize({ 1, 2, 3, 4 }, 2))
        numbers:count()
        numbers:count()
        assert.equal(8, seen())
        local kept = counted(sc:parallelize({ 1, 2, 3, 4 }, 2)):persist()
        assert.equal(8, seen())
        assert.equal(4, kept:count())
        assert.same({ 1, 2, 3, 4 }, kept:collect())
        assert.same({ 2, 4 }, kept:filter(function(x) return x % 2 == 0 end):collect())
        assert.same({ 10 }, { kept:sum() })
        assert.equal(12, seen())
    end)

    it("computes all partitions for the first job, whatever it needs", function()
        local kept = counted(sc:parallelize({ 1, 2, 3, 4 }, 4)):cache()
        assert.same({ 1 }, kept:take(1))
        assert.equal(4, seen())
        assert.same({ 1, 2, 3, 4 }, kept:collect())
        assert.equal(4, seen())
    end)

    it("keeps what shuffles and joins made", function()
        local ones = sc:parallelizePairs({ { "a", 1 }, { "b", 1 }, { "a", 1 } }, 2)
        local sums = ones:reduceByKey(function(a, b) return a + b end):persist()
        local joined = sums:join(sums):persist()
        for _ = 1, 2 do
            assert.same({ "[a,[2,2]]", "[b,[1,1]]" }, sorted(joined:collect()))
            assert.same({ "[a,2]", "[b,1]" }, sorted(sums:collect()))
            assert.same({ 2 }, sums:lookup("a"))
        end
        assert.matches("persistent MEMORY_ONLY_SER, computed: 2 records, 2 in memory", joined:toDebugString())
    end)

    it("keeps lines of text as they are", function()
        directory:write("lines.txt", "one\ntwo\nthree\n")
        local lines = sc:textFile(directory:file("lines.txt")):persist()
        assert.equal(3, lines:count())
        directory:write("lines.txt", "changed\n")
        assert.same({ "one", "two", "three" }, lines:collect())
        assert.same({ 3, 3, 5 }, lines:map(function(line) return #line end):collect())
        assert.same({ { "one", 0 }, { "two", 1 }, { "three", 2 } }, lines:coalesce(1):zipWithIndex():collect())
    end)

    it("computes again after unpersist", function()
        local kept = counted(sc:parallelize({ 1, 2 }, 2)):persist()
        kept:count()
        assert.equal(kept, kept:unpersist())
        assert.equal(2, kept:count())
        assert.equal(4, seen())
        kept:unpersist():unpersist(true):persist(levels.DISK_ONLY)
        assert.same({ 1, 2 }, kept:collect())
        assert.same({ 1, 2 }, kept:collect())
        assert.equal(6, seen())
    end)

    it("gives memory back", function()
        local kept = sc:parallelize({ 1, 2, 3 }, 1):map(function(x) return ("x"):rep(100 * x) end):persist()
        kept:count()
        local with = engine.live_blocks()
        kept:unpersist()
        assert.equal(with - 1, engine.live_blocks())
    end)

    it("computes again what failed", function()
        local file = directory:file("allowed")
        local kept = sc:parallelize({ 1 }, 1):map(function(x)
            if not io.open(file, "r") then
                error("not yet")
            end
            return x
        end):persist()
        assert.matches("not yet", message(function() kept:count() end))
        directory:write("allowed", "")
        assert.equal(1, kept:count())
    end)

    it("refuses datasets that mix pairs and single values", function()
        local mixed = sc:parallelize({ 1 }):union(sc:parallelize({ 1 }):map(function(x) return x, 2 end)):persist()
        assert.matches("pairs and single values meet", message(function() mixed:collect() end))
    end)

    it("knows its level", function()
        local rdd = sc:parallelize({ 1 }):map(function(x) return x end)
        assert.equal(levels.NONE, rdd:getStorageLevel())
        assert.equal(levels.MEMORY_ONLY_SER, rdd:persist():getStorageLevel())
        assert.equal(rdd, rdd:persist(levels.MEMORY_ONLY_SER))
        assert.equal(rdd, rdd:cache())
        assert.matches("persist_spec.lua:%d+: 'persist': cannot change the storage level .* assigned a level %(MEMORY_ONLY_SER%); unpersist",
            message(function() rdd:persist(levels.MEMORY_ONLY) end))
        assert.matches("cannot change the storage level", message(function() rdd:persist(levels.NONE) end))
        for _, name in ipairs({ "DISK_ONLY", "DISK_ONLY_2", "MEMORY_ONLY", "MEMORY_ONLY_2", "MEMORY_ONLY_SER",
            "MEMORY_ONLY_SER_2", "MEMORY_AND_DISK", "MEMORY_AND_DISK_2", "MEMORY_AND_DISK_SER", "MEMORY_AND_DISK_SER_2", "OFF_HEAP" }) do
            assert.equal(levels[name], rdd:unpersist():persist(levels[name]):getStorageLevel())
            assert.matches(", persistent " .. name .. "\n", rdd:toDebugString())
        end
        assert.equal(levels.NONE, rdd:unpersist():getStorageLevel())
    end)

    it("checks its arguments", function()
        local rdd = sc:parallelize({ 1 })
        assert.matches("bad argument #1 to 'persist' %(StorageLevel expected, got string%)",
            message(function() rdd:persist("MEMORY_ONLY") end))
        assert.equal(levels.NONE, rdd:persist(levels.NONE):getStorageLevel())
        assert.matches("bad argument #1 to 'unpersist' %(boolean expected, got number%)",
            message(function() rdd:unpersist(1) end))
    end)

    it("gives datasets names", function()
        local rdd = sc:parallelize({ 1 })
        assert.is_nil(rdd:name())
        assert.equal("numbers", rdd:setName("numbers"):name())
        assert.matches(" numbers, blocks, 1 records", rdd:toDebugString())
        assert.is_nil(rdd:setName(nil):name())
        assert.matches("bad argument #1 to 'setName' %(string expected, got number%)", message(function() rdd:setName(1) end))
    end)
end)

describe("persist of streams", function()
    engine.watch(after_each)

    it("computes a batch once for all outputs, and forgets it with the batch", function()
        local ssc = engine.streaming()
        local directory = tempdir.new()
        local name = directory:file("log")
        local stream = ssc:queueStream({ { 1, 2 }, { 3 } }):map(function(x)
            local file = assert(io.open(name, "a"))
            file:write("x")
            file:close()
            return x
        end):persist()
        local got, kept = {}, {}
        for _ = 1, 2 do
            stream:foreachRDD(function(rdd)
                kept[#kept + 1] = rdd
                for _, x in ipairs(rdd:collect()) do
                    got[#got + 1] = x
                end
            end)
        end
        ssc:start()
        for _ = 1, 3 do
            engine.advance(ssc)
        end
        table.sort(got)
        assert.same({ 1, 1, 2, 2, 3, 3 }, got)
        assert.equal("xxx", directory:read("log"))
        assert.equal(levels.NONE, kept[1]:getStorageLevel())
        assert.matches("persist_spec.lua:%d+: 'cache': ", message(function() stream:cache() end))
        kept = nil
        ssc.sc:stop()
        directory:remove()
    end)
end)
