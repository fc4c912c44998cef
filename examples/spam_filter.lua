-- Cleans a stream of mails with a table of what is known about their senders.
--
-- Shows: transform, which applies any operation on datasets to a stream, here a join with a dataset that does not
-- change. It is partitioned and kept once, so that a batch only moves its own mails.
--
--     moontide run examples/spam_filter.lua
--
-- Prints the mails that are let through, batch by batch.

local moontide = require "moontide"

local mails = {
    { "ann: spring tide on friday", "win: you have WON", "bob: the boat needs paint" },
    { "deals: oilskins, half price", "eve: hello" },
}

local ssc = moontide.StreamingContext("local[2]", "SpamFilter", "50ms")

-- How likely a sender sends spam; it could come from a file just as well (sc:textFile, sc:sequenceFile).
local spam_scores = ssc.sc:parallelizePairs({ { "ann", 0.01 }, { "bob", 0.05 }, { "deals", 0.7 }, { "win", 0.99 } })
    :partitionBy(2)
    :persist()

local clean = ssc:queueStream(mails)
    :map(function(mail) return mail:match("^(%w+): (.*)$") end)
    :transform(function(rdd)
        return rdd:leftOuterJoin(spam_scores)
            :filter(function(_, joined) return (joined[2] or 0.5) <= 0.5 end)
            :mapValues(function(joined) return joined[1] end)
    end)

local batches = 0
clean:foreachRDD(function(rdd)
    batches = batches + 1
    for _, mail in ipairs(rdd:sortByKey():collect()) do
        print("batch " .. batches, mail[1], mail[2])
    end
    if batches == #mails then
        ssc:stop()
    end
end)

ssc:start()
ssc:awaitTermination()

--[[ prints:
batch 1	ann	spring tide on friday
batch 1	bob	the boat needs paint
batch 2	eve	hello
]]
