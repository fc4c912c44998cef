-- The cases that are pure arithmetic: text forms of status pages (kind format), the rate estimator (kind pid, and the property
-- about it).

local cases = require "spec.conformance.cases"
local compare = require "spec.conformance.compare"

local arithmetic = {}

local function differs(wanted, got)
    wanted, got = compare.canonical(wanted), compare.canonical(got)
    if wanted ~= got then
        return "failed", "expected " .. wanted .. ", got " .. got
    end
    return "passed"
end

local function given(value)
    if value ~= cases.null then
        return value
    end
    return nil
end

-- format -----------------------------------------------------------------------------------------------------------------

local formats = {}

function formats.output_name(case)
    return require("moontide.driver.save").name(given(case.args[1]), given(case.args[2]), case.args[3])
end

function formats.normalizeDuration(case)
    return { require("moontide.driver.ui_format").normalizeDuration(case.input_ms or case.args[1]) }
end

function formats.convertToTimeUnit(case)
    return require("moontide.driver.ui_format").convertToTimeUnit(case.input_ms or case.args[1], case.unit or case.args[2])
end

function formats.formatBatchTime(case)
    return require("moontide.driver.ui_format").formatBatchTime(case.batch_time_ms, case.batch_interval_ms, given(case.with_date),
        given(case.timezone))
end

--- Runs a case of kind `format`.
function arithmetic.format(case)
    local name = case.fn or case.batch_time_ms and "formatBatchTime" or case.unit and "convertToTimeUnit"
        or case.input_ms and "normalizeDuration"
    local format = formats[name]
    if not format then
        return "missing", "the runner does not know the text form '" .. tostring(name) .. "'"
    end
    return differs(case.expected, format(case))
end

-- pid ------------------------------------------------------------------------------------------------------------------

local function estimator_of(case)
    local with = case.estimator
    return require("moontide.driver.rate_estimator").pid(with.batch_ms, with.proportional, with.integral, with.derivative, with.min_rate)
end

--- Runs a case of kind `pid`.
function arithmetic.pid(case)
    local estimator = estimator_of(case)
    for index, call in ipairs(case.calls) do
        local status, reason = differs(case.expected[index], estimator:compute(unpack(call)) or cases.null)
        if status ~= "passed" then
            return status, string.format("call %d: %s", index, reason)
        end
    end
    return "passed"
end

--- The property of the estimator: random calls, as the generator says; estimates stay below the processing speed, and above the
--- least rate.
function arithmetic.pid_property(case)
    local calls, every, least, most = case.generator:match("(%d+) calls every (%d+) ms; elements uniform (%d+)%.%.(%d+)")
    local processing, shortest, longest = case.generator:match("processing (%d+) ms; scheduling delay uniform (%d+)%.%.(%d+)")
    if not (calls and processing) then
        return "missing", "the runner cannot read the generator '" .. case.generator .. "'"
    end
    math.randomseed(20)
    for round = 1, 200 do
        local estimator = estimator_of(case)
        for call = 1, tonumber(calls) do
            local records = math.random(tonumber(least), tonumber(most))
            local rate = estimator:compute((call - 1) * tonumber(every), records, tonumber(processing),
                math.random(tonumber(shortest), tonumber(longest)))
            local speed = records / tonumber(processing) * 1000
            if call == 1 and rate ~= nil or call > 1 and not (rate and rate >= case.estimator.min_rate and rate < speed) then
                return "failed", string.format("round %d, call %d: %s with a speed of %g", round, call, tostring(rate), speed)
            end
        end
    end
    return "passed"
end

return arithmetic
