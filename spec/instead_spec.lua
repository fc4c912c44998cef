--- Names of Spark that a class does not have: what to use instead.

local instead = require "moontide.operators.instead"
local engine = require "spec.support.engine"
local moontide = require "moontide"

local message = engine.message

describe("a name of Spark that has another home", function()
    local handles
    after_each(function() handles = nil end)
    engine.watch(after_each)

    before_each(function()
        local sc = engine.context()
        local ssc = moontide.StreamingContext(sc, 1000)
        handles = { Context = sc, RDD = sc:parallelize({ 1 }), DStream = ssc:queueStream({}) }
    end)

    it("is pointed right", function()
        local cases = {
            { "RDD", "saveAsSequenceFile", "saveAsHadoopFile" }, { "RDD", "mapPartitionsWithSplit", "mapPartitionsWithIndex" },
            { "RDD", "countApproxDistinct", "distinct%(%):count%(%)" }, { "RDD", "filterByRange", "filter%(function" },
            { "RDD", "saveAsPickleFile", "saveAsObjectFile" }, { "Context", "makeRDD", "parallelize" },
            { "Context", "checkpointFile", "objectFile" }, { "Context", "binaryFiles", "wholeTextFiles" },
            { "DStream", "saveAsNewAPIHadoopFiles", "saveAsHadoopFiles" }, { "DStream", "pprint", "print" },
        }
        for _, case in ipairs(cases) do
            local class, name, cure = unpack(case)
            assert.matches("instead_spec.lua:%d+: " .. class .. " has no method '" .. name .. "' in this release: .*" .. cure,
                message(function() return handles[class][name](handles[class]) end))
        end
    end)

    it("is none that the class has, and every one says what to do", function()
        for class, handle in pairs(handles) do
            for name, cure in pairs(instead[class]) do
                local text = message(function() return handle[name] end)
                assert.matches("has no method '" .. name .. "' in this release: " .. cure, text, 1, true)
            end
        end
    end)

    it("is a method of datasets that was called on a stream", function()
        for _, name in ipairs { "distinct", "sortBy", "top", "keys", "sample", "coalesce", "countByKey", "collect" } do
            assert.matches("DStream has no method '" .. name .. "' in this release: datasets have it: stream:transform(function(rdd) "
                .. "return rdd:" .. name .. "(…) end)", message(function() return handles.DStream[name] end), 1, true)
        end
        assert.matches("DStream has no method 'reduceByKeys'; did you mean 'reduceByKey'%?",
            message(function() return handles.DStream.reduceByKeys end))
    end)
end)
