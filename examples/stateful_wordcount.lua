-- Counts words over all batches that there have been.
--
-- Shows: updateStateByKey, which keeps a value for each key from batch to batch, with an initial state; checkpoint.
--
--     moontide run examples/stateful_wordcount.lua
--
-- Prints the counts after each of three batches.

local moontide = require "moontide"

local lines = {
    { "the quick brown fox", "the lazy dog" },
    { "the fox again" },
    { "no dog" },
}

local directory = io.popen("mktemp -d"):read("*l") -- one that nobody else has

local ssc = moontide.StreamingContext("local[2]", "StatefulWordCount", "50ms")
ssc:checkpoint(directory)

-- What was counted before today.
local before = ssc.sc:parallelizePairs { { "dog", 10 }, { "cat", 5 } }

local counts = ssc:queueStream(lines)
    :flatMap(function(line) return line:gmatch("%a+") end)
    :map(function(word) return word, 1 end)
    :updateStateByKey(function(values, count)
        count = count or 0
        for _, n in ipairs(values) do
            count = count + n
        end
        return count
    end, { partitions = 2, initial = before })

local batches = 0
counts:foreachRDD(function(rdd)
    local shown = {}
    for index, pair in ipairs(rdd:collect()) do
        shown[index] = pair[1] .. " " .. pair[2]
    end
    table.sort(shown)
    batches = batches + 1
    if batches <= #lines then
        print("batch " .. batches .. ": " .. table.concat(shown, ", "))
    end
end)

ssc:start()
while batches < #lines do
    ssc:awaitTerminationOrTimeout(10)
end
ssc:stop()
os.remove(directory)

--[[ prints:
batch 1: brown 1, cat 5, dog 11, fox 1, lazy 1, quick 1, the 2
batch 2: again 1, brown 1, cat 5, dog 11, fox 2, lazy 1, quick 1, the 3
batch 3: again 1, brown 1, cat 5, dog 12, fox 2, lazy 1, no 1, quick 1, the 3
]]
