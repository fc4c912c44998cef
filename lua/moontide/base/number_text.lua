--- A number as text for people and files: the shortest text that reads back as the same number; whole numbers up to 2^63 in full.
---
---     number_text(0.1 + 0.2)              --> 0.30000000000000004
---     number_text(717438855724142592)     --> 717438855724142592
---     number_text(9007199254740993LL)     --> 9007199254740993
---     number_text(-0.0)                   --> 0
---
--- Used on the driver and by workers, for every number that leaves the program as text: it depends on nothing. host/base/number_text.c
--- is the same for C. What functions of the script make themselves, with tostring or "..", is Lua's own.
local abs, floor, log10 = math.abs, math.floor, math.log10
local format, match, tonumber, tostring, type = string.format, string.match, tonumber, tostring, type

local WHOLE = 2 ^ 63 -- the largest whole numbers in full
local NORMAL = 2 ^ -1022 -- smaller ones have fewer than 15 digits of their own
local EXACT = 2 ^ 53

-- Powers of ten that a double holds exactly.
local POWERS = {}
for exponent = 0, 22 do
    POWERS[exponent] = tonumber("1e" .. exponent)
end

-- How many digits a positive fraction needs, by arithmetic; nil when that cannot tell. A whole number below 2^53 divided by one of
-- POWERS gives the very double that the quotient's digits read as.
local function digits_of(value)
    if not (value >= 1e-6 and value < 1e14) then
        return nil
    end
    local places = 14 - floor(log10(value))
    local scaled = value * POWERS[places]
    if scaled >= 1e15 then
        places = places - 1
        scaled = value * POWERS[places]
    elseif scaled < 1e14 then
        places = places + 1
        scaled = value * POWERS[places]
    end
    if floor(scaled + 0.5) / POWERS[places] == value then
        return 15
    end
    local power = POWERS[places + 1]
    scaled = floor(value * power)
    if scaled + 1 >= EXACT then
        return nil
    end
    -- The product may be one off.
    return (scaled / power == value or (scaled + 1) / power == value or (scaled - 1) / power == value) and 16 or 17
end

-- The same by trying.
local function shortest(value)
    if value ~= value then
        return "nan"
    end
    local text
    local digits = abs(value) < NORMAL and 1 or 15
    repeat
        text = format("%." .. digits .. "g", value)
        digits = digits + 1
    until tonumber(text) == value
    return text
end

---@param value number|ffi.cdata* a Lua number, or an int64 or uint64
---@return string
local function number_text(value)
    if type(value) ~= "number" then
        local text = tostring(value)
        return match(text, "^%-?%d+") or text
    elseif value == floor(value) and value >= -WHOLE and value <= WHOLE then
        return value < WHOLE and format("%d", value) or format("%.0f", value)
    end
    local digits = digits_of(abs(value)) -- no tail calls below, see worker/codec.lua
    if digits == 15 then
        return (format("%.15g", value))
    elseif digits == 16 then
        return (format("%.16g", value))
    elseif digits == 17 then
        return (format("%.17g", value))
    end
    return (shortest(value))
end

return number_text
