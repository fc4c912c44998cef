-- updateStateByKey: batch tables.

local moontide = require "moontide"
local testing = require "moontide.testing"

local NONE = testing.NONE

local function sum(values, state)
    local total = state or 0
    for _, n in ipairs(values) do
        total = total + n
    end
    return total
end

local function run(options)
    local result = testing.run(options)
    assert.is_nil(result.error and result.error.message)
    local batches = {}
    for index, batch in ipairs(result.batches) do
        local texts = {}
        for position, record in ipairs(batch.records) do
            texts[position] = tostring(record[1]) .. "=" .. tostring(record[2])
        end
        table.sort(texts)
        batches[index] = string.format("%d: %s", batch.time / 1000, table.concat(texts, " "))
    end
    return batches, result
end

local function ones(stream)
    return stream:map(function(x) return x, 1 end)
end

describe("updateStateByKey", function()
    it("has all keys after each batch, and is called for each of them", function()
        assert.are.same({ "1: a=1", "2: a=2 b=1", "3: a=2 b=1", "4: a=3 b=1 c=2" }, (run {
            inputs = { { { "a" }, { "a", "b" }, {}, { "c", "a", "c" } } },
            build = function(_, a) return ones(a):updateStateByKey(sum) end }))
    end)

    it("removes a key for which nil is returned; it may come back", function()
        assert.are.same({ "1: a=1", "2: ", "3: a=1", "4: " }, (run { inputs = { { { "a" }, {}, { "a" }, {} } },
            build = function(_, a)
                return ones(a):updateStateByKey(function(values) return values[1] end)
            end }))
    end)

    it("goes on in batches without a dataset, and has none itself before the first one", function()
        assert.are.same({ "3: a=1", "4: a=1", "5: a=2" }, (run { inputs = { { NONE, NONE, { "a" }, NONE, { "a" } } },
            build = function(_, a) return ones(a):updateStateByKey(sum) end }))
    end)

    it("takes the initial state in the first batch that has a dataset, of a key that comes twice the first", function()
        assert.are.same({ "2: a=11 c=5", "3: a=11 b=1 c=5" }, (run { inputs = { { NONE, { "a" }, { "b" } } },
            build = function(ssc, a)
                local initial = ssc.sc:parallelizePairs({ { "a", 10 }, { "c", 5 }, { "a", 99 } }, 1)
                return ones(a):updateStateByKey(sum, { partitions = 3, initial = initial })
            end }))
    end)

    it("hands out the values of a key in their order, the batch time and the key", function()
        assert.are.same({ "1: a=a:1000:3,1,2 b=b:1000:5", "2: a=a:2000: b=b:2000:6" }, (run {
            inputs = { { { { "a", 3 }, { "a", 1 }, { "b", 5 }, { "a", 2 } }, { { "b", 6 } } } }, pairs = { true }, partitions = 1,
            build = function(_, a)
                return a:updateStateByKey(function(values, _, time, key)
                    return key .. ":" .. time .. ":" .. table.concat(values, ",")
                end)
            end }))
    end)

    it("gives a state of its own to each batch: changing the old one changes nothing before", function()
        assert.are.same({ "1: a=1", "2: a=1,2", "3: a=1,2,3" }, (run { inputs = { { { 1 }, { 2 }, { 3 } } },
            build = function(_, a)
                local states = a:map(function(x) return "a", x end):updateStateByKey(function(values, list)
                    list = list or {}
                    for _, x in ipairs(values) do
                        list[#list + 1] = x
                    end
                    return list
                end)
                states:print(0)
                return states:mapValues(function(list) return table.concat(list, ",") end)
            end }))
    end)

    it("has as many partitions as asked for, and joins with them without a shuffle", function()
        local _, result = run { inputs = { { { "a", "b", "c" } } }, build = function(_, a)
            return ones(a):updateStateByKey(sum, 3)
        end }
        assert.are.equal(3, #result.batches[1].partitions)
    end)

    it("works on states of states and on windows", function()
        assert.are.same({ "1: a=1", "2: a=3", "3: a=6" }, (run { inputs = { { { "a" }, { "a" }, { "a" } } },
            build = function(_, a) return ones(a):updateStateByKey(sum):updateStateByKey(sum) end }))
        assert.are.same({ "2: a=2", "4: a=4" }, (run { inputs = { { { "a" }, { "a" }, { "a" }, {} } },
            build = function(_, a) return ones(a):window(3000, 2000):updateStateByKey(sum) end }))
    end)

    it("computes states that no batch has asked for when one does", function()
        assert.are.same({ "3: a=1 a=2 a=3", "6: a=4 a=5 a=6" }, (run {
            inputs = { { { "a" }, { "a" }, { "a" }, { "a" }, { "a" }, { "a" } } },
            build = function(_, a) return ones(a):updateStateByKey(sum):window(3000, 3000) end }))
    end)

    it("tells where its function failed, and on what", function()
        local result = testing.run { inputs = { { { "a" } } }, build = function(_, a)
            return ones(a):updateStateByKey(function() error("no update") end)
        end }
        assert.matches("no update", result.error.message)
        assert.matches("updateStateByKey %(.-update_state_spec%.lua:%d+%)", result.error.message)
        assert.matches('record: %("a", ', result.error.message)
    end)

    describe("with onError = skip", function()
        local core = require "moontide.core"

        before_each(function() core.logLevel("off") end)
        after_each(function() core.logLevel("warn") end)

        it("leaves the state of a key alone whose function fails", function()
            assert.are.same({ "1: a=1 b=1", "2: a=2 b=1", "3: a=3 b=2" }, (run { conf = { onError = "skip" },
                inputs = { { { "a", "b" }, { "a", "bad" }, { "b", "a", "c bad" } } },
                build = function(_, a)
                    return a:map(function(x) return x:sub(1, 1), x end):updateStateByKey(function(values, count)
                        for _, x in ipairs(values) do
                            if x:find("bad", 1, true) then error("no update") end
                            count = (count or 0) + 1
                        end
                        return count
                    end)
                end }))
        end)

        it("does so for states that cannot be kept", function()
            assert.are.same({ "1: a=1", "2: a=1" }, (run { conf = { onError = "skip" }, inputs = { { { 1 }, { print and 2 } } },
                build = function(_, a)
                    return a:map(function(x) return "a", x end):updateStateByKey(function(values)
                        return values[1] == 1 and 1 or print
                    end)
                end }))
        end)
    end)

    it("needs pairs", function()
        local result = testing.run { inputs = { { { "a" } } }, build = function(_, a) return a:updateStateByKey(sum) end }
        assert.matches("pairs", result.error.message)
    end)

    it("refuses what cannot be a state", function()
        local result = testing.run { inputs = { { { "a" } } }, build = function(_, a)
            return ones(a):updateStateByKey(function() return print end)
        end }
        assert.matches("function can't be part of a record", result.error.message)
    end)

    it("checks its arguments", function()
        local function fails(pattern, ...)
            local arguments = { ... }
            local ok, message = pcall(testing.run, { inputs = { { {} } }, build = function(_, a)
                return ones(a):updateStateByKey(unpack(arguments))
            end })
            assert.is_false(ok)
            assert.matches(pattern, tostring(message))
        end
        fails("bad argument #1 to 'updateStateByKey' %(function expected")
        fails("number of partitions", sum, 0)
        fails("has no option 'initail'", sum, { initail = 1 })
        fails("initial state must be an RDD of pairs", sum, { initial = {} })
    end)

    it("needs a checkpoint directory", function()
        local result = testing.run { inputs = { { { "a" } } }, checkpoint = false,
            build = function(_, a) return ones(a):updateStateByKey(sum) end }
        assert.matches("The checkpoint directory has not been set. updateStateByKey %([^ ]*update_state_spec.lua:%d+%) needs one",
            result.error.message)
    end)

    it("leaves memory flat", function()
        local core = require "moontide.core"
        local clock = { clock = "manual", start = 0 }
        local ssc = require("moontide.streaming").create(moontide.Context("local[1]", "flat"), 100, clock)
        local directory = require("moontide.driver.checkpoint").temporary()
        ssc:checkpoint(directory)
        finally(function()
            ssc.sc:stop()
            require("moontide.driver.checkpoint").remove(directory)
        end)
        local words = ssc:queueStream({}, true, { "a", "b", "a" })
        ones(words):updateStateByKey(sum, 2):foreachRDD(function(rdd) rdd:count() end)
        ones(words):reduceByKeyAndWindow(function(a, b) return a + b end, 3000, 100, 2):foreachRDD(function(rdd) rdd:count() end)
        ones(words):reduceByKeyAndWindow(function(a, b) return a + b end, function(a, b) return a - b end, 1000, 100, 2)
            :foreachRDD(function(rdd) rdd:count() end)
        ssc:start()
        local loop = require "moontide.driver.loop"
        local function advance(batches)
            for _ = 1, batches do
                ssc.life.graph:advance(100)
                loop.run_until(function()
                    return ssc.life.state == "STOPPED" or ssc.life.tasks == 0 and ssc.life.graph:idle()
                end)
            end
            collectgarbage()
            collectgarbage()
            return (core.liveBlocks())
        end
        local count = tonumber(os.getenv("MOONTIDE_SANITIZE") and os.getenv("MOONTIDE_SANITIZE") ~= "" and 300 or 1000)
        local before = advance(500)
        local after = advance(count)
        assert.is_nil(ssc.life.error)
        assert.is_true(after <= before * 1.05 + 16, before .. " blocks, then " .. after)
    end)
end)
