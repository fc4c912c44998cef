-- Kept data that shares blocks: versions of a state of which hardly anything changes, datasets made of others without change.
-- It counts once, and goes to disk once (host/store/room.h, copies.h).

local engine = require "spec.support.engine"
local moontide = require "moontide"

local KEYS, BATCHES = 20000, 12
local SIZE = KEYS * 100 -- bytes of one version, at least

local function add(a, b) return a + b end
local function subtract(a, b) return a - b end
local function key(n) return ("key %05d"):format(n) .. ("."):rep(90) end

describe("kept data that shares blocks", function()
    engine.watch(after_each)

    local function with_checkpoints(ssc)
        local checkpoint = require "moontide.driver.checkpoint"
        local directory = assert(checkpoint.temporary())
        finally(function() checkpoint.remove(directory) end)
        ssc:checkpoint(directory)
    end

    local kinds = {
        { "mapWithState", function(stream)
            return stream:mapWithState(moontide.StateSpec.func(function(_, n, state)
                state:update((state:getOption() or 0) + n)
            end)):stateSnapshots()
        end },
        { "an inverse window", function(stream) return stream:reduceByKeyAndWindow(add, subtract, "1h", "1s") end },
    }

    -- One key changes in each batch, and ssc:remember keeps all versions. Returns the storage status at the end.
    local function run(build, limit)
        local ssc = engine.streaming(1000, { ["memory.limit"] = limit })
        with_checkpoints(ssc)
        ssc:remember("1h")
        local first = {}
        for n = 1, KEYS do first[n] = { key(n), 1 } end
        local input = { ssc.sc:parallelizePairs(first, 2) }
        for batch = 2, BATCHES do input[batch] = ssc.sc:parallelizePairs({ { key(batch * 7), 1 } }, 1) end
        local sums = {}
        local stream = build(ssc:queueStream(input))
        stream:foreachRDD(function(rdd) sums[#sums + 1] = rdd:values():sum() end)
        ssc:start()
        for _ = 1, BATCHES do engine.advance(ssc) end
        for batch = 1, BATCHES do assert.equal(KEYS + batch - 1, sums[batch]) end
        -- The versions before are there.
        for index, rdd in ipairs(stream:slice(0, BATCHES * 1000)) do
            assert.equal(KEYS + index - 1, rdd:values():sum())
        end
        local status = ssc.sc:getStorageStatus()
        ssc:stop(false)
        return status
    end

    for _, kind in ipairs(kinds) do
        it("counts once in memory: versions of " .. kind[1], function()
            local status = run(kind[2], "1gb")
            -- What the first batch's shuffle wrote, the first version, and a few blocks for each other one.
            assert(status.memUsed > SIZE and status.memUsed < 6 * SIZE, status.memUsed .. " bytes for versions of " .. SIZE)
            assert.equal(0, status.spilled)
        end)

        it("is written once to disk: versions of " .. kind[1], function()
            local status = run(kind[2], "64kb")
            assert(status.memUsed <= 64 * 1024)
            assert(status.spilled > SIZE and status.spilled < 6 * SIZE, status.spilled .. " bytes written for " .. SIZE)
            assert(status.diskUsed <= status.spilled)
        end)
    end

    it("counts once when it is persisted under several names", function()
        local sc = engine.context("local[2]", { ["memory.limit"] = "1gb" })
        local base = sc:range(0, 200000, 1, 4):map(function(n) return ("%08d"):format(n):rep(4) end):persist()
        assert.equal(200000, base:count())
        local one = sc:getStorageStatus().memUsed
        local all = { base:union(sc:emptyRDD()), base:coalesce(2), base:coalesce(1) }
        for _, rdd in ipairs(all) do assert.equal(200000, rdd:persist():filter(function() return true end):count()) end
        local used = sc:getStorageStatus().memUsed
        assert(used < 1.1 * one, used .. " bytes instead of " .. one)
        base:unpersist()
        assert(sc:getStorageStatus().memUsed > 0.9 * one)
        for _, rdd in ipairs(all) do rdd:unpersist() end
        assert.equal(0, sc:getStorageStatus().memUsed)
    end)
end)
