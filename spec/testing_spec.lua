-- The test harness itself.

local engine = require "spec.support.engine"
local testing = require "moontide.testing"

local message, sorted = engine.message, engine.sorted

local function words_of(_, lines)
    return lines:flatMap(function(line) return line:gmatch("%S+") end):countByValue()
end

describe("testing.run", function()
    engine.watch(after_each)

    it("gives an entry for each dataset, with time, records and partitions", function()
        local result = testing.run({ inputs = { { { 1, 2, 3 }, {} } }, build = function(_, a) return a end })
        assert.same({
            { time = 1000, records = { 1, 2, 3 }, partitions = { { 1 }, { 2, 3 } } },
            { time = 2000, records = {}, partitions = { {}, {} } },
        }, result.batches)
        assert.is_nil(result.second)
        assert.is_nil(result.error)
    end)

    it("counts words", function()
        local result = testing.run({ inputs = { { { "a b", "b" }, { "c" } } }, build = words_of })
        assert.same({ "[a,1]", "[b,2]" }, sorted(result.batches[1].records))
        assert.same({ "[c,1]" }, sorted(result.batches[2].records))
    end)

    it("takes batch interval, partitions, batches and pairs", function()
        local result = testing.run({ inputs = { { { { "a", 1 } } } }, pairs = { true }, batch = "250ms", partitions = 3,
            batches = 2, build = function(_, a) return a:mapValues(function(v) return v + 1 end) end })
        assert.equal(2, #result.batches)
        assert.equal(250, result.batches[1].time)
        assert.equal(500, result.batches[2].time)
        assert.same({ { "a", 2 } }, result.batches[1].records)
        assert.equal(3, #result.batches[1].partitions)
        assert.same({}, result.batches[2].records)
    end)

    it("observes two streams", function()
        local result = testing.run({ inputs = { { { 1 } }, { { 2, 3 } } }, build = function(_, a, b)
            return a:count(), b:count()
        end })
        assert.same({ 1 }, result.batches[1].records)
        assert.same({ 2 }, result.second[1].records)
    end)

    it("runs streams that the build function makes itself, and outputs without a stream to observe", function()
        local seen = {}
        local result = testing.run({ batches = 2, build = function(ssc)
            ssc:queueStream({ { 7 } }):foreachRDD(function(rdd) seen[#seen + 1] = rdd:count() end)
        end })
        assert.same({ 1, 0 }, seen)
        assert.same({}, result.batches)
    end)

    it("stands for a missing dataset with NONE", function()
        local result = testing.run({ inputs = { { { 1 }, testing.NONE, {} } }, build = function(_, a) return a:count() end })
        assert.equal(2, #result.batches)
        assert.equal(3000, result.batches[2].time)
        assert.equal("testing.NONE", tostring(testing.NONE))
        assert.matches("cannot be changed", message(function() testing.NONE[1] = 1 end), 1, true)
    end)

    it("gives the error of a run with the batches before it", function()
        local result = testing.run({ inputs = { { { 1 }, { 2 }, { 3 } } }, build = function(_, a)
            return a:map(function(x) return x == 2 and error("two") or x end)
        end })
        assert.equal(1, #result.batches)
        assert.equal("ECLOSURE", result.error.code)
        assert.matches("testing_spec.lua:%d+: two\n  in map %(.*testing_spec.lua:%d+%), batch 2000 ms",
            tostring(result.error))
    end)

    it("gives what start() refuses as the error of the run", function()
        local result = testing.run({ build = function() end })
        assert.matches("no output operation", tostring(result.error), 1, true)
    end)

    it("goes on after an error when the settings say so", function()
        local core = require "moontide.core"
        core.logLevel("off")
        finally(function() core.logLevel("warn") end)
        local result = testing.run({ conf = { onError = "skip" }, inputs = { { { 1 }, { 2 }, { 3 } } }, build = function(_, a)
            return a:map(function(x) return x == 2 and error("two") or x end)
        end })
        assert.is_nil(result.error)
        assert.same({ 1000, 3000 }, { result.batches[1].time, result.batches[2].time })
    end)

    it("runs on the master it is given", function()
        testing.run({ master = "local[3]", build = function(ssc)
            assert.equal(3, ssc.sc:defaultParallelism())
            ssc:queueStream({}):foreachRDD(function() end)
        end })
    end)

    it("raises what the build function raises, and stops the engine", function()
        assert.matches("testing_spec.lua:%d+: bad argument #1 to 'map'", message(testing.run,
            { inputs = { {} }, build = function(_, a)
                local mapped = a:map(nil)
                return mapped
            end }))
        assert.matches("testing_spec.lua:%d+: mine", message(testing.run, { build = function() error("mine") end }))
        assert.equal(0, #require("moontide.driver.loop").engines())
    end)

    it("refuses wrong options at the caller's line", function()
        local function refused(options)
            return message(function() testing.run(options) end)
        end
        local build = function(_, a) return a end
        assert.matches("testing_spec.lua:%d+: testing.run has no option 'input'; did you mean 'inputs'",
            refused({ input = {}, build = build }))
        assert.matches("option 'build': function expected, got nil", refused({}), 1, true)
        assert.matches("table of options expected, got nil", refused(nil), 1, true)
        assert.matches("inputs[1]: array expected, got number", refused({ inputs = { 1 }, build = build }), 1, true)
        assert.matches("inputs[1], batch 2: array expected, got string",
            refused({ inputs = { { {}, "x" } }, build = build }), 1, true)
        assert.matches("inputs[1], batch 1: record 2: a function can't",
            refused({ inputs = { { { 1, print } } }, build = build }), 1, true)
        assert.matches("inputs[1], batch 1: record 1 is not a {key, value} table",
            refused({ inputs = { { { 1 } } }, pairs = { true }, build = build }), 1, true)
        assert.matches("option 'pairs' has 2 entries for 1 inputs",
            refused({ inputs = { {} }, pairs = { true, true }, build = build }), 1, true)
        assert.matches("option 'pairs', entry 1: boolean expected, got number",
            refused({ inputs = { {} }, pairs = { 1 }, build = build }), 1, true)
        assert.matches("option 'partitions': a number from 1", refused({ partitions = 0, build = build }), 1, true)
        assert.matches("option 'batches': whole number expected, got 1.5",
            refused({ batches = 1.5, build = build }), 1, true)
        assert.matches("option 'batch': a duration", refused({ batch = 0.5, build = build }), 1, true)
        assert.matches("master 'x' is not supported", refused({ master = "x", build = build }), 1, true)
        assert.matches("build must return the stream to observe, got number",
            refused({ build = function() return 1 end }), 1, true)
    end)

    it("says that recovery comes later", function()
        local build = function(_, a) return a end
        assert.matches("option 'restartAfter': checkpoint recovery is not part of this release",
            message(testing.run, { restartAfter = 1, build = build }), 1, true)
        assert.matches("option 'checkpoint': the path of a directory expected (false: none), got number",
            message(testing.run, { checkpoint = 1, build = build }), 1, true)
        assert.is_nil(testing.run({ checkpoint = false, inputs = { {} }, batches = 1, build = build }).error)
    end)
end)
