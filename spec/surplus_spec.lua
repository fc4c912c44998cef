-- Arguments that a method does not take: refused, at the script's line, with what Spark means by them.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local testing = require "moontide.testing"

local message = engine.message

local function f(a) return a end

describe("surplus arguments", function()
    local sc, rdd
    after_each(function() rdd = nil end)
    engine.watch(after_each)

    before_each(function()
        sc = engine.context()
        rdd = sc:parallelizePairs({ { 1, 2 } })
    end)

    it("are refused with the method, their number and what Spark means", function()
        local cases = {
            { "#2 to 'map' .*got table: Moontide has no options here", function() rdd:map(f, { onRecordError = "skip" }) end },
            { "#2 to 'map' .*preservesPartitioning", function() rdd:map(f, true) end },
            { "#3 to 'reduceByKey' .*RDD:reduceByKey takes 2 arguments; got function: .*moontide.Partitioner",
                function() rdd:reduceByKey(f, 2, f) end },
            { "#2 to 'groupByKey' .*moontide.Partitioner", function() rdd:groupByKey(2, f) end },
            { "#4 to 'foldByKey'", function() rdd:foldByKey(0, f, 2, f) end },
            { "#3 to 'join'", function() rdd:join(rdd, 2, f) end },
            { "#4 to 'sortByKey' .*ordering", function() rdd:sortByKey(true, 2, f, f) end },
            { "#4 to 'repartitionAndSortWithinPartitions'", function()
                rdd:repartitionAndSortWithinPartitions(2, true, f, f)
            end },
            { "#3 to 'pipe' .*printPipeContext", function() rdd:pipe("cat", nil, f) end },
            { "#4 to 'pipe' .*printRDDElement", function() rdd:pipe("cat", {}, nil, f) end },
            { "#1 to 'collect' .*takes no argument", function() rdd:collect(3) end },
            { "#1 to 'count' .*countApprox", function() rdd:count(100) end },
            { "#3 to 'parallelize'", function() sc:parallelize({ 1 }, 2, 3) end },
            { "#3 to 'textFile'", function() sc:textFile("spec/surplus_spec.lua", 2, true) end },
            { "#2 to 'numPartitions'", function() moontide.StateSpec.func(f):numPartitions(2, 3) end },
            { "#2 to 'getPartition'", function() moontide.Partitioner(2):getPartition(1, 2) end },
        }
        for _, case in ipairs(cases) do
            local text = message(case[2])
            assert.matches("surplus_spec.lua:%d+: bad argument " .. case[1], text)
        end
    end)

    it("are refused of streams too", function()
        local texts = {}
        testing.run {
            inputs = { { { { 1, 2 } } } }, pairs = { true },
            build = function(_, s)
                local function sum(a, b) return a + b end
                for _, call in ipairs {
                    function() s:map(f, { onRecordError = "skip" }) end,
                    function() s:reduceByKey(sum, 2, f) end,
                    function() s:updateStateByKey(f, 2, {}) end,
                    function() s:countByWindow(1000, 1000, 2) end,
                    function() s:reduceByKeyAndWindow(sum, 1000, 1000, 2, f) end,
                    function() s:reduceByKeyAndWindow(sum, 1000, 1000, 2, nil, f) end,
                    function() s:print(10, true) end,
                } do
                    texts[#texts + 1] = message(call)
                end
                return s
            end,
        }
        for at, expected in ipairs {
            "#2 to 'map'", "#3 to 'reduceByKey'", "#3 to 'updateStateByKey' .*initial = rdd", "#3 to 'countByWindow'",
            "reduceByKeyAndWindow", "#6 to 'reduceByKeyAndWindow'", "#2 to 'print'",
        } do
            assert.matches(expected, texts[at])
        end
    end)

    it("may be nil", function()
        assert.same({ { 1, 2 } }, rdd:collect(nil, nil))
        assert.equal(1, rdd:reduceByKey(f, nil, nil):count())
    end)
end)
