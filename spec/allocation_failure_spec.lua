-- An allocation of bulk memory that fails ends a job with the error code ENOMEM and a line of the script, wherever it happens:
-- while the driver packs, in the operators of a task, in the kernels, in files, in the result. Each job runs once for each of the
-- first allocations that it makes; that one fails, and all others succeed.

local errors = require "moontide.base.errors"
local engine = require "spec.support.engine"
local fault = require "spec.support.fault"
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"
local testing = require "moontide.testing"

local LAST = 60
local ENOUGH = 4 -- runs in a row that succeed: the job makes no more allocations
-- Sanitized programs are slow: they see every third allocation.
local STEP = (os.getenv "MOONTIDE_SANITIZE" or "") ~= "" and 3 or 1

-- Runs `job` with each allocation failing in turn. Returns how often that ended in ENOMEM.
local function fail_each(job)
    local failed, succeeded = 0, 0
    for skip = 0, LAST, STEP do
        fault.arm("alloc", skip, 1)
        local ok, err = pcall(job)
        fault.clear()
        succeeded = ok and succeeded + 1 or 0
        if not ok then
            failed = failed + 1
            local text = errors.text(err)
            local context = ("allocation %d: %s"):format(skip, text)
            assert(errors.is(err), context)
            assert.equal("ENOMEM", err.code, context)
            assert(text:find("allocation_failure_spec.lua:%d+"), context)
            assert(not text:find("stack traceback") and not text:find("moontide/", 1, true) and not text:find("stage#"), context)
        elseif succeeded == ENOUGH then
            break
        end
    end
    return failed
end

local function add(a, b) return a + b end
local function multiply(a, b) return a * b end
local function subtract(a, b) return a - b end
local function divide(a, b) return a / b end

local WORDS = { "a b", "b c", "c d e" }

