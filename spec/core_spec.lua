-- The C module under the Lua API, without that API: what crosses the border, what raises, who keeps whom alive.
local codec = require "moontide.wire.codec"
local core = require "moontide.core"
local tempdir = require "spec.support.tempdir"

local COLLECT = codec.pack({ kind = "collect" })
local COUNT = codec.pack({ kind = "count", name = "count", site = "spec.lua:1" })
local PLAIN = codec.pack({ kind = "route", name = "repartition", site = "spec.lua:2" })
local CONCAT = codec.pack({ kind = "concat", name = "repartition", site = "spec.lua:2" })

local function raises(text, fn, ...)
    local ok, message = pcall(fn, ...)
    assert.is_false(ok)
    assert(tostring(message):find(text, 1, true), tostring(message))
end

local function records(job)
    local lists = {}
    for index = 1, job:partitions() do
        lists[index] = {}
    end
    job:each(function(address, partition)
        codec.append_records(address, lists[partition])
    end)
    return lists
end

describe("moontide.core", function()
    it("tells version, time and its own file", function()
        assert.truthy(core.version:find("^%d+%.%d+%.%d+"))
        local before = core.monotonic()
        assert.is_true(core.monotonic() >= before)
        assert.is_true(math.abs(core.wall() - os.time() * 1000) < 5000)
        local wall = core.wall()
        assert.equal(wall, math.floor(wall))
        -- Where the C functions are found: in a file of their own, or in the program that runs this.
        local ffi, library = require("ffi"), core.library()
        assert.is_true(library == nil or library:find("/core%.so$") ~= nil)
        ffi.cdef("const char *tide_version(void);")
        assert.equal(core.version, ffi.string((library and ffi.load(library) or ffi.C).tide_version()))
    end)

    it("refuses unknown log levels", function()
        raises("unknown log level 'loud'", core.logLevel, "loud")
        raises("unknown log level 'loud'", core.log, "loud", "area", "text")
    end)

    it("checks the engine's options", function()
        raises("table expected", core.engine)
        raises("field workers must be a whole number from 1 to 1024, got nil", core.engine, {})
        raises("field workers must be a whole number from 1 to 1024, got 0", core.engine, { workers = 0 })
        raises("field workers must be a whole number from 1 to 1024, got 1.5", core.engine, { workers = 1.5 })
        raises("field packagePath must be a string, got table", core.engine, { workers = 1, packagePath = {} })
    end)
end)

