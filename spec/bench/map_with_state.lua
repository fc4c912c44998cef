-- Batches of mapWithState on many known keys.
--
--     moontide run spec/bench/map_with_state.lua <known keys> <changed keys> <workers> [batches]
--
-- The state is given as the initial one: texts of 8 to 12 bytes, counts. Each batch has one record for each of so many random known
-- keys, in blocks that are there before the clock starts; its function adds 1. The clock is moved by hand. Prints "milliseconds
-- of a batch, median" "longest" "resident bytes a key".

local loop = require "moontide.driver.loop"
local moontide = require "moontide"
local statistics = require "spec.bench.statistics"
local clock = require("moontide.lineserver").clock

local known, changed, workers, batches = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3] or 1), tonumber(arg[4] or 20)

local function resident()
    for line in io.lines("/proc/self/status") do
        local kilobytes = line:match("^VmRSS:%s*(%d+) kB")
        if kilobytes then
            return tonumber(kilobytes) * 1024
        end
    end
end

local sc = moontide.Context(("local[%d]"):format(workers), "bench")
local function key_of(number) return ("%x%06d"):format(number * 7919 % 65536, number) end

local function batch_of(seed)
    local rdd = sc:range(0, changed, 1, workers):map(function(index)
        return key_of(((index + seed) * 982451653 + seed * 7907) % known), 1
    end):cache()
    rdd:count()
    return rdd
end

local initial = sc:range(0, known, 1, workers):map(function(number) return key_of(number), 0 end)
local queue = {}
for number = 1, batches + 2 do
    queue[number] = batch_of(number)
end
local before = resident()
local ssc = require("moontide.streaming").create(sc, 1000, { clock = "manual", start = 0 })
ssc:checkpoint(os.tmpname() .. ".bench")
local done = 0
ssc:queueStream(queue):mapWithState(moontide.StateSpec.func(function(key, n, state)
    state:update((state:getOption() or 0) + n)
end):initialState(initial):numPartitions(workers)):foreachRDD(function(rdd) done = done + rdd:count() end)
ssc:start()
local life = ssc.life
local times = {}
for number = 1, batches + 2 do
    local started = clock()
    life.graph:advance(1000)
    loop.run_until(function() return life.tasks == 0 and life.graph:idle() end)
    if number > 2 then
        times[number - 2] = (clock() - started) * 1000
    end
end
table.sort(times)
print(("%.2f %.2f %.1f"):format(statistics.median(times), times[#times], (resident() - before) / known))
ssc:stop()
