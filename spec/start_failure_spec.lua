-- A start() that fails leaves the streaming context as it was: for each reason there is, what the error says; that nothing is left
-- behind; and that the same context, when the cause is gone, starts and makes the right batches.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local fault = require "spec.support.fault"
local ffi = require "ffi"
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"

local message, advance = engine.message, engine.advance

ffi.cdef [[
struct spec_limit { unsigned long soft, hard; };
int getrlimit(int resource, struct spec_limit *limit);
int setrlimit(int resource, const struct spec_limit *limit);
]]

local OPEN_FILES = 7

local function contains(text, part)
    assert(text:find(part, 1, true), ("'%s' is not in:\n%s"):format(part, text))
end

local function count(command)
    local pipe = io.popen(command)
    local text = pipe:read("*a")
    pipe:close()
    return text
end

-- Threads and open files of this process, and what is in a directory.
local function belongings(dir)
    local pid = io.open("/proc/self/stat"):read("*n")
    collectgarbage()
    collectgarbage()
    return count(("ls /proc/%d/task | wc -l; ls -l /proc/%d/fd | grep -v pipe: | wc -l; find %s | sort"):format(pid, pid, dir))
end

-- No more files can be opened until what is returned has been called.
local function limit_open_files()
    local before, now, held = ffi.new "struct spec_limit", ffi.new "struct spec_limit", {}
    assert(ffi.C.getrlimit(OPEN_FILES, before) == 0)
    now.soft, now.hard = 64, before.hard
    assert(ffi.C.setrlimit(OPEN_FILES, now) == 0)
    for _ = 1, 64 do
        held[#held + 1] = io.open("/dev/null")
    end
    return function()
        for _, file in ipairs(held) do
            file:close()
        end
        assert(ffi.C.setrlimit(OPEN_FILES, before) == 0)
    end
end

-- A sink that keeps what it is told; `sink.fails` names the method that fails.
local function sink_of(fails)
    local sink = { fails = fails, calls = {}, rows = {} }
    for _, name in ipairs({ "open", "lastCommitted", "write", "close" }) do
        sink[name] = function(_, rdd, time)
            sink.calls[#sink.calls + 1] = name
            if sink.fails == name then
                return nil, "out of order"
            elseif name == "write" then
                sink.rows[time] = rdd:collect()
            elseif name == "lastCommitted" then
                return nil
            end
            return true
        end
    end
    return sink
end

local function pairs_of(stream)
    return stream:map(function(x) return x, x end)
end

local function add(old, new)
    return (old or 0) + (new or 0)
end

local function subtract(old, new)
    return old - new
end

-- Each: what the error says; `prepare(job)`, which makes the cause and returns what takes it away. `job.stream` has the numbers 1, 2, 3.
-- `no_output`: prepare adds none.
local CASES = {
    {
        name = "no output", no_output = true, says = "no output operation is registered, so nothing would run: add print()",
        prepare = function(job)
            return job.show
        end,
    },
    {
        name = "a keyed state without a checkpoint directory",
        says = "The checkpoint directory has not been set. updateStateByKey (spec/start_failure_spec.lua:",
        prepare = function(job)
            pairs_of(job.stream):updateStateByKey(function() return 1 end):foreachRDD(function() end)
            return function() job.ssc:checkpoint(job.dir:file("checkpoint")) end
        end,
    },
    {
        name = "an inverse window without a checkpoint directory", says = "call ssc:checkpoint(directory) before start()",
        prepare = function(job)
            pairs_of(job.stream):reduceByKeyAndWindow(add, subtract, "2s"):foreachRDD(function() end)
            return function() job.ssc:checkpoint(job.dir:file("checkpoint")) end
        end,
    },
    {
        name = "a checkpoint interval shorter than the slide", says = "is lower than its slide time of 1000 ms; set it to at least that",
        prepare = function(job)
            job.ssc:checkpoint(job.dir:file("checkpoint"))
            job.stream:checkpoint("500ms")
            return function() job.stream:checkpoint("1s") end
        end,
    },
    {
        name = "a checkpoint interval that is no multiple of the slide", says = "is not a multiple of its slide time of 1000 ms",
        prepare = function(job)
            job.ssc:checkpoint(job.dir:file("checkpoint"))
            job.stream:checkpoint("1500ms")
            return function() job.stream:checkpoint("2s") end
        end,
    },
    {
        name = "a checkpoint of a stream that stores nothing", says = "take this one's away with checkpoint(nil)",
        prepare = function(job)
            job.ssc:checkpoint(job.dir:file("checkpoint"))
            local window = job.stream:window("2s")
            window:checkpoint("2s")
            window:foreachRDD(function() end)
            return function() window:checkpoint(nil) end
        end,
    },
    {
        name = "an interval without a directory", says = "The checkpoint directory has not been set",
        prepare = function(job)
            job.stream:checkpoint("2s")
            return function() job.stream:checkpoint() end
        end,
    },
    {
        name = "a function of foreachRDD that cannot be stored", says = "upvalue 'file'",
        prepare = function(job)
            local file = io.tmpfile()
            job.ssc:checkpoint(job.dir:file("checkpoint"))
            job.stream:foreachRDD(function() return file end)
            return function() job.ssc:checkpoint(nil) end
        end,
    },
    {
        name = "a function of transform that cannot be stored", says = "are not serializable",
        prepare = function(job)
            local file = io.tmpfile()
            job.ssc:checkpoint(job.dir:file("checkpoint"))
            job.stream:transform(function(rdd) return file and rdd end):foreachRDD(function() end)
            return function() job.ssc:checkpoint(nil) end
        end,
    },
    {
        name = "a checkpoint directory that has become a file", says = "cannot be used any more: ", plain = true,
        prepare = function(job)
            local path = job.dir:file("checkpoint")
            job.ssc:checkpoint(path)
            assert(os.remove(path))
            io.open(path, "w"):close()
            return function() assert(os.remove(path)) end
        end,
    },
    {
        name = "the same, mended by another directory", says = "or set another one with ssc:checkpoint(directory)", plain = true,
        prepare = function(job)
            job.ssc:checkpoint(job.dir:file("checkpoint"))
            assert(os.remove(job.dir:file("checkpoint")))
            job.dir:write("checkpoint", "")
            return function() job.ssc:checkpoint(job.dir:file("another")) end
        end,
    },
    {
        name = "another context that runs on the same engine", says = "is running: stop it first, define the streams on it, or give this one",
        wall = true,
        prepare = function(job)
            local other = moontide.StreamingContext(job.ssc.sc, "1h")
            other:queueStream({}):foreachRDD(function() end)
            other:start()
            return function() other:stop(false) end
        end,
    },
    {
        name = "a receiver whose thread cannot start", says = "thread 'ingest' cannot be started: ",
        prepare = function(job)
            job.ssc:socketTextStream("127.0.0.1", 1):foreachRDD(function() end)
            fault.arm("thread.start")
            return fault.clear
        end,
    },
    {
        name = "a receiver for which there are no open files left", says = "is the limit of open files reached?",
        prepare = function(job)
            job.ssc:socketTextStream("127.0.0.1", 1):foreachRDD(function() end)
            return nil, limit_open_files
        end,
    },
}

for _, method in ipairs({ "open", "lastCommitted" }) do
    CASES[#CASES + 1] = {
        name = "a sink that fails in " .. method, says = "the sink of 'second' failed in " .. method .. ": out of order\n  in saveTo (",
        prepare = function(job)
            local first, second = sink_of(), sink_of(method)
            job.stream:saveTo(first, { name = "first" })
            job.stream:saveTo(second, { name = "second" })
            return function()
                assert.equal("close", first.calls[#first.calls])
                second.fails = nil
            end, nil, function()
                for _, sink in ipairs({ first, second }) do
                    assert.same({ [1000] = { 1 }, [2000] = { 2 } }, sink.rows)
                end
            end
        end,
    }
end

CASES[#CASES + 1] = {
    name = "a thread that cannot start after the sinks were opened", says = "thread 'ingest' cannot be started: ",
    prepare = function(job)
        local sink = sink_of("close") -- and it cannot be closed again
        job.stream:saveTo(sink, { name = "sink" })
        job.ssc:socketTextStream("127.0.0.1", 1):foreachRDD(function() end)
        fault.arm("thread.start")
        return function()
            assert.same({ "open", "lastCommitted", "close" }, { unpack(sink.calls, #sink.calls - 2) })
            sink.fails = nil
            fault.clear()
        end, nil, function()
            assert.same({ [1000] = { 1 }, [2000] = { 2 } }, sink.rows)
        end
    end,
}

describe("a start() that fails", function()
    local dir

    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    before_each(function()
        dir = tempdir.new()
    end)

    after_each(function()
        fault.clear()
        dir:remove()
    end)

    -- A stream of the numbers 1, 2, 3; `show` adds the output that notes what comes.
    local function new_job(wall)
        local job = { dir = dir, seen = {}, order = {} }
        if wall then
            job.ssc = moontide.StreamingContext(engine.context(), 5)
        else
            job.ssc = engine.streaming()
        end
        job.stream = job.ssc:queueStream({ { 1 }, { 2 }, { 3 } })
        function job.show()
            local seen, ssc = job.seen, job.ssc
            job.stream:foreachRDD(function(rdd)
                for _, number in ipairs(rdd:collect()) do
                    seen[#seen + 1] = number
                end
                if wall and #seen == 2 then
                    ssc:stop(false)
                end
            end)
        end
        return job
    end

    for _, case in ipairs(CASES) do
        it("because of " .. case.name .. " leaves the context as it was", function()
            local job = new_job(case.wall)
            if not case.no_output then
                job.show()
            end
            local mend, limit, check_more = case.prepare(job)
            local function fail()
                local lift = limit and limit()
                local text = message(job.ssc.start, job.ssc)
                if lift then lift() end
                contains(text, "'start': ")
                contains(text, case.says)
                assert.equal("INITIALIZED", job.ssc:getState())
                assert.not_equal(job.ssc, moontide.StreamingContext.getActive())
            end
            fail() -- loads what is loaded on demand
            local before = belongings(dir.path)
            fail()
            assert.equal(before, belongings(dir.path))

            if mend then mend() end
            job.ssc:start()
            assert.equal("ACTIVE", job.ssc:getState())
            if case.wall then
                job.ssc:awaitTermination()
            else
                advance(job.ssc)
                advance(job.ssc)
                assert.is_true(job.ssc:stop(false))
            end
            assert.same({ 1, 2 }, job.seen)
            if check_more then check_more() end
        end)
    end

    it("at the line of the script", function()
        local ssc = engine.streaming()
        local here = debug.getinfo(1, "l").currentline + 1
        local text = message(function() ssc:start() end)
        contains(text, ("spec/start_failure_spec.lua:%d: 'start': no output"):format(here))
    end)

    it("can be followed by more streams, outputs and settings, and by stop()", function()
        local job = new_job()
        assert.matches("no output", message(job.ssc.start, job.ssc), 1, true)
        job.ssc:remember("5s")
        job.show()
        local more, sums = job.ssc:queueStream({ { 10 }, { 20 } }), {}
        job.stream:union(more):reduce(function(a, b) return a + b end):foreachRDD(function(rdd) table.insert(sums, rdd:collect()[1]) end)
        job.ssc:start()
        advance(job.ssc)
        advance(job.ssc)
        assert.same({ 11, 22 }, sums)

        local other = engine.streaming()
        message(other.start, other)
        assert.is_true(other:stop(false))
        assert.equal("STOPPED", other:getState())
        contains(message(other.start, other), "a stopped context cannot run again")
    end)
end)
