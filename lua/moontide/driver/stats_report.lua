--- StatsReportListener: a listener that reports how long the last batches took, with Spark's figures: count, mean, standard
--- deviation, extremes and quantiles of the total and the processing delay.
---
---     ssc:addStreamingListener(moontide.StatsReportListener(10))      -- log messages of level info
---     ssc:addStreamingListener(moontide.StatsReportListener(10, print))

local check = require "moontide.base.check"

local stats_report = {}

local QUANTILES = { 0, 5, 10, 25, 50, 75, 90, 95, 100 }
local UNITS = { { 3600000, "hours" }, { 60000, "min" }, { 1000, "s" } }

-- 1500 → "1.5 s"
local function millis(ms)
    for _, unit in ipairs(UNITS) do
        if ms > unit[1] then
            return ("%.1f %s"):format(ms / unit[1], unit[2])
        end
    end
    return ("%.1f ms"):format(ms)
end

--- The lines about one figure.
---@param heading string
---@param list number[] ms
---@return string[] none when the list is empty
function stats_report.lines(heading, list)
    local count = #list
    if count == 0 then
        return {}
    end
    local sorted, sum = {}, 0
    for index, value in ipairs(list) do
        sorted[index], sum = value, sum + value
    end
    table.sort(sorted)
    local mean, squares = sum / count, 0
    for _, value in ipairs(list) do
        squares = squares + (value - mean) ^ 2
    end
    local names, values = {}, {}
    for index, percent in ipairs(QUANTILES) do
        names[index] = percent .. "%"
        values[index] = millis(sorted[math.min(math.floor(percent * count / 100) + 1, count)])
    end
    return {
        ("%s(count: %d, mean: %f, stdev: %f, max: %f, min: %f)"):format(heading, count, mean,
            math.sqrt(squares / count), sorted[count], sorted[1]),
        "\t" .. table.concat(names, "\t"),
        "\t" .. table.concat(values, "\t"),
    }
end

--- Makes a listener that tells after each batch how the delays of the last batches are distributed: count, mean, deviation,
--- extremes and quantiles of the total and of the processing delay.
---
---     ssc:addStreamingListener(moontide.StatsReportListener(20, print))
---
--- Guide: "Monitoring".
---@param numBatches? integer how many batches it looks back, default 10
---@param write? fun(line: string) default: log messages of level info
---@return moontide.StreamingListener
function stats_report.new(numBatches, write)
    numBatches = check.integer(1, "StatsReportListener", numBatches, 1, 1000000, 10)
    if write == nil then
        local core = require "moontide.core"
        function write(line)
            core.log("info", "streaming", line)
        end
    else
        check.func(2, "StatsReportListener", write)
    end
    local last = {}
    return {
        onBatchCompleted = function(info)
            last[#last + 1] = info
            if #last > numBatches then
                table.remove(last, 1)
            end
            local total, processing = {}, {}
            for _, batch in ipairs(last) do
                total[#total + 1] = batch.totalDelay
                processing[#processing + 1] = batch.processingDelay
            end
            for _, line in ipairs(stats_report.lines("Total delay: ", total)) do
                write(line)
            end
            for _, line in ipairs(stats_report.lines("Processing time: ", processing)) do
                write(line)
            end
        end,
    }
end

return stats_report
