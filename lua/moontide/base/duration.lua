--- Durations: plain Lua numbers, whole milliseconds. (The arithmetic of batch times is in host/clock/boundary.h.)

local check = require "moontide.base.check"
local number_text = require "moontide.base.number_text"

local duration = {}

local UNITS = { ms = 1, s = 1000, min = 60000, h = 3600000 }
local UNIT_NAMES = { "ms", "s", "min", "h" }
local LARGEST = 2 ^ 53

-- What people write instead.
local ALIASES = { m = "min", mins = "min", minute = "min", minutes = "min", sec = "s", secs = "s", second = "s",
    seconds = "s", msec = "ms", millis = "ms", milliseconds = "ms", hr = "h", hour = "h", hours = "h" }

local function unknown_unit(unit, text)
    local near = ALIASES[unit:lower()] or check.nearest(unit, UNIT_NAMES)
    return ("unknown unit '%s' in the duration '%s' (valid units: ms, s, min, h)%s"):format(unit, text,
        near and "; did you mean '" .. near .. "'?" or "")
end

-- Products such as 1.001 * 1000 miss the whole number by a rounding error; a real fraction of a millisecond does not.
local function whole(ms)
    local rounded = math.floor(ms + 0.5)
    if math.abs(ms - rounded) <= 1e-9 * math.max(1, math.abs(ms)) then
        return rounded
    end
end

-- `scale` ms per unit; `shown` is what the user wrote.
local function validate(count, scale, shown)
    if count ~= count or count == math.huge or count == -math.huge then
        return nil, ("a duration must be a finite number of milliseconds, got %s"):format(shown)
    end
    if count < 0 then
        return nil, ("a duration cannot be negative, got %s"):format(shown)
    end
    local ms = whole(count * scale)
    if not ms then
        return nil, ("a duration is a whole number of milliseconds, got %s%s"):format(shown,
            shown:find("%a") and "" or " ms (for seconds write moontide.seconds(n) or \"1.5s\")")
    end
    if ms > LARGEST then
        return nil, ("the duration %s is too long"):format(shown)
    end
    return ms
end

--- Reads a duration.
---
---     duration.parse("1.5s")  --> 1500
---     duration.parse(250)     --> 250
---     duration.parse("5 min") --> 300000
---
---@param value any number of milliseconds, or text with one of the units ms, s, min, h
---@return number? ms
---@return string? reason why it is not a duration
function duration.parse(value)
    if type(value) == "number" then
        return validate(value, 1, number_text(value))
    end
    if type(value) ~= "string" then
        return nil, ("duration expected (milliseconds, or text like \"250ms\", \"1s\", \"5min\"), got %s"):format(
            check.type_name(value))
    end
    local number, unit = value:match("^%s*([%+%-]?[%d%.]+)%s*(%a*)%s*$")
    local count = number and tonumber(number)
    if not count then
        return nil, ("'%s' is not a duration (a number and a unit, like \"250ms\", \"1s\", \"5min\", \"1h\")"):format(value)
    end
    if unit == "" then
        return nil, ("the duration '%s' has no unit (valid units: ms, s, min, h)"):format(value)
    end
    if not UNITS[unit] then
        return nil, unknown_unit(unit, value)
    end
    return validate(count, UNITS[unit], "'" .. value .. "'")
end

--- The duration given as argument `index` of `method`; anything else is an error at the caller's line.
---@param index integer
---@param method string
---@param value any
---@param allow_zero? boolean
---@return number ms
function duration.argument(index, method, value, allow_zero)
    local ms, reason = duration.parse(value)
    if not ms then
        check.fail("bad argument #%d to '%s' (%s)", index, method, reason)
    end
    if ms == 0 and not allow_zero then
        check.fail("bad argument #%d to '%s' (the duration must be longer than 0 ms)", index, method)
    end
    return ms
end

local function helper(name, unit)
    return function(count)
        if type(count) ~= "number" then
            check.fail("bad argument #1 to '%s' (number expected, got %s)", name, check.type_name(count))
        end
        local ms, reason = validate(count, UNITS[unit], number_text(count) .. " " .. unit)
        if not ms then
            check.fail("bad argument #1 to '%s' (%s)", name, reason)
        end
        return ms
    end
end

--- A duration of `n` milliseconds.
---
---     moontide.milliseconds(250)  --> 250
---
--- A negative count, and a fraction of a millisecond, is an error. As in Spark 0.9.
---@type fun(n: number): number
duration.milliseconds = helper("milliseconds", "ms")

--- A duration of `n` seconds; fractions are fine as long as whole milliseconds come out.
---
---     moontide.seconds(1.5)  --> 1500
---
--- A negative count, and a fraction of a millisecond, is an error. As in Spark 0.9.
---@type fun(n: number): number
duration.seconds = helper("seconds", "s")

--- A duration of `n` minutes.
---
---     moontide.minutes(5)  --> 300000
---
--- A negative count, and a fraction of a millisecond, is an error. As in Spark 0.9.
---@type fun(n: number): number
duration.minutes = helper("minutes", "min")

--- How a duration or a batch time is shown: "1000 ms".
---@param ms number
---@return string
function duration.text(ms)
    return ("%.0f ms"):format(ms)
end

return duration
