-- What is talked about most in the last three batches.
--
-- Shows: countByValueAndWindow, which counts from window to window by what comes and what leaves, and transform to sort
-- each window; a checkpoint directory, which such windows need.
--
--     moontide run examples/trending.lua
--
-- Prints the two most frequent topics of each window.

local moontide = require "moontide"

local posts = {
    { "#tide is high", "#moon" },
    { "#moon and #tide", "#tide" },
    { "#storm", "#storm" },
    { "#storm on the #sea", "#sea" },
    { "#sea" },
}

local directory = io.popen("mktemp -d"):read("*l") -- one that nobody else has

local batch = moontide.milliseconds(50)
local ssc = moontide.StreamingContext("local[2]", "Trending", batch)
ssc:checkpoint(directory)

local batches = 0
ssc:queueStream(posts)
    :flatMap(function(post) return post:gmatch("#%w+") end)
    :countByValueAndWindow(3 * batch, batch)
    :transform(function(rdd) return rdd:sortBy(function(topic, count) return { -count, topic } end, true, 1) end)
    :foreachRDD(function(rdd)
        batches = batches + 1
        local shown = {}
        for index, pair in ipairs(rdd:take(2)) do
            shown[index] = pair[1] .. " " .. pair[2]
        end
        print(batches .. ": " .. table.concat(shown, ", "))
        if batches == #posts then
            ssc:stop()
        end
    end)

ssc:start()
ssc:awaitTermination()
os.remove(directory)

--[[ prints:
1: #moon 1, #tide 1
2: #tide 3, #moon 2
3: #tide 3, #moon 2
4: #storm 3, #sea 2
5: #sea 3, #storm 3
]]