describe("an allocation that fails", function()
    local dir, sc, outputs

    setup(function()
        dir = tempdir.new()
        dir:write("lines.txt", "x y\nz\n")
        outputs = 0
        local writer = moontide.Context("local[1]", "writer")
        writer:parallelizePairs({ { "a", 1 } }, 1):saveAsHadoopFile(dir:file("sequence"), { format = "sequence", value = "LongWritable" })
        writer:parallelize(WORDS, 1):saveAsObjectFile(dir:file("objects"))
        writer:parallelize(WORDS, 1):saveAsTextFile(dir:file("packed"), { compress = "gz" })
        writer:stop()
    end)

    teardown(function() dir:remove() end)

    before_each(function() sc = moontide.Context("local[1]", "spec") end)

    after_each(function()
        fault.clear()
        sc:stop()
        assert(engine.live_blocks() == 0, "blocks were left behind: " .. engine.live_blocks())
    end)

    local function fresh()
        outputs = outputs + 1
        return dir:file("out" .. outputs)
    end

    local function words() return sc:parallelize(WORDS, 2) end
    local function numbers() return sc:parallelize({ 3, 1, 2 }, 2) end
    local function pairs_of() return sc:parallelizePairs({ { "a", 1 }, { "b", 2 }, { "a", 3 } }, 2) end
    local function lists_of() return pairs_of():mapValues(function(v) return { v } end) end

    local JOBS = {
        ["narrow operators"] = function()
            words():flatMap(function(line) return line:gmatch("%S+") end):map(function(word) return word, 1 end)
                :filter(function() return true end):mapValues(function(v) return { v } end):collect()
        end,
        mapPartitions = function()
            words():mapPartitions(function(it)
                local list = {}
                for x in it do list[#list + 1] = x end
                return list
            end):collect()
        end,
        ["reduceByKey of numbers"] = function() pairs_of():reduceByKey(add):collect() end,
        ["reduceByKey of tables"] = function() lists_of():reduceByKey(function(a, b) return { a[1] + b[1] } end):collect() end,
        combineByKey = function()
            pairs_of():combineByKey(function(v) return { v } end, function(c, v) return { c[1] + v } end,
                function(a, b) return { a[1] + b[1] } end):collect()
        end,
        groupByKey = function() pairs_of():groupByKey():collect() end,
        cogroup = function() pairs_of():cogroup(pairs_of()):collect() end,
        join = function() pairs_of():join(pairs_of()):collect() end,
        sortByKey = function() pairs_of():sortByKey():collect() end,
        sortBy = function() words():sortBy(function(line) return line end):collect() end,
        distinct = function() words():distinct():collect() end,
        ["union and repartition"] = function() words():union(words()):repartition(3):collect() end,
        zip = function() words():zip(words():map(function(line) return #line end)):collect() end,
        cartesian = function() words():cartesian(words()):collect() end,
        reduce = function() numbers():reduce(add) end,
        aggregate = function() numbers():aggregate(0, add, add) end,
        stats = function() numbers():stats() end,
        take = function() words():take(2) end,
        takeOrdered = function() numbers():takeOrdered(2) end,
        range = function() sc:range(1, 10):sum() end,
        lookup = function() pairs_of():lookup("a") end,
        pipe = function() words():pipe("cat"):collect() end,
        saveAsTextFile = function() words():saveAsTextFile(fresh()) end,
        ["saveAsTextFile with gzip"] = function() words():saveAsTextFile(fresh(), { compress = "gz" }) end,
        saveAsObjectFile = function() words():saveAsObjectFile(fresh()) end,
        saveAsHadoopFile = function() pairs_of():saveAsHadoopFile(fresh(), { format = "sequence", value = "LongWritable" }) end,
        textFile = function() sc:textFile(dir:file("lines.txt")):collect() end,
        ["textFile of gzip"] = function() sc:textFile(dir:file("packed/part-00000.gz")):collect() end,
        wholeTextFiles = function() sc:wholeTextFiles(dir:file("packed/part-00000.gz")):collect() end,
        binaryRecords = function() sc:binaryRecords(dir:file("lines.txt"), 2):collect() end,
        sequenceFile = function() sc:sequenceFile(dir:file("sequence")):collect() end,
        objectFile = function() sc:objectFile(dir:file("objects")):collect() end,
        ["broadcast and accumulator"] = function()
            local broadcast, total = sc:broadcast({ "x" }), sc:accumulator(0)
            words():foreach(function() total:add(#broadcast:value()) end)
        end,
        ["an accumulator of tables"] = function()
            local list = sc:accumulator({}, function(a, b)
                a[#a + 1] = b
                return a
            end)
            words():foreach(function(x) list:add(x) end)
        end,
        checkpoint = function()
            sc:setCheckpointDir(fresh())
            local lines = words():map(function(x) return x end):checkpoint()
            lines:count()
            lines:collect()
        end,
        persist = function()
            local lines = words():map(function(x) return x end):persist(moontide.StorageLevel.DISK_ONLY)
            lines:count()
            lines:collect()
        end,
    }
    for name, job in pairs(JOBS) do
        it("is reported as ENOMEM: " .. name, function() assert(fail_each(job) > 0, "no allocation failed") end)
    end

    local function stream(build)
        return function()
            local result = testing.run {
                inputs = { { { { "a", 1 }, { "b", 2 } }, { { "a", 3 } }, {} } }, pairs = { true }, master = "local[1]",
                build = function(_, input) return build(input) end,
            }
            if result.error then
                error(result.error, 0)
            end
        end
    end

    local function lists(input) return input:mapValues(function(v) return { v } end) end

    local STREAMS = {
        window = stream(function(input) return input:window(2000) end),
        ["reduceByKeyAndWindow, adding"] = stream(function(input) return input:reduceByKeyAndWindow(add, 2000) end),
        ["reduceByKeyAndWindow of numbers"] = stream(function(input) return input:reduceByKeyAndWindow(multiply, 2000) end),
        ["reduceByKeyAndWindow of tables"] = stream(function(input)
            return lists(input):reduceByKeyAndWindow(function(a, b) return { a[1] + b[1] } end, 2000)
        end),
        groupByKeyAndWindow = stream(function(input) return input:groupByKeyAndWindow(2000) end),
        ["an inverse window, adding"] = stream(function(input)
            return input:reduceByKeyAndWindow(add, subtract, 2000, 1000, 2, function(_, v) return v > 0 end)
        end),
        ["an inverse window of numbers"] = stream(function(input) return input:reduceByKeyAndWindow(multiply, divide, 2000) end),
        ["an inverse window of tables"] = stream(function(input)
            return lists(input):reduceByKeyAndWindow(function(a, b) return { a[1] + b[1] } end,
                function(a, b) return { a[1] - b[1] } end, 2000)
        end),
        updateStateByKey = stream(function(input)
            return input:updateStateByKey(function(values, state) return #values + (state or 0) end)
        end),
        mapWithState = stream(function(input)
            return input:mapWithState(moontide.StateSpec.func(function(key, value, state)
                if value then
                    state:update((state:getOption() or 0) + value)
                end
                return key, 1
            end):timeout(2000))
        end),
        ["jobs in foreachRDD"] = stream(function(input)
            input:foreachRDD(function(rdd) rdd:collect() end)
            return input
        end),
    }
    for name, job in pairs(STREAMS) do
        it("is reported as ENOMEM: " .. name, function() assert(fail_each(job) > 0, "no allocation failed") end)
    end
end)
