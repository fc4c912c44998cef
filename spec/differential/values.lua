-- Text forms of plain values, by which results are compared: equal values have equal texts.

local values = {}

local function key_order(a, b)
    if type(a) == type(b) then
        return a < b
    end
    return type(a) < type(b)
end

---@param value any number, string, boolean, nil or a table of such
---@return string
function values.text(value)
    if type(value) == "number" then
        return value == 0 and "0" or string.format("%.17g", value)
    elseif type(value) == "string" then
        return string.format("%q", value)
    elseif type(value) ~= "table" then
        return tostring(value)
    end
    local keys = {}
    for key in pairs(value) do
        keys[#keys + 1] = key
    end
    table.sort(keys, key_order)
    local parts = {}
    for index, key in ipairs(keys) do
        local text = values.text(value[key])
        parts[index] = key == index and text or "[" .. values.text(key) .. "]=" .. text
    end
    return "{" .. table.concat(parts, ", ") .. "}"
end

--- The texts of a list of records, in its order.
function values.texts(records)
    local texts = {}
    for index, record in ipairs(records) do
        texts[index] = values.text(record)
    end
    return texts
end

--- The same, in an order of their own.
function values.sorted_texts(records)
    local texts = values.texts(records)
    table.sort(texts)
    return texts
end

return values
