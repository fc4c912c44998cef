-- StreamingContext: making it, its inputs, its life, its listeners.

local moontide = require "moontide"
local engine = require "spec.support.engine"
local line_server = require "spec.support.line_server"
local loop = require "moontide.driver.loop"

local message, sorted, advance = engine.message, engine.sorted, engine.advance

local function nothing() end

describe("a streaming context", function()
    engine.watch(after_each)

    it("is made in several ways", function()
        local a = moontide.StreamingContext("local[1]", "one", moontide.seconds(1))
        assert.same({ "local[1]", "one" }, { a.sc.master, a.sc.appName })
        assert.equal("INITIALIZED", a:getState())
        assert.equal("StreamingContext(local[1], one, 1000 ms)", tostring(a))
        assert.is_true(a:stop())
        assert.is_true(a.sc:isStopped())

        local sc = engine.context()
        local b = moontide.StreamingContext(sc, "250ms")
        assert.equal(sc, b.sc)
        assert.is_true(b:stop(false))
        assert.is_false(sc:isStopped())

        local c = moontide.StreamingContext({ master = "local[2]", appName = "three", batch = "1s",
            conf = { defaultParallelism = 7 } })
        assert.equal(7, c.sc:defaultParallelism())
        assert.is_true(c:stop())
        local d = moontide.StreamingContext({ sc = sc, batch = 100 })
        assert.is_true(d:stop(false))
    end)

    it("refuses wrong arguments at the caller's line", function()
        local function refused(...)
            local arguments = { ... }
            return message(function() moontide.StreamingContext(unpack(arguments, 1, 3)) end)
        end
        assert.matches("streaming_spec.lua:%d+: bad argument #3 to 'StreamingContext' %(a duration is a whole number",
            refused("local", "x", 0.5))
        assert.matches("unknown unit 'sec'", refused("local", "x", "1sec"), 1, true)
        assert.matches("longer than 0 ms", refused("local", "x", 0), 1, true)
        assert.matches("cannot be negative", refused("local", "x", -1), 1, true)
        assert.matches("got nil", refused("local", "x"), 1, true)
        assert.matches("master 'yarn' is not supported", refused("yarn", "x", 1000), 1, true)
        assert.matches("has no option 'bacth'; did you mean 'batch'", refused({ bacth = 1 }), 1, true)
        assert.matches("option 'batch': duration expected", refused({ master = "local" }), 1, true)
        assert.matches("option 'sc': Context expected, got number", refused({ sc = 1, batch = 1 }), 1, true)
        assert.matches("master, Context or table of options expected, got nil", refused(), 1, true)
        local sc = engine.context()
        assert.matches("belong to the Context given", refused({ sc = sc, batch = 1, master = "local" }), 1, true)
        sc:stop()
        assert.matches("the context is stopped", refused(sc, 1000), 1, true)
    end)

    it("says that recovery comes later", function()
        assert.matches("streaming_spec.lua:%d+: StreamingContext%(checkpointDirectory%): checkpoint recovery is not part of",
            message(function() moontide.StreamingContext("/tmp/checkpoint") end))
        assert.matches("getOrCreate: checkpoint recovery is not part of this release",
            message(moontide.StreamingContext.getOrCreate, "/tmp/x", print), 1, true)
        assert.matches("no function 'getOrCrate'; did you mean 'getOrCreate'?",
            message(function() return moontide.StreamingContext.getOrCrate end), 1, true)
    end)

    it("runs by itself: a second one starts when the first has stopped", function()
        local sc = engine.context()
        local seen = {}
        local function context_of(index, engine_of_its_own)
            local ssc = moontide.StreamingContext(engine_of_its_own and engine.context("local[1]") or sc, 10)
            ssc:queueStream({ { index } }):foreachRDD(function(rdd)
                for _, record in ipairs(rdd:collect()) do
                    seen[#seen + 1] = record
                end
                if #rdd:collect() == 0 then
                    ssc:stop(false)
                end
            end)
            return ssc
        end
        local first, second, third = context_of(1), context_of(2), context_of(3, true)
        first:start()
        assert.matches("another StreamingContext of spec %(started at [^ ]*streaming_spec.lua:%d+%) is running: stop it first",
            message(second.start, second))
        assert.equal("INITIALIZED", second:getState())
        third:start() -- has an engine of its own
        first:awaitTermination()
        second:start()
        second:awaitTermination()
        third:awaitTermination()
        table.sort(seen)
        assert.same({ 1, 2, 3 }, seen)
    end)

    it("refuses to start with checkpoints when a function of the driver could not be stored in one", function()
        local file = io.tmpfile()
        local base = require("spec.support.tempdir").new()
        local function refused(define)
            local ssc = engine.streaming()
            ssc:checkpoint(base.path .. "/checkpoint")
            define(ssc, ssc:queueStream({ { 1 } }))
            local text = message(ssc.start, ssc)
            assert.matches("the DStreams with their functions are not serializable", text, 1, true)
            assert.matches("upvalue 'file'", text, 1, true)
            assert.equal("INITIALIZED", ssc:getState())
        end
        refused(function(_, stream) stream:foreachRDD(function() file:write("x") end) end)
        refused(function(_, stream) stream:transform(function(rdd) file:write("x") return rdd end):print() end)
        -- A stream or context can be put in place again.
        local ssc = engine.streaming()
        ssc:checkpoint(base.path .. "/checkpoint")
        local stream = ssc:queueStream({ { 1 } })
        stream:foreachRDD(function() return ssc:getState(), stream end)
        ssc:start()
        base:remove()
    end)
end)

describe("queueStream", function()
    engine.watch(after_each)

    local function run(ssc, stream, batches)
        local seen = {}
        stream:foreachRDD(function(rdd)
            seen[#seen + 1] = table.concat(sorted(rdd:collect()), " ")
        end)
        ssc:start()
        for _ = 1, batches do
            advance(ssc)
        end
        return seen
    end

    it("gives one dataset for each batch, then empty ones", function()
        local ssc = engine.streaming()
        assert.same({ "1 2", "3", "" }, run(ssc, ssc:queueStream({ { 1, 2 }, { 3 } }), 3))
    end)

    it("gives all that are queued in one batch", function()
        local ssc = engine.streaming()
        assert.same({ "1 2 3", "" }, run(ssc, ssc:queueStream({ { 1, 2 }, { 3 } }, false), 2))
    end)

    it("gives a default when nothing is queued", function()
        local ssc = engine.streaming()
        assert.same({ "1", "9", "9" }, run(ssc, ssc:queueStream({ { 1 } }, true, { 9 }), 3))
        local other = engine.streaming()
        assert.same({ "[a,1]" }, run(other, other:queueStream({}, true, other.sc:parallelizePairs({ { "a", 1 } })), 1))
    end)

    it("takes datasets of pairs, pushed ones, and what is appended to the list", function()
        local ssc = engine.streaming()
        local list = { ssc.sc:parallelizePairs({ { "a", 1 } }) }
        local stream = ssc:queueStream(list)
        local seen = {}
        stream:foreachRDD(function(rdd, time)
            seen[#seen + 1] = table.concat(sorted(rdd:collect()), " ")
            if time == 1000 then
                list[2] = ssc.sc:parallelizePairs({ { "later", 3 } })
            end
        end)
        stream:push(ssc.sc:parallelizePairs({ { "pushed", 2 } }))
        ssc:start()
        for _ = 1, 3 do
            advance(ssc)
        end
        assert.same({ "[a,1]", "[pushed,2]", "[later,3]" }, seen)
    end)

    it("refuses what is no dataset", function()
        local ssc = engine.streaming()
        assert.matches("streaming_spec.lua:%d+: 'queueStream': an array of records or an RDD expected %(array expected, got n",
            message(function() ssc:queueStream({ 1 }) end))
        assert.matches("queueStream: record 1: a function",
            message(function() ssc:queueStream({ { print } }) end), 1, true)
        assert.matches("the RDD belongs to another Context",
            message(function() ssc:queueStream({ engine.context():emptyRDD() }) end), 1, true)
        assert.matches("#2 to 'queueStream' (boolean expected, got number)",
            message(function() ssc:queueStream({}, 1) end), 1, true)
        local mapped = ssc:queueStream({}):map(print)
        assert.matches("only streams made by queueStream", message(function() mapped:push({}) end), 1, true)
    end)

    it("fails the run for what is appended and no dataset", function()
        local ssc = engine.streaming()
        local list = {}
        ssc:queueStream(list):foreachRDD(function() list[1] = 5 end)
        ssc:start()
        advance(ssc)
        advance(ssc)
        assert.matches("queueStream (", message(ssc.awaitTermination, ssc), 1, true)
    end)
end)

describe("the life of a streaming context", function()
    engine.watch(after_each)

    it("goes one way", function()
        local ssc = engine.streaming()
        ssc:queueStream({}):foreachRDD(nothing)
        assert.equal("INITIALIZED", ssc:getState())
        ssc:start()
        assert.equal("ACTIVE", ssc:getState())
        assert.is_true(ssc:stop(false))
        assert.equal("STOPPED", ssc:getState())
        assert.is_true(ssc:stop(false))
        ssc:awaitTermination()
        assert.is_true(ssc:awaitTerminationOrTimeout(0))
        assert.matches("streaming_spec.lua:%d+: 'start': the streaming context is stopped",
            message(function() ssc:start() end))
    end)

    it("stops the engine under it unless told otherwise", function()
        local ssc = engine.streaming()
        ssc:queueStream({}):foreachRDD(nothing)
        ssc:start()
        ssc:stop(false)
        assert.is_false(ssc.sc:isStopped())
        ssc:stop()
        assert.is_true(ssc.sc:isStopped())
        local kept = engine.streaming(1000, { stopContextByDefault = false })
        kept:stop()
        assert.is_false(kept.sc:isStopped())
        kept:stop({ stopContext = true })
        assert.is_true(kept.sc:isStopped())
    end)

    it("takes a second start as it is", function()
        moontide.Context("local", "quiet"):stop()
        local core = require "moontide.core"
        core.logLevel("error")
        finally(function() core.logLevel("warn") end)
        local ssc = engine.streaming()
        ssc:queueStream({}):foreachRDD(nothing)
        ssc:start()
        ssc:start()
        assert.equal("ACTIVE", ssc:getState())
    end)

    it("needs an output", function()
        local ssc = engine.streaming()
        ssc:queueStream({}):map(print)
        assert.matches("streaming_spec.lua:%d+: 'start': no output operation is registered",
            message(function() ssc:start() end))
        assert.equal("INITIALIZED", ssc:getState())
    end)

    it("takes no definitions after start", function()
        local ssc = engine.streaming()
        local stream = ssc:queueStream({})
        stream:foreachRDD(nothing)
        ssc:start()
        for _, fn in ipairs({
            function() ssc:queueStream({}) end,
            function() ssc:socketTextStream("localhost", 1) end,
            function() ssc:union({ stream }) end,
            function() ssc:transform({ stream }, print) end,
            function() ssc:remember(1000) end,
            function() stream:map(print) end,
            function() stream:reduceByKey(print) end,
            function() stream:count() end,
            function() stream:union(stream) end,
            function() stream:transform(print) end,
            function() stream:foreachRDD(nothing) end,
            function() stream:print() end,
        }) do
            assert.matches("streaming_spec.lua:%d+: '%w+': .*after the context was started", message(fn))
        end
    end)

    it("takes no definitions after stop", function()
        local ssc = engine.streaming()
        local stream = ssc:queueStream({})
        ssc:stop(false)
        for _, fn in ipairs({
            function() ssc:queueStream({}) end,
            function() stream:map(print) end,
            function() stream:foreachRDD(nothing) end,
            function() stream:push({}) end,
            function() ssc:addStreamingListener({ onBatchStarted = print }) end,
        }) do
            assert.matches("streaming_spec.lua:%d+: '%w+': .*stopped %(stop was called%)", message(fn))
        end
    end)

    it("waits only for what was started", function()
        local ssc = engine.streaming()
        assert.matches("'awaitTermination': the streaming context was not started",
            message(ssc.awaitTermination, ssc), 1, true)
        ssc:queueStream({}):foreachRDD(nothing)
        ssc:start()
        assert.is_false(ssc:awaitTerminationOrTimeout("5ms"))
        assert.is_false(ssc:awaitTerminationOrTimeout(0))
        assert.matches("cannot be negative", message(ssc.awaitTerminationOrTimeout, ssc, -1), 1, true)
        assert.matches("got nil", message(ssc.awaitTerminationOrTimeout, ssc), 1, true)
    end)

    it("can be ended from inside a batch", function()
        local ssc = moontide.StreamingContext("local[2]", "inside", 10)
        local batches = 0
        ssc:queueStream({ { 1 } }):foreachRDD(function(rdd)
            batches = batches + 1
            if batches == 2 then
                assert.is_true(ssc:stop(true, true))
                rdd:count()
            end
        end)
        ssc:start()
        ssc:awaitTermination()
        assert.equal("STOPPED", ssc:getState())
        assert.is_true(ssc.sc:isStopped())
        assert.is_true(batches >= 2)
    end)

    it("does not wait for itself inside a batch", function()
        local ssc = engine.streaming()
        local text
        ssc:queueStream({}):foreachRDD(function() text = message(ssc.awaitTermination, ssc) end)
        ssc:start()
        advance(ssc)
        assert.matches("'awaitTermination' cannot be called inside foreachRDD", text, 1, true)
    end)

    it("remembers datasets once it was told so", function()
        local ssc = engine.streaming()
        ssc:queueStream({ { 1 }, { 2 }, { 3 } }):foreachRDD(nothing)
        ssc:remember("3s")
        assert.matches("it was set to 3000 ms already", message(ssc.remember, ssc, 5000), 1, true)
        assert.matches("longer than 0 ms", message(ssc.remember, ssc, 0), 1, true)
    end)

    it("drops queued batches when stopped at once, finishes them when stopped gracefully", function()
        for _, graceful in ipairs({ true, false }) do
            local ssc = engine.streaming()
            local times = {}
            ssc:queueStream({ { 1 }, { 2 }, { 3 } }):foreachRDD(function(rdd, time)
                rdd:map(function(x) return x end):collect()
                times[#times + 1] = time
            end)
            ssc:start()
            ssc.life.graph:advance(3000)
            assert.is_true(ssc:stop({ stopContext = false, graceful = graceful }))
            assert.same(graceful and { 1000, 2000, 3000 } or {}, times)
        end
    end)
end)

describe("socketTextStream", function()
    engine.watch(after_each)

    it("delivers what a server sends, and stops gracefully with it", function()
        local server = line_server.listen()
        finally(function() server:close() end)
        local ssc = moontide.StreamingContext(engine.context(), 20)
        local lines, started = {}, 0
        ssc:socketTextStream("127.0.0.1", server.port, moontide.StorageLevel.MEMORY_ONLY):foreachRDD(function(rdd)
            for _, line in ipairs(rdd:collect()) do
                lines[#lines + 1] = line
            end
        end)
        ssc:addStreamingListener({ onReceiverStarted = function(info)
            started = started + 1
            assert.equal(0, info.streamId)
            assert.is_true(info.active)
        end })
        ssc:start()
        local client = server:accept()
        client:send("one\ntwo\r\nthree\n")
        loop.run_until(function() return #lines == 3 end, 5000)
        assert.same({ "one", "two", "three" }, lines)
        assert.equal(1, started)
        client:send("four\n")
        loop.run_until(function() return #lines == 4 end, 5000)
        assert.is_true(ssc:stop(false, true))
        assert.same({ "one", "two", "three", "four" }, lines)
    end)

    it("tells listeners of a port that nobody listens on", function()
        local core = require "moontide.core"
        core.logLevel("error")
        finally(function() core.logLevel("warn") end)
        local ssc = moontide.StreamingContext(engine.context("local[1]", { ["socket.reconnect"] = 10 }), 20)
        local port = line_server.closed_port()
        local errors = {}
        ssc:socketTextStream("127.0.0.1", port):print()
        ssc:addStreamingListener({ onReceiverError = function(info) errors[#errors + 1] = info end })
        ssc:start()
        loop.run_until(function() return #errors >= 2 end, 5000)
        assert.matches("connection refused", errors[1].lastErrorMessage, 1, true)
        assert.equal("socketTextStream(127.0.0.1:" .. port .. ")", errors[1].name)
        ssc:stop(false)
    end)
end)

describe("listeners", function()
    engine.watch(after_each)

    it("hear of batches and outputs in order", function()
        local ssc = engine.streaming()
        local heard = {}
        local listener = {}
        for _, name in ipairs(require("moontide.driver.listener").callbacks) do
            listener[name] = function(info)
                heard[#heard + 1] = { name = name, info = info }
            end
        end
        ssc:addStreamingListener(listener)
        local stream = ssc:queueStream({ { 1, 2 } })
        stream:foreachRDD(function() end)
        stream:count():foreachRDD(function() end)
        ssc:start()
        advance(ssc)
        local names = {}
        for index, event in ipairs(heard) do
            names[index] = event.name .. (event.info.id or "")
        end
        assert.same({
            "onStreamingStarted", "onBatchSubmitted", "onBatchStarted", "onOutputOperationStarted0",
            "onOutputOperationCompleted0", "onOutputOperationStarted1", "onOutputOperationCompleted1", "onBatchCompleted",
        }, names)
        local batch = heard[8].info
        assert.equal(1000, batch.batchTime)
        assert.equal(batch.processingEndTime - batch.submissionTime, batch.totalDelay)
        assert.equal(batch.schedulingDelay + batch.processingDelay, batch.totalDelay)
        assert.equal("foreachRDD", heard[4].info.name)
        assert.matches("streaming_spec.lua:", heard[4].info.description, 1, true)
    end)

    it("may be added while the context runs, and fail without harm", function()
        local core = require "moontide.core"
        core.logLevel("off")
        finally(function() core.logLevel("warn") end)
        local ssc = engine.streaming()
        local completed = 0
        ssc:queueStream({ { 1 } }):foreachRDD(nothing)
        ssc:start()
        ssc:addStreamingListener({ onBatchCompleted = function() error("mine") end })
        ssc:addStreamingListener({ onBatchCompleted = function() completed = completed + 1 end })
        advance(ssc)
        advance(ssc)
        assert.equal(2, completed)
        assert.equal("ACTIVE", ssc:getState())
    end)

    it("may not stop the context", function()
        local ssc = engine.streaming()
        local text
        ssc:queueStream({}):foreachRDD(nothing)
        ssc:addStreamingListener({ onBatchCompleted = function() text = message(function() ssc:stop() end) end })
        ssc:start()
        advance(ssc)
        assert.matches("streaming_spec.lua:%d+: stop%(%) cannot be called inside a listener callback %(onBatchCompleted%)",
            text)
        assert.equal("ACTIVE", ssc:getState())
    end)

    it("are checked", function()
        local ssc = engine.streaming()
        assert.matches("no callback 'onBatchComplete'; did you mean 'onBatchCompleted'",
            message(function() ssc:addStreamingListener({ onBatchComplete = print }) end), 1, true)
        assert.matches("the listener has no callback", message(function() ssc:addStreamingListener({}) end), 1, true)
        assert.matches("onBatchStarted must be a function, got string",
            message(function() ssc:addStreamingListener({ onBatchStarted = "x" }) end), 1, true)
        assert.matches("table of callbacks expected, got function",
            message(function() ssc:addStreamingListener(print) end), 1, true)
    end)
end)
