-- What streams keep and for how long: persist, checkpoint intervals, remember, slice.

local moontide = require "moontide"
local storage_bits = require "moontide.wire.storage_bits"
local testing = require "moontide.testing"

local levels = moontide.StorageLevel

-- A started context on a manual clock. Returns it and a function that advances it by batches.
local function started(define, directory)
    local ssc = require("moontide.streaming").create(moontide.Context("local[1]", "persistence"), 1000,
        { clock = "manual", start = 0 })
    if directory then
        ssc:checkpoint(directory)
    end
    define(ssc)
    ssc:start()
    local loop = require "moontide.driver.loop"
    return ssc, function(batches)
        for _ = 1, batches do
            ssc.life.graph:advance(1000)
            loop.run_until(function()
                return ssc.life.state == "STOPPED" or ssc.life.tasks == 0 and ssc.life.graph:idle()
            end)
        end
    end
end

local function temporary()
    local checkpoint = require "moontide.driver.checkpoint"
    local directory = assert(checkpoint.temporary())
    finally(function() checkpoint.remove(directory) end)
    return directory
end

describe("persist", function()
    it("computes a dataset once for several outputs", function()
        local path = os.tmpname()
        finally(function() os.remove(path) end)
        local function note(x)
            local file = io.open(path, "a")
            file:write(x)
            file:close()
            return x
        end
        local result = testing.run { inputs = { { { "x", "y" } } }, build = function(_, a)
            local noted = a:map(note):persist()
            noted:print(0)
            noted:count():print(0)
            return noted
        end }
        assert.is_nil(result.error)
        local file = io.open(path)
        local seen = file:read("*a")
        file:close()
        assert.are.equal(2, #seen)
    end)

    it("of a window is meant for the stream under it", function()
        local ssc = moontide.StreamingContext("local[1]", "persistence", 1000)
        finally(function() ssc:stop() end)
        local stream = ssc:queueStream({})
        local window = stream:window(2000)
        assert.are.equal(levels.MEMORY_ONLY_SER, storage_bits.level(stream.node:level()))
        assert.are.equal(levels.NONE, storage_bits.level(window.node:level()))
        window:persist(levels.MEMORY_AND_DISK)
        assert.are.equal(levels.MEMORY_AND_DISK, storage_bits.level(stream.node:level()))
        assert.are.equal(levels.NONE, storage_bits.level(window.node:level()))
    end)

    it("is refused after the start", function()
        local stream
        local ssc = started(function(made)
            stream = made:queueStream({})
            stream:print()
        end)
        finally(function() ssc.sc:stop() end)
        for _, late in ipairs({ function() stream:persist() end, function() stream:cache() end,
            function() stream:checkpoint(1000) end, function() ssc:checkpoint("/tmp/later") end,
            function() ssc:remember(5000) end }) do
            local ok, text = pcall(late)
            assert.is_false(ok)
            assert.matches("cannot be changed after the context was started; do it before ssc:start()", text, 1, true)
        end
    end)
end)

describe("remember", function()
    it("keeps datasets for one slide, what windows need, and what the context asks for", function()
        local streams = {}
        local ssc, advance = started(function(made)
            streams.input = made:queueStream({}, true, { 1 })
            streams.mapped = streams.input:map(function(x) return x end)
            streams.window = streams.mapped:window(3000)
            streams.window:foreachRDD(function(rdd) rdd:count() end)
            streams.unused = streams.input:filter(function() return true end)
        end)
        finally(function() ssc.sc:stop() end)
        advance(8)
        assert.are.equal(1000, streams.window.node:remember())
        assert.are.equal(4000, streams.mapped.node:remember())
        assert.are.equal(4000, streams.input.node:remember())
        assert.are.equal(1000, streams.unused.node:remember())
        assert.is_nil(streams.mapped.node:dataset(4000))
        assert.is_not_nil(streams.mapped.node:dataset(5000))
        assert.is_nil(streams.window.node:dataset(7000))
        assert.is_not_nil(streams.window.node:dataset(8000))
    end)

    it("keeps state for two checkpoint intervals", function()
        local state
        local ssc = started(function(made)
            local ones = made:queueStream({}, true, { 1 }):map(function(x) return x, 1 end)
            state = ones:updateStateByKey(function(values) return #values end):checkpoint(4000)
            state:foreachRDD(function(rdd) rdd:count() end)
        end, temporary())
        finally(function() ssc.sc:stop() end)
        assert.are.equal(4000, state.node:checkpoint())
        assert.are.equal(8000, state.node:remember())
    end)
end)

describe("a checkpoint interval", function()
    local function failure(define)
        local result = testing.run { inputs = { { { 1 } } }, build = function(_, a) return define(a) end }
        return result.error and result.error.message
    end

    local function identity(x)
        return x
    end

    it("must fit the slide", function()
        assert.is_nil(failure(function(a) return a:map(identity):checkpoint(2000) end))
        assert.matches("lower than its slide time", failure(function(a) return a:map(identity):checkpoint(500) end))
        local text = failure(function(a) return a:map(identity):checkpoint(2500) end)
        assert.matches("the stream of checkpoint (", text, 1, true)
        assert.matches("persistence_spec.lua:%d+%), 2500 ms, is not a multiple of its slide time", text)
    end)

    it("on a window has nothing to be written from", function()
        assert.matches("marked for checkpointing but the storage level has not been set",
            failure(function(a) return a:window(2000):checkpoint(10000) end))
    end)

    it("does not matter on streams that no output needs", function()
        local result = testing.run { inputs = { { { 1 } } }, checkpoint = false, build = function(_, a)
            a:map(identity):checkpoint(500)
            return a
        end }
        assert.is_nil(result.error)
    end)
end)

describe("ssc:checkpoint", function()
    it("makes the directory, and says why it cannot be used", function()
        local base = temporary()
        local ssc = moontide.StreamingContext("local[1]", "persistence", 1000)
        finally(function() ssc:stop() end)
        ssc:checkpoint(base .. "/a/b")
        local file = assert(io.open(base .. "/a/b/file", "w"))
        file:close()
        assert.has_error(function() ssc:checkpoint(base .. "/a/b/file") end)
        assert.has_error(function() ssc:checkpoint("") end)
        assert.has_error(function() ssc:checkpoint("/proc/none/of/this") end)
        os.execute("rm -r '" .. base .. "/a'")
    end)
end)

describe("slice", function()
    local function context(remember)
        local stream, doubled, transformed
        local calls = {}
        local ssc, advance = started(function(made)
            if remember then
                made:remember(remember)
            end
            stream = made:queueStream({ { 1 }, { 2 }, { 3 }, { 4 }, { 5 } })
            doubled = stream:map(function(x) return 2 * x end)
            transformed = stream:transform(function(rdd, time)
                calls[#calls + 1] = time
                return rdd:map(function(x) return x + 100 end)
            end)
            doubled:foreachRDD(function(rdd) rdd:count() end)
        end)
        finally(function() ssc.sc:stop() end)
        local function slice(of, from, to)
            local records = {}
            for _, rdd in ipairs(of:slice(from, to)) do
                for _, x in ipairs(rdd:collect()) do
                    records[#records + 1] = x
                end
            end
            return records
        end
        return { ssc = ssc, advance = advance, slice = slice, stream = stream, doubled = doubled, transformed = transformed,
            calls = calls }
    end

    it("has both ends, rounded down to the batches", function()
        local c = context(10000)
        c.advance(4)
        assert.are.same({ 2, 4 }, c.slice(c.doubled, 0, 2000))
        assert.are.same({ 4, 6 }, c.slice(c.doubled, 2500, 3999))
        assert.are.same({ 4, 6, 8 }, c.slice(c.doubled, 2000, 4000))
    end)

    it("computes what is not there yet, and the batch then has it", function()
        local c = context(10000)
        c.advance(1)
        assert.are.same({ 4, 6 }, c.slice(c.doubled, 2000, 3000))
        c.advance(3)
        assert.are.same({ 2, 4, 6, 8 }, c.slice(c.doubled, 1000, 4000))
    end)

    it("runs functions of transform, with the time of each batch", function()
        local c = context(10000)
        c.advance(3)
        assert.are.same({ 102, 103 }, c.slice(c.transformed, 2000, 3000))
        assert.are.same({ 2000, 3000 }, c.calls)
        assert.are.same({ 102, 103 }, c.slice(c.transformed, 2000, 3000))
        assert.are.same({ 2000, 3000 }, c.calls)
        c.advance(1)
        assert.are.same({ 8 }, c.slice(c.doubled, 4000, 4000))
    end)

    it("may be used inside foreachRDD", function()
        local seen = {}
        local ssc, advance = started(function(made)
            made:remember(5000)
            local stream = made:queueStream({ { 1 }, { 2 }, { 3 } })
            stream:foreachRDD(function(_, time)
                local sum = 0
                for _, rdd in ipairs(stream:slice(time - 1000, time)) do
                    sum = sum + rdd:sum()
                end
                seen[#seen + 1] = sum
            end)
        end)
        finally(function() ssc.sc:stop() end)
        advance(3)
        assert.is_nil(ssc.life.error)
        assert.are.same({ 1, 3, 5 }, seen)
    end)

    it("refuses what makes no sense", function()
        local c = context()
        assert.has_error(function() c.doubled:slice(2000, 1000) end)
        assert.has_error(function() c.doubled:slice("1000", 1000) end)
        assert.are.same({ 2 }, c.slice(c.doubled, -4000, 1000)) -- "the last five seconds", soon after the start
        assert.has_error(function() c.doubled:slice(0, 2 ^ 52) end)
        local ssc = moontide.StreamingContext("local[1]", "persistence", 1000)
        finally(function() ssc:stop() end)
        local stream = ssc:queueStream({})
        local ok, message = pcall(stream.slice, stream, 0, 1000)
        assert.is_false(ok)
        assert.matches("has not been started", message)
    end)
end)
