-- stream:named(name), and stream:saveTo(sink): the contract of sinks from the first open() to the last close(), with sinks that fail at
-- each of its points.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local loop = require "moontide.driver.loop"
local moontide = require "moontide"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local message, streaming, advance = engine.message, engine.streaming, engine.advance

local function line_here()
    return debug.getinfo(2, "l").currentline
end

local function contains(text, part)
    assert(tostring(text):find(part, 1, true), ("'%s' is not in:\n%s"):format(part, tostring(text)))
end

-- A sink in memory. `sink.calls` lists what was called, `sink.rows` has what is stored, by batch time. `sink.on` may have functions that
-- are called before a method does its work; what they return other than nil is returned in its place.
local function memory_sink(on)
    local sink = { calls = {}, rows = {}, times = {}, on = on or {} }
    local function method(name, work)
        sink[name] = function(self, ...)
            assert(self == sink, "methods are called with a colon")
            local last = select("#", ...) > 0 and select(select("#", ...), ...) or nil
            table.insert(sink.calls, last and ("%s %s"):format(name, tostring(last)) or name)
            local answer, reason
            if sink.on[name] then answer, reason = sink.on[name](...) end
            if answer ~= nil or reason ~= nil then return answer, reason end
            return work(...)
        end
    end
    method("open", function() return true end)
    method("lastCommitted", function() return sink.times[#sink.times] end)
    method("write", function(rdd, time)
        local records = rdd:collect()
        assert(not sink.rows[time], "stored twice")
        sink.rows[time] = records
        table.insert(sink.times, time)
        return true
    end)
    method("close", function() return true end)
    return sink
end

-- A stream of one number in each batch: 1, 2, 3 …
local function numbers(ssc, count)
    local datasets = {}
    for index = 1, count or 9 do
        datasets[index] = { index }
    end
    return ssc:queueStream(datasets)
end

local function run(ssc, batches)
    ssc:start()
    for _ = 1, batches do
        advance(ssc)
    end
    return ssc:stop(false)
end

describe("named", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    it("returns the stream, which shows its name, also in the lineage of its datasets", function()
        local ssc = streaming()
        local source = numbers(ssc, 1)
        local doubled = source:map(function(x) return 2 * x end)
        assert.equal(doubled, doubled:named("doubled numbers"))
        assert.equal("DStream #1 'doubled numbers'", tostring(doubled))
        assert.equal("doubled numbers", doubled.node:name())
        assert.is_nil(source.node:name())
        local name, lineage
        doubled:foreachRDD(function(rdd) name, lineage = rdd:name(), rdd:toDebugString() end)
        run(ssc, 1)
        assert.equal("doubled numbers", name)
        contains(lineage, "doubled numbers")
    end)

    it("names what keeps the state behind a stream, too", function()
        local ssc = streaming()
        local sums = numbers(ssc):map(function(x) return x, x end):mapWithState(moontide.StateSpec.func(function(key) return key end))
        sums:named("sums")
        assert.equal("sums", ssc.scope.kept[sums.number]:name())
        assert.equal("all", sums:stateSnapshots():named("all").node:name())
        assert.equal("sums", ssc.scope.kept[sums.number]:name())
    end)

    it("leaves datasets of the script their names", function()
        local ssc = streaming()
        local rdd = ssc.sc:parallelize({ 1 }):setName("mine")
        local other = ssc.sc:parallelize({ 2 })
        ssc:queueStream({ rdd, other }):named("queue"):transform(function(given) return given end):named("same"):foreachRDD(function() end)
        run(ssc, 2)
        assert.equal("mine", rdd:name())
        assert.is_nil(other:name())
    end)

    it("is in what start() says of a stream", function()
        local ssc = streaming()
        numbers(ssc):map(function(x) return x, x end):updateStateByKey(function(values) return #values end):named("counts"):print()
        contains(message(ssc.start, ssc), "updateStateByKey 'counts' (spec/save_to_spec.lua:" .. line_here() - 1)
    end)

    it("refuses what is no name, and names that are taken", function()
        local ssc = streaming()
        local a, b = numbers(ssc), numbers(ssc)
        contains(message(a.named, a), "bad argument #1 to 'named' (a name (string) expected, got nil)")
        contains(message(a.named, a, 7), "a name (string) expected, got number")
        contains(message(a.named, a, ""), "bad argument #1 to 'named' (the name is empty)")
        contains(message(a.named, a, "a\nb"), "the name has control characters")
        contains(message(a.named, a, "a\0b"), "the name has control characters")
        contains(message(a.named, a, ("x"):rep(201)), "the name has 201 bytes, at most 200 are possible")
        a:named(("x"):rep(200))
        contains(message(a.named, a, "other"), "'named': the stream is called 'xxx")
        b:named("b")
        local c = numbers(ssc)
        local here = line_here() + 1
        local text = message(function() c:named("b") end)
        assert.equal(("spec/save_to_spec.lua:%d: 'named': another stream is called 'b' already; names are unique among the streams of a "
            .. "context (named at spec/save_to_spec.lua:%d)"):format(here, here - 3), text)
        c:named("c"):foreachRDD(function() end)
        ssc:start()
        contains(message(c.named, c, "later"), "'named': streams and outputs cannot be added after the context was started")
        ssc:stop(false)
    end)
end)

describe("saveTo", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    it("opens the sink at start(), writes batch after batch, and closes it at the end", function()
        local ssc, sink = streaming(), memory_sink()
        numbers(ssc, 2):map(function(x) return 10 * x end):saveTo(sink, { name = "tens" })
        assert.same({}, sink.calls)
        ssc:start()
        assert.same({ "open tens", "lastCommitted" }, sink.calls)
        for _ = 1, 3 do advance(ssc) end
        assert.is_true(ssc:stop(false))
        assert.same({ "open tens", "lastCommitted", "write 1000", "write 2000", "write 3000", "close" }, sink.calls)
        assert.same({ [1000] = { 10 }, [2000] = { 20 }, [3000] = {} }, sink.rows)
        assert(ssc:stop(false))
        assert.equal(6, #sink.calls)
    end)

    it("calls the output by its option, the stream's name, or its position", function()
        local ssc = streaming()
        local sinks = {}
        for index = 1, 4 do sinks[index] = memory_sink() end
        local stream = numbers(ssc):named("the numbers")
        stream:foreachRDD(function() end)
        stream:map(function(x) return x end):saveTo(sinks[1])
        stream:saveTo(sinks[2])
        stream:saveTo(sinks[3], { name = "again" })
        stream:filter(function() return true end):saveTo(sinks[4], {})
        ssc:start()
        local opened = {}
        for index, sink in ipairs(sinks) do opened[index] = sink.calls[1] end
        assert.same({ "open output 2", "open the numbers", "open again", "open output 5" }, opened)
    end)

    it("lets every method call actions", function()
        local ssc = streaming()
        local seen = {}
        local function count(method)
            return function()
                seen[method] = ssc.sc:range(0, 1000, 1, 4):map(function(x) return x end):filter(function(x) return x % 2 == 0 end):count()
            end
        end
        local sink = memory_sink { open = count "open", lastCommitted = count "lastCommitted", write = count "write", close = count "close" }
        numbers(ssc):saveTo(sink)
        run(ssc, 1)
        assert.same({ open = 500, lastCommitted = 500, write = 500, close = 500 }, seen)
        assert.same({ [1000] = { 1 } }, sink.rows)
    end)

    it("passes over the batches that the sink has already, as a job does that is started again", function()
        local sink = memory_sink()
        for _ = 1, 2 do
            local ssc = streaming()
            numbers(ssc):saveTo(sink, { name = "same" })
            run(ssc, #sink.times == 0 and 2 or 4)
        end
        assert.same({ [1000] = { 1 }, [2000] = { 2 }, [3000] = { 3 }, [4000] = { 4 } }, sink.rows)
        assert.same({ "open same", "lastCommitted", "write 3000", "write 4000", "close" }, { unpack(sink.calls, 6) })
    end)

    it("takes the time as int64", function()
        local ssc, sink = streaming(), memory_sink { lastCommitted = function() return 1000LL end }
        numbers(ssc):saveTo(sink)
        run(ssc, 2)
        assert.same({ [2000] = { 2 } }, sink.rows)
    end)

    it("takes a sink whose methods are those of a class", function()
        local class = { open = function() return true end, lastCommitted = function() end, close = function() return true end }
        function class:write(rdd)
            self.written = (self.written or 0) + rdd:count()
            return true
        end
        local ssc, sink = streaming(), setmetatable({}, { __index = class })
        numbers(ssc):saveTo(sink)
        run(ssc, 3)
        assert.equal(3, sink.written)
    end)

    describe("refuses, at the line of the script,", function()
        local ssc, stream
        before_each(function()
            ssc = streaming()
            stream = numbers(ssc)
        end)

        it("what is no sink", function()
            local here = line_here() + 1
            local text = message(function() stream:saveTo(7) end)
            assert.equal(("spec/save_to_spec.lua:%d: bad argument #1 to 'saveTo' (sink expected, got number)"):format(here), text)
            contains(message(stream.saveTo, stream), "(sink expected, got nil)")
            contains(message(stream.saveTo, stream, stream), "(sink expected, got DStream)")
            local sink = memory_sink()
            sink.lastCommitted = nil
            contains(message(stream.saveTo, stream, sink), "bad argument #1 to 'saveTo' (a sink has the methods open, lastCommitted, write, "
                .. "close; its 'lastCommitted' is missing)")
            sink.lastCommitted = 1000
            contains(message(stream.saveTo, stream, sink), "its 'lastCommitted' is a number)")
        end)

        it("wrong options", function()
            contains(message(stream.saveTo, stream, memory_sink(), "counts"), "bad argument #2 to 'saveTo' (table of options expected, got string)")
            contains(message(stream.saveTo, stream, memory_sink(), { nam = "counts" }), "saveTo has no option 'nam'; did you mean 'name'?")
            contains(message(stream.saveTo, stream, memory_sink(), { name = "" }), "saveTo: option 'name': the name is empty")
            contains(message(stream.saveTo, stream, memory_sink(), { name = 7 }), "saveTo: option 'name': a name (string) expected, got number")
        end)

        it("a name and a sink that are taken, and tells where", function()
            local sink = memory_sink()
            local first = line_here() + 1
            stream:saveTo(sink, { name = "counts" })
            assert.equal(("spec/save_to_spec.lua:%d: saveTo: the name 'counts' is taken by saveTo (spec/save_to_spec.lua:%d): give one of the "
                .. "two another one, { name = … }"):format(line_here() + 1, first), message(function()
                stream:saveTo(memory_sink(), { name = "counts" }) end))
            contains(message(function() stream:saveTo(sink) end),
                ("saveTo: 'counts' (spec/save_to_spec.lua:%d) writes to this sink already: make a sink for each output"):format(first))
            stream:saveTo(memory_sink()) -- by position
            contains(message(function() stream:saveTo(memory_sink(), { name = "output 2" }) end), "the name 'output 2' is taken")
            assert.equal(2, #ssc.life.outputs_in_order)
        end)

        it("a name for the stream that comes too late", function()
            stream:saveTo(memory_sink())
            contains(message(stream.named, stream, "numbers"), ("'named': saveTo (spec/save_to_spec.lua:%d) has called itself 'output 1' because "
                .. "the stream had no name: name the stream before"):format(line_here() - 2))
        end)

        it("a call after the start", function()
            stream:foreachRDD(function() end)
            ssc:start()
            contains(message(stream.saveTo, stream, memory_sink()), "'saveTo': streams and outputs cannot be added after the context was started")
        end)
    end)
end)

describe("a sink that fails at the start", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    -- Two outputs; the second sink fails as `on` says. Returns the message of start(), and what is needed to go on.
    local function started(on)
        local ssc, good, bad = streaming(), memory_sink(), memory_sink(on)
        local stream = numbers(ssc)
        stream:saveTo(good, { name = "good" })
        stream:saveTo(bad, { name = "bad" })
        return message(ssc.start, ssc), ssc, good, bad
    end

    local here = debug.getinfo(1, "l").currentline - 4

    it("is named, and so is the output's line", function()
        local text = started { open = function() return nil, "no such host" end }
        contains(text, ("'start': the sink of 'bad' failed in open: no such host\n  in saveTo (spec/save_to_spec.lua:%d)"):format(here))
        contains(text, "spec/save_to_spec.lua:")
    end)

    it("leaves the context as it was: the other sinks are closed, and start() may be called again", function()
        local fails = true
        local _, ssc, good, bad = started { open = function() if fails then return nil, "not yet" end end }
        assert.equal("INITIALIZED", ssc:getState())
        assert.same({ "open good", "lastCommitted", "close" }, good.calls)
        assert.same({ "open bad" }, bad.calls)
        contains(message(ssc.start, ssc), "not yet")
        fails = false
        run(ssc, 2)
        for _, sink in ipairs({ good, bad }) do
            assert.same({ [1000] = { 1 }, [2000] = { 2 } }, sink.rows)
        end
        assert.equal("open good,lastCommitted,close,open good,lastCommitted,close,open good,lastCommitted,write 1000,write 2000,close",
            table.concat(good.calls, ","))
        assert.equal("open bad,open bad,open bad,lastCommitted,write 1000,write 2000,close", table.concat(bad.calls, ","))
    end)

    it("may raise, with the traceback of the script, or say nothing", function()
        contains(started { open = function() error("out of order") end }, "failed in open: spec/save_to_spec.lua:" .. line_here())
        contains(started { open = function() local t = nil; return t.x end }, "attempt to index local 't'")
        contains(started { open = function() error({ code = 7 }) end }, "failed in open: (error object) {code = 7}")
        contains(started { open = function() return false end }, "failed in open: it returned false and no reason (true means that it is done)")
    end)

    it("is closed when it was open, but cannot say what it has", function()
        for _, case in ipairs({
            { function() return nil, "the table is gone" end, "failed in lastCommitted: the table is gone" },
            { function() error("gone", 0) end, "failed in lastCommitted: gone" },
            { function() return "1000" end, "the time of a batch in ms, or nil for none: whole number expected, got string" },
            { function() return 1.5 end, "whole number expected, got 1.5" },
            { function() return -1 end, "at least 0 expected, got -1" },
            { function() return 0 / 0 end, "whole number expected, got" },
            { function() return false end, "failed in lastCommitted: it returned false" },
        }) do
            local text, ssc, _, bad = started { lastCommitted = case[1] }
            contains(text, "the sink of 'bad' failed in lastCommitted: ")
            contains(text, case[2])
            assert.same({ "open bad", "lastCommitted", "close" }, bad.calls)
            assert.equal("INITIALIZED", ssc:getState())
        end
    end)

    it("may stop the context, but not start it", function()
        local ssc = streaming()
        local sink = memory_sink { open = function() ssc:stop(false) end }
        numbers(ssc):saveTo(sink)
        contains(message(ssc.start, ssc), "'start': the streaming context was stopped while its sinks were opened")
        assert.equal("STOPPED", ssc:getState())
        assert.same({ "open output 1", "lastCommitted", "close" }, sink.calls)

        ssc = streaming()
        local text
        sink = memory_sink { open = function() text = message(ssc.start, ssc) end }
        numbers(ssc):saveTo(sink)
        run(ssc, 1)
        contains(text, "a sink's method cannot do it once more")
        assert.same({ [1000] = { 1 } }, sink.rows)
    end)

    it("is not left open when something else is wrong", function()
        local ssc, sink = streaming(), memory_sink()
        numbers(ssc):map(function(x) return x, x end):updateStateByKey(function() return 1 end):saveTo(sink)
        contains(message(ssc.start, ssc), "The checkpoint directory has not been set")
        assert(#sink.calls == 0 or sink.calls[#sink.calls] == "close", table.concat(sink.calls, ","))
    end)
end)

describe("a sink that fails in a batch", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    local function awaited(ssc)
        local ok, err = pcall(function() ssc:awaitTermination() end)
        assert.is_false(ok)
        return err
    end

    it("ends the streams by default, and is closed", function()
        local ssc = streaming()
        local sink = memory_sink { write = function(_, time) if time == 2000 then return nil, "no route" end end }
        numbers(ssc):saveTo(sink, { name = "routes" })
        local here = line_here() - 1
        ssc:start()
        ssc.life.graph:advance(4000)
        local err = awaited(ssc)
        assert.equal(("the sink of 'routes' failed in write: no route\n  in saveTo (spec/save_to_spec.lua:%d), batch 2000 ms"):format(here),
            tostring(err))
        assert.equal("EIO", err.code)
        assert.equal(2000, err.time)
        assert.same({ "open routes", "lastCommitted", "write 1000", "write 2000", "close" }, sink.calls)
    end)

    it("keeps the code of an action's error, and the traceback of the script", function()
        local ssc = streaming()
        numbers(ssc):map(function() error("bad record", 0) end):saveTo(memory_sink())
        ssc:start()
        ssc.life.graph:advance(1000)
        local err = awaited(ssc)
        assert.equal("ECLOSURE", err.code)
        contains(err, "bad record")
        contains(err, "in map (")

        ssc = streaming()
        numbers(ssc):saveTo(memory_sink { write = function() error("my mistake") end })
        ssc:start()
        ssc.life.graph:advance(1000)
        err = awaited(ssc)
        assert.equal("ECLOSURE", err.code)
        contains(err, "my mistake")
        contains(err, "stack traceback")
    end)

    it("is asked what it has before it gets another batch", function()
        local ssc = streaming(1000, { onError = "skip" })
        local sink = memory_sink { write = function(_, time) if time == 2000 then return nil, "before the commit" end end }
        numbers(ssc):saveTo(sink)
        run(ssc, 4)
        assert.same({ [1000] = { 1 }, [3000] = { 3 }, [4000] = { 4 } }, sink.rows)
        assert.same({ "open output 1", "lastCommitted", "write 1000", "write 2000", "lastCommitted", "write 3000", "write 4000", "close" },
            sink.calls)
    end)

    it("after it has stored the batch, stores nothing twice", function()
        local sink
        local ssc = streaming(1000, { onError = "skip" })
        sink = memory_sink { write = function(rdd, time)
            if time == 2000 then
                sink.rows[time] = rdd:collect()
                table.insert(sink.times, time)
                error("the answer was lost")
            end
        end }
        numbers(ssc):saveTo(sink, { name = "same" })
        run(ssc, 3)
        sink.on = {}
        local again = streaming()
        numbers(again):saveTo(sink, { name = "same" })
        run(again, 4)
        assert.same({ [1000] = { 1 }, [2000] = { 2 }, [3000] = { 3 }, [4000] = { 4 } }, sink.rows)
    end)

    it("and cannot say what it has, fails the next batch, too", function()
        local asked = 0
        local ssc = streaming(1000, { onError = "skip" })
        local sink = memory_sink {
            write = function(_, time) if time == 1000 then return nil, "broken" end end,
            lastCommitted = function()
                asked = asked + 1
                if asked == 2 then return nil, "still broken" end
            end,
        }
        numbers(ssc):saveTo(sink)
        local reasons = {}
        ssc:addStreamingListener { onOutputOperationCompleted = function(info) reasons[#reasons + 1] = info.failureReason or "none" end }
        run(ssc, 3)
        contains(reasons[1], "failed in write: broken")
        contains(reasons[2], "failed in lastCommitted: still broken")
        assert.equal("none", reasons[3])
        assert.same({ [3000] = { 3 } }, sink.rows)
    end)

    it("in close makes stop() say so, and the other sinks are closed all the same", function()
        local ssc = streaming()
        local bad, good = memory_sink { close = function() return nil, "the buffer was not written" end }, memory_sink()
        numbers(ssc):saveTo(bad, { name = "bad" })
        numbers(ssc):saveTo(good, { name = "good" })
        ssc:start()
        advance(ssc)
        local stopped, err = ssc:stop(false)
        assert.is_nil(stopped)
        contains(err, "the sink of 'bad' failed in close: the buffer was not written")
        assert.equal("close", good.calls[#good.calls])
        assert.same({ [1000] = { 1 } }, good.rows)
    end)
end)

describe("sinks and outputs that run at the same time", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    -- Notes when writes begin and end; each waits for an action in between.
    local function noting(log, name, resource)
        local sink = memory_sink { write = function(rdd, time)
            table.insert(log, ("%s %d begins"):format(name, time))
            rdd:map(function(x) return x end):count()
            table.insert(log, ("%s %d ends"):format(name, time))
        end }
        sink.resource = resource
        return sink
    end

    local function in_order(log, name)
        local expected, found = {}, {}
        for time = 1000, 5000, 1000 do
            table.insert(expected, ("%s %d begins"):format(name, time))
            table.insert(expected, ("%s %d ends"):format(name, time))
        end
        for _, line in ipairs(log) do
            if line:sub(1, #name) == name then table.insert(found, line) end
        end
        assert.same(expected, found)
    end

    local function overlap(log)
        for index = 2, #log do
            if log[index]:find("begins", 1, true) and log[index - 1]:find("begins", 1, true) then return true end
        end
        return false
    end

    local function run_two(resource)
        local ssc, log = streaming(1000, { concurrentJobs = 4 }), {}
        numbers(ssc):saveTo(noting(log, "a", resource))
        numbers(ssc):saveTo(noting(log, "b", resource))
        ssc:start()
        ssc.life.graph:advance(5000)
        loop.run_until(function() return ssc.life.tasks == 0 and ssc.life.graph:idle() end)
        ssc:stop(false)
        return log
    end

    it("get the batches of one sink one after the other", function()
        local log = run_two()
        in_order(log, "a")
        in_order(log, "b")
        assert.is_true(overlap(log))
    end)

    it("are not written at the same time when they have one resource", function()
        local log = run_two("the database")
        in_order(log, "a")
        in_order(log, "b")
        assert.is_false(overlap(log))
    end)

    it("get no batch after one that has failed", function()
        local ssc = streaming(1000, { concurrentJobs = 4 })
        local sink = memory_sink { write = function(rdd, time)
            rdd:map(function(x) return x end):count()
            if time == 2000 then return nil, "full" end
        end }
        numbers(ssc):saveTo(sink)
        ssc:start()
        ssc.life.graph:advance(5000)
        assert.is_false(pcall(function() ssc:awaitTermination() end))
        assert.same({ [1000] = { 1 } }, sink.rows)
        assert.equal("close", sink.calls[#sink.calls])
    end)
end)

describe("a stop", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    it("at once breaks off a write that waits, and closes the sink", function()
        local ssc = streaming()
        local broken
        local sink = memory_sink { write = function(rdd)
            ssc:stop(false, false)
            local ok, err = pcall(rdd.count, rdd:map(function(x) return x end))
            broken = not ok and err.code
            return nil, err
        end }
        numbers(ssc):saveTo(sink)
        ssc:start()
        ssc.life.graph:advance(3000)
        ssc:awaitTermination()
        assert.equal("ECANCELLED", broken)
        assert.same({ "open output 1", "lastCommitted", "write 1000", "close" }, sink.calls)
    end)

    it("that is graceful writes what was received, then closes", function()
        local ssc, sink = streaming(), memory_sink()
        numbers(ssc, 3):saveTo(sink)
        ssc:start()
        ssc.life.graph:advance(3000)
        assert(ssc:stop(false, true))
        assert.same({ [1000] = { 1 }, [2000] = { 2 }, [3000] = { 3 } }, sink.rows)
        assert.equal("close", sink.calls[#sink.calls])
    end)

    it("before the start opens and closes nothing", function()
        local ssc, sink = streaming(), memory_sink()
        numbers(ssc):saveTo(sink)
        assert(ssc:stop(false))
        assert.same({}, sink.calls)
    end)

    it("breaks off a close that does not return", function()
        local ssc = streaming(1000, { stopTimeout = 20 })
        local hanging = memory_sink { close = function()
            ssc.sc:range(0, 2, 1, 2):foreach(function() while true do end end)
        end }
        local other = memory_sink()
        numbers(ssc):saveTo(hanging, { name = "hanging" })
        numbers(ssc):saveTo(other)
        ssc:start()
        advance(ssc)
        local stopped, err = ssc:stop(false)
        assert.is_nil(stopped)
        contains(err, "the sink of 'hanging' failed in close: interrupted in the loop at spec/save_to_spec.lua")
        assert.equal("close", other.calls[#other.calls])
    end)

    it("of the context closes sinks, too", function()
        local ssc, sink = streaming(), memory_sink()
        numbers(ssc):saveTo(sink)
        ssc:start()
        advance(ssc)
        assert(ssc.sc:stop())
        assert.equal("close", sink.calls[#sink.calls])
    end)
end)

describe("a signal", function()
    local directory = tempdir.new()
    teardown(function() directory:remove() end)

    it("ends an open() that does not return", function()
        local running = shell.start(shell.command({ shell.program, "run", directory:write("job.lua", [[
            local ssc = require("moontide").StreamingContext("local[1]", "signal", "50ms")
            local function none() end
            ssc:queueStream({}):saveTo { lastCommitted = none, write = none, close = none, open = function()
                print("opening")
                io.stdout:flush()
                ssc.sc:range(0, 1, 1, 1):foreach(function() while true do end end)
            end }
            local ok, message = pcall(ssc.start, ssc)
            print(ok, message, ssc:getState())
        ]]) }))
        assert.equal("opening", running:read_line())
        running:signal("INT")
        local result = running:wait()
        contains(result.out, "the sink of 'output 1' failed in open: interrupted by a signal")
        contains(result.out, "INITIALIZED")
    end)
end)

describe("the log", function()
    local directory = tempdir.new()
    teardown(function() directory:remove() end)

    local JOB = [[
        local moontide, loop = require "moontide", require "moontide.driver.loop"
        local stored, fail = tonumber(arg[1]), arg[2]
        local sink = {
            open = function() return true end,
            lastCommitted = function() return stored end,
            write = function(_, rdd, time)
                stored = math.max(stored or 0, time)
                if time == 4000 and fail then return nil, "the answer was lost" end
                print("write", time, rdd:count())
                return true
            end,
            close = function() return true end,
        }
        local sc = moontide.Context{ master = "local[1]", appName = "log", conf = { onError = "skip" } }
        local ssc = require("moontide.streaming").create(sc, 1000, { clock = "manual", start = 0 })
        ssc:queueStream({ { 1 }, { 2 }, { 3 }, { 4 }, { 5 } }):saveTo(sink, { name = "counts" })
        ssc:start()
        for _ = 1, 5 do
            ssc.life.graph:advance(1000)
            loop.run_until(function() return ssc.life.tasks == 0 and ssc.life.graph:idle() end)
        end
        sc:stop()
    ]]

    local function job(...)
        local result = shell.moontide({ "run", directory:write("job.lua", JOB), ... }, { env = { MOONTIDE_LOG_LEVEL = "info" } })
        assert.equal(0, result.code, result.err)
        return result
    end

    local function count(text, part)
        local _, found = text:gsub((part:gsub("%p", "%%%0")), "")
        return found
    end

    it("says once, ahead of the clock, that batches are passed over", function()
        local result = job("3000")
        assert.equal("write\t4000\t1\nwrite\t5000\t1\n", result.out)
        contains(result.err, "the sink has batches up to 3000 ms, which is 3000 ms ahead of the clock: batches up to there are passed over")
        assert.equal(1, count(result.err, "passed over"))
    end)

    it("says that a batch was stored though its write failed", function()
        local result = job("0", "fail")
        contains(result.err, "the sink of 'counts' failed in write: the answer was lost")
        contains(result.err, "the sink has stored the batch of 4000 ms, though its write did not say so")
    end)
end)
