-- Text forms of durations and batch times, time zones, and the rate estimator.

local engine = require "spec.support.engine"
local rate_estimator = require "moontide.driver.rate_estimator"
local timezone = require "moontide.base.timezone"
local ui_format = require "moontide.driver.ui_format"

local message = engine.message

describe("ui_format", function()
    it("picks the largest unit in which a duration is at least 1", function()
        for _, case in ipairs({ { 0, 0, "ms" }, { 0.5, 0.5, "ms" }, { 900, 900, "ms" }, { 1000, 1, "sec" }, { 59999, 59.999, "sec" },
            { 60000, 1, "min" }, { 150000, 2.5, "min" }, { 3600000, 1, "hrs" }, { 86399999, 86399999 / 3600000, "hrs" },
            { 86400000, 1, "days" }, { 8640000000, 100, "days" } }) do
            assert.same({ case[2], case[3] }, { ui_format.normalizeDuration(case[1]) })
        end
        assert.matches("number of milliseconds expected, got string", message(ui_format.normalizeDuration, "1s"))
        assert.matches("number of milliseconds expected", message(ui_format.normalizeDuration, 0 / 0))
    end)

    it("converts to a unit", function()
        assert.equal(1.5, ui_format.convertToTimeUnit(90000, "min"))
        assert.equal(2000, ui_format.convertToTimeUnit(2, "us"))
        assert.matches("unknown unit 'minutes' %(valid units: days, hrs, min, sec, ms, us, ns%)",
            message(ui_format.convertToTimeUnit, 1, "minutes"))
    end)

    it("names batches by date, with milliseconds where batches are short", function()
        local time = 1431637480452
        assert.equal("2015/05/14 21:04:40.452", ui_format.formatBatchTime(time, 999, true, "UTC"))
        assert.equal("2015/05/14 21:04:40", ui_format.formatBatchTime(time, 1000, nil, "UTC"))
        assert.equal("21:04:40.452", ui_format.formatBatchTime(time, 1, false, "UTC"))
        assert.equal(os.date("%H:%M:%S", math.floor(time / 1000)), ui_format.formatBatchTime(time, 1000, false))
    end)
end)

describe("timezone", function()
    local installed = timezone.offset("America/Los_Angeles", 0) ~= nil

    it("knows summer and winter, before and after the table of the zone ends", function()
        if not installed then
            pending("there is no time zone database on this machine")
        end
        local hour = 3600
        for _, case in ipairs({
            { "America/Los_Angeles", 1431637480, -7 }, { "America/Los_Angeles", 1420000000, -8 },
            { "Europe/Berlin", 1431637480, 2 }, { "Asia/Kolkata", 1431637480, 5.5 },
            { "Australia/Sydney", 1420000000, 11 }, { "Australia/Sydney", 1431637480, 10 },
            { "America/Los_Angeles", 7258118400 + 180 * 86400, -7 }, { "America/Los_Angeles", 7258118400, -8 }, -- the year 2200
            { "Australia/Sydney", 7258118400, 11 }, { "Australia/Sydney", 7258118400 + 180 * 86400, 10 },
        }) do
            assert.equal(case[3] * hour, (timezone.offset(case[1], case[2])), case[1] .. " at " .. case[2])
        end
    end)

    it("agrees with the system about the calendar", function()
        for _, seconds in ipairs({ 0, 951782400, 951868799, 1709164800, 4102444799, -86401, -2208988800 }) do
            assert.same(os.date("!%Y/%m/%d %H:%M:%S", seconds), ui_format.formatBatchTime(seconds * 1000, 1000, true, "UTC"))
        end
    end)

    it("says when there is no such zone", function()
        for _, name in ipairs({ "Nowhere/Land", "../../../etc/passwd", "", "zone.tab" }) do
            local text, reason = ui_format.formatBatchTime(0, 1000, true, name)
            assert.is_nil(text)
            assert.matches("the time zone '" .. name .. "' is not known here", reason, 1, true)
        end
    end)
end)

describe("rate_estimator", function()
    it("follows what was processed, and lowers the rate when records wait", function()
        local estimator = rate_estimator.create("pid", 20, { integral = 1, minRate = 10 })
        assert.is_nil(estimator:compute(0, 20, 20, 0))
        assert.equal(2000, estimator:compute(20, 40, 20, 0))
        assert.is_nil(estimator:compute(20, 40, 20, 0), "the same time again")
        assert.is_nil(estimator:compute(40, 0, 20, 0), "nothing was processed")
        assert.is_nil(estimator:compute(40, 40, 0, 0), "in no time")
        assert.equal(1000, estimator:compute(40, 40, 20, 10))
        assert.equal(10, estimator:compute(60, 40, 20, 1000), "the lowest rate")
    end)

    it("refuses what makes no sense", function()
        assert.matches("unknown rate estimator 'pdi'; the only one is 'pid'", message(rate_estimator.create, "pdi", 1000))
        assert.matches("the batch interval must be greater than 0, got 0", message(rate_estimator.create, "pid", 0))
        assert.matches("the proportional weight must be at least 0, got %-1", message(rate_estimator.pid, 100, -1))
        assert.matches("the integral weight must be at least 0", message(rate_estimator.pid, 100, 0, -1))
        assert.matches("the derivative weight must be at least 0", message(rate_estimator.pid, 100, 0, 0, -1))
        assert.matches("the lowest rate must be greater than 0", message(rate_estimator.pid, 100, 0, 0, 0, 0))
    end)
end)
