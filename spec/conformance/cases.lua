-- Reads a file of conformance cases, and turns JSON values into what the public door takes and gives.

local json = require "dkjson"

local cases = {}

--- Stands for JSON's null.
cases.null = setmetatable({}, { __name = "null", __tostring = function() return "null" end })

--- All cases of a file, in order.
---@param path string
---@return table[]
function cases.load(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    local list, _, err = json.decode(text, 1, cases.null)
    if not list then
        error(path .. ": " .. err, 0)
    end
    local seen = {}
    for index, case in ipairs(list) do
        if type(case.id) ~= "string" or type(case.kind) ~= "string" or seen[case.id] then
            error(string.format("%s: case %d has no id of its own, or no kind", path, index), 0)
        end
        seen[case.id] = true
    end
    return list
end

--- Whether a JSON value is a pair, {"k": …, "v": …}.
---@param value any
---@return boolean
function cases.is_pair(value)
    if type(value) ~= "table" or value.k == nil or value.v == nil then
        return false
    end
    local third = next(value, next(value, next(value)))
    return third == nil
end

--- A record as the public door takes it: a pair becomes {key, value}, a tuple an array.
---@param value any from JSON
---@param library table the module "moontide"
---@return any
function cases.record(value, library)
    if value == cases.null then
        return library.null
    elseif type(value) ~= "table" then
        return value
    elseif cases.is_pair(value) then
        return { cases.record(value.k, library), cases.record(value.v, library) }
    end
    local result = {}
    for key, element in pairs(value) do
        result[key] = cases.record(element, library)
    end
    return next(result) == nil and library.array {} or result
end

--- Whether the elements of one input are pairs; nil when it has none.
---@param batches table[]
---@return boolean?
function cases.holds_pairs(batches)
    for _, batch in ipairs(batches) do
        if batch ~= cases.null and batch[1] ~= nil then
            return cases.is_pair(batch[1])
        end
    end
    return nil
end

return cases
