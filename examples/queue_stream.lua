-- Feeds a stream from a queue of lists, and counts by the last digit.
--
-- Shows: queueStream (one list of the queue becomes one batch), reduceByKey, foreachRDD with an action inside.
--
--     moontide run examples/queue_stream.lua
--
-- Prints a line for each of three batches.

local moontide = require "moontide"

local queue = {}
for batch = 1, 3 do
    queue[batch] = {}
    for n = 1, batch * 1000 do
        queue[batch][n] = n
    end
end

local ssc = moontide.StreamingContext("local[2]", "QueueStream", moontide.milliseconds(50))
local digits = ssc:queueStream(queue)
    :map(function(n) return n % 10, 1 end)
    :reduceByKey(function(a, b) return a + b end)

local seen = 0
digits:foreachRDD(function(rdd)
    local pairs_of_batch = rdd:sortByKey():collect()
    if #pairs_of_batch == 0 then
        return -- the queue is empty by now
    end
    local shown = {}
    for index, pair in ipairs(pairs_of_batch) do
        shown[index] = pair[1] .. ":" .. pair[2]
    end
    seen = seen + 1
    print("batch " .. seen, table.concat(shown, " "))
    if seen == #queue then
        ssc:stop() -- takes effect when this function has returned
    end
end)

ssc:start()
ssc:awaitTermination()

--[[ prints:
batch 1	0:100 1:100 2:100 3:100 4:100 5:100 6:100 7:100 8:100 9:100
batch 2	0:200 1:200 2:200 3:200 4:200 5:200 6:200 7:200 8:200 9:200
batch 3	0:300 1:300 2:300 3:300 4:300 5:300 6:300 7:300 8:300 9:300
]]
