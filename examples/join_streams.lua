-- Advertisements that were shown, and clicks on them: which were clicked, and how many were not.
--
-- Shows: leftOuterJoin of two streams, and a window on one side, so that a click meets what was shown in the last
-- three batches.
--
--     moontide run examples/join_streams.lua
--
-- Prints the clicks of each batch with what was shown, and those that nothing was shown for.

local moontide = require "moontide"

local shown = {
    { { "ad1", "tide tables" }, { "ad2", "oilskins" } },
    { { "ad3", "charts" } },
    {},
    {},
}
local clicked = {
    { { "ad1", "ann" } },
    { { "ad2", "bob" }, { "ad3", "ann" } },
    { { "ad9", "eve" } },
    { { "ad1", "bob" } },
}

local batch = moontide.milliseconds(50)
local ssc = moontide.StreamingContext("local[2]", "JoinStreams", batch)

local function pairs_of(batches)
    local datasets = {}
    for index, records in ipairs(batches) do
        datasets[index] = ssc.sc:parallelizePairs(records)
    end
    return ssc:queueStream(datasets)
end

local batches = 0
pairs_of(clicked):leftOuterJoin(pairs_of(shown):window(3 * batch), 2):foreachRDD(function(rdd)
    batches = batches + 1
    for _, pair in ipairs(rdd:sortByKey():collect()) do
        local ad, visitor, text = pair[1], pair[2][1], pair[2][2]
        print(string.format("batch %d: %s clicked %s, %s", batches, visitor, ad, text or "not shown lately"))
    end
    if batches == #clicked then
        ssc:stop()
    end
end)

ssc:start()
ssc:awaitTermination()

--[[ prints:
batch 1: ann clicked ad1, tide tables
batch 2: bob clicked ad2, oilskins
batch 2: ann clicked ad3, charts
batch 3: eve clicked ad9, not shown lately
batch 4: bob clicked ad1, not shown lately
]]
