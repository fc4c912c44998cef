-- Counts the words that arrive on a TCP socket, every second.
--
-- Shows: the whole path of a streaming program: a source, transformations with closures, an output, start and wait.
--
--     nc -lk 9999                                                    # in one terminal: type lines here
--     moontide run examples/network_wordcount.lua localhost 9999     # in another
--     moontide run examples/network_wordcount.lua --demo             # or all by itself
--
-- Prints a block a second: the batch's time, and ten of the words with their counts. With --demo it starts a server
-- that sends 1,000 lines a second (tests may ask for shorter batches: --demo 100ms), prints ten batches and
-- what came meanwhile, and ends.

local moontide = require "moontide"

local demo = arg[1] == "--demo"
local host, port = arg[1] or "localhost", tonumber(arg[2] or 9999)
local server
if demo then
    server = assert(require("moontide.lineserver").start { rate = 1000 })
    host, port = "127.0.0.1", server.port
end

local ssc    = moontide.StreamingContext("local[2]", "NetworkWordCount", demo and arg[2] or moontide.seconds(1))
local lines  = ssc:socketTextStream(host, port)
local words  = lines:flatMap(function(line) return line:gmatch("%S+") end)
local counts = words:map(function(word) return word, 1 end)
                    :reduceByKey(function(a, b) return a + b end)
counts:print()

if demo then
    local printed = 0
    counts:foreachRDD(function()
        printed = printed + 1
        if printed == 10 then
            ssc:stop(true, true) -- gracefully: lines that have come since are counted too
        end
    end)
end

ssc:start()
ssc:awaitTermination()
if server then
    server:stop()
end
