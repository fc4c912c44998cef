-- Compares records with a case's expectation. Both sides are written in one canonical form, and the texts compared.
--
-- A pair {"k": a, "v": b} of the expectation is the table {a, b} of the public door; an absent side of an outer
-- join is null there and nil (a hole in the table) here; 1 and 1.0 are one number.

local cases = require "spec.conformance.cases"

local compare = {}

local canonical

local function scalar(value)
    if type(value) == "number" then
        local exact = value % 1 == 0 and math.abs(value) < 2 ^ 53
        return string.format(exact and "%.0f" or "%.14g", value)
    elseif type(value) == "string" then
        return string.format("%q", value)
    elseif type(value) == "cdata" then
        return (tostring(value):gsub("U?LL$", ""))
    end
    return tostring(value)
end

local function sorted_texts(list)
    local texts = {}
    for index, element in ipairs(list) do
        texts[index] = canonical(element)
    end
    table.sort(texts)
    return texts
end

--- One value in canonical form. Elements that are null or nil do not appear: "{1=…, 2=…}".
---@param value any from JSON or from the public door
---@return string
function canonical(value)
    if type(value) ~= "table" then
        return scalar(value)
    elseif cases.is_pair(value) then
        value = { value.k, value.v }
    end
    local keys, shown = {}, {}
    for key, element in pairs(value) do
        if element ~= cases.null and element ~= compare.explicit_null then
            local text = scalar(key)
            keys[#keys + 1] = text
            shown[text] = canonical(element)
        end
    end
    table.sort(keys, function(a, b)
        if #a ~= #b then
            return #a < #b
        end
        return a < b
    end)
    for index, key in ipairs(keys) do
        keys[index] = key .. "=" .. shown[key]
    end
    return "{" .. table.concat(keys, ", ") .. "}"
end
compare.canonical = canonical

-- `group_values_unordered`: the value of each record is a list whose order means nothing.
local function with_sorted_values(record)
    local is_pair = cases.is_pair(record)
    local key, value = is_pair and record.k or record[1], is_pair and record.v
    if not is_pair then
        value = record[2]
    end
    if type(value) ~= "table" then
        return canonical(record)
    end
    return "{1=" .. canonical(key) .. ", 2=[" .. table.concat(sorted_texts(value), ", ") .. "]}"
end

--- The records of a batch as texts.
---@param records any[]
---@param options { ordered: boolean, group_values_unordered: boolean? }
---@return string
function compare.records(records, options)
    local texts = {}
    for index = 1, #records do
        local record = records[index]
        texts[index] = options.group_values_unordered and type(record) == "table" and with_sorted_values(record)
            or canonical(record)
    end
    if not options.ordered then
        table.sort(texts)
    end
    return "[" .. table.concat(texts, ", ") .. "]"
end

--- Compares batch by batch.
---@param expected any[][]
---@param actual any[][]
---@param options { ordered: boolean, group_values_unordered: boolean? }
---@return string? difference nil when they are equal
function compare.batches(expected, actual, options)
    for index = 1, math.max(#expected, #actual) do
        local wanted = expected[index] and compare.records(expected[index], options) or "no dataset"
        local got = actual[index] and compare.records(actual[index], options) or "no dataset"
        if wanted ~= got then
            return string.format("output %d: expected %s\n           got %s", index, wanted, got)
        end
    end
    return nil
end

return compare
