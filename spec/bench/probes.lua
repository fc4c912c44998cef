-- Measurements that are not throughput, each in a process of its own.
--
--     moontide run spec/bench/probes.lua start                     prints the clock when the first batch runs
--     moontide run spec/bench/probes.lua idle                      prints resident kB of an idle word count
--     moontide run spec/bench/probes.lua empty <batches>           prints µs from tick to completion, a line for each batch
--     moontide run spec/bench/probes.lua ticks <ms> <batches>      prints µs between the nominal time and the output's run
--     moontide run spec/bench/probes.lua latency <file> <lines/s> <seconds>   prints µs from due to counted, a line per mark

local ffi = require "ffi"
local moontide = require "moontide"

local probes = {}

-- Wall clock in µs: batch times are wall-clock milliseconds.
local function wall_clock()
    local time = ffi.new "struct moontide_ls_timespec"
    return function()
        ffi.C.moontide_ls_clock(0, time)
        return tonumber(time.seconds) * 1e6 + tonumber(time.nanoseconds) / 1e3
    end
end

local function word_count(lines)
    return lines:flatMap(function(line) return line:gmatch("%S+") end)
        :map(function(word) return word, 1 end)
        :reduceByKey(function(a, b) return a + b end)
end

local function print_all(values)
    for _, value in ipairs(values) do
        print(string.format("%.1f", value))
    end
end

function probes.start()
    local ssc = moontide.StreamingContext("local[2]", "start", 1)
    local first
    word_count(ssc:queueStream { { "one line" } }):foreachRDD(function(rdd)
        rdd:collect()
        first = first or require("moontide.lineserver").clock()
    end)
    ssc:start()
    while not first and not ssc:awaitTerminationOrTimeout(1000) do end
    print(string.format("%.6f", first))
    ssc:stop()
end

function probes.idle()
    local server = assert(require("moontide.lineserver").start { text = "one line\n", keep = true })
    local ssc = moontide.StreamingContext("local[2]", "idle", 100)
    local batches = 0
    word_count(ssc:socketTextStream("127.0.0.1", server.port)):foreachRDD(function(rdd)
        rdd:count()
        batches = batches + 1
    end)
    ssc:start()
    while batches < 10 and not ssc:awaitTerminationOrTimeout(20) do end
    for line in io.lines("/proc/self/status") do
        local kilobytes = line:match("^VmRSS:%s*(%d+) kB")
        if kilobytes then
            print(kilobytes)
        end
    end
    ssc:stop()
    server:stop()
end

-- An empty batch of a word count, on a clock moved by hand: from the tick to the moment when everything of the
-- batch is done. The lateness of a real timer is measured by `ticks`.
function probes.empty(batches)
    local clock = require("moontide.lineserver").clock
    local loop = require "moontide.driver.loop"
    local sc = moontide.Context("local[2]", "empty")
    local ssc = require("moontide.streaming").create(sc, 1000, { clock = "manual", start = 0 })
    word_count(ssc:queueStream {}):foreachRDD(function(rdd) rdd:collect() end)
    ssc:start()
    local life, taken = ssc.life, {}
    local function settled()
        return life.tasks == 0 and life.graph:idle()
    end
    for batch = 1, batches do
        local started = clock()
        life.graph:advance(1000)
        loop.run_until(settled)
        taken[batch] = (clock() - started) * 1e6
    end
    ssc:stop()
    print_all(taken)
end

function probes.ticks(interval, batches)
    require "moontide.lineserver.sockets"
    local now, late, times = wall_clock(), {}, {}
    local ssc = moontide.StreamingContext("local[2]", "ticks", tonumber(interval))
    word_count(ssc:queueStream {}):foreachRDD(function(_, time)
        late[#late + 1] = now() - time * 1000
        times[#times + 1] = time
    end)
    ssc:start()
    while #late < tonumber(batches) and not ssc:awaitTerminationOrTimeout(50) do end
    ssc:stop()
    for index = 2, #times do
        assert(times[index] - times[index - 1] == tonumber(interval), "a batch was left out")
    end
    print_all(late)
end

function probes.latency(path, rate, seconds)
    local lineserver = require "moontide.lineserver"
    local clock = lineserver.clock
    local warm_up, taken = 1, {}
    local server = assert(lineserver.start {
        file = path, rate = tonumber(rate), marks = true, interval = 5, clients = 1, keep = true,
        count = math.floor(tonumber(rate) * (tonumber(seconds) + warm_up)),
    })
    local ssc = moontide.StreamingContext("local[2]", "latency", 100)
    local started, ended
    word_count(ssc:socketTextStream("127.0.0.1", server.port)):foreachRDD(function(rdd)
        local counts = rdd:collect()
        local now = clock()
        for _, pair in ipairs(counts) do
            local due = pair[1]:match("^@(%d+)$")
            if due then
                due = tonumber(due) / 1e6
                started = started or due
                if due >= started + warm_up then
                    taken[#taken + 1] = (now - due) * 1e6
                end
                ended = ended or due >= started + warm_up + tonumber(seconds) - 0.02
            end
        end
    end)
    ssc:start()
    while not ended and not ssc:awaitTerminationOrTimeout(20) do end
    ssc:stop()
    server:stop()
    print_all(taken)
end

probes[arg[1]](unpack(arg, 2))
