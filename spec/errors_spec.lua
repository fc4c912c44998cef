-- Error values, and what a failure does to a stream.

local moontide = require "moontide"
local engine = require "spec.support.engine"
local errors = require "moontide.base.errors"
local testing = require "moontide.testing"

local advance = engine.advance

local function raised(fn, ...)
    local ok, err = pcall(fn, ...)
    assert(not ok, "an error was expected")
    return err
end

local function quiet()
    local core = require "moontide.core"
    core.logLevel("off")
    finally(function() core.logLevel("warn") end)
end

describe("an error value", function()
    it("prints as its message and joins with text", function()
        local err = errors.new("EIO", "no disk", { time = 5 })
        assert.equal("no disk", tostring(err))
        assert.equal("failed: no disk!", "failed: " .. err .. "!")
        assert.equal("EIO", err.code)
        assert.equal(5, err.time)
        assert.is_true(errors.is(err))
        assert.is_false(errors.is("no disk"))
    end)

    it("is made of whatever a script raises", function()
        assert.equal("text", errors.text("text"))
        assert.equal("(error object) {code = 7}", errors.text({ code = 7 }))
        assert.equal("(no message)", errors.text(nil))
        assert.equal("mine", errors.text(setmetatable({}, { __tostring = function() return "mine" end })))
    end)

    it("shows the script's part of a traceback", function()
        local library = debug.getinfo(errors.new, "S").source:sub(2)
        local text = "stack traceback:\n\t[C]: in function 'error'\n\tjob.lua:3: in function 'f'\n\t" .. library
            .. ":9: in function 'g'\n\tjob.lua:8: in main chunk\n\t[C]: in function 'xpcall'"
        assert.equal("stack traceback:\n\t[C]: in function 'error'\n\tjob.lua:3: in function 'f'\n\tjob.lua:8: in main chunk",
            errors.trim_traceback(text))
        assert.equal("", errors.trim_traceback("stack traceback:\n\t" .. library .. ":9: in function 'g'"))
    end)
end)

