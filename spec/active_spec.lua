-- The running context of the process, and outputs that run at the same time.

local engine = require "spec.support.engine"
local moontide = require "moontide"

local constructor = moontide.StreamingContext

local function started()
    local ssc = engine.streaming()
    ssc:queueStream({}):foreachRDD(function() end)
    ssc:start()
    return ssc
end

describe("getActive", function()
    engine.watch(after_each)

    it("is the context that was started last and is not stopped", function()
        assert.is_nil(constructor.getActive())
        local idle = engine.streaming()
        assert.is_nil(constructor.getActive())
        local first, second = started(), started()
        assert.equal(second, constructor.getActive())
        assert.equal("INITIALIZED", idle:getState())
        assert.equal("ACTIVE", first:getState())
        second:stop()
        assert.equal("STOPPED", second:getState())
        assert.equal(first, constructor.getActive())
        first.sc:stop()
        assert.is_nil(constructor.getActive())
    end)

    it("or a new one, with getActiveOrCreate", function()
        local made = 0
        local function create()
            made = made + 1
            return started()
        end
        local ssc = constructor.getActiveOrCreate(create)
        assert.equal(ssc, constructor.getActiveOrCreate(create))
        assert.equal(1, made)
        ssc:stop()
        assert.error_matches(function() constructor.getActiveOrCreate(function() return 1 end) end,
            "must return a StreamingContext, got number")
        assert.error_matches(function() constructor.getActiveOrCreate(3) end, "function expected, got number")
        assert.error_matches(function() constructor.getActiveOrCreate("dir", create) end, "not part of this release")
        assert.error_matches(function() constructor.getActif() end, "did you mean 'getActive'")
    end)
end)

describe("concurrentJobs", function()
    engine.watch(after_each)

    local function order_of(concurrent)
        local order = {}
        local ssc = engine.streaming(1000, { concurrentJobs = concurrent })
        local numbers = ssc:queueStream({ { 1, 2, 3 } })
        for number = 1, 3 do
            numbers:foreachRDD(function(rdd)
                order[#order + 1] = "begin " .. number
                rdd:count()
                rdd:map(function(x) return x end):count()
                order[#order + 1] = "end " .. number
            end)
        end
        ssc:start()
        engine.advance(ssc)
        return table.concat(order, ", ")
    end

    it("is how many outputs run at a time", function()
        assert.equal("begin 1, end 1, begin 2, end 2, begin 3, end 3", order_of(1))
        assert.matches("^begin 1, begin 2, end %d, .*begin 3, ", order_of(2))
        assert.matches("^begin 1, begin 2, begin 3, end", order_of(3))
    end)

    it("lets batches overlap, and each ends when its last output has", function()
        local ssc = engine.streaming(1000, { concurrentJobs = 4 })
        local completed, began = {}, {}
        ssc:queueStream({ { 1 }, { 2 } }):foreachRDD(function(rdd, time)
            began[#began + 1] = time
            rdd:map(function(x) return x end):count()
        end)
        ssc:addStreamingListener({ onBatchCompleted = function(info) completed[#completed + 1] = info.batchTime end })
        ssc:start()
        ssc.life.graph:advance(2000)
        require("moontide.driver.loop").run_until(function() return ssc.life.tasks == 0 and ssc.life.graph:idle() end)
        table.sort(completed)
        assert.same({ 1000, 2000 }, began)
        assert.same({ 1000, 2000 }, completed)
    end)
end)
