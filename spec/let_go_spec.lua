-- What streams let go of before the time they remember is over (host/dstream/remember.c): received data, map outputs and versions
-- of state that nobody will read again. Counted in bytes of live blocks, not in the size of the process.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local line_server = require "spec.support.line_server"
local testing = require "moontide.testing"

local function add(a, b) return a + b end
local function subtract(a, b) return a - b end
local function one(line) return line:sub(1, 3), 1 end

local LINES, WIDTH = 2000, 200 -- a portion: 400 kB

local function live_bytes()
    for _ = 1, 3 do collectgarbage() end
    local _, bytes = core.liveBlocks()
    return bytes
end

describe("received data", function()
    engine.watch(after_each)

    -- Runs a job over a socket on a manual clock. `build(lines, output)` makes the streams; `output(stream)` is called for the one whose
    -- records, numbers or pairs with a number, sum up to the lines of all its batches.
    local function job(build, conf, slide)
        local server = line_server.listen()
        finally(function() server:close() end)
        local ssc = engine.streaming(1000, conf)
        local directory = assert(require("moontide.driver.checkpoint").temporary())
        finally(function() require("moontide.driver.checkpoint").remove(directory) end)
        ssc:checkpoint(directory)
        local counted, times = 0, 0
        local lines = ssc:socketTextStream("127.0.0.1", server.port)
        build(lines, function(stream)
            stream:foreachRDD(function(rdd)
                local sum = 0
                for _, record in ipairs(rdd:collect()) do
                    sum = sum + (type(record) == "table" and record[2] or record)
                end
                counted, times = sum, times + 1
            end)
        end, ssc)
        ssc:start()
        local client = server:accept()
        local sent = 0
        -- One more portion, and as many batches as it takes until all that was sent is in the result.
        local function portion()
            local list = {}
            for index = 1, LINES do
                list[index] = ("%03d"):format((sent + index) % 50) .. ("x"):rep(WIDTH - 4) .. "\n"
            end
            client:send(table.concat(list))
            sent = sent + LINES
            local turns = 0
            repeat
                for _ = 1, slide or 1 do
                    engine.advance(ssc)
                    assert.is_nil(ssc.life.error)
                end
                turns = turns + 1
                assert(turns < 10000, ("%d of %d lines were counted"):format(counted, sent))
            until counted >= sent
            assert.equal(sent, counted)
        end
        return { ssc = ssc, lines = lines, portion = portion, advance = function() engine.advance(ssc) end,
            counted = function() return counted end }
    end

    local kinds = {
        { "reduceByKeyAndWindow", function(lines) return lines:map(one):reduceByKeyAndWindow(add, "1h") end },
        { "reduceByKeyAndWindow with an inverse", function(lines)
            return lines:map(one):reduceByKeyAndWindow(add, subtract, "1h")
        end },
        { "groupByKeyAndWindow of what was reduced before", function(lines)
            return lines:map(one):reduceByKey(add):groupByKeyAndWindow("1h"):mapValues(function(list)
                local sum = 0
                for _, n in ipairs(list) do sum = sum + n end
                return sum
            end)
        end },
        { "countByWindow", function(lines) return lines:countByWindow("1h", "1s") end },
        { "countByValueAndWindow", function(lines)
            return lines:map(function(line) return line:sub(1, 3) end):countByValueAndWindow("1h", "1s")
        end },
        { "reduceByWindow", function(lines)
            return lines:map(function() return 1 end):reduceByWindow(add, "1h", "1s")
        end },
        { "reduceByWindow with an inverse", function(lines)
            return lines:map(function() return 1 end):reduceByWindow(add, subtract, "1h", "1s")
        end },
        { "a window of what was counted before", function(lines) return lines:count():window("1h") end },
        { "updateStateByKey", function(lines)
            return lines:map(one):updateStateByKey(function(values, state) return (state or 0) + #values end)
        end },
        { "mapWithState", function(lines)
            return lines:map(one):mapWithState(require("moontide").StateSpec.func(function(_, n, state)
                state:update((state:getOption() or 0) + n)
            end)):stateSnapshots()
        end },
    }

    for _, kind in ipairs(kinds) do
        it("goes when its batch is done, under " .. kind[1], function()
            local streams = job(function(lines, output)
                output(kind[2](lines))
                lines:count():foreachRDD(function(rdd) rdd:first() end)
            end)
            for _ = 1, 12 do streams.portion() end
            local bytes = live_bytes()
            assert(bytes < 2 * LINES * WIDTH, bytes .. " bytes are alive after 12 portions of " .. LINES * WIDTH)
        end)
    end

    it("stays for a window directly over it", function()
        local streams = job(function(lines, output)
            output(lines:window("1h"):count())
        end)
        for _ = 1, 6 do streams.portion() end
        assert(live_bytes() >= 6 * LINES * WIDTH)
    end)

    it("stays until a window that slides by several batches was computed from it", function()
        local streams = job(function(lines, output)
            output(lines:map(one):reduceByKeyAndWindow(add, "1h", "5s"))
        end, nil, 5)
        for _ = 1, 5 do streams.portion() end
        assert(live_bytes() < 2 * LINES * WIDTH)
    end)

    it("stays as long as ssc:remember says, for slices", function()
        local streams = job(function(lines, output, ssc)
            ssc:remember("1h")
            output(lines:map(one):reduceByKeyAndWindow(add, "1h"))
        end)
        for _ = 1, 3 do streams.portion() end
        local count = 0
        for _, rdd in ipairs(streams.lines:slice(0, 1e9)) do count = count + rdd:count() end
        assert.equal(3 * LINES, count)
    end)

    it("is missed by slices that reach further back, with what to do", function()
        local streams = job(function(lines, output) output(lines:map(one):reduceByKeyAndWindow(add, "1h")) end)
        streams.portion()
        local text = engine.message(streams.lines.slice, streams.lines, 0, 1e9)
        assert.matches("has released its dataset of batch %d+ ms", text)
        assert.matches("ssc:remember(duration) before start()", text, 1, true)
        streams.portion()
    end)

    it("stays with a dataset that the script holds", function()
        local held = {}
        local streams = job(function(lines, output)
            lines:foreachRDD(function(rdd) held[#held + 1] = rdd end)
            output(lines:map(one):reduceByKeyAndWindow(add, "1h"))
        end)
        for _ = 1, 3 do streams.portion() end
        local count = 0
        for _, rdd in ipairs(held) do count = count + rdd:count() end
        assert.equal(3 * LINES, count)
    end)

    it("is not needed again when memory is short: what windows keep goes to disk, at any level", function()
        for _, level in ipairs({ "MEMORY_ONLY", "MEMORY_AND_DISK", "DISK_ONLY" }) do
            local streams = job(function(lines, output)
                local reduced = lines:map(function(line) return line:sub(1, 3) .. ("k"):rep(500), 1 end):reduceByKey(add)
                local window = reduced:window("1h")
                window:persist(require("moontide").StorageLevel[level])
                output(window:map(function(key, n) return key, n end))
            end, { ["memory.limit"] = "100kb" })
            for _ = 1, 12 do streams.portion() end
        end
    end)
end)

describe("versions of state", function()
    -- A large state of which every batch changes one key.
    local function alive(build)
        local most, batches = 0, 40
        local input = { {} }
        for key = 1, 2000 do input[1][key] = { ("key %04d"):format(key) .. ("."):rep(100), 1 } end
        for batch = 2, batches do input[batch] = { { ("key %04d"):format(batch) .. ("."):rep(100), 1 } } end
        local result = testing.run { inputs = { input }, pairs = { true }, partitions = 1, build = function(_, stream)
            local made = build(stream)
            made:foreachRDD(function(rdd, time)
                rdd:count()
                if time > 20000 then most = math.max(most, live_bytes()) end
            end)
            return made:filter(function() return false end)
        end }
        assert.is_nil(result.error)
        return most
    end

    local kinds = {
        updateStateByKey = function(stream)
            return stream:updateStateByKey(function(values, state) return (state or 0) + #values end, 1)
        end,
        ["an inverse window"] = function(stream)
            return stream:reduceByKeyAndWindow(add, subtract, "1h", "1s", 1)
        end,
    }
    for name, build in pairs(kinds) do
        it("go when the next one is complete, of " .. name, function()
            -- The records of the input are there all the time, then the state, and the next one that is being made.
            assert(alive(build) < 8 * 2000 * 120)
        end)
    end
end)
