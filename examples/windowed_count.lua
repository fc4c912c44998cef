-- How often each page was requested in the last three batches, batch by batch.
--
-- Shows: reduceByKeyAndWindow with an inverse function and a filter, checkpoint, and sliding windows.
--
--     moontide run examples/windowed_count.lua
--
-- Prints the counts of a window of three batches that slides by one, until the window is empty again.

local moontide = require "moontide"

local requests = {
    { "/home", "/home", "/about" },
    { "/home", "/news" },
    { "/news", "/news" },
    {},
    { "/about" },
}

local directory = io.popen("mktemp -d"):read("*l") -- one that nobody else has

local batch = moontide.milliseconds(50)
local ssc = moontide.StreamingContext("local[2]", "WindowedCount", batch)
ssc:checkpoint(directory)

local counts = ssc:queueStream(requests)
    :map(function(page) return page, 1 end)
    :reduceByKeyAndWindow(
        function(a, b) return a + b end, -- what has come is added
        function(a, b) return a - b end, -- what has left is taken away
        3 * batch, batch, 2,
        function(_, count) return count > 0 end)

local batches = 0
counts:foreachRDD(function(rdd)
    local shown = {}
    for index, pair in ipairs(rdd:collect()) do
        shown[index] = pair[1] .. " " .. pair[2]
    end
    table.sort(shown)
    batches = batches + 1
    if batches <= 8 then
        print(batches .. ": " .. (shown[1] and table.concat(shown, ", ") or "nothing"))
    end
end)

ssc:start()
while batches < 8 do
    ssc:awaitTerminationOrTimeout(10)
end
ssc:stop()
os.remove(directory)

--[[ prints:
1: /about 1, /home 2
2: /about 1, /home 3, /news 1
3: /about 1, /home 3, /news 3
4: /home 1, /news 3
5: /about 1, /news 2
6: /about 1
7: /about 1
8: nothing
]]
