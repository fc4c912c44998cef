-- Watches a stream at work: how much came, what ran, and how far it lags behind.
--
-- Shows: addStreamingListener with callbacks of your own, and StatsReportListener, which sums up the delays of the last
-- batches (it writes to the log, or to a function as here).
--
--     moontide run examples/monitoring.lua
--
-- Prints a line for each batch and, after the last one, which delays the report is about. A delay that grows from batch
-- to batch says that the batches are too short, or the workers too few.

local moontide = require "moontide"

local ssc = moontide.StreamingContext("local[2]", "Monitoring", "50ms")
local numbers = ssc:queueStream({ { 1, 2, 3 }, { 4, 5 }, {} })
numbers:map(function(x) return x * x end):foreachRDD(function(rdd) rdd:count() end)
numbers:count():foreachRDD(function(rdd) rdd:first() end)

local batches, done = 0, false
ssc:addStreamingListener {
    onBatchCompleted = function(info)
        batches = batches + 1
        if batches <= 3 then
            assert(info.totalDelay == info.schedulingDelay + info.processingDelay)
            print(string.format("batch %d: %d records, outputs %s and %s", batches, info.numRecords,
                info.outputOperationInfos[0].name, info.outputOperationInfos[1].name))
        end
        done = batches >= 3
    end,
}

local report = {}
ssc:addStreamingListener(moontide.StatsReportListener(3, function(line)
    report[#report + 1] = line
end))

ssc:start()
while not done do
    ssc:awaitTerminationOrTimeout(10)
end
ssc:stop()

for index = #report - 5, #report do -- three lines about each figure
    local line = report[index]
    local heading = line:match("^([%a ]+): %(count: 3")
    if heading then
        print("report: " .. heading)
    end
end

--[[ prints:
batch 1: 3 records, outputs foreachRDD and foreachRDD
batch 2: 2 records, outputs foreachRDD and foreachRDD
batch 3: 0 records, outputs foreachRDD and foreachRDD
report: Total delay
report: Processing time
]]
