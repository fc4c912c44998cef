-- Storage levels and the limit of kept data, from the outside: what is in memory, what is on disk, what is computed again,
-- and that no record is lost on any of these ways. How often something is computed is seen in the file that functions append to.

local moontide = require "moontide"
local fast = require "moontide.wire.ffi"
local engine = require "spec.support.engine"
local line_server = require "spec.support.line_server"
local lineserver = require "moontide.lineserver"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"
local testing = require "moontide.testing"

local message = engine.message
local levels = moontide.StorageLevel

fast.ffi.cdef "void tide_fault_arm(const char *name, long skip, long times); void tide_fault_clear(void);"

local LIMIT = 1024 * 1024
local COUNT, PARTITIONS = 100000, 20 -- about 3.4 MB when packed

-- Space on disk is given back by workers, after a task at the latest.
local function assert_disk_empty(sc)
    for _ = 1, 1000 do
        if sc:getStorageStatus().diskUsed == 0 then return end
        sc:parallelize({ 1 }, 1):count()
    end
    error("the space on disk was not given back")
end

describe("kept data", function()
    engine.watch(after_each)
    local directory, log

    before_each(function()
        directory = tempdir.new()
        log = directory:file("log")
    end)

    after_each(function()
        fast.C.tide_fault_clear()
        directory:remove()
    end)

    local function context(limit, conf)
        conf = conf or {}
        conf["memory.limit"] = limit or LIMIT
        conf["spill.directory"] = conf["spill.directory"] or directory.path
        return engine.context("local[2]", conf)
    end

    -- A large dataset; its function notes each partition it is applied to.
    local function large(sc)
        local name = log
        return sc:range(0, COUNT, 1, PARTITIONS):mapPartitions(function(numbers)
            local file = assert(io.open(name, "a"))
            file:write("x")
            file:close()
            local at = {}
            for x in numbers do
                at[#at + 1] = string.format("%08d", x):rep(4)
            end
            return at
        end)
    end

    local function computed()
        local file = io.open(log, "r")
        if not file then
            return 0
        end
        local text = file:read("*a")
        file:close()
        return #text
    end

    local function assert_right(rdd)
        assert.equal(COUNT, rdd:count())
        assert.equal(32 * COUNT, rdd:map(function(x) return #x end):sum())
        assert.same({ ("00000000"):rep(4), ("00000001"):rep(4) }, rdd:take(2))
        assert.equal(string.format("%08d", COUNT - 1):rep(4), rdd:max())
    end

    local function files()
        return shell.run("ls -A " .. shell.quote(directory.path) .. " | grep -vx log").out
    end

    it("stays in memory while there is room", function()
        local sc = context("1gb")
        local kept = large(sc):persist()
        assert_right(kept)
        assert.equal(PARTITIONS, computed())
        local status = sc:getStorageStatus()
        assert.equal(2 ^ 30, status.maxMem)
        assert.is_true(status.memUsed > 33 * COUNT)
        assert.equal(status.maxMem - status.memUsed, status.memRemaining)
        assert.equal(0, status.diskUsed + status.spilled + status.dropped)
        kept:unpersist()
        assert.equal(0, sc:getStorageStatus().memUsed)
    end)

    it("beyond the limit is computed again with MEMORY_ONLY", function()
        local sc = context()
        local kept = large(sc):persist(levels.MEMORY_ONLY)
        assert_right(kept)
        local status = sc:getStorageStatus()
        assert.is_true(status.memPeak <= LIMIT, status.memPeak .. " bytes were kept")
        assert.is_true(status.memUsed > LIMIT / 2)
        assert.equal(0, status.spilled)
        assert.is_true(status.dropped > 0)
        assert.matches("persistent MEMORY_ONLY, computed: %d+ in memory %(%d+ bytes%), %d+ dropped", kept:toDebugString())
        -- What there is room for is computed once, the rest each time.
        local in_memory = tonumber(kept:toDebugString():match("(%d+) in memory"))
        local before = computed()
        assert.equal(COUNT, kept:map(function(x) return x end):count())
        assert.equal(PARTITIONS - in_memory, computed() - before)
    end)

    it("computes nothing twice that finds no room at first", function()
        local sc = context()
        local kept = large(sc):persist()
        kept:foreach(function() end)
        -- Each worker may have been at one when the first was refused.
        assert.is_true(computed() <= PARTITIONS + 2, computed() .. " partitions were computed")
    end)

    it("beyond the limit goes to disk with MEMORY_AND_DISK", function()
        local sc = context()
        local kept = large(sc):persist(levels.MEMORY_AND_DISK_SER)
        assert_right(kept)
        assert.equal(PARTITIONS, computed())
        local status = sc:getStorageStatus()
        assert.is_true(status.memPeak <= LIMIT, status.memPeak .. " bytes were kept")
        assert.is_true(status.memUsed > LIMIT / 2)
        assert.is_true(status.memUsed + status.diskUsed > 33 * COUNT)
        assert.equal(0, status.dropped)
        assert.matches("computed: " .. COUNT .. " records, %d+ in memory %(%d+ bytes%), %d+ on disk %(%d+ bytes%)",
            kept:toDebugString())
        assert.equal("", files()) -- they have no names
        kept:unpersist()
        assert_disk_empty(sc)
    end)

    it("is on disk alone with DISK_ONLY", function()
        local sc = context("1gb")
        local kept = large(sc):persist(levels.DISK_ONLY)
        assert_right(kept)
        assert.equal(PARTITIONS, computed())
        local status = sc:getStorageStatus()
        assert.equal(0, status.memPeak)
        assert.is_true(status.diskUsed > 33 * COUNT)
        assert.equal("", files())
        kept = nil -- luacheck: ignore
        engine.live_blocks() -- collects
        assert_disk_empty(sc)
    end)

    it("makes room for what is newer", function()
        local sc = context("8mb")
        local first = large(sc):persist()
        local disk = large(sc):persist(levels.MEMORY_AND_DISK)
        first:count()
        disk:count()
        assert.equal(2 * PARTITIONS, computed())
        local newest = large(sc):persist()
        assert_right(newest)
        local status = sc:getStorageStatus()
        assert.is_true(status.memPeak <= 8 * 2 ^ 20)
        assert.is_true(status.dropped > 0)
        assert.matches("dropped", first:toDebugString())
        assert.matches(PARTITIONS .. " in memory", newest:toDebugString())
        local before = computed()
        assert_right(disk)
        assert.equal(before, computed())
        -- With room again, what was given up is kept again.
        newest:unpersist()
        assert_right(first)
        assert.matches(PARTITIONS .. " in memory", first:toDebugString())
        before = computed()
        assert_right(first)
        assert.equal(before, computed())
    end)

    it("of shuffles is bounded too", function()
        local sc = context("64kb")
        local pairs_of = sc:range(0, 60000, 1, 6):map(function(x) return x % 20000, x end)
        local sums = pairs_of:reduceByKey(function(a, b) return a + b end, 4):persist(levels.MEMORY_AND_DISK)
        assert.equal(60000 * 59999 / 2, sums:values():sum())
        assert.same({ 0 + 20000 + 40000 }, sums:lookup(0))
        local sorted = pairs_of:sortByKey(false, 3)
        assert.same({ { 19999, 19999 } }, sorted:take(1))
        assert.equal(60000, sorted:count())
        local joined = sums:join(pairs_of:filter(function(k) return k < 10 end))
        assert.equal(30, joined:count())
        local status = sc:getStorageStatus()
        assert.is_true(status.memPeak <= 65536, status.memPeak .. " bytes were kept")
        assert.equal(0, status.dropped)
        assert.is_true(status.spilled > 0)
        sorted, joined, sums, pairs_of = nil, nil, nil, nil -- luacheck: ignore
        engine.live_blocks()
        assert_disk_empty(sc)
    end)

    it("survives a full disk", function()
        local sc = context(nil, { logLevel = "error" })
        fast.C.tide_fault_arm("spill.write", 0, -1)
        local both, disk = large(sc):persist(levels.MEMORY_AND_DISK), large(sc):persist(levels.DISK_ONLY)
        assert_right(both)
        assert_right(disk)
        assert.equal(0, sc:getStorageStatus().diskUsed)
        -- Data that can't be computed again stays in memory.
        assert.equal(COUNT / 10, large(sc):map(function(x) return x:sub(8, 8), 1 end):groupByKey(4):mapValues(function(list) return #list end)
            :collectAsMap()["3"])
        fast.C.tide_fault_clear()
        assert_right(both)
        assert_right(disk)
        assert.is_true(sc:getStorageStatus().diskUsed > 33 * COUNT)
        require("moontide.core").logLevel("warn")
    end)

    for fault, kind in pairs({ ["spill.damage"] = "damaged", ["spill.short"] = "cut off", ["spill.read"] = "unreadable" }) do
        it("that is " .. kind .. " on disk is computed again", function()
            local sc = context(nil, { logLevel = "error" })
            local kept = large(sc):persist(levels.DISK_ONLY)
            kept:count()
            fast.C.tide_fault_arm(fault, 5, 3)
            assert_right(kept)
            assert.equal(3, sc:getStorageStatus().dropped)
            assert_right(kept)
            -- By the job that found out, and to be kept again.
            assert.equal(PARTITIONS + 2 * 3, computed())
            require("moontide.core").logLevel("warn")
        end)
    end

    it("that is damaged and cannot be computed again is an error that says so", function()
        local sc = context(1)
        local shuffled = sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }, 2):partitionBy(2)
        shuffled:count()
        fast.C.tide_fault_arm("spill.damage", 0, 1)
        local text = message(function() shuffled:collect() end)
        assert.matches("map output %d of dataset #%d+: the spill file in " .. directory.path:gsub("%p", "%%%0"), text)
        assert.matches("is damaged at byte %d+: its checksum is another one; check the disk", text)
        assert.matches("It can't be computed again", text)
        assert.equal(2, #shuffled:collect())
    end)

    it("needs a directory that takes files", function()
        local text = message(function() context(nil, { ["spill.directory"] = directory:file("missing") }) end)
        assert.matches("the engine cannot start: the spill file in .*/missing can't be made: No such file or directory", text)
        assert.matches("setting spill.directory", text)
    end)

    it("on disk is gone when the context is stopped", function()
        local sc = context(1)
        local kept = large(sc):persist(levels.DISK_ONLY)
        kept:count()
        sc:stop()
        assert.equal("", files())
        local open = shell.run("ls -l /proc/" .. io.open("/proc/self/stat"):read("*n") .. "/fd").out
        assert.is_nil(open:match("moontide%-spill"), open)
    end)
end)

describe("a program", function()
    local directory

    before_each(function() directory = tempdir.new() end)
    after_each(function() directory:remove() end)

    local function run(text, env)
        env = env or {}
        env.MOONTIDE_SPILL_DIRECTORY = directory:file("spill")
        shell.run("mkdir " .. shell.quote(env.MOONTIDE_SPILL_DIRECTORY))
        local result = shell.run(shell.quote(shell.program) .. " run " .. shell.quote(directory:write("job.lua", text)),
            { env = env, timeout = 200 })
        result.left = shell.run("ls -A " .. shell.quote(env.MOONTIDE_SPILL_DIRECTORY)).out
        return result
    end

    local KEEPS = [[
        local moontide = require "moontide"
        local sc = moontide.Context("local[2]")
        local kept = sc:range(0, 1000, 1, 4):map(function(x) return x + 1 end):persist(moontide.StorageLevel.DISK_ONLY)
        assert(kept:sum() == 500500)
    ]]

    it("leaves no file behind, however it ends", function()
        local endings = { [""] = 0, ["error('out')"] = 1 }
        if (os.getenv("MOONTIDE_SANITIZE") or "") == "" then
            endings["os.exit(3)"] = 3 -- frees nothing, which a sanitizer would report
        end
        for ending, code in pairs(endings) do
            local result = run(KEEPS .. ending)
            assert.equal(code, result.code, result.err)
            assert.equal("", result.left)
        end
        local killed = run(KEEPS .. [[ os.execute("kill -9 " .. io.open("/proc/self/stat"):read("*n")) ]])
        assert.equal(128 + 9, killed.code)
        assert.equal("", killed.left)
    end)

    it("says once that the disk is full, and goes on", function()
        local result = run(KEEPS .. "assert(kept:sum() == 500500)", { MOONTIDE_FAULT = "spill.write:1:-1" })
        assert.equal(0, result.code, result.err)
        local _, warnings = result.err:gsub("No space left on device; make room there, or name another directory", "")
        assert.equal(1, warnings, result.err)
        assert.matches("WARN  memory: partition %d of dataset #%d+: the spill file in .*/spill can't be written", result.err)
        assert.matches("computed again whenever it is needed", result.err)
    end)

    it("says what is damaged, and goes on", function()
        local result = run(KEEPS, { MOONTIDE_FAULT = "spill.damage:0:1" })
        assert.equal(0, result.code, result.err)
        assert.matches("WARN  memory: partition %d of dataset #%d+: the spill file in .*/spill: spilled data is damaged at byte %d+: "
            .. "its checksum is another one; check the disk; it is computed again", result.err)
    end)

    it("is told once that there is no second replica", function()
        local result = run([[
            local moontide = require "moontide"
            local levels = moontide.StorageLevel
            for _ = 1, 2 do
                local sc = moontide.Context("local[1]")
                sc:parallelize({ 1 }):map(function(x) return x end):persist(levels.MEMORY_ONLY_2):count()
                sc:parallelize({ 1 }):map(function(x) return x end):persist(levels.DISK_ONLY_2):count()
                sc:stop()
            end
        ]])
        assert.equal(0, result.code, result.err)
        local _, lines = result.err:gsub("\n", "")
        assert.equal(1, lines, result.err)
        assert.matches("WARN  storage: MEMORY_ONLY_2 asks for two replicas; Moontide runs on one machine and keeps one", result.err)
    end)

    -- So little that most of what is kept has to go, some to disk and some to be computed again.
    it("gives the same results with hardly any memory", function()
        local result = run([[
            local found = 0
            require("moontide.core").logLevel("error")
            require("spec.differential.runner").run(7000, (os.getenv("MOONTIDE_SANITIZE") or "") == "" and 100 or 20,
                function(seed, text)
                    found = found + 1
                    print(seed, text)
                end)
            print(found .. " differences")
        ]], { MOONTIDE_MEMORY_LIMIT = "700" })
        assert.equal("0 differences\n", result.out, result.err)
    end)

    it("may have its limit set from outside, and sees it in the help", function()
        local result = run(KEEPS .. "print(sc:getStorageStatus().maxMem)", { MOONTIDE_MEMORY_LIMIT = "5mb" })
        assert.equal(5 * 2 ^ 20 .. "\n", result.out)
        local help = shell.moontide({ "help", "conf" }).out
        assert.matches("memory%.limit%s+%w+.*default half of the memory", help)
        assert.matches("spill%.directory%s+%w+.*MOONTIDE_SPILL_DIRECTORY", help)
    end)
end)

describe("a stream without memory", function()
    engine.watch(after_each)

    local function words(batches)
        local inputs = {}
        for b = 1, batches do
            inputs[b] = { "a", "b", "w" .. b % 5, "a" }
        end
        return inputs
    end

    -- Everything goes to disk, and nothing is different.
    it("gives what it gives with it", function()
        local function add(a, b) return a + b end
        local builds = {
            window = function(a) return a:window(4000, 2000):count() end,
            merged = function(a) return a:reduceByKeyAndWindow(add, 7000, 1000) end,
            inverse = function(a) return a:reduceByKeyAndWindow(add, function(x, y) return x - y end, 5000, 1000) end,
            state = function(a)
                return a:updateStateByKey(function(values, state)
                    local sum = state or 0
                    for _, value in ipairs(values) do
                        sum = sum + value
                    end
                    return sum
                end)
            end,
            mapped = function(a)
                return a:mapWithState(moontide.StateSpec.func(function(key, value, state)
                    state:update((state:exists() and state:get() or 0) + value)
                    return key, state:get()
                end))
            end,
        }
        for name, build in pairs(builds) do
            local results = {}
            for index, limit in ipairs({ "1gb", 1 }) do
                results[index] = testing.run {
                    inputs = { words(20) }, conf = { ["memory.limit"] = limit },
                    build = function(_, a) return build(a:map(function(word) return word, 1 end)) end,
                }
                assert.is_nil(results[index].error, name)
            end
            assert.equal(#results[1].batches, #results[2].batches)
            for b, batch in ipairs(results[1].batches) do
                assert.same(engine.sorted(batch.records), engine.sorted(results[2].batches[b].records), name .. " batch " .. b)
            end
        end
    end)

    it("keeps the disk flat", function()
        local ssc = engine.streaming(1000, { ["memory.limit"] = 1 })
        ssc:queueStream({}, true, { "a", "b", "a" }):map(function(word) return word, 1 end)
            :reduceByKeyAndWindow(function(a, b) return a + b end, 8000, 1000):foreachRDD(function(rdd) rdd:count() end)
        ssc:start()
        local function disk(batches)
            for _ = 1, batches do
                engine.advance(ssc)
            end
            engine.live_blocks() -- collects datasets that the script has seen
            local least = math.huge
            for _ = 1, 10 do -- workers give space back after a task
                engine.advance(ssc)
                least = math.min(least, ssc.sc:getStorageStatus().diskUsed)
            end
            return least
        end
        local early, late = disk(40), disk(200)
        assert.is_true(late <= early * 1.5 + 1000, early .. " bytes on disk, then " .. late)
        assert.is_true(ssc.sc:getStorageStatus().spilled > 4 * late)
    end)
end)

describe("received data", function()
    engine.watch(after_each)

    -- A window wants far more than the socket may have in memory, and than is kept there at all: it goes to disk, and the socket
    -- is read on.
    for _, name in ipairs({ "MEMORY_AND_DISK_SER", "DISK_ONLY", "MEMORY_ONLY" }) do
        it("of a long window goes to disk, with " .. name, function()
            local server = line_server.listen()
            finally(function() server:close() end)
            local limit = name == "DISK_ONLY" and "1gb" or "128kb"
            local sc = engine.context("local[2]", { ["memory.limit"] = limit, ["socket.memory"] = "256kb" })
            local ssc = moontide.StreamingContext(sc, 50)
            local lines = ssc:socketTextStream("127.0.0.1", server.port, levels[name])
            local seen, text, status = 0, {}, nil
            lines:window(600000, 50):foreachRDD(function(rdd)
                seen = rdd:count()
                status = sc:getStorageStatus()
            end)
            ssc:start()
            local client, sent = server:accept(), 0
            for k = 1, 1000 do
                text[k] = string.format("%06d %s\n", k, ("x"):rep(90))
            end
            text = table.concat(text)
            local deadline = lineserver.clock() + 120
            for _ = 1, 10 do
                client:send(text)
                sent = sent + 1000
                while seen < sent do
                    assert(not ssc:awaitTerminationOrTimeout(20), "the context stopped by itself")
                    assert(lineserver.clock() < deadline, "only " .. seen .. " of " .. sent .. " lines came")
                end
            end
            assert.equal(sent, seen)
            assert.is_true(status.diskUsed > 500000, "only " .. status.diskUsed .. " bytes are on disk")
            assert.equal(0, status.dropped)
            -- What came with the last batches may still be in memory.
            assert.is_true(status.memPeak < 3 * 128 * 1024 + 256 * 1024, status.memPeak .. " bytes were kept")
            ssc:stop(false)
        end)
    end
end)
