-- Streaming listeners: what they are told, when, and what they may do.

local engine = require "spec.support.engine"
local core = require "moontide.core"
local listener = require "moontide.driver.listener"
local moontide = require "moontide"
local testing = require "moontide.testing"

-- A listener that notes everything: { name, info }.
local function noting()
    local noted, target = {}, {}
    for _, name in ipairs(listener.callbacks) do
        target[name] = function(info)
            noted[#noted + 1] = { name = name, info = info }
        end
    end
    return target, noted
end

local function names(noted)
    local list = {}
    for index, event in ipairs(noted) do
        list[index] = event.name:sub(3) .. (event.info.id and event.info.id or "")
    end
    return table.concat(list, " ")
end

describe("listeners", function()
    engine.watch(after_each)

    it("are told of batches and outputs in order", function()
        local target, noted = noting()
        local result = testing.run {
            inputs = { { { 1, 2 }, { 3 } } },
            build = function(ssc, numbers)
                ssc:addStreamingListener(target)
                numbers:foreachRDD(function() end)
                return numbers
            end,
        }
        assert.is_nil(result.error)
        local batch = "BatchSubmitted BatchStarted OutputOperationStarted0 OutputOperationCompleted0 "
            .. "OutputOperationStarted1 OutputOperationCompleted1 BatchCompleted"
        assert.equal("StreamingStarted " .. batch .. " " .. batch, names(noted))
        assert.equal(0, noted[1].info.time)
    end)

    it("get every field of a batch", function()
        local target, noted = noting()
        testing.run {
            inputs = { { { 1, 2 } }, { { 3 } }, { { 9 } } },
            build = function(ssc, a, b)
                ssc:addStreamingListener(target)
                a:foreachRDD(function() end)
                return b
            end,
        }
        local submitted, started, completed = noted[2].info, noted[3].info, noted[#noted].info
        assert.equal(1000, submitted.batchTime)
        assert(submitted.submissionTime > 1e12)
        assert.is_nil(submitted.processingStartTime)
        assert.is_nil(submitted.schedulingDelay)
        assert.is_nil(submitted.totalDelay)
        assert.is_nil(started.processingDelay)
        assert.equal(started.processingStartTime - started.submissionTime, started.schedulingDelay)
        assert.equal(completed.processingEndTime - completed.processingStartTime, completed.processingDelay)
        assert.equal(completed.schedulingDelay + completed.processingDelay, completed.totalDelay)
        -- The third input feeds no output, so nothing of it is used.
        assert.equal(3, completed.numRecords)
        assert.same({
            [0] = { inputStreamId = 0, numRecords = 2, metadata = { Description = "inputs[1]" },
                metadataDescription = "inputs[1]" },
            { inputStreamId = 1, numRecords = 1, metadata = { Description = "inputs[2]" },
                metadataDescription = "inputs[2]" },
        }, completed.streamIdToInputInfo)
        assert.equal("foreachRDD", submitted.outputOperationInfos[0].name)
        assert.is_nil(submitted.outputOperationInfos[0].startTime)
        local first = completed.outputOperationInfos[0]
        assert.matches("listener_spec.lua:%d+$", first.description)
        assert.equal(1000, first.startTime)
        assert.equal(first.endTime - first.startTime, first.duration)
        assert.equal("testing.run", completed.outputOperationInfos[1].name)
        assert.is_nil(completed.outputOperationInfos[2])
    end)

    it("are told which output a batch has, also when others have nothing to do", function()
        local target, noted = noting()
        testing.run {
            inputs = { { testing.NONE }, { { 3 } } },
            build = function(ssc, a, b)
                ssc:addStreamingListener(target)
                a:foreachRDD(function() end)
                return b
            end,
        }
        assert.equal("testing.run", noted[#noted].info.outputOperationInfos[0].name)
        assert.equal("testing.run", noted[4].info.name)
        assert.equal(0, noted[4].info.id)
    end)

    it("are told why an output failed", function()
        local target, noted = noting()
        core.logLevel("off")
        testing.run {
            inputs = { { { 1 }, { 2 } } }, conf = { onError = "skip" },
            build = function(ssc, numbers)
                ssc:addStreamingListener(target)
                numbers:foreachRDD(function(_, time) if time == 1000 then error("no luck") end end)
                return numbers
            end,
        }
        core.logLevel("warn")
        local completed = {}
        for _, event in ipairs(noted) do
            completed[#completed + 1] = event.name == "onBatchCompleted" and event.info or nil
        end
        assert.equal(2, #completed)
        assert.matches("no luck", completed[1].outputOperationInfos[0].failureReason, 1, true)
        assert.is_nil(completed[1].outputOperationInfos[1].failureReason)
        assert.is_nil(completed[2].outputOperationInfos[0].failureReason)
    end)

    it("do not disturb each other when one fails", function()
        local told = 0
        core.logLevel("off")
        local result = testing.run {
            inputs = { { { 1 }, { 2 } } },
            build = function(ssc, numbers)
                ssc:addStreamingListener({ onBatchCompleted = function() error("mine") end })
                ssc:addStreamingListener({ onBatchCompleted = function() told = told + 1 end })
                return numbers
            end,
        }
        core.logLevel("warn")
        assert.is_nil(result.error)
        assert.equal(2, told)
    end)

    it("may run actions, and are told one event after the other", function()
        local order = {}
        testing.run {
            inputs = { { { 1, 2 }, { 3 } } },
            build = function(ssc, numbers)
                ssc:addStreamingListener({ onBatchCompleted = function(info)
                    order[#order + 1] = "begin " .. info.batchTime
                    order[#order + 1] = ssc.sc:parallelize({ 1, 2, 3 }):count()
                    order[#order + 1] = "end " .. info.batchTime
                end })
                return numbers
            end,
        }
        assert.same({ "begin 1000", 3, "end 1000", "begin 2000", 3, "end 2000" }, order)
    end)

    it("may not stop the context", function()
        local text
        testing.run {
            inputs = { { { 1 } } },
            build = function(ssc, numbers)
                ssc:addStreamingListener({ onBatchCompleted = function() text = engine.message(ssc.stop, ssc) end })
                return numbers
            end,
        }
        assert.matches("stop() cannot be called inside a listener callback (onBatchCompleted)", text, 1, true)
    end)

    it("can be removed and added while the context runs", function()
        local ssc = engine.streaming()
        local first, second = {}, {}
        local a = { onBatchCompleted = function(info) first[#first + 1] = info.batchTime end }
        local b = { onBatchCompleted = function(info) second[#second + 1] = info.batchTime end }
        ssc:queueStream({}):foreachRDD(function() end)
        ssc:addStreamingListener(a)
        ssc:start()
        engine.advance(ssc)
        assert.is_true(ssc:removeStreamingListener(a))
        assert.is_false(ssc:removeStreamingListener(a))
        engine.advance(ssc)
        ssc:addStreamingListener(b)
        engine.advance(ssc)
        assert.same({ 1000 }, first)
        assert.same({ 3000 }, second)
    end)

    it("are checked", function()
        local ssc = engine.streaming()
        assert.error_matches(function() ssc:addStreamingListener({ onBatchComplete = print }) end,
            "no callback 'onBatchComplete'; did you mean 'onBatchCompleted'")
        assert.error_matches(function() ssc:addStreamingListener({}) end, "the listener has no callback")
        assert.error_matches(function() ssc:addStreamingListener(print) end, "table of callbacks expected")
    end)

    it("are told of receivers", function()
        local target, noted = noting()
        local sc = engine.context()
        local ssc = moontide.StreamingContext(sc, 50)
        ssc:queueStream({}):foreachRDD(function() end)
        local errors = 0
        -- Nobody listens on port 1: the connection is refused.
        ssc:socketTextStream("127.0.0.1", 1):foreachRDD(function() end)
        target.onReceiverError = function(info)
            errors = errors + 1
            noted.error = info
        end
        ssc:addStreamingListener(target)
        core.logLevel("off")
        ssc:start()
        while errors == 0 do
            ssc:awaitTerminationOrTimeout(10)
        end
        ssc:stop(false)
        core.logLevel("warn")
        local started, stopped
        for _, event in ipairs(noted) do
            started = event.name == "onReceiverStarted" and event.info or started
            stopped = event.name == "onReceiverStopped" and event.info or stopped
        end
        assert.equal(1, noted.error.streamId)
        assert.equal("socketTextStream(127.0.0.1:1)", noted.error.name)
        assert.is_true(noted.error.active)
        assert.matches("refused", noted.error.lastErrorMessage, 1, true)
        assert(noted.error.lastErrorTime > 1e12)
        assert.equal("localhost", noted.error.location)
        if started then
            assert.equal(-1, started.lastErrorTime)
        end
        if stopped then
            assert.is_false(stopped.active)
        end
    end)
end)

describe("the queue of events", function()
    local event_queue = require "moontide.driver.event_queue"

    it("gives events back in their order and holds nothing of those that were taken", function()
        local queue = event_queue.new(100000)
        for n = 1, 50000 do assert.is_true(queue:push({ n })) end
        for n = 1, 49999 do assert.equal(n, queue:pop()[1]) end
        assert.is_false(queue:is_empty())
        queue:push({ 50001 })
        assert.equal(50000, queue:pop()[1])
        assert.equal(50001, queue:pop()[1])
        assert.is_nil(queue:pop())
        assert.is_true(queue:is_empty())
        local held = 0
        for key in pairs(queue) do held = held + (type(key) == "number" and 1 or 0) end
        assert.equal(0, held)
    end)

    it("drops and counts what has no room", function()
        local queue = event_queue.new(2)
        assert.is_true(queue:push({ 1 }))
        assert.is_true(queue:push({ 2 }))
        assert.is_false(queue:push({ 3 }))
        assert.is_false(queue:push({ 4 }))
        assert.equal(2, queue:take_dropped())
        assert.equal(0, queue:take_dropped())
        assert.equal(1, queue:pop()[1])
        assert.is_true(queue:push({ 5 }))
        assert.equal(2, queue:pop()[1])
        assert.equal(5, queue:pop()[1])
    end)

    it("listener.maxEvents: a listener that waits does not hold events without end", function()
        local shell, tempdir = require "spec.support.shell", require "spec.support.tempdir"
        local dir = tempdir.new()
        local job = dir:write("job.lua", [[
            local moontide = require "moontide"
            local sc = moontide.Context{ master = "local[1]", conf = { ["listener.maxEvents"] = 1 } }
            local ssc = moontide.StreamingContext(sc, 10)
            local told, batches = 0, 0
            local listener = setmetatable({}, { __index = function()
                return function() -- each waits for a job, behind those of the batch
                    told = told + 1
                    sc:range(0, 1000, 1, 4):count()
                end
            end })
            ssc:addStreamingListener(listener)
            ssc:queueStream({ { 1 }, { 2 }, { 3 }, { 4 } }):foreachRDD(function(rdd)
                batches = batches + rdd:count()
                if batches == 4 then ssc:stop(false) end
            end)
            ssc:start()
            ssc:awaitTermination()
            print(batches, told > 0 and told < 20)
            sc:stop()
        ]])
        local result = shell.moontide({ "run", job })
        assert.equal("4\ttrue\n", result.out, result.err)
        assert.matches("WARN  streaming: listeners are slower than the streams: 1 events wait, and %d+ were not told "
            .. "%(setting listener.maxEvents%)", result.err)
        dir:remove()
    end)

    it("tells thousands of events that have piled up, one after the other", function()
        local events, order = 0, true
        local last = 0
        local result = testing.run {
            inputs = { {} }, batches = 3000,
            build = function(ssc, numbers)
                ssc:addStreamingListener({
                    onBatchCompleted = function(info)
                        events = events + 1
                        order = order and info.batchTime > last
                        last = info.batchTime
                    end,
                })
                return numbers
            end,
        }
        assert.is_nil(result.error)
        assert.same({ 3000, true }, { events, order })
    end)
end)

describe("StatsReportListener", function()
    it("reports the delays of the last batches as Spark does", function()
        local lines = {}
        local report = moontide.StatsReportListener(3, function(line) lines[#lines + 1] = line end)
        for index, delay in ipairs({ 999, 10, 20, 1500 }) do
            report.onBatchCompleted({ totalDelay = delay, processingDelay = index })
        end
        assert.equal("Total delay: (count: 3, mean: 510.000000, stdev: 700.047617, max: 1500.000000, min: 10.000000)",
            lines[#lines - 5])
        assert.equal("\t0%\t5%\t10%\t25%\t50%\t75%\t90%\t95%\t100%", lines[#lines - 4])
        assert.equal("\t10.0 ms\t10.0 ms\t10.0 ms\t10.0 ms\t20.0 ms\t1.5 s\t1.5 s\t1.5 s\t1.5 s", lines[#lines - 3])
        assert.equal("Processing time: (count: 3, mean: 3.000000, stdev: 0.816497, max: 4.000000, min: 2.000000)",
            lines[#lines - 2])
        assert.equal(4 * 6, #lines)
    end)

    it("is a listener", function()
        local lines = {}
        testing.run {
            inputs = { { { 1 }, { 2 } } },
            build = function(ssc, numbers)
                ssc:addStreamingListener(moontide.StatsReportListener(10, function(line) lines[#lines + 1] = line end))
                ssc:addStreamingListener(moontide.StatsReportListener())
                return numbers
            end,
        }
        assert.equal(12, #lines)
        assert.matches("^Total delay: %(count: 2, mean: ", lines[7])
        assert.error_matches(function() moontide.StatsReportListener(0) end, "a number from 1 to 1000000 expected")
    end)
end)
