--- Values that plain Lua cannot tell apart by itself: an explicit null, and the empty array.
local values = {}

--- An explicit null: unlike nil it can be a record, a value of a pair, or an element of an array.
---
---     sc:parallelize({ "1", "x" }):map(function(text) return tonumber(text) or moontide.null end):collect()
---         --> { 1, moontide.null }
---
--- It cannot be changed; trying to is an error. Not in Spark, whose null it stands for.
---@class moontide.null
values.null = setmetatable({}, {
    __tostring = function() return "null" end,
    __newindex = function() error("moontide.null can't be changed", 2) end,
})

local array_mt = { __name = "moontide.array" }

--- Marks a table as an array, so that an empty one stays an empty array when it is packed (`{}` alone is an empty map).
---
---     sc:parallelize({ "ebb" }):map(function(word) return word, moontide.array {} end):collect()  --> { { "ebb", {} } }
---
--- What is not a table is an error. Not in Spark, whose lists are never taken for maps.
---@generic T: table
---@param list T array part only
---@return T list the same table
function values.array(list)
    if type(list) ~= "table" then
        error("bad argument #1 to 'array' (table expected, got " .. type(list) .. ")", 2)
    end
    return setmetatable(list, array_mt)
end

--- Was the table marked by `array`?
---@param value any
---@return boolean
function values.is_array(value)
    return type(value) == "table" and getmetatable(value) == array_mt
end

values.array_mt = array_mt

return values
