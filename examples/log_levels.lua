-- Groups the lines of a log by level: which messages, and how long they took on average.
--
-- Shows: groupByKey, combineByKey with an accumulator of its own, mapPartitions, collectAsMap.
--
--     moontide run examples/log_levels.lua
--
-- Prints the messages of each level, the average duration of each level, and how many lines each partition had.

local moontide = require "moontide"

local log = {
    "INFO 12 request served", "WARN 250 slow disk", "INFO 8 request served", "ERROR 1000 no answer",
    "WARN 150 slow network", "INFO 10 cache filled",
}

local sc = moontide.Context("local[2]", "LogLevels")
local lines = sc:parallelize(log, 3)

local messages = lines
    :map(function(line) return line:match("^(%S+) %d+ (.*)$") end)
    :groupByKey()
    :mapValues(function(texts)
        table.sort(texts)
        return table.concat(texts, "; ")
    end)
for _, pair in ipairs(messages:sortByKey():collect()) do
    print(pair[1], pair[2])
end

local averages = lines
    :map(function(line)
        local level, duration = line:match("^(%S+) (%d+)")
        return level, tonumber(duration)
    end)
    :combineByKey(
        function(duration) return { sum = duration, count = 1 } end,
        function(acc, duration) return { sum = acc.sum + duration, count = acc.count + 1 } end,
        function(a, b) return { sum = a.sum + b.sum, count = a.count + b.count } end)
    :mapValues(function(acc) return acc.sum / acc.count end)
    :collectAsMap()
print(string.format("average ms: INFO %.0f, WARN %.0f, ERROR %.0f", averages.INFO, averages.WARN, averages.ERROR))

local sizes = lines:mapPartitions(function(it)
    local count = 0
    for _ in it do
        count = count + 1
    end
    return { count }
end)
print("lines in each partition: " .. table.concat(sizes:collect(), ", "))
sc:stop()

--[[ prints:
ERROR	no answer
INFO	cache filled; request served; request served
WARN	slow disk; slow network
average ms: INFO 10, WARN 200, ERROR 1000
lines in each partition: 2, 2, 2
]]
