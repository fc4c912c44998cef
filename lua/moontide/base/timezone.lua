--- Local times of the zones of the system's time zone database, read from its files (TZif, RFC 8536). The process's own zone
--- (the variable TZ) stays as it is: it belongs to all threads. Not used yet but by ui_format.lua: it is for the module `time`.
---
--- A file lists the moments at which the zone's offset from UTC changed; the text at its end is the rule for the time after
--- the last of them ("PST8PDT,M3.2.0,M11.1.0").

local bit = require "bit"

local timezone = {}

local FOLDERS = { "/usr/share/zoneinfo/", "/usr/lib/zoneinfo/", "/usr/share/lib/zoneinfo/" }
local DAY = 86400

-- Days since 1970-01-01 of a day of the Gregorian calendar; and back.
local function days_from_civil(year, month, day)
    if month <= 2 then
        year = year - 1
    end
    local era = math.floor(year / 400)
    local of_era = year - era * 400
    local of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
    return era * 146097 + of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year - 719468
end

local function civil_from_days(days)
    days = days + 719468
    local era = math.floor(days / 146097)
    local day_of_era = days - era * 146097
    local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524)
        - math.floor(day_of_era / 146096)) / 365)
    local day_of_year = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
    local shifted = math.floor((5 * day_of_year + 2) / 153)
    local month = shifted < 10 and shifted + 3 or shifted - 9
    return year_of_era + era * 400 + (month <= 2 and 1 or 0), month, day_of_year - math.floor((153 * shifted + 2) / 5) + 1
end

-- Files --------------------------------------------------------------------------------------------------------------

local function signed32(data, at)
    local a, b, c, d = data:byte(at, at + 3)
    return bit.bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
end

local function signed64(data, at)
    local low = signed32(data, at + 4)
    return signed32(data, at) * 2 ^ 32 + (low < 0 and low + 2 ^ 32 or low)
end

-- Where the six counts of a header lead to: isutcnt isstdcnt leapcnt timecnt typecnt charcnt.
local function counts(data, at)
    local list = {}
    for index = 1, 6 do
        list[index] = signed32(data, at + 20 + 4 * (index - 1))
    end
    return unpack(list)
end

local HEADER = 44

local function read_zone(data)
    if #data < HEADER or data:sub(1, 4) ~= "TZif" then
        return nil
    end
    local at, width = 1, 4
    local isut, isstd, leap, times, types, chars = counts(data, at)
    if data:byte(5) >= 0x32 then -- version 2 and later: a second block, with 64-bit times, follows
        at, width = at + HEADER + times * 5 + types * 6 + chars + leap * 8 + isstd + isut, 8
        isut, isstd, leap, times, types, chars = counts(data, at)
    end
    local zone = { moments = {}, offsets = {} }
    local moment, index = at + HEADER, at + HEADER + times * width
    local kinds = index + times
    for number = 1, times do
        zone.moments[number] = (width == 8 and signed64 or signed32)(data, moment + (number - 1) * width)
        zone.offsets[number] = signed32(data, kinds + data:byte(index + number - 1) * 6)
    end
    zone.first = signed32(data, kinds)
    for kind = 0, types - 1 do -- before the first change: the first kind that is standard time
        if data:byte(kinds + kind * 6 + 4) == 0 then
            zone.first = signed32(data, kinds + kind * 6)
            break
        end
    end
    if width == 8 then
        local rule = kinds + types * 6 + chars + leap * 12 + isstd + isut
        zone.rule = data:sub(rule):match("^\n(.-)\n")
    end
    return zone
end

-- Rules for the time after the last change ----------------------------------------------------------------------------

-- "8", "-3:30" → seconds
local function clock(text)
    local sign, hours, rest = text:match("^([%+%-]?)(%d+)(.*)$")
    local minutes, seconds = rest:match("^:(%d+):?(%d*)$")
    local total = tonumber(hours) * 3600 + (tonumber(minutes) or 0) * 60 + (tonumber(seconds) or 0)
    return sign == "-" and -total or total
end