describe("a failing action", function()
    engine.watch(after_each)

    it("raises an error value with line, operator, partition and record", function()
        local rdd = engine.context():parallelize({ "good", "bad" }, 2)
        local err = raised(function()
            rdd:map(function(x) return x:upper() end):filter(function(x)
                if x == "BAD" then
                    local nothing = x.nothing
                    return nothing.field
                end
                return true
            end):collect()
        end)
        assert.equal("ECLOSURE", err.code)
        assert.matches("errors_spec.lua:%d+: attempt to index local 'nothing'", err.message)
        assert.matches("in filter (", err.message, 1, true)
        assert.matches("partition 1", err.message, 1, true)
        assert.matches('record: "bad"', err.message, 1, true)
    end)

    it("names what is wrong with the result of a function", function()
        local rdd = engine.context():parallelize({ 1, 2 }, 1)
        local function text_of(fn)
            return tostring(raised(function() rdd:map(fn):collect() end))
        end
        assert.matches("returned nil", text_of(function() return nil end), 1, true)
        assert.matches("in map (", text_of(function() return nil end), 1, true)
        assert.matches("map", text_of(function(x) if x == 1 then return x end return x, x end), 1, true)
        assert.matches("NaN", tostring(raised(function()
            rdd:map(function() return 0 / 0, 1 end):reduceByKey(function(a) return a end):collect()
        end)), 1, true)
    end)

    it("can be caught inside foreachRDD, and the batch goes on", function()
        local seen = {}
        local result = testing.run({ inputs = { { { 1 }, { 2 } } }, build = function(_, a)
            a:foreachRDD(function(rdd)
                local ok, err = pcall(function()
                    return rdd:map(function(x) return x == 1 and error("no") or x end):collect()
                end)
                seen[#seen + 1] = ok and "fine" or err.code
            end)
        end })
        assert.is_nil(result.error)
        assert.same({ "ECLOSURE", "fine" }, seen)
    end)
end)

describe("a failing batch", function()
    engine.watch(after_each)

    -- Batches 1, 2, 3 of which the second fails in the first of two outputs.
    local function run(conf)
        local ssc = engine.streaming(1000, conf)
        local seen = {}
        local stream = ssc:queueStream({ { 1 }, { 2 }, { 3 } })
        stream:foreachRDD(function(rdd, time)
            rdd:map(function(x) return x == 2 and error("boom") or x end):collect()
            seen[#seen + 1] = time .. ":first"
        end)
        stream:foreachRDD(function(_, time) seen[#seen + 1] = time .. ":second" end)
        ssc:start()
        return ssc, seen
    end

    it("ends the stream after its other outputs, and awaitTermination raises", function()
        local ssc, seen = run()
        ssc.life.graph:advance(3000)
        local err = raised(ssc.awaitTermination, ssc)
        assert.same({ "1000:first", "1000:second", "2000:second" }, seen)
        assert.equal("ECLOSURE", err.code)
        assert.equal(2000, err.time)
        assert.matches("errors_spec.lua:%d+: boom", err.message)
        assert.matches("in map %(.*errors_spec.lua:%d+%), batch 2000 ms, partition", err.message)
        assert.matches("in foreachRDD %(.*errors_spec.lua:%d+%), batch 2000 ms", err.message)
        assert.equal("STOPPED", ssc:getState())
        -- Again at every later call.
        assert.equal(err, raised(ssc.awaitTermination, ssc))
        assert.equal(err, raised(ssc.awaitTerminationOrTimeout, ssc, 10))
    end)

    it("is passed over when the settings say so", function()
        quiet()
        local ssc, seen = run({ onError = "skip" })
        for _ = 1, 3 do
            advance(ssc)
        end
        assert.same({ "1000:first", "1000:second", "2000:second", "3000:first", "3000:second" }, seen)
        assert.equal("ACTIVE", ssc:getState())
        assert.is_true(ssc:stop())
        ssc:awaitTermination()
    end)

    it("shows the line of foreachRDD's own mistakes with a traceback", function()
        local result = testing.run({ inputs = { { { 1 } } }, build = function(_, a)
            a:foreachRDD(function(rdd)
                local missing = ({})[rdd:count()]
                return missing.field
            end)
        end })
        assert.matches("errors_spec.lua:%d+: attempt to index local 'missing' %(a nil value%)", result.error.message)
        assert.matches("in foreachRDD %(.*errors_spec.lua:%d+%), batch 1000 ms\nstack traceback:\n",
            result.error.message)
        assert.is_nil(result.error.message:find("loop.lua", 1, true))
    end)

    it("keeps the value that was raised", function()
        local mine = { reason = "mine" }
        local result = testing.run({ inputs = { { { 1 } } }, build = function(_, a)
            a:foreachRDD(function() error(mine) end)
        end })
        assert.equal(mine, result.error.cause)
    end)

    it("can be one whose transform fails", function()
        for text, f in pairs({
            ["errors_spec.lua:%d+: boom\n  in transform %(.*errors_spec.lua:%d+%), batch 1000 ms\nstack traceback:"] =
                function() error("boom") end,
            ["the function must return an RDD, got nil\n  in transform %(.*errors_spec.lua:%d+%), batch 1000 ms"] =
                function() end,
            ["must return an RDD, got table"] = function() return {} end,
            ["returned an RDD of another Context"] = function() return engine.context():emptyRDD() end,
        }) do
            local result = testing.run({ inputs = { { { 1 } } }, build = function(_, a) return a:transform(f) end })
            assert.matches(text, result.error.message)
            assert.equal(0, #result.batches)
        end
    end)

    it("does not wait for ever for a function that yields", function()
        local result = testing.run({ inputs = { { { 1 } } }, build = function(_, a)
            a:foreachRDD(function() coroutine.yield(1) end)
        end })
        assert.matches("the function of foreachRDD yielded", result.error.message, 1, true)
    end)

    it("does not stop what comes before it", function()
        local ssc = engine.streaming()
        local times = {}
        local stream = ssc:queueStream({ { 1 }, { 2 }, { 3 } })
        stream:transform(function(rdd, time)
            return time == 3000 and error("three") or rdd
        end):foreachRDD(function(rdd, time)
            rdd:map(function(x) return x end):collect()
            times[#times + 1] = time
        end)
        ssc:start()
        ssc.life.graph:advance(5000)
        local err = raised(ssc.awaitTermination, ssc)
        assert.same({ 1000, 2000 }, times)
        assert.equal(3000, err.time)
    end)

    it("ends also when every later one fails too", function()
        local NONE = testing.NONE
        local result = testing.run({ inputs = { { { 1 }, NONE, NONE, NONE }, {} }, build = function(_, a, b)
            return a:union(b)
        end })
        assert.equal(1, #result.batches)
        assert.equal(2000, result.error.time)
    end)
end)

describe("a function that does not return", function()
    engine.watch(after_each)

    local function endless(conf)
        local sc = engine.context("local[2]", conf)
        local ssc = moontide.StreamingContext(sc, 10)
        local entered = os.tmpname() -- gone when the function is in its loop: tasks of empty partitions run before
        ssc:queueStream({ { 1 }, { 2 } }):map(function(x)
            os.remove(entered)
            local i = 0
            while x > 0 do
                i = i + 1
            end
            return i
        end):print()
        ssc:start()
        local there
        repeat
            ssc:awaitTerminationOrTimeout(10)
            there = io.open(entered)
            if there then there:close() end
        until not there
        return ssc
    end

    it("is named and broken off when a graceful stop takes too long", function()
        local ssc = endless({ gracefulStopTimeout = 100 })
        local stopped, err = ssc:stop(false, true)
        assert.is_nil(stopped)
        assert.equal("ETIMEOUT", err.code)
        assert.matches("the graceful stop took longer than 100 ms", err.message, 1, true)
        assert.matches("map %(.*errors_spec.lua:%d+%)", err.message)
        assert.equal("STOPPED", ssc:getState())
        assert.equal(err, raised(ssc.awaitTermination, ssc))
        -- The engine under it is of use again.
        assert.same({ 2 }, ssc.sc:parallelize({ 1 }):map(function(x) return x + 1 end):collect())
    end)

    it("is named and broken off by an immediate stop", function()
        local ssc = endless({ stopTimeout = 50 })
        local stopped, err = ssc:stop(false)
        assert.is_nil(stopped)
        assert.matches("functions that did not return were broken off by the stop", err.message, 1, true)
        assert.matches("errors_spec.lua:%d+", err.message)
        assert.equal(err, raised(ssc.awaitTermination, ssc))
        assert.same({ 2 }, ssc.sc:parallelize({ 1 }):map(function(x) return x + 1 end):collect())
    end)

    it("ends with the engine", function()
        local ssc = endless({ stopTimeout = 50 })
        assert.is_true(ssc.sc:stop())
        assert.equal("STOPPED", ssc:getState())
        assert.matches("broken off", raised(ssc.awaitTermination, ssc).message, 1, true)
    end)
end)