describe("an engine", function()
    local engine

    before_each(function()
        engine = assert(core.engine({ workers = 2, packagePath = package.path, packageCpath = package.cpath }))
    end)

    after_each(function()
        assert.is_true(engine:close(1000))
        engine = nil
        collectgarbage()
        collectgarbage()
        assert.equal(0, (core.liveBlocks()))
    end)

    -- Turns until the job's event comes.
    local function wait(job)
        while true do
            local event = engine:poll()
            if event and event.kind == "job" and rawequal(event.job, job) then
                return job
            elseif not event then
                engine:turn(-1)
            end
        end
    end

    local function files(dir, ...)
        local splits = {}
        for index, content in ipairs({ ... }) do
            splits[index] = { dir:write(index .. ".txt", content), 0, #content }
        end
        return engine:files(splits)
    end

    it("says what it is", function()
        assert.truthy(tostring(engine):find("^moontide Engine: "))
        assert.equal("Engine", getmetatable(engine).__moontide)
        assert.equal("RDD", getmetatable(engine:blocks({})).__moontide)
        assert.equal("Job", getmetatable(engine:blocks({}):job(COLLECT)).__moontide)
        assert.equal(2, engine:workers())
        assert.same({}, engine:describe())
    end)

    it("computes datasets and reports the end as an event", function()
        local dir = tempdir.new()
        local lines = files(dir, "one\ntwo\n", "three\n", "")
        assert.equal(3, lines:partitions())
        assert.equal(-1, lines:knownRecords())
        local job = lines:job(COLLECT)
        assert.is_false(job:ended())
        raises("the job has not ended", job.each, job, function() end)
        wait(job)
        assert.is_true(job:ended())
        assert.is_nil(job:error())
        assert.same({ { "one", "two" }, { "three" }, {} }, records(job))
        assert.same({ { 2 }, { 1 }, { 0 } }, records(wait(lines:narrow(COUNT, false):job(COLLECT))))
        assert.same({ { "three" }, { "one", "two" } }, records(wait(lines:job(COLLECT, { 1, 0 }))))
        assert.same({ { "one", "two", "three" } }, records(wait(lines:coalesce(1):job(COLLECT))))
        assert.same({ { 3 } }, records(wait(lines:coalesce(1):narrow(COUNT):job(COLLECT, nil, nil, 5000))))
        assert.same({ { "three" }, { "one", "two" }, { "three" }, {} },
            records(wait(engine:union({ lines, lines }):job(COLLECT, { 1, 3, 4, 5 }))))

        local spread = lines:shuffle({ route = "single", partitions = 1, write = PLAIN, read = CONCAT })
        assert.same({ { "one", "two", "three" } }, records(wait(spread:job(COLLECT))))
        assert.same({ { 3 } }, records(wait(spread:narrow(COUNT):job(COLLECT))))
        dir:remove()
    end)

    it("tells a failure with its code", function()
        local missing = engine:files({ { "/nonexistent/moontide.txt", 0, 10 } })
        local job = wait(missing:job(COLLECT))
        local text, code = job:error()
        assert(text:find("/nonexistent/moontide.txt", 1, true), text)
        assert.equal("string", type(code))
        assert.same({ {} }, records(job))
    end)

    it("keeps a job alive as long as its results are read, also when nothing else refers to it", function()
        local dir = tempdir.new()
        local rdd = files(dir, ("line\n"):rep(1000)):shuffle({ route = "roundrobin", partitions = 4, write = PLAIN, read = CONCAT })
        local function read()
            local list = {}
            wait(rdd:job(COLLECT)):each(function(address)
                collectgarbage()
                collectgarbage()
                codec.append_records(address, list)
            end)
            return list
        end
        local list = read()
        assert.equal(1000, #list)
        assert.equal("line", list[1000])
        dir:remove()
    end)

    it("passes on what a function raises while it reads results, and can be read again", function()
        local dir = tempdir.new()
        local job = wait(files(dir, "a\n"):job(COLLECT))
        raises("not this one", job.each, job, function() error("not this one", 0) end)
        raises("function expected", job.each, job, {})
        assert.same({ { "a" } }, records(job))
        dir:remove()
    end)

    it("ends what has no partitions, and what is cancelled, from the loop", function()
        local job = engine:blocks({}):job(COLLECT)
        assert.same({}, records(wait(job)))
        local dir = tempdir.new()
        job = files(dir, "a\n"):job(COLLECT)
        job:cancel()
        local text, code = wait(job):error()
        assert.same({ "the job was cancelled", "ECANCELLED" }, { text, code })
        dir:remove()
    end)

    it("gives an event the userdata that is alive, or a new one", function()
        engine:blocks({ {} }):job(COLLECT)
        collectgarbage()
        collectgarbage()
        local event
        repeat
            engine:turn(-1)
            event = engine:poll()
        until event
        assert.equal("job", event.kind)
        assert.is_true(event.job:ended())
        assert.same({ {} }, records(event.job))
    end)

    it("describes datasets", function()
        local keyed = engine:blocks({ {}, {} }):shuffle({ route = "hash", partitions = 3, write = PLAIN, read = CONCAT })
        assert.equal(3, keyed:keyPartitions())
        assert.equal(3, keyed:narrow(COUNT, true):keyPartitions())
        assert.equal(0, keyed:narrow(COUNT, false):keyPartitions())
        assert.equal(3, engine:union({ keyed, keyed }):keyPartitions())
        assert.equal(0, engine:union({ keyed, keyed:narrow(COUNT, false) }):keyPartitions())
        assert.is_true(keyed:narrow(COUNT):id() > keyed:id())
        local text = keyed:narrow(COUNT):lineage():gsub("#%d+", "#")
        assert.equal("(3) # count (spec.lua:1)\n(3) # repartition (spec.lua:2), shuffle by key\n"
            .. "+-(2) # blocks, 0 records\n", text)
    end)

    it("refuses misuse where it happens", function()
        local rdd = engine:blocks({ {} })
        raises("table expected", engine.blocks, engine, 1)
        raises("partition 2 must be an array of block addresses", engine.blocks, engine, { {}, 1 })
        raises("partition 1, block 1: not an address", engine.blocks, engine, { { "x" } })
        raises("partition 1, block 1: not an address", engine.blocks, engine, { { 0 } })
        raises("entry 1 must be {path, offset, length}", engine.files, engine, { "x" })
        raises("entry 1 must be {path, offset, length}", engine.files, engine, { { "x", 0, -1 } })
        raises("entry 1 must be {path, offset, length}", engine.files, engine, { { "x\0y", 0, 1 } })
        raises("entry 2 is not a dataset of this engine", engine.union, engine, { rdd, 7 })
        raises("RDD expected, got Engine", rdd.partitions, engine)
        raises("Engine expected, got RDD", engine.turn, rdd)
        raises("Job expected, got nil", rdd:job(COLLECT).ended, nil)
        raises("operator descriptor expected, got nil", rdd.narrow, rdd, nil)
        raises("one MessagePack map", rdd.narrow, rdd, "")
        raises("one MessagePack map", rdd.narrow, rdd, codec.pack({ 1, 2 }))
        raises("one MessagePack map", rdd.narrow, rdd, COUNT .. "x")
        raises("one MessagePack map", rdd.job, rdd, COUNT:sub(1, -2))
        raises("number of partitions must be a whole number from 1 to", rdd.coalesce, rdd, 0)
        raises("field route must be", rdd.shuffle, rdd, { route = "random", partitions = 1 })
        raises("field route must be", rdd.shuffle, rdd, {})
        raises("field partitions must be a whole number from 1 to", rdd.shuffle, rdd, { route = "hash" })
        raises("field ascending must be a boolean", rdd.shuffle, rdd, { route = "range", partitions = 2, ascending = 1 })
        raises("one MessagePack map", rdd.shuffle, rdd, { route = "hash", partitions = 2, write = "x" })
        raises("entry 1: the dataset has the partitions 0 to 0", rdd.job, rdd, COLLECT, { 1 })
        raises("entry 1: the dataset has the partitions 0 to 0", rdd.job, rdd, COLLECT, { 0.5 })
        raises("limit must be a whole number", rdd.job, rdd, COLLECT, nil, -1)
        raises("timeout must be a whole number", engine.turn, engine, -2)
    end)

    it("does not mix with another engine", function()
        local other = assert(core.engine({ workers = 1 }))
        local theirs = other:blocks({})
        raises("entry 1 is not a dataset of this engine", engine.union, engine, { theirs })
        assert.is_true(other:close())
        raises("entry 1 is not a dataset of this engine", engine.union, engine, { theirs })
    end)

    it("refuses unions of too many partitions", function()
        local rdd = engine:blocks({ {} })
        for _ = 1, 20 do
            rdd = engine:union({ rdd, rdd })
        end
        raises("the union would have more than 1048576 partitions", engine.union, engine, { rdd, rdd })
    end)

    it("waits as long as it is told and no longer", function()
        assert.equal(0, engine:turn(0))
        local before = core.monotonic()
        assert.equal(0, engine:turn(20))
        assert.is_true(core.monotonic() - before >= 0.015)
        local job = engine:blocks({}):job(COLLECT)
        assert.equal(1, engine:turn(60000))
        assert.equal(1, engine:turn(60000))
        assert.is_true(rawequal(job, engine:poll().job))
        assert.is_nil(engine:poll())
    end)

    it("leaves signals to the program", function()
        local ok, text, code = engine:watchSignals()
        if not core.library() then
            return assert.is_true(ok and engine:watchSignals())
        end
        assert.is_nil(ok)
        assert.truthy(text:find("only the moontide program does", 1, true))
        assert.equal("ESTATE", code)
    end)

    it("is kept alive by what it made", function()
        local rdd = assert(core.engine({ workers = 1 })):blocks({ {} })
        collectgarbage()
        collectgarbage()
        assert.equal(1, rdd:partitions())
        local job = rdd:job(COLLECT)
        rdd = nil
        collectgarbage()
        collectgarbage()
        assert.is_false(job:ended())
        job:cancel()
        assert.is_true(job:ended())
        assert.is_nil(rdd)
    end)
end)

describe("a closed engine", function()
    it("refuses everything but jobs, which have ended", function()
        local engine = assert(core.engine({ workers = 1 }))
        local rdd = engine:blocks({ {} })
        local job = rdd:job(COLLECT)
        assert.is_true(engine:close(1000))
        assert.is_true(engine:close())
        assert.is_true(job:ended())
        local text, code = job:error()
        assert.same({ "the job was cancelled: the engine is closing", "ECANCELLED" }, { text, code })
        job:cancel()
        for _, name in ipairs({ "turn", "poll", "workers", "interrupt", "describe", "watchSignals" }) do
            raises("the engine has been closed", engine[name], engine)
        end
        for _, name in ipairs({ "partitions", "keyPartitions", "id", "knownRecords", "lineage" }) do
            raises("the engine has been closed", rdd[name], rdd)
        end
        raises("the engine has been closed", rdd.narrow, rdd, COUNT)
        raises("the engine has been closed", rdd.job, rdd, COLLECT)
        raises("the engine has been closed", engine.blocks, engine, {})
    end)

    it("may be left to the collector", function()
        do
            local engine = assert(core.engine({ workers = 1 }))
            engine:blocks({ {} }):job(COLLECT)
        end
        collectgarbage()
        collectgarbage()
        assert.equal(0, (core.liveBlocks()))
    end)
end)
