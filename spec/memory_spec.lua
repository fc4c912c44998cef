-- What is kept from batch to batch does not grow: blocks, datasets, Lua memory. Not a timing and not the process's size; for
-- these see spec/bench/memory.lua.

local core = require "moontide.core"
local soak = require "spec.support.soak"

local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""

-- After so many batches all windows of the job are where they were: a multiple of each window's period.
local PERIOD = 480

describe("memory", function()
    -- Machine code of the script's own state would be counted with its memory, and more is made for a long time.
    setup(function()
        jit.off()
        jit.flush()
    end)
    teardown(function() jit.on() end)

    local function samples_of(options, periods)
        local job = soak.start(options)
        finally(function()
            job:stop()
            job = nil
        end)
        local samples = {}
        for index = 1, periods do
            job:run(PERIOD)
            samples[index] = job:sample()
        end
        assert(job.printed > 0)
        assert.equal(PERIOD * periods, job.completed)
        return samples
    end

    local function assert_flat(samples)
        local first, last = samples[1], samples[#samples]
        local batches = last.batch - first.batch
        assert(batches >= PERIOD)
        -- Of what stays behind in a batch, or in one of a hundred, there would be more.
        for _, what in ipairs({ "blocks", "rdds" }) do
            assert(last[what] - first[what] < batches / 100,
                string.format("%d %s after %d batches, %d after %d", first[what], what, first.batch, last[what], last.batch))
        end
        assert(last.bytes < first.bytes * 1.05, "bytes of blocks grow from " .. first.bytes .. " to " .. last.bytes)
        -- What grows once (the table of all strings, a list of busted's) does not grow in each period.
        local growth = math.huge
        for index = 2, #samples do
            growth = math.min(growth, samples[index].lua - samples[index - 1].lua)
        end
        assert(growth < PERIOD / 100, "kB of Lua grow from " .. first.lua .. " to " .. last.lua)
        assert(last.workers < first.workers * 1.2, "kB of a worker grow from " .. first.workers .. " to " .. last.workers)
    end

    it("is flat over thousands of batches", function()
        assert_flat(samples_of({ outputs = { "inverse", "state" } }, sanitized and 2 or 5))
    end)

    -- Several times slower under a sanitizer.
    if not sanitized then
        it("is flat with all kinds of windows, state, joins and datasets made in between", function()
            assert_flat(samples_of({}, 3))
        end)
    end

    it("is all given back", function()
        local before = core.liveRdds()
        local job = soak.start { outputs = { "window", "visits", "kept" } }
        job:run(40)
        assert(core.liveRdds() > before)
        job:stop()
        job = nil
        collectgarbage()
        collectgarbage()
        assert.equal(0, (core.liveBlocks()))
        assert.equal(0, core.liveRdds())
        assert.is_nil(job)
    end)
end)

describe("the memory of a worker", function()
    local engine = require "spec.support.engine"
    engine.watch(after_each)

    -- What is alive in the worker's Lua state, KB, as the next task finds it.
    local function alive(sc)
        return sc:parallelize({ 1 }, 1):map(function()
            collectgarbage()
            collectgarbage()
            return collectgarbage "count"
        end):first()
    end

    it("holds nothing of a task that has ended, though its plan is kept for the next one", function()
        local sc = engine.context("local[1]")
        local function count_keys(n)
            return sc:range(n):map(function(i) return "a key of this task " .. i, 1 end):reduceByKey(function(a, b) return a + b end)
                :count()
        end
        assert.equal(10, count_keys(10))
        local before = alive(sc)
        assert.equal(40000, count_keys(40000)) -- some 5 MB of strings and tables
        assert.is_true(alive(sc) - before < 1024, "a task's keys are still alive")
    end)
end)
