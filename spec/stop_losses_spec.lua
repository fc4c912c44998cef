-- A stop that does not process everything says what it drops, and what held it up; and one that does leaves nothing in sockets.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local line_server = require "spec.support.line_server"
local loop = require "moontide.driver.loop"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local function contains(text, part)
    assert(tostring(text):find(part, 1, true), string.format("'%s' is not in:\n%s", part, tostring(text)))
end

-- A stream of 2 records in each of 5 batches, which are there all at once.
local function five(conf, on_batch)
    local ssc = engine.streaming(1000, conf)
    local datasets = {}
    for index = 1, 5 do datasets[index] = ssc.sc:parallelize({ index, -index }, 1) end
    ssc:queueStream(datasets):foreachRDD(on_batch)
    ssc:start()
    ssc.life.graph:advance(5000)
    return ssc
end

local function line_here()
    return debug.getinfo(2, "l").currentline
end

local function busy(seconds)
    local limit = core.monotonic() + seconds
    repeat until core.monotonic() >= limit
end

describe("a stop that breaks off", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    it("after a failure says how many records of which batches were behind", function()
        local ssc = five(nil, function(_, time)
            if time == 2000 then error("this one fails") end
        end)
        local ok, err = pcall(function() ssc:awaitTermination() end)
        assert.is_false(ok)
        contains(err, "this one fails")
        assert.same({ "queueStream: 6 received records were not processed: 2 of the batch of 3000 ms, which was not finished, "
            .. "4 of 2 batches from 4000 to 5000 ms" }, err.lost)
    end)

    it("at once says the same, without the batch that calls it", function()
        local ssc
        ssc = five(nil, function(_, time)
            if time == 3000 then ssc:stop(true, false) end
        end)
        loop.run_until(function() return ssc:getState() == "STOPPED" end)
        assert.same({ "queueStream: 4 received records were not processed: 4 of 2 batches from 4000 to 5000 ms" }, ssc.life.lost)
    end)

    it("counts what sources have received for no batch yet, an unfinished line as one", function()
        local server = line_server.listen()
        finally(function() server:close() end)
        local ssc = engine.streaming(1000)
        local seen, closed = 0, false
        ssc:socketTextStream("127.0.0.1", server.port):foreachRDD(function(rdd) seen = seen + rdd:count() end)
        ssc:addStreamingListener { onReceiverError = function() closed = true end }
        ssc:start()
        local client = server:accept()
        client:send("one\ntwo\n")
        repeat engine.advance(ssc) until seen == 2
        client:send("three\nfour\nfi")
        client:close()
        loop.run_until(function() return closed end, 10000)
        assert(ssc:stop(true, false))
        assert.same({ string.format("socketTextStream(127.0.0.1:%d): 3 received records were not processed: "
            .. "3 that were for no batch yet", server.port) }, ssc.life.lost)
    end)

    -- A graceful stop that fails; its error counts as told.
    local function stopped(ssc)
        local ok, err = ssc:stop(true, true)
        pcall(ssc.awaitTermination, ssc)
        return ok, err
    end

    it("says nothing when nothing is lost", function()
        local ssc = five(nil, function() end)
        loop.run_until(function() return ssc.life.graph:idle() and ssc.life.tasks == 0 end)
        assert(ssc:stop(true, false))
        assert.same({}, ssc.life.lost)
        ssc = five(nil, function() end)
        assert(ssc:stop(true, true))
        assert.same({}, ssc.life.lost)
    end)

    it("because the script's own function holds it up names that function", function()
        local line
        local ssc = five({ gracefulStopTimeout = 20, stopTimeout = 0 }, function()
            line = line_here()
            busy(0.03)
        end)
        local ok, err = stopped(ssc)
        assert.is_nil(ok)
        contains(err, "the graceful stop took longer than 20 ms and was broken off")
        contains(err, string.format("the script's own function foreachRDD (spec/stop_losses_spec.lua:%d), batch 1000 ms", line - 1))
        assert.same({ "queueStream: 8 received records were not processed: 2 of the batch of 2000 ms, which was not finished, "
            .. "6 of 3 batches from 3000 to 5000 ms" }, err.lost)
    end)

    it("because of a listener or a function of transform names these", function()
        local ssc = engine.streaming(1000, { gracefulStopTimeout = 20, stopTimeout = 0 })
        local line
        ssc:queueStream({ ssc.sc:parallelize({ 1 }) }):transform(function(rdd)
            line = line_here()
            busy(0.03)
            return rdd
        end):foreachRDD(function() end)
        ssc:start()
        ssc.life.graph:advance(1000)
        local _, err = stopped(ssc)
        contains(err, string.format("the script's own function transform (spec/stop_losses_spec.lua:%d)", line - 1))

        ssc = engine.streaming(1000, { gracefulStopTimeout = 20, stopTimeout = 0 })
        ssc:queueStream({ ssc.sc:parallelize({ 1 }) }):foreachRDD(function() end)
        ssc:addStreamingListener { onBatchStarted = function()
            line = line_here()
            busy(0.03)
        end }
        ssc:start()
        ssc.life.graph:advance(1000)
        _, err = stopped(ssc)
        contains(err, string.format("the script's own function onBatchStarted (spec/stop_losses_spec.lua:%d)", line - 1))
    end)

    it("tells it in the log, a line for each input", function()
        local dir = tempdir.new()
        local path = dir:write("job.lua", [[
local moontide = require "moontide"
local ssc = require("moontide.streaming").create(moontide.Context("local[1]", "losing"), 1000, { clock = "manual", start = 0 })
local function queue(size)
    local datasets = {}
    for index = 1, 4 do
        local records = {}
        for at = 1, size do records[at] = at end
        datasets[index] = ssc.sc:parallelize(records, 1)
    end
    return ssc:queueStream(datasets)
end
queue(3):foreachRDD(function() error("broken") end)
queue(5):foreachRDD(function() end)
ssc:start()
ssc.life.graph:advance(4000)
ssc:awaitTermination()
]])
        local result = shell.moontide({ "run", path })
        dir:remove()
        assert.equal(1, result.code)
        contains(result.err, "WARN  streaming: queueStream: 9 received records were not processed: 9 of 3 batches from 2000 to 4000 ms")
        contains(result.err, "WARN  streaming: queueStream: 15 received records were not processed: 15 of 3 batches from 2000 to 4000 ms")
    end)
end)

describe("a graceful stop", function()
    engine.watch(after_each)

    it("delivers an unfinished last line as the end of a file does", function()
        local server = line_server.listen()
        finally(function() server:close() end)
        local ssc = engine.streaming(1000)
        local seen = {}
        ssc:socketTextStream("127.0.0.1", server.port):foreachRDD(function(rdd)
            for _, line in ipairs(rdd:collect()) do seen[#seen + 1] = line end
        end)
        ssc:start()
        local client = server:accept()
        client:send("one\ntwo") -- in one piece: who has seen the first line has the beginning of the second
        repeat engine.advance(ssc) until #seen == 1
        assert(ssc:stop(true, true))
        assert.same({ "one", "two" }, seen)
        assert.same({}, ssc.life.lost)
    end)
end)
