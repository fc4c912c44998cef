-- Orders and payments, two streams: what was paid, and what is still open.
--
-- Shows: join, which gives a record for each order that meets a payment, cogroup, which gives one for each key with
-- everything both sides have, and transformWith, which applies any operation on the datasets of both.
--
--     moontide run examples/cogroup_streams.lua
--
-- Prints what each of the three makes of one batch.

local moontide = require "moontide"

local ssc = moontide.StreamingContext("local[2]", "CogroupStreams", "50ms")
local function stream(records)
    return ssc:queueStream { ssc.sc:parallelizePairs(records) }
end
local orders = stream { { "ann", 40 }, { "ann", 2 }, { "bob", 15 } }
local payments = stream { { "ann", 42 }, { "eve", 7 } }

local function sum(list)
    local total = 0
    for _, amount in ipairs(list) do
        total = total + amount
    end
    return total
end

orders:join(payments):foreachRDD(function(rdd)
    print("orders that meet a payment: " .. rdd:count())
end)

orders:cogroup(payments)
    :mapValues(function(both) return sum(both[2]) - sum(both[1]) end)
    :foreachRDD(function(rdd)
        for _, balance in ipairs(rdd:sortByKey():collect()) do
            print("balance of " .. balance[1], balance[2])
        end
    end)

orders:transformWith(payments, function(ordered, paid) return ordered:subtractByKey(paid) end)
    :foreachRDD(function(rdd)
        for _, order in ipairs(rdd:collect()) do
            print("ordered and paid nothing: " .. order[1])
        end
        ssc:stop()
    end)

ssc:start()
ssc:awaitTermination()

--[[ prints:
orders that meet a payment: 2
balance of ann	0
balance of bob	-15
balance of eve	7
ordered and paid nothing: bob
]]
