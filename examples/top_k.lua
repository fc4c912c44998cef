-- The most requested pages of each batch of a web server's log.
--
-- Shows: transform, which applies dataset operations (here sortByKey) to each batch of a stream; take.
--
--     moontide run examples/top_k.lua
--
-- Prints the two most requested pages of each of two batches.

local moontide = require "moontide"

local logs = {
    { "GET /home", "GET /about", "GET /home", "GET /news", "GET /home", "GET /news" },
    { "GET /shop", "GET /shop", "GET /home", "GET /shop", "GET /shop/cart", "GET /home" },
}

local ssc = moontide.StreamingContext("local[2]", "TopK", "50ms")
local top = ssc:queueStream(logs)
    :map(function(line) return line:match("^%S+ (%S+)"), 1 end)
    :reduceByKey(function(a, b) return a + b end)
    :transform(function(rdd)
        return rdd:map(function(page, hits) return hits, page end):sortByKey(false)
    end)

local batches = 0
top:foreachRDD(function(rdd)
    local best = rdd:take(2)
    if #best == 0 then
        return
    end
    batches = batches + 1
    print("batch " .. batches)
    for _, pair in ipairs(best) do
        print("", pair[1] .. " × " .. pair[2])
    end
    if batches == #logs then
        ssc:stop()
    end
end)

ssc:start()
ssc:awaitTermination()

--[[ prints:
batch 1
	3 × /home
	2 × /news
batch 2
	3 × /shop
	2 × /home
]]
