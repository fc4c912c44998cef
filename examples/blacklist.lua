-- Counts words without those of a list, and how many that were.
--
-- Shows: a broadcast variable, which every worker gets once instead of with every function and batch, and an
-- accumulator, which workers add to and the driver reads.
--
--     moontide run examples/blacklist.lua
--
-- Prints the words of each batch with their counts, and how many were dropped up to then.

local moontide = require "moontide"

local lines = { { "the ebb and the flow" }, { "the moon", "and the sea" } }

local ssc = moontide.StreamingContext("local[2]", "Blacklist", "50ms")
local blacklist = ssc.sc:broadcast({ the = true, ["and"] = true, a = true })
local dropped = ssc.sc:accumulator(0, nil, "dropped words")

local counts = ssc:queueStream(lines)
    :flatMap(function(line) return line:gmatch("%S+") end)
    :filter(function(word)
        if blacklist:value()[word] then
            dropped:add(1)
            return false
        end
        return true
    end)
    :countByValue()

local batches = 0
counts:foreachRDD(function(rdd)
    batches = batches + 1
    for _, count in ipairs(rdd:sortByKey():collect()) do
        print(string.format("batch %d: %s %d", batches, count[1], count[2]))
    end
    print(string.format("batch %d: %d words dropped so far", batches, dropped:value()))
    if batches == #lines then
        ssc:stop()
    end
end)

ssc:start()
ssc:awaitTermination()

--[[ prints:
batch 1: ebb 1
batch 1: flow 1
batch 1: 3 words dropped so far
batch 2: moon 1
batch 2: sea 1
batch 2: 6 words dropped so far
]]
