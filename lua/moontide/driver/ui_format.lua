--- How status pages and reports write durations and batch times: in a unit that suits the size, and as a date. Not used yet: it is
--- for monitoring.
---
---     ui_format.normalizeDuration(90000)                        --> 1.5, "min"
---     ui_format.formatBatchTime(1431637480452, 500, true, "UTC") --> "2015/05/14 21:04:40.452"

local check = require "moontide.base.check"
local timezone = require "moontide.base.timezone"

local ui_format = {}

local UNITS = {
    { name = "days", ms = 86400000 }, { name = "hrs", ms = 3600000 }, { name = "min", ms = 60000 },
    { name = "sec", ms = 1000 }, { name = "ms", ms = 1 }, { name = "us", ms = 1e-3 }, { name = "ns", ms = 1e-6 },
}

local scale, names = {}, {}
for index, unit in ipairs(UNITS) do
    scale[unit.name], names[index] = unit.ms, unit.name
end

local function finite(index, name, value)
    if type(value) ~= "number" or value ~= value or value == math.huge or value == -math.huge then
        check.bad_argument(index, name, "number of milliseconds", value)
    end
    return value
end

--- A duration in the largest unit in which it is at least 1; milliseconds for the shortest ones.
---@param ms number
---@return number value
---@return "days"|"hrs"|"min"|"sec"|"ms" unit
function ui_format.normalizeDuration(ms)
    finite(1, "normalizeDuration", ms)
    for _, unit in ipairs(UNITS) do
        if ms >= unit.ms or unit.name == "ms" then
            return ms / unit.ms, unit.name
        end
    end
end

--- A duration in a given unit.
---
---     ui_format.convertToTimeUnit(90000, "min")  --> 1.5
---
---@param ms number
---@param unit string "days", "hrs", "min", "sec", "ms", "us", "ns"
---@return number
function ui_format.convertToTimeUnit(ms, unit)
    finite(1, "convertToTimeUnit", ms)
    if not scale[unit] then
        check.fail("'convertToTimeUnit': unknown unit '%s' (valid units: %s)", tostring(unit), table.concat(names, ", "))
    end
    return ms / scale[unit]
end

--- A batch's time as people read it. Milliseconds are shown only where batches are shorter than a second.
---@param batchTime number ms
---@param batchInterval number ms
---@param withDate? boolean default true; false: the time of day only
---@param zone? string time zone like "Europe/Berlin", default the one of the process
---@return string? text nil when there is no such time zone
---@return string? reason
function ui_format.formatBatchTime(batchTime, batchInterval, withDate, zone)
    finite(1, "formatBatchTime", batchTime)
    finite(2, "formatBatchTime", batchInterval)
    local fields, reason = timezone.fields(batchTime / 1000, zone)
    if not fields then
        return nil, reason
    end
    local text = ("%02d:%02d:%02d"):format(fields.hour, fields.min, fields.sec)
    if batchInterval < 1000 then
        text = text .. (".%03d"):format(math.floor(batchTime) % 1000)
    end
    if withDate == false then
        return text
    end
    return ("%04d/%02d/%02d %s"):format(fields.year, fields.month, fields.day, text)
end

return ui_format
