-- How often each value occurs in a batch, with words that have to be cleaned first.
--
-- Shows: countByValue, flatMap with a function that returns a list, a module-level function used inside a closure.
--
--     moontide run examples/count_by_value.lua
--
-- Prints the words of one batch with their counts, in alphabetical order.

local moontide = require "moontide"

local stop_words = { the = true, a = true, of = true }

local function clean(line)
    local words = {}
    for word in line:lower():gmatch("%a+") do
        if not stop_words[word] then
            words[#words + 1] = word
        end
    end
    return words
end

local ssc = moontide.StreamingContext("local[2]", "CountByValue", "50ms")

ssc:queueStream { { "The rise of the tide,", "the FALL of the tide;", "a tide of tides." } }
    :flatMap(clean)
    :countByValue()
    :foreachRDD(function(rdd)
        for _, pair in ipairs(rdd:sortByKey():collect()) do
            print(pair[1], pair[2])
        end
        ssc:stop() -- one batch is enough; takes effect when this function has returned
    end)

ssc:start()
ssc:awaitTermination()

--[[ prints:
fall	1
rise	1
tide	3
tides	1
]]
