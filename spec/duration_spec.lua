-- Durations and the arithmetic of the batch grid.

local moontide = require "moontide"
local duration = require "moontide.base.duration"

local function reason(value)
    local ms, message = duration.parse(value)
    assert.is_nil(ms)
    return message
end

describe("durations", function()
    it("are whole milliseconds", function()
        assert.equal(250, moontide.milliseconds(250))
        assert.equal(1000, moontide.seconds(1))
        assert.equal(1500, moontide.seconds(1.5))
        assert.equal(300, moontide.seconds(0.3))
        assert.equal(1001, moontide.seconds(1.001))
        assert.equal(300000, moontide.minutes(5))
        assert.equal(0, moontide.seconds(0))
    end)

    it("are read from text with a unit", function()
        assert.equal(250, duration.parse("250ms"))
        assert.equal(1000, duration.parse("1s"))
        assert.equal(1500, duration.parse("1.5s"))
        assert.equal(300000, duration.parse("5 min"))
        assert.equal(7200000, duration.parse(" 2h "))
        assert.equal(40, duration.parse(40))
    end)

    it("are shown as Spark shows them", function()
        assert.equal("1000 ms", duration.text(1000))
        assert.equal("1357008430000 ms", duration.text(1357008430000))
    end)

    it("refuse fractions of a millisecond", function()
        assert.matches("whole number of milliseconds, got 0.5 ms", reason(0.5), 1, true)
        assert.matches("for seconds write moontide.seconds(n)", reason(0.5), 1, true)
        assert.matches("got '0.5ms'", reason("0.5ms"), 1, true)
        assert.matches("duration_spec.lua:%d+: bad argument #1 to 'seconds' %(.*got 0.0001 s",
            select(2, pcall(function() moontide.seconds(0.0001) end)))
    end)

    it("refuse what is negative or no number", function()
        assert.matches("negative, got -1", reason(-1), 1, true)
        assert.matches("negative, got '-1s'", reason("-1s"), 1, true)
        assert.matches("finite", reason(0 / 0), 1, true)
        assert.matches("finite", reason(math.huge), 1, true)
        assert.matches("too long", reason(1e300), 1, true)
        assert.error_matches(function() moontide.minutes(-1) end, "cannot be negative")
        assert.error_matches(function() moontide.seconds("1") end, "number expected, got string")
    end)

    it("refuse an unknown unit and propose one", function()
        assert.matches("unknown unit 'sec' in the duration '1sec' (valid units: ms, s, min, h); did you mean 's'?",
            reason("1sec"), 1, true)
        assert.matches("did you mean 'min'?", reason("5m"), 1, true)
        assert.matches("has no unit", reason("5"), 1, true)
        assert.matches("is not a duration", reason("soon"), 1, true)
        assert.matches("got boolean", reason(true), 1, true)
        assert.matches("got nil", reason(nil), 1, true)
    end)

    it("of nothing are refused as intervals", function()
        assert.error_matches(function() duration.argument(3, "StreamingContext", 0) end,
            "bad argument #3 to 'StreamingContext' %(the duration must be longer than 0 ms%)")
        assert.equal(0, duration.argument(1, "awaitTerminationOrTimeout", 0, true))
    end)
end)
