-- Writes a Lua value as JSON, names in order, so that two results can be compared with diff.

local json = {}

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function text(value)
    return '"' .. value:gsub('[%c"\\]', function(char)
        return escapes[char] or string.format("\\u%04x", char:byte())
    end) .. '"'
end

local function write(value, indent)
    if type(value) == "string" then
        return text(value)
    elseif type(value) == "number" then
        return value % 1 == 0 and string.format("%.0f", value) or string.format("%.6g", value)
    elseif type(value) ~= "table" then
        return tostring(value)
    end
    local inner = indent .. "  "
    local parts = {}
    if #value > 0 then
        for index, element in ipairs(value) do
            parts[index] = inner .. write(element, inner)
        end
        return "[\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "]"
    end
    local names = {}
    for name in pairs(value) do
        names[#names + 1] = name
    end
    table.sort(names)
    for index, name in ipairs(names) do
        parts[index] = inner .. text(name) .. ": " .. write(value[name], inner)
    end
    return #parts == 0 and "{}" or "{\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "}"
end

---@param value any booleans, numbers, strings, arrays, and tables with names
---@return string
function json.encode(value)
    return write(value, "") .. "\n"
end

return json
