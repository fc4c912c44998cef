-- Watches a gauge: how many readings came in the last three batches, the highest of them, and their average.
--
-- Shows: countByWindow, reduceByWindow, and reduceByKeyAndWindow without an inverse function, which needs no checkpoint
-- directory; repartition, which spreads what one source delivers over the workers; a batch's own reduce beside them.
--
--     moontide run examples/window_statistics.lua
--
-- Prints a line for each batch.

local moontide = require "moontide"

local readings = { { 4, 7, 5 }, { 9 }, { 3, 4 }, { 2 }, { 1, 6 } }

local directory = io.popen("mktemp -d"):read("*l") -- one that nobody else has

local batch = moontide.milliseconds(50)
local ssc = moontide.StreamingContext("local[2]", "WindowStatistics", batch)
ssc:checkpoint(directory) -- for countByWindow

local function add(a, b) return a + b end

local gauge = ssc:queueStream(readings):repartition(2)
local counted = gauge:countByWindow(3 * batch, batch)
local highest = gauge:reduceByWindow(math.max, 3 * batch, batch)
local sums = gauge:map(function(x) return "sum", x end):reduceByKeyAndWindow(add, 3 * batch, batch)

local shown = {}
local function show(stream, format, last)
    stream:foreachRDD(function(rdd)
        shown[#shown + 1] = format:format(unpack(rdd:collect()))
        if last then
            print(table.concat(shown, ", "))
            shown = {}
        end
    end)
end

local batches = 0
show(gauge:reduce(math.max), "now %d")
show(counted, "last three: %d readings")
show(highest, "highest %d")
show(sums:map(function(_, sum) return sum end), "sum %d", true)
sums:foreachRDD(function()
    batches = batches + 1
    if batches == #readings then
        ssc:stop()
    end
end)

ssc:start()
ssc:awaitTermination()
os.remove(directory)

--[[ prints:
now 7, last three: 3 readings, highest 7, sum 16
now 9, last three: 4 readings, highest 9, sum 25
now 4, last three: 6 readings, highest 9, sum 32
now 2, last three: 4 readings, highest 9, sum 18
now 6, last three: 5 readings, highest 6, sum 16
]]