-- Seconds since 1970, on the zone's wall clock, at which a rule ("M3.2.0/2", "J60", "59/3") comes in a year.
local function rule_moment(rule, year)
    local date, time = rule:match("^([^/]+)/?(.*)$")
    local seconds = time == "" and 7200 or clock(time)
    local month, week, weekday = date:match("^M(%d+)%.(%d+)%.(%d+)$")
    local day
    if month then
        month, week, weekday = tonumber(month), tonumber(week), tonumber(weekday)
        local first = days_from_civil(year, month, 1)
        day = first + (weekday - (first + 4)) % 7 + (week - 1) * 7
        local next_month = month == 12 and days_from_civil(year + 1, 1, 1) or days_from_civil(year, month + 1, 1)
        while day >= next_month do -- week 5: the last one
            day = day - 7
        end
    else
        local skips, number = date:match("^(J?)(%d+)$")
        day = days_from_civil(year, 1, 1) + tonumber(number) - (skips == "J" and 1 or 0)
        local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
        if skips == "J" and leap and tonumber(number) >= 60 then
            day = day + 1
        end
    end
    return day * DAY + seconds
end

local function parse_rule(text)
    local function name(from)
        return text:match("^<[^>]*>()", from) or text:match("^%a+()", from)
    end
    local at = name(1)
    local standard, rest = text:match("^([%+%-]?[%d:]+)()", at)
    local rule = { standard = -clock(standard) }
    at = name(rest)
    if at then
        local offset, after = text:match("^([%+%-]?%d[%d:]*)()", at)
        rule.summer = offset and -clock(offset) or rule.standard + 3600
        rule.begins, rule.ends = text:match("^,([^,]+),([^,]+)$", after or at)
    end
    return rule
end

local function rule_offset(text, seconds)
    local rule = parse_rule(text)
    if not rule.begins then
        return rule.standard
    end
    local year = civil_from_days(math.floor((seconds + rule.standard) / DAY))
    local begins = rule_moment(rule.begins, year) - rule.standard
    local ends = rule_moment(rule.ends, year) - rule.summer
    local summer
    if begins < ends then
        summer = seconds >= begins and seconds < ends
    else -- the southern half of the earth
        summer = seconds >= begins or seconds < ends
    end
    return summer and rule.summer or rule.standard
end

-- The last change at or before a moment.
local function last_change(moments, seconds)
    local low, high = 0, #moments
    while low < high do
        local middle = math.ceil((low + high) / 2)
        if moments[middle] <= seconds then
            low = middle
        else
            high = middle - 1
        end
    end
    return low
end

local function offset_of(zone, seconds)
    local index = last_change(zone.moments, seconds)
    if index == #zone.moments and zone.rule and zone.rule ~= "" then
        return rule_offset(zone.rule, seconds)
    end
    return index == 0 and zone.first or zone.offsets[index]
end

-- The door ------------------------------------------------------------------------------------------------------------

local zones = {}

local function load_zone(name)
    if name == "UTC" or name == "GMT" then
        return { moments = {}, offsets = {}, first = 0 }
    end
    if not name:find("^[%w_%+%-]+[%w_%+%-/]*$") then
        return nil
    end
    for _, folder in ipairs(FOLDERS) do
        local file = io.open(folder .. name, "rb")
        local data = file and file:read("*a")
        if file then
            file:close()
        end
        local zone = data and read_zone(data)
        if zone then
            return zone
        end
    end
end

--- Seconds by which a zone's clocks are ahead of UTC at a moment.
---
---     timezone.offset("Europe/Berlin", 1431637480)  --> 7200
---
---@param name string "Europe/Berlin", "UTC" …
---@param seconds number since the epoch
---@return number? offset nil when there is no such zone
---@return string? reason
function timezone.offset(name, seconds)
    local zone = zones[name]
    if zone == nil then
        zone = load_zone(name) or false
        zones[name] = zone
    end
    if not zone then
        return nil, ("the time zone '%s' is not known here (looked in %s; is the package tzdata installed?)"):format(name,
            table.concat(FOLDERS, ", "))
    end
    return offset_of(zone, seconds)
end

--- Year, month, day, hour, minute and second of a moment.
---@param seconds number since the epoch
---@param name? string time zone, default the one of the process
---@return { year: number, month: number, day: number, hour: number, min: number, sec: number }? fields nil: no such zone
---@return string? reason
function timezone.fields(seconds, name)
    seconds = math.floor(seconds)
    if name == nil then
        return os.date("*t", seconds)
    end
    local offset, reason = timezone.offset(name, seconds)
    if not offset then
        return nil, reason
    end
    local here = seconds + offset
    local year, month, day = civil_from_days(math.floor(here / DAY))
    local rest = here % DAY
    return { year = year, month = month, day = day, hour = math.floor(rest / 3600), min = math.floor(rest / 60) % 60,
        sec = rest % 60 }
end

return timezone
