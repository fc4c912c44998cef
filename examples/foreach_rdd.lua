-- Hands each batch to code of your own: the place where results leave for a database, a file or another program.
--
-- Shows: foreachRDD with the batch time, actions inside it, and state of the driver that lives from batch to batch.
--
--     moontide run examples/foreach_rdd.lua
--
-- Prints the largest reading of each batch, and the running total.

local moontide = require "moontide"

local readings = { { 17, 4, 23 }, { 8 }, { 42, 1, 5, 16 } }

local ssc = moontide.StreamingContext("local[2]", "ForeachRDD", "50ms")
local total, batches, last_time = 0, 0, 0

ssc:queueStream(readings):foreachRDD(function(rdd, time)
    if rdd:isEmpty() then
        return
    end
    assert(time > last_time, "batches come in order")
    last_time = time
    total = total + rdd:reduce(function(a, b) return a + b end)
    local largest = rdd:reduce(function(a, b) return math.max(a, b) end)
    batches = batches + 1
    print(string.format("batch %d: largest %d, total so far %d", batches, largest, total))
    if batches == #readings then
        ssc:stop()
    end
end)

ssc:start()
ssc:awaitTermination()

--[[ prints:
batch 1: largest 23, total so far 44
batch 2: largest 8, total so far 52
batch 3: largest 42, total so far 116
]]
