-- Two sources in one stream.
--
-- Shows: union of two streams and of a list of streams, mapValues, and that a batch of the union holds the batches
-- of both.
--
--     moontide run examples/union_streams.lua
--
-- Prints the temperature readings of both sensors, batch by batch.

local moontide = require "moontide"

local ssc = moontide.StreamingContext("local[2]", "UnionStreams", "50ms")
local function sensor(name, batches)
    return ssc:queueStream(batches):map(function(celsius) return name, celsius end)
end

local indoors = sensor("indoors", { { 20.5, 21 }, { 21.5 } })
local outdoors = sensor("outdoors", { { 3 }, { 2.5, 2 } })
local cellar = sensor("cellar", { { 12 }, { 12 } })

local fahrenheit = ssc:union { indoors:union(outdoors), cellar }
    :mapValues(function(celsius) return celsius * 9 / 5 + 32 end)

local batches = 0
fahrenheit:foreachRDD(function(rdd)
    local shown = {}
    for index, pair in ipairs(rdd:collect()) do
        shown[index] = string.format("%s %.1f", pair[1], pair[2])
    end
    if #shown > 0 then
        batches = batches + 1
        print(table.concat(shown, ", "))
    end
    if batches == 2 then
        ssc:stop()
    end
end)

ssc:start()
ssc:awaitTermination()

--[[ prints:
indoors 68.9, indoors 69.8, outdoors 37.4, cellar 53.6
indoors 70.7, outdoors 36.5, outdoors 35.6, cellar 53.6
]]
